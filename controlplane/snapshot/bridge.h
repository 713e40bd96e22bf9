/*
 * The step between two snapshots that lets a client go from one to the other without a moment in
 * which something names what it does not have (make before break):
 *
 *     clusters, endpoints   those of the goal, and the live ones that the goal has no more
 *     listeners             the live ones
 *     routes                the live ones, and those of the goal under new names
 *
 * Everything here belongs to the control plane's loop thread.
 */
#ifndef CONTROLPLANE_SNAPSHOT_BRIDGE_H
#define CONTROLPLANE_SNAPSHOT_BRIDGE_H

#include "controlplane/snapshot/snapshot.h"

/* One reference. Sets in which nothing is added to the goal's or the live one's are those. */
struct snapshot *snapshot_bridge(struct snapshot *live, struct snapshot *goal);

/* The last few that were asked for: streams mostly go the same way together. A zeroed cache is an
 * empty one. */
enum { BRIDGE_CACHE_SLOTS = 16 };
struct bridge_cache {
    struct {
        struct snapshot *live, *goal, *bridge; /* references */
    } slots[BRIDGE_CACHE_SLOTS];
    unsigned next;
};

/* The bridge, made where the cache does not have it; borrowed until the next call. */
struct snapshot *bridge_cache_get(struct bridge_cache *cache, struct snapshot *live,
                                  struct snapshot *goal);
void bridge_cache_clear(struct bridge_cache *cache);

#endif
