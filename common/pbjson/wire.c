#include "common/pbjson/wire.h"
#include "common/pbjson/pbjson_internal.h"

#include <google/protobuf/any.pb-c.h>
#include <stdio.h>

enum {
    /* What protobuf-c notes about each field it meets, with the growth of its list of notes, what
     * one element takes in an array or among the unknown fields, and the arena's rounding. */
    FIELD_COST = 144,
    /* An element of a packed field: up to 8 bytes for one. */
    PACKED_COST = 8,
    /* A message for a field that has one already is merged, which copies the arrays of both: up to
     * a pointer for each two bytes. */
    MERGE_COST = 8,
    /* Fields of a message that are watched for being given twice, by index. */
    SEEN_MAX = 256,
};

struct checker {
    const struct pbjson_registry *types; /* of Any payloads to look into; NULL: none */
    unsigned depth_max;
    size_t budget; /* bytes */
    bool is_strict;
    struct errmsg *msg;
};

/* Where we are, from the innermost message outwards. */
struct frame {
    const struct frame *parent;
    const ProtobufCMessageDescriptor *descriptor;
    const ProtobufCFieldDescriptor *field; /* the one being looked at; NULL: unknown */
    struct str bytes;
    unsigned depth;
};

/* The path down to frame, its last 8 steps (they are more only in an attack). */
static void print_path(const struct frame *frame, char *text, size_t size)
{
    const struct frame *chain[8];
    size_t count = 0;
    for (; frame && count < sizeof chain / sizeof *chain; frame = frame->parent)
        if (frame->field)
            chain[count++] = frame;
    size_t len = 0;
    text[0] = '\0';
    while (count-- > 0 && len < size - 1) {
        int added =
            snprintf(text + len, size - len, "%s%s", len ? "." : "", chain[count]->field->name);
        len += added > 0 ? (size_t)added : 0;
    }
}

static int fail(struct checker *checker, int err, const struct frame *frame, const char *problem)
{
    char path[512];
    print_path(frame, path, sizeof path);
    return errmsg_set(checker->msg, err, "%s%s%s", path, path[0] ? ": " : "", problem);
}

static int fail_memory(struct checker *checker)
{
    return fail(checker, ERR_TOO_LARGE, NULL, "takes too much memory");
}

static bool read_varint(struct str *left, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (unsigned shift = 0; left->len && shift < 70; shift += 7) {
        unsigned char c = (unsigned char)left->data[0];
        *left = str_slice(*left, 1, left->len);
        value |= (uint64_t)(c & 0x7f) << (shift & 63);
        if (!(c & 0x80)) {
            *ret_value = value;
            return true;
        }
    }
    return false;
}

/* The value of a field, without the varint of its length; false where it is cut off. */
static bool read_value(struct str *left, uint64_t wire_type, struct str *ret_value)
{
    uint64_t len = 0;
    if (wire_type == PROTOBUF_C_WIRE_TYPE_VARINT) {
        *ret_value = (struct str){.data = left->data};
        return read_varint(left, &len);
    }
    if (wire_type == PROTOBUF_C_WIRE_TYPE_64BIT)
        len = 8;
    else if (wire_type == PROTOBUF_C_WIRE_TYPE_32BIT)
        len = 4;
    else if (wire_type != PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED || !read_varint(left, &len))
        return false;
    if (len > left->len)
        return false;
    *ret_value = str_slice(*left, 0, (size_t)len);
    *left = str_slice(*left, (size_t)len, left->len);
    return true;
}

static int check_string(struct checker *checker, const struct frame *frame, struct str value)
{
    for (size_t at = 0; at < value.len;) {
        if (value.data[at] == '\0')
            return fail(checker, ERR_INVALID, frame, "has a NUL byte");
        size_t len = str_utf8_length(str_slice(value, at, value.len));
        if (len == 0)
            return fail(checker, ERR_INVALID, frame, "is not UTF-8");
        at += len;
    }
    return 0;
}

static int check_message(struct checker *checker, const struct frame *parent,
                         const ProtobufCMessageDescriptor *descriptor, struct str bytes);

/* Whether the field comes for the second time; remembers the first. */
static bool is_seen(uint64_t *seen, const ProtobufCMessageDescriptor *descriptor,
                    const ProtobufCFieldDescriptor *field)
{
    size_t index = (size_t)(field - descriptor->fields);
    ASSERT(index < SEEN_MAX); /* a message of ours has fewer fields */
    uint64_t bit = (uint64_t)1 << index % 64;
    bool was_seen = seen[index / 64] & bit;
    seen[index / 64] |= bit;
    return was_seen;
}

static bool spend(struct checker *checker, size_t count, size_t cost)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, cost, &bytes) || bytes > checker->budget)
        return false;
    checker->budget -= bytes;
    return true;
}

/* What one value takes that is no message. */
static bool spend_value(struct checker *checker, const ProtobufCFieldDescriptor *field,
                        struct str value)
{
    bool is_copied =
        !field || field->type == PROTOBUF_C_TYPE_STRING || field->type == PROTOBUF_C_TYPE_BYTES;
    return spend(checker, value.len, is_copied ? 1 : PACKED_COST);
}

static int check_submessage(struct checker *checker, const struct frame *frame, uint64_t *seen,
                            struct str value)
{
    const ProtobufCFieldDescriptor *field = frame->field;
    bool is_merged =
        field->label != PROTOBUF_C_LABEL_REPEATED && is_seen(seen, frame->descriptor, field);
    if (is_merged && checker->is_strict)
        return fail(checker, ERR_INVALID, frame, "is given twice");
    if (is_merged && !spend(checker, frame->bytes.len, MERGE_COST))
        return fail_memory(checker);
    return check_message(checker, frame, field->descriptor, value);
}

static int check_field(struct checker *checker, const struct frame *frame, uint64_t *seen,
                       uint64_t wire_type, struct str value)
{
    const ProtobufCFieldDescriptor *field = frame->field;
    bool has_length = wire_type == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED;
    if (!spend(checker, 1, FIELD_COST))
        return fail_memory(checker);
    if (field && has_length && field->type == PROTOBUF_C_TYPE_MESSAGE)
        return check_submessage(checker, frame, seen, value);
    if (!spend_value(checker, field, value))
        return fail_memory(checker);
    bool is_string = field && has_length && field->type == PROTOBUF_C_TYPE_STRING;
    return is_string && checker->is_strict ? check_string(checker, frame, value) : 0;
}

/* The payload of an Any whose two fields are these. */
static int check_any(struct checker *checker, const struct frame *frame, struct str type_url,
                     struct str payload)
{
    const ProtobufCMessageDescriptor *descriptor =
        type_url.len ? pbjson_registry_find(checker->types, type_url) : NULL;
    return descriptor ? check_message(checker, frame, descriptor, payload) : 0;
}

static int check_message(struct checker *checker, const struct frame *parent,
                         const ProtobufCMessageDescriptor *descriptor, struct str bytes)
{
    uint64_t seen[SEEN_MAX / 64] = {0};
    struct str any[3] = {{0}}; /* by field number, where this is an Any */
    struct frame frame = {.parent = parent,
                          .descriptor = descriptor,
                          .bytes = bytes,
                          .depth = parent ? parent->depth + 1 : 1};
    if (frame.depth > checker->depth_max)
        return fail(checker, ERR_TOO_LARGE, NULL, "messages lie too deep inside each other");
    if (!spend(checker, 1, descriptor->sizeof_message + sizeof(void *)))
        return fail_memory(checker);
    for (struct str left = bytes; left.len;) {
        uint64_t tag;
        struct str value;
        if (!read_varint(&left, &tag) || tag > UINT32_MAX || !read_value(&left, tag & 7, &value))
            return fail(checker, ERR_INVALID, parent, "is not a protobuf message");
        unsigned number = (unsigned)(tag >> 3);
        frame.field = protobuf_c_message_descriptor_get_field(descriptor, number);
        int err = check_field(checker, &frame, seen, tag & 7, value);
        if (err)
            return err;
        if (number < 3)
            any[number] = value;
    }
    frame.field = NULL;
    if (checker->types && descriptor == &google__protobuf__any__descriptor)
        return check_any(checker, &frame, any[1], any[2]);
    return 0;
}

static int unpack(struct checker *checker, const ProtobufCMessageDescriptor *descriptor,
                  struct str bytes, struct arena *arena, ProtobufCMessage **ret_message)
{
    int err = check_message(checker, NULL, descriptor, bytes);
    if (err)
        return err;
    ProtobufCAllocator allocator = arena_protobuf_allocator(arena);
    *ret_message =
        protobuf_c_message_unpack(descriptor, &allocator, bytes.len, (const uint8_t *)bytes.data);
    if (!*ret_message)
        return errmsg_set(checker->msg, ERR_INVALID, "is not a message of type %s",
                          descriptor->name);
    return 0;
}

int wire_unpack(const ProtobufCMessageDescriptor *descriptor, struct str bytes,
                const struct pbjson_registry *types, struct arena *arena,
                ProtobufCMessage **ret_message, struct errmsg *msg)
{
    struct checker checker = {.types = types,
                              .depth_max = WIRE_DEPTH_MAX,
                              .budget = WIRE_DECODED_BYTES_MAX,
                              .is_strict = true,
                              .msg = msg};
    return unpack(&checker, descriptor, bytes, arena, ret_message);
}

ProtobufCMessage *pbjson_unpack_within(size_t *budget, const ProtobufCMessageDescriptor *descriptor,
                                       struct str bytes, struct arena *arena)
{
    struct checker checker = {.depth_max = PBJSON_WIRE_DEPTH_MAX + 1, .budget = *budget};
    ProtobufCMessage *message;
    if (unpack(&checker, descriptor, bytes, arena, &message) != 0)
        return NULL;
    *budget = checker.budget;
    return message;
}

ProtobufCMessage *pbjson_unpack(const ProtobufCMessageDescriptor *descriptor, struct str bytes,
                                struct arena *arena)
{
    size_t budget = PBJSON_DECODED_BYTES_MAX;
    return pbjson_unpack_within(&budget, descriptor, bytes, arena);
}
