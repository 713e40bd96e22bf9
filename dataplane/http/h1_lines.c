#include "dataplane/http/h1_lines.h"

#include "dataplane/http/char_class.h"

enum h1_problem h1_take_line_end(struct h1_cursor *cursor)
{
    size_t len = (size_t)(cursor->end - cursor->at);
    if (len && cursor->at[0] != '\r')
        return H1_SYNTAX;
    if (len < 2)
        return H1_INCOMPLETE;
    if (cursor->at[1] != '\n')
        return H1_SYNTAX;
    cursor->at += 2;
    return H1_FINE;
}

/* Takes a name, makes it lower case, and the colon behind it. A space before the name (obs-fold) or
 * before the colon ends it early and is refused here. */
static inline enum h1_problem take_name(struct h1_cursor *cursor, struct str *ret_name)
{
    char *start = cursor->at, *at = start, lower;
    char *const end = cursor->end; /* the stores below might change cursor, as C sees it */
    while (at < end && (lower = char_class_name[(unsigned char)*at]))
        *at++ = lower;
    if (at == end)
        return H1_INCOMPLETE;
    if (*at != ':' || at == start)
        return H1_SYNTAX;
    *ret_name = (struct str){.data = start, .len = (size_t)(at - start)};
    cursor->at = at + 1;
    return H1_FINE;
}

/* Takes a value without the blanks around it, and the line end. */
static inline enum h1_problem take_value(struct h1_cursor *cursor, struct str *ret_value)
{
    char *start = cursor->at, *const end = cursor->end;
    while (start < end && (*start == ' ' || *start == '\t'))
        start++;
    size_t len = char_class_value_len(start, (size_t)(end - start));
    cursor->at = start + len;
    enum h1_problem problem = h1_take_line_end(cursor);
    while (len && (start[len - 1] == ' ' || start[len - 1] == '\t'))
        len--;
    *ret_value = (struct str){.data = start, .len = len};
    return problem;
}

enum h1_problem h1_take_lines(struct h1_cursor *cursor, uint32_t count_max,
                              struct header_list *list)
{
    for (uint32_t count = 0;; count++) {
        if (cursor->at == cursor->end)
            return H1_INCOMPLETE;
        if (*cursor->at == '\r')
            return h1_take_line_end(cursor);
        struct str name, value;
        enum h1_problem problem = take_name(cursor, &name);
        if (problem == H1_FINE)
            problem = take_value(cursor, &value);
        if (problem != H1_FINE)
            return problem;
        if (count == count_max)
            return H1_HEADERS_MANY;
        enum header_id id = header_id_of(name);
        uint8_t flags = HEADER_IS_CHECKED;
        if (id == HEADER_OTHER && memchr(name.data, '_', name.len)) /* no interned name has one */
            flags |= HEADER_HAS_UNDERSCORE;
        header_list_add_item(list, id, name, value, flags);
    }
}

/* One line may list several equal values: "5, 5". */
static bool read_lengths(struct str values, struct str *length)
{
    for (;;) {
        size_t end = str_find_char(values, ',', 0);
        struct str one = str_trim(str_slice(values, 0, end));
        if (length->data && !str_equal(one, *length))
            return false;
        *length = one;
        if (end == values.len)
            return true;
        values = str_slice(values, end + 1, values.len);
    }
}

enum h1_problem h1_read_content_length(struct header_list *list, uint64_t *ret_length)
{
    struct header *first = header_list_find(list, HEADER_CONTENT_LENGTH);
    struct str length = {0};
    for (struct header *header = first; header; header = header_list_find_next(list, header))
        if (!read_lengths(header->value, &length))
            return H1_LENGTH;
    if (!str_to_u64(length, INT64_MAX, ret_length))
        return H1_LENGTH;
    if (header_list_find_next(list, first) || first->value.len != length.len) {
        header_list_set(list, HEADER_CONTENT_LENGTH, length);
        first->flags |= HEADER_IS_CHECKED;
    }
    return H1_FINE;
}

bool h1_is_chunked_only(const struct header_list *list)
{
    const struct header *first = header_list_find(list, HEADER_TRANSFER_ENCODING);
    return str_equal_nocase(first->value, STR("chunked")) && !header_list_find_next(list, first);
}

static unsigned connection_option(struct str token)
{
    if (str_equal_nocase(token, STR("close")))
        return H1_CLOSE;
    if (str_equal_nocase(token, STR("keep-alive")))
        return H1_KEEP_ALIVE;
    return str_equal_nocase(token, STR("upgrade")) ? H1_UPGRADE : 0;
}

enum h1_problem h1_read_connection(const struct header_list *list, unsigned *ret_options)
{
    unsigned options = 0, count = 0;
    const struct header *header = header_list_find(list, HEADER_CONNECTION);
    for (; header; header = header_list_find_next(list, header)) {
        struct str rest = header->value, token;
        for (; (token = header_next_token(&rest)).len; count++) {
            if (count == HEADER_CONNECTION_OPTIONS_MAX)
                return H1_CONNECTION;
            options |= connection_option(token);
        }
    }
    *ret_options = options;
    return H1_FINE;
}

int h1_fail(enum h1_problem problem, bool is_request, struct h1_error *ret_error)
{
    static const struct h1_error errors[] = {
#define ERROR_OF(id, status, details, body) [H1_##id] = {(status), (details), (body)},
        H1_PROBLEM_LIST(ERROR_OF)
#undef ERROR_OF
    };
    *ret_error = errors[problem];
    bool is_limit =
        ret_error->status == 413 || ret_error->status == 414 || ret_error->status == 431;
    if (!is_request)
        ret_error->status = 502;
    return is_limit ? ERR_TOO_LARGE : ERR_INVALID;
}
