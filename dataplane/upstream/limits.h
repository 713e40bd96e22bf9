/*
 * What a cluster's thresholds (Envoy's circuit_breakers) are counted against: shared by all
 * workers and by every version of the cluster's configuration. Counting up is exact: no more than
 * the limit are ever let in. Any thread.
 */
#ifndef DATAPLANE_UPSTREAM_LIMITS_H
#define DATAPLANE_UPSTREAM_LIMITS_H

#include "dataplane/config/shared_state.h"

#include <stdatomic.h>

struct cluster_limits {
    _Alignas(64) _Atomic uint32_t requests; /* that have got a connection */
    _Alignas(64) _Atomic uint32_t connections;
    _Atomic uint32_t pending; /* requests waiting for a connection */
};

/* The counts of a cluster, with one more reference: key "limits/<name>". Main thread. */
struct shared_state *cluster_limits_get(struct shared_registry *registry, struct str cluster_name);

/* Counts one more unless there are max already; true where it was counted. */
static inline bool limit_take(_Atomic uint32_t *count, uint32_t max)
{
    if (atomic_fetch_add_explicit(count, 1, memory_order_relaxed) < max)
        return true;
    atomic_fetch_sub_explicit(count, 1, memory_order_relaxed);
    return false;
}

/* Counts one more whatever the limit. */
static inline void limit_force(_Atomic uint32_t *count)
{
    atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
}

static inline void limit_give(_Atomic uint32_t *count)
{
    atomic_fetch_sub_explicit(count, 1, memory_order_relaxed);
}

#endif
