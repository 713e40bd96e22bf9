#include "dataplane/route/index.h"

#include "common/base/mem.h"
#include "dataplane/route/route_internal.h"

#include <stdlib.h>

enum { NO_NODE = UINT32_MAX };

/* Children of a node are neighbours in the array, in the order of their first bytes. */
struct route_tree_node {
    const char *label; /* bytes from the parent's end to this node's */
    uint32_t label_len;
    uint32_t first_child;
    uint32_t places_at, place_count; /* routes whose beginning ends here */
    uint32_t up;                     /* nearest node above that has places */
    uint32_t least;                  /* smallest place here and above */
    uint16_t child_count;
};

/* --- building --- */

struct key {
    struct str text;
    uint32_t place;
};

/* Keys [from, to), all equal up to depth: what a node is to be made of. */
struct range {
    uint32_t from, to, up;
    size_t depth;
};

struct builder {
    struct route_tree *tree;
    const struct key *keys;
    struct range *ranges; /* of each node that there is */
    uint32_t node_count;
};

static int compare_keys(const void *a, const void *b)
{
    const struct key *left = a, *right = b;
    int order = str_compare(left->text, right->text);
    return order ? order : (left->place > right->place) - (left->place < right->place);
}

static size_t common_length(struct str a, struct str b, size_t from)
{
    size_t len = a.len < b.len ? a.len : b.len;
    while (from < len && a.data[from] == b.data[from])
        from++;
    return from;
}

/* The keys that end at depth are this node's own; returns the first key behind them. */
static uint32_t take_places(struct builder *builder, struct route_tree_node *node,
                            const struct range *range, size_t depth)
{
    uint32_t at = range->from;
    node->places_at = range->from;
    for (; at < range->to && builder->keys[at].text.len == depth; at++)
        builder->tree->places[at] = builder->keys[at].place;
    node->place_count = at - range->from;
    return at;
}

/* Makes node `index` from its range and adds its children behind all nodes there are. */
static void build_node(struct builder *builder, uint32_t index)
{
    struct route_tree_node *nodes = builder->tree->nodes, *node = &nodes[index];
    struct range range = builder->ranges[index];
    const struct key *keys = builder->keys;
    struct str first = keys[range.from].text;
    size_t depth = common_length(first, keys[range.to - 1].text, range.depth);
    node->label = first.data + range.depth;
    node->label_len = (uint32_t)(depth - range.depth);
    node->up = range.up;
    uint32_t at = take_places(builder, node, &range, depth);
    uint32_t least_above = range.up == NO_NODE ? UINT32_MAX : nodes[range.up].least;
    uint32_t own_least = node->place_count ? builder->tree->places[node->places_at] : UINT32_MAX;
    node->least = own_least < least_above ? own_least : least_above;
    node->first_child = builder->node_count;
    while (at < range.to) {
        char byte = keys[at].text.data[depth];
        uint32_t end = at;
        while (end < range.to && keys[end].text.data[depth] == byte)
            end++;
        uint32_t child = builder->node_count++;
        builder->tree->first_bytes[child] = (uint8_t)byte;
        builder->ranges[child] = (struct range){
            .from = at, .to = end, .up = node->place_count ? index : range.up, .depth = depth};
        node->child_count++;
        at = end;
    }
}

static void tree_init(struct route_tree *tree, struct arena *arena, struct key *keys,
                      uint32_t count)
{
    *tree = (struct route_tree){0};
    if (!count)
        return;
    qsort(keys, count, sizeof *keys, compare_keys);
    uint32_t nodes_max = 2 * count + 1;
    struct range *ranges = mem_alloc_zero(nodes_max, sizeof *ranges);
    struct route_tree_node *nodes = mem_alloc_zero(nodes_max, sizeof *nodes);
    uint8_t *first_bytes = mem_alloc_zero(nodes_max, 1);
    *tree = (struct route_tree){.nodes = nodes,
                                .first_bytes = first_bytes,
                                .places = arena_alloc_array(arena, count, sizeof *tree->places)};
    struct builder builder = {.tree = tree, .keys = keys, .ranges = ranges, .node_count = 1};
    ranges[0] = (struct range){.from = 0, .to = count, .up = NO_NODE};
    for (uint32_t i = 0; i < builder.node_count; i++)
        build_node(&builder, i);
    ASSERT(builder.node_count <= nodes_max);
    tree->nodes = arena_alloc_array(arena, builder.node_count, sizeof *nodes);
    memcpy(tree->nodes, nodes, builder.node_count * sizeof *nodes);
    tree->first_bytes = arena_alloc_array(arena, builder.node_count, 1);
    memcpy(tree->first_bytes, first_bytes, builder.node_count);
    mem_free(ranges);
    mem_free(nodes);
    mem_free(first_bytes);
}

void route_index_init(struct route_index *index, struct arena *arena,
                      const struct route_entry *entries, uint32_t count)
{
    struct key *keys = mem_alloc_zero(count ? count : 1, sizeof *keys);
    for (int ignores_case = 0; ignores_case < 2; ignores_case++) {
        uint32_t key_count = 0;
        for (uint32_t i = 0; i < count; i++)
            if (entries[i].rule.ignores_case == (bool)ignores_case)
                keys[key_count++] = (struct key){.text = entries[i].rule.path, .place = i};
        tree_init(ignores_case ? &index->any_case : &index->exact_case, arena, keys, key_count);
    }
    mem_free(keys);
}

/* --- finding --- */

/* Whether the bytes at text are those of a label. Labels are short: a call costs more than a loop.
 */
static inline bool label_equals(const char *label, const char *text, uint32_t len, bool folds)
{
    uint32_t i = 0;
    for (; !folds && len - i >= 8; i += 8) {
        uint64_t a, b;
        memcpy(&a, label + i, 8);
        memcpy(&b, text + i, 8);
        if (a != b)
            return false;
    }
    for (; i < len; i++)
        if (label[i] != (folds ? ascii_lower(text[i]) : text[i]))
            return false;
    return true;
}

static inline uint32_t find_child(const struct route_tree *tree, const struct route_tree_node *node,
                                  uint8_t byte)
{
    const uint8_t *bytes = tree->first_bytes + node->first_child;
    uint32_t low = 0, high = node->child_count;
    while (high - low > 8) {
        uint32_t middle = (low + high) / 2;
        if (bytes[middle] <= byte)
            low = middle;
        else
            high = middle;
    }
    for (; low < high; low++)
        if (bytes[low] == byte)
            return node->first_child + low;
    return NO_NODE;
}

/* The deepest node with places whose beginning path has. Made twice, for either value of folds. */
__attribute__((always_inline)) static inline uint32_t deepest(const struct route_tree *tree,
                                                              struct str path, bool folds)
{
    uint32_t found = NO_NODE, index = 0;
    size_t at = 0;
    while (index != NO_NODE) {
        const struct route_tree_node *node = &tree->nodes[index];
        if (node->label_len > path.len - at ||
            !label_equals(node->label, path.data + at, node->label_len, folds))
            break;
        at += node->label_len;
        if (node->place_count)
            found = index;
        if (at == path.len || !node->child_count)
            break;
        char next = path.data[at];
        index = find_child(tree, node, (uint8_t)(folds ? ascii_lower(next) : next));
    }
    return found;
}

/* The best match so far. */
struct best {
    uint32_t place;
    bool is_undecided;
};

static void find_in_list(const struct route_tree *tree, const struct route_tree_node *node,
                         const struct route_entry *entries, struct str path,
                         const struct route_match_input *input, struct best *best)
{
    const uint32_t *places = tree->places + node->places_at;
    for (uint32_t i = 0; i < node->place_count && places[i] < best->place; i++) {
        enum match_result result = route_rule_test_rest(&entries[places[i]].rule, path, input);
        if (result != MATCH_NO) {
            *best = (struct best){.place = places[i], .is_undecided = result == MATCH_GAVE_UP};
            return;
        }
    }
}

static void find_in_tree(const struct route_tree *tree, const struct route_entry *entries,
                         struct str path, const struct route_match_input *input, struct best *best,
                         bool folds)
{
    uint32_t index = folds ? deepest(tree, path, true) : deepest(tree, path, false);
    while (index != NO_NODE && tree->nodes[index].least < best->place) {
        find_in_list(tree, &tree->nodes[index], entries, path, input, best);
        index = tree->nodes[index].up;
    }
}

const struct route_entry *route_index_find(const struct route_index *index,
                                           const struct route_entry *entries, struct str path,
                                           const struct route_match_input *input)
{
    struct best best = {.place = UINT32_MAX};
    if (index->exact_case.nodes)
        find_in_tree(&index->exact_case, entries, path, input, &best, false);
    if (index->any_case.nodes)
        find_in_tree(&index->any_case, entries, path, input, &best, true);
    if (best.place == UINT32_MAX || best.is_undecided)
        return NULL;
    return &entries[best.place];
}
