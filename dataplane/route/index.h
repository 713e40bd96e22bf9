/*
 * The index over the routes of one virtual host: a radix tree over the literal beginnings of their
 * paths (whole paths, prefixes, literal prefixes of regular expressions). Walking down along a
 * request's path meets every route whose beginning fits; the smallest place in the list among those
 * that match is the first match. Immutable after _init; any thread.
 */
#ifndef DATAPLANE_ROUTE_INDEX_H
#define DATAPLANE_ROUTE_INDEX_H

#include "common/base/arena.h"

struct route_entry;
struct route_match_input;

struct route_tree_node;
struct route_tree {
    struct route_tree_node *nodes; /* NULL: empty */
    uint8_t *first_bytes;          /* of each node's label */
    uint32_t *places;              /* lists of the nodes: places in the list of routes, ascending */
};

struct route_index {
    struct route_tree exact_case;
    struct route_tree any_case; /* of the routes that ignore case */
};

/* Builds the index in arena. */
void route_index_init(struct route_index *index, struct arena *arena,
                      const struct route_entry *entries, uint32_t count);
/* The first entry of the list that matches path (without query); NULL where there is none, or where
 * the first that may match could not be decided. */
const struct route_entry *route_index_find(const struct route_index *index,
                                           const struct route_entry *entries, struct str path,
                                           const struct route_match_input *input);

#endif
