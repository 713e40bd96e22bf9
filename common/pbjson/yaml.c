/* YAML to the tree of the JSON that says the same. Events are taken one by one and put into a tree
 * by a stack of open containers: no recursion. */
#include "common/base/map.h"
#include "common/base/mem.h"
#include "common/pbjson/pbjson_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <yaml.h>

/* libyaml compares each %TAG directive with all before it. Nobody needs more than one. */
enum { TAG_DIRECTIVES_MAX = 8 };

/* A container that is not closed yet. */
struct open_node {
    json_t *json;    /* owned until it is given to its parent */
    char *key;       /* of the value that comes next; NULL: a key comes next */
    char *anchor;    /* or NULL */
    size_t nodes;    /* builder's count when it was opened */
    unsigned height; /* of the tree below: 1 + the highest child */
};

/* What an alias may stand for. */
struct anchor {
    char *name;
    json_t *json; /* counted reference */
    size_t nodes;
    unsigned height;
};

struct builder {
    struct open_node stack[PBJSON_DEPTH_MAX];
    unsigned depth;
    size_t nodes; /* held against PBJSON_NODES_MAX, aliases expanded */
    struct map anchors;
    json_t *root;
    unsigned documents;
    struct errmsg *msg;
};

static int fail(const struct builder *builder, int err, const yaml_mark_t *mark, const char *text)
{
    return errmsg_set(builder->msg, err, "line %zu, column %zu: %s", mark->line + 1,
                      mark->column + 1, text);
}

/* --- plain scalars -----------------------------------------------------------------------------*/

static bool is_one_of(struct str text, const char *const *words)
{
    for (; *words; words++)
        if (str_equal(text, str_from(*words)))
            return true;
    return false;
}

static const char *const null_words[] = {"", "~", "null", "Null", "NULL", NULL};
static const char *const true_words[] = {"true", "True", "TRUE", NULL};
static const char *const false_words[] = {"false", "False", "FALSE", NULL};
static const char *const nan_words[] = {".nan", ".NaN", ".NAN", NULL};
static const char *const infinity_words[] = {".inf",  ".Inf",  ".INF", "+.inf",
                                             "+.Inf", "+.INF", NULL};
static const char *const minus_infinity_words[] = {"-.inf", "-.Inf", "-.INF", NULL};

static size_t span_digits(struct str text, size_t from)
{
    while (from < text.len && text.data[from] >= '0' && text.data[from] <= '9')
        from++;
    return from;
}

/* [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)? */
static bool is_float(struct str text)
{
    size_t start = text.len && (text.data[0] == '-' || text.data[0] == '+') ? 1 : 0;
    size_t i = span_digits(text, start), digits = i - start;
    if (i < text.len && text.data[i] == '.') {
        size_t end = span_digits(text, i + 1);
        digits += end - i - 1;
        i = end;
    }
    if (digits && i < text.len && (text.data[i] | 0x20) == 'e') {
        i++;
        if (i < text.len && (text.data[i] == '-' || text.data[i] == '+'))
            i++;
        size_t end = span_digits(text, i);
        if (end == i)
            return false;
        i = end;
    }
    return digits && i == text.len;
}

static bool has_only(struct str text, const char *accepted)
{
    for (size_t i = 0; i < text.len; i++)
        if (!strchr(accepted, text.data[i]))
            return false;
    return text.len > 0;
}

/* 10, 8 or 16 where text is an integer of the core schema, else 0. */
static int integer_base(struct str text)
{
    bool has_sign = text.len && (text.data[0] == '-' || text.data[0] == '+');
    if (has_only(str_slice(text, has_sign ? 1 : 0, text.len), "0123456789"))
        return 10;
    if (str_starts_with(text, STR("0o")) && has_only(str_slice(text, 2, text.len), "01234567"))
        return 8;
    bool is_hex = str_starts_with(text, STR("0x")) &&
                  has_only(str_slice(text, 2, text.len), "0123456789abcdefABCDEF");
    return is_hex ? 16 : 0;
}

/* NULL where the number is too big. text has a NUL behind it. */
static json_t *number_json(struct str text, int base)
{
    errno = 0;
    if (base) {
        long long value = strtoll(base == 10 ? text.data : text.data + 2, NULL, base);
        return errno ? NULL : json_integer(value);
    }
    double value = strtod(text.data, NULL);
    return json_real(value); /* NULL for infinity */
}

/* A plain scalar by the core schema; NULL for a number that is too big. */
static json_t *plain_json(struct str text)
{
    if (is_one_of(text, null_words))
        return json_null();
    if (is_one_of(text, true_words) || is_one_of(text, false_words))
        return json_boolean((text.data[0] | 0x20) == 't');
    if (is_one_of(text, nan_words))
        return json_string("NaN");
    if (is_one_of(text, infinity_words))
        return json_string("Infinity");
    if (is_one_of(text, minus_infinity_words))
        return json_string("-Infinity");
    int base = integer_base(text);
    if (base || is_float(text))
        return number_json(text, base);
    return json_stringn(text.data, text.len);
}

/* --- tags --------------------------------------------------------------------------------------*/

/* The tag without the core schema's prefix: "str", "int"; "" for none, NULL for one that is not of
 * that schema. */
static const char *core_tag(const yaml_char_t *tag)
{
    static const char prefix[] = "tag:yaml.org,2002:";
    if (!tag)
        return "";
    const char *text = (const char *)tag;
    if (strcmp(text, "!") == 0)
        return "str";
    return strncmp(text, prefix, sizeof prefix - 1) == 0 ? text + sizeof prefix - 1 : NULL;
}

/* Whether a scalar of the core schema is what its tag says it is. */
static bool json_has_tag(const json_t *json, const char *tag)
{
    if (strcmp(tag, "int") == 0)
        return json_is_integer(json);
    if (strcmp(tag, "float") == 0)
        return json_is_number(json);
    if (strcmp(tag, "bool") == 0)
        return json_is_boolean(json);
    return strcmp(tag, "null") == 0 && json_is_null(json);
}

static int scalar_json(const struct builder *builder, const yaml_event_t *event, json_t **ret_json)
{
    struct str text = {(const char *)event->data.scalar.value, event->data.scalar.length};
    const char *tag = core_tag(event->data.scalar.tag);
    if (memchr(text.data, '\0', text.len))
        return fail(builder, ERR_INVALID, &event->start_mark, "a string holds a NUL character");
    if (!tag)
        return fail(builder, ERR_INVALID, &event->start_mark, "unknown tag");
    bool is_quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    bool is_string = strcmp(tag, "str") == 0 || (!*tag && is_quoted);
    json_t *json = is_string ? json_stringn(text.data, text.len) : plain_json(text);
    if (!json)
        return fail(builder, ERR_INVALID, &event->start_mark,
                    "the number is too big; write it in quotes");
    if (!is_string && *tag && !json_has_tag(json, tag)) {
        json_decref(json);
        return fail(builder, ERR_INVALID, &event->start_mark, "the value is not what its tag says");
    }
    *ret_json = json;
    return 0;
}

/* --- the tree ----------------------------------------------------------------------------------*/

static int count_nodes(struct builder *builder, const yaml_mark_t *mark, size_t nodes)
{
    if (nodes > PBJSON_NODES_MAX - builder->nodes)
        return fail(builder, ERR_TOO_LARGE, mark, "too many values");
    builder->nodes += nodes;
    return 0;
}

static void anchor_free(struct anchor *anchor)
{
    if (!anchor)
        return;
    json_decref(anchor->json);
    mem_free(anchor->name);
    mem_free(anchor);
}

/* Takes name, which may be NULL. */
static void remember_anchor(struct builder *builder, char *name, json_t *json, size_t nodes,
                            unsigned height)
{
    if (!name)
        return;
    struct anchor *anchor = MEM_NEW(struct anchor);
    *anchor =
        (struct anchor){.name = name, .json = json_incref(json), .nodes = nodes, .height = height};
    anchor_free(map_put(&builder->anchors, str_from(name), anchor));
}

/* Puts a finished value where it belongs. Takes json. */
static int add_value(struct builder *builder, const yaml_mark_t *mark, json_t *json,
                     unsigned height)
{
    if (builder->depth == 0) {
        builder->root = json;
        return 0;
    }
    struct open_node *parent = &builder->stack[builder->depth - 1];
    if (height + 1 > parent->height)
        parent->height = height + 1;
    if (json_is_array(parent->json)) {
        json_array_append_new(parent->json, json);
        return 0;
    }
    if (!parent->key) {
        json_decref(json);
        return fail(builder, ERR_INVALID, mark, "a key must be a scalar");
    }
    json_object_set_new(parent->json, parent->key, json);
    mem_free(parent->key);
    parent->key = NULL;
    return 0;
}

static bool expects_key(const struct builder *builder)
{
    if (builder->depth == 0)
        return false;
    const struct open_node *parent = &builder->stack[builder->depth - 1];
    return json_is_object(parent->json) && !parent->key;
}

static int on_key(struct builder *builder, const yaml_event_t *event)
{
    struct open_node *parent = &builder->stack[builder->depth - 1];
    struct str text = {(const char *)event->data.scalar.value, event->data.scalar.length};
    if (memchr(text.data, '\0', text.len))
        return fail(builder, ERR_INVALID, &event->start_mark, "a key holds a NUL character");
    if (event->data.scalar.anchor)
        return fail(builder, ERR_INVALID, &event->start_mark, "a key must not have an anchor");
    bool is_plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (is_plain && str_equal(text, STR("<<")))
        return fail(builder, ERR_INVALID, &event->start_mark, "merge keys (<<) are not taken");
    if (json_object_getn(parent->json, text.data, text.len))
        return fail(builder, ERR_INVALID, &event->start_mark, "the key is given twice");
    parent->key = mem_copy_string(text.data, text.len);
    return 0;
}

static char *copy_anchor(const yaml_char_t *anchor)
{
    return anchor ? mem_copy_string((const char *)anchor, strlen((const char *)anchor)) : NULL;
}

static int on_scalar(struct builder *builder, const yaml_event_t *event)
{
    int err = count_nodes(builder, &event->start_mark, 1);
    if (err)
        return err;
    if (expects_key(builder))
        return on_key(builder, event);
    json_t *json = NULL;
    err = scalar_json(builder, event, &json);
    if (err)
        return err;
    remember_anchor(builder, copy_anchor(event->data.scalar.anchor), json, 1, 0);
    return add_value(builder, &event->start_mark, json, 0);
}

static int on_open(struct builder *builder, const yaml_event_t *event, const yaml_char_t *anchor,
                   const yaml_char_t *tag, bool is_mapping)
{
    const char *core = core_tag(tag);
    if (!core || (*core && strcmp(core, is_mapping ? "map" : "seq") != 0))
        return fail(builder, ERR_INVALID, &event->start_mark, "unknown tag");
    if (expects_key(builder))
        return fail(builder, ERR_INVALID, &event->start_mark, "a key must be a scalar");
    if (builder->depth == PBJSON_DEPTH_MAX)
        return fail(builder, ERR_TOO_LARGE, &event->start_mark, "nested too deep");
    struct open_node *node = &builder->stack[builder->depth];
    *node = (struct open_node){.nodes = builder->nodes, .height = 1};
    int err = count_nodes(builder, &event->start_mark, 1);
    if (err)
        return err;
    node->json = is_mapping ? json_object() : json_array();
    node->anchor = copy_anchor(anchor);
    builder->depth++;
    return 0;
}

static int on_close(struct builder *builder, const yaml_event_t *event)
{
    struct open_node node = builder->stack[--builder->depth];
    remember_anchor(builder, node.anchor, node.json, builder->nodes - node.nodes, node.height);
    return add_value(builder, &event->start_mark, node.json, node.height);
}

static int on_alias(struct builder *builder, const yaml_event_t *event)
{
    const char *name = (const char *)event->data.alias.anchor;
    const struct anchor *anchor = map_find(&builder->anchors, str_from(name));
    if (!anchor)
        return fail(builder, ERR_INVALID, &event->start_mark, "the alias has no anchor before it");
    if (expects_key(builder))
        return fail(builder, ERR_INVALID, &event->start_mark, "a key must not be an alias");
    int err = count_nodes(builder, &event->start_mark, anchor->nodes);
    if (err)
        return err;
    if (builder->depth + anchor->height > PBJSON_DEPTH_MAX)
        return fail(builder, ERR_TOO_LARGE, &event->start_mark, "nested too deep");
    return add_value(builder, &event->start_mark, json_incref(anchor->json), anchor->height);
}

static int on_event(struct builder *builder, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (builder->documents++)
            return fail(builder, ERR_INVALID, &event->start_mark, "a second document");
        return 0;
    case YAML_SCALAR_EVENT:
        return on_scalar(builder, event);
    case YAML_ALIAS_EVENT:
        return on_alias(builder, event);
    case YAML_SEQUENCE_START_EVENT:
        return on_open(builder, event, event->data.sequence_start.anchor,
                       event->data.sequence_start.tag, false);
    case YAML_MAPPING_START_EVENT:
        return on_open(builder, event, event->data.mapping_start.anchor,
                       event->data.mapping_start.tag, true);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        return on_close(builder, event);
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        break;
    }
    return 0;
}

static void builder_done(struct builder *builder)
{
    while (builder->depth) {
        struct open_node *node = &builder->stack[--builder->depth];
        json_decref(node->json);
        mem_free(node->key);
        mem_free(node->anchor);
    }
    MAP_FOR_EACH(entry, &builder->anchors)
        anchor_free(entry->value);
    map_done(&builder->anchors);
}

static int fail_syntax(const struct builder *builder, const yaml_parser_t *yaml)
{
    const char *problem = yaml->problem ? yaml->problem : "not YAML";
    if (yaml->error == YAML_READER_ERROR)
        return errmsg_set(builder->msg, ERR_INVALID, "byte %zu: %s", yaml->problem_offset, problem);
    return fail(builder, ERR_INVALID, &yaml->problem_mark, problem);
}

static int build(struct builder *builder, yaml_parser_t *yaml)
{
    for (bool is_end = false; !is_end;) {
        yaml_event_t event;
        if (!yaml_parser_parse(yaml, &event))
            return fail_syntax(builder, yaml);
        is_end = event.type == YAML_STREAM_END_EVENT;
        int err = on_event(builder, &event);
        yaml_event_delete(&event);
        if (err)
            return err;
    }
    return builder->root ? 0 : errmsg_set(builder->msg, ERR_INVALID, "the document is empty");
}

/* Whether there are too many lines that begin with %TAG. The line breaks of YAML are many; what
 * comes before a directive is at any rate no printable ASCII. */
static bool has_many_tag_directives(struct str text)
{
    size_t count = 0;
    while (count <= TAG_DIRECTIVES_MAX) {
        size_t at = str_find(text, STR("%TAG"));
        if (at == text.len)
            return false;
        char before = at ? text.data[at - 1] : '\n';
        count += !(before >= ' ' && before <= '~');
        text = str_slice(text, at + 1, text.len);
    }
    return true;
}

int pbjson_yaml_to_json(struct str text, json_t **ret_json, struct errmsg *msg)
{
    if (has_many_tag_directives(text))
        return errmsg_set(msg, ERR_TOO_LARGE, "more than %d %%TAG directives", TAG_DIRECTIVES_MAX);
    yaml_parser_t yaml;
    int is_ready = yaml_parser_initialize(&yaml);
    ASSERT(is_ready); /* fails only without memory */
    yaml_parser_set_encoding(&yaml, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&yaml, (const unsigned char *)text.data, text.len);
    struct builder builder = {.msg = msg};
    int err = build(&builder, &yaml);
    builder_done(&builder);
    yaml_parser_delete(&yaml);
    if (err)
        json_decref(builder.root);
    else
        *ret_json = builder.root;
    return err;
}
