#include "controlplane/server/subscription.h"

#include "common/base/mem.h"
#include "controlplane/server/subscription_internal.h"
#include "controlplane/status/text_names.h"

#include <stdlib.h>

/* Of an error text this much is searched for names. */
enum { ERROR_TEXT_SEARCHED_BYTES = 4096 };

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

/* --- names --------------------------------------------------------------------------------------
 */

static int compare_strs(const void *a, const void *b)
{
    const struct str *left = a, *right = b;
    return str_compare(*left, *right);
}

/* Sorted, without doubles and without "*". Takes nothing; the array is the caller's to free. */
struct name_list {
    struct str *names;
    size_t len;
    bool has_star;
};

static int check_name(struct str name, struct errmsg *ret_msg)
{
    if (name.len > SUBSCRIPTION_NAME_BYTES_MAX)
        return errmsg_set(ret_msg, ERR_TOO_LARGE, "a resource name is longer than %d bytes",
                          SUBSCRIPTION_NAME_BYTES_MAX);
    for (size_t i = 0; i < name.len; i++)
        if ((unsigned char)name.data[i] < 0x20)
            return errmsg_set(ret_msg, ERR_INVALID, "a resource name has control characters");
    return 0;
}

static int name_list_init(struct name_list *list, const struct str *names, size_t count,
                          struct errmsg *ret_msg)
{
    *list = (struct name_list){0};
    if (count > SUBSCRIPTION_NAMES_MAX)
        return errmsg_set(ret_msg, ERR_TOO_LARGE, "more than %d resource names in a request",
                          SUBSCRIPTION_NAMES_MAX);
    list->names = mem_alloc_zero(count ? count : 1, sizeof(struct str));
    for (size_t i = 0; i < count; i++) {
        int err = check_name(names[i], ret_msg);
        if (err)
            return err;
        if (str_equal(names[i], STR("*")))
            list->has_star = true;
        else
            list->names[list->len++] = names[i];
    }
    if (list->len)
        qsort(list->names, list->len, sizeof *list->names, compare_strs);
    size_t kept = 0;
    for (size_t i = 0; i < list->len; i++)
        if (kept == 0 || !str_equal(list->names[kept - 1], list->names[i]))
            list->names[kept++] = list->names[i];
    list->len = kept;
    return 0;
}

/* Before the names of list are added to what is named already. */
static int check_limits(const struct subscription *sub, size_t named_count,
                        const struct name_list *list, struct errmsg *ret_msg)
{
    size_t globs = 0;
    for (size_t i = 0; i < list->len; i++)
        globs += name_is_glob(list->names[i]);
    if (named_count + list->len > SUBSCRIPTION_NAMES_MAX)
        return errmsg_set(ret_msg, ERR_TOO_LARGE, "more than %d resource names of type %s",
                          SUBSCRIPTION_NAMES_MAX, resource_type_short_name(sub->type));
    if ((named_count ? sub->globs.len : 0) + globs > SUBSCRIPTION_GLOBS_MAX)
        return errmsg_set(ret_msg, ERR_TOO_LARGE, "more than %d names with a star of type %s",
                          SUBSCRIPTION_GLOBS_MAX, resource_type_short_name(sub->type));
    return 0;
}

static void drop_base(struct subscription *sub)
{
    resource_set_unref(sub->base);
    sub->base = NULL;
}

static void set_wildcard(struct subscription *sub, bool is_wildcard)
{
    if (sub->is_wildcard == is_wildcard)
        return;
    /* Entries of named resources hold what the client has by themselves and stay. */
    subscription_uncover(sub);
    drop_base(sub);
    sub->is_wildcard = is_wildcard;
    sub->out.is_complete = false; /* complete for what was asked then, not for this */
    sub->has_refused_set = false;
    sub->is_dirty = true;
    /* Whoever was at fault may not be asked for any more. */
    for (size_t i = 0; i < sub->len; i++)
        entry_set_refused(sub, &sub->entries[i], 0, NULL);
    /* An empty answer is an answer: clients wait for the first one. */
    if (is_wildcard)
        sub->must_respond = true;
}

/* The client asks for this name by itself from now on, and is to be answered whatever it has. */
static void ask_for(struct subscription *sub, struct subscription_entry *entry)
{
    entry_set_named(sub, entry, true);
    entry_leave_group(sub, entry);
    entry_set_has(entry, content_unknown());
    entry->is_asked_after_send = sub->out.nonce != 0;
    entry->is_claimed = false;
    sub->is_dirty = true;
}

/* --- state of the world: each request has the complete list
 * --------------------------------------- */

static uint64_t sum_of_names(const struct str *names, size_t count)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += hash_keyed(names[i]);
    return sum;
}

static void replace_names(struct subscription *sub, const struct name_list *list)
{
    subscription_uncover(sub);
    entries_ensure(sub, list->names, list->len);
    for (size_t i = 0, j = 0; i < sub->len; i++) {
        struct subscription_entry *entry = &sub->entries[i];
        while (j < list->len && str_compare(list->names[j], entry->name) < 0)
            j++;
        bool is_listed = j < list->len && str_equal(list->names[j], entry->name);
        if (!is_listed)
            entry_set_named(sub, entry, false);
        else if (!entry->is_named)
            ask_for(sub, entry);
    }
}

static int take_sotw_names(struct subscription *sub, const struct subscription_request *request,
                           struct errmsg *ret_msg)
{
    size_t count = request->subscribe_count;
    uint64_t sum = sum_of_names(request->subscribe, count);
    if (sub->has_begun && sum == sub->names_sum && count == sub->names_sum_count)
        return 0;
    sub->names_sum = sum;
    sub->names_sum_count = count;
    struct name_list list;
    int err = name_list_init(&list, request->subscribe, count, ret_msg);
    if (!err)
        err = check_limits(sub, 0, &list, ret_msg);
    if (!err) {
        bool means_all = list.has_star || (count == 0 && !sub->was_named);
        sub->was_named |= count > 0;
        replace_names(sub, &list);
        set_wildcard(sub, means_all && resource_type_has_wildcard(sub->type));
        entries_sweep(sub);
    }
    mem_free(list.names);
    return err;
}

/* A client that reconnects with the version we are at has it all. */
static void take_sotw_version(struct subscription *sub, struct str version)
{
    if (sub->is_wildcard && sub->len == 0 &&
        str_equal(version, str_from(sub->target->version.hex))) {
        sub->must_respond = false;
        subscription_advance_base(sub, sub->target);
    }
}

/* --- delta: each request has changes of the list
 * --------------------------------------------------- */

static void unsubscribe(struct subscription *sub, const struct name_list *list)
{
    for (size_t i = 0; i < list->len; i++) {
        struct subscription_entry *entry = entry_find(sub, list->names[i]);
        if (!entry && sub->is_covering && resource_set_find(sub->base, list->names[i]))
            entry = entry_ensure(sub, list->names[i]);
        if (!entry || !entry->is_named)
            continue;
        entry_set_named(sub, entry, false);
        entry_leave_group(sub, entry);
        /* Still in the wildcard: the client is told what becomes of it. Otherwise it forgets it. */
        entry_set_has(entry, sub->is_wildcard ? content_unknown() : NULL);
        entry->is_asked_after_send = sub->is_wildcard && sub->out.nonce != 0;
        sub->is_dirty = true;
    }
}

static void subscribe(struct subscription *sub, const struct name_list *list)
{
    entries_ensure(sub, list->names, list->len);
    for (size_t i = 0; i < list->len; i++)
        ask_for(sub, entry_find(sub, list->names[i]));
}

static int take_delta_names(struct subscription *sub, const struct subscription_request *request,
                            struct errmsg *ret_msg)
{
    struct name_list gone, come = {0};
    int err = name_list_init(&gone, request->unsubscribe, request->unsubscribe_count, ret_msg);
    if (!err)
        err = name_list_init(&come, request->subscribe, request->subscribe_count, ret_msg);
    if (!err)
        err = check_limits(sub, sub->named_count, &come, ret_msg);
    if (!err) {
        unsubscribe(sub, &gone);
        bool means_all = come.has_star || (!sub->has_begun && request->subscribe_count == 0);
        if (means_all && resource_type_has_wildcard(sub->type))
            set_wildcard(sub, true);
        else if (gone.has_star)
            set_wildcard(sub, false);
        subscribe(sub, &come);
        entries_sweep(sub);
    }
    mem_free(gone.names);
    mem_free(come.names);
    return err;
}

static int compare_versions(const void *a, const void *b)
{
    const struct subscription_version *left = a, *right = b;
    return str_compare(left->name, right->name);
}

/* What a reconnecting client says it has of a name, compared with what it should have. */
static struct resource *content_of_version(const struct subscription *sub,
                                           const struct subscription_version *version)
{
    struct resource *resource = resource_set_find(sub->target, version->name);
    bool is_same = resource && str_equal(version->version, str_from(resource->version.hex));
    return is_same ? resource : content_unknown();
}

/* Wildcard: the client is at the target but for what differs, what it lacks and what is gone. */
static void take_wildcard_versions(struct subscription *sub,
                                   const struct subscription_version *versions, size_t count)
{
    subscription_advance_base(sub, sub->target);
    struct str *names = mem_alloc_zero(count + sub->target->len, sizeof *names);
    size_t len = 0;
    for (size_t i = 0, j = 0; i < count || j < sub->target->len;) {
        struct str claimed = i < count ? versions[i].name : (struct str){0};
        int order = i == count              ? 1
                    : j == sub->target->len ? -1
                                            : str_compare(claimed, sub->target->items[j]->name);
        bool is_same = order == 0 && content_of_version(sub, &versions[i]) != content_unknown();
        struct str name = order > 0 ? sub->target->items[j]->name : claimed;
        if (!is_same && (len == 0 || !str_equal(names[len - 1], name)))
            names[len++] = name;
        i += order <= 0;
        j += order >= 0;
    }
    entries_ensure(sub, names, len);
    for (size_t i = 0, j = 0; i < len; i++) {
        while (j < count && str_compare(versions[j].name, names[i]) < 0)
            j++;
        struct subscription_entry *entry = entry_find(sub, names[i]);
        entry->is_claimed = j < count && str_equal(versions[j].name, names[i]);
        entry_set_has(entry, entry->is_claimed ? content_unknown() : NULL);
        sub->is_outdated |= entry->is_claimed;
    }
    mem_free(names);
    sub->is_dirty |= len > 0;
}

/* Names asked for by themselves: the client has what it says where that can be believed. */
static void take_named_versions(struct subscription *sub,
                                const struct subscription_version *versions, size_t count)
{
    bool is_believed = sub->trusts_versions || resource_type_has_wildcard(sub->type);
    for (size_t i = 0; i < count; i++) {
        struct subscription_entry *entry = entry_find(sub, versions[i].name);
        if (!entry || !entry->is_named)
            continue;
        struct resource *content = content_of_version(sub, &versions[i]);
        entry->is_claimed = content == content_unknown();
        sub->is_outdated |= entry->is_claimed;
        if (is_believed)
            entry_set_has(entry, content);
    }
}

static int take_versions(struct subscription *sub, const struct subscription_request *request,
                         struct errmsg *ret_msg)
{
    size_t count = request->version_count;
    if (count == 0)
        return 0;
    if (count > SUBSCRIPTION_NAMES_MAX)
        return errmsg_set(ret_msg, ERR_TOO_LARGE, "more than %d initial versions of type %s",
                          SUBSCRIPTION_NAMES_MAX, resource_type_short_name(sub->type));
    struct subscription_version *sorted = mem_alloc_zero(count, sizeof *sorted);
    memcpy(sorted, request->versions, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, compare_versions);
    sub->must_respond = true;
    if (sub->is_wildcard)
        take_wildcard_versions(sub, sorted, count);
    take_named_versions(sub, sorted, count);
    mem_free(sorted);
    return 0;
}

/* --- acceptance
 * ----------------------------------------------------------------------------------- */

static void accept_content(struct subscription *sub, struct subscription_entry *entry,
                           struct resource *content)
{
    if (entry->is_asked_after_send)
        return;
    entry_set_has(entry, content);
    entry_set_refused(sub, entry, 0, NULL);
    entry->must_tell = false;
}

/* Entries that the response was about; those that came since then stay as they are. */
static void accept_diff(struct subscription *sub, const struct set_diff *diff)
{
    for (size_t i = 0; sub->len && i < diff->len; i++) {
        struct subscription_entry *entry = entry_find(sub, set_change_name(&diff->changes[i]));
        if (entry)
            accept_content(sub, entry, diff->changes[i].after);
    }
}

static void accept_items(struct subscription *sub)
{
    const struct subscription_outstanding *out = &sub->out;
    struct str *names = mem_alloc_zero(out->len ? out->len : 1, sizeof *names);
    for (size_t i = 0; i < out->len; i++)
        names[i] = out->items[i].name;
    /* Without a base to move to, or with more to come, only entries can say what it has now. A name
     * that is not asked for any more is swept away again. */
    if (!out->is_complete)
        entries_ensure(sub, names, out->len);
    mem_free(names);
    for (size_t i = 0; i < out->len; i++) {
        struct subscription_entry *entry = entry_find(sub, out->items[i].name);
        if (entry && is_subscribed(sub, entry->name, entry))
            accept_content(sub, entry, out->items[i].resource);
    }
}

static void clear_asked_after_send(struct subscription *sub)
{
    for (size_t i = 0; i < sub->len; i++)
        sub->entries[i].is_asked_after_send = false;
}

static void take_ack(struct subscription *sub)
{
    struct subscription_outstanding *out = &sub->out;
    if (out->diff)
        accept_diff(sub, out->diff);
    accept_items(sub);
    clear_asked_after_send(sub);
    sub->has_refused_set = false;
    if (out->is_complete)
        subscription_advance_base(sub, out->target);
    else
        sub->is_dirty = true;
    if (!resource_set_is_same(out->target, sub->target))
        sub->is_dirty = true;
    outstanding_clear(out);
    entries_sweep(sub);
    if (!sub->is_dirty)
        subscription_cover(sub);
}

/* --- refusal
 * -------------------------------------------------------------------------------------- */

/* The changes that the outstanding response told. */
struct told {
    struct pending_item *items;
    size_t len;
    bool are_named; /* the suspects, by the error text */
};

static struct told told_by(struct subscription *sub)
{
    const struct subscription_outstanding *out = &sub->out;
    struct told told = {0};
    size_t diff_len = out->diff ? out->diff->len : 0;
    told.items = mem_alloc_zero(out->len + diff_len + 1, sizeof *told.items);
    for (size_t i = 0; i < diff_len; i++) {
        const struct set_change *change = &out->diff->changes[i];
        if (change->after || sub->is_delta)
            told.items[told.len++] =
                (struct pending_item){.name = set_change_name(change), .after = change->after};
    }
    for (size_t i = 0; i < out->len; i++)
        told.items[told.len++] =
            (struct pending_item){.name = out->items[i].name, .after = out->items[i].resource};
    return told;
}

/* Suspects are those that the text names, or all of them where it names none; they come first. */
static size_t find_suspects(struct told *told, struct str text)
{
    size_t count = 0;
    if (text.len > ERROR_TEXT_SEARCHED_BYTES)
        text.len = ERROR_TEXT_SEARCHED_BYTES;
    for (size_t i = 0; i < told->len; i++)
        if (text_names(text, told->items[i].name)) {
            struct pending_item named = told->items[i];
            told->items[i] = told->items[count];
            told->items[count++] = named;
        }
    told->are_named = count > 0;
    if (count == 0)
        count = told->len;
    for (size_t i = 0; i < count; i++)
        told->items[i].is_suspect = true;
    return count;
}

static int compare_items(const void *a, const void *b)
{
    const struct pending_item *left = a, *right = b;
    return str_compare(left->name, right->name);
}

static void ensure_item_entries(struct subscription *sub, const struct told *told)
{
    struct str *names = mem_alloc_zero(told->len + 1, sizeof *names);
    if (told->len)
        qsort(told->items, told->len, sizeof *told->items, compare_items);
    for (size_t i = 0; i < told->len; i++)
        names[i] = told->items[i].name;
    entries_ensure(sub, names, told->len);
    mem_free(names);
}

/* Where there are entries for them. */
static void refuse_items(struct subscription *sub, const struct told *told, bool is_complete_state)
{
    bool is_any_asked_again = false;
    for (size_t i = 0; i < told->len; i++) {
        struct subscription_entry *entry = entry_find(sub, told->items[i].name);
        if (entry && entry->is_asked_after_send)
            is_any_asked_again = true;
        else if (entry)
            entry_set_refused(sub, entry, sub->out.nonce, told->items[i].after);
        if (entry)
            entry->is_innocent = !told->items[i].is_suspect;
        if (entry && entry->refused_nonce)
            entry->is_guilty = told->are_named && !is_complete_state;
    }
    /* It is sent again in any case; the next answer will tell whether it was at fault. */
    if (is_any_asked_again)
        release_group(sub, sub->out.nonce);
}

static void take_nack(struct subscription *sub, struct str text,
                      subscription_refused_fn *on_refused, void *arg)
{
    bool is_complete_state = !sub->is_delta && resource_type_has_wildcard(sub->type);
    struct told told = told_by(sub);
    size_t suspect_count = find_suspects(&told, text);
    for (size_t i = 0; i < suspect_count; i++)
        on_refused(arg, told.items[i].name, told.items[i].after);
    /* A complete answer cannot be sent again without its suspects, so all of it is refused. */
    if (!is_complete_state)
        told.len = suspect_count;
    if (is_complete_state && sub->is_wildcard) {
        sub->has_refused_set = true;
        sub->refused_set = sub->out.target->version;
    } else {
        ensure_item_entries(sub, &told);
    }
    refuse_items(sub, &told, is_complete_state);
    mem_free(told.items);
    clear_asked_after_send(sub);
    outstanding_clear(&sub->out);
    entries_sweep(sub);
    sub->is_dirty = true;
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
            take_nack(sub, request->error, on_refused, arg);
        else
            take_ack(sub);
    }
    int err = sub->is_delta ? take_delta_names(sub, request, ret_msg)
                            : take_sotw_names(sub, request, ret_msg);
    if (!err && is_first && sub->is_delta)
        err = take_versions(sub, request, ret_msg);
    if (!err && is_first && !sub->is_delta)
        take_sotw_version(sub, request->version_info);
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
