#include "controlplane/snapshot/bridge.h"

#include "common/base/mem.h"

/* All of preferred, and what other has under names that preferred has not; one reference. */
static struct resource_set *join(struct resource_set *preferred, const struct resource_set *other)
{
    struct resource **items =
        mem_alloc_zero(preferred->len + other->len + 1, sizeof(struct resource *));
    size_t len = 0;
    for (size_t i = 0, j = 0; i < preferred->len || j < other->len;) {
        int order = i == preferred->len ? 1
                    : j == other->len
                        ? -1
                        : str_compare(preferred->items[i]->name, other->items[j]->name);
        items[len++] = order <= 0 ? preferred->items[i] : other->items[j];
        i += order <= 0;
        j += order >= 0;
    }
    struct resource_set *joined = len == preferred->len
                                      ? resource_set_ref(preferred)
                                      : resource_set_new(preferred->type, items, len);
    mem_free(items);
    return joined;
}

struct snapshot *snapshot_bridge(struct snapshot *live, struct snapshot *goal)
{
    struct resource_set *sets[RESOURCE_TYPE_COUNT];
    for (int type = 0; type < RESOURCE_TYPE_COUNT; type++) {
        struct resource_set *before = live->sets[type], *after = goal->sets[type];
        switch ((enum resource_type)type) {
        case RESOURCE_CLUSTER:
        case RESOURCE_ENDPOINTS:
            sets[type] = before == after ? resource_set_ref(after) : join(after, before);
            break;
        case RESOURCE_LISTENER:
            sets[type] = resource_set_ref(before);
            break;
        case RESOURCE_ROUTES:
            sets[type] = before == after ? resource_set_ref(before) : join(before, after);
            break;
        case RESOURCE_TYPE_COUNT:
            break;
        }
    }
    return snapshot_new(goal->revision, sets);
}

struct snapshot *bridge_cache_get(struct bridge_cache *cache, struct snapshot *live,
                                  struct snapshot *goal)
{
    for (int i = 0; i < BRIDGE_CACHE_SLOTS; i++)
        if (cache->slots[i].live == live && cache->slots[i].goal == goal)
            return cache->slots[i].bridge;
    unsigned at = cache->next++ % BRIDGE_CACHE_SLOTS;
    snapshot_unref(cache->slots[at].live);
    snapshot_unref(cache->slots[at].goal);
    snapshot_unref(cache->slots[at].bridge);
    cache->slots[at].live = snapshot_ref(live);
    cache->slots[at].goal = snapshot_ref(goal);
    cache->slots[at].bridge = snapshot_bridge(live, goal);
    return cache->slots[at].bridge;
}

void bridge_cache_clear(struct bridge_cache *cache)
{
    for (int i = 0; i < BRIDGE_CACHE_SLOTS; i++) {
        snapshot_unref(cache->slots[i].live);
        snapshot_unref(cache->slots[i].goal);
        snapshot_unref(cache->slots[i].bridge);
    }
    *cache = (struct bridge_cache){0};
}
