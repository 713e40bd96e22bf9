#include "controlplane/snapshot/keep.h"

#include "common/base/map.h"
#include "common/base/mem.h"

/* Longer names are not searched for but found: they stay. */
enum { SEARCHED_NAME_BYTES_MAX = 16 * 1024 - 1 };

/* A cluster that the goal has no more. */
struct candidate {
    struct resource *cluster;
    bool is_kept;
};

struct candidates {
    struct candidate *items; /* in order of their names */
    size_t len;
    struct map by_name;
    bool has_len[256];   /* by the first byte of the encoded length */
    bool has_first[256]; /* by the first byte of the name */
};

/* A string inside a message is its length as a varint and its bytes. */
static size_t encoded_len(struct str name, uint8_t out[2])
{
    if (name.len < 0x80) {
        out[0] = (uint8_t)name.len;
        return 1;
    }
    out[0] = (uint8_t)(name.len | 0x80);
    out[1] = (uint8_t)(name.len >> 7);
    return 2;
}

static void add_candidate(struct candidates *candidates, struct resource *cluster)
{
    struct candidate *candidate = &candidates->items[candidates->len++];
    *candidate = (struct candidate){.cluster = cluster};
    if (cluster->name.len == 0 || cluster->name.len > SEARCHED_NAME_BYTES_MAX) {
        candidate->is_kept = cluster->name.len > 0;
        return;
    }
    uint8_t length[2];
    encoded_len(cluster->name, length);
    candidates->has_len[length[0]] = true;
    candidates->has_first[(uint8_t)cluster->name.data[0]] = true;
    map_put(&candidates->by_name, cluster->name, candidate);
}

/* The clusters of bridge that goal has not. */
static void candidates_init(struct candidates *candidates, const struct resource_set *goal,
                            const struct resource_set *bridge)
{
    *candidates = (struct candidates){0};
    candidates->items = mem_alloc_zero(bridge->len - goal->len, sizeof *candidates->items);
    for (size_t i = 0, j = 0; i < bridge->len; i++) {
        if (j < goal->len && str_equal(goal->items[j]->name, bridge->items[i]->name))
            j++;
        else
            add_candidate(candidates, bridge->items[i]);
    }
}

/* Marks the candidates that a message names, whatever its type: wherever the bytes look like a
 * string that is one of the names. An accident keeps a cluster that nobody needs for a while. */
static void search(struct candidates *candidates, struct str message)
{
    const uint8_t *bytes = (const uint8_t *)message.data;
    for (size_t i = 0; i + 1 < message.len; i++) {
        if (!candidates->has_len[bytes[i]])
            continue;
        size_t len = bytes[i], at = i + 1;
        if (len >= 0x80)
            len = (len & 0x7f) | (size_t)bytes[at++] << 7;
        if (len > message.len - at || len == 0 || !candidates->has_first[bytes[at]])
            continue;
        struct candidate *found = map_find(&candidates->by_name, str_slice(message, at, at + len));
        if (found)
            found->is_kept = true;
    }
}

/* By content that was never seen here. */
static bool may_be_named(const struct stale *stale, struct str cluster)
{
    if (!stale->is_any_unknown)
        return false;
    return !stale->unknown_since ||
           resource_set_find(stale->unknown_since->sets[RESOURCE_CLUSTER], cluster) ||
           (stale->is_claimed && stale->is_claimed(stale->is_claimed_arg, cluster));
}

static size_t mark(struct candidates *candidates, const struct stale *stale)
{
    for (size_t i = 0; i < stale->contents.len; i++)
        search(candidates, resource_message_bytes(stale->contents.items[i]));
    size_t kept = 0;
    for (size_t i = 0; i < candidates->len; i++) {
        struct candidate *candidate = &candidates->items[i];
        candidate->is_kept |= may_be_named(stale, candidate->cluster->name);
        kept += candidate->is_kept;
    }
    return kept;
}

static struct resource_set *add_kept_clusters(const struct resource_set *goal,
                                              const struct candidates *candidates)
{
    struct resource **items =
        mem_alloc_zero(goal->len + candidates->len, sizeof(struct resource *));
    size_t len = 0, i = 0;
    for (size_t j = 0; j < candidates->len; j++) {
        struct resource *cluster = candidates->items[j].cluster;
        if (!candidates->items[j].is_kept)
            continue;
        while (i < goal->len && str_compare(goal->items[i]->name, cluster->name) < 0)
            items[len++] = goal->items[i++];
        items[len++] = cluster;
    }
    while (i < goal->len)
        items[len++] = goal->items[i++];
    struct resource_set *set = resource_set_new(RESOURCE_CLUSTER, items, len);
    mem_free(items);
    return set;
}

static bool is_needed_by_kept(const struct candidates *candidates, struct str name)
{
    const struct candidate *same = map_find(&candidates->by_name, name);
    if (same)
        return same->is_kept;
    for (size_t i = 0; i < candidates->len; i++) {
        const struct vec *needs = &candidates->items[i].cluster->needs;
        for (size_t j = 0; candidates->items[i].is_kept && j < needs->len; j++)
            if (str_equal(str_from(needs->items[j]), name))
                return true;
    }
    return false;
}

static struct resource_set *add_kept_endpoints(const struct resource_set *goal,
                                               const struct resource_set *bridge,
                                               const struct candidates *candidates)
{
    struct resource **items = mem_alloc_zero(bridge->len + 1, sizeof(struct resource *));
    size_t len = 0;
    for (size_t i = 0, j = 0; i < bridge->len; i++) {
        bool is_of_goal = j < goal->len && str_equal(goal->items[j]->name, bridge->items[i]->name);
        j += is_of_goal;
        if (is_of_goal || is_needed_by_kept(candidates, bridge->items[i]->name))
            items[len++] = bridge->items[i];
    }
    struct resource_set *set = resource_set_new(RESOURCE_ENDPOINTS, items, len);
    mem_free(items);
    return set;
}

static struct snapshot *make(struct snapshot *goal, const struct snapshot *bridge,
                             const struct candidates *candidates)
{
    struct resource_set *const sets[RESOURCE_TYPE_COUNT] = {
        [RESOURCE_CLUSTER] = add_kept_clusters(goal->sets[RESOURCE_CLUSTER], candidates),
        [RESOURCE_ENDPOINTS] = add_kept_endpoints(goal->sets[RESOURCE_ENDPOINTS],
                                                  bridge->sets[RESOURCE_ENDPOINTS], candidates),
        [RESOURCE_LISTENER] = resource_set_ref(goal->sets[RESOURCE_LISTENER]),
        [RESOURCE_ROUTES] = resource_set_ref(goal->sets[RESOURCE_ROUTES]),
    };
    return snapshot_new(goal->revision, sets);
}

static bool is_same(const struct snapshot *a, const struct snapshot *b)
{
    for (int type = 0; type < RESOURCE_TYPE_COUNT; type++)
        if (!resource_set_is_same(a->sets[type], b->sets[type]))
            return false;
    return a->revision == b->revision;
}

/* The equal one that others are at, or snapshot, remembered; takes and returns a reference. */
static struct snapshot *share(struct keep_cache *cache, struct snapshot *snapshot)
{
    for (int i = 0; i < KEEP_CACHE_SLOTS; i++) {
        if (!cache->slots[i] || !is_same(cache->slots[i], snapshot))
            continue;
        snapshot_unref(snapshot);
        return snapshot_ref(cache->slots[i]);
    }
    struct snapshot **slot = &cache->slots[cache->next++ % KEEP_CACHE_SLOTS];
    snapshot_unref(*slot);
    *slot = snapshot_ref(snapshot);
    return snapshot;
}

struct snapshot *snapshot_keep(struct keep_cache *cache, struct snapshot *goal,
                               const struct snapshot *bridge, const struct stale *stale)
{
    const struct resource_set *clusters = goal->sets[RESOURCE_CLUSTER];
    if (bridge->sets[RESOURCE_CLUSTER]->len == clusters->len ||
        (stale->contents.len == 0 && !stale->is_any_unknown))
        return snapshot_ref(goal);
    struct candidates candidates;
    candidates_init(&candidates, clusters, bridge->sets[RESOURCE_CLUSTER]);
    struct snapshot *kept = mark(&candidates, stale) == 0
                                ? snapshot_ref(goal)
                                : share(cache, make(goal, bridge, &candidates));
    map_done(&candidates.by_name);
    mem_free(candidates.items);
    return kept;
}

void keep_cache_clear(struct keep_cache *cache)
{
    for (int i = 0; i < KEEP_CACHE_SLOTS; i++)
        snapshot_unref(cache->slots[i]);
    *cache = (struct keep_cache){0};
}
