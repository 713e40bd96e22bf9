/*
 * Who has what. All objects of a gateway that are at most as new as what its proxies have are live
 * on the same proxies, so that a set is worked out once and shared: the proxies of a gateway are
 * sorted by how far they have come, and an object's set is the first k of them, found by a binary
 * search and told apart by a sum of hashes. Only objects newer than something that is refused are
 * looked at proxy by proxy.
 */
#include "common/base/arena.h"
#include "common/base/clock.h"
#include "controlplane/status/documents.h"
#include "controlplane/status/status_internal.h"
#include "controlplane/status/text_names.h"

#include <stdlib.h>

/* Never busy with this for more than a 20th of the time. */
enum { PAUSE_FACTOR = 20 };

struct proxy_view {
    struct str node_id;
    uint64_t publication;
};

struct gateway_view {
    struct str name;
    struct vec proxies; /* struct proxy_view, those that have come furthest first */
    uint64_t *sums;     /* of the hashes of the first i proxies; proxies.len + 1 of them */
};

/* The same refusal by one or more clients. */
struct group {
    struct str key;
    const struct ledger_client *client;
    const struct ledger_refusal *refusal;
    struct vec clients;   /* struct ledger_client */
    struct map proxies;   /* node id -> struct ledger_refusal */
    uint64_t publication; /* the least of them */
    struct vec objects;   /* struct record: what the resource was made from */
    struct vec named;     /* struct record: those of them that the text names */
    size_t told;          /* how many it was made from */
};

/* What is worked out for one object. */
struct record_view {
    struct vec gateways; /* struct gateway_view */
    struct vec groups;   /* struct group: refusals of what is newer than the client's */
    uint64_t hash;
    uint32_t count;
};

struct view {
    struct status *status;
    struct arena arena;
    struct map gateways;          /* name -> struct gateway_view */
    struct map groups;            /* gateway, type, name and text -> struct group */
    struct map sets;              /* hash -> struct live_set */
    struct vec records;           /* struct record, those with a record_view */
    struct gateway_view *gateway; /* whose members are told */
    struct group *group;          /* whose objects are told */
};

/* --- proxies
 * --------------------------------------------------------------------------------------- */

/* A proxy is as far as the stream of it that has come least far. */
static uint64_t publication_of(const struct ledger_proxy *proxy)
{
    uint64_t publication = UINT64_MAX;
    LIST_FOR_EACH(link, &proxy->clients) {
        const struct ledger_client *client = LIST_ENTRY(link, struct ledger_client, sibling);
        if (client->progress.publication < publication)
            publication = client->progress.publication;
    }
    return publication;
}

static void add_proxy(struct view *view, const struct ledger_client *client, uint64_t publication)
{
    if (client->node_id.len == 0 || !client->is_gateway_known)
        return;
    struct gateway_view *gateway = map_find(&view->gateways, client->gateway);
    if (!gateway) {
        gateway = ARENA_NEW(&view->arena, struct gateway_view);
        gateway->name = client->gateway;
        map_put(&view->gateways, gateway->name, gateway);
    }
    struct proxy_view *each = ARENA_NEW(&view->arena, struct proxy_view);
    each->node_id = client->node_id;
    each->publication = publication;
    vec_append(&gateway->proxies, each);
}

static int compare_proxies(const void *a, const void *b)
{
    const struct proxy_view *const *left = a, *const *right = b;
    return ((*left)->publication < (*right)->publication) -
           ((*left)->publication > (*right)->publication);
}

static void sum_up(struct view *view, struct gateway_view *gateway)
{
    size_t len = gateway->proxies.len;
    qsort(gateway->proxies.items, len, sizeof *gateway->proxies.items, compare_proxies);
    gateway->sums = arena_alloc_array(&view->arena, len + 1, sizeof *gateway->sums);
    gateway->sums[0] = 0;
    for (size_t i = 0; i < len; i++) {
        const struct proxy_view *proxy = gateway->proxies.items[i];
        gateway->sums[i + 1] = gateway->sums[i] + hash_keyed(proxy->node_id);
    }
}

/* How many of the gateway's proxies have come as far as that publication. */
static size_t count_with(const struct gateway_view *gateway, uint64_t publication)
{
    size_t low = 0, high = gateway->proxies.len;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct proxy_view *proxy = gateway->proxies.items[middle];
        if (proxy->publication >= publication)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* --- objects
 * --------------------------------------------------------------------------------------- */

static struct record_view *ensure_view(struct view *view, struct record *record)
{
    if (!record->view) {
        record->view = ARENA_NEW(&view->arena, struct record_view);
        vec_append(&view->records, record);
    }
    return record->view;
}

static void on_member(struct str key, void *arg)
{
    struct view *view = arg;
    struct record *record = status_find(view->status, key);
    if (!record || !record->publication)
        return;
    struct vec *gateways = &ensure_view(view, record)->gateways;
    if (!gateways->len || gateways->items[gateways->len - 1] != view->gateway)
        vec_append(gateways, view->gateway);
}

/* It has come over to us, and the document of the one it has left is still there. */
static bool is_ours_too(const struct view *view, const struct other_proxy *other)
{
    return ledger_find_proxy(view->status->ledger, other->client.node_id) != NULL;
}

static void collect_gateways(struct view *view)
{
    LIST_FOR_EACH(link, ledger_clients(view->status->ledger)) {
        const struct ledger_client *client = LIST_ENTRY(link, struct ledger_client, link);
        const struct ledger_proxy *proxy = ledger_find_proxy(view->status->ledger, client->node_id);
        bool is_newest_stream = proxy->clients.prev == &client->sibling;
        if (is_newest_stream)
            add_proxy(view, client, publication_of(proxy));
    }
    MAP_FOR_EACH(entry, &view->status->others) {
        const struct other_proxy *other = entry->value;
        if (!is_ours_too(view, other))
            add_proxy(view, &other->client, other->client.progress.publication);
    }
    const struct status_options *options = &view->status->options;
    MAP_FOR_EACH(entry, &view->gateways) {
        view->gateway = entry->value;
        sum_up(view, view->gateway);
        options->members_of(options->objects_arg, view->gateway->name, on_member, view);
    }
}

/* --- refusals
 * -------------------------------------------------------------------------------------- */

static void add_refusal(struct view *view, const struct ledger_client *client,
                        const struct ledger_refusal *refusal)
{
    struct str key =
        str_from(arena_printf(&view->arena, "%.*s%c%d%c%.*s%c%s", STR_ARGS(client->gateway), 1,
                              (int)refusal->type, 1, STR_ARGS(refusal->name), 1, refusal->text));
    struct group *group = map_find(&view->groups, key);
    if (!group) {
        group = ARENA_NEW(&view->arena, struct group);
        group->key = key;
        group->client = client;
        group->refusal = refusal;
        group->publication = refusal->publication;
        map_put(&view->groups, key, group);
    }
    vec_append(&group->clients, (void *)(uintptr_t)client);
    map_put(&group->proxies, client->node_id, (void *)(uintptr_t)refusal);
    if (refusal->publication < group->publication)
        group->publication = refusal->publication;
}

static void add_refusals(struct view *view, const struct ledger_client *client)
{
    LIST_FOR_EACH(link, &client->refusals) {
        add_refusal(view, client, LIST_ENTRY(link, struct ledger_refusal, link));
    }
}

static void on_object(struct str key, void *arg)
{
    struct view *view = arg;
    struct group *group = view->group;
    struct record *record = status_find(view->status, key);
    group->told++;
    if (!record)
        return;
    struct str name = str_slice(key, str_find_char(key, '/', 0) + 1, key.len);
    vec_append(&group->objects, record);
    if (text_names(str_from(group->refusal->text), name))
        vec_append(&group->named, record);
    if (record->publication > group->publication)
        vec_append(&ensure_view(view, record)->groups, group);
}

static void blame(struct view *view, struct record *record, const struct group *group)
{
    for (size_t i = 0; record && i < group->clients.len; i++) {
        record->refusal_count++;
        if (record->refusals.len == STATUS_REFUSALS_MAX)
            continue;
        const Weir__V1__Refusal *message =
            document_of_refusal(group->clients.items[i], group->refusal, &view->arena);
        struct blame *blame = MEM_NEW(struct blame);
        blame->proxy = mem_copy_string(message->proxy, strlen(message->proxy));
        blame->resource = mem_copy_string(message->resource, strlen(message->resource));
        blame->message = mem_copy_string(message->message, strlen(message->message));
        vec_append(&record->refusals, blame);
    }
    if (record)
        status_mark(view->status, record);
}

static void blame_for(struct view *view, struct group *group)
{
    const struct status_options *options = &view->status->options;
    view->group = group;
    options->objects_of(options->objects_arg, group->client->gateway, group->refusal->type,
                        group->refusal->name, on_object, view);
    const struct vec *blamed = group->named.len ? &group->named : &group->objects;
    if ((group->named.len ? group->named.len : group->told) > STATUS_BLAMED_MAX) {
        struct str gateway =
            str_from(arena_printf(&view->arena, "gateways/%.*s", STR_ARGS(group->client->gateway)));
        blame(view, status_find(view->status, gateway), group);
        return;
    }
    for (size_t i = 0; i < blamed->len; i++)
        blame(view, blamed->items[i], group);
}

static void sort(struct vec *vec, int (*compare)(const void *, const void *))
{
    if (vec->len > 0)
        qsort(vec->items, vec->len, sizeof *vec->items, compare);
}

static int compare_groups(const void *a, const void *b)
{
    const struct group *const *left = a, *const *right = b;
    return str_compare((*left)->key, (*right)->key);
}

static int compare_clients(const void *a, const void *b)
{
    const struct ledger_client *const *left = a, *const *right = b;
    return str_compare((*left)->node_id, (*right)->node_id);
}

/* In an order that is the same on every replica and at every time: documents differ only where
 * there is something to tell. */
static void blame_all(struct view *view)
{
    struct vec groups = {0};
    MAP_FOR_EACH(entry, &view->groups)
        vec_append(&groups, entry->value);
    sort(&groups, compare_groups);
    for (size_t i = 0; i < groups.len; i++) {
        struct group *group = groups.items[i];
        sort(&group->clients, compare_clients);
        blame_for(view, group);
    }
    vec_done(&groups);
}

static void collect_refusals(struct view *view)
{
    MAP_FOR_EACH(entry, &view->status->records) {
        struct record *record = entry->value;
        if (!record->refusal_count)
            continue;
        record_free_blames(record);
        status_mark(view->status, record);
    }
    LIST_FOR_EACH(link, ledger_clients(view->status->ledger)) {
        add_refusals(view, LIST_ENTRY(link, struct ledger_client, link));
    }
    MAP_FOR_EACH(entry, &view->status->others) {
        const struct other_proxy *other = entry->value;
        if (!is_ours_too(view, other))
            add_refusals(view, &other->client);
    }
    blame_all(view);
}

/* --- sets
 * ------------------------------------------------------------------------------------------ */

static bool does_refuse(const struct record *record, struct str node_id)
{
    for (size_t i = 0; i < record->view->groups.len; i++) {
        const struct group *group = record->view->groups.items[i];
        const struct ledger_refusal *refusal = map_find(&group->proxies, node_id);
        if (refusal && refusal->publication < record->publication)
            return true;
    }
    return false;
}

typedef void proxy_fn(struct str node_id, void *arg);

static void visit_live(const struct record *record, proxy_fn *on_proxy, void *arg)
{
    const struct record_view *view = record->view;
    for (size_t i = 0; i < view->gateways.len; i++) {
        const struct gateway_view *gateway = view->gateways.items[i];
        size_t count = count_with(gateway, record->publication);
        for (size_t j = 0; j < count; j++) {
            const struct proxy_view *proxy = gateway->proxies.items[j];
            if (!view->groups.len || !does_refuse(record, proxy->node_id))
                on_proxy(proxy->node_id, arg);
        }
    }
}

static void add_hash(struct str node_id, void *arg)
{
    struct record_view *view = arg;
    view->hash += hash_keyed(node_id);
    view->count++;
}

static void work_out_hash(const struct record *record)
{
    struct record_view *view = record->view;
    if (view->groups.len) {
        visit_live(record, add_hash, view);
        return;
    }
    for (size_t i = 0; i < view->gateways.len; i++) {
        const struct gateway_view *gateway = view->gateways.items[i];
        size_t count = count_with(gateway, record->publication);
        view->hash += gateway->sums[count];
        view->count += (uint32_t)count;
    }
}

static void add_name(struct str node_id, void *arg)
{
    vec_append(arg, mem_copy_string(node_id.data, node_id.len));
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static struct live_set *make_set(const struct record *record)
{
    struct vec names = {0};
    visit_live(record, add_name, &names);
    qsort(names.items, names.len, sizeof *names.items, compare_names);
    size_t len = names.len < STATUS_LIVE_ON_MAX ? names.len : STATUS_LIVE_ON_MAX;
    struct live_set *set = mem_alloc_zero(1, sizeof *set + len * sizeof *set->names);
    set->hash = record->view->hash;
    set->count = record->view->count;
    set->len = (uint32_t)len;
    for (size_t i = 0; i < len; i++)
        set->names[i] = names.items[i];
    for (size_t i = len; i < names.len; i++)
        mem_free(names.items[i]);
    vec_done(&names);
    return set;
}

static void settle(struct view *view, struct record *record)
{
    if (record->view)
        work_out_hash(record);
    if (!record->view || record->view->count == 0) {
        record_set_live(record, NULL);
        return;
    }
    if (record->live && record->live->hash == record->view->hash)
        return;
    struct str key = {.data = (char *)&record->view->hash, .len = sizeof record->view->hash};
    struct live_set *set = map_find(&view->sets, key);
    if (!set) {
        set = make_set(record);
        map_put(&view->sets, key, set); /* the first record's view holds the key */
    }
    record_set_live(record, set);
}

static void settle_all(struct view *view)
{
    MAP_FOR_EACH(entry, &view->status->records) {
        struct record *record = entry->value;
        if (record->is_proxy)
            continue;
        settle(view, record);
        if (live_set_hash(record->live) != record->written_live)
            view->status->is_live_pending = true;
    }
}

static void view_done(struct view *view)
{
    for (size_t i = 0; i < view->records.len; i++) {
        struct record *record = view->records.items[i];
        vec_done(&record->view->gateways);
        vec_done(&record->view->groups);
        record->view = NULL;
    }
    MAP_FOR_EACH(entry, &view->gateways)
        vec_done(&((struct gateway_view *)entry->value)->proxies);
    MAP_FOR_EACH(entry, &view->groups) {
        struct group *group = entry->value;
        vec_done(&group->clients);
        vec_done(&group->objects);
        vec_done(&group->named);
        map_done(&group->proxies);
    }
    vec_done(&view->records);
    map_done(&view->gateways);
    map_done(&view->groups);
    map_done(&view->sets);
    arena_done(&view->arena);
}

void status_view(struct status *status)
{
    uint64_t begin_ns = clock_monotonic_ns();
    struct view view = {.status = status};
    arena_init(&view.arena, 64 * 1024);
    status->is_view_stale = false;
    others_place(status);
    collect_gateways(&view);
    collect_refusals(&view);
    settle_all(&view);
    view_done(&view);
    uint64_t took_ms = (clock_monotonic_ns() - begin_ns) / 1000000;
    status->view_after_ms = clock_monotonic_ms() + took_ms * PAUSE_FACTOR;
}
