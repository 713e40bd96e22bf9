/*
 * What the files of this folder share: a cluster's hosts (cluster.c), a host's connections and
 * waiting requests (pool.c), one HTTP/1.1 connection to a server (connection.c), one request
 * (request.c).
 */
#ifndef DATAPLANE_UPSTREAM_UPSTREAM_INTERNAL_H
#define DATAPLANE_UPSTREAM_UPSTREAM_INTERNAL_H

#include "common/base/map.h"
#include "common/io/socket.h"
#include "dataplane/config/stats.h"
#include "dataplane/http/h1_body.h"
#include "dataplane/http/input.h"
#include "dataplane/upstream/breaker.h"
#include "dataplane/upstream/cluster.h"
#include "dataplane/upstream/limits.h"
#include "dataplane/upstream/load_balancer.h"
#include "dataplane/upstream/outlier.h"

struct event;

struct cluster {
    struct worker *worker;
    /* Of worker->lease, or of `lease` once the cluster was removed. */
    const struct cluster_config *config;
    const struct endpoints_config *endpoints;
    struct config_lease *lease;
    struct list removed_link; /* in worker->removed_clusters */
    uint64_t generation;      /* of the last clusters_apply that saw it */

    struct cluster_stats *stats;
    struct cluster_limits *limits;
    struct breaker *breaker; /* NULL: none */
    struct outlier *outlier; /* NULL: none */

    struct host **hosts; /* of the newest endpoints */
    uint32_t host_count;
    struct map hosts_by_address;
    uint64_t hosts_generation; /* counts updates of the endpoints */
    struct list removed_hosts; /* not in `hosts` any more, with connections or requests still */

    const struct load_balancer_type *balancer_type;
    struct load_balancer *balancer;
    bool balancer_is_stale;
    uint64_t outlier_changes; /* as of the last rebuild */
    uint64_t next_return_ms;  /* an ejected host comes back then; UINT64_MAX: none */
    uint32_t requests;        /* under way */
    bool is_removed, is_freed;
    struct loop_free deferred;
};

struct host {
    struct cluster *cluster;
    struct worker *worker;
    struct address address; /* text in own memory */
    uint32_t weight, priority;
    bool is_healthy; /* by EDS */
    bool is_removed, is_freed;
    uint64_t generation; /* of the last update of the endpoints that named it */
    struct list removed_link;
    struct loop_free deferred;
    struct outlier_host *outlier; /* NULL: none */

    struct list connecting, idle, busy; /* struct upstream_connection; idle: last used first */
    struct list waiting;                /* struct upstream_request without a connection */
    uint32_t connection_count;
    uint32_t request_count; /* attached or waiting */
    uint64_t requests_total, requests_error, connects_failed;
};

enum { UPSTREAM_CONNECTION_MAGIC = 0x7570636e };

enum upstream_connection_state {
    UPSTREAM_CONNECTING,
    UPSTREAM_IDLE,
    UPSTREAM_BUSY,
    UPSTREAM_CLOSED,
};

struct upstream_connection {
    uint32_t magic;
    enum upstream_connection_state state;
    struct host *host;
    struct worker *worker;
    struct list link; /* in one of the host's lists */
    int fd;
    struct event *event;
    struct lazy_timer timer; /* connect, idle */
    struct worker_task task;
    struct loop_free deferred;

    bool is_write_blocked;
    bool is_broken; /* writing failed; what was received before is still read */
    bool is_processing;

    struct upstream_request *request; /* NULL unless BUSY */
    uint64_t requests;                /* begun on it */
    bool has_sent;                    /* bytes of request went out */
    struct input input;
    struct h1_scan scan;
    struct h1_body body;
    struct slice_queue body_data; /* empty between calls; keeps its memory */
    struct slice_queue out;
    struct str local_address; /* in local_text */
    char local_text[SOCKET_TEXT_BYTES];
};

enum upstream_request_state {
    REQUEST_WAITING,  /* for a connection */
    REQUEST_ATTACHED, /* to a connection */
    REQUEST_DONE,     /* nothing more is called */
};

struct upstream_request {
    enum upstream_request_state state;
    struct upstream_request_options options;
    struct cluster *cluster;
    struct host *host;
    struct upstream_connection *conn; /* NULL unless ATTACHED */
    struct str local_address; /* of the last conn; valid to the end of the turn it ends in */
    struct list waiting_link;
    struct breaker *breaker; /* that gave the ticket */
    struct breaker_ticket ticket;
    bool has_ticket;  /* to be reported yet */
    bool is_counted;  /* against the threshold of requests: it has got a connection */
    size_t head_size; /* of the head on the wire */
    bool is_end;      /* all of the request was handed over */
    bool has_body;    /* its head says so */
    bool is_chunked;
    bool is_corked; /* the head waits for the first body call */
    bool was_retried;
    bool has_received; /* bytes came */
    bool has_response_head;
    bool server_keeps_alive;
    bool is_paused;
    bool was_over_watermark;
    uint8_t interim_count;
    struct slice_queue body; /* framed, while waiting for a connection */
};

/* --- pool.c: connections and waiting requests of a host --- */

/* Gives request (REQUEST_WAITING, in no list) a connection, or makes it wait for one. False where
 * that cannot be (*ret_failure: over a threshold, or connecting failed at once). */
bool pool_start(struct upstream_request *request, enum upstream_failure *ret_failure);
/* The same, at the front and, if there may be one more, on a fresh connection. */
bool pool_retry(struct upstream_request *request, enum upstream_failure *ret_failure);
/* A waiting request ends. */
void pool_forget(struct upstream_request *request);
/* conn has become free (or its connect succeeded): takes the next waiting request or rests. */
void pool_connection_is_free(struct upstream_connection *conn);
/* conn could not connect: every waiting request of its host fails with it, as in Envoy. */
void pool_connect_failed(struct upstream_connection *conn, enum upstream_failure failure);
/* conn has gone: somebody who waits may need another. */
void pool_connection_closed(struct host *host);
void pool_close_idle(struct host *host);

/* --- connection.c --- */

/* Starts to connect; NULL where that fails at once (errno says why). Counted in the cluster's
 * limits by the caller. */
struct upstream_connection *upstream_connection_new(struct host *host);
/* Sends the head of request (unless that is corked). conn is IDLE or has just connected. */
void upstream_connection_attach(struct upstream_connection *conn, struct upstream_request *request);
void upstream_connection_flush(struct upstream_connection *conn);
/* Puts it among its host's idle ones. */
void upstream_connection_rest(struct upstream_connection *conn);
void upstream_connection_close(struct upstream_connection *conn);
void upstream_connection_resume(struct upstream_connection *conn);

/* --- request.c --- */

/* Ends request without an answer: statistics, breaker, outlier, and last the caller's on_failure.
 */
void upstream_request_fail(struct upstream_request *request, enum upstream_failure failure);
/* The response's head is there (counts its status). */
void upstream_request_has_head(struct upstream_request *request);
/* The exchange is complete; detached from its connection. */
void upstream_request_done(struct upstream_request *request);

/* --- cluster.c --- */

/* A host that may be picked now, or NULL. */
struct host *cluster_pick_host(struct cluster *cluster);
/* Removed hosts and clusters go with their last connection and request. */
void host_release(struct host *host);
void cluster_release(struct cluster *cluster);

#endif
