#include "dataplane/xds/ignored_fields.h"

#include "common/base/log.h"
#include "common/base/map.h"
#include "common/base/mem.h"
#include "dataplane/xds/honoured_fields.h"

#include <google/protobuf/any.pb-c.h>
#include <stdio.h>

enum { PATH_BYTES_MAX = 512, FIELDS_PER_MESSAGE_MAX = 256, DEPTH_MAX = 100 };

/* Fields of one message, a bit per index. */
struct field_set {
    uint64_t bits[FIELDS_PER_MESSAGE_MAX / 64];
};

struct honoured_set {
    struct field_set all, zero; /* honoured; honoured where the value is 0 */
};

struct ignored_field {
    char *what; /* own memory; the key */
    char *first_label;
    uint64_t count;
};

struct ignored_fields {
    const struct pbjson_registry *types;
    struct map honoured; /* struct honoured_set by full name of the message */
    struct map noted;    /* struct ignored_field by what */
    uint64_t total;
};

/* One walk over one resource. */
struct scan {
    struct ignored_fields *fields;
    struct str label;
    struct arena arena; /* payloads of Any */
    char path[PATH_BYTES_MAX];
    size_t path_len;
    unsigned depth;
};

static bool field_set_has(const struct field_set *set, unsigned i)
{
    return set->bits[i / 64] >> i % 64 & 1;
}

/* Adds the field of this name. */
static void field_set_add(struct field_set *set, const ProtobufCMessageDescriptor *message,
                          struct str name)
{
    for (unsigned i = 0; i < message->n_fields; i++)
        if (str_equal(str_from(message->fields[i].name), name))
            set->bits[i / 64] |= (uint64_t)1 << i % 64;
}

static struct honoured_set *honoured_set_new(const struct honoured_row *row)
{
    struct honoured_set *set = MEM_NEW(struct honoured_set);
    struct str left = str_from(row->fields);
    while (left.len) {
        size_t end = str_find_char(left, ' ', 0);
        struct str name = str_slice(left, 0, end);
        if (str_ends_with(name, STR("=0")))
            field_set_add(&set->zero, row->message, str_slice(name, 0, name.len - 2));
        else
            field_set_add(&set->all, row->message, name);
        left = str_slice(left, end < left.len ? end + 1 : end, left.len);
    }
    return set;
}

struct ignored_fields *ignored_fields_new(const struct pbjson_registry *types)
{
    struct ignored_fields *fields = MEM_NEW(struct ignored_fields);
    fields->types = types;
    for (size_t i = 0; i < honoured_row_count; i++) {
        const struct honoured_row *row = &honoured_rows[i];
        ASSERT(row->message->n_fields <= FIELDS_PER_MESSAGE_MAX);
        map_put(&fields->honoured, str_from(row->message->name), honoured_set_new(row));
    }
    return fields;
}

void ignored_fields_free(struct ignored_fields *fields)
{
    if (!fields)
        return;
    MAP_FOR_EACH(entry, &fields->honoured)
        mem_free(entry->value);
    map_done(&fields->honoured);
    MAP_FOR_EACH(entry, &fields->noted) {
        struct ignored_field *field = entry->value;
        mem_free(field->what);
        mem_free(field->first_label);
        mem_free(field);
    }
    map_done(&fields->noted);
    mem_free(fields);
}

void ignored_fields_note(struct ignored_fields *fields, struct str label, const char *what)
{
    fields->total++;
    struct ignored_field *field = map_find(&fields->noted, str_from(what));
    if (!field) {
        if (fields->noted.len >= IGNORED_FIELDS_MAX)
            return;
        field = MEM_NEW(struct ignored_field);
        field->what = mem_copy_string(what, strlen(what));
        field->first_label = mem_copy_string(label.data, label.len);
        map_put(&fields->noted, str_from(field->what), field);
        log_warning("field_ignored field=\"%s\" resource=\"%s\"", what, field->first_label);
    }
    field->count++;
}

static const void *member_of(const ProtobufCMessage *message, unsigned offset)
{
    return (const char *)message + offset;
}

static bool is_number_set(const ProtobufCFieldDescriptor *field, const void *member)
{
    static const char zeros[8] = {0};
    size_t size = 4;
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        size = 8;
        break;
    case PROTOBUF_C_TYPE_BOOL:
        size = sizeof(protobuf_c_boolean);
        break;
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_ENUM:
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        break;
    }
    return memcmp(member, zeros, size) != 0;
}

/* Whether a field says something; as in proto3, a singular scalar with its default does not. */
static bool is_set(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    const void *member = member_of(message, field->offset);
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return *(const size_t *)member_of(message, field->quantifier_offset) > 0;
    if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
        return *(const uint32_t *)member_of(message, field->quantifier_offset) == field->id;
    if (field->type == PROTOBUF_C_TYPE_MESSAGE)
        return *(ProtobufCMessage *const *)member != NULL;
    if (field->type == PROTOBUF_C_TYPE_STRING) {
        const char *text = *(char *const *)member;
        return text && text[0];
    }
    if (field->type == PROTOBUF_C_TYPE_BYTES)
        return ((const ProtobufCBinaryData *)member)->len > 0;
    return is_number_set(field, member);
}

/* Whether a field that is set holds a message, a wrapped number say, in which nothing is set. */
static bool is_zero(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    if (field->type != PROTOBUF_C_TYPE_MESSAGE || field->label == PROTOBUF_C_LABEL_REPEATED)
        return false;
    const ProtobufCMessage *value = *(ProtobufCMessage *const *)member_of(message, field->offset);
    for (unsigned i = 0; i < value->descriptor->n_fields; i++)
        if (is_set(value, &value->descriptor->fields[i]))
            return false;
    return value->n_unknown_fields == 0;
}

/* Adds ".name" to the path; returns the length to go back to. */
static size_t enter(struct scan *scan, const char *name)
{
    size_t before = scan->path_len;
    int added = snprintf(scan->path + before, sizeof scan->path - before, "%s%s",
                         scan->path[before - 1] == ' ' ? "" : ".", name);
    if (added > 0)
        scan->path_len += (size_t)added;
    if (scan->path_len >= sizeof scan->path)
        scan->path_len = sizeof scan->path - 1;
    return before;
}

static void leave(struct scan *scan, size_t before)
{
    scan->path_len = before;
    scan->path[before] = '\0';
}

static void scan_message(struct scan *scan, const ProtobufCMessage *message);

static void scan_any(struct scan *scan, const Google__Protobuf__Any *any)
{
    const ProtobufCMessageDescriptor *descriptor =
        pbjson_registry_find(scan->fields->types, str_from(any->type_url));
    if (!descriptor)
        return;
    ProtobufCAllocator allocator = arena_protobuf_allocator(&scan->arena);
    const ProtobufCMessage *payload =
        protobuf_c_message_unpack(descriptor, &allocator, any->value.len, any->value.data);
    if (payload)
        scan_message(scan, payload);
}

static void scan_field(struct scan *scan, const ProtobufCMessage *message,
                       const ProtobufCFieldDescriptor *field)
{
    const void *member = member_of(message, field->offset);
    if (field->type != PROTOBUF_C_TYPE_MESSAGE)
        return;
    size_t before = enter(scan, field->name);
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        size_t count = *(const size_t *)member_of(message, field->quantifier_offset);
        ProtobufCMessage *const *items = *(ProtobufCMessage *const *const *)member;
        for (size_t i = 0; i < count; i++)
            scan_message(scan, items[i]);
    } else {
        scan_message(scan, *(ProtobufCMessage *const *)member);
    }
    leave(scan, before);
}

/* An entry of a map, as protoc-c makes it of one (proto/README.md). */
static bool is_map_entry(const ProtobufCMessageDescriptor *descriptor)
{
    return descriptor->n_fields == 2 && strcmp(descriptor->fields[0].name, "key") == 0 &&
           strcmp(descriptor->fields[1].name, "value") == 0 &&
           str_ends_with(str_from(descriptor->short_name), STR("Entry"));
}

static void note_field(struct scan *scan, const char *name)
{
    size_t before = enter(scan, name);
    ignored_fields_note(scan->fields, scan->label, scan->path);
    leave(scan, before);
}

static void scan_message(struct scan *scan, const ProtobufCMessage *message)
{
    const ProtobufCMessageDescriptor *descriptor = message->descriptor;
    if (scan->depth >= DEPTH_MAX)
        return;
    scan->depth++;
    for (unsigned i = 0; i < message->n_unknown_fields; i++) {
        char number[24];
        snprintf(number, sizeof number, "#%u", (unsigned)message->unknown_fields[i].tag);
        note_field(scan, number);
    }
    const struct honoured_set *set = map_find(&scan->fields->honoured, str_from(descriptor->name));
    for (unsigned i = 0; set && i < descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &descriptor->fields[i];
        if (!is_set(message, field))
            continue;
        if (field_set_has(&set->all, i))
            scan_field(scan, message, field);
        else if (!field_set_has(&set->zero, i) || !is_zero(message, field))
            note_field(scan, field->name);
    }
    if (descriptor == &google__protobuf__any__descriptor)
        scan_any(scan, (const Google__Protobuf__Any *)message);
    else if (!set && is_map_entry(descriptor) && is_set(message, &descriptor->fields[1]))
        scan_field(scan, message, &descriptor->fields[1]);
    scan->depth--;
}

void ignored_fields_scan(struct ignored_fields *fields, struct str label,
                         const ProtobufCMessage *message)
{
    struct scan scan = {.fields = fields, .label = label};
    arena_init(&scan.arena, 8192);
    int len = snprintf(scan.path, sizeof scan.path, "%s: ", message->descriptor->name);
    scan.path_len = len > 0 ? (size_t)len : 0;
    scan_message(&scan, message);
    arena_done(&scan.arena);
}

uint64_t ignored_fields_total(const struct ignored_fields *fields)
{
    return fields->total;
}

void ignored_fields_visit(const struct ignored_fields *fields, ignored_fields_visit_fn *visit,
                          void *arg)
{
    MAP_FOR_EACH(entry, &fields->noted) {
        const struct ignored_field *field = entry->value;
        visit(field->what, field->count, field->first_label, arg);
    }
}
