/*
 * Descriptors, written by hand, of messages with a field of every kind: the messages that Weir
 * speaks have no sint32, no map with a number for a key and so on. As protoc-c would make them of
 *
 *     enum Color { COLOR_UNSPECIFIED = 0; RED = 1; GREEN = 2; DARK_RED = -1; }
 *     message Kinds {
 *       int32 int32 = 1; … every scalar type under its own name …
 *       Color color = 16;
 *       Kinds sub_message = 17;
 *       repeated int32 int32_list = 21; … of every scalar type …
 *       repeated Color color_list = 36;
 *       repeated Kinds sub_message_list = 37;
 *       map<int32, string> by_int32 = 41;
 *       map<uint64, string> by_uint64 = 42;
 *       map<bool, string> by_bool = 43;
 *       map<string, Kinds> by_string = 44;
 *       oneof choice { bool flag = 51; string text = 52; double real = 53; }
 *     }
 */
#ifndef TESTS_UNIT_COMMON_PBJSON_KINDS_H
#define TESTS_UNIT_COMMON_PBJSON_KINDS_H

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <string.h>

/* name in C and proto, type in C, type in the descriptor, number */
#define KINDS_SCALARS(X)                                                                           \
    X(int32, int32_t, INT32, 1)                                                                    \
    X(sint32, int32_t, SINT32, 2)                                                                  \
    X(sfixed32, int32_t, SFIXED32, 3)                                                              \
    X(int64, int64_t, INT64, 4)                                                                    \
    X(sint64, int64_t, SINT64, 5)                                                                  \
    X(sfixed64, int64_t, SFIXED64, 6)                                                              \
    X(uint32, uint32_t, UINT32, 7)                                                                 \
    X(fixed32, uint32_t, FIXED32, 8)                                                               \
    X(uint64, uint64_t, UINT64, 9)                                                                 \
    X(fixed64, uint64_t, FIXED64, 10)                                                              \
    X(float_number, float, FLOAT, 11)                                                              \
    X(double_number, double, DOUBLE, 12)                                                           \
    X(boolean, protobuf_c_boolean, BOOL, 13)                                                       \
    X(string, char *, STRING, 14)                                                                  \
    X(bytes, ProtobufCBinaryData, BYTES, 15)

struct kinds_entry {
    ProtobufCMessage base;
    union {
        int32_t int32;
        uint64_t uint64;
        protobuf_c_boolean boolean;
        char *string;
    } key;
    union {
        char *string;
        struct kinds *message;
    } value;
};

struct kinds {
    ProtobufCMessage base;
#define KINDS_MEMBER(name, c_type, type, id) c_type name;
    KINDS_SCALARS(KINDS_MEMBER)
#undef KINDS_MEMBER
    int color;
    struct kinds *sub_message;
#define KINDS_MEMBER(name, c_type, type, id)                                                       \
    size_t n_##name##_list;                                                                        \
    c_type *name##_list;
    KINDS_SCALARS(KINDS_MEMBER)
#undef KINDS_MEMBER
    size_t n_color_list;
    int *color_list;
    size_t n_sub_message_list;
    struct kinds **sub_message_list;
    size_t n_by_int32;
    struct kinds_entry **by_int32;
    size_t n_by_uint64;
    struct kinds_entry **by_uint64;
    size_t n_by_bool;
    struct kinds_entry **by_bool;
    size_t n_by_string;
    struct kinds_entry **by_string;
    uint32_t choice_case;
    union {
        protobuf_c_boolean flag;
        char *text;
        double real;
    };
};

static const ProtobufCEnumValue color_values[] = {{"DARK_RED", "DARK_RED", -1},
                                                  {"COLOR_UNSPECIFIED", "COLOR_UNSPECIFIED", 0},
                                                  {"RED", "RED", 1},
                                                  {"GREEN", "GREEN", 2}};
static const ProtobufCEnumValueIndex color_names[] = {
    {"COLOR_UNSPECIFIED", 1}, {"DARK_RED", 0}, {"GREEN", 3}, {"RED", 2}};
static const ProtobufCIntRange color_ranges[] = {{-1, 0}, {0, 4}};
static const ProtobufCEnumDescriptor color_descriptor = {
    .magic = PROTOBUF_C__ENUM_DESCRIPTOR_MAGIC,
    .name = "test.Color",
    .short_name = "Color",
    .n_values = 4,
    .values = color_values,
    .n_value_names = 4,
    .values_by_name = color_names,
    .n_value_ranges = 1,
    .value_ranges = color_ranges,
};

extern const ProtobufCMessageDescriptor kinds_descriptor;

#define KINDS_FIELD(c_name, c_struct, member, c_label, quantifier, c_type, number, sub, flag)      \
    {                                                                                              \
        .name = #c_name, .id = (number), .label = PROTOBUF_C_LABEL_##c_label,                      \
        .type = PROTOBUF_C_TYPE_##c_type, .offset = offsetof(c_struct, member),                    \
        .quantifier_offset = (quantifier), .descriptor = (sub),                                    \
        .default_value = PROTOBUF_C_TYPE_##c_type == PROTOBUF_C_TYPE_STRING                        \
                             ? (const void *)protobuf_c_empty_string                               \
                             : NULL,                                                               \
        .flags = (flag)                                                                            \
    }
#define KINDS_PLAIN(name, type, id, sub)                                                           \
    KINDS_FIELD(name, struct kinds, name, NONE, 0, type, id, sub, 0)
#define KINDS_LIST(name, type, id, sub)                                                            \
    KINDS_FIELD(name, struct kinds, name, REPEATED, offsetof(struct kinds, n_##name), type, id,    \
                sub, 0)
#define KINDS_CHOICE(name, type, id)                                                               \
    KINDS_FIELD(name, struct kinds, name, NONE, offsetof(struct kinds, choice_case), type, id,     \
                NULL, PROTOBUF_C_FIELD_FLAG_ONEOF)

/* What protoc-c's init functions do: zeros, and the empty string where there is one. */
static inline void kinds_init_by(const ProtobufCMessageDescriptor *descriptor,
                                 ProtobufCMessage *message)
{
    memset(message, 0, descriptor->sizeof_message);
    message->descriptor = descriptor;
    for (unsigned i = 0; i < descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &descriptor->fields[i];
        if (field->type == PROTOBUF_C_TYPE_STRING && field->label == PROTOBUF_C_LABEL_NONE &&
            !field->flags)
            memcpy((char *)message + field->offset, &field->default_value,
                   sizeof field->default_value);
    }
}

static const ProtobufCIntRange entry_ranges[] = {{1, 0}, {0, 2}};
static const unsigned entry_names[] = {0, 1};

#define KINDS_ENTRY(variable, entry_name, key_type, value_type, value_descriptor)                  \
    static const ProtobufCFieldDescriptor variable##_fields[] = {                                  \
        KINDS_FIELD(key, struct kinds_entry, key, NONE, 0, key_type, 1, NULL, 0),                  \
        KINDS_FIELD(value, struct kinds_entry, value, NONE, 0, value_type, 2, value_descriptor,    \
                    0)};                                                                           \
    static void variable##_init(ProtobufCMessage *message);                                        \
    static const ProtobufCMessageDescriptor variable = {                                           \
        .magic = PROTOBUF_C__MESSAGE_DESCRIPTOR_MAGIC,                                             \
        .name = "test.Kinds." entry_name,                                                          \
        .short_name = entry_name,                                                                  \
        .sizeof_message = sizeof(struct kinds_entry),                                              \
        .n_fields = 2,                                                                             \
        .fields = variable##_fields,                                                               \
        .fields_sorted_by_name = entry_names,                                                      \
        .n_field_ranges = 1,                                                                       \
        .field_ranges = entry_ranges,                                                              \
        .message_init = variable##_init};                                                          \
    static void variable##_init(ProtobufCMessage *message)                                         \
    {                                                                                              \
        kinds_init_by(&variable, message);                                                         \
    }

KINDS_ENTRY(by_int32_entry, "ByInt32Entry", INT32, STRING, NULL)
KINDS_ENTRY(by_uint64_entry, "ByUint64Entry", UINT64, STRING, NULL)
KINDS_ENTRY(by_bool_entry, "ByBoolEntry", BOOL, STRING, NULL)
KINDS_ENTRY(by_string_entry, "ByStringEntry", STRING, MESSAGE, &kinds_descriptor)

static const ProtobufCFieldDescriptor kinds_fields[] = {
#define KINDS_SCALAR(name, c_type, type, id) KINDS_PLAIN(name, type, id, NULL),
    KINDS_SCALARS(KINDS_SCALAR)
#undef KINDS_SCALAR
        KINDS_PLAIN(color, ENUM, 16, &color_descriptor),
    KINDS_PLAIN(sub_message, MESSAGE, 17, &kinds_descriptor),
#define KINDS_SCALAR(name, c_type, type, id) KINDS_LIST(name##_list, type, id + 20, NULL),
    KINDS_SCALARS(KINDS_SCALAR)
#undef KINDS_SCALAR
        KINDS_LIST(color_list, ENUM, 36, &color_descriptor),
    KINDS_LIST(sub_message_list, MESSAGE, 37, &kinds_descriptor),
    KINDS_LIST(by_int32, MESSAGE, 41, &by_int32_entry),
    KINDS_LIST(by_uint64, MESSAGE, 42, &by_uint64_entry),
    KINDS_LIST(by_bool, MESSAGE, 43, &by_bool_entry),
    KINDS_LIST(by_string, MESSAGE, 44, &by_string_entry),
    KINDS_CHOICE(flag, BOOL, 51),
    KINDS_CHOICE(text, STRING, 52),
    KINDS_CHOICE(real, DOUBLE, 53),
};

/* Indexes of kinds_fields in the order of the names. */
static const unsigned kinds_names[] = {12 /* boolean */,
                                       29 /* boolean_list */,
                                       36 /* by_bool */,
                                       34 /* by_int32 */,
                                       37 /* by_string */,
                                       35 /* by_uint64 */,
                                       14 /* bytes */,
                                       31 /* bytes_list */,
                                       15 /* color */,
                                       32 /* color_list */,
                                       11 /* double_number */,
                                       28 /* double_number_list */,
                                       7 /* fixed32 */,
                                       24 /* fixed32_list */,
                                       9 /* fixed64 */,
                                       26 /* fixed64_list */,
                                       38 /* flag */,
                                       10 /* float_number */,
                                       27 /* float_number_list */,
                                       0 /* int32 */,
                                       17 /* int32_list */,
                                       3 /* int64 */,
                                       20 /* int64_list */,
                                       40 /* real */,
                                       2 /* sfixed32 */,
                                       19 /* sfixed32_list */,
                                       5 /* sfixed64 */,
                                       22 /* sfixed64_list */,
                                       1 /* sint32 */,
                                       18 /* sint32_list */,
                                       4 /* sint64 */,
                                       21 /* sint64_list */,
                                       13 /* string */,
                                       30 /* string_list */,
                                       16 /* sub_message */,
                                       33 /* sub_message_list */,
                                       39 /* text */,
                                       6 /* uint32 */,
                                       23 /* uint32_list */,
                                       8 /* uint64 */,
                                       25 /* uint64_list */};

static const ProtobufCIntRange kinds_ranges[] = {{1, 0}, {21, 17}, {41, 34}, {51, 38}, {0, 41}};

static void kinds_init(ProtobufCMessage *message)
{
    kinds_init_by(&kinds_descriptor, message);
}

const ProtobufCMessageDescriptor kinds_descriptor = {
    .magic = PROTOBUF_C__MESSAGE_DESCRIPTOR_MAGIC,
    .name = "test.Kinds",
    .short_name = "Kinds",
    .sizeof_message = sizeof(struct kinds),
    .n_fields = sizeof kinds_fields / sizeof *kinds_fields,
    .fields = kinds_fields,
    .fields_sorted_by_name = kinds_names,
    .n_field_ranges = 4,
    .field_ranges = kinds_ranges,
    .message_init = kinds_init,
};

#endif
