/*
 * What must not be removed from a client yet. A client that refused new routes, or a new version of
 * a listener, goes on using what it had: the clusters that this names stay with it although the
 * goal has them no more. Everything else is removed as ever, so what is kept is bounded by what the
 * older content names, for however long it stays refused.
 *
 * Everything here belongs to the control plane's loop thread.
 */
#ifndef CONTROLPLANE_SNAPSHOT_KEEP_H
#define CONTROLPLANE_SNAPSHOT_KEEP_H

#include "controlplane/snapshot/snapshot.h"

/* Whether the client had a cluster of that name when it came back. */
typedef bool stale_claimed_fn(const void *arg, struct str cluster);

/* What the client goes on using instead of the goal's. A zeroed one is: nothing. */
struct stale {
    struct vec contents; /* struct resource, borrowed */
    bool is_any_unknown; /* it has something that was never seen here */
    /* Where that is so: the snapshot it was at when this began. What is not known can name nothing
     * that came later, or had come before and is claimed. */
    const struct snapshot *unknown_since;
    stale_claimed_fn *is_claimed; /* may be NULL */
    const void *is_claimed_arg;
};

/* The last few that were made: clients mostly refuse the same. A zeroed cache is an empty one. */
enum { KEEP_CACHE_SLOTS = 8 };
struct keep_cache {
    struct snapshot *slots[KEEP_CACHE_SLOTS]; /* references */
    unsigned next;
};

/* The goal with those clusters of bridge (and their endpoints) that stale content names; goal
 * itself where it names none. One reference. */
struct snapshot *snapshot_keep(struct keep_cache *cache, struct snapshot *goal,
                               const struct snapshot *bridge, const struct stale *stale);
void keep_cache_clear(struct keep_cache *cache);

#endif
