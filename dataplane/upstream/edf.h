/*
 * Earliest deadline first: hosts in a heap by when their next turn is due. A turn of a host with
 * weight w is due 1 / w after its last, so turns of a heavy host lie evenly between those of the
 * others. For balancers of weighted hosts.
 */
#ifndef DATAPLANE_UPSTREAM_EDF_H
#define DATAPLANE_UPSTREAM_EDF_H

#include <stdint.h>

struct host;

struct edf_entry {
    struct host *host;
    uint32_t weight;
    double due;
};

/* A zeroed struct edf is an empty one. */
struct edf {
    struct edf_entry *entries;
    uint32_t count;
};

/* Begins anew with these hosts; weights are 1 or more. seed: where in their first turn they stand.
 */
void edf_set_hosts(struct edf *edf, struct host *const *hosts, const uint32_t *weights,
                   uint32_t count, uint64_t seed);
void edf_done(struct edf *edf);

/* The host whose turn it is; there must be one. */
static inline const struct edf_entry *edf_first(const struct edf *edf)
{
    return &edf->entries[0];
}

/* The first host has had its turn; its next one counts as that of a host with this weight. */
void edf_turn(struct edf *edf, double weight);

#endif
