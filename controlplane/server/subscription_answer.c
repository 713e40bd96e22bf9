/* Acceptance and refusal of a response. */
#include "common/base/mem.h"
#include "controlplane/server/subscription_internal.h"
#include "controlplane/status/text_names.h"

#include <stdlib.h>

/* Of an error text this much is searched for names. */
enum { ERROR_TEXT_SEARCHED_BYTES = 4096 };

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

void subscription_take_ack(struct subscription *sub)
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

void subscription_take_nack(struct subscription *sub, struct str text,
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
