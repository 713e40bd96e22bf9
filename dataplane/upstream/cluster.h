/*
 * Clusters as one worker runs them: hosts with their connection pools, health and outlier state,
 * the load balancer, and the door that breaker and thresholds guard. A cluster lives as long as its
 * name is in the worker's configuration; what did not change survives an update: pools of a host
 * that is still there stay open, its ejection goes on.
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
    X(UPSTREAM_PROTOCOL_ERROR, "protocol error", false)

enum upstream_failure {
#define UPSTREAM_FAILURE_ENUM(name, text, retryable) name,
    UPSTREAM_FAILURE_LIST(UPSTREAM_FAILURE_ENUM)
#undef UPSTREAM_FAILURE_ENUM
};
const char *upstream_failure_text(enum upstream_failure failure);

/* What the caller wants to hear. Never called from inside a function of this header; after
 * on_failure or the end of the response, or after upstream_request_cancel, nothing more is called.
 */
struct upstream_request_ops {
    /* A final response head; response lives until the request ends. is_end: no body. */
    void (*on_response_head)(void *arg, struct http_response *response, bool is_end);
    /* Body; may take slices out of data, what it leaves is dropped. */
    void (*on_response_body)(void *arg, struct slice_queue *data, bool is_end);
    /* 1xx other than 101; at most 8 a request. */
    void (*on_interim_head)(void *arg, unsigned status);
    /* Bytes of the request body waiting for the upstream socket fell below the low watermark. */
    void (*on_request_drained)(void *arg);
    void (*on_failure)(void *arg, enum upstream_failure failure, bool after_response_head);
};

/* Sends a request. The head is in `request` (borrowed until the response ends: it is written at
 * once or when a connection is there); is_end: no body follows. headers must be ready for the wire
 * but for framing, which this side makes. Picks a host, takes a pooled connection or opens one, or
 * waits for one. Counts against thresholds and breaker. The result: through ops; failures included,
 * from a fresh stack. Lives in arena until its last callback. */
struct upstream_request *upstream_request_new(struct cluster *cluster, struct arena *arena,
                                              const struct http_request *request, bool is_end,
                                              const struct upstream_request_ops *ops, void *arg);
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
/* The host chosen; empty until then. */
struct str upstream_request_host(const struct upstream_request *request);
/* For UPSTREAM_BREAKER_OPEN: seconds until it lets a request through, at least 1. */
uint32_t cluster_retry_after_s(const struct cluster *cluster);
const struct cluster_config *cluster_get_config(const struct cluster *cluster);
struct cluster_stats *cluster_get_stats(const struct cluster *cluster);

/* Brings worker->clusters in line with a configuration: new ones are made, changed ones updated,
 * those that are gone close their idle connections and free themselves when the last request ends.
 */
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
void clusters_view(struct worker *worker, cluster_view_fn *view, void *arg);

#endif
