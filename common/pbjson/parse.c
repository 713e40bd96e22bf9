/* JSON trees to messages. */
#include "common/pbjson/pbjson_internal.h"

#include <stdlib.h>

static int check_depth(struct parser *parser, const struct path *path)
{
    if (!path || path->depth < PBJSON_DEPTH_MAX)
        return 0;
    return pbjson_parser_fail(parser, ERR_TOO_LARGE, path, "nested more than %d deep",
                              PBJSON_DEPTH_MAX);
}

int pbjson_parse_value(struct parser *parser, const struct path *path,
                       const ProtobufCFieldDescriptor *field, const json_t *json, void *member)
{
    if (field->type == PROTOBUF_C_TYPE_MESSAGE)
        return pbjson_parse_message(parser, path, field->descriptor, json, member);
    return pbjson_parse_scalar(parser, path, field, json, member);
}

int pbjson_parse_repeated(struct parser *parser, const struct path *path,
                          const ProtobufCFieldDescriptor *field, const json_t *json,
                          ProtobufCMessage *message)
{
    if (!json_is_array(json))
        return pbjson_parser_fail_type(parser, path, "an array", json);
    int err = check_depth(parser, path);
    if (err)
        return err;
    size_t count = json_array_size(json), size = pbjson_field_value_size(field);
    char *values = NULL;
    if (count && !(values = pbjson_parser_alloc(parser, path, count, size)))
        return ERR_TOO_LARGE;
    for (size_t i = 0; i < count; i++) {
        struct path element_path = pbjson_path_index(path, i);
        const json_t *element = json_array_get(json, i);
        if (json_is_null(element) && !wkt_takes_null(field))
            return pbjson_parser_fail(parser, ERR_INVALID, &element_path, "must not be null");
        err = pbjson_parse_value(parser, &element_path, field, element, values + i * size);
        if (err)
            return err;
    }
    *(size_t *)field_quantifier(message, field) = count;
    *(char **)field_member(message, field) = values;
    return 0;
}

static int compare_entries(const void *a, const void *b)
{
    const ProtobufCMessage *entry_a = *(ProtobufCMessage *const *)a;
    const ProtobufCMessage *entry_b = *(ProtobufCMessage *const *)b;
    const ProtobufCFieldDescriptor *key = &entry_a->descriptor->fields[MAP_KEY];
    return pbjson_field_compare_keys(key, field_member_const(entry_a, key),
                                     field_member_const(entry_b, key));
}

static int parse_entry(struct parser *parser, const struct path *path,
                       const ProtobufCMessageDescriptor *descriptor, const char *key,
                       const json_t *json, ProtobufCMessage **ret_entry)
{
    ProtobufCMessage *entry = pbjson_parser_alloc(parser, path, 1, descriptor->sizeof_message);
    if (!entry)
        return ERR_TOO_LARGE;
    protobuf_c_message_init(descriptor, entry);
    const ProtobufCFieldDescriptor *fields = descriptor->fields;
    if (json_is_null(json) && !wkt_takes_null(&fields[MAP_VALUE]))
        return pbjson_parser_fail(parser, ERR_INVALID, path, "must not be null");
    int err = pbjson_parse_map_key(parser, path, &fields[MAP_KEY], key,
                                   field_member(entry, &fields[MAP_KEY]));
    if (!err)
        err = pbjson_parse_value(parser, path, &fields[MAP_VALUE], json,
                                 field_member(entry, &fields[MAP_VALUE]));
    if (!err)
        *ret_entry = entry;
    return err;
}

int pbjson_parse_map(struct parser *parser, const struct path *path,
                     const ProtobufCFieldDescriptor *field, const json_t *json,
                     ProtobufCMessage *message)
{
    if (!json_is_object(json))
        return pbjson_parser_fail_type(parser, path, "an object", json);
    int err = check_depth(parser, path);
    if (err)
        return err;
    size_t count = 0, size = json_object_size(json);
    ProtobufCMessage **entries = NULL;
    if (size && !(entries = pbjson_parser_alloc(parser, path, size, sizeof *entries)))
        return ERR_TOO_LARGE;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)json, key, value)
    {
        struct path entry_path = pbjson_path_key(path, key);
        err = parse_entry(parser, &entry_path, field->descriptor, key, value, &entries[count]);
        if (err)
            return err;
        count++;
    }
    if (count)
        qsort(entries, count, sizeof *entries, compare_entries);
    for (size_t i = 1; i < count; i++)
        if (compare_entries(&entries[i - 1], &entries[i]) == 0) /* such as "1" and "01" */
            return pbjson_parser_fail(parser, ERR_INVALID, path, "two keys mean the same");
    *(size_t *)field_quantifier(message, field) = count;
    *(ProtobufCMessage ***)field_member(message, field) = entries;
    return 0;
}

/* Marks the field of a oneof as the one that is set, unless another one is. */
static int claim_oneof(struct parser *parser, const struct path *parent,
                       const ProtobufCFieldDescriptor *field, ProtobufCMessage *message)
{
    uint32_t *set_id = field_quantifier(message, field);
    if (*set_id == 0) {
        *set_id = field->id;
        return 0;
    }
    const ProtobufCFieldDescriptor *other =
        protobuf_c_message_descriptor_get_field(message->descriptor, *set_id);
    return pbjson_parser_fail(parser, ERR_INVALID, parent,
                              "only one of \"%s\" and \"%s\" may be given", other->name,
                              field->name);
}

static int parse_field(struct parser *parser, const struct path *parent,
                       const ProtobufCFieldDescriptor *field, const json_t *json,
                       ProtobufCMessage *message)
{
    struct path path = pbjson_path_field(parent, field->name);
    if (json_is_null(json) && (field->label == PROTOBUF_C_LABEL_REPEATED || !wkt_takes_null(field)))
        return 0;
    if (pbjson_field_is_map(field))
        return pbjson_parse_map(parser, &path, field, json, message);
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return pbjson_parse_repeated(parser, &path, field, json, message);
    if (pbjson_field_is_oneof_member(field)) {
        int err = claim_oneof(parser, parent, field, message);
        if (err)
            return err;
    }
    return pbjson_parse_value(parser, &path, field, json, field_member(message, field));
}

static int fail_unknown(struct parser *parser, const struct path *parent, const char *name,
                        const ProtobufCMessageDescriptor *descriptor)
{
    struct suggestion suggestion;
    pbjson_suggestion_init(&suggestion, name);
    for (unsigned i = 0; i < descriptor->n_fields; i++)
        pbjson_suggestion_offer(&suggestion, descriptor->fields[i].name);
    struct path path = pbjson_path_field(parent, name);
    const struct path *shown = parser->options->has_secrets ? parent : &path;
    if (suggestion.best)
        return pbjson_parser_fail(parser, ERR_INVALID, shown, "unknown field; did you mean \"%s\"?",
                                  suggestion.best);
    return pbjson_parser_fail(parser, ERR_INVALID, shown, "unknown field of %s",
                              descriptor->short_name);
}

static int skip_unknown(struct parser *parser, const struct path *parent, const char *name,
                        const ProtobufCMessageDescriptor *descriptor)
{
    if (!parser->options->ignore_unknown_fields)
        return fail_unknown(parser, parent, name, descriptor);
    struct path path = pbjson_path_field(parent, name);
    pbjson_parser_tell_skipped(parser, &path);
    return 0;
}

/* jansson refuses a name given twice; this is for one given in both spellings. */
static bool is_given_before(const json_t *json, const char *name,
                            const ProtobufCFieldDescriptor *field)
{
    return strcmp(name, field->name) != 0 && json_object_get(json, field->name);
}

int pbjson_parse_fields(struct parser *parser, const struct path *path, const json_t *json,
                        bool is_any, ProtobufCMessage *message)
{
    if (!json_is_object(json))
        return pbjson_parser_fail_type(parser, path, "an object", json);
    int err = check_depth(parser, path);
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)json, name, value)
    {
        if (err)
            break;
        if (is_any && strcmp(name, "@type") == 0)
            continue;
        const ProtobufCFieldDescriptor *field = pbjson_field_find(message->descriptor, name);
        if (!field)
            err = skip_unknown(parser, path, name, message->descriptor);
        else if (is_given_before(json, name, field))
            err = pbjson_parser_fail(parser, ERR_INVALID, path,
                                     "\"%s\" and \"%s\" are the same field", field->name, name);
        else
            err = parse_field(parser, path, field, value, message);
    }
    return err;
}

int pbjson_parse_message(struct parser *parser, const struct path *path,
                         const ProtobufCMessageDescriptor *descriptor, const json_t *json,
                         ProtobufCMessage **ret_message)
{
    ProtobufCMessage *message = pbjson_parser_alloc(parser, path, 1, descriptor->sizeof_message);
    if (!message)
        return ERR_TOO_LARGE;
    protobuf_c_message_init(descriptor, message);
    const struct wkt *wkt = wkt_find(descriptor);
    int err = wkt ? wkt->parse(parser, path, json, message)
                  : pbjson_parse_fields(parser, path, json, false, message);
    if (!err)
        *ret_message = message;
    return err;
}

/* --- documents ---------------------------------------------------------------------------------*/

/* Refuses what would make the JSON library use much memory or stack. Looks at brackets and commas
 * outside strings only; whether it is JSON is the library's business. */
static int check_json_size(struct str json, struct errmsg *msg)
{
    size_t depth = 0, values = 0, line = 1;
    bool is_in_string = false, expects_value = true;
    for (size_t i = 0; i < json.len; i++) {
        char c = json.data[i];
        line += c == '\n';
        if (c == ' ' || c == '\n' || c == '\t' || c == '\r')
            continue;
        bool closes = !is_in_string && (c == ']' || c == '}');
        values += expects_value && !closes;
        expects_value = !is_in_string && (c == '[' || c == '{' || c == ',');
        if (c == '"')
            is_in_string = !is_in_string;
        else if (is_in_string)
            i += c == '\\';
        else if (c == '[' || c == '{')
            depth++;
        else if (closes && depth)
            depth--;
        if (depth > PBJSON_DEPTH_MAX)
            return errmsg_set(msg, ERR_TOO_LARGE, "line %zu: nested more than %d deep", line,
                              PBJSON_DEPTH_MAX);
        if (values > PBJSON_NODES_MAX)
            return errmsg_set(msg, ERR_TOO_LARGE, "line %zu: more than %d values", line,
                              PBJSON_NODES_MAX);
    }
    return 0;
}

/* jansson's own text quotes the document. */
static const char *syntax_problem(const json_error_t *error, bool has_secrets)
{
    enum json_error_code code = json_error_code(error);
    if (code == json_error_null_character || code == json_error_null_byte_in_key)
        return "a string must not hold a NUL character";
    if (code == json_error_numeric_overflow)
        return "the number is too big; write it in quotes";
    if (!has_secrets)
        return error->text;
    if (code == json_error_duplicate_key)
        return "a name is given twice";
    return code == json_error_premature_end_of_input ? "the document ends too early"
                                                     : "this is not JSON";
}

static int text_to_json(struct str text, bool has_secrets, json_t **ret_json, struct errmsg *msg)
{
    int err = check_json_size(text, msg);
    if (err)
        return err;
    if (text.len == 0)
        return errmsg_set(msg, ERR_INVALID, "the document is empty");
    json_error_t error;
    json_t *json =
        json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (!json)
        return errmsg_set(msg, ERR_INVALID, "line %d, column %d: %s", error.line, error.column,
                          syntax_problem(&error, has_secrets));
    *ret_json = json;
    return 0;
}

/* libyaml's sentences are constant ones. */
static int yaml_to_json(struct str text, bool has_secrets, json_t **ret_json, struct errmsg *msg)
{
    (void)has_secrets;
    return pbjson_yaml_to_json(text, ret_json, msg);
}

typedef int reader_fn(struct str text, bool has_secrets, json_t **ret_json, struct errmsg *msg);

static int parse_document(reader_fn *read, const ProtobufCMessageDescriptor *descriptor,
                          struct str text, const struct pbjson_options *options,
                          struct arena *arena, ProtobufCMessage **ret_message, struct errmsg *msg)
{
    static const struct pbjson_options defaults;
    struct parser parser = {.options = options ? options : &defaults, .arena = arena, .msg = msg};
    size_t max =
        parser.options->input_bytes_max ? parser.options->input_bytes_max : PBJSON_INPUT_BYTES_MAX;
    if (text.len > max)
        return errmsg_set(msg, ERR_TOO_LARGE, "the document has %zu bytes, more than %zu", text.len,
                          max);
    json_t *json;
    int err = read(text, parser.options->has_secrets, &json, msg);
    if (err)
        return err;
    err = pbjson_parse_message(&parser, NULL, descriptor, json, ret_message);
    json_decref(json);
    return err;
}

int pbjson_parse(const ProtobufCMessageDescriptor *descriptor, struct str json,
                 const struct pbjson_options *options, struct arena *arena,
                 ProtobufCMessage **ret_message, struct errmsg *msg)
{
    return parse_document(text_to_json, descriptor, json, options, arena, ret_message, msg);
}

int pbjson_parse_yaml(const ProtobufCMessageDescriptor *descriptor, struct str yaml,
                      const struct pbjson_options *options, struct arena *arena,
                      ProtobufCMessage **ret_message, struct errmsg *msg)
{
    return parse_document(yaml_to_json, descriptor, yaml, options, arena, ret_message, msg);
}
