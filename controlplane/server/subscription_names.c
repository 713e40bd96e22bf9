/* What a client asks for, and what it says it has when it comes back. */
#include "common/base/mem.h"
#include "controlplane/server/subscription_internal.h"

#include <stdlib.h>

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

int subscription_take_names(struct subscription *sub, const struct subscription_request *request,
                            struct errmsg *ret_msg)
{
    bool is_first = !sub->has_begun;
    if (sub->is_delta) {
        int err = take_delta_names(sub, request, ret_msg);
        return !err && is_first ? take_versions(sub, request, ret_msg) : err;
    }
    int err = take_sotw_names(sub, request, ret_msg);
    if (!err && is_first)
        take_sotw_version(sub, request->version_info);
    return err;
}
