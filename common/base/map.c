#include "common/base/map.h"

#include "common/base/assert.h"
#include "common/base/hash.h"
#include "common/base/mem.h"

void map_done(struct map *map)
{
    mem_free(map->entries);
    *map = (struct map){0};
}

/* The slot that holds key, or the free one where it would go. Needs at least one free slot. */
static struct map_entry *slot_of(const struct map *map, struct str key, uint64_t hash)
{
    for (size_t i = hash & (map->slots - 1);; i = (i + 1) & (map->slots - 1)) {
        struct map_entry *entry = &map->entries[i];
        if (!entry->key.data || (entry->hash == hash && str_equal(entry->key, key)))
            return entry;
    }
}

void *map_find(const struct map *map, struct str key)
{
    return map->len ? slot_of(map, key, hash_keyed(key))->value : NULL;
}

static void grow(struct map *map)
{
    struct map larger = {.slots = map->slots ? map->slots * 2 : 16, .len = map->len};
    larger.entries = mem_alloc_zero(larger.slots, sizeof *larger.entries);
    MAP_FOR_EACH(entry, map)
        *slot_of(&larger, entry->key, entry->hash) = *entry;
    mem_free(map->entries);
    *map = larger;
}

void *map_put(struct map *map, struct str key, void *value)
{
    ASSERT(value && key.data);
    if ((map->len + 1) * 4 > map->slots * 3)
        grow(map);
    uint64_t hash = hash_keyed(key);
    struct map_entry *entry = slot_of(map, key, hash);
    void *replaced = entry->value;
    map->len += !replaced;
    *entry = (struct map_entry){.key = key, .value = value, .hash = hash};
    return replaced;
}

void *map_remove(struct map *map, struct str key)
{
    struct map_entry *hole = map->len ? slot_of(map, key, hash_keyed(key)) : NULL;
    if (!hole || !hole->key.data)
        return NULL;
    void *value = hole->value;
    size_t mask = map->slots - 1, at = (size_t)(hole - map->entries);
    /* Linear probing without tombstones: move later entries of the run back into the hole. */
    for (size_t i = (at + 1) & mask; map->entries[i].key.data; i = (i + 1) & mask) {
        size_t home = map->entries[i].hash & mask;
        if (((i - home) & mask) >= ((i - at) & mask)) {
            map->entries[at] = map->entries[i];
            at = i;
        }
    }
    map->entries[at] = (struct map_entry){0};
    map->len--;
    return value;
}
