#include "dataplane/http/path.h"

#include "dataplane/http/char_class.h"

/* What a byte of a path asks for. */
enum path_char {
    REFUSED = 0,
    PLAIN,
    UNRESERVED, /* plain, and written without escape (RFC 3986 6.2.2.2) */
    ESCAPED,    /* not allowed in a path: written with an escape, as Envoy does */
    SLASH,
    BACKSLASH,
    PERCENT,
};

static const uint8_t path_chars[256] = {
    ['A' ... 'Z'] = UNRESERVED,
    ['a' ... 'z'] = UNRESERVED,
    ['0' ... '9'] = UNRESERVED,
    ['-'] = UNRESERVED,
    ['.'] = UNRESERVED,
    ['_'] = UNRESERVED,
    ['~'] = UNRESERVED,
    ['!'] = PLAIN,
    ['$'] = PLAIN,
    ['&'] = PLAIN,
    ['\''] = PLAIN,
    ['('] = PLAIN,
    [')'] = PLAIN,
    ['*'] = PLAIN,
    ['+'] = PLAIN,
    [','] = PLAIN,
    [':'] = PLAIN,
    [';'] = PLAIN,
    ['='] = PLAIN,
    ['@'] = PLAIN,
    ['['] = PLAIN,
    [']'] = PLAIN,
    ['"'] = ESCAPED,
    ['<'] = ESCAPED,
    ['>'] = ESCAPED,
    ['^'] = ESCAPED,
    ['`'] = ESCAPED,
    ['{'] = ESCAPED,
    ['|'] = ESCAPED,
    ['}'] = ESCAPED,
    ['/'] = SLASH,
    ['\\'] = BACKSLASH,
    ['%'] = PERCENT,
};

static enum path_char path_char_of(char c)
{
    return (enum path_char)path_chars[(unsigned char)c];
}

/* The byte that the escape at index i stands for, or -1 where it is malformed. */
static int escape_at(struct str path, size_t i)
{
    if (path.len - i < 3)
        return -1;
    int high = char_hex_value(path.data[i + 1]), low = char_hex_value(path.data[i + 2]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

static bool is_slash(int c)
{
    return c == '/' || c == '\\';
}

/* How many levels up the segment leads (0 or 1), or -1 where it is no dot segment. Parameters are
 * no part of its name: what comes behind may take "/..;x" for "/..". */
static int dot_segment_levels(struct str segment)
{
    size_t dots = 0;
    while (dots < segment.len && dots < 3 && segment.data[dots] == '.')
        dots++;
    bool ends = dots == segment.len || segment.data[dots] == ';';
    return !ends || dots == 0 || dots > 2 ? -1 : (int)dots - 1;
}

/* Whether the escape at index i is to be left as it is. */
static bool is_final_escape(struct str path, size_t i, const struct path_options *options)
{
    int c = escape_at(path, i);
    if (is_slash(c) && options->escaped_slashes != PATH_ESCAPED_SLASHES_KEEP_UNCHANGED)
        return false;
    return !options->normalizes || (c > 0 && path_char_of((char)c) != UNRESERVED);
}

/* The fast scan: true where the path is canonical for sure. */
static bool is_canonical(struct str path, const struct path_options *options)
{
    for (size_t i = 0; i < path.len; i++) {
        switch (path_char_of(path.data[i])) {
        case PLAIN:
        case UNRESERVED:
            break;
        case SLASH:
            if (options->merges_slashes && i + 1 < path.len && path.data[i + 1] == '/')
                return false;
            /* An escaped dot is caught below. */
            if (options->normalizes && i + 1 < path.len && path.data[i + 1] == '.')
                return false;
            break;
        case PERCENT:
            if (!is_final_escape(path, i, options))
                return false;
            break;
        case REFUSED:
            return false;
        case ESCAPED:
        case BACKSLASH:
            if (options->normalizes)
                return false;
            break;
        }
    }
    return true;
}

/* The path being written. */
struct output {
    char *data;
    size_t len;
    size_t segment; /* where the last segment begins, behind its slash */
};

static void put(struct output *output, char c)
{
    output->data[output->len++] = c;
}

static void put_escape(struct output *output, unsigned char c)
{
    put(output, '%');
    put(output, "0123456789ABCDEF"[c >> 4]);
    put(output, "0123456789ABCDEF"[c & 15]);
}

/* The last segment is complete: takes it out where it is a dot segment, and with ".." the one
 * before. Returns whether it did. */
static bool remove_dot_segment(struct output *output)
{
    struct str segment = {.data = output->data + output->segment,
                          .len = output->len - output->segment};
    int levels = dot_segment_levels(segment);
    if (levels < 0)
        return false;
    output->len = output->segment;
    if (levels > 0 && output->len > 1) {
        output->len--;
        while (output->data[output->len - 1] != '/')
            output->len--;
    }
    output->segment = output->len;
    return true;
}

static void put_slash(struct output *output, const struct path_options *options)
{
    if (options->normalizes && output->len > 0 && remove_dot_segment(output))
        return; /* the slash before it stays and stands for this one */
    put(output, '/');
    output->segment = output->len;
}

/* Writes the escape at index i; returns how many bytes it has read. */
static int put_escaped(struct output *output, struct str path, size_t i,
                       const struct path_options *options)
{
    int c = escape_at(path, i);
    if (is_slash(c) && options->escaped_slashes != PATH_ESCAPED_SLASHES_KEEP_UNCHANGED) {
        if (c == '/' || options->normalizes)
            put_slash(output, options);
        else
            put(output, '\\');
        return 3;
    }
    if (!options->normalizes) {
        put(output, '%');
        return 1;
    }
    if (c <= 0)
        return ERR_INVALID; /* malformed, or NUL */
    if (path_char_of((char)c) == UNRESERVED) {
        put(output, (char)c);
        return 3;
    }
    for (size_t j = 0; j < 3; j++)
        put(output, path.data[i + j]);
    return 3;
}

static int rewrite(struct output *output, struct str path, const struct path_options *options)
{
    for (size_t i = 0; i < path.len; i++) {
        char c = path.data[i];
        int used = 1;
        switch (path_char_of(c)) {
        case PLAIN:
        case UNRESERVED:
            put(output, c);
            break;
        case SLASH:
            put_slash(output, options);
            break;
        case BACKSLASH:
            if (options->normalizes)
                put_slash(output, options);
            else
                put(output, c);
            break;
        case ESCAPED:
            if (options->normalizes)
                put_escape(output, (unsigned char)c);
            else
                put(output, c);
            break;
        case PERCENT:
            used = put_escaped(output, path, i, options);
            if (used < 0)
                return used;
            break;
        case REFUSED:
            return ERR_INVALID;
        }
        i += (size_t)used - 1;
    }
    if (options->normalizes)
        remove_dot_segment(output);
    return 0;
}

/* Behind the removal of dot segments, which counts empty segments. */
static void merge_slashes(struct output *output)
{
    size_t kept = 0;
    for (size_t i = 0; i < output->len; i++)
        if (output->data[i] != '/' || kept == 0 || output->data[kept - 1] != '/')
            output->data[kept++] = output->data[i];
    output->len = kept;
}

static bool has_escaped_slash(struct str path)
{
    size_t i = str_find_char(path, '%', 0);
    while (i < path.len && !is_slash(escape_at(path, i)))
        i = str_find_char(path, '%', i + 1);
    return i < path.len;
}

size_t path_query_at(struct str path_and_query)
{
    return str_find_char(path_and_query, '?', 0);
}

int path_normalise(struct str path_and_query, const struct path_options *options,
                   struct arena *arena, struct str *ret_path, enum path_action *ret_action)
{
    enum path_action action = PATH_CONTINUE;
    size_t query_at = path_query_at(path_and_query);
    struct str path = str_slice(path_and_query, 0, query_at);
    bool is_asterisk = path_and_query.len == 1 && path_and_query.data[0] == '*';
    if (is_asterisk || (path.len && path.data[0] == '/' && is_canonical(path, options))) {
        *ret_path = path_and_query;
        *ret_action = action;
        return 0;
    }
    if (!path.len || path.data[0] != '/')
        return ERR_INVALID;
    if (options->escaped_slashes != PATH_ESCAPED_SLASHES_KEEP_UNCHANGED &&
        has_escaped_slash(path)) {
        if (options->escaped_slashes == PATH_ESCAPED_SLASHES_REJECT_REQUEST)
            return ERR_INVALID;
        if (options->escaped_slashes == PATH_ESCAPED_SLASHES_UNESCAPE_AND_REDIRECT)
            action = PATH_REDIRECT;
    }
    size_t query_len = path_and_query.len - query_at;
    struct output output = {.data = arena_alloc(arena, path.len * 3 + query_len)};
    int err = rewrite(&output, path, options);
    if (err)
        return err;
    if (options->merges_slashes)
        merge_slashes(&output);
    if (query_len)
        memcpy(output.data + output.len, path_and_query.data + query_at, query_len);
    *ret_path = (struct str){.data = output.data, .len = output.len + query_len};
    *ret_action = action;
    return 0;
}
