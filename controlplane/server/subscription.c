/* The life of a subscription, its requests, and questions about it. */
#include "controlplane/server/subscription.h"

#include "common/base/mem.h"
#include "controlplane/server/subscription_internal.h"

void subscription_init(struct subscription *sub, enum resource_type type,
                       const struct subscription_options *options, struct resource_set *target)
{
    *sub = (struct subscription){
        .type = type,
        .is_delta = options->is_delta,
        .trusts_versions = options->trusts_versions,
        .retries_refused = options->retries_refused,
        .response_bytes_max = options->response_bytes_max,
        .target = resource_set_ref(target),
    };
}

void subscription_done(struct subscription *sub)
{
    entries_clear(sub);
    vec_done(&sub->globs);
    outstanding_clear(&sub->out);
    resource_set_unref(sub->target);
    resource_set_unref(sub->base);
    *sub = (struct subscription){0};
}

void subscription_set_target(struct subscription *sub, struct resource_set *target)
{
    struct resource_set *before = sub->target;
    if (before == target)
        return;
    sub->target = resource_set_ref(target);
    if (!resource_set_is_same(before, target))
        sub->is_dirty = true;
    else if (sub->base == before)
        subscription_advance_base(sub, target); /* so that the older one can go */
    resource_set_unref(before);
}

void subscription_set_hold(struct subscription *sub, enum subscription_hold hold)
{
    sub->is_dirty |= hold < sub->hold;
    sub->hold = hold;
}

/* --- requests
 * ------------------------------------------------------------------------------------- */

static bool answers_outstanding(const struct subscription *sub, struct str nonce)
{
    uint64_t value;
    return sub->out.nonce && str_to_u64(nonce, UINT64_MAX, &value) && value == sub->out.nonce;
}

int subscription_request(struct subscription *sub, const struct subscription_request *request,
                         subscription_refused_fn *on_refused, void *arg,
                         enum subscription_outcome *ret_outcome, struct errmsg *ret_msg)
{
    bool is_first = !sub->has_begun;
    enum subscription_outcome outcome = SUBSCRIPTION_REQUEST;
    if (answers_outstanding(sub, request->nonce)) {
        outcome = request->error.data ? SUBSCRIPTION_NACK : SUBSCRIPTION_ACK;
        if (request->error.data)
            subscription_take_nack(sub, request->error, on_refused, arg);
        else
            subscription_take_ack(sub);
    }
    int err = subscription_take_names(sub, request, ret_msg);
    if (err)
        return err;
    sub->has_begun = true;
    if (is_first)
        sub->is_dirty = true;
    *ret_outcome = outcome;
    return 0;
}

/* --- questions
 * ------------------------------------------------------------------------------------- */

void subscription_resend(struct subscription *sub, struct str name)
{
    struct subscription_entry *entry = entry_find(sub, name);
    if (!is_subscribed(sub, name, entry))
        return;
    entry = entry_ensure(sub, name);
    if (!entry->has && !sub->out.nonce)
        return; /* it will get it anyway, or there is nothing to get */
    entry_set_has(entry, content_unknown());
    entry->is_asked_after_send = sub->out.nonce != 0;
    sub->is_dirty = true;
}

bool subscription_is_settled(const struct subscription *sub)
{
    return !sub->out.nonce && !sub->is_dirty;
}

bool subscription_covers(const struct subscription *sub, struct str name)
{
    return is_subscribed(sub, name, entry_find(sub, name));
}

bool subscription_has_current(const struct subscription *sub, struct str name)
{
    const struct subscription_entry *entry = entry_find(sub, name);
    struct resource *has = entry ? entry->has : resource_set_find(sub->base, name);
    return is_subscribed(sub, name, entry) && !(entry && entry->must_tell) &&
           resource_is_same(has, resource_set_find(sub->target, name));
}

bool subscription_is_refused(const struct subscription *sub, struct str name)
{
    const struct subscription_entry *entry = entry_find(sub, name);
    if (sub->has_refused_set)
        return !subscription_has_current(sub, name);
    return entry && entry->refused_nonce != 0;
}

bool subscription_has_refused(const struct subscription *sub)
{
    return subscription_refused_count(sub) > 0;
}

bool subscription_is_claimed(const struct subscription *sub, struct str name)
{
    const struct subscription_entry *entry = entry_find(sub, name);
    return entry && entry->is_claimed;
}

size_t subscription_refused_count(const struct subscription *sub)
{
    return sub->refused_count + sub->has_refused_set;
}

bool subscription_is_at_target(const struct subscription *sub)
{
    return (sub->is_wildcard || sub->is_covering) && sub->len == 0 &&
           resource_set_is_same(sub->base, sub->target);
}

void subscription_visit_stale(const struct subscription *sub, subscription_stale_fn *on_stale,
                              void *arg)
{
    for (size_t i = 0; i < sub->len; i++) {
        const struct subscription_entry *entry = &sub->entries[i];
        if (entry->refused_nonce && entry->has)
            on_stale(arg, entry->has == content_unknown() ? NULL : entry->has);
    }
    for (size_t i = 0; sub->has_refused_set && sub->base && i < sub->base->len; i++) {
        const struct resource *content = sub->base->items[i];
        if (!resource_is_same(content, resource_set_find(sub->target, content->name)))
            on_stale(arg, content);
    }
}
