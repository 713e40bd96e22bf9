#include "dataplane/http/h1_write.h"

#include "dataplane/http/char_class.h"

#define BIT(id) (1ull << HEADER_##id)

/* Never copied from a list: the message's own fields decide. */
static const uint64_t own_lines = BIT(CONNECTION) | BIT(KEEP_ALIVE) | BIT(PROXY_CONNECTION) |
                                  BIT(UPGRADE) | BIT(CONTENT_LENGTH) | BIT(TRANSFER_ENCODING);

enum { DECIMAL_LEN_MAX = 20 };

static size_t decimal_len(uint64_t value)
{
    size_t len = 1;
    while (value >= 10) {
        value /= 10;
        len++;
    }
    return len;
}

static char *put(char *at, struct str s)
{
    return s.len ? mempcpy(at, s.data, s.len) : at;
}

static char *put_decimal(char *at, uint64_t value)
{
    size_t len = decimal_len(value);
    for (size_t i = len; i-- > 0; value /= 10)
        at[i] = (char)('0' + value % 10);
    return at + len;
}

static char *put_line(char *at, struct str name, struct str value)
{
    at = put(at, name);
    *at++ = ':';
    *at++ = ' ';
    at = put(at, value);
    *at++ = '\r';
    *at++ = '\n';
    return at;
}

static size_t line_size(struct str name, struct str value)
{
    return name.len + 2 + value.len + 2;
}

/* --- the lines a message's fields call for --------------------------------------------------- */

/* Values of the lines we make; data NULL: no such line. */
struct framing {
    struct str upgrade;
    struct str connection;
    struct str length;
    struct str transfer_encoding;
    char length_digits[DECIMAL_LEN_MAX];
};

static void set_length(struct framing *framing, uint64_t length)
{
    char *end = put_decimal(framing->length_digits, length);
    framing->length =
        (struct str){.data = framing->length_digits, .len = (size_t)(end - framing->length_digits)};
}

static void set_upgrade(struct framing *framing, const struct header_list *headers)
{
    framing->upgrade = header_list_value(headers, HEADER_UPGRADE);
    framing->connection = STR("upgrade");
}

static size_t framing_size(const struct framing *framing)
{
    size_t size = 0;
    if (framing->upgrade.data)
        size += line_size(STR("upgrade"), framing->upgrade);
    if (framing->connection.data)
        size += line_size(STR("connection"), framing->connection);
    if (framing->length.data)
        size += line_size(STR("content-length"), framing->length);
    if (framing->transfer_encoding.data)
        size += line_size(STR("transfer-encoding"), framing->transfer_encoding);
    return size;
}

static char *put_framing(char *at, const struct framing *framing)
{
    if (framing->upgrade.data)
        at = put_line(at, STR("upgrade"), framing->upgrade);
    if (framing->connection.data)
        at = put_line(at, STR("connection"), framing->connection);
    if (framing->length.data)
        at = put_line(at, STR("content-length"), framing->length);
    if (framing->transfer_encoding.data)
        at = put_line(at, STR("transfer-encoding"), framing->transfer_encoding);
    return at;
}

/* Whether the method gives content a meaning; then a request without any says so by a length of 0,
 * and no server waits for it (RFC 9110 8.6). As in Envoy. */
static bool expects_content(const struct http_request *request)
{
    switch (request->method_id) {
    case HTTP_GET:
    case HTTP_HEAD:
    case HTTP_DELETE:
    case HTTP_TRACE:
    case HTTP_CONNECT:
        return false;
    case HTTP_POST:
    case HTTP_PUT:
    case HTTP_PATCH:
    case HTTP_OPTIONS:
    case HTTP_OTHER:
        return true;
    }
    return true;
}

static int request_framing(const struct http_request *request, struct framing *framing)
{
    framing->upgrade = framing->connection = framing->length = framing->transfer_encoding =
        (struct str){0};
    if (request->is_upgrade)
        set_upgrade(framing, &request->headers);
    else if (!request->keep_alive)
        framing->connection = STR("close");
    if (request->is_upgrade && !header_value_is_valid(framing->upgrade))
        return ERR_INVALID;
    switch (request->body_kind) {
    case BODY_NONE:
        if (header_list_has(&request->headers, HEADER_CONTENT_LENGTH) || expects_content(request))
            set_length(framing, 0);
        return 0;
    case BODY_LENGTH:
        set_length(framing, request->content_length);
        return 0;
    case BODY_CHUNKED:
        framing->transfer_encoding = STR("chunked");
        return 0;
    case BODY_UNTIL_CLOSE:
        break;
    }
    return ERR_INVALID; /* a request cannot end by closing */
}

/* The content-length an answer without a body may carry. */
static int bodiless_length(const struct http_response *response, struct framing *framing)
{
    uint64_t length;
    if (response->status < 200 || response->status == 204)
        return 0;
    if (response->status != 304 && !response->answers_head) {
        set_length(framing, 0);
        return 0;
    }
    struct str told = header_list_value(&response->headers, HEADER_CONTENT_LENGTH);
    if (!told.data)
        return 0;
    if (!str_to_u64(told, INT64_MAX, &length))
        return ERR_INVALID;
    set_length(framing, length);
    return 0;
}

static int response_framing(const struct http_response *response, struct framing *framing)
{
    framing->upgrade = framing->connection = framing->length = framing->transfer_encoding =
        (struct str){0};
    if (response->status == 101)
        set_upgrade(framing, &response->headers);
    else if (!response->keep_alive || response->body_kind == BODY_UNTIL_CLOSE)
        framing->connection = response->status < 200 ? (struct str){0} : STR("close");
    else if (response->is_http10)
        framing->connection = STR("keep-alive");
    if (response->status == 101 && !header_value_is_valid(framing->upgrade))
        return ERR_INVALID;
    if (response->body_kind == BODY_NONE)
        return bodiless_length(response, framing);
    if (response->status < 200 || response->status == 204 || response->status == 304 ||
        response->answers_head)
        return ERR_INVALID;
    if (response->body_kind == BODY_LENGTH)
        set_length(framing, response->content_length);
    if (response->body_kind == BODY_CHUNKED)
        framing->transfer_encoding = STR("chunked");
    return response->body_kind == BODY_CHUNKED && response->is_http10 ? ERR_INVALID : 0;
}

/* --- lists ----------------------------------------------------------------------------------- */

/* An interned name is one of our own table. */
static bool is_fit(const struct header *header)
{
    return (header->id != HEADER_OTHER || header_name_is_valid(header->name)) &&
           header_value_is_valid(header->value);
}

static int list_size(const struct header_list *list, uint64_t skipped, size_t *size)
{
    size_t sum = 0;
    for (uint32_t i = 0; i < list->len; i++) {
        const struct header *header = &list->items[i];
        if (skipped >> header->id & 1)
            continue;
        if (!(header->flags & HEADER_IS_CHECKED) && !is_fit(header))
            return ERR_INVALID;
        sum += line_size(header->name, header->value);
    }
    *size += sum;
    return 0;
}

static char *put_list(char *at, const struct header_list *list, uint64_t skipped)
{
    for (uint32_t i = 0; i < list->len; i++) {
        const struct header *header = &list->items[i];
        if (!(skipped >> header->id & 1))
            at = put_line(at, header->name, header->value);
    }
    return at;
}

/* --- requests -------------------------------------------------------------------------------- */

static bool is_of_class(struct str s, enum char_class wanted)
{
    for (size_t i = 0; i < s.len; i++)
        if (!char_is(s.data[i], wanted))
            return false;
    return s.len > 0;
}

static struct str target_of(const struct http_request *request)
{
    return request->method_id == HTTP_CONNECT ? request->authority : request->path;
}

static bool is_writable_target(const struct http_request *request)
{
    struct str path = request->path;
    if (request->method_id == HTTP_CONNECT)
        return true; /* it is the authority, which is looked at anyway */
    bool has_form = path.len && (path.data[0] == '/' || (path.len == 1 && path.data[0] == '*' &&
                                                         request->method_id == HTTP_OPTIONS));
    return has_form && is_of_class(path, CHAR_TARGET);
}

int h1_request_size(const struct http_request *request, size_t *ret_size)
{
    struct framing framing;
    int err = request_framing(request, &framing);
    if (err)
        return err;
    if (!is_of_class(request->method, CHAR_TOKEN) || !is_writable_target(request) ||
        !http_authority_is_valid(request->authority))
        return ERR_INVALID;
    size_t size = request->method.len + target_of(request).len + sizeof "  HTTP/1.1\r\n" - 1;
    size += line_size(STR("host"), request->authority) + framing_size(&framing) + 2;
    err = list_size(&request->headers, own_lines | BIT(HOST), &size);
    if (err)
        return err;
    *ret_size = size;
    return 0;
}

char *h1_write_request(const struct http_request *request, char *memory)
{
    struct framing framing;
    int err = request_framing(request, &framing);
    ASSERT(!err); /* h1_request_size has said so */
    char *at = put(memory, request->method);
    *at++ = ' ';
    at = put(at, target_of(request));
    at = put(at, STR(" HTTP/1.1\r\n"));
    at = put_line(at, STR("host"), request->authority);
    at = put_list(at, &request->headers, own_lines | BIT(HOST));
    at = put_framing(at, &framing);
    return put(at, STR("\r\n"));
}

/* --- responses ------------------------------------------------------------------------------- */

int h1_response_size(const struct http_response *response, size_t *ret_size)
{
    struct framing framing;
    if (response->status < 100 || response->status > 999)
        return ERR_INVALID;
    int err = response_framing(response, &framing);
    if (err)
        return err;
    size_t size = sizeof "HTTP/1.1 200 \r\n" - 1 + http_reason_of(response->status).len;
    size += framing_size(&framing) + 2;
    err = list_size(&response->headers, own_lines, &size);
    if (err)
        return err;
    *ret_size = size;
    return 0;
}

char *h1_write_response(const struct http_response *response, char *memory)
{
    struct framing framing;
    int err = response_framing(response, &framing);
    ASSERT(!err); /* h1_response_size has said so */
    char *at = put(memory, STR("HTTP/1.1 "));
    at = put_decimal(at, response->status);
    *at++ = ' ';
    at = put(at, http_reason_of(response->status));
    at = put(at, STR("\r\n"));
    at = put_list(at, &response->headers, own_lines);
    at = put_framing(at, &framing);
    return put(at, STR("\r\n"));
}
