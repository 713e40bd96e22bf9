#include "dataplane/http/format_internal.h"
#include "dataplane/http/header_match.h"
#include "dataplane/http/stream.h"
#include "dataplane/route/route.h"

#include <stdio.h>
#include <time.h>

/* Where rendering goes. */
struct output {
    char *data;
    size_t len, cap;
    bool is_cut;
};

/* The value of an operator: text, which may stand in scratch; data NULL where it is missing. */
struct value {
    struct str text;
    char scratch[256];
};

static void put(struct output *out, struct str s)
{
    if (s.len > out->cap - out->len) {
        s.len = out->cap - out->len;
        out->is_cut = true;
    }
    if (s.len)
        memcpy(out->data + out->len, s.data, s.len);
    out->len += s.len;
}

/* --- values --- */

static void set_number(struct value *value, uint64_t number)
{
    char *end = value->scratch + sizeof value->scratch, *at = end;
    do
        *--at = (char)('0' + number % 10);
    while (number /= 10);
    value->text = (struct str){.data = at, .len = (size_t)(end - at)};
}

/* Milliseconds between two points of time; missing where one is not known. */
static void set_duration(struct value *value, uint64_t from_ns, uint64_t to_ns)
{
    if (from_ns && to_ns >= from_ns)
        set_number(value, (to_ns - from_ns) / 1000000);
}

/* While the answer is not complete: up to the latest point of time that is known. */
static uint64_t latest_ns(const struct http_stream *stream)
{
    if (stream->end_ns)
        return stream->end_ns;
    return stream->response_start_ns ? stream->response_start_ns : stream->start_ns;
}

static void set_string(struct value *value, struct str text)
{
    if (text.len)
        value->text = text;
}

static void set_address_without_port(struct value *value, struct str address)
{
    size_t end = address.len;
    while (end > 0 && address.data[end - 1] >= '0' && address.data[end - 1] <= '9')
        end--;
    if (!end || address.data[end - 1] != ':') {
        set_string(value, address);
        return;
    }
    address.len = end - 1;
    bool is_bracketed = address.len > 2 && address.data[0] == '[';
    set_string(value, is_bracketed ? str_slice(address, 1, address.len - 1) : address);
}

/* The trusted client address; with the port where it is the connection's own. */
static void set_client_address(struct value *value, const struct http_stream *stream, bool has_port)
{
    struct str client = stream->client_ip;
    set_address_without_port(value, stream->remote_address);
    if (client.len && !str_equal(client, value->text)) {
        bool is_v6 = str_find_char(client, ':', 0) < client.len;
        int len = snprintf(value->scratch, sizeof value->scratch,
                           !has_port ? "%.*s"
                           : is_v6   ? "[%.*s]:0"
                                     : "%.*s:0",
                           STR_ARGS(client));
        value->text = (struct str){.data = value->scratch, .len = (size_t)len};
    } else if (has_port) {
        set_string(value, stream->remote_address);
    }
}

static void set_flags(struct value *value, uint32_t flags)
{
    static const char names[][5] = {"UH", "UF",   "UO", "NR", "UT",  "LR",  "UR", "UC", "DI",
                                    "RL", "UAEX", "DC", "SI", "DPE", "UPE", "NC", "URX"};
    size_t len = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (flags >> i & 1) {
            size_t name_len = strlen(names[i]);
            if (len)
                value->scratch[len++] = ',';
            memcpy(value->scratch + len, names[i], name_len);
            len += name_len;
        }
    if (!len)
        value->scratch[len++] = '-';
    value->text = (struct str){.data = value->scratch, .len = len};
}

/* ":status" is put into value. */
static struct str response_header(struct value *value, const struct http_stream *stream,
                                  enum header_id id, struct str name)
{
    if (str_equal(name, STR(":status")) && stream->response.status) {
        set_number(value, stream->response.status);
        return value->text;
    }
    const struct header *header = id == HEADER_OTHER
                                      ? header_list_find_name(&stream->response.headers, name)
                                      : header_list_find(&stream->response.headers, id);
    return header ? header->value : (struct str){0};
}

/* As Envoy does, of several lines the first. */
static struct str request_header(const struct http_stream *stream, enum header_id id,
                                 struct str name)
{
    const struct http_request *request = &stream->request;
    if (name.data[0] == ':' || id == HEADER_HOST)
        return header_match_value(request, id, name, false);
    const struct header *header = id == HEADER_OTHER
                                      ? header_list_find_name(&request->headers, name)
                                      : header_list_find(&request->headers, id);
    return header ? header->value : (struct str){0};
}

static void set_header(struct value *value, const struct format_piece *piece,
                       const struct http_stream *stream)
{
    bool is_request = piece->operation == FORMAT_REQ;
    struct str text = is_request ? request_header(stream, piece->id, piece->text)
                                 : response_header(value, stream, piece->id, piece->text);
    if (!text.len && piece->other.len)
        text = is_request ? request_header(stream, piece->other_id, piece->other)
                          : response_header(value, stream, piece->other_id, piece->other);
    set_string(value, text);
}

/* --- time --- */

/* Decimal digits of number, exactly `digits` of them. */
static size_t write_digits(char *at, uint64_t number, unsigned digits)
{
    for (unsigned i = digits; i-- > 0; number /= 10)
        at[i] = (char)('0' + number % 10);
    return digits;
}

static void set_default_time(struct value *value, uint64_t wall_us, const struct tm *tm)
{
    char *at = value->scratch;
    at += write_digits(at, (uint64_t)tm->tm_year + 1900, 4);
    *at++ = '-';
    at += write_digits(at, (uint64_t)tm->tm_mon + 1, 2);
    *at++ = '-';
    at += write_digits(at, (uint64_t)tm->tm_mday, 2);
    *at++ = 'T';
    at += write_digits(at, (uint64_t)tm->tm_hour, 2);
    *at++ = ':';
    at += write_digits(at, (uint64_t)tm->tm_min, 2);
    *at++ = ':';
    at += write_digits(at, (uint64_t)tm->tm_sec, 2);
    *at++ = '.';
    at += write_digits(at, wall_us / 1000 % 1000, 3);
    *at++ = 'Z';
    value->text = (struct str){.data = value->scratch, .len = (size_t)(at - value->scratch)};
}

/* One conversion of a time format: %f and %3f (fraction, Envoy's own), %s, or one of strftime's.
 * Returns how many bytes of format it took. */
static size_t put_conversion(struct output *out, struct str format, uint64_t wall_us,
                             const struct tm *tm)
{
    char text[64];
    size_t at = 1, len = 0;
    unsigned digits = 9;
    if (at < format.len && format.data[at] >= '1' && format.data[at] <= '9')
        digits = (unsigned)(format.data[at++] - '0');
    char c = at < format.len ? format.data[at] : '%';
    if (c == 'f') {
        len = write_digits(text, wall_us % 1000000 * 1000, 9);
        len = digits < len ? digits : len;
    } else if (c == 's') {
        len = (size_t)snprintf(text, sizeof text, "%llu", (unsigned long long)(wall_us / 1000000));
    } else if (at == 1) {
        const char conversion[] = {'%', c, '\0'};
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        len = strftime(text, sizeof text, conversion, tm);
#pragma GCC diagnostic pop
    }
    put(out, (struct str){.data = text, .len = len});
    return at + 1;
}

static void set_time(struct value *value, struct str format, uint64_t wall_us)
{
    struct tm tm;
    time_t seconds = (time_t)(wall_us / 1000000);
    if (!gmtime_r(&seconds, &tm))
        return;
    if (!format.len) {
        set_default_time(value, wall_us, &tm);
        return;
    }
    struct output out = {.data = value->scratch, .cap = sizeof value->scratch};
    for (size_t i = 0; i < format.len;) {
        if (format.data[i] == '%') {
            i += put_conversion(&out, str_slice(format, i, format.len), wall_us, &tm);
            continue;
        }
        put(&out, str_slice(format, i, i + 1));
        i++;
    }
    value->text = (struct str){.data = out.data, .len = out.len};
}

/* --- one operator --- */

/* Those that print a text which the stream has. */
static struct str text_of(const struct http_stream *stream, enum format_operator operation)
{
    static const size_t offsets[] = {
        [FORMAT_UPSTREAM_HOST] = offsetof(struct http_stream, upstream_host),
        [FORMAT_UPSTREAM_REMOTE_ADDRESS] = offsetof(struct http_stream, upstream_host),
        [FORMAT_UPSTREAM_CLUSTER] = offsetof(struct http_stream, upstream_cluster),
        [FORMAT_UPSTREAM_LOCAL_ADDRESS] = offsetof(struct http_stream, upstream_local_address),
        [FORMAT_UPSTREAM_TRANSPORT_FAILURE_REASON] = offsetof(struct http_stream, upstream_failure),
        [FORMAT_DOWNSTREAM_DIRECT_REMOTE_ADDRESS] = offsetof(struct http_stream, remote_address),
        [FORMAT_DOWNSTREAM_LOCAL_ADDRESS] = offsetof(struct http_stream, local_address),
    };
    ASSERT(operation < sizeof offsets / sizeof *offsets && offsets[operation]);
    return *(const struct str *)((const char *)stream + offsets[operation]);
}

static void set_duration_of(struct value *value, const struct http_stream *stream,
                            enum format_operator operation)
{
    if (operation == FORMAT_DURATION)
        set_duration(value, stream->start_ns, latest_ns(stream));
    else if (operation == FORMAT_REQUEST_DURATION)
        set_duration(value, stream->start_ns, stream->request_end_ns);
    else if (operation == FORMAT_RESPONSE_DURATION)
        set_duration(value, stream->start_ns, stream->upstream_first_byte_ns);
    else
        set_duration(value, stream->upstream_first_byte_ns, stream->end_ns);
}

static void set_value(struct value *value, const struct format_piece *piece,
                      const struct format_input *input)
{
    const struct http_stream *stream = input->stream;
    value->text = (struct str){0};
    switch (piece->operation) {
    case FORMAT_REQ:
    case FORMAT_RESP:
        set_header(value, piece, stream);
        break;
    case FORMAT_START_TIME:
        set_time(value, piece->text, stream->start_wall_us);
        break;
    case FORMAT_PROTOCOL:
        value->text = stream->request.is_http10 ? STR("HTTP/1.0") : STR("HTTP/1.1");
        break;
    case FORMAT_RESPONSE_CODE:
        set_number(value, stream->response.status);
        break;
    case FORMAT_RESPONSE_CODE_DETAILS:
        set_string(value, str_from(stream->details));
        break;
    case FORMAT_RESPONSE_FLAGS:
        set_flags(value, stream->flags);
        break;
    case FORMAT_BYTES_RECEIVED:
        set_number(value, stream->request_body_bytes);
        break;
    case FORMAT_BYTES_SENT:
        set_number(value, stream->response_body_bytes);
        break;
    case FORMAT_UPSTREAM_REQUEST_ATTEMPT_COUNT:
        set_number(value, stream->attempts);
        break;
    case FORMAT_DURATION:
    case FORMAT_REQUEST_DURATION:
    case FORMAT_RESPONSE_DURATION:
    case FORMAT_RESPONSE_TX_DURATION:
        set_duration_of(value, stream, piece->operation);
        break;
    case FORMAT_UPSTREAM_HOST:
    case FORMAT_UPSTREAM_REMOTE_ADDRESS:
    case FORMAT_UPSTREAM_CLUSTER:
    case FORMAT_UPSTREAM_LOCAL_ADDRESS:
    case FORMAT_UPSTREAM_TRANSPORT_FAILURE_REASON:
    case FORMAT_DOWNSTREAM_DIRECT_REMOTE_ADDRESS:
    case FORMAT_DOWNSTREAM_LOCAL_ADDRESS:
        set_string(value, text_of(stream, piece->operation));
        break;
    case FORMAT_DOWNSTREAM_REMOTE_ADDRESS:
    case FORMAT_DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT:
        set_client_address(value, stream, piece->operation == FORMAT_DOWNSTREAM_REMOTE_ADDRESS);
        break;
    case FORMAT_DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT:
        set_address_without_port(value, stream->remote_address);
        break;
    case FORMAT_DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT:
        set_address_without_port(value, stream->local_address);
        break;
    case FORMAT_ROUTE_NAME:
        set_string(value, stream->route ? stream->route->name : (struct str){0});
        break;
    case FORMAT_HOSTNAME:
        set_string(value, piece->text);
        break;
    case FORMAT_LOCAL_REPLY_BODY:
        value->text = input->local_reply_body.data ? input->local_reply_body : STR("");
        break;
    }
}

/* Whether the value is printed bare in JSON. */
static bool is_number(enum format_operator operation)
{
    static const bool numbers[] = {
#define FORMAT_OPERATOR_ROW(id, name, argument, is_number) [FORMAT_##id] = is_number,
        FORMAT_OPERATOR_LIST(FORMAT_OPERATOR_ROW)
#undef FORMAT_OPERATOR_ROW
    };
    return numbers[operation];
}

/* --- output --- */

/* A value in a line of text: control characters become spaces, so that it stays one line. */
static void put_text(struct output *out, struct str text, bool is_body)
{
    size_t from = out->len;
    put(out, text);
    for (size_t i = from; !is_body && i < out->len; i++)
        if ((unsigned char)out->data[i] < 0x20 || out->data[i] == 0x7f)
            out->data[i] = ' ';
}

/* What c is escaped to inside a JSON string; bytes that are not UTF-8 as \u00XX. */
static void put_escape(struct output *out, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    char text[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
    const char *shorts = "\"\\\b\f\n\r\t", *letters = "\"\\bfnrt";
    const char *found = c ? strchr(shorts, c) : NULL;
    if (found)
        text[1] = letters[found - shorts];
    put(out, (struct str){.data = text, .len = found ? 2 : 6});
}

static void put_json_text(struct output *out, struct str text)
{
    for (size_t i = 0; i < text.len;) {
        unsigned char c = (unsigned char)text.data[i];
        size_t len = str_utf8_length(str_slice(text, i, text.len));
        if (!len || c < 0x20 || c == 0x7f || c == '"' || c == '\\') {
            put_escape(out, c);
            i++;
        } else {
            put(out, str_slice(text, i, i + len));
            i += len;
        }
    }
}

static void put_json_value(struct output *out, const struct format_piece *piece, struct str text)
{
    if (!text.data) {
        put(out, STR("null"));
    } else if (is_number(piece->operation)) {
        put(out, text);
    } else {
        put(out, STR("\""));
        put_json_text(out, text);
        put(out, STR("\""));
    }
}

/* Comma where something stands before in the same object or list, then the member's name. */
static void put_mark(struct output *out, const struct format_piece *piece)
{
    char last = out->len ? out->data[out->len - 1] : '\0';
    if (last != '{' && last != '[')
        put(out, STR(","));
    put(out, piece->text);
}

static void put_value(struct output *out, const struct format *format,
                      const struct format_piece *piece, struct str text, size_t value_max)
{
    size_t max = piece->value_max == UINT32_MAX ? value_max : piece->value_max;
    if (max > value_max)
        max = value_max;
    if (text.len > max)
        text.len = max;
    if (piece->kind == PIECE_JSON_VALUE) {
        put_json_value(out, piece, text);
        return;
    }
    if (!text.data)
        text = format->omits_empty ? STR("") : STR("-");
    if (piece->kind == PIECE_JSON_PART)
        put_json_text(out, text);
    else
        put_text(out, text, piece->operation == FORMAT_LOCAL_REPLY_BODY);
}

size_t format_render(const struct format *format, const struct format_input *input, char *out,
                     size_t cap, size_t value_max, bool *ret_is_cut)
{
    struct output output = {.data = out, .cap = cap};
    struct value value;
    for (uint32_t i = 0; i < format->piece_count; i++) {
        const struct format_piece *piece = &format->pieces[i];
        if (piece->kind == PIECE_LITERAL) {
            put(&output, piece->text);
            continue;
        }
        bool is_mark = piece->kind == PIECE_JSON_MEMBER || piece->kind == PIECE_JSON_ITEM;
        const struct format_piece *mark = is_mark ? piece : NULL;
        if (is_mark && (i + 1 == format->piece_count || piece[1].kind != PIECE_JSON_VALUE)) {
            put_mark(&output, piece);
            continue;
        }
        if (is_mark) {
            piece = &format->pieces[++i];
        }
        set_value(&value, piece, input);
        if (mark && !value.text.data && format->omits_empty)
            continue;
        if (mark)
            put_mark(&output, mark);
        put_value(&output, format, piece, value.text, value_max);
    }
    if (ret_is_cut)
        *ret_is_cut = output.is_cut;
    return output.len;
}

struct str format_render_arena(const struct format *format, const struct format_input *input,
                               struct arena *arena, size_t max)
{
    char small[1024];
    bool is_cut;
    size_t len = format_render(format, input, small, max < sizeof small ? max : sizeof small,
                               SIZE_MAX, &is_cut);
    if (!is_cut)
        return arena_copy_str(arena, (struct str){.data = small, .len = len});
    char *out = arena_alloc(arena, max);
    for (size_t value_max = max; value_max >= 16; value_max /= 4) {
        len = format_render(format, input, out, max, value_max, &is_cut);
        if (!is_cut)
            break;
    }
    return (struct str){.data = out, .len = len};
}
