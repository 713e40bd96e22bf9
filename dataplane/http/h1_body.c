#include "dataplane/http/h1_body.h"

#include "dataplane/http/char_class.h"
#include "dataplane/http/h1_lines.h"

enum { SIZE_DIGITS_MAX = 16 };

void h1_body_init(struct h1_body *body, enum body_kind kind, uint64_t content_length,
                  const struct h1_limits *limits, struct arena *arena)
{
    *body = (struct h1_body){.state = H1_BODY_DONE, .limits = limits, .arena = arena};
    switch (kind) {
    case BODY_NONE:
        break;
    case BODY_LENGTH:
        body->left = content_length;
        body->state = content_length ? H1_BODY_DATA : H1_BODY_DONE;
        break;
    case BODY_CHUNKED:
        body->is_chunked = true;
        body->state = H1_BODY_SIZE;
        break;
    case BODY_UNTIL_CLOSE:
        body->left = UINT64_MAX;
        body->state = H1_BODY_REST;
        break;
    }
}

/* A byte of the line "size[;extension]CRLF". */
static enum h1_problem take_size_byte(struct h1_body *body, char c)
{
    int digit = char_hex_value(c);
    if (body->state == H1_BODY_SIZE && digit >= 0) {
        if (body->size_digits++ == SIZE_DIGITS_MAX)
            return H1_CHUNK;
        body->left = body->left << 4 | (unsigned)digit;
        return H1_FINE;
    }
    if (!body->size_digits)
        return H1_CHUNK;
    if (c == ';') {
        body->state = H1_BODY_EXTENSION;
    } else if (c == ' ' || c == '\t') {
        body->state = H1_BODY_SIZE_SPACE;
    } else if (c == '\r' && body->state == H1_BODY_SIZE) {
        body->state = H1_BODY_SIZE_LF;
        return H1_FINE;
    } else {
        return H1_CHUNK;
    }
    bool is_too_much = body->extension_bytes++ == body->limits->chunk_extension_bytes_max;
    return is_too_much ? H1_EXTENSIONS_LARGE : H1_FINE;
}

static enum h1_problem take_extension(struct h1_body *body, const char *data, size_t len,
                                      size_t *used)
{
    *used = char_class_value_len(data, len);
    if (*used > body->limits->chunk_extension_bytes_max - body->extension_bytes)
        return H1_EXTENSIONS_LARGE;
    body->extension_bytes += (uint32_t)*used;
    if (*used == len)
        return H1_FINE;
    if (data[*used] != '\r')
        return H1_CHUNK;
    *used += 1;
    body->state = H1_BODY_SIZE_LF;
    return H1_FINE;
}

static void begin_chunk_data(struct h1_body *body)
{
    body->state = body->left ? H1_BODY_DATA : H1_BODY_LAST;
}

static void begin_chunk_size(struct h1_body *body)
{
    body->state = H1_BODY_SIZE;
    body->left = 0;
    body->size_digits = 0;
}

/* The trailer section is there as a whole: it must be well-formed, and is dropped, as RFC
 * 9110 6.5.1 allows; so nothing in it can be taken for a header (threats S6). */
static enum h1_problem finish_trailers(struct h1_body *body)
{
    struct header_list dropped;
    struct h1_cursor cursor = {.at = body->trailer_data,
                               .end = body->trailer_data + body->trailer_len};
    header_list_init(&dropped, body->arena);
    enum h1_problem problem = h1_take_lines(&cursor, body->limits->header_count_max, &dropped);
    if (problem != H1_FINE)
        return problem == H1_HEADERS_MANY ? problem : H1_TRAILER;
    body->state = H1_BODY_DONE;
    return H1_FINE;
}

/* Gathers the trailer section, up to the end of a line at a time. */
static enum h1_problem take_trailer(struct h1_body *body, const char *data, size_t len,
                                    size_t *used)
{
    const char *line_end = memchr(data, '\n', len);
    *used = line_end ? (size_t)(line_end - data) + 1 : len;
    if (*used > body->limits->trailer_bytes_max - body->trailer_len)
        return H1_TRAILERS_LARGE;
    if (!body->trailer_data)
        body->trailer_data = arena_alloc(body->arena, body->limits->trailer_bytes_max);
    memcpy(body->trailer_data + body->trailer_len, data, *used);
    body->trailer_len += (uint32_t)*used;
    struct str section = {.data = body->trailer_data, .len = body->trailer_len};
    if (!line_end)
        return H1_FINE;
    if (!str_ends_with(section, STR("\r\n")))
        return H1_TRAILER;
    return str_ends_with(section, STR("\r\n\r\n")) ? finish_trailers(body) : H1_FINE;
}

/* Takes some bytes that are not payload, at least one. */
static enum h1_problem take_framing(struct h1_body *body, const char *data, size_t len,
                                    size_t *used)
{
    char c = data[0];
    *used = 1;
    switch (body->state) {
    case H1_BODY_SIZE:
    case H1_BODY_SIZE_SPACE:
        return take_size_byte(body, c);
    case H1_BODY_EXTENSION:
        return take_extension(body, data, len, used);
    case H1_BODY_SIZE_LF:
        begin_chunk_data(body);
        return c == '\n' ? H1_FINE : H1_CHUNK;
    case H1_BODY_DATA_CR:
        body->state = H1_BODY_DATA_LF;
        return c == '\r' ? H1_FINE : H1_CHUNK;
    case H1_BODY_DATA_LF:
        begin_chunk_size(body);
        return c == '\n' ? H1_FINE : H1_CHUNK;
    case H1_BODY_LAST:
        *used = c == '\r';
        body->state = c == '\r' ? H1_BODY_LAST_LF : H1_BODY_TRAILER;
        return H1_FINE;
    case H1_BODY_LAST_LF:
        body->state = H1_BODY_DONE;
        return c == '\n' ? H1_FINE : H1_TRAILER;
    case H1_BODY_TRAILER:
        return take_trailer(body, data, len, used);
    case H1_BODY_DATA:
    case H1_BODY_REST:
    case H1_BODY_DONE:
        break;
    }
    assert_failed("a state with framing", __FILE__, __LINE__);
}

static struct str take_payload(struct h1_body *body, const char *data, size_t len)
{
    struct str run = {.data = data, .len = len < body->left ? len : (size_t)body->left};
    body->payload_bytes += run.len;
    if (body->state == H1_BODY_REST)
        return run;
    body->left -= run.len;
    if (!body->left)
        body->state = body->is_chunked ? H1_BODY_DATA_CR : H1_BODY_DONE;
    return run;
}

int h1_body_decode(struct h1_body *body, const char *data, size_t len, size_t *ret_consumed,
                   struct str *ret_run, struct h1_error *ret_error)
{
    ASSERT(len && body->state != H1_BODY_DONE);
    struct str run = {0};
    size_t at = 0, used;
    while (at < len && body->state != H1_BODY_DONE) {
        if (body->state == H1_BODY_DATA || body->state == H1_BODY_REST) {
            if (run.len)
                break;
            run = take_payload(body, data + at, len - at);
            at += run.len;
            continue;
        }
        enum h1_problem problem = take_framing(body, data + at, len - at, &used);
        if (problem != H1_FINE)
            return h1_fail(problem, true, ret_error);
        at += used;
    }
    *ret_consumed = at;
    *ret_run = run;
    return 0;
}

int h1_body_close(struct h1_body *body)
{
    if (body->state == H1_BODY_REST)
        body->state = H1_BODY_DONE;
    return body->state == H1_BODY_DONE ? 0 : ERR_CLOSED;
}

uint64_t h1_body_left(const struct h1_body *body)
{
    if (body->state == H1_BODY_DONE)
        return 0;
    return body->is_chunked ? UINT64_MAX : body->left;
}

size_t h1_write_chunk_size(char memory[H1_CHUNK_SIZE_LINE_MAX], uint64_t len)
{
    size_t digits = len ? (size_t)(67 - __builtin_clzll(len)) / 4 : 1;
    for (size_t i = digits; i-- > 0; len >>= 4)
        memory[i] = "0123456789abcdef"[len & 15];
    memory[digits] = '\r';
    memory[digits + 1] = '\n';
    return digits + 2;
}
