#include "dataplane/http/h1_parse.h"

#include "dataplane/http/char_class.h"
#include "dataplane/http/h1_lines.h"

const struct h1_limits h1_limits_default = {
    .head_bytes_max = 60 * 1024,
    .header_count_max = 100,
    .trailer_bytes_max = 8 * 1024,
    .chunk_extension_bytes_max = 4 * 1024,
};

/* Whether parsing again may say more than the last attempt did: always at the first call, then when
 * the end of the head has come, when the limit is reached, and whenever the bytes have doubled, so
 * that a malformed head is refused before it is complete. */
static bool is_worth_parsing(struct h1_scan *scan, const char *data, size_t len, size_t head_max)
{
    size_t from = scan->looked < 3 ? 0 : scan->looked - 3;
    bool has_end = memmem(data + from, len - from, "\r\n\r\n", 4);
    scan->looked = len;
    return has_end || len >= head_max || len / 2 >= scan->parsed;
}

/* Finishes an attempt: bytes of the head, ERR_AGAIN, or the error. */
static int finish(enum h1_problem problem, bool is_request, const struct h1_cursor *cursor,
                  const char *data, size_t len, size_t head_max, struct h1_scan *scan,
                  struct h1_error *ret_error)
{
    if (problem == H1_FINE) {
        *scan = (struct h1_scan){0};
        return (int)(cursor->at - data);
    }
    if (problem == H1_INCOMPLETE && len < head_max) {
        *scan = (struct h1_scan){.looked = len, .parsed = len};
        return ERR_AGAIN;
    }
    return h1_fail(problem == H1_INCOMPLETE ? H1_HEAD_LARGE : problem, is_request, ret_error);
}

/* --- start lines ---------------------------------------------------------------------------- */

static enum h1_problem take_method(struct h1_cursor *cursor, const struct h1_limits *limits,
                                   struct http_request *request)
{
    char *start = cursor->at, *at = start;
    while (at < cursor->end && char_is(*at, CHAR_TOKEN))
        at++;
    if (at == cursor->end)
        return H1_INCOMPLETE;
    if (*at != ' ' || at == start)
        return H1_SYNTAX;
    request->method = (struct str){.data = start, .len = (size_t)(at - start)};
    request->method_id = http_method_of(request->method);
    cursor->at = at + 1;
    bool is_taken = request->method_id != HTTP_OTHER || limits->accepts_any_method ||
                    http_method_is_common(request->method);
    return is_taken ? H1_FINE : H1_METHOD;
}

static enum h1_problem take_target(struct h1_cursor *cursor, const struct h1_limits *limits,
                                   struct http_request *request)
{
    char *start = cursor->at, *at = start;
    while (at < cursor->end && char_is(*at, CHAR_TARGET))
        at++;
    size_t len = (size_t)(at - start);
    if (limits->target_bytes_max && len > limits->target_bytes_max)
        return H1_URL_LONG;
    if (at == cursor->end)
        return H1_INCOMPLETE;
    request->target = (struct str){.data = start, .len = len};
    if (!len || *at == '\r' || *at == '\n')
        return H1_SYNTAX; /* two spaces, or the version is missing */
    if (*at != ' ')
        return H1_URL;
    cursor->at = at + 1;
    return H1_FINE;
}

/* "HTTP/1.0" or "HTTP/1.1"; another version in the right form gives H1_VERSION. */
static enum h1_problem take_version(struct h1_cursor *cursor, bool *ret_is_http10)
{
    static const char form[] = "HTTP/d.d";
    enum { VERSION_LEN = sizeof form - 1 };
    size_t len = (size_t)(cursor->end - cursor->at);
    if (len >= VERSION_LEN && memcmp(cursor->at, "HTTP/1.1", VERSION_LEN) == 0) {
        *ret_is_http10 = false;
        cursor->at += VERSION_LEN;
        return H1_FINE;
    }
    for (size_t i = 0; i < VERSION_LEN && i < len; i++) {
        char c = cursor->at[i];
        if (form[i] == 'd' ? c < '0' || c > '9' : c != form[i])
            return H1_SYNTAX;
    }
    if (len < VERSION_LEN)
        return H1_INCOMPLETE;
    bool is_http10 = memcmp(cursor->at, "HTTP/1.0", VERSION_LEN) == 0;
    cursor->at += VERSION_LEN;
    *ret_is_http10 = is_http10;
    return is_http10 ? H1_FINE : H1_VERSION;
}

static enum h1_problem take_request_line(struct h1_cursor *cursor, const struct h1_limits *limits,
                                         struct http_request *request)
{
    enum h1_problem problem = H1_FINE;
    /* RFC 9112 2.2: one empty line, as old clients send behind a body. */
    if (cursor->at < cursor->end && *cursor->at == '\r')
        problem = h1_take_line_end(cursor);
    if (problem == H1_FINE)
        problem = take_method(cursor, limits, request);
    if (problem == H1_FINE)
        problem = take_target(cursor, limits, request);
    if (problem != H1_FINE)
        return problem;
    enum h1_problem version = take_version(cursor, &request->is_http10);
    if (version != H1_FINE && version != H1_VERSION)
        return version;
    problem = h1_take_line_end(cursor);
    return problem == H1_FINE ? version : problem;
}

/* --- requests ------------------------------------------------------------------------------- */

/* Whether target, which is not in origin form, begins with this scheme; takes it off. */
static bool take_scheme(struct str *target, struct str scheme)
{
    if (target->len < scheme.len || !str_equal_nocase(str_slice(*target, 0, scheme.len), scheme))
        return false;
    *target = str_slice(*target, scheme.len, target->len);
    return true;
}

/* "http://authority/path?query": the path of the request and the authority Host must equal. */
static enum h1_problem read_absolute_form(struct http_request *request, struct str *ret_authority)
{
    struct str rest = request->target;
    if (take_scheme(&rest, STR("http://")))
        request->scheme = STR("http");
    else if (take_scheme(&rest, STR("https://")))
        request->scheme = STR("https");
    else
        return str_find(rest, STR("://")) < rest.len ? H1_SCHEME : H1_URL;
    size_t end = 0;
    while (end < rest.len && rest.data[end] != '/' && rest.data[end] != '?')
        end++;
    *ret_authority = str_slice(rest, 0, end);
    request->path = str_slice(rest, end, rest.len);
    if (request->path.len && request->path.data[0] == '/')
        return H1_FINE;
    if (!request->path.len && request->method_id == HTTP_OPTIONS) {
        request->path = STR("*"); /* RFC 9112 3.2.4 */
        return H1_FINE;
    }
    char *path = arena_alloc(request->headers.arena, request->path.len + 1);
    path[0] = '/';
    if (request->path.len)
        memcpy(path + 1, request->path.data, request->path.len);
    request->path = (struct str){.data = path, .len = request->path.len + 1};
    return H1_FINE;
}

/* Sets path and scheme; *ret_authority has data where the target names an authority. */
static enum h1_problem read_target(struct http_request *request, struct str *ret_authority)
{
    struct str target = request->target;
    *ret_authority = (struct str){0};
    if (request->method_id == HTTP_CONNECT) {
        size_t bracket = str_find_char(target, ']', 0); /* the port's colon is behind it */
        bool has_port = str_find_char(target, ':', bracket < target.len ? bracket : 0) < target.len;
        if (!has_port || !http_authority_is_valid(target))
            return H1_URL;
        *ret_authority = target;
        request->path = STR("");
        return H1_FINE;
    }
    request->path = target;
    if (target.data[0] == '/')
        return H1_FINE;
    if (target.len == 1 && target.data[0] == '*')
        return request->method_id == HTTP_OPTIONS ? H1_FINE : H1_URL;
    return read_absolute_form(request, ret_authority);
}

/* Takes host out of the list. The target's authority, where it has one, must be the same. */
static enum h1_problem read_host(struct http_request *request, const struct h1_limits *limits,
                                 struct str target_authority)
{
    const struct header *host = header_list_find(&request->headers, HEADER_HOST);
    if (host && header_list_find_next(&request->headers, host))
        return H1_HOST;
    if (host)
        request->authority = host->value;
    else if (request->is_http10)
        request->authority = target_authority.len ? target_authority : limits->http10_host;
    if (!request->authority.len)
        return H1_NO_HOST;
    if (!http_authority_is_valid(request->authority))
        return H1_HOST;
    if (target_authority.data && !str_equal_nocase(target_authority, request->authority))
        return H1_HOST;
    header_list_remove(&request->headers, HEADER_HOST);
    return H1_FINE;
}

static enum h1_problem read_request_framing(struct http_request *request)
{
    struct header_list *headers = &request->headers;
    bool is_connect = request->method_id == HTTP_CONNECT;
    bool has_length = header_list_has(headers, HEADER_CONTENT_LENGTH);
    if (header_list_has(headers, HEADER_TRANSFER_ENCODING)) {
        if (has_length)
            return H1_LENGTH_AND_CHUNKED;
        if (is_connect)
            return H1_CHUNKED_HERE;
        if (request->is_http10 || !h1_is_chunked_only(headers))
            return H1_TRANSFER_ENCODING;
        request->body_kind = BODY_CHUNKED;
        return H1_FINE;
    }
    if (!has_length)
        return H1_FINE;
    enum h1_problem problem = h1_read_content_length(headers, &request->content_length);
    if (problem != H1_FINE || !request->content_length)
        return problem;
    request->body_kind = BODY_LENGTH;
    return is_connect ? H1_LENGTH_HERE : H1_FINE;
}

static enum h1_problem read_expect(struct http_request *request)
{
    const struct header *header = header_list_find(&request->headers, HEADER_EXPECT);
    for (; header; header = header_list_find_next(&request->headers, header)) {
        if (!str_equal_nocase(header->value, STR("100-continue")))
            return H1_EXPECTATION;
        request->expects_continue = !request->is_http10;
    }
    return H1_FINE;
}

static enum h1_problem read_request_connection(struct http_request *request)
{
    unsigned options = 0;
    enum h1_problem problem = header_list_has(&request->headers, HEADER_CONNECTION)
                                  ? h1_read_connection(&request->headers, &options)
                                  : H1_FINE;
    request->keep_alive =
        !(options & H1_CLOSE) && (!request->is_http10 || (options & H1_KEEP_ALIVE));
    struct str upgrade = header_list_value(&request->headers, HEADER_UPGRADE);
    request->is_upgrade = (options & H1_UPGRADE) && !request->is_http10 && upgrade.len &&
                          !str_equal_nocase(upgrade, STR("h2c"));
    return problem;
}

/* Everything that is decided once all lines are there. */
static enum h1_problem read_request(struct http_request *request, const struct h1_limits *limits)
{
    struct str target_authority;
    if (request->is_http10 && !limits->accepts_http10)
        return H1_OLD_VERSION;
    enum h1_problem problem = read_request_framing(request);
    if (problem == H1_FINE)
        problem = read_target(request, &target_authority);
    if (problem == H1_FINE)
        problem = read_host(request, limits, target_authority);
    if (problem == H1_FINE)
        problem = read_request_connection(request);
    if (problem == H1_FINE)
        problem = read_expect(request);
    return problem;
}

int h1_parse_request(char *data, size_t len, const struct h1_limits *limits, struct h1_scan *scan,
                     struct http_request *request, struct h1_error *ret_error)
{
    size_t head_max = limits->head_bytes_max;
    if (scan->parsed && !is_worth_parsing(scan, data, len, head_max))
        return ERR_AGAIN;
    struct header_list headers = request->headers;
    header_list_clear(&headers);
    *request = (struct http_request){.headers = headers};
    struct h1_cursor cursor = {.at = data, .end = data + (len < head_max ? len : head_max)};
    enum h1_problem problem = take_request_line(&cursor, limits, request);
    if (problem == H1_FINE)
        problem = h1_take_lines(&cursor, limits->header_count_max, &request->headers);
    if (problem == H1_FINE)
        problem = read_request(request, limits);
    return finish(problem, true, &cursor, data, len, head_max, scan, ret_error);
}

/* --- responses ------------------------------------------------------------------------------ */

static enum h1_problem take_status(struct h1_cursor *cursor, struct http_response *response)
{
    unsigned status = 0;
    for (int i = 0; i < 4; i++) {
        if (cursor->at == cursor->end)
            return H1_INCOMPLETE;
        char c = *cursor->at;
        if (i == 0 ? c != ' ' : c < (i == 1 ? '1' : '0') || c > '9')
            return H1_SYNTAX;
        status = i ? status * 10 + (unsigned)(c - '0') : 0;
        cursor->at++;
    }
    response->status = status;
    return H1_FINE;
}

static enum h1_problem take_status_line(struct h1_cursor *cursor, struct http_response *response)
{
    enum h1_problem problem = take_version(cursor, &response->is_http10);
    if (problem == H1_FINE)
        problem = take_status(cursor, response);
    if (problem != H1_FINE)
        return problem;
    /* The space is required but some servers leave it out where there is no phrase. */
    if (cursor->at < cursor->end && *cursor->at == ' ') {
        char *start = ++cursor->at;
        size_t len = char_class_value_len(start, (size_t)(cursor->end - start));
        response->reason = (struct str){.data = start, .len = len};
        cursor->at += len;
    }
    return h1_take_line_end(cursor);
}

/* RFC 9112 6.3 for answers that have no body whatever their lines say. */
static enum h1_problem read_bodiless_framing(struct http_response *response, bool is_connected)
{
    struct header_list *headers = &response->headers;
    bool is_interim = response->status < 200 || response->status == 204;
    if (is_connected || is_interim) {
        if (!is_connected && header_list_has(headers, HEADER_TRANSFER_ENCODING))
            return H1_CHUNKED_HERE;
        if (!is_connected && response->content_length)
            return H1_LENGTH_HERE;
        header_list_remove(headers, HEADER_CONTENT_LENGTH);
    }
    header_list_remove(headers, HEADER_TRANSFER_ENCODING);
    response->body_kind = BODY_NONE;
    response->content_length = 0;
    return H1_FINE;
}

static enum h1_problem read_response_framing(struct http_response *response)
{
    struct header_list *headers = &response->headers;
    bool has_length = header_list_has(headers, HEADER_CONTENT_LENGTH);
    response->body_kind = BODY_UNTIL_CLOSE;
    if (header_list_has(headers, HEADER_TRANSFER_ENCODING)) {
        if (has_length)
            return H1_LENGTH_AND_CHUNKED;
        if (response->is_http10 || !h1_is_chunked_only(headers))
            return H1_TRANSFER_ENCODING;
        response->body_kind = BODY_CHUNKED;
        return H1_FINE;
    }
    if (!has_length)
        return H1_FINE;
    enum h1_problem problem = h1_read_content_length(headers, &response->content_length);
    response->body_kind = response->content_length ? BODY_LENGTH : BODY_NONE;
    return problem;
}

static enum h1_problem read_response(struct http_response *response, enum http_method method)
{
    unsigned options = 0;
    bool is_connected = method == HTTP_CONNECT && response->status / 100 == 2;
    bool is_bodiless = method == HTTP_HEAD || response->status < 200 || response->status == 204 ||
                       response->status == 304 || is_connected;
    /* What a 2xx to CONNECT says of lengths is ignored (RFC 9110 9.3.6). */
    enum h1_problem problem = is_connected ? H1_FINE : read_response_framing(response);
    if (problem == H1_FINE && is_bodiless)
        problem = read_bodiless_framing(response, is_connected);
    if (problem == H1_FINE && header_list_has(&response->headers, HEADER_CONNECTION))
        problem = h1_read_connection(&response->headers, &options);
    response->answers_head = method == HTTP_HEAD;
    response->keep_alive = !(options & H1_CLOSE) && response->body_kind != BODY_UNTIL_CLOSE &&
                           (!response->is_http10 || (options & H1_KEEP_ALIVE));
    return problem;
}

int h1_parse_response(char *data, size_t len, const struct h1_limits *limits, struct h1_scan *scan,
                      enum http_method request_method, struct http_response *response,
                      struct h1_error *ret_error)
{
    size_t head_max = limits->head_bytes_max;
    if (scan->parsed && !is_worth_parsing(scan, data, len, head_max))
        return ERR_AGAIN;
    struct header_list headers = response->headers;
    header_list_clear(&headers);
    *response = (struct http_response){.headers = headers};
    struct h1_cursor cursor = {.at = data, .end = data + (len < head_max ? len : head_max)};
    enum h1_problem problem = take_status_line(&cursor, response);
    if (problem == H1_FINE)
        problem = h1_take_lines(&cursor, limits->header_count_max, &response->headers);
    if (problem == H1_FINE)
        problem = read_response(response, request_method);
    return finish(problem, false, &cursor, data, len, head_max, scan, ret_error);
}
