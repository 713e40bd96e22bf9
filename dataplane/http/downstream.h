/*
 * A client's connection, HTTP/1.1: bytes in, requests as streams, answers out, one request at a
 * time and in order. What a listener needs to know of it.
 *
 * A connection frees itself when it ends (at the end of that loop turn) and then tells its
 * listener. Worker's thread.
 */
#ifndef DATAPLANE_HTTP_DOWNSTREAM_H
#define DATAPLANE_HTTP_DOWNSTREAM_H

#include "dataplane/http/stream.h"

struct downstream;

/* Where connections come from. The configuration changes under it: a connection's next request uses
 * what is here then. */
struct downstream_listener {
    struct worker *worker;
    struct config_lease *lease; /* a reference; what the following belong to */
    const struct listener_config *config;
    const struct route_table *routes; /* may be NULL */
    struct http_stats *stats;
    struct list connections;
    bool is_draining;                                        /* answers close their connection */
    void (*on_closed)(struct downstream_listener *listener); /* after it left the list */
};

/* Serves the connection behind fd (non-blocking; taken), of a client at address. */
void downstream_new(struct downstream_listener *listener, int fd, const struct sockaddr *address,
                    socklen_t address_len);
/* Closes what has been idle since min_idle_ms ago; others close after their answer (is_draining).
 */
void downstream_close_idle(struct downstream_listener *listener, uint64_t min_idle_ms);
/* Cuts every connection; requests under way are aborted. */
void downstream_close_all(struct downstream_listener *listener);

#endif
