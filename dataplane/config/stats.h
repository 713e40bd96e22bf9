/*
 * Statistics: plain counters, one block per scope and worker, summed when somebody reads them. A
 * worker writes only its own blocks, with relaxed atomic stores that compile to an ordinary add;
 * the main thread reads with relaxed loads. Names are Envoy's where Envoy has the same thing.
 */
#ifndef DATAPLANE_CONFIG_STATS_H
#define DATAPLANE_CONFIG_STATS_H

#include "common/base/str.h"
#include "dataplane/config/shared_state.h"

/* X(field, is_gauge): of one HTTP listener, "http.<stat_prefix>.<field>". */
#define HTTP_STATS(X)                                                                              \
    X(downstream_cx_total, 0)                                                                      \
    X(downstream_cx_active, 1)                                                                     \
    X(downstream_cx_destroy, 0)                                                                    \
    X(downstream_cx_protocol_error, 0)                                                             \
    X(downstream_cx_idle_timeout, 0)                                                               \
    X(downstream_cx_overload, 0)                                                                   \
    X(downstream_cx_rx_bytes_total, 0)                                                             \
    X(downstream_cx_tx_bytes_total, 0)                                                             \
    X(downstream_rq_total, 0)                                                                      \
    X(downstream_rq_active, 1)                                                                     \
    X(downstream_rq_1xx, 0)                                                                        \
    X(downstream_rq_2xx, 0)                                                                        \
    X(downstream_rq_3xx, 0)                                                                        \
    X(downstream_rq_4xx, 0)                                                                        \
    X(downstream_rq_5xx, 0)                                                                        \
    X(downstream_rq_timeout, 0)                                                                    \
    X(downstream_rq_idle_timeout, 0)                                                               \
    X(downstream_rq_rx_reset, 0)                                                                   \
    X(downstream_rq_tx_reset, 0)                                                                   \
    X(no_route, 0)                                                                                 \
    X(no_cluster, 0)                                                                               \
    X(rq_direct_response, 0)                                                                       \
    X(rq_redirect, 0)                                                                              \
    X(rate_limited, 0)                                                                             \
    X(auth_allowed, 0)                                                                             \
    X(auth_unauthorized, 0)                                                                        \
    X(auth_forbidden, 0)

/* Of one cluster, "cluster.<name>.<field>". */
#define CLUSTER_STATS(X)                                                                           \
    X(upstream_cx_total, 0)                                                                        \
    X(upstream_cx_active, 1)                                                                       \
    X(upstream_cx_connect_fail, 0)                                                                 \
    X(upstream_cx_connect_timeout, 0)                                                              \
    X(upstream_cx_overflow, 0)                                                                     \
    X(upstream_cx_destroy_remote_with_active_rq, 0)                                                \
    X(upstream_cx_protocol_error, 0)                                                               \
    X(upstream_cx_rx_bytes_total, 0)                                                               \
    X(upstream_cx_tx_bytes_total, 0)                                                               \
    X(upstream_rq_total, 0)                                                                        \
    X(upstream_rq_active, 1)                                                                       \
    X(upstream_rq_pending_total, 0)                                                                \
    X(upstream_rq_pending_active, 1)                                                               \
    X(upstream_rq_pending_overflow, 0)                                                             \
    X(upstream_rq_pending_failure_eject, 0)                                                        \
    X(upstream_rq_timeout, 0)                                                                      \
    X(upstream_rq_cancelled, 0)                                                                    \
    X(upstream_rq_rx_reset, 0)                                                                     \
    X(upstream_rq_tx_reset, 0)                                                                     \
    X(upstream_rq_1xx, 0)                                                                          \
    X(upstream_rq_2xx, 0)                                                                          \
    X(upstream_rq_3xx, 0)                                                                          \
    X(upstream_rq_4xx, 0)                                                                          \
    X(upstream_rq_5xx, 0)                                                                          \
    X(upstream_cx_none_healthy, 0)                                                                 \
    X(outlier_detection_ejections_enforced_total, 0)                                               \
    X(breaker_rejected, 0)

#define STATS_FIELD(field, is_gauge) uint64_t field;
struct http_stats {
    HTTP_STATS(STATS_FIELD)
};
struct cluster_stats {
    CLUSTER_STATS(STATS_FIELD)
};
#undef STATS_FIELD

/* Upper bounds in microseconds of the latency buckets; the last bucket has no bound. */
enum { STATS_LATENCY_BUCKETS = 20 };
extern const uint32_t stats_latency_bounds_us[STATS_LATENCY_BUCKETS - 1];

struct stats_latency {
    uint64_t counts[STATS_LATENCY_BUCKETS];
    uint64_t sum_us;
};

/* Adds to a counter of the calling worker's own block. */
static inline void stat_add(uint64_t *counter, uint64_t amount)
{
    __atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + amount,
                     __ATOMIC_RELAXED);
}

static inline void stat_inc(uint64_t *counter)
{
    stat_add(counter, 1);
}

/* For gauges. */
static inline void stat_dec(uint64_t *counter)
{
    __atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) - 1, __ATOMIC_RELAXED);
}

static inline uint64_t stat_read(const uint64_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

/* Puts one duration into its bucket. */
void stats_latency_add(struct stats_latency *latency, uint64_t duration_us);

/* The blocks of one listener's or one cluster's statistics, an entry per worker, in a shared state
 * with the key "http/<stat_prefix>" or "cluster/<name>"; latency blocks are made by the worker when
 * it first has something to put there (NULL until then; published with release order). */
struct stats_scope {
    uint32_t workers;
    bool is_cluster;
    struct stats_block {
        union {
            struct http_stats http;
            struct cluster_stats cluster;
        };
        struct stats_latency *latency;
    } __attribute__((aligned(64))) * blocks;
};

/* The scope of a listener or cluster with one more reference (see shared_state.h). */
struct shared_state *stats_scope_get(struct shared_registry *registry, bool is_cluster,
                                     struct str name, uint32_t workers);

#endif
