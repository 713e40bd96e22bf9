#include "controlplane/snapshot/diff.h"

#include "common/base/mem.h"

/* Counts the changes, and writes them where changes is not NULL. */
static size_t walk(const struct resource_set *from, const struct resource_set *to,
                   struct set_change *changes)
{
    size_t from_len = from ? from->len : 0, count = 0;
    for (size_t i = 0, j = 0; i < from_len || j < to->len;) {
        int order = i == from_len  ? 1
                    : j == to->len ? -1
                                   : str_compare(from->items[i]->name, to->items[j]->name);
        struct resource *before = order <= 0 ? from->items[i++] : NULL;
        struct resource *after = order >= 0 ? to->items[j++] : NULL;
        if (resource_is_same(before, after))
            continue;
        if (changes)
            changes[count] = (struct set_change){.before = before, .after = after};
        count++;
    }
    return count;
}

static void sum_up(struct set_diff *diff)
{
    for (size_t i = 0; i < diff->len; i++) {
        const struct resource *after = diff->changes[i].after;
        if (!after) {
            diff->removed_count++;
            continue;
        }
        diff->bytes[false] += resource_encoded_len(after, false);
        diff->bytes[true] += resource_encoded_len(after, true);
    }
}

struct set_diff *set_diff_new(struct resource_set *from, struct resource_set *to)
{
    size_t len = resource_set_is_same(from, to) ? 0 : walk(from, to, NULL);
    struct set_diff *diff = mem_alloc_zero(1, sizeof *diff + len * sizeof(struct set_change));
    diff->refs = 1;
    diff->from = from ? resource_set_ref(from) : NULL;
    diff->to = resource_set_ref(to);
    diff->len = len;
    if (len)
        walk(from, to, diff->changes);
    sum_up(diff);
    return diff;
}

struct set_diff *set_diff_ref(struct set_diff *diff)
{
    diff->refs++;
    return diff;
}

void set_diff_unref(struct set_diff *diff)
{
    if (!diff || --diff->refs)
        return;
    resource_set_unref(diff->from);
    resource_set_unref(diff->to);
    mem_free(diff);
}

struct str set_change_name(const struct set_change *change)
{
    return change->after ? change->after->name : change->before->name;
}

struct set_diff *diff_cache_get(struct diff_cache *cache, struct resource_set *from,
                                struct resource_set *to)
{
    for (int i = 0; i < DIFF_CACHE_SLOTS; i++) {
        struct set_diff *diff = cache->slots[i];
        if (diff && diff->from == from && diff->to == to)
            return diff;
    }
    struct set_diff **slot = &cache->slots[cache->next++ % DIFF_CACHE_SLOTS];
    set_diff_unref(*slot);
    *slot = set_diff_new(from, to);
    return *slot;
}

void diff_cache_clear(struct diff_cache *cache)
{
    for (int i = 0; i < DIFF_CACHE_SLOTS; i++)
        set_diff_unref(cache->slots[i]);
    *cache = (struct diff_cache){0};
}
