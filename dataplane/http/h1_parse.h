/*
 * HTTP/1 message heads, strict by RFC 9112 and RFC 9110. No I/O, no clock; allocates only the
 * header array (and rarely a rewritten path) in the message's arena. Any thread, one message each.
 *
 * What is refused, with the answer for the client (details are tokens for the access log, Envoy's
 * where it has the case):
 *
 *   status  details                                  when
 *   400     http1.codec_error                        syntax: bare CR, LF or NUL, obs-fold, space
 *                                                    before a colon, empty or malformed name,
 *                                                    control character in a value, request line
 *                                                    that is not two single spaces; HTTP/0.9
 *   400     http1.invalid_method                     not one of Envoy's (see accepts_any_method)
 *   400     http1.invalid_url                        target with control, space, non-ASCII or '#';
 *                                                    wrong form for its method; userinfo
 *   400     http1.invalid_scheme                     absolute form with neither http nor https
 *   400     missing_host_header                      no Host (empty answer body)
 *   400     http1.invalid_host                       Host twice, malformed, or not equal to the
 *                                                    authority of an absolute-form target
 *   400     http1.invalid_content_length             not digits, over 2^63-1, or values that differ
 *   400     http1.content_length_and_chunked_not_allowed
 *   400     http1.invalid_transfer_encoding          anything but one "chunked"; in HTTP/1.0
 *   400     http1.content_length_not_allowed, http1.transfer_encoding_not_allowed   with CONNECT
 *   400     http1.connection_header_rejected         more connection options than
 *                                                    HEADER_CONNECTION_OPTIONS_MAX
 *   414     http1.url_too_long                       target over target_bytes_max
 *   417     http1.unsupported_expectation            Expect other than 100-continue
 *   426     low_version                              HTTP/1.0 unless accepts_http10
 *   431     http1.headers_too_large, http1.too_many_headers
 *   505     http1.unsupported_version                well-formed version, neither 1.0 nor 1.1
 *
 * Stricter than Envoy 1.40: a second Host, Host syntax, Host against absolute form, HTAB and FF in
 * the target, obs-fold, Expect, versions. For a response every error means the server broke the
 * protocol; status is 502 and the connection must not be used again.
 */
#ifndef DATAPLANE_HTTP_H1_PARSE_H
#define DATAPLANE_HTTP_H1_PARSE_H

#include "common/base/err.h"
#include "dataplane/http/message.h"

struct h1_limits {
    uint32_t head_bytes_max;    /* start line and header lines, at most INT_MAX; against bombs */
    uint32_t header_count_max;  /* lines; against many small ones */
    uint32_t target_bytes_max;  /* 0: only head_bytes_max */
    uint32_t trailer_bytes_max; /* trailer section of a chunked body */
    uint32_t chunk_extension_bytes_max; /* of all chunks of a body together */
    bool accepts_http10;                /* Envoy's accept_http_10 */
    bool accepts_any_method;            /* Envoy's allow_custom_methods: any token */
    struct str http10_host; /* authority of an HTTP/1.0 request without Host; empty: refused */
};

/* 60 KiB, 100 lines, 8 KiB of trailers, 4 KiB of chunk extensions: Envoy's where it has them. */
extern const struct h1_limits h1_limits_default;

/* Why a head or body was refused. All strings are static. */
struct h1_error {
    unsigned status;     /* the answer to give; 502 for responses */
    const char *details; /* token for logs and statistics */
    const char *body;    /* of the answer, may be "" */
};

/* What is remembered between calls while a head arrives in pieces: it makes the work linear in the
 * bytes however slowly they drip. Zero it for each message. */
struct h1_scan {
    size_t looked; /* no end of head before here */
    size_t parsed; /* length at the last attempt */
};

/* Parses the head at the start of data (all bytes of the message so far, len > 0; each call has the
 * same bytes again and more, at the same place or moved). Header names are made lower case in
 * place.
 *
 * Returns the bytes of the head (> 0): request (initialised by http_request_init) is filled and
 * borrows data. Otherwise ERR_AGAIN: more bytes are needed; or ERR_INVALID or ERR_TOO_LARGE:
 * ret_error says why, request is worthless (method, target and what else was read so far are set,
 * for the log) and the connection must be closed after the answer.
 *
 * One empty line before a request is skipped (and counted in the result). */
int h1_parse_request(char *data, size_t len, const struct h1_limits *limits, struct h1_scan *scan,
                     struct http_request *request, struct h1_error *ret_error) MUST_CHECK;

/* The same for the answer to a request of this method. Interim answers (1xx) come out as responses
 * of their own with BODY_NONE; the caller limits how many it takes and parses on behind them. 101
 * has BODY_NONE too: what follows belongs to the upgraded protocol, as after a 2xx to CONNECT. */
int h1_parse_response(char *data, size_t len, const struct h1_limits *limits, struct h1_scan *scan,
                      enum http_method request_method, struct http_response *response,
                      struct h1_error *ret_error) MUST_CHECK;

#endif
