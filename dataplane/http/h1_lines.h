/* Header lines of HTTP/1, for the parsers of heads and trailers. Not for use elsewhere. */
#ifndef DATAPLANE_HTTP_H1_LINES_H
#define DATAPLANE_HTTP_H1_LINES_H

#include "dataplane/http/h1_parse.h"

/* id, status of the answer to a request, details, body of the answer */
#define H1_PROBLEM_LIST(X)                                                                         \
    X(SYNTAX, 400, "http1.codec_error", "Bad Request")                                             \
    X(METHOD, 400, "http1.invalid_method", "Bad Request")                                          \
    X(URL, 400, "http1.invalid_url", "Bad Request")                                                \
    X(SCHEME, 400, "http1.invalid_scheme", "Bad Request")                                          \
    X(NO_HOST, 400, "missing_host_header", "")                                                     \
    X(HOST, 400, "http1.invalid_host", "Bad Request")                                              \
    X(LENGTH, 400, "http1.invalid_content_length", "Bad Request")                                  \
    X(LENGTH_AND_CHUNKED, 400, "http1.content_length_and_chunked_not_allowed", "Bad Request")      \
    X(TRANSFER_ENCODING, 400, "http1.invalid_transfer_encoding", "Bad Request")                    \
    X(LENGTH_HERE, 400, "http1.content_length_not_allowed", "Bad Request")                         \
    X(CHUNKED_HERE, 400, "http1.transfer_encoding_not_allowed", "Bad Request")                     \
    X(CONNECTION, 400, "http1.connection_header_rejected", "Bad Request")                          \
    X(CHUNK, 400, "http1.invalid_chunk", "Bad Request")                                            \
    X(TRAILER, 400, "http1.invalid_trailer", "Bad Request")                                        \
    X(URL_LONG, 414, "http1.url_too_long", "URI Too Long")                                         \
    X(EXPECTATION, 417, "http1.unsupported_expectation", "Expectation Failed")                     \
    X(OLD_VERSION, 426, "low_version", "Upgrade Required")                                         \
    X(HEAD_LARGE, 431, "http1.headers_too_large", "Request Header Fields Too Large")               \
    X(HEADERS_MANY, 431, "http1.too_many_headers", "Request Header Fields Too Large")              \
    X(TRAILERS_LARGE, 431, "http1.trailers_too_large", "Request Header Fields Too Large")          \
    X(EXTENSIONS_LARGE, 413, "http1.chunk_extensions_too_large", "Payload Too Large")              \
    X(VERSION, 505, "http1.unsupported_version", "HTTP Version Not Supported")

/* H1_INCOMPLETE is no problem: more bytes are needed. */
enum h1_problem {
    H1_FINE = 0,
    H1_INCOMPLETE,
#define H1_PROBLEM_ENUM(id, status, details, body) H1_##id,
    H1_PROBLEM_LIST(H1_PROBLEM_ENUM)
#undef H1_PROBLEM_ENUM
};

/* What is left to parse. */
struct h1_cursor {
    char *at;
    char *end;
};

/* Takes lines up to and including the empty one and adds them to list, at most count_max. Returns
 * H1_FINE, H1_INCOMPLETE, H1_SYNTAX or H1_HEADERS_MANY. */
enum h1_problem h1_take_lines(struct h1_cursor *cursor, uint32_t count_max,
                              struct header_list *list);
/* Takes CRLF. Returns H1_FINE, H1_INCOMPLETE or H1_SYNTAX. */
enum h1_problem h1_take_line_end(struct h1_cursor *cursor);

/* The length that all content-length lines agree on; they become one. H1_FINE or H1_LENGTH. */
enum h1_problem h1_read_content_length(struct header_list *list, uint64_t *ret_length);
/* Whether there is exactly one transfer-encoding and it is "chunked". */
bool h1_is_chunked_only(const struct header_list *list);

enum h1_connection_option {
    H1_CLOSE = 1,
    H1_KEEP_ALIVE = 2,
    H1_UPGRADE = 4,
};
/* The options of all connection lines as bits of enum h1_connection_option. H1_FINE or
 * H1_CONNECTION (too many). */
enum h1_problem h1_read_connection(const struct header_list *list, unsigned *ret_options);

/* Fills ret_error for a problem and returns the matching negative enum err. */
int h1_fail(enum h1_problem problem, bool is_request, struct h1_error *ret_error);

#endif
