/* Random messages, made by descriptor, must come back from JSON and from YAML as the same bytes. */
#include "tests/unit/common/pbjson/kinds.h"
#include "tests/unit/common/pbjson/pbjson_test.h"

#include <envoy/config/bootstrap/v3/bootstrap.pb-c.h>
#include <envoy/config/cluster/v3/cluster.pb-c.h>
#include <envoy/config/core/v3/base.pb-c.h>
#include <envoy/config/listener/v3/listener.pb-c.h>
#include <envoy/config/route/v3/route.pb-c.h>
#include <google/protobuf/any.pb-c.h>
#include <google/protobuf/duration.pb-c.h>
#include <google/protobuf/struct.pb-c.h>
#include <google/protobuf/timestamp.pb-c.h>
#include <google/protobuf/wrappers.pb-c.h>
#include <math.h>

struct maker {
    struct arena arena;
    uint64_t state;
    unsigned messages_left; /* keeps a message from growing without end */
};

/* splitmix64 */
static uint64_t random_bits(struct maker *maker)
{
    uint64_t z = maker->state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static size_t random_below(struct maker *maker, size_t limit)
{
    return (size_t)(random_bits(maker) % limit);
}

/* Small numbers, large ones and the extremes. */
static uint64_t random_integer(struct maker *maker)
{
    static const uint64_t extremes[] = {0, 1, INT32_MAX, UINT32_MAX, INT64_MAX, UINT64_MAX};
    size_t pick = random_below(maker, 10);
    if (pick < 6)
        return extremes[pick] + (pick > 1 && random_below(maker, 2));
    return random_bits(maker) >> random_below(maker, 64);
}

static double random_double(struct maker *maker, bool is_finite)
{
    static const double some[] = {0.1, -0.0, 1e15, 5e-324, 1.7976931348623157e308};
    size_t pick = random_below(maker, 12);
    if (pick < 5)
        return some[pick];
    if (pick == 5 && !is_finite)
        return random_below(maker, 2) ? (double)NAN : -(double)INFINITY;
    uint64_t bits = random_bits(maker);
    double real;
    memcpy(&real, &bits, sizeof real);
    return isfinite(real) ? real : 1;
}

static char *random_string(struct maker *maker)
{
    static const char *const pieces[] = {"a", "B c",  "\"",   "\\", "\n", "\t", "/", "ä",    "€",
                                         "😀", "\x7f", "\x01", "{",  ":",  "#",  "'", "null", "12"};
    char *text = arena_alloc_zero(&maker->arena, 64);
    for (size_t i = random_below(maker, 6); i > 0; i--) {
        const char *piece = pieces[random_below(maker, sizeof pieces / sizeof *pieces)];
        memcpy(text + strlen(text), piece, strlen(piece));
    }
    return text;
}

static ProtobufCBinaryData random_bytes(struct maker *maker)
{
    ProtobufCBinaryData bytes = {.len = random_below(maker, 8)};
    bytes.data = arena_alloc_zero(&maker->arena, 8);
    for (size_t i = 0; i < bytes.len; i++)
        bytes.data[i] = (uint8_t)random_bits(maker);
    return bytes;
}

static int random_enum(struct maker *maker, const ProtobufCEnumDescriptor *descriptor)
{
    if (descriptor == &google__protobuf__null_value__descriptor)
        return 0;
    if (random_below(maker, 8) == 0)
        return (int)random_bits(maker);
    return descriptor->values[random_below(maker, descriptor->n_values)].value;
}

static ProtobufCMessage *
random_message(struct maker *maker, const ProtobufCMessageDescriptor *descriptor, unsigned depth);

/* One value; is_finite: of a google.protobuf.Value, which knows no NaN. */
static void fill_value(struct maker *maker, const ProtobufCFieldDescriptor *field, void *member,
                       bool is_finite, unsigned depth)
{
    uint64_t integer = random_integer(maker);
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        memcpy(member, &integer, 4);
        break;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        memcpy(member, &integer, 8);
        break;
    case PROTOBUF_C_TYPE_FLOAT: {
        uint32_t bits = (uint32_t)integer;
        float real;
        memcpy(&real, &bits, sizeof real);
        *(float *)member = isnan(real) ? NAN : real;
        break;
    }
    case PROTOBUF_C_TYPE_DOUBLE:
        *(double *)member = random_double(maker, is_finite);
        break;
    case PROTOBUF_C_TYPE_BOOL:
        *(protobuf_c_boolean *)member = integer & 1;
        break;
    case PROTOBUF_C_TYPE_ENUM:
        *(int *)member = random_enum(maker, field->descriptor);
        break;
    case PROTOBUF_C_TYPE_STRING:
        *(char **)member = random_string(maker);
        break;
    case PROTOBUF_C_TYPE_BYTES:
        *(ProtobufCBinaryData *)member = random_bytes(maker);
        break;
    case PROTOBUF_C_TYPE_MESSAGE:
        *(ProtobufCMessage **)member = random_message(maker, field->descriptor, depth + 1);
        break;
    }
}

/* The key of the index-th entry of a map: in order, each once. */
static void fill_key(struct maker *maker, const ProtobufCFieldDescriptor *field, void *member,
                     size_t index)
{
    if (field->type == PROTOBUF_C_TYPE_STRING)
        *(char **)member = arena_printf(&maker->arena, "%zu%s", index, random_string(maker));
    else if (field->type == PROTOBUF_C_TYPE_UINT64)
        *(uint64_t *)member = index ? UINT64_MAX - 8 + index : 0;
    else
        *(int32_t *)member = (int32_t)index;
}

static bool is_entry(const ProtobufCFieldDescriptor *field)
{
    const ProtobufCMessageDescriptor *entry = field->descriptor;
    if (field->type != PROTOBUF_C_TYPE_MESSAGE || entry->n_fields != 2)
        return false;
    size_t len = strlen(entry->short_name);
    return len > 5 && strcmp(entry->short_name + len - 5, "Entry") == 0 &&
           strcmp(entry->fields[0].name, "key") == 0;
}

static size_t value_size(const ProtobufCFieldDescriptor *field)
{
    switch ((int)field->type) {
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return 8;
    default:
        return 4;
    }
}

static void fill_repeated(struct maker *maker, const ProtobufCFieldDescriptor *field,
                          ProtobufCMessage *message, unsigned depth)
{
    bool is_map = is_entry(field);
    size_t count = random_below(maker, is_map ? 3 : 4), size = value_size(field);
    char *values = arena_alloc_array(&maker->arena, count + 1, size);
    for (size_t i = 0; i < count; i++) {
        fill_value(maker, field, values + i * size, false, depth);
        if (is_map) {
            ProtobufCMessage *entry = *(ProtobufCMessage **)(void *)(values + i * size);
            const ProtobufCFieldDescriptor *fields = entry->descriptor->fields;
            fill_key(maker, &fields[0], (char *)entry + fields[0].offset, i);
            fill_value(maker, &fields[1], (char *)entry + fields[1].offset, false, depth + 1);
        }
    }
    memcpy((char *)message + field->quantifier_offset, &count, sizeof count);
    memcpy((char *)message + field->offset, &values, sizeof values);
}

static void fill_oneof_member(struct maker *maker, const ProtobufCFieldDescriptor *field,
                              ProtobufCMessage *message, bool is_finite, unsigned depth)
{
    uint32_t set = 0;
    memcpy(&set, (char *)message + field->quantifier_offset, sizeof set);
    if (set)
        return;
    memcpy((char *)message + field->quantifier_offset, &field->id, sizeof field->id);
    fill_value(maker, field, (char *)message + field->offset, is_finite, depth);
}

/* Well-known types with rules about what they hold; false where message is of another type. */
static bool fill_well_known(struct maker *maker, ProtobufCMessage *message, unsigned depth)
{
    const ProtobufCMessageDescriptor *descriptor = message->descriptor;
    if (descriptor == &google__protobuf__duration__descriptor) {
        Google__Protobuf__Duration *duration = (Google__Protobuf__Duration *)message;
        int sign = random_below(maker, 2) ? 1 : -1;
        duration->seconds = sign * (int64_t)(random_integer(maker) % 315576000001);
        duration->nanos = sign * (int32_t)(random_integer(maker) % 1000000000);
        return true;
    }
    if (descriptor == &google__protobuf__timestamp__descriptor) {
        Google__Protobuf__Timestamp *timestamp = (Google__Protobuf__Timestamp *)message;
        timestamp->seconds = (int64_t)(random_bits(maker) % 315537897600) - 62135596800;
        timestamp->nanos = (int32_t)(random_integer(maker) % 1000000000);
        return true;
    }
    if (descriptor == &google__protobuf__value__descriptor) {
        size_t pick = random_below(maker, maker->messages_left ? descriptor->n_fields : 4);
        fill_oneof_member(maker, &descriptor->fields[pick], message, true, depth);
        return true;
    }
    if (descriptor != &google__protobuf__any__descriptor)
        return false;
    static const ProtobufCMessageDescriptor *const payloads[] = {
        &kinds_descriptor,
        &envoy__config__core__v3__node__descriptor,
        &google__protobuf__duration__descriptor,
        &google__protobuf__struct__descriptor,
        &google__protobuf__bool_value__descriptor,
        &google__protobuf__any__descriptor};
    Google__Protobuf__Any *any = (Google__Protobuf__Any *)message;
    size_t pick = random_below(maker, sizeof payloads / sizeof *payloads + 1);
    if (pick == sizeof payloads / sizeof *payloads) {
        any->type_url = arena_copy_string(&maker->arena, "some.where/un.Known");
        any->value = random_bytes(maker);
        return true;
    }
    ProtobufCMessage *payload = random_message(maker, payloads[pick], depth + 1);
    any->type_url = arena_printf(&maker->arena, "x/%s", payloads[pick]->name);
    any->value.len = protobuf_c_message_get_packed_size(payload);
    any->value.data = arena_alloc(&maker->arena, any->value.len + 1);
    protobuf_c_message_pack(payload, any->value.data);
    return true;
}

static void fill_fields(struct maker *maker, ProtobufCMessage *message, unsigned depth)
{
    const ProtobufCMessageDescriptor *descriptor = message->descriptor;
    for (unsigned i = 0; i < descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &descriptor->fields[i];
        bool may_grow = depth < 8 && maker->messages_left;
        if ((field->type == PROTOBUF_C_TYPE_MESSAGE && !may_grow) || random_below(maker, 3))
            continue;
        if (field->label == PROTOBUF_C_LABEL_REPEATED)
            fill_repeated(maker, field, message, depth);
        else if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
            fill_oneof_member(maker, field, message, false, depth);
        else
            fill_value(maker, field, (char *)message + field->offset, false, depth);
    }
}

static ProtobufCMessage *
random_message(struct maker *maker, const ProtobufCMessageDescriptor *descriptor, unsigned depth)
{
    ProtobufCMessage *message = arena_alloc_zero(&maker->arena, descriptor->sizeof_message);
    protobuf_c_message_init(descriptor, message);
    maker->messages_left -= maker->messages_left > 0;
    if (!fill_well_known(maker, message, depth))
        fill_fields(maker, message, depth);
    return message;
}

static struct str pack(const ProtobufCMessage *message, struct arena *arena)
{
    size_t len = protobuf_c_message_get_packed_size(message);
    uint8_t *data = arena_alloc(arena, len + 1);
    protobuf_c_message_pack(message, data);
    return (struct str){.data = (char *)data, .len = len};
}

static void check_comes_back(const ProtobufCMessage *message, enum pbjson_syntax syntax,
                             const struct pbjson_options *options)
{
    struct buf out;
    buf_init(&out, PBJSON_INPUT_BYTES_MAX);
    ck_assert_int_eq(pbjson_print(message, options, &out), 0);
    struct document document = document_read(message->descriptor, syntax, buf_str(&out), options);
    ck_assert_msg(document.err == 0, "%s\n%.*s", document.msg.text, STR_ARGS(buf_str(&out)));
    struct str before = pack(message, &document.arena);
    struct str after = pack(document.message, &document.arena);
    ck_assert_msg(str_equal(before, after), "%.*s", STR_ARGS(buf_str(&out)));
    document_done(&document);
    buf_done(&out);
}

static void check_messages_come_back(const ProtobufCMessageDescriptor *descriptor, unsigned count)
{
    struct pbjson_registry *registry = pbjson_registry_new();
    pbjson_registry_add(registry, &kinds_descriptor);
    pbjson_registry_add(registry, &envoy__config__core__v3__node__descriptor);
    const struct pbjson_options compact = {.registry = registry};
    const struct pbjson_options indented = {.registry = registry, .indent = 2};
    struct maker maker = {.state = 1};
    arena_init(&maker.arena, 1 << 16);
    for (unsigned i = 0; i < count; i++) {
        arena_reset(&maker.arena);
        maker.messages_left = 200;
        const ProtobufCMessage *message = random_message(&maker, descriptor, 0);
        check_comes_back(message, SYNTAX_JSON, &compact);
        check_comes_back(message, SYNTAX_JSON, &indented);
        check_comes_back(message, SYNTAX_YAML, &indented);
    }
    arena_done(&maker.arena);
    pbjson_registry_free(registry);
}

START_TEST(messages_with_every_kind_of_field_come_back)
{
    check_messages_come_back(&kinds_descriptor, 1000);
}
END_TEST

START_TEST(structs_and_anys_come_back)
{
    check_messages_come_back(&google__protobuf__struct__descriptor, 1000);
    check_messages_come_back(&google__protobuf__any__descriptor, 1000);
}
END_TEST

START_TEST(envoy_messages_come_back)
{
    check_messages_come_back(&envoy__config__bootstrap__v3__bootstrap__descriptor, 200);
    check_messages_come_back(&envoy__config__cluster__v3__cluster__descriptor, 200);
    check_messages_come_back(&envoy__config__listener__v3__listener__descriptor, 200);
    check_messages_come_back(&envoy__config__route__v3__route_configuration__descriptor, 200);
}
END_TEST

TEST_MAIN("pbjson round trip", messages_with_every_kind_of_field_come_back,
          structs_and_anys_come_back, envoy_messages_come_back)
