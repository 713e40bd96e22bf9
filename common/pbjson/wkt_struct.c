/* Struct, Value and ListValue: JSON as messages. */
#include "common/pbjson/pbjson_internal.h"

#include <google/protobuf/struct.pb-c.h>

int wkt_parse_struct(struct parser *parser, const struct path *path, const json_t *json,
                     ProtobufCMessage *message)
{
    return pbjson_parse_map(parser, path, &message->descriptor->fields[0], json, message);
}

void wkt_print_struct(struct printer *printer, const ProtobufCMessage *message)
{
    const Google__Protobuf__Struct *object = (const Google__Protobuf__Struct *)message;
    pbjson_print_map(printer, &message->descriptor->fields[0], object->n_fields,
                     (ProtobufCMessage *const *)object->fields);
}

int wkt_parse_list(struct parser *parser, const struct path *path, const json_t *json,
                   ProtobufCMessage *message)
{
    return pbjson_parse_repeated(parser, path, &message->descriptor->fields[0], json, message);
}

void wkt_print_list(struct printer *printer, const ProtobufCMessage *message)
{
    const Google__Protobuf__ListValue *list = (const Google__Protobuf__ListValue *)message;
    pbjson_print_repeated(printer, &message->descriptor->fields[0], list->n_values, list->values);
}

static Google__Protobuf__Value__KindCase kind_of(const json_t *json)
{
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        return GOOGLE__PROTOBUF__VALUE__KIND_STRUCT_VALUE;
    case JSON_ARRAY:
        return GOOGLE__PROTOBUF__VALUE__KIND_LIST_VALUE;
    case JSON_STRING:
        return GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE;
    case JSON_INTEGER:
    case JSON_REAL:
        return GOOGLE__PROTOBUF__VALUE__KIND_NUMBER_VALUE;
    case JSON_TRUE:
    case JSON_FALSE:
        return GOOGLE__PROTOBUF__VALUE__KIND_BOOL_VALUE;
    case JSON_NULL:
        break;
    }
    return GOOGLE__PROTOBUF__VALUE__KIND_NULL_VALUE;
}

int wkt_parse_value(struct parser *parser, const struct path *path, const json_t *json,
                    ProtobufCMessage *message)
{
    Google__Protobuf__Value *value = (Google__Protobuf__Value *)message;
    value->kind_case = kind_of(json);
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field(message->descriptor, value->kind_case);
    return pbjson_parse_value(parser, path, field, json, field_member(message, field));
}

void wkt_print_value(struct printer *printer, const ProtobufCMessage *message)
{
    const Google__Protobuf__Value *value = (const Google__Protobuf__Value *)message;
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field(message->descriptor, value->kind_case);
    if (field)
        pbjson_print_value(printer, field, field_member_const(message, field));
    else
        buf_append_str(printer->out, STR("null"));
}
