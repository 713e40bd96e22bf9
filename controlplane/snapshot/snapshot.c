#include "controlplane/snapshot/snapshot.h"

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/rpc/rpc.h"

/* --- sets ---------------------------------------------------------------------------------------
 */

/* Names cannot hold a NUL, so no two sets of names and versions are the same bytes. */
static struct content_hash hash_of_set(struct resource *const *items, size_t len)
{
    struct buf buf;
    buf_init(&buf, SIZE_MAX);
    for (size_t i = 0; i < len; i++) {
        buf_append_str(&buf, items[i]->name);
        buf_append_char(&buf, '\0');
        buf_append(&buf, items[i]->version.hex, sizeof items[i]->version.hex);
    }
    struct content_hash hash = content_hash_of(buf_str(&buf));
    buf_done(&buf);
    return hash;
}

struct resource_set *resource_set_new(enum resource_type type, struct resource *const *items,
                                      size_t len)
{
    struct resource_set *set = mem_alloc_zero(1, sizeof *set + len * sizeof(struct resource *));
    set->refs = 1;
    set->type = type;
    set->len = len;
    for (size_t i = 0; i < len; i++) {
        ASSERT(i == 0 || str_compare(items[i - 1]->name, items[i]->name) < 0);
        set->items[i] = resource_ref(items[i]);
    }
    set->version = hash_of_set(items, len);
    return set;
}

struct resource_set *resource_set_ref(struct resource_set *set)
{
    set->refs++;
    return set;
}

void resource_set_unref(struct resource_set *set)
{
    if (!set || --set->refs)
        return;
    for (size_t i = 0; i < set->len; i++)
        resource_unref(set->items[i]);
    rpc_buf_unref(set->bytes[0]);
    rpc_buf_unref(set->bytes[1]);
    mem_free(set);
}

bool resource_set_is_same(const struct resource_set *a, const struct resource_set *b)
{
    if (a == b || !a || !b)
        return a == b;
    return memcmp(a->version.hex, b->version.hex, sizeof a->version.hex) == 0;
}

size_t resource_set_lower_bound(const struct resource_set *set, struct str name)
{
    size_t low = 0, high = set->len;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (str_compare(set->items[middle]->name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct resource *resource_set_find(const struct resource_set *set, struct str name)
{
    if (!set)
        return NULL;
    size_t at = resource_set_lower_bound(set, name);
    return at < set->len && str_equal(set->items[at]->name, name) ? set->items[at] : NULL;
}

static char *put_buf(char *to, const struct rpc_buf *buf)
{
    struct str bytes = rpc_buf_str(buf);
    memcpy(to, bytes.data, bytes.len);
    return to + bytes.len;
}

struct rpc_buf *resource_set_bytes(struct resource_set *set, bool is_delta)
{
    struct rpc_buf **bytes = &set->bytes[is_delta];
    if (*bytes)
        return *bytes;
    size_t len = 0;
    for (size_t i = 0; i < set->len; i++)
        len += resource_encoded_len(set->items[i], is_delta);
    char *to;
    *bytes = rpc_buf_new(len, &to);
    for (size_t i = 0; i < set->len; i++) {
        if (is_delta)
            to = put_buf(to, set->items[i]->delta_head);
        to = put_buf(to, set->items[i]->sotw_field);
    }
    return *bytes;
}

/* --- snapshots ----------------------------------------------------------------------------------
 */

static struct content_hash hash_of_sets(struct resource_set *const sets[RESOURCE_TYPE_COUNT])
{
    char text[RESOURCE_TYPE_COUNT * sizeof sets[0]->version.hex];
    for (int type = 0; type < RESOURCE_TYPE_COUNT; type++)
        memcpy(text + (size_t)type * sizeof sets[0]->version.hex, sets[type]->version.hex,
               sizeof sets[0]->version.hex);
    return content_hash_of((struct str){.data = text, .len = sizeof text});
}

struct snapshot *snapshot_new(int64_t revision,
                              struct resource_set *const sets[RESOURCE_TYPE_COUNT])
{
    struct snapshot *snapshot = MEM_NEW(struct snapshot);
    snapshot->refs = 1;
    snapshot->revision = revision;
    snapshot->version = hash_of_sets(sets);
    memcpy(snapshot->sets, sets, sizeof snapshot->sets);
    return snapshot;
}

struct snapshot *snapshot_new_empty(int64_t revision)
{
    struct resource_set *sets[RESOURCE_TYPE_COUNT];
    for (int type = 0; type < RESOURCE_TYPE_COUNT; type++)
        sets[type] = resource_set_new((enum resource_type)type, NULL, 0);
    return snapshot_new(revision, sets);
}

struct snapshot *snapshot_ref(struct snapshot *snapshot)
{
    snapshot->refs++;
    return snapshot;
}

void snapshot_unref(struct snapshot *snapshot)
{
    if (!snapshot || --snapshot->refs)
        return;
    for (int type = 0; type < RESOURCE_TYPE_COUNT; type++)
        resource_set_unref(snapshot->sets[type]);
    mem_free(snapshot);
}

static void share_resources(struct resource_set *set, const struct resource_set *previous)
{
    for (size_t i = 0, j = 0; i < set->len && j < previous->len;) {
        int order = str_compare(set->items[i]->name, previous->items[j]->name);
        if (order == 0 && resource_is_same(set->items[i], previous->items[j])) {
            struct resource *shared = resource_ref(previous->items[j]);
            resource_unref(set->items[i]);
            set->items[i] = shared;
        }
        i += order <= 0;
        j += order >= 0;
    }
}

void snapshot_share(struct snapshot *snapshot, const struct snapshot *previous)
{
    for (int type = 0; previous && type < RESOURCE_TYPE_COUNT; type++) {
        struct resource_set *before = previous->sets[type];
        if (snapshot->sets[type] == before)
            continue;
        if (resource_set_is_same(snapshot->sets[type], before)) {
            resource_set_unref(snapshot->sets[type]);
            snapshot->sets[type] = resource_set_ref(before);
        } else {
            share_resources(snapshot->sets[type], before);
        }
    }
}

/* Mostly both sets have the same names, in the same order: next is where to look first. */
static bool has_name(const struct resource_set *set, struct str name, size_t *next)
{
    if (*next >= set->len || !str_equal(set->items[*next]->name, name))
        *next = resource_set_lower_bound(set, name);
    if (*next >= set->len || !str_equal(set->items[*next]->name, name))
        return false;
    ++*next;
    return true;
}

static int check_needs(const struct snapshot *snapshot, enum resource_type type,
                       enum resource_type needed, struct errmsg *ret_msg)
{
    const struct resource_set *set = snapshot->sets[type];
    size_t next = 0;
    for (size_t i = 0; i < set->len; i++) {
        const struct resource *resource = set->items[i];
        for (size_t j = 0; j < resource->needs.len; j++) {
            struct str name = str_from(resource->needs.items[j]);
            if (!has_name(snapshot->sets[needed], name, &next))
                return errmsg_set(ret_msg, ERR_INVALID, "%s %.*s needs %s %.*s, which is missing",
                                  resource_type_short_name(type), STR_ARGS(resource->name),
                                  resource_type_short_name(needed), STR_ARGS(name));
        }
    }
    return 0;
}

int snapshot_check(const struct snapshot *snapshot, struct errmsg *ret_msg)
{
    int err = check_needs(snapshot, RESOURCE_CLUSTER, RESOURCE_ENDPOINTS, ret_msg);
    return err ? err : check_needs(snapshot, RESOURCE_LISTENER, RESOURCE_ROUTES, ret_msg);
}
