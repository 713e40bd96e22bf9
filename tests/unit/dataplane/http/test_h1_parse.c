/* Heads of requests and responses: what is taken and how it is read, what is refused and with which
 * answer; and that it makes no difference in which pieces the bytes come. */
#include "dataplane/http/h1_parse.h"

#include "common/base/mem.h"
#include "tests/support/test.h"

/* A message and what is to become of it: status 0 and details NULL for one that is taken. */
struct row {
    struct str text;
    unsigned status;
    const char *details;
};

#define GOOD(literal)                                                                              \
    {                                                                                              \
        {(literal), sizeof(literal) - 1}, 0, NULL                                                  \
    }
#define BAD(status, details, literal)                                                              \
    {                                                                                              \
        {(literal), sizeof(literal) - 1}, (status), (details)                                      \
    }

#define SYNTAX "http1.codec_error"
#define URL "http1.invalid_url"
#define BAD_HOST "http1.invalid_host"
#define LENGTH "http1.invalid_content_length"
#define CODING "http1.invalid_transfer_encoding"

static const struct row requests[] = {
    GOOD("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    GOOD("GET / HTTP/1.1\r\nHost:a\r\n\r\n"),
    GOOD("GET / HTTP/1.1\r\nHost: \t a.example:8080 \t\r\n\r\n"),
    GOOD("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n"),
    GOOD("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"),
    GOOD("GET / HTTP/1.1\r\nHost: a_b-c.example\r\n\r\n"),
    GOOD("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    GOOD("GET /a?b=c&d=%20;e HTTP/1.1\r\nHost: a\r\nX: \xff\xfe obs-text \x80\r\n\r\n"),
    GOOD("GET /\"<>\\^`{|} HTTP/1.1\r\nHost: a\r\n\r\n"),
    GOOD("GET / HTTP/1.1\r\nHost: a\r\nx:\r\ny: \r\nz:\t\ta\tb\t\r\n\r\n"),
    GOOD("GET / HTTP/1.1\r\n!#$%&'*+-.^_`|~09azAZ: x\r\nHost: a\r\n\r\n"),
    GOOD("PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n"),
    GOOD("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"),
    GOOD("GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    GOOD("GET HTTPS://A:1/b?c HTTP/1.1\r\nHost: a:1\r\n\r\n"),
    GOOD("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"),
    GOOD("CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n\r\n"),
    GOOD("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\ncontent-length: 5\r\n\r\n"),
    GOOD("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775807\r\n\r\n"),
    GOOD("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: ChunKed\r\n\r\n"),
    GOOD("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \tchunked \r\n\r\n"),
    GOOD("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n"),
    GOOD("GET / HTTP/1.1\r\nHost: a\r\nConnection: close, foo, ,,Upgrade\r\n\r\n"),
    /* length and coding */
    BAD(400, "http1.content_length_and_chunked_not_allowed",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"),
    BAD(400, "http1.content_length_and_chunked_not_allowed",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n"),
    BAD(400, LENGTH,
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n"),
    BAD(400, LENGTH, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 6\r\n\r\n"),
    BAD(400, LENGTH, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 05\r\n\r\n"),
    BAD(400, LENGTH, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5,\r\n\r\n"),
    BAD(400, LENGTH, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n"),
    BAD(400, LENGTH, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n"),
    BAD(400, LENGTH, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\n"),
    BAD(400, LENGTH, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5_0\r\n\r\n"),
    BAD(400, LENGTH, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5 0\r\n\r\n"),
    BAD(400, LENGTH, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5.0\r\n\r\n"),
    BAD(400, LENGTH, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \xd9\xa5\r\n\r\n"),
    BAD(400, LENGTH, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n"),
    BAD(400, LENGTH, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \r\nContent-Length: 5\r\n\r\n"),
    BAD(400, LENGTH, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775808\r\n\r\n"),
    BAD(400, LENGTH, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551621\r\n\r\n"),
    BAD(400, SYNTAX, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\n"),
    BAD(400, SYNTAX, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\v\r\n\r\n"),
    BAD(400, CODING, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n"),
    BAD(400, CODING, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity, chunked\r\n\r\n"),
    BAD(400, CODING, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"),
    BAD(400, CODING, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n"),
    BAD(400, CODING, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n"),
    BAD(400, CODING, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n"),
    BAD(400, CODING, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked;q=1\r\n\r\n"),
    BAD(400, CODING, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: ,chunked\r\n\r\n"),
    BAD(400, CODING, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n"),
    BAD(400, CODING,
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
        "Transfer-Encoding: chunked\r\n\r\n"),
    BAD(400, CODING,
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n"
        "Transfer-Encoding: chunked\r\n\r\n"),
    BAD(400, SYNTAX, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n"),
    BAD(400, SYNTAX, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\vchunked\r\n\r\n"),
    BAD(400, SYNTAX, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n"),
    BAD(400, SYNTAX, "POST / HTTP/1.1\r\nHost: a\r\nX: y\rTransfer-Encoding: chunked\r\n\r\n"),
    BAD(400, SYNTAX, "POST / HTTP/1.1\r\nHost: a\r\nX: y\nTransfer-Encoding: chunked\r\n\r\n"),
    /* line ends, blanks and controls */
    BAD(400, SYNTAX, "GET / HTTP/1.1\nHost: a\r\n\r\n"),
    BAD(400, SYNTAX, "GET / HTTP/1.1\r\nHost: a\n\r\n"),
    BAD(400, SYNTAX, "GET / HTTP/1.1\r\nHost: a\r\n\n"),
    BAD(400, SYNTAX, "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n"),
    BAD(400, SYNTAX, "GET / HTTP/1.1\r\nHost: a\r\n\rX: y\r\n\r\n"),
    BAD(400, SYNTAX, "GET / HTTP/1.1\rHost: a\r\n\r\n"),
    BAD(400, SYNTAX, "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    BAD(400, SYNTAX, "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    BAD(400, SYNTAX, "\rGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    BAD(400, SYNTAX, " GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    BAD(400, SYNTAX, "GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
    BAD(400, SYNTAX, "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n folded\r\n\r\n"),
    BAD(400, SYNTAX, "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\tfolded\r\n\r\n"),
    BAD(400, SYNTAX, "GET / HTTP/1.1\r\nHost: a\r\n: y\r\n\r\n"),
    BAD(400, SYNTAX, "GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n"),
    BAD(400, SYNTAX, "GET / HTTP/1.1\r\nHost: a\r\nnocolon\r\n\r\n"),
    BAD(400, SYNTAX, "GET / HTTP/1.1\r\nHost: a\r\nX\0: y\r\n\r\n"),
    BAD(400, SYNTAX, "GET / HTTP/1.1\r\nHost: a\r\nX: y\0z\r\n\r\n"),
    BAD(400, SYNTAX, "GET / HTTP/1.1\r\nHost: a\r\nX: y\x7fz\r\n\r\n"),
    BAD(400, SYNTAX, "GET / HTTP/1.1\r\nHost: a\r\nX: 12345678\x01\r\n\r\n"),
    BAD(400, SYNTAX, "GET / HTTP/1.1\r\nHost: a\r\nX\xc3\xa9: y\r\n\r\n"),
    BAD(400, SYNTAX, "GET / HTTP/1.1\r\nHost: a\r\n(X): y\r\n\r\n"),
    BAD(400, SYNTAX, "G\0T / HTTP/1.1\r\nHost: a\r\n\r\n"),
    /* request line */
    BAD(400, SYNTAX, "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),
    BAD(400, SYNTAX, "GET /  HTTP/1.1\r\nHost: a\r\n\r\n"),
    BAD(400, SYNTAX, "GET / HTTP/1.1 \r\nHost: a\r\n\r\n"),
    BAD(400, SYNTAX, "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    BAD(400, URL, "GET /\tHTTP/1.1\r\nHost: a\r\n\r\n"),
    BAD(400, SYNTAX, "GET /\r\n\r\n"),
    BAD(400, SYNTAX, "GET\r\n\r\n"),
    BAD(400, SYNTAX, "GET / http/1.1\r\nHost: a\r\n\r\n"),
    BAD(400, SYNTAX, "GET / HTTP/11\r\nHost: a\r\n\r\n"),
    BAD(400, SYNTAX, "GET / HTTP/1.32\r\nHost: a\r\n\r\n"),
    BAD(400, SYNTAX, "GET / HTTP/+1.1\r\nHost: a\r\n\r\n"),
    BAD(400, SYNTAX, "GET / HTTP/1.1x\r\nHost: a\r\n\r\n"),
    BAD(400, SYNTAX, "GET / HTTP/1. 1\r\nHost: a\r\n\r\n"),
    BAD(400, SYNTAX, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    BAD(505, "http1.unsupported_version", "GET / HTTP/1.2\r\nHost: a\r\n\r\n"),
    BAD(505, "http1.unsupported_version", "GET / HTTP/2.0\r\nHost: a\r\n\r\n"),
    BAD(505, "http1.unsupported_version", "GET / HTTP/0.9\r\nHost: a\r\n\r\n"),
    BAD(426, "low_version", "GET / HTTP/1.0\r\nHost: a\r\n\r\n"),
    BAD(426, "low_version", "GET / HTTP/1.0\r\n\r\n"),
    BAD(400, "http1.invalid_method", "get / HTTP/1.1\r\nHost: a\r\n\r\n"),
    BAD(400, "http1.invalid_method", "FOO / HTTP/1.1\r\nHost: a\r\n\r\n"),
    BAD(400, "http1.invalid_method", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    BAD(400, URL, "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n"),
    BAD(400, URL, "GET /a\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n"),
    BAD(400, URL, "GET /a\x01 HTTP/1.1\r\nHost: a\r\n\r\n"),
    BAD(400, URL, "GET /a\0 HTTP/1.1\r\nHost: a\r\n\r\n"),
    BAD(400, URL, "GET /a\x7f HTTP/1.1\r\nHost: a\r\n\r\n"),
    BAD(400, URL, "GET a HTTP/1.1\r\nHost: a\r\n\r\n"),
    BAD(400, URL, "GET * HTTP/1.1\r\nHost: a\r\n\r\n"),
    BAD(400, URL, "GET ?a HTTP/1.1\r\nHost: a\r\n\r\n"),
    BAD(400, URL, "OPTIONS ** HTTP/1.1\r\nHost: a\r\n\r\n"),
    BAD(400, URL, "GET a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"),
    BAD(400, "http1.invalid_scheme", "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    BAD(400, "http1.invalid_scheme", "GET xhttp://a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    /* authority */
    BAD(400, "missing_host_header", "GET / HTTP/1.1\r\n\r\n"),
    BAD(400, "missing_host_header", "GET / HTTP/1.1\r\nHost:\r\n\r\n"),
    BAD(400, "missing_host_header", "GET http://a/ HTTP/1.1\r\n\r\n"),
    BAD(400, BAD_HOST, "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
    BAD(400, BAD_HOST, "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    BAD(400, BAD_HOST, "GET / HTTP/1.1\r\nHost: a,b\r\n\r\n"),
    BAD(400, BAD_HOST, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
    BAD(400, BAD_HOST, "GET / HTTP/1.1\r\nHost: user@a\r\n\r\n"),
    BAD(400, BAD_HOST, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    BAD(400, BAD_HOST, "GET / HTTP/1.1\r\nHost: a?b\r\n\r\n"),
    BAD(400, BAD_HOST, "GET / HTTP/1.1\r\nHost: a#b\r\n\r\n"),
    BAD(400, BAD_HOST, "GET / HTTP/1.1\r\nHost: a\\b\r\n\r\n"),
    BAD(400, BAD_HOST, "GET / HTTP/1.1\r\nHost: http://a\r\n\r\n"),
    BAD(400, BAD_HOST, "GET / HTTP/1.1\r\nHost: :80\r\n\r\n"),
    BAD(400, BAD_HOST, "GET / HTTP/1.1\r\nHost: a:\r\n\r\n"),
    BAD(400, BAD_HOST, "GET / HTTP/1.1\r\nHost: a:x\r\n\r\n"),
    BAD(400, BAD_HOST, "GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n"),
    BAD(400, BAD_HOST, "GET / HTTP/1.1\r\nHost: a:000080\r\n\r\n"),
    BAD(400, BAD_HOST, "GET / HTTP/1.1\r\nHost: a:80:80\r\n\r\n"),
    BAD(400, BAD_HOST, "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"),
    BAD(400, BAD_HOST, "GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n"),
    BAD(400, BAD_HOST, "GET / HTTP/1.1\r\nHost: [fe80::1%25eth0]\r\n\r\n"),
    BAD(400, BAD_HOST, "GET / HTTP/1.1\r\nHost: [a]\r\n\r\n"),
    BAD(400, BAD_HOST, "GET / HTTP/1.1\r\nHost: ::1\r\n\r\n"),
    BAD(400, BAD_HOST, "GET / HTTP/1.1\r\nHost: a%zz\r\n\r\n"),
    BAD(400, BAD_HOST, "GET / HTTP/1.1\r\nHost: \xc3\xa9\r\n\r\n"),
    BAD(400, BAD_HOST, "GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n"),
    BAD(400, BAD_HOST, "GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    BAD(400, BAD_HOST, "GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n"),
    BAD(400, BAD_HOST, "CONNECT a:443 HTTP/1.1\r\nHost: b:443\r\n\r\n"),
    BAD(400, URL, "CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n"),
    BAD(400, URL, "CONNECT [::1] HTTP/1.1\r\nHost: [::1]\r\n\r\n"),
    BAD(400, URL, "CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n"),
    BAD(400, URL, "CONNECT http://a:1/ HTTP/1.1\r\nHost: a:1\r\n\r\n"),
    BAD(400, "http1.content_length_not_allowed",
        "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\nContent-Length: 1\r\n\r\n"),
    BAD(400, "http1.transfer_encoding_not_allowed",
        "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\nTransfer-Encoding: chunked\r\n\r\n"),
    /* expectations */
    BAD(417, "http1.unsupported_expectation",
        "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue, x\r\n\r\n"),
    BAD(417, "http1.unsupported_expectation", "POST / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n"),
    BAD(417, "http1.unsupported_expectation",
        "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nExpect:\r\n\r\n"),
};

enum { REQUESTS = sizeof requests / sizeof *requests };

#define RESPONSE_ERROR(details, literal) BAD(502, details, literal)

static const struct row responses[] = {
    GOOD("HTTP/1.1 200 OK\r\n\r\n"),
    GOOD("HTTP/1.1 200 \r\n\r\n"),
    GOOD("HTTP/1.1 200\r\n\r\n"),
    GOOD("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\n"),
    GOOD("HTTP/1.1 999 \xe9t\xe9\tx\r\nServer: x\r\n\r\n"),
    GOOD("HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\n\r\n"),
    GOOD("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
    GOOD("HTTP/1.1 100 Continue\r\n\r\n"),
    GOOD("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"),
    GOOD("HTTP/1.1 304 Not Modified\r\nContent-Length: 12\r\n\r\n"),
    RESPONSE_ERROR(SYNTAX, "HTTP/1.1 99 x\r\n\r\n"),
    RESPONSE_ERROR(SYNTAX, "HTTP/1.1 099 x\r\n\r\n"),
    RESPONSE_ERROR(SYNTAX, "HTTP/1.1 2000 x\r\n\r\n"),
    RESPONSE_ERROR(SYNTAX, "HTTP/1.1  200 x\r\n\r\n"),
    RESPONSE_ERROR(SYNTAX, "HTTP/1.1 200 O\0K\r\n\r\n"),
    RESPONSE_ERROR(SYNTAX, "HTTP/1.1 200 OK\n\r\n"),
    RESPONSE_ERROR(SYNTAX, "HTTP/1.1 200 OK\rx\r\n\r\n"),
    RESPONSE_ERROR(SYNTAX, "\r\nHTTP/1.1 200 OK\r\n\r\n"),
    RESPONSE_ERROR(SYNTAX, "ICY 200 OK\r\n\r\n"),
    RESPONSE_ERROR(SYNTAX, "HTTP/1.1 200 OK\r\nA : b\r\n\r\n"),
    RESPONSE_ERROR(SYNTAX, "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n"),
    RESPONSE_ERROR(SYNTAX, "HTTP/1.1 200 OK\r\n: b\r\n\r\n"),
    RESPONSE_ERROR("http1.unsupported_version", "HTTP/2.0 200 OK\r\n\r\n"),
    RESPONSE_ERROR("http1.content_length_and_chunked_not_allowed",
                   "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"),
    RESPONSE_ERROR(LENGTH, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n"),
    RESPONSE_ERROR(LENGTH, "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"),
    RESPONSE_ERROR(CODING, "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"),
    RESPONSE_ERROR(CODING, "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"),
    RESPONSE_ERROR(CODING, "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
    RESPONSE_ERROR("http1.transfer_encoding_not_allowed",
                   "HTTP/1.1 103 x\r\nTransfer-Encoding: chunked\r\n\r\n"),
    RESPONSE_ERROR("http1.content_length_not_allowed",
                   "HTTP/1.1 204 x\r\nContent-Length: 3\r\n\r\n"),
    RESPONSE_ERROR("http1.content_length_not_allowed",
                   "HTTP/1.1 100 x\r\nContent-Length: 3\r\n\r\n"),
};

enum { RESPONSES = sizeof responses / sizeof *responses };

/* One parse of a message from memory of exactly its size, so that ASan sees a read behind it. */
struct attempt {
    struct arena arena;
    struct http_request request;
    struct http_response response;
    struct h1_scan scan;
    struct h1_error error;
    char *data;
    int result;
};

static void attempt_init(struct attempt *attempt)
{
    *attempt = (struct attempt){.result = ERR_AGAIN};
    arena_init(&attempt->arena, 1024);
    http_request_init(&attempt->request, &attempt->arena);
    http_response_init(&attempt->response, &attempt->arena);
}

static void attempt_done(struct attempt *attempt)
{
    mem_free(attempt->data);
    arena_done(&attempt->arena);
}

static void feed(struct attempt *attempt, bool is_request, struct str text, size_t len,
                 const struct h1_limits *limits)
{
    char *data = mem_alloc(len);
    memcpy(data, text.data, len);
    mem_free(attempt->data);
    attempt->data = data;
    attempt->result = is_request ? h1_parse_request(data, len, limits, &attempt->scan,
                                                    &attempt->request, &attempt->error)
                                 : h1_parse_response(data, len, limits, &attempt->scan, HTTP_GET,
                                                     &attempt->response, &attempt->error);
}

static struct attempt parse_request(struct str text, const struct h1_limits *limits)
{
    struct attempt attempt;
    attempt_init(&attempt);
    feed(&attempt, true, text, text.len, limits);
    return attempt;
}

static struct attempt parse_response(struct str text, enum http_method method)
{
    struct attempt attempt;
    attempt_init(&attempt);
    attempt.data = mem_alloc(text.len);
    memcpy(attempt.data, text.data, text.len);
    attempt.result = h1_parse_response(attempt.data, text.len, &h1_limits_default, &attempt.scan,
                                       method, &attempt.response, &attempt.error);
    return attempt;
}

static void expect_row(const struct row *row, const struct attempt *attempt)
{
    if (!row->status) {
        ck_assert_msg(attempt->result == (int)row->text.len, "%.*s: %d %s", STR_ARGS(row->text),
                      attempt->result, attempt->result < 0 ? attempt->error.details : "");
        return;
    }
    ck_assert_msg(attempt->result == ERR_INVALID, "%.*s: %d", STR_ARGS(row->text), attempt->result);
    ck_assert_str_eq(attempt->error.details, row->details);
    ck_assert_uint_eq(attempt->error.status, row->status);
}

START_TEST(requests_are_taken_or_refused_with_their_status)
{
    for (int i = 0; i < REQUESTS; i++) {
        struct attempt attempt = parse_request(requests[i].text, &h1_limits_default);
        expect_row(&requests[i], &attempt);
        attempt_done(&attempt);
    }
}
END_TEST

START_TEST(responses_are_taken_or_refused)
{
    for (int i = 0; i < RESPONSES; i++) {
        struct attempt attempt = parse_response(responses[i].text, HTTP_GET);
        expect_row(&responses[i], &attempt);
        attempt_done(&attempt);
    }
}
END_TEST

static void expect_same_lists(const struct header_list *a, const struct header_list *b)
{
    ck_assert_uint_eq(a->len, b->len);
    ck_assert_uint_eq(a->present, b->present);
    for (uint32_t i = 0; i < a->len; i++) {
        ck_assert(str_equal(a->items[i].name, b->items[i].name));
        ck_assert(str_equal(a->items[i].value, b->items[i].value));
        ck_assert_uint_eq(a->items[i].id, b->items[i].id);
        ck_assert_uint_eq(a->items[i].flags, b->items[i].flags);
    }
}

static void expect_same(const struct attempt *a, const struct attempt *b)
{
    ck_assert_int_eq(a->result, b->result);
    if (a->result < 0) {
        ck_assert_str_eq(a->error.details, b->error.details);
        return;
    }
    ck_assert(str_equal(a->request.path, b->request.path));
    ck_assert(str_equal(a->request.authority, b->request.authority));
    ck_assert_uint_eq(a->request.body_kind, b->request.body_kind);
    ck_assert_uint_eq(a->response.body_kind, b->response.body_kind);
    ck_assert_uint_eq(a->response.status, b->response.status);
    expect_same_lists(&a->request.headers, &b->request.headers);
    expect_same_lists(&a->response.headers, &b->response.headers);
}

/* All at once, in two pieces at every place, and byte by byte. Bytes of a next message behind it
 * are left alone. */
static void expect_pieces_do_not_matter(bool is_request, struct str text)
{
    struct attempt whole, pieces, bytes;
    attempt_init(&whole);
    feed(&whole, is_request, text, text.len, &h1_limits_default);
    attempt_init(&bytes);
    for (size_t len = 1; len <= text.len && bytes.result == ERR_AGAIN; len++) {
        feed(&bytes, is_request, text, len, &h1_limits_default);
        attempt_init(&pieces);
        feed(&pieces, is_request, text, len, &h1_limits_default);
        if (pieces.result == ERR_AGAIN && len < text.len)
            feed(&pieces, is_request, text, text.len, &h1_limits_default);
        /* A malformed head that has no end yet may be refused later. */
        if (pieces.result != ERR_AGAIN)
            expect_same(&whole, &pieces);
        attempt_done(&pieces);
    }
    if (bytes.result != ERR_AGAIN)
        expect_same(&whole, &bytes);
    else
        ck_assert(memmem(text.data, text.len, "\r\n\r\n", 4) == NULL);
    attempt_done(&bytes);
    attempt_done(&whole);
}

START_TEST(it_does_not_matter_in_which_pieces_a_head_comes)
{
    for (int i = 0; i < REQUESTS; i++)
        expect_pieces_do_not_matter(true, requests[i].text);
    for (int i = 0; i < RESPONSES; i++)
        expect_pieces_do_not_matter(false, responses[i].text);
}
END_TEST

/* What holds for whatever was taken. */
static void expect_sound(const struct attempt *attempt)
{
    const struct http_request *request = &attempt->request;
    ck_assert(http_authority_is_valid(request->authority));
    ck_assert(request->method_id == HTTP_CONNECT || request->path.data[0] == '/' ||
              request->method_id == HTTP_OPTIONS);
    ck_assert(!header_list_has(&request->headers, HEADER_HOST));
    for (uint32_t i = 0; i < request->headers.len; i++) {
        const struct header *header = &request->headers.items[i];
        ck_assert(header_name_is_valid(header->name));
        ck_assert(header_value_is_valid(header->value));
        ck_assert(str_equal(str_trim(header->value), header->value));
        ck_assert_uint_eq(header->id, header_id_of(header->name));
    }
    if (request->body_kind == BODY_CHUNKED)
        ck_assert(!header_list_has(&request->headers, HEADER_CONTENT_LENGTH));
}

START_TEST(mutated_requests_are_refused_or_sound)
{
    static const char spice[] = "\0\r\n\t :;,/?#@[]%\\\x7f\x80xX1.";
    srandom(7);
    for (int round = 0; round < 20000; round++) {
        struct str text = requests[(unsigned)random() % REQUESTS].text;
        char *copy = mem_copy_string(text.data, text.len);
        for (long n = random() % 4; n >= 0; n--)
            copy[(unsigned)random() % text.len] = spice[(unsigned)random() % (sizeof spice - 1)];
        struct attempt attempt = parse_request((struct str){copy, text.len}, &h1_limits_default);
        if (attempt.result > 0)
            expect_sound(&attempt);
        attempt_done(&attempt);
        mem_free(copy);
    }
}
END_TEST

START_TEST(a_request_is_read_into_its_parts)
{
    struct attempt attempt = parse_request(STR("POST /a/b?c=d HTTP/1.1\r\n"
                                               "Host: API.example:8080\r\n"
                                               "X-API-Key:  s3cret \r\n"
                                               "X_User: 1\r\n"
                                               "Content-Length: 12\r\n"
                                               "Expect: 100-continue\r\n\r\nGET "),
                                           &h1_limits_default);
    struct http_request *request = &attempt.request;
    ck_assert_int_gt(attempt.result, 0);
    ck_assert_str_eq_len(request->method, "POST");
    ck_assert_uint_eq(request->method_id, HTTP_POST);
    ck_assert_str_eq_len(request->path, "/a/b?c=d");
    ck_assert_str_eq_len(request->target, "/a/b?c=d");
    ck_assert_str_eq_len(request->authority, "API.example:8080");
    ck_assert_uint_eq(request->scheme.len, 0);
    ck_assert_uint_eq(request->body_kind, BODY_LENGTH);
    ck_assert_uint_eq(request->content_length, 12);
    ck_assert(request->expects_continue && request->keep_alive && !request->is_upgrade);
    ck_assert_uint_eq(request->headers.len, 4);
    ck_assert_str_eq_len(header_list_value(&request->headers, HEADER_X_API_KEY), "s3cret");
    const struct header *underscored = header_list_find_name(&request->headers, STR("x_user"));
    ck_assert_uint_eq(underscored->flags, HEADER_HAS_UNDERSCORE | HEADER_IS_CHECKED);
    ck_assert_int_eq(memcmp(attempt.data + attempt.result, "GET ", 4), 0);
    attempt_done(&attempt);
}
END_TEST

static void expect_connection(const char *text, bool keeps_alive, bool is_upgrade)
{
    struct h1_limits limits = h1_limits_default;
    limits.accepts_http10 = true;
    struct attempt attempt = parse_request(str_from(text), &limits);
    ck_assert_int_gt(attempt.result, 0);
    ck_assert_int_eq(attempt.request.keep_alive, keeps_alive);
    ck_assert_int_eq(attempt.request.is_upgrade, is_upgrade);
    attempt_done(&attempt);
}

START_TEST(connection_options_decide_about_keep_alive_and_upgrade)
{
    expect_connection("GET / HTTP/1.1\r\nHost: a\r\n\r\n", true, false);
    expect_connection("GET / HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n\r\n", false, false);
    expect_connection("GET / HTTP/1.1\r\nHost: a\r\nConnection: x\r\nConnection: a,close\r\n\r\n",
                      false, false);
    expect_connection("GET / HTTP/1.0\r\nHost: a\r\n\r\n", false, false);
    expect_connection("GET / HTTP/1.0\r\nHost: a\r\nConnection: Keep-Alive\r\n\r\n", true, false);
    expect_connection("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive, close\r\n\r\n", false,
                      false);
    expect_connection("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n"
                      "Upgrade: websocket\r\n\r\n",
                      true, true);
    expect_connection("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n", true, false);
    expect_connection("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n\r\n", true, false);
    expect_connection("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: H2C\r\n\r\n",
                      true, false);
    expect_connection("GET / HTTP/1.0\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
                      false, false);
}
END_TEST

START_TEST(http_1_0_is_taken_where_it_is_allowed)
{
    struct h1_limits limits = h1_limits_default;
    limits.accepts_http10 = true;
    struct attempt attempt = parse_request(STR("GET / HTTP/1.0\r\n\r\n"), &limits);
    ck_assert_str_eq(attempt.error.details, "missing_host_header");
    ck_assert_str_eq(attempt.error.body, "");
    attempt_done(&attempt);
    limits.http10_host = STR("default.example");
    attempt = parse_request(STR("GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n"), &limits);
    ck_assert_int_gt(attempt.result, 0);
    ck_assert(attempt.request.is_http10 && !attempt.request.expects_continue);
    ck_assert_str_eq_len(attempt.request.authority, "default.example");
    attempt_done(&attempt);
    attempt = parse_request(STR("GET http://a/ HTTP/1.0\r\n\r\n"), &limits);
    ck_assert_str_eq_len(attempt.request.authority, "a");
    attempt_done(&attempt);
    attempt = parse_request(STR("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"),
                            &limits);
    ck_assert_str_eq(attempt.error.details, CODING);
    attempt_done(&attempt);
}
END_TEST

START_TEST(any_method_is_taken_where_it_is_allowed)
{
    struct h1_limits limits = h1_limits_default;
    limits.accepts_any_method = true;
    struct attempt attempt = parse_request(STR("get / HTTP/1.1\r\nHost: a\r\n\r\n"), &limits);
    ck_assert_int_gt(attempt.result, 0);
    ck_assert_uint_eq(attempt.request.method_id, HTTP_OTHER);
    ck_assert_str_eq_len(attempt.request.method, "get");
    attempt_done(&attempt);
}
END_TEST

static void expect_path(const char *text, const char *path, const char *scheme)
{
    struct attempt attempt = parse_request(str_from(text), &h1_limits_default);
    ck_assert_int_gt(attempt.result, 0);
    ck_assert(str_equal(attempt.request.path, str_from(path)));
    ck_assert(str_equal(attempt.request.scheme, str_from(scheme)));
    attempt_done(&attempt);
}

START_TEST(every_form_of_target_gives_a_path)
{
    expect_path("GET http://a HTTP/1.1\r\nHost: a\r\n\r\n", "/", "http");
    expect_path("GET https://a?b HTTP/1.1\r\nHost: a\r\n\r\n", "/?b", "https");
    expect_path("GET http://a/b?c HTTP/1.1\r\nHost: A\r\n\r\n", "/b?c", "http");
    expect_path("OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n", "*", "http");
    expect_path("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "*", "");
    expect_path("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", "", "");
    expect_path("GET //a HTTP/1.1\r\nHost: a\r\n\r\n", "//a", "");
}
END_TEST

START_TEST(equal_content_lengths_become_one)
{
    struct attempt attempt =
        parse_request(STR("POST / HTTP/1.1\r\nContent-Length: 7, 7\r\nHost: a\r\n"
                          "Content-Length: 7\r\nX: y\r\n\r\n"),
                      &h1_limits_default);
    ck_assert_int_gt(attempt.result, 0);
    ck_assert_uint_eq(attempt.request.content_length, 7);
    ck_assert_uint_eq(attempt.request.headers.len, 2);
    ck_assert_str_eq_len(header_list_value(&attempt.request.headers, HEADER_CONTENT_LENGTH), "7");
    attempt_done(&attempt);
}
END_TEST

/* A request with a line of `len` times 'a'. */
static char *long_request(const char *before, size_t len, const char *after)
{
    char *text = mem_alloc(strlen(before) + len + strlen(after) + 1);
    char *at = stpcpy(text, before);
    memset(at, 'a', len);
    stpcpy(at + len, after);
    return text;
}

static void expect_too_large(const char *text, const struct h1_limits *limits, unsigned status,
                             const char *details)
{
    struct attempt attempt = parse_request(str_from(text), limits);
    ck_assert_int_eq(attempt.result, ERR_TOO_LARGE);
    ck_assert_uint_eq(attempt.error.status, status);
    ck_assert_str_eq(attempt.error.details, details);
    attempt_done(&attempt);
}

START_TEST(heads_over_the_limits_are_refused_complete_or_not)
{
    struct h1_limits limits = {.head_bytes_max = 1000, .header_count_max = 3};
    char *bomb = long_request("GET / HTTP/1.1\r\nHost: a\r\nX: ", 970, "\r\n\r\n");
    expect_too_large(bomb, &limits, 431, "http1.headers_too_large");
    bomb[999] = '\0';
    struct attempt attempt = parse_request(str_from(bomb), &limits);
    ck_assert_int_eq(attempt.result, ERR_AGAIN);
    attempt_done(&attempt);
    mem_free(bomb);
    bomb = long_request("GET / HTTP/1.1\r\nHost: a\r\nX: ", 1000, "");
    expect_too_large(bomb, &limits, 431, "http1.headers_too_large");
    mem_free(bomb);
    bomb = long_request("GET /", 990, " HTTP/1.1\r\nHost: a\r\n\r\n");
    expect_too_large(bomb, &limits, 431, "http1.headers_too_large");
    limits.target_bytes_max = 100;
    expect_too_large(bomb, &limits, 414, "http1.url_too_long");
    mem_free(bomb);
    expect_too_large("GET / HTTP/1.1\r\nHost: a\r\nb:\r\nc:\r\nd:\r\n\r\n", &limits, 431,
                     "http1.too_many_headers");
    attempt = parse_request(STR("GET / HTTP/1.1\r\nHost: a\r\nb:\r\nc:\r\n\r\n"), &limits);
    ck_assert_int_gt(attempt.result, 0);
    attempt_done(&attempt);
}
END_TEST

START_TEST(too_many_connection_options_are_refused)
{
    char text[4096] = "GET / HTTP/1.1\r\nHost: a\r\nConnection: ";
    for (int i = 0; i <= HEADER_CONNECTION_OPTIONS_MAX; i++)
        strncat(text, "x,", sizeof text - strlen(text) - 1);
    strncat(text, "\r\n\r\n", sizeof text - strlen(text) - 1);
    struct attempt attempt = parse_request(str_from(text), &h1_limits_default);
    ck_assert_int_eq(attempt.result, ERR_INVALID);
    ck_assert_str_eq(attempt.error.details, "http1.connection_header_rejected");
    attempt_done(&attempt);
}
END_TEST

START_TEST(a_head_that_drips_in_costs_few_attempts)
{
    char *text = long_request("GET / HTTP/1.1\r\nHost: a\r\nX: ", 50000, "\r\n\r\n");
    struct attempt attempt;
    attempt_init(&attempt);
    size_t len = strlen(text), parsed = 0, attempts = 0;
    for (size_t i = 1; i <= len; i++) {
        attempt.result = h1_parse_request(text, i, &h1_limits_default, &attempt.scan,
                                          &attempt.request, &attempt.error);
        attempts += attempt.scan.parsed != parsed;
        parsed = attempt.scan.parsed;
    }
    ck_assert_int_eq(attempt.result, (int)len);
    ck_assert_uint_le(attempts, 20);
    attempt_done(&attempt);
    mem_free(text);
}
END_TEST

static void expect_body(const char *text, enum http_method method, enum body_kind kind,
                        bool keeps_alive)
{
    struct attempt attempt = parse_response(str_from(text), method);
    ck_assert_int_gt(attempt.result, 0);
    ck_assert_uint_eq(attempt.response.body_kind, kind);
    ck_assert_int_eq(attempt.response.keep_alive, keeps_alive);
    attempt_done(&attempt);
}

START_TEST(the_end_of_a_response_follows_from_request_status_and_lines)
{
    expect_body("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", HTTP_GET, BODY_LENGTH, true);
    expect_body("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", HTTP_GET, BODY_NONE, true);
    expect_body("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP_GET, BODY_CHUNKED,
                true);
    expect_body("HTTP/1.1 200 OK\r\n\r\n", HTTP_GET, BODY_UNTIL_CLOSE, false);
    expect_body("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\n", HTTP_GET,
                BODY_LENGTH, false);
    expect_body("HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\n", HTTP_GET, BODY_LENGTH, false);
    expect_body("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", HTTP_HEAD, BODY_NONE, true);
    expect_body("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP_HEAD, BODY_NONE,
                true);
    expect_body("HTTP/1.1 200 OK\r\n\r\n", HTTP_HEAD, BODY_NONE, true);
    expect_body("HTTP/1.1 304 x\r\nContent-Length: 3\r\n\r\n", HTTP_GET, BODY_NONE, true);
    expect_body("HTTP/1.1 204 x\r\n\r\n", HTTP_GET, BODY_NONE, true);
    expect_body("HTTP/1.1 101 x\r\nUpgrade: a\r\nConnection: upgrade\r\n\r\n", HTTP_GET, BODY_NONE,
                true);
    expect_body("HTTP/1.1 200 x\r\nContent-Length: 3\r\n\r\n", HTTP_CONNECT, BODY_NONE, true);
    expect_body("HTTP/1.1 200 x\r\nContent-Length: 3\r\nTransfer-Encoding: a\r\n\r\n", HTTP_CONNECT,
                BODY_NONE, true);
    expect_body("HTTP/1.1 407 x\r\nContent-Length: 3\r\n\r\n", HTTP_CONNECT, BODY_LENGTH, true);
}
END_TEST

START_TEST(interim_answers_come_out_one_by_one)
{
    struct str text = STR("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n");
    struct attempt attempt = parse_response(text, HTTP_GET);
    ck_assert_int_eq(attempt.result, 25);
    ck_assert_uint_eq(attempt.response.status, 100);
    int used = attempt.result;
    attempt_done(&attempt);
    attempt = parse_response(str_slice(text, (size_t)used, text.len), HTTP_GET);
    ck_assert_uint_eq(attempt.response.status, 200);
    ck_assert_str_eq_len(attempt.response.reason, "OK");
    attempt_done(&attempt);
}
END_TEST

TEST_MAIN("h1_parse", requests_are_taken_or_refused_with_their_status,
          responses_are_taken_or_refused, it_does_not_matter_in_which_pieces_a_head_comes,
          mutated_requests_are_refused_or_sound, a_request_is_read_into_its_parts,
          connection_options_decide_about_keep_alive_and_upgrade,
          http_1_0_is_taken_where_it_is_allowed, any_method_is_taken_where_it_is_allowed,
          every_form_of_target_gives_a_path, equal_content_lengths_become_one,
          heads_over_the_limits_are_refused_complete_or_not,
          too_many_connection_options_are_refused, a_head_that_drips_in_costs_few_attempts,
          the_end_of_a_response_follows_from_request_status_and_lines,
          interim_answers_come_out_one_by_one)
