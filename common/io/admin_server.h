/*
 * The admin server of both daemons: a small HTTP server on a loop, for people, probes and
 * Prometheus; on libevent's evhttp. It runs on the loop's thread, handlers too; they answer at
 * once.
 *
 * GET reads and POST changes; the wrong one is answered 405. Because a browser on the operator's
 * own machine can be made to send requests here by any page it shows, the Host header must be
 * localhost, an IP address or a name that was allowed (DNS rebinding), and a POST that a web page
 * sent from elsewhere (Origin) is refused. Names that came from peers or configuration are never
 * sent as text/html.
 *
 * Limits: ADMIN_REQUEST_BYTES_MAX of head and as many of body, 15 s for a request to arrive,
 * ADMIN_REPLY_BYTES_MAX for an answer.
 */
#ifndef COMMON_IO_ADMIN_SERVER_H
#define COMMON_IO_ADMIN_SERVER_H

#include "common/base/buf.h"
#include "common/base/err.h"

struct loop;
struct admin_server;
struct evkeyvalq;

enum {
    ADMIN_REQUEST_BYTES_MAX = 16 * 1024,
    ADMIN_REPLY_BYTES_MAX = 512 * 1024 * 1024,
};

enum admin_method { ADMIN_GET, ADMIN_POST };

/* Valid during the handler only. */
struct admin_request {
    const char *path;
    const struct evkeyvalq *query;
    struct str body;
};

/* Preset to 200, text/plain and an empty body. Where the body overflows, 500 is sent instead. */
struct admin_reply {
    int status;
    const char *content_type; /* static storage */
    struct buf body;
};

typedef void admin_handler_fn(const struct admin_request *request, struct admin_reply *reply,
                              void *arg);

/* Decoded value of a query parameter, or NULL where it is missing; "" for `?name` and `?name=`. */
const char *admin_request_query(const struct admin_request *request, const char *name);

/* A server that does not listen yet. */
struct admin_server *admin_server_new(struct loop *loop);
/* Closes the listener and all connections. NULL is fine. Not from inside a handler. */
void admin_server_free(struct admin_server *server);
/* Answers method and path (static storage, exact match) by handler. */
void admin_server_route(struct admin_server *server, enum admin_method method, const char *path,
                        admin_handler_fn *handler, void *arg);
/* Accepts this name in Host too, besides localhost and IP addresses; copied. */
void admin_server_allow_host(struct admin_server *server, const char *host);
/* Binds to "ip:port" or "[ipv6]:port" (port 0: any free one) and begins to answer. 0, ERR_INVALID
 * for an address that is none, ERR_EXISTS where the port is taken, ERR_IO otherwise; with a
 * sentence. */
int admin_server_listen(struct admin_server *server, const char *address,
                        struct errmsg *ret_msg) MUST_CHECK;
/* The port it listens on, 0 before admin_server_listen. */
uint16_t admin_server_port(const struct admin_server *server);

#endif
