/*
 * Clusters as one worker runs them: hosts with their connection pools, health and outlier state,
 * the load balancer, and the door that breaker and thresholds guard. A cluster lives as long as its
 * name is in the worker's configuration; what did not change survives an update: pools of a host
 * that is still there stay open, its ejection goes on.
 *
 * Trailers of an HTTP/1.1 answer are dropped, as in Envoy by default.
 *
 * Not there: spreading over priorities by their health (the first priority with a host that can
 * be picked gets everything), localities, subsets.
 *
 * Everything here runs on the worker's thread. The router (filters/router.c) is the only user on
 * the request path; later users (mirroring, JWKS fetch, ext_authz …) go the same way.
 */
#ifndef DATAPLANE_UPSTREAM_CLUSTER_H
#define DATAPLANE_UPSTREAM_CLUSTER_H

#include "dataplane/http/stream.h"

struct cluster;
struct host;
struct upstream_request;

/* Why a request did not get its answer. One row each: enum, Envoy's reset reason in the local
 * reply's body, whether trying again elsewhere can help. */
#define UPSTREAM_FAILURE_LIST(X)                                                                   \
    X(UPSTREAM_NO_HEALTHY_HOST, "no healthy upstream", true)                                       \
    X(UPSTREAM_BREAKER_OPEN, "no healthy upstream", false)                                         \
    X(UPSTREAM_OVERFLOW, "overflow", false)                                                        \
    X(UPSTREAM_CONNECT_FAILURE, "remote connection failure", true)                                 \
    X(UPSTREAM_CONNECT_TIMEOUT, "connection timeout", true)                                        \
    X(UPSTREAM_CONNECTION_TERMINATION, "connection termination", true)                             \
    X(UPSTREAM_PROTOCOL_ERROR, "protocol error", false)                                            \
    X(UPSTREAM_REQUEST_INVALID, "local reset", false)

enum upstream_failure {
#define UPSTREAM_FAILURE_ENUM(name, text, retryable) name,
    UPSTREAM_FAILURE_LIST(UPSTREAM_FAILURE_ENUM)
#undef UPSTREAM_FAILURE_ENUM
};
const char *upstream_failure_text(enum upstream_failure failure);

/* What the caller wants to hear. Called from a fresh stack only; after on_failure or the end of the
 * response, or after upstream_request_cancel, nothing more is called. */
struct upstream_request_ops {
    /* A final response head is in the caller's http_response. Its slices lie in chunk, on which the
     * caller takes a reference if it keeps them. is_end: no body; otherwise on_response_body
     * follows in the same turn, perhaps without data. */
    void (*on_response_head)(void *arg, struct chunk *chunk, bool is_end);
    /* Body; may take slices out of data, what it leaves is dropped. */
    void (*on_response_body)(void *arg, struct slice_queue *data, bool is_end);
    /* 1xx other than 100 and 101; interim messages are limited to UPSTREAM_INTERIM_MAX a request.
     * Valid during the call. */
    void (*on_interim_head)(void *arg, const struct http_response *interim);
    /* Bytes of the request body waiting for the upstream socket fell below the low watermark. */
    void (*on_request_drained)(void *arg);
    void (*on_failure)(void *arg, enum upstream_failure failure, bool after_response_head);
};

enum { UPSTREAM_INTERIM_MAX = 8 };

/* What to send, and where its answer goes. */
struct upstream_request_options {
    /* The head, ready for the wire but for framing, which this side makes. Borrowed until the
     * request ends: it is written at once or when a connection is there, and again on a fresh
     * connection where a pooled one turns out to be dead. */
    struct http_request *request;
    struct http_response *response; /* filled before on_response_head */
    struct arena *arena;            /* of both; outlives the request */
    bool is_end;                    /* no body follows */
    const struct upstream_request_ops *ops;
    void *arg;
};

/* Picks a host, takes a pooled connection or opens one, or waits for one. Counts against thresholds
 * and breaker. NULL where it is refused at once (*ret_failure says why, nothing is called);
 * otherwise the request lives in the arena until its last callback.
 *
 * Without is_end, upstream_request_body must follow in the same turn, perhaps without data: the
 * head waits for it, to be sent in one write.
 *
 * Tried again, once, on a fresh connection, unseen by the caller: a request without body on a
 * pooled connection that the server had closed, if no byte of an answer came and either nothing was
 * sent or its method is idempotent (RFC 9110 9.2.2). For other requests a pooled connection is
 * looked at before it is used, which costs a system call. */
struct upstream_request *upstream_request_new(struct cluster *cluster,
                                              const struct upstream_request_options *options,
                                              enum upstream_failure *ret_failure);
/* Body bytes; takes all slices. Returns the bytes waiting, for the caller to pause its source above
 * the watermark (cluster_config.connection_buffer_bytes). */
size_t upstream_request_body(struct upstream_request *request, struct slice_queue *data,
                             bool is_end);
/* Stops or goes on reading the response. */
void upstream_request_pause(struct upstream_request *request);
void upstream_request_resume(struct upstream_request *request);
/* Forgets the request; its connection is closed unless the exchange was complete. */
void upstream_request_cancel(struct upstream_request *request);
/* Tells outlier detection and breaker that the answer timed out; then cancels. */
void upstream_request_time_out(struct upstream_request *request);
/* The host chosen, and this side's address of the connection; empty until there is one. To be
 * copied: it goes with the connection. */
struct str upstream_request_host(const struct upstream_request *request);
struct str upstream_request_local_address(const struct upstream_request *request);
/* For UPSTREAM_BREAKER_OPEN: seconds until it lets a request through, at least 1. */
uint32_t cluster_retry_after_s(const struct cluster *cluster);
/* The cluster of that name in the worker's configuration, or NULL. */
struct cluster *cluster_find(const struct worker *worker, struct str name);
const struct cluster_config *cluster_get_config(const struct cluster *cluster);

/* Brings worker->clusters in line with a configuration: new ones are made, changed ones updated,
 * those that are gone close their idle connections and free themselves when the last request ends.
 * worker->lease is still the one before (NULL at first), config the one to come. */
void clusters_apply(struct worker *worker, const struct config *config);
/* Closes everything; no request may be under way. */
void clusters_done(struct worker *worker);

/* A host as an admin page shows it (/clusters); collected on each worker's thread. */
struct host_view {
    struct str address;
    uint32_t connections_active, requests_active, weight, priority;
    uint64_t requests_total, requests_error, connects_failed;
    bool is_healthy_by_eds, is_ejected;
};
typedef void cluster_view_fn(const struct cluster *cluster, const struct host_view *host,
                             void *arg);
/* The hosts of the clusters with slots in [from_slot, to_slot): a part at a time, so that ten
 * thousand clusters do not hold up requests. to_slot may be past the end. */
void clusters_view(struct worker *worker, uint32_t from_slot, uint32_t to_slot,
                   cluster_view_fn *view, void *arg);

#endif
