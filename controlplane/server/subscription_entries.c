#include "controlplane/server/subscription_internal.h"

#include "common/base/mem.h"

/* Fewer names than this are not worth a base of their own. */
enum { COVER_NAMES_MIN = 64, COVER_EXCEPTIONS_DIVISOR = 8 };

struct resource *content_unknown(void)
{
    static struct resource unknown = {.refs = 1}; /* never freed: references are balanced */
    return &unknown;
}

bool name_is_glob(struct str name)
{
    return str_ends_with(name, STR("/*"));
}

struct str glob_prefix(struct str glob)
{
    return str_slice(glob, 0, glob.len - 1);
}

/* --- one entry ----------------------------------------------------------------------------------
 */

static struct resource *ref_or_null(struct resource *content)
{
    return content ? resource_ref(content) : NULL;
}

void entry_set_has(struct subscription_entry *entry, struct resource *content)
{
    struct resource *before = entry->has;
    entry->has = ref_or_null(content);
    resource_unref(before);
}

static void remove_glob(struct vec *globs, const char *name)
{
    for (size_t i = 0; i < globs->len; i++)
        if (globs->items[i] == name)
            globs->items[i] = globs->items[--globs->len];
}

void entry_set_named(struct subscription *sub, struct subscription_entry *entry, bool is_named)
{
    if (entry->is_named == is_named)
        return;
    entry->is_named = is_named;
    sub->named_count += is_named ? 1 : (size_t)-1;
    bool was_glob = entry->is_glob;
    entry->is_glob = is_named && name_is_glob(entry->name);
    if (entry->is_glob)
        vec_append(&sub->globs, (char *)entry->name.data);
    else if (was_glob)
        remove_glob(&sub->globs, entry->name.data);
}

void entry_set_refused(struct subscription *sub, struct subscription_entry *entry, uint64_t nonce,
                       struct resource *content)
{
    sub->refused_count += (size_t)(nonce != 0) - (size_t)(entry->refused_nonce != 0);
    entry->refused_nonce = nonce;
    entry->is_innocent = false;
    entry->is_guilty = false;
    struct resource *before = entry->refused;
    entry->refused = ref_or_null(content);
    resource_unref(before);
}

static void entry_done(struct subscription *sub, struct subscription_entry *entry)
{
    entry_set_named(sub, entry, false);
    entry_set_refused(sub, entry, 0, NULL);
    entry_set_has(entry, NULL);
    sub->bytes -= sizeof *entry + entry->name.len;
    mem_free((char *)entry->name.data);
}

/* What holds for a name without an entry. */
static struct subscription_entry entry_default(struct subscription *sub, struct str name)
{
    struct resource *has = resource_set_find(sub->base, name);
    struct subscription_entry entry = {
        .name = {.data = mem_copy_string(name.data, name.len), .len = name.len},
        .has = ref_or_null(has),
    };
    entry_set_named(sub, &entry, sub->is_covering && has);
    sub->bytes += sizeof entry + name.len;
    return entry;
}

/* --- the list -----------------------------------------------------------------------------------
 */

static size_t lower_bound(const struct subscription *sub, struct str name)
{
    size_t low = 0, high = sub->len;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (str_compare(sub->entries[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct subscription_entry *entry_find(const struct subscription *sub, struct str name)
{
    size_t at = lower_bound(sub, name);
    return at < sub->len && str_equal(sub->entries[at].name, name) ? &sub->entries[at] : NULL;
}

static size_t count_missing(const struct subscription *sub, const struct str *names, size_t count)
{
    if (count == 1)
        return entry_find(sub, names[0]) ? 0 : 1;
    size_t missing = 0;
    for (size_t i = 0, j = 0; i < count; i++) {
        while (j < sub->len && str_compare(sub->entries[j].name, names[i]) < 0)
            j++;
        missing += j == sub->len || !str_equal(sub->entries[j].name, names[i]);
    }
    return missing;
}

void entries_ensure(struct subscription *sub, const struct str *names, size_t count)
{
    size_t missing = count_missing(sub, names, count);
    if (missing == 0)
        return;
    sub->entries = mem_resize(sub->entries, sub->len + missing, sizeof *sub->entries);
    /* Merges from the back, in place. */
    size_t from = sub->len, to = sub->len + missing;
    for (size_t i = count; i > 0; i--) {
        while (from > 0 && str_compare(sub->entries[from - 1].name, names[i - 1]) > 0)
            sub->entries[--to] = sub->entries[--from];
        if (from == 0 || !str_equal(sub->entries[from - 1].name, names[i - 1]))
            sub->entries[--to] = entry_default(sub, names[i - 1]);
    }
    ASSERT(from == to);
    sub->len += missing;
}

struct subscription_entry *entry_ensure(struct subscription *sub, struct str name)
{
    entries_ensure(sub, &name, 1);
    return entry_find(sub, name);
}

bool is_subscribed(const struct subscription *sub, struct str name,
                   const struct subscription_entry *entry)
{
    if (sub->is_wildcard || (entry && entry->is_named))
        return true;
    if (!entry && sub->is_covering && resource_set_find(sub->base, name))
        return true;
    for (size_t i = 0; i < sub->globs.len; i++)
        if (str_starts_with(name, glob_prefix(str_from(sub->globs.items[i]))))
            return true;
    return false;
}

static bool is_needed(const struct subscription *sub, const struct subscription_entry *entry)
{
    if (entry->refused_nonce || entry->is_asked_after_send || entry->must_tell)
        return is_subscribed(sub, entry->name, entry);
    if (entry->is_claimed && sub->hold != HOLD_NOTHING)
        return true;
    struct resource *base = resource_set_find(sub->base, entry->name);
    if (sub->is_wildcard)
        return entry->is_named || !resource_is_same(entry->has, base);
    if (sub->is_covering)
        return entry->is_named != (base != NULL) || !resource_is_same(entry->has, base);
    return entry->is_named || (entry->has && is_subscribed(sub, entry->name, entry));
}

void release_group(struct subscription *sub, uint64_t nonce)
{
    for (size_t i = 0; nonce && i < sub->len; i++)
        if (sub->entries[i].refused_nonce == nonce) {
            entry_set_refused(sub, &sub->entries[i], 0, NULL);
            sub->is_dirty = true;
        }
}

void entry_leave_group(struct subscription *sub, struct subscription_entry *entry)
{
    sub->is_dirty |= entry->is_guilty;
    if (entry->is_innocent || entry->is_guilty)
        entry_set_refused(sub, entry, 0, NULL);
    else
        release_group(sub, entry->refused_nonce);
}

void entries_sweep(struct subscription *sub)
{
    /* Nobody knows whether one that goes was the one at fault. */
    for (size_t i = 0; sub->refused_count && i < sub->len; i++)
        if (sub->entries[i].refused_nonce && !is_needed(sub, &sub->entries[i]))
            entry_leave_group(sub, &sub->entries[i]);
    size_t kept = 0;
    for (size_t i = 0; i < sub->len; i++)
        if (is_needed(sub, &sub->entries[i]))
            sub->entries[kept++] = sub->entries[i];
        else
            entry_done(sub, &sub->entries[i]);
    sub->len = kept;
}

void entries_clear(struct subscription *sub)
{
    for (size_t i = 0; i < sub->len; i++)
        entry_done(sub, &sub->entries[i]);
    mem_free(sub->entries);
    sub->entries = NULL;
    sub->len = 0;
}

/* --- base ---------------------------------------------------------------------------------------
 */

static void set_base(struct subscription *sub, struct resource_set *base)
{
    struct resource_set *before = sub->base;
    sub->base = base ? resource_set_ref(base) : NULL;
    resource_set_unref(before);
}

static void ensure_set_names(struct subscription *sub, const struct resource_set *set)
{
    struct str *names = mem_alloc_zero(set->len ? set->len : 1, sizeof *names);
    for (size_t i = 0; i < set->len; i++)
        names[i] = set->items[i]->name;
    entries_ensure(sub, names, set->len);
    mem_free(names);
}

void subscription_uncover(struct subscription *sub)
{
    if (!sub->is_covering)
        return;
    ensure_set_names(sub, sub->base);
    sub->is_covering = false;
    set_base(sub, NULL);
    entries_sweep(sub);
}

/* Names of target that the client does not ask for, or asks for and does not have as they are, and
 * names it asks for that target has not. */
static size_t count_cover_exceptions(const struct subscription *sub)
{
    size_t exceptions = 0, i = 0, j = 0;
    while (i < sub->len || j < sub->target->len) {
        int order = i == sub->len ? 1
                    : j == sub->target->len
                        ? -1
                        : str_compare(sub->entries[i].name, sub->target->items[j]->name);
        exceptions += order != 0 || !sub->entries[i].is_named ||
                      !resource_is_same(sub->entries[i].has, sub->target->items[j]);
        i += order <= 0;
        j += order >= 0;
    }
    return exceptions;
}

void subscription_cover(struct subscription *sub)
{
    if (sub->is_wildcard || sub->is_covering || sub->globs.len || sub->len < COVER_NAMES_MIN ||
        count_cover_exceptions(sub) > sub->len / COVER_EXCEPTIONS_DIVISOR)
        return;
    /* While it is not covering, names of target get entries that say "not asked for". */
    ensure_set_names(sub, sub->target);
    sub->is_covering = true;
    set_base(sub, sub->target);
    entries_sweep(sub);
    sub->entries = mem_resize(sub->entries, sub->len ? sub->len : 1, sizeof *sub->entries);
}

void subscription_advance_base(struct subscription *sub, struct resource_set *set)
{
    if (!sub->is_wildcard && !sub->is_covering)
        return;
    if (sub->is_covering && sub->base != set) {
        /* Names that come in are not asked for by that; names that go stay asked for. */
        struct set_diff *diff = set_diff_new(sub->base, set);
        for (size_t i = 0; i < diff->len; i++) {
            const struct set_change *change = &diff->changes[i];
            if (change->before && change->after)
                continue;
            struct subscription_entry *entry = entry_ensure(sub, set_change_name(change));
            if (resource_is_same(entry->has, change->before))
                entry_set_has(entry, NULL);
        }
        set_diff_unref(diff);
    }
    set_base(sub, set);
    entries_sweep(sub);
}

/* --- outstanding --------------------------------------------------------------------------------
 */

void outstanding_clear(struct subscription_outstanding *out)
{
    for (size_t i = 0; i < out->len; i++) {
        if (!out->items[i].resource)
            mem_free((char *)out->items[i].name.data);
        resource_unref(out->items[i].resource);
    }
    mem_free(out->items);
    set_diff_unref(out->diff);
    resource_set_unref(out->target);
    *out = (struct subscription_outstanding){0};
}
