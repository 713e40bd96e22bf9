/*
 * What changes between two sets of resources of one type. Immutable and refcounted: when a
 * publication reaches a thousand streams that are all at the same set, one diff serves them all.
 *
 * Everything here belongs to the control plane's loop thread.
 */
#ifndef CONTROLPLANE_SNAPSHOT_DIFF_H
#define CONTROLPLANE_SNAPSHOT_DIFF_H

#include "controlplane/snapshot/snapshot.h"

struct set_change {
    struct resource *before; /* NULL: added */
    struct resource *after;  /* NULL: removed */
};

struct set_diff {
    uint32_t refs;
    size_t removed_count;      /* how many of changes have no after */
    size_t bytes[2];           /* encoded length of all that are added or changed: [is_delta] */
    struct resource_set *from; /* one reference; may be NULL: from nothing */
    struct resource_set *to;   /* one reference */
    size_t len;
    struct set_change changes[]; /* sorted by name, borrowed from from and to */
};

/* From `from` (NULL: nothing) to `to`; one reference. */
struct set_diff *set_diff_new(struct resource_set *from, struct resource_set *to);
struct set_diff *set_diff_ref(struct set_diff *diff);
/* NULL is fine. */
void set_diff_unref(struct set_diff *diff);
struct str set_change_name(const struct set_change *change);

/* The last few diffs that were asked for. A zeroed cache is an empty one. */
enum { DIFF_CACHE_SLOTS = 16 };
struct diff_cache {
    struct set_diff *slots[DIFF_CACHE_SLOTS];
    unsigned next;
};

/* The diff, made where the cache does not have it; borrowed until the next call. */
struct set_diff *diff_cache_get(struct diff_cache *cache, struct resource_set *from,
                                struct resource_set *to);
/* Forgets all of them (and with them their sets). */
void diff_cache_clear(struct diff_cache *cache);

#endif
