/* What a subscription sends next. */
#include "controlplane/server/subscription_internal.h"

#include "common/base/mem.h"
#include "common/rpc/rpc.h"

/* What is to be told, in order of names. */
struct pending {
    struct set_diff *diff;      /* borrowed; the whole of it, or NULL */
    struct pending_item *items; /* owned */
    size_t len;
    size_t cap;
    size_t bytes;
    size_t refused_count; /* of items; a complete answer cannot leave them out */
    bool is_complete;     /* nothing was left out for its size */
};

static bool is_complete_state(const struct subscription *sub)
{
    return !sub->is_delta && resource_type_has_wildcard(sub->type);
}

/* --- what waits behind a refusal
 * ------------------------------------------------------------------ */

/* The refused content is not wanted any more. The client may keep it all the same, for another try:
 * it is told what counts now, also where that is what it has, or nothing. */
static void forget_refused(struct subscription *sub, struct subscription_entry *entry)
{
    entry->must_tell |= sub->is_delta && entry->refused && (!entry->has || sub->retries_refused);
    entry_leave_group(sub, entry);
}

/* Content that was refused has changed: it may go again, and with it all that was refused together
 * with it, since nobody knows which of them was at fault. */
static void release_refused(struct subscription *sub)
{
    for (size_t i = 0; sub->refused_count && i < sub->len; i++) {
        struct subscription_entry *entry = &sub->entries[i];
        uint64_t nonce = entry->refused_nonce;
        if (!nonce || resource_is_same(entry->refused, resource_set_find(sub->target, entry->name)))
            continue;
        forget_refused(sub, entry);
    }
    if (sub->has_refused_set &&
        memcmp(&sub->refused_set, &sub->target->version, sizeof sub->refused_set) != 0)
        sub->has_refused_set = false;
}

/* The client makes before it breaks: see enum subscription_hold. */
static bool is_held(const struct subscription *sub, const struct subscription_entry *entry,
                    const struct resource *after)
{
    if (!entry->is_claimed || entry->has != content_unknown())
        return false;
    return sub->hold == HOLD_CHANGES || (sub->hold == HOLD_REMOVALS && !after);
}

/* --- collecting
 * ------------------------------------------------------------------------------------ */

static void add_item(struct subscription *sub, struct pending *pending, struct pending_item item)
{
    size_t bytes = item.after ? resource_encoded_len(item.after, sub->is_delta) : item.name.len;
    bool is_split = sub->response_bytes_max && !is_complete_state(sub) && pending->len &&
                    pending->bytes + bytes > sub->response_bytes_max;
    if (is_split || !pending->is_complete) {
        pending->is_complete = false;
        return;
    }
    if (pending->len == pending->cap) {
        pending->cap = pending->cap ? pending->cap * 2 : 16;
        pending->items = mem_resize(pending->items, pending->cap, sizeof *pending->items);
    }
    pending->items[pending->len++] = item;
    pending->bytes += bytes;
}

static void consider_entry(struct subscription *sub, struct subscription_entry *entry,
                           struct pending *pending)
{
    struct resource *after = resource_set_find(sub->target, entry->name);
    if (!is_subscribed(sub, entry->name, entry) || entry->is_glob)
        return;
    /* State of the world cannot tell removals of these; the client finds out by their parents. */
    if (!after && !sub->is_delta && !is_complete_state(sub))
        entry_set_has(entry, NULL);
    if ((resource_is_same(entry->has, after) && !entry->must_tell) ||
        (entry->refused_nonce && !is_complete_state(sub)) || is_held(sub, entry, after))
        return;
    pending->refused_count += entry->refused_nonce != 0;
    add_item(sub, pending,
             (struct pending_item){.name = entry->name, .before = entry->has, .after = after});
}

static void consider_change(struct subscription *sub, const struct set_change *change,
                            struct pending *pending)
{
    if (!sub->is_wildcard && !change->before)
        return; /* covering: new names are not asked for by themselves */
    if (!change->after && !sub->is_delta && !is_complete_state(sub))
        return;
    add_item(sub, pending,
             (struct pending_item){.name = set_change_name(change),
                                   .before = change->before,
                                   .after = change->after});
}

/* Entries for all names of the target that a glob asks for. */
static void ensure_glob_entries(struct subscription *sub)
{
    for (size_t i = 0; i < sub->globs.len; i++) {
        struct str prefix = glob_prefix(str_from(sub->globs.items[i]));
        size_t begin = resource_set_lower_bound(sub->target, prefix), end = begin;
        while (end < sub->target->len && str_starts_with(sub->target->items[end]->name, prefix))
            end++;
        struct str *names = mem_alloc_zero(end - begin + 1, sizeof *names);
        for (size_t j = begin; j < end; j++)
            names[j - begin] = sub->target->items[j]->name;
        entries_ensure(sub, names, end - begin);
        mem_free(names);
    }
}

static bool is_whole_diff(const struct subscription *sub, const struct set_diff *diff)
{
    if (!diff || sub->len)
        return false;
    if (sub->response_bytes_max && !is_complete_state(sub) &&
        diff->bytes[sub->is_delta] > sub->response_bytes_max)
        return false;
    return sub->is_wildcard;
}

static void collect(struct subscription *sub, struct diff_cache *cache, struct pending *pending)
{
    struct set_diff *diff = NULL;
    if ((sub->is_wildcard || sub->is_covering) && !resource_set_is_same(sub->base, sub->target))
        diff = diff_cache_get(cache, sub->base, sub->target);
    if (is_whole_diff(sub, diff)) {
        pending->diff = diff;
        pending->bytes = diff->bytes[sub->is_delta];
        return;
    }
    size_t diff_len = diff ? diff->len : 0;
    for (size_t i = 0, j = 0; i < diff_len || j < sub->len;) {
        int order = i == diff_len ? 1
                    : j == sub->len
                        ? -1
                        : str_compare(set_change_name(&diff->changes[i]), sub->entries[j].name);
        if (order < 0)
            consider_change(sub, &diff->changes[i], pending);
        else
            consider_entry(sub, &sub->entries[j], pending);
        i += order <= 0;
        j += order >= 0;
    }
}

/* The same complete answer that was refused goes out again only because a name was added. */
static bool has_new_name(const struct subscription *sub)
{
    for (size_t i = 0; i < sub->len; i++)
        if (sub->entries[i].is_named && !sub->entries[i].refused_nonce &&
            sub->entries[i].has == content_unknown())
            return true;
    return false;
}

static bool has_pending(const struct subscription *sub, const struct pending *pending)
{
    if (sub->must_respond)
        return true;
    if (sub->has_refused_set)
        return has_new_name(sub);
    return pending->len > pending->refused_count || (pending->diff && pending->diff->len);
}

/* --- the response
 * ------------------------------------------------------------------------------------ */

static void add_change(struct subscription *sub, struct response *response,
                       const struct pending_item *item)
{
    if (item->after)
        response_add_resource(response, item->after, sub->is_delta);
    else if (sub->is_delta)
        response_add_removed(response, item->name);
}

/* All of set in one piece: of many small ones gRPC keeps room for as many with the connection. */
static void add_set(struct subscription *sub, struct response *response, struct resource_set *set)
{
    response_add_buf(response, resource_set_bytes(set, sub->is_delta));
    response->resource_count = set->len;
}

/* Everything the client asks for. */
static void add_complete_state(struct subscription *sub, struct response *response)
{
    struct resource_set *target = sub->target;
    if (sub->is_wildcard) {
        add_set(sub, response, target);
        return;
    }
    if (sub->globs.len == 0 && !sub->is_covering) {
        for (size_t i = 0; i < sub->len; i++) {
            struct resource *resource = resource_set_find(target, sub->entries[i].name);
            if (resource && sub->entries[i].is_named)
                response_add_resource(response, resource, false);
        }
        return;
    }
    for (size_t i = 0; i < target->len; i++)
        if (subscription_covers(sub, target->items[i]->name))
            response_add_resource(response, target->items[i], false);
}

static void add_diff(struct subscription *sub, struct response *response, struct set_diff *diff)
{
    if (!diff->from) {
        add_set(sub, response, diff->to);
        return;
    }
    for (size_t i = 0; i < diff->len; i++)
        add_change(sub, response,
                   &(struct pending_item){.name = set_change_name(&diff->changes[i]),
                                          .after = diff->changes[i].after});
}

static bool has_all_of_target(const struct subscription *sub, const struct pending *pending)
{
    size_t count = 0;
    for (size_t i = 0; i < pending->len; i++)
        count += pending->items[i].after != NULL;
    return count > 0 && count == sub->target->len;
}

static void add_items(struct subscription *sub, struct response *response,
                      const struct pending *pending)
{
    bool is_whole = has_all_of_target(sub, pending);
    if (is_whole)
        add_set(sub, response, sub->target);
    for (size_t i = 0; i < pending->len; i++)
        if (!is_whole || !pending->items[i].after)
            add_change(sub, response, &pending->items[i]);
}

static void fill(struct subscription *sub, const struct pending *pending, struct response *response)
{
    if (is_complete_state(sub))
        add_complete_state(sub, response);
    else if (pending->diff)
        add_diff(sub, response, pending->diff);
    else
        add_items(sub, response, pending);
}

static void remember(struct subscription *sub, const struct pending *pending, uint64_t nonce)
{
    struct subscription_outstanding *out = &sub->out;
    *out = (struct subscription_outstanding){
        .nonce = nonce,
        .target = resource_set_ref(sub->target),
        .diff = pending->diff ? set_diff_ref(pending->diff) : NULL,
        .items = pending->len ? mem_alloc_zero(pending->len, sizeof *out->items) : NULL,
        .len = pending->len,
        .is_complete = pending->is_complete,
    };
    for (size_t i = 0; i < pending->len; i++) {
        const struct pending_item *from = &pending->items[i];
        struct subscription_item *item = &out->items[i];
        item->resource = from->after ? resource_ref(from->after) : NULL;
        item->name = from->after ? from->after->name : from->name;
        if (!from->after)
            item->name.data = mem_copy_string(from->name.data, from->name.len);
    }
}

static void tell_updates(const struct pending *pending, subscription_update_fn *on_update,
                         void *arg)
{
    for (size_t i = 0; i < pending->len; i++)
        if (pending->items[i].before && pending->items[i].after)
            on_update(arg, pending->items[i].name);
    for (size_t i = 0; pending->diff && pending->diff->from && i < pending->diff->len; i++)
        if (pending->diff->changes[i].before && pending->diff->changes[i].after)
            on_update(arg, set_change_name(&pending->diff->changes[i]));
}

bool subscription_next(struct subscription *sub, struct diff_cache *cache, uint64_t nonce,
                       subscription_update_fn *on_update, void *arg, struct response *response)
{
    if (!sub->has_begun || !sub->is_dirty || sub->out.nonce)
        return false;
    struct pending pending = {.is_complete = true};
    release_refused(sub);
    ensure_glob_entries(sub);
    collect(sub, cache, &pending);
    bool has = has_pending(sub, &pending);
    if (has) {
        response_reset(response);
        fill(sub, &pending, response);
        response_finish(response, sub->type, &sub->target->version, nonce);
        remember(sub, &pending, nonce);
        if (on_update)
            tell_updates(&pending, on_update, arg);
        sub->must_respond = false;
    } else if (!sub->has_refused_set && !pending.diff) {
        /* All that is left are exceptions with entries of their own. */
        subscription_advance_base(sub, sub->target);
        entries_sweep(sub);
    }
    mem_free(pending.items);
    sub->is_dirty = false;
    return has;
}
