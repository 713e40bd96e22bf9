/*
 * Outlier detection: a host that fails several times in a row is left out for a while. The state of
 * a host is shared by all workers, so the count in a row is that of the whole proxy, as in Envoy.
 *
 * A worker looks its hosts up once (outlier_host_ref) and then reads and writes them without a
 * lock; while nothing fails, a request reads one word and writes nothing. No clock: now_ms is an
 * argument. Any thread, but for outlier_get.
 *
 * Differences from Envoy: a host comes back when its time is over and not at the next multiple of
 * `interval`; times are not jittered; success-rate and failure-percentage ejection are not there.
 */
#ifndef DATAPLANE_UPSTREAM_OUTLIER_H
#define DATAPLANE_UPSTREAM_OUTLIER_H

#include "dataplane/config/config.h"

#include <stdatomic.h>

struct outlier;

struct outlier_host {
    _Alignas(64) _Atomic uint32_t consecutive_5xx;
    _Atomic uint32_t consecutive_gateway_failure;
    _Atomic uint64_t ejected_until_ms; /* 0: not ejected */
    /* the rest: under the lock of its table */
    uint64_t ejections; /* in all */
    uint32_t backoff;   /* multiplies the next ejection's time */
    uint32_t refs;
    struct outlier *table;
    struct str address; /* own memory */
};

/* The table of a cluster, with one more reference: key "outlier/<name>". Main thread. */
struct shared_state *outlier_get(struct shared_registry *registry, struct str cluster_name);

/* The host of that address, with one more reference; made where there is none. */
struct outlier_host *outlier_host_ref(struct outlier *table, struct str address);
/* Forgets the host with its last reference. NULL is fine. */
void outlier_host_unref(struct outlier_host *host);

/* Counts changes of what outlier_host_is_ejected says, but for those by time. One load. */
uint64_t outlier_changes(const struct outlier *table);
bool outlier_host_is_ejected(const struct outlier_host *host, uint64_t now_ms);
/* When an ejected host comes back; 0 where it is not ejected. */
uint64_t outlier_host_ejected_until_ms(const struct outlier_host *host);

/* An answer with this status; a host that could not be reached or reset the connection counts as
 * 503, one that did not answer in time as 504. host_count: of the cluster; random: for
 * enforcing percentages. Returns true where the host was ejected by this. */
bool outlier_report(struct outlier_host *host, const struct outlier_config *config, unsigned status,
                    uint32_t host_count, uint64_t random, uint64_t now_ms);

/* Milliseconds for which a host is ejected: base * (backoff + 1), at most max; backoff falls by one
 * for each interval the host was healthy. Pure. */
uint64_t outlier_ejection_ms(const struct outlier_config *config, uint32_t *backoff,
                             uint64_t healthy_ms);

#endif
