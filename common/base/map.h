/*
 * Hash map from strings to pointers. Borrows keys and values: a key must stay where it is as long
 * as its entry does. Reading (map_find, MAP_FOR_EACH) from several threads is fine while nobody
 * writes.
 */
#ifndef COMMON_BASE_MAP_H
#define COMMON_BASE_MAP_H

#include "common/base/str.h"

struct map_entry {
    struct str key; /* data NULL: free slot */
    void *value;
    uint64_t hash;
};

struct map {
    struct map_entry *entries;
    size_t slots; /* a power of two, or 0 */
    size_t len;
};

/* A zeroed struct map is an empty one. */
void map_done(struct map *map);
/* The value of key, or NULL. */
void *map_find(const struct map *map, struct str key);
/* Sets the value of key (value must not be NULL) and returns the value it replaced, or NULL. The
 * entry borrows this key's bytes from now on, also where an equal key was there before. */
void *map_put(struct map *map, struct str key, void *value);
/* Takes the entry out and returns its value, or NULL where there was none. */
void *map_remove(struct map *map, struct str key);

/* Walks entries in no order; no put or remove meanwhile. */
#define MAP_FOR_EACH(entry, map)                                                                   \
    for (struct map_entry *entry = (map)->entries,                                                 \
                          *entry##_end = entry ? entry + (map)->slots : entry;                     \
         entry < entry##_end; entry++)                                                             \
        if (entry->key.data)

#endif
