/*
 * A request and a response as the filter chain sees them, whatever protocol they came by. Slices
 * borrow the read buffer or the arena of the stream, which must outlive the message. A message
 * belongs to one thread.
 */
#ifndef DATAPLANE_HTTP_MESSAGE_H
#define DATAPLANE_HTTP_MESSAGE_H

#include "dataplane/http/header.h"

/* enumerator without its prefix, name as sent (methods are case-sensitive) */
#define HTTP_METHOD_LIST(X)                                                                        \
    X(GET, "GET")                                                                                  \
    X(HEAD, "HEAD")                                                                                \
    X(POST, "POST")                                                                                \
    X(PUT, "PUT")                                                                                  \
    X(DELETE, "DELETE")                                                                            \
    X(PATCH, "PATCH")                                                                              \
    X(OPTIONS, "OPTIONS")                                                                          \
    X(CONNECT, "CONNECT")                                                                          \
    X(TRACE, "TRACE")

/* HTTP_OTHER: any other method; its name is in http_request.method. */
enum http_method {
    HTTP_OTHER = 0,
#define HTTP_METHOD_ENUM(id, name) HTTP_##id,
    HTTP_METHOD_LIST(HTTP_METHOD_ENUM)
#undef HTTP_METHOD_ENUM
};

/* How the end of a body is known. */
enum body_kind {
    BODY_NONE,        /* there is none, which includes a content-length of 0 */
    BODY_LENGTH,      /* content_length bytes, more than 0 */
    BODY_CHUNKED,     /* length unknown; on HTTP/2, until END_STREAM */
    BODY_UNTIL_CLOSE, /* responses only */
};

struct http_request {
    struct str method;
    enum http_method method_id;
    struct str target;    /* as received (HTTP/1), for the access log */
    struct str path;      /* with query; begins with '/', or is "*" (OPTIONS); empty for CONNECT */
    struct str authority; /* host[:port]; the one value for routing and forwarding */
    struct str scheme;    /* "http" or "https" where the client said so; else empty */
    struct header_list headers; /* without host: that is authority */
    enum body_kind body_kind;
    uint64_t content_length; /* of BODY_LENGTH */
    bool is_http10;
    bool keep_alive;       /* the connection may be used again after this exchange */
    bool expects_continue; /* "expect: 100-continue" of an HTTP/1.1 client */
    bool is_upgrade; /* connection: upgrade with an upgrade header, not counting h2c (ignored) */
};

struct http_response {
    unsigned status;
    struct str reason; /* as received; not forwarded. Empty in a message we make */
    struct header_list headers;
    enum body_kind body_kind;
    uint64_t content_length; /* of BODY_LENGTH */
    bool is_http10;          /* parsed: the server's version; to be written: the client's version */
    bool keep_alive;         /* the connection may be used again after this exchange */
    bool answers_head;       /* to a HEAD request: content-length is information, no body follows */
};

void http_request_init(struct http_request *request, struct arena *arena);
void http_response_init(struct http_response *response, struct arena *arena);

enum http_method http_method_of(struct str method);
/* Whether Envoy takes this method by default: those above and WebDAV's and their like. */
bool http_method_is_common(struct str method);

/* Whether it is gRPC, as Envoy sees it: by a content type without parameters. */
bool http_request_is_grpc(const struct http_request *request);

/* Whether text is host[:port] of RFC 3986: reg-name, IPv4 or [IPv6], no userinfo, no comma, a port
 * of 1 to 5 digits up to 65535 where there is a colon; the host is not empty. */
bool http_authority_is_valid(struct str text);
/* The standard reason phrase of a status, "Unknown" where there is none; static storage. */
struct str http_reason_of(unsigned status);

#endif
