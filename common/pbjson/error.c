/* The sentences that tell an operator what is wrong, and where. */
#include "common/pbjson/pbjson_internal.h"

#include <stdarg.h>
#include <stdio.h>

enum {
    QUOTE_BYTES_MAX = 80,     /* of a text from the document, as shown in a sentence */
    PATH_BYTES_MAX = 512,     /* leaves room for the sentence in a struct errmsg */
    SUGGESTION_BYTES_MAX = 64 /* longer names are not compared */
};

static struct path path_below(const struct path *parent)
{
    return (struct path){.parent = parent, .depth = parent ? parent->depth + 1 : 1};
}

struct path pbjson_path_field(const struct path *parent, const char *field)
{
    struct path path = path_below(parent);
    path.field = field;
    return path;
}

struct path pbjson_path_index(const struct path *parent, size_t index)
{
    struct path path = path_below(parent);
    path.index = index;
    return path;
}

struct path pbjson_path_key(const struct path *parent, const char *key)
{
    struct path path = path_below(parent);
    path.key = key;
    return path;
}

/* The start of text, whole UTF-8 sequences only, of at most QUOTE_BYTES_MAX bytes. */
static struct str shorten(const char *text)
{
    struct str s = str_from(text);
    if (s.len <= QUOTE_BYTES_MAX)
        return s;
    s.len = QUOTE_BYTES_MAX;
    while (s.len && ((unsigned char)s.data[s.len] & 0xc0) == 0x80)
        s.len--;
    return s;
}

static const char *quote(const char *text, struct arena *arena)
{
    struct buf buf;
    buf_init(&buf, 8 * QUOTE_BYTES_MAX);
    struct str shown = shorten(text);
    buf_append_json_string(&buf, shown);
    if (shown.len < strlen(text)) {
        buf.len--;
        buf_append_str(&buf, STR("…\""));
    }
    const char *quoted = arena_copy_str(arena, buf_str(&buf)).data;
    buf_done(&buf);
    return quoted;
}

const char *pbjson_parser_quote(struct parser *parser, const char *text)
{
    return parser->options->has_secrets ? "what is there" : quote(text, parser->arena);
}

static void append_step(struct buf *buf, const struct path *step, bool has_secrets,
                        struct arena *arena)
{
    if (step->field)
        buf_printf(buf, "%s%s", step->parent ? "." : "", step->field);
    else if (step->key)
        buf_printf(buf, "[%s]", has_secrets ? "…" : quote(step->key, arena));
    else
        buf_printf(buf, "[%zu]", step->index);
}

/* The path as text, in arena: `listeners[2].port`, `labels["a b"]`. */
static const char *path_text(const struct path *path, bool has_secrets, struct arena *arena)
{
    const struct path *steps[PBJSON_DEPTH_MAX + 1];
    size_t count = 0;
    for (; path && count < PBJSON_DEPTH_MAX + 1; path = path->parent)
        steps[count++] = path;
    struct buf buf;
    buf_init(&buf, PATH_BYTES_MAX);
    while (count && !buf.is_overflown)
        append_step(&buf, steps[--count], has_secrets, arena);
    const char *text = buf.is_overflown ? arena_printf(arena, "%.*s…", STR_ARGS(buf_str(&buf)))
                                        : arena_copy_str(arena, buf_str(&buf)).data;
    buf_done(&buf);
    return text;
}

int pbjson_parser_fail(struct parser *parser, int err, const struct path *path, const char *format,
                       ...)
{
    struct errmsg sentence;
    va_list args;
    va_start(args, format);
    vsnprintf(sentence.text, sizeof sentence.text, format, args);
    va_end(args);
    errmsg_set(parser->msg, err, "%s", sentence.text);
    if (path)
        errmsg_prefix(parser->msg,
                      "%s: ", path_text(path, parser->options->has_secrets, parser->arena));
    return err;
}

void pbjson_parser_tell_skipped(const struct parser *parser, const struct path *path)
{
    const struct pbjson_options *options = parser->options;
    if (!options->on_unknown_field)
        return;
    /* Not in the parser's arena: there may be hundreds of thousands. */
    struct arena arena;
    arena_init(&arena, 1024);
    options->on_unknown_field(path_text(path, options->has_secrets, &arena),
                              options->on_unknown_field_arg);
    arena_done(&arena);
}

const char *pbjson_json_kind(const json_t *json)
{
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
        return "true";
    case JSON_FALSE:
        return "false";
    case JSON_NULL:
        return "null";
    }
    return "something else";
}

int pbjson_parser_fail_type(struct parser *parser, const struct path *path, const char *what,
                            const json_t *json)
{
    return pbjson_parser_fail(parser, ERR_INVALID, path, "expected %s, got %s", what,
                              pbjson_json_kind(json));
}

static size_t min_of(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Edit distance, not counting the case of letters. Both are at most SUGGESTION_BYTES_MAX long. */
static size_t edit_distance(struct str a, struct str b)
{
    size_t row[SUGGESTION_BYTES_MAX + 1];
    for (size_t j = 0; j <= b.len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t above = row[j];
            bool is_same = ascii_lower(a.data[i - 1]) == ascii_lower(b.data[j - 1]);
            row[j] = min_of(diagonal + !is_same, min_of(above, row[j - 1]) + 1);
            diagonal = above;
        }
    }
    return row[b.len];
}

void pbjson_suggestion_init(struct suggestion *suggestion, const char *wanted)
{
    /* A third of what was written may be wrong, but never all of it. */
    size_t len = strlen(wanted);
    *suggestion = (struct suggestion){.wanted = wanted, .distance = len / 3 + (len > 1) + 1};
}

void pbjson_suggestion_offer(struct suggestion *suggestion, const char *name)
{
    struct str wanted = str_from(suggestion->wanted), offered = str_from(name);
    if (wanted.len > SUGGESTION_BYTES_MAX || offered.len > SUGGESTION_BYTES_MAX)
        return;
    size_t distance = edit_distance(wanted, offered);
    if (distance < suggestion->distance) {
        suggestion->distance = distance;
        suggestion->best = name;
    }
}

void *pbjson_parser_alloc(struct parser *parser, const struct path *path, size_t count, size_t size)
{
    size_t bytes;
    bool overflows = __builtin_mul_overflow(count, size, &bytes);
    if (overflows || bytes > PBJSON_DECODED_BYTES_MAX - parser->decoded_bytes) {
        pbjson_parser_fail(parser, ERR_TOO_LARGE, path,
                           "the document takes more than %d MiB of memory",
                           PBJSON_DECODED_BYTES_MAX / 1024 / 1024);
        return NULL;
    }
    parser->decoded_bytes += bytes;
    return arena_alloc_array(parser->arena, count, size);
}
