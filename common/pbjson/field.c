/* What a protobuf-c descriptor does not say in so many words: sizes, maps, names in JSON. */
#include "common/pbjson/pbjson_internal.h"

size_t pbjson_field_value_size(const ProtobufCFieldDescriptor *field)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_ENUM:
        return sizeof(uint32_t);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return sizeof(uint64_t);
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    }
    return 0;
}

bool pbjson_field_is_oneof_member(const ProtobufCFieldDescriptor *field)
{
    return field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF;
}

/* The next character of a proto field name as camel case has it, and the step past it. */
static char camel_next(const char **name, bool is_upper)
{
    while (**name == '_') {
        is_upper = true;
        (*name)++;
    }
    char c = **name;
    if (c)
        (*name)++;
    return is_upper && c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

/* How far camel matches the whole of name in camel case, or NULL where it does not. */
static const char *skip_camel(const char *camel, const char *name, bool is_first_upper)
{
    for (bool is_upper = is_first_upper;; is_upper = false) {
        char c = camel_next(&name, is_upper);
        if (!c)
            return camel;
        if (*camel++ != c)
            return NULL;
    }
}

bool pbjson_field_is_map(const ProtobufCFieldDescriptor *field)
{
    if (field->label != PROTOBUF_C_LABEL_REPEATED || field->type != PROTOBUF_C_TYPE_MESSAGE)
        return false;
    const ProtobufCMessageDescriptor *entry = field->descriptor;
    if (entry->n_fields != 2 || entry->fields[MAP_KEY].id != 1 || entry->fields[MAP_VALUE].id != 2)
        return false;
    const char *rest = skip_camel(entry->short_name, field->name, true);
    return rest && strcmp(rest, "Entry") == 0 && strcmp(entry->fields[MAP_KEY].name, "key") == 0 &&
           strcmp(entry->fields[MAP_VALUE].name, "value") == 0;
}

const ProtobufCFieldDescriptor *pbjson_field_find(const ProtobufCMessageDescriptor *message,
                                                  const char *name)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(message, name);
    for (unsigned i = 0; !field && i < message->n_fields; i++) {
        const char *rest = skip_camel(name, message->fields[i].name, false);
        if (rest && *rest == '\0')
            field = &message->fields[i];
    }
    return field;
}

static int compare_signed(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static int compare_unsigned(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

int pbjson_field_compare_keys(const ProtobufCFieldDescriptor *key, const void *a, const void *b)
{
    switch (key->type) {
    case PROTOBUF_C_TYPE_STRING: {
        const char *const *text_a = a, *const *text_b = b;
        return strcmp(*text_a, *text_b);
    }
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        return compare_signed(*(const int32_t *)a, *(const int32_t *)b);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        return compare_signed(*(const int64_t *)a, *(const int64_t *)b);
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        return compare_unsigned(*(const uint32_t *)a, *(const uint32_t *)b);
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        return compare_unsigned(*(const uint64_t *)a, *(const uint64_t *)b);
    case PROTOBUF_C_TYPE_BOOL:
        return compare_signed(*(const protobuf_c_boolean *)a, *(const protobuf_c_boolean *)b);
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_DOUBLE:
    case PROTOBUF_C_TYPE_ENUM:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        break; /* no key of a map has these */
    }
    return 0;
}
