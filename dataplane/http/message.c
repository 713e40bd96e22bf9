#include "dataplane/http/message.h"

#include "dataplane/http/char_class.h"

#include <arpa/inet.h>

void http_request_init(struct http_request *request, struct arena *arena)
{
    *request = (struct http_request){0};
    header_list_init(&request->headers, arena);
}

void http_response_init(struct http_response *response, struct arena *arena)
{
    *response = (struct http_response){0};
    header_list_init(&response->headers, arena);
}

static const struct str method_names[] = {
#define METHOD_NAME(id, name) [HTTP_##id] = {.data = (name), .len = sizeof(name) - 1},
    HTTP_METHOD_LIST(METHOD_NAME)
#undef METHOD_NAME
};

enum http_method http_method_of(struct str method)
{
    for (unsigned id = 1; id < sizeof method_names / sizeof *method_names; id++)
        if (str_equal(method_names[id], method))
            return (enum http_method)id;
    return HTTP_OTHER;
}

bool http_method_is_common(struct str method)
{
    static const struct str others[] = {
        {"ACL", 3},       {"BIND", 4},        {"CHECKOUT", 8}, {"COPY", 4},   {"LINK", 4},
        {"LOCK", 4},      {"MERGE", 5},       {"MKCOL", 5},    {"MOVE", 4},   {"MKACTIVITY", 10},
        {"MSEARCH", 7},   {"MKCALENDAR", 10}, {"NOTIFY", 6},   {"PURGE", 5},  {"PROPFIND", 8},
        {"PROPPATCH", 9}, {"REBIND", 6},      {"REPORT", 6},   {"SEARCH", 6}, {"SUBSCRIBE", 9},
        {"SOURCE", 6},    {"UNBIND", 6},      {"UNLINK", 6},   {"UNLOCK", 6}, {"UNSUBSCRIBE", 11},
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (str_equal(others[i], method))
            return true;
    return http_method_of(method) != HTTP_OTHER;
}

bool http_request_is_grpc(const struct http_request *request)
{
    struct str type = header_list_value(&request->headers, HEADER_CONTENT_TYPE);
    const struct str grpc = STR("application/grpc");
    return str_starts_with(type, grpc) && (type.len == grpc.len || type.data[grpc.len] == '+');
}

/* The length of the [IPv6] at the start of text, 0 where there is none. */
static size_t ip_literal_len(struct str text)
{
    char address[INET6_ADDRSTRLEN];
    struct in6_addr parsed;
    size_t end = str_find_char(text, ']', 0);
    if (end == text.len || end - 1 >= sizeof address || memchr(text.data, '\0', end))
        return 0;
    memcpy(address, text.data + 1, end - 1);
    address[end - 1] = '\0';
    return inet_pton(AF_INET6, address, &parsed) == 1 ? end + 1 : 0;
}

/* The length of the reg-name or IPv4 address at the start of text. */
static size_t reg_name_len(struct str text)
{
    size_t i = 0;
    while (i < text.len) {
        if (char_is(text.data[i], CHAR_HOST))
            i++;
        else if (text.data[i] == '%' && text.len - i > 2 && char_is(text.data[i + 1], CHAR_HEX) &&
                 char_is(text.data[i + 2], CHAR_HEX))
            i += 3;
        else
            break;
    }
    return i;
}

bool http_authority_is_valid(struct str text)
{
    bool is_literal = text.len && text.data[0] == '[';
    size_t host_len = is_literal ? ip_literal_len(text) : reg_name_len(text);
    if (!host_len)
        return false;
    if (host_len == text.len)
        return true;
    uint64_t port;
    struct str digits = str_slice(text, host_len + 1, text.len);
    return text.data[host_len] == ':' && digits.len <= 5 && str_to_u64(digits, 65535, &port);
}

#define REASON(status, text)                                                                       \
    {                                                                                              \
        (status),                                                                                  \
        {                                                                                          \
            (text), sizeof(text) - 1                                                               \
        }                                                                                          \
    }

static const struct {
    unsigned status;
    struct str reason;
} reasons[] = {
    REASON(100, "Continue"),
    REASON(101, "Switching Protocols"),
    REASON(102, "Processing"),
    REASON(103, "Early Hints"),
    REASON(200, "OK"),
    REASON(201, "Created"),
    REASON(202, "Accepted"),
    REASON(203, "Non-Authoritative Information"),
    REASON(204, "No Content"),
    REASON(205, "Reset Content"),
    REASON(206, "Partial Content"),
    REASON(207, "Multi-Status"),
    REASON(208, "Already Reported"),
    REASON(226, "IM Used"),
    REASON(300, "Multiple Choices"),
    REASON(301, "Moved Permanently"),
    REASON(302, "Found"),
    REASON(303, "See Other"),
    REASON(304, "Not Modified"),
    REASON(305, "Use Proxy"),
    REASON(307, "Temporary Redirect"),
    REASON(308, "Permanent Redirect"),
    REASON(400, "Bad Request"),
    REASON(401, "Unauthorized"),
    REASON(402, "Payment Required"),
    REASON(403, "Forbidden"),
    REASON(404, "Not Found"),
    REASON(405, "Method Not Allowed"),
    REASON(406, "Not Acceptable"),
    REASON(407, "Proxy Authentication Required"),
    REASON(408, "Request Timeout"),
    REASON(409, "Conflict"),
    REASON(410, "Gone"),
    REASON(411, "Length Required"),
    REASON(412, "Precondition Failed"),
    REASON(413, "Payload Too Large"),
    REASON(414, "URI Too Long"),
    REASON(415, "Unsupported Media Type"),
    REASON(416, "Range Not Satisfiable"),
    REASON(417, "Expectation Failed"),
    REASON(421, "Misdirected Request"),
    REASON(422, "Unprocessable Entity"),
    REASON(423, "Locked"),
    REASON(424, "Failed Dependency"),
    REASON(425, "Too Early"),
    REASON(426, "Upgrade Required"),
    REASON(428, "Precondition Required"),
    REASON(429, "Too Many Requests"),
    REASON(431, "Request Header Fields Too Large"),
    REASON(451, "Unavailable For Legal Reasons"),
    REASON(500, "Internal Server Error"),
    REASON(501, "Not Implemented"),
    REASON(502, "Bad Gateway"),
    REASON(503, "Service Unavailable"),
    REASON(504, "Gateway Timeout"),
    REASON(505, "HTTP Version Not Supported"),
    REASON(506, "Variant Also Negotiates"),
    REASON(507, "Insufficient Storage"),
    REASON(508, "Loop Detected"),
    REASON(511, "Network Authentication Required"),
};
#undef REASON

struct str http_reason_of(unsigned status)
{
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return STR("Unknown");
}
