/* Which message types have a JSON form of their own; the wrappers and Any. */
#include "common/pbjson/pbjson_internal.h"

#include <google/protobuf/any.pb-c.h>
#include <google/protobuf/duration.pb-c.h>
#include <google/protobuf/empty.pb-c.h>
#include <google/protobuf/struct.pb-c.h>
#include <google/protobuf/timestamp.pb-c.h>
#include <google/protobuf/wrappers.pb-c.h>

/* A wrapper is its one field. */
static int parse_wrapper(struct parser *parser, const struct path *path, const json_t *json,
                         ProtobufCMessage *message)
{
    const ProtobufCFieldDescriptor *field = &message->descriptor->fields[0];
    return pbjson_parse_value(parser, path, field, json, field_member(message, field));
}

static void print_wrapper(struct printer *printer, const ProtobufCMessage *message)
{
    const ProtobufCFieldDescriptor *field = &message->descriptor->fields[0];
    pbjson_print_value(printer, field, field_member_const(message, field));
}

static const struct wkt table[] = {
    {&google__protobuf__any__descriptor, wkt_parse_any, wkt_print_any},
    {&google__protobuf__duration__descriptor, wkt_parse_duration, wkt_print_duration},
    {&google__protobuf__timestamp__descriptor, wkt_parse_timestamp, wkt_print_timestamp},
    {&google__protobuf__struct__descriptor, wkt_parse_struct, wkt_print_struct},
    {&google__protobuf__value__descriptor, wkt_parse_value, wkt_print_value},
    {&google__protobuf__list_value__descriptor, wkt_parse_list, wkt_print_list},
    {&google__protobuf__bool_value__descriptor, parse_wrapper, print_wrapper},
    {&google__protobuf__int32_value__descriptor, parse_wrapper, print_wrapper},
    {&google__protobuf__uint32_value__descriptor, parse_wrapper, print_wrapper},
    {&google__protobuf__int64_value__descriptor, parse_wrapper, print_wrapper},
    {&google__protobuf__uint64_value__descriptor, parse_wrapper, print_wrapper},
    {&google__protobuf__float_value__descriptor, parse_wrapper, print_wrapper},
    {&google__protobuf__double_value__descriptor, parse_wrapper, print_wrapper},
    {&google__protobuf__string_value__descriptor, parse_wrapper, print_wrapper},
    {&google__protobuf__bytes_value__descriptor, parse_wrapper, print_wrapper},
};

const struct wkt *wkt_find(const ProtobufCMessageDescriptor *descriptor)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].descriptor == descriptor)
            return &table[i];
    return NULL;
}

const ProtobufCMessageDescriptor *wkt_find_by_name(struct str name)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (str_equal(name, str_from(table[i].descriptor->name)))
            return table[i].descriptor;
    bool is_empty = str_equal(name, str_from(google__protobuf__empty__descriptor.name));
    return is_empty ? &google__protobuf__empty__descriptor : NULL;
}

bool wkt_takes_null(const ProtobufCFieldDescriptor *field)
{
    return field->descriptor == &google__protobuf__value__descriptor ||
           field->descriptor == &google__protobuf__null_value__descriptor;
}

/* --- Any ---------------------------------------------------------------------------------------*/

/* The payload as bytes, where "value" is all there is beside the type. */
static int parse_any_bytes(struct parser *parser, const struct path *path, const json_t *json,
                           const char *type_url, Google__Protobuf__Any *any)
{
    const json_t *value = json_object_get(json, "value");
    struct path value_path = pbjson_path_field(path, "value");
    if (json_object_size(json) == 2 && value && json_is_string(value))
        return pbjson_parse_bytes(parser, &value_path, value, &any->value);
    struct path type_path = pbjson_path_field(path, "@type");
    if (!parser->options->ignore_unknown_fields)
        return pbjson_parser_fail(parser, ERR_INVALID, &type_path, "unknown type %s",
                                  pbjson_parser_quote(parser, type_url));
    pbjson_parser_tell_skipped(parser, path);
    return 0;
}

/* A payload whose type has a JSON form of its own, which stands in "value". */
static int parse_any_wkt(struct parser *parser, const struct path *path, const json_t *json,
                         const struct wkt *wkt, ProtobufCMessage *payload)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)json, name, value)
    {
        struct path member_path = pbjson_path_field(path, name);
        if (strcmp(name, "@type") != 0 && strcmp(name, "value") != 0)
            return pbjson_parser_fail(
                parser, ERR_INVALID, parser->options->has_secrets ? path : &member_path,
                "unknown field; %s stands in \"value\"", wkt->descriptor->short_name);
    }
    struct path value_path = pbjson_path_field(path, "value");
    value = json_object_get(json, "value");
    if (!value)
        return pbjson_parser_fail(parser, ERR_INVALID, &value_path, "is missing");
    return wkt->parse(parser, &value_path, value, payload);
}

static int pack_payload(struct parser *parser, const struct path *path,
                        const ProtobufCMessage *payload, ProtobufCBinaryData *ret_bytes)
{
    size_t len = protobuf_c_message_get_packed_size(payload);
    uint8_t *data = pbjson_parser_alloc(parser, path, len + 1, 1);
    if (!data)
        return ERR_TOO_LARGE;
    protobuf_c_message_pack(payload, data);
    *ret_bytes = (ProtobufCBinaryData){.len = len, .data = data};
    return 0;
}

static int parse_any_payload(struct parser *parser, const struct path *path, const json_t *json,
                             const ProtobufCMessageDescriptor *descriptor,
                             Google__Protobuf__Any *any)
{
    ProtobufCMessage *payload = pbjson_parser_alloc(parser, path, 1, descriptor->sizeof_message);
    if (!payload)
        return ERR_TOO_LARGE;
    protobuf_c_message_init(descriptor, payload);
    const struct wkt *wkt = wkt_find(descriptor);
    int err = wkt ? parse_any_wkt(parser, path, json, wkt, payload)
                  : pbjson_parse_fields(parser, path, json, true, payload);
    return err ? err : pack_payload(parser, path, payload, &any->value);
}

int wkt_parse_any(struct parser *parser, const struct path *path, const json_t *json,
                  ProtobufCMessage *message)
{
    Google__Protobuf__Any *any = (Google__Protobuf__Any *)message;
    if (!json_is_object(json))
        return pbjson_parser_fail_type(parser, path, "an object with \"@type\"", json);
    if (json_object_size(json) == 0)
        return 0;
    const json_t *type = json_object_get(json, "@type");
    struct path type_path = pbjson_path_field(path, "@type");
    if (!type)
        return pbjson_parser_fail(parser, ERR_INVALID, &type_path, "is missing");
    int err = pbjson_parse_value(parser, &type_path, &any->base.descriptor->fields[0], type,
                                 &any->type_url);
    if (err)
        return err;
    if (!strchr(any->type_url, '/')) {
        bool is_shown = any->type_url[0] && !parser->options->has_secrets;
        return pbjson_parser_fail(parser, ERR_INVALID, &type_path,
                                  "must be a type URL such as \"type.googleapis.com/%s\"",
                                  is_shown ? any->type_url : "package.Message");
    }
    const ProtobufCMessageDescriptor *descriptor =
        pbjson_registry_find(parser->options->registry, str_from(any->type_url));
    if (!descriptor)
        return parse_any_bytes(parser, path, json, any->type_url, any);
    return parse_any_payload(parser, path, json, descriptor, any);
}

static void print_any_bytes(struct printer *printer, const Google__Protobuf__Any *any)
{
    const ProtobufCFieldDescriptor *value = &google__protobuf__any__descriptor.fields[1];
    pbjson_printer_item(printer, false);
    pbjson_printer_name(printer, STR("value"));
    if (pbjson_print_is_redacted(printer, &google__protobuf__any__descriptor, value))
        buf_append_str(printer->out, STR("\"[redacted]\""));
    else
        pbjson_print_base64(printer, any->value);
}

static void print_any_payload(struct printer *printer, const ProtobufCMessage *payload)
{
    const struct wkt *wkt = wkt_find(payload->descriptor);
    if (!wkt) {
        pbjson_print_fields(printer, payload, false);
        return;
    }
    pbjson_printer_item(printer, false);
    pbjson_printer_name(printer, STR("value"));
    wkt->print(printer, payload);
}

void wkt_print_any(struct printer *printer, const ProtobufCMessage *message)
{
    const Google__Protobuf__Any *any = (const Google__Protobuf__Any *)message;
    struct str type_url = str_from(any->type_url);
    if (!pbjson_printer_open(printer, '{'))
        return;
    bool is_unset = type_url.len == 0 && any->value.len == 0;
    if (!is_unset) {
        pbjson_printer_item(printer, true);
        pbjson_printer_name(printer, STR("@type"));
        buf_append_json_string(printer->out, type_url);
        const ProtobufCMessageDescriptor *descriptor =
            pbjson_registry_find(printer->options->registry, type_url);
        struct arena arena;
        arena_init(&arena, 4096);
        size_t budget = printer->unpack_budget;
        struct str bytes = {.data = (const char *)any->value.data, .len = any->value.len};
        ProtobufCMessage *payload =
            descriptor ? pbjson_unpack_within(&printer->unpack_budget, descriptor, bytes, &arena)
                       : NULL;
        if (payload)
            print_any_payload(printer, payload);
        else
            print_any_bytes(printer, any);
        arena_done(&arena);
        printer->unpack_budget = budget;
    }
    pbjson_printer_close(printer, '}', is_unset);
}
