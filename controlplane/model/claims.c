/* What only one object can have: an API key belongs to one consumer.
 *
 * Who has a key and does not give it up keeps it, whatever others write later: nobody's mistake
 * takes a key from a consumer that works. Of several that newly claim a key the one whose version
 * is older gets it, then the one whose name comes first. Replicas that saw the same changes agree;
 * one that starts amid an unsolved conflict cannot know who was there first, and takes the oldest
 * version. */
#include "common/base/mem.h"
#include "controlplane/model/store_internal.h"

#include <stdlib.h>

/* A pending version that claims a key. */
struct claim {
    struct store_entry *entry;
    size_t index; /* of the key in its api_keys */
    struct claim *next;
};

struct settling {
    struct arena arena;
    struct map owners;    /* key -> the struct store_entry that has, or is to have, it */
    struct map claims;    /* key -> struct claim, the first of a list */
    struct vec newcomers; /* entries with a pending version, older versions first */
    struct vec losers;    /* those that lost, in the order they did */
};

static const char *key_of(const struct model_object *object, size_t index)
{
    return object->consumer->api_keys[index]->key;
}

static void add_claims(struct settling *settling, struct store_entry *entry)
{
    for (size_t i = 0; i < entry->pending->consumer->n_api_keys; i++) {
        struct str key = str_from(key_of(entry->pending, i));
        struct claim *claim = ARENA_NEW(&settling->arena, struct claim);
        *claim =
            (struct claim){.entry = entry, .index = i, .next = map_find(&settling->claims, key)};
        map_put(&settling->claims, key, claim);
    }
}

/* Whether the entry's newest good version has the key. */
static bool wants(const struct settling *settling, const struct store_entry *entry, struct str key)
{
    if (!entry->pending)
        return true;
    const struct claim *claim = map_find(&settling->claims, key);
    while (claim && claim->entry != entry)
        claim = claim->next;
    return claim;
}

/* What is in use and stays wanted stays where it is. */
static void keep_keys(struct settling *settling, struct store_entry *entry)
{
    for (size_t i = 0; i < entry->active->consumer->n_api_keys; i++) {
        struct str key = str_from(key_of(entry->active, i));
        if (wants(settling, entry, key))
            map_put(&settling->owners, key, entry);
    }
}

static void lose(struct settling *settling, struct store_entry *entry, size_t key,
                 const struct store_entry *owner)
{
    struct errmsg msg;
    errmsg_set(&msg, ERR_EXISTS, "%.*s: api_keys[%zu].key: is a key of consumer \"%.*s\" too",
               STR_ARGS(entry->key), key, STR_ARGS(owner->name));
    if (!entry->is_newest_bad)
        store_entry_set_error(entry, msg.text);
    entry->has_lost = true;
    vec_append(&settling->losers, entry);
}

/* The version in use stays with all its keys, also those that the pending one would have given up:
 * whoever counted on one of them loses too. */
static void stay(struct settling *settling, struct store_entry *loser)
{
    for (size_t i = 0; loser->active && i < loser->active->consumer->n_api_keys; i++) {
        struct str key = str_from(key_of(loser->active, i));
        map_put(&settling->owners, key, loser);
        for (struct claim *claim = map_find(&settling->claims, key); claim; claim = claim->next) {
            if (claim->entry != loser && !claim->entry->has_lost)
                lose(settling, claim->entry, claim->index, loser);
        }
    }
}

/* Lets the newcomer lose, and whoever falls with it, where another has one of its keys. */
static void contest(struct settling *settling, struct store_entry *entry)
{
    size_t done = settling->losers.len;
    for (size_t i = 0; i < entry->pending->consumer->n_api_keys && !entry->has_lost; i++) {
        const struct store_entry *owner =
            map_find(&settling->owners, str_from(key_of(entry->pending, i)));
        if (owner && owner != entry)
            lose(settling, entry, i, owner);
    }
    while (done < settling->losers.len)
        stay(settling, settling->losers.items[done++]);
}

static void take_keys(struct settling *settling, struct store_entry *entry)
{
    for (size_t i = 0; i < entry->pending->consumer->n_api_keys; i++)
        map_put(&settling->owners, str_from(key_of(entry->pending, i)), entry);
}

static int compare_newcomers(const void *a, const void *b)
{
    const struct store_entry *left = *(const struct store_entry *const *)a;
    const struct store_entry *right = *(const struct store_entry *const *)b;
    if (left->pending->revision != right->pending->revision)
        return left->pending->revision < right->pending->revision ? -1 : 1;
    return str_compare(left->name, right->name);
}

static void find_newcomers(struct settling *settling, const struct vec *entries)
{
    for (size_t i = 0; i < entries->len; i++) {
        struct store_entry *entry = entries->items[i];
        entry->has_lost = false;
        if (!entry->pending)
            continue;
        vec_append(&settling->newcomers, entry);
        add_claims(settling, entry);
    }
    if (settling->newcomers.len > 0)
        qsort(settling->newcomers.items, settling->newcomers.len, sizeof(void *),
              compare_newcomers);
}

/* What is pending comes into use; an error stays only if it is about a still newer version. */
static void accept(struct model_store *store, struct store_entry *entry)
{
    if (!entry->pending)
        return;
    if (!entry->is_newest_bad)
        store_entry_set_error(entry, NULL);
    store_entry_activate(store, entry, entry->pending);
    entry->pending = NULL;
}

/* A version that lost stays pending until the key is free. */
static void settle_consumers(struct model_store *store)
{
    struct settling settling = {0};
    const struct vec *entries = &store->kinds[MODEL_CONSUMER].entries;
    const struct vec *newcomers = &settling.newcomers;
    arena_init(&settling.arena, 16 * 1024);
    find_newcomers(&settling, entries);
    for (size_t i = 0; i < entries->len; i++) {
        struct store_entry *entry = entries->items[i];
        if (entry->active)
            keep_keys(&settling, entry);
    }
    /* First against what is in use, then against each other: nobody loses to one that cannot have
     * the key itself. */
    for (size_t i = 0; i < newcomers->len; i++)
        contest(&settling, newcomers->items[i]);
    for (size_t i = 0; i < newcomers->len; i++) {
        struct store_entry *entry = newcomers->items[i];
        if (!entry->has_lost)
            contest(&settling, entry);
        if (!entry->has_lost)
            take_keys(&settling, entry);
    }
    for (size_t i = 0; i < newcomers->len; i++) {
        struct store_entry *entry = newcomers->items[i];
        if (!entry->has_lost)
            accept(store, entry);
    }
    vec_done(&settling.newcomers);
    vec_done(&settling.losers);
    map_done(&settling.owners);
    map_done(&settling.claims);
    arena_done(&settling.arena);
}

void claims_settle(struct model_store *store)
{
    for (int kind = 0; kind < MODEL_KIND_COUNT; kind++) {
        if (!store->kinds[kind].needs_settling)
            continue;
        store->kinds[kind].needs_settling = false;
        if (kind == MODEL_CONSUMER)
            settle_consumers(store);
        const struct vec *entries = &store->kinds[kind].entries;
        for (size_t i = 0; kind != MODEL_CONSUMER && i < entries->len; i++)
            accept(store, entries->items[i]);
    }
}
