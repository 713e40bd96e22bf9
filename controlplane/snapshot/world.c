#include "controlplane/snapshot/world.h"

#include "common/base/mem.h"
#include "common/base/vec.h"

#include <stdlib.h>

struct world_builder {
    int64_t revision;
    struct vec entries; /* struct world_entry, name owned */
};

struct world_builder *world_builder_new(int64_t revision)
{
    struct world_builder *builder = MEM_NEW(struct world_builder);
    builder->revision = revision;
    return builder;
}

void world_builder_add(struct world_builder *builder, struct str gateway, enum client_kind kind,
                       struct snapshot *snapshot)
{
    struct world_entry *entry = MEM_NEW(struct world_entry);
    *entry = (struct world_entry){
        .gateway = {.data = mem_copy_string(gateway.data, gateway.len), .len = gateway.len},
        .kind = kind,
        .snapshot = snapshot,
    };
    vec_append(&builder->entries, entry);
}

static int compare_keys(struct str gateway_a, enum client_kind kind_a, struct str gateway_b,
                        enum client_kind kind_b)
{
    int order = str_compare(gateway_a, gateway_b);
    return order ? order : (kind_a > kind_b) - (kind_a < kind_b);
}

static int compare_entries(const void *a, const void *b)
{
    const struct world_entry *left = a, *right = b;
    return compare_keys(left->gateway, left->kind, right->gateway, right->kind);
}

struct world *world_builder_finish(struct world_builder *builder)
{
    struct world *world = MEM_NEW(struct world);
    world->revision = builder->revision;
    world->len = builder->entries.len;
    world->entries = mem_alloc_zero(world->len ? world->len : 1, sizeof *world->entries);
    for (size_t i = 0; i < world->len; i++) {
        world->entries[i] = *(struct world_entry *)builder->entries.items[i];
        mem_free(builder->entries.items[i]);
    }
    qsort(world->entries, world->len, sizeof *world->entries, compare_entries);
    for (size_t i = 1; i < world->len; i++)
        ASSERT(compare_entries(&world->entries[i - 1], &world->entries[i]) < 0);
    vec_done(&builder->entries);
    mem_free(builder);
    return world;
}

void world_free(struct world *world)
{
    if (!world)
        return;
    for (size_t i = 0; i < world->len; i++) {
        snapshot_unref(world->entries[i].snapshot);
        mem_free((char *)world->entries[i].gateway.data);
    }
    mem_free(world->entries);
    mem_free(world);
}

struct snapshot *world_find(const struct world *world, struct str gateway, enum client_kind kind)
{
    size_t low = 0, high = world ? world->len : 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct world_entry *entry = &world->entries[middle];
        int order = compare_keys(entry->gateway, entry->kind, gateway, kind);
        if (order == 0)
            return entry->snapshot;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static bool has_same_sets(const struct snapshot *a, const struct snapshot *b)
{
    for (int type = 0; type < RESOURCE_TYPE_COUNT; type++)
        if (a->sets[type] != b->sets[type])
            return false;
    return true;
}

void world_share(struct world *world, const struct world *previous)
{
    for (size_t i = 0; i < world->len; i++) {
        struct world_entry *entry = &world->entries[i];
        struct snapshot *before = world_find(previous, entry->gateway, entry->kind);
        if (!before)
            continue;
        snapshot_share(entry->snapshot, before);
        if (has_same_sets(entry->snapshot, before)) {
            snapshot_unref(entry->snapshot);
            entry->snapshot = snapshot_ref(before);
        }
    }
}

void world_check(struct world *world, const struct world *previous, world_problem_fn *on_problem,
                 void *arg)
{
    for (size_t i = 0; i < world->len; i++) {
        struct world_entry *entry = &world->entries[i];
        struct errmsg msg;
        if (snapshot_check(entry->snapshot, &msg) == 0)
            continue;
        struct snapshot *before = world_find(previous, entry->gateway, entry->kind);
        struct snapshot *instead =
            before ? snapshot_ref(before) : snapshot_new_empty(world->revision);
        snapshot_unref(entry->snapshot);
        entry->snapshot = instead;
        on_problem(entry->gateway, msg.text, arg);
    }
}
