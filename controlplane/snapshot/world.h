/*
 * A world: what every gateway's clients get at one revision of the policy. Immutable once built; a
 * publication is one pointer. Belongs to the control plane's loop thread.
 */
#ifndef CONTROLPLANE_SNAPSHOT_WORLD_H
#define CONTROLPLANE_SNAPSHOT_WORLD_H

#include "controlplane/snapshot/snapshot.h"

struct world_entry {
    struct str gateway; /* inside the world's own allocation */
    enum client_kind kind;
    struct snapshot *snapshot; /* one reference, held by the world */
};

struct world {
    int64_t revision;            /* of the policy it was made from */
    struct world_entry *entries; /* sorted by gateway, then kind; no pair twice */
    size_t len;
};

struct world_builder;
struct world_builder *world_builder_new(int64_t revision);
/* Copies gateway, takes the caller's reference on snapshot. The same gateway and kind twice is our
 * bug (ASSERT in world_builder_finish). */
void world_builder_add(struct world_builder *builder, struct str gateway, enum client_kind kind,
                       struct snapshot *snapshot);
/* Takes builder, returns a world. */
struct world *world_builder_finish(struct world_builder *builder);

/* Before world is published: shares with previous (may be NULL) what is equal (snapshot_share). A
 * snapshot in which nothing differs is previous's own, with the revision that last changed it: its
 * streams see by the pointer that there is nothing to do. */
void world_share(struct world *world, const struct world *previous);
typedef void world_problem_fn(struct str gateway, const char *sentence, void *arg);
/* Before world is published: a snapshot that names what is missing (snapshot_check) is replaced by
 * what previous (may be NULL) has for it, or by an empty one. on_problem is told. */
void world_check(struct world *world, const struct world *previous, world_problem_fn *on_problem,
                 void *arg);
/* NULL is fine. */
void world_free(struct world *world);
/* The snapshot for that gateway and kind of client, borrowed, or NULL. world may be NULL. */
struct snapshot *world_find(const struct world *world, struct str gateway, enum client_kind kind);

#endif
