/* Of the store: what goes live when, and the configuration that it makes. */
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/vec.h"
#include "dataplane/route/route.h"
#include "dataplane/xds/store_internal.h"

bool store_entry_is_warming(const struct entry *entry)
{
    return entry->type != XDS_ENDPOINTS && entry->latest && entry->live != entry->latest;
}

struct cluster_search {
    const struct store *store;
    bool has_found;
};

static void look_for_warming(struct str cluster, void *arg)
{
    struct cluster_search *search = arg;
    const struct entry *entry = store_entry_find(search->store, XDS_CLUSTER, cluster);
    search->has_found |= entry && entry->latest && !entry->live;
}

/* Whether routes lead to a cluster that there is and that is not live yet. NULL: no routes. */
static bool lead_to_warming(const struct store *store, const struct route_table *routes)
{
    struct cluster_search search = {.store = store};
    if (routes)
        route_table_visit_clusters(routes, look_for_warming, &search);
    return search.has_found;
}

static bool is_ready(const struct entry *entry, uint64_t now_ms)
{
    if (entry->waits_for_port)
        return false;
    if (now_ms >= entry->deadline_ms)
        return true;
    switch (entry->type) {
    case XDS_CLUSTER:
        if (entry->needs)
            return entry->needs->latest || entry->needs->is_absent;
        return !entry->dns || entry->resolved;
    case XDS_LISTENER:
        if (entry->needs)
            return entry->needs->live || entry->needs->is_absent;
        return !lead_to_warming(entry->store,
                                ((const struct listener_config *)entry->latest)->inline_routes);
    case XDS_ROUTES:
        return !lead_to_warming(entry->store, entry->latest);
    case XDS_ENDPOINTS:
    case XDS_TYPE_COUNT:
        break;
    }
    return true;
}

static void take_live(struct entry *entry)
{
    store_parts[entry->type].unref(entry->live);
    entry->live = store_parts[entry->type].ref(entry->latest);
}

/* What became of a listener's port after it was answered: xDS has no message for that, but the
 * control plane sends a listener again that is asked for by name, and hears the new answer. */
static void ask_again(const struct entry *entry)
{
    const struct store_output *output = &entry->store->output;
    if (!entry->is_static && output->subscribe)
        output->subscribe(output->arg, XDS_LISTENER, entry->name);
}

static void promote(struct entry *entry)
{
    struct errmsg msg;
    /* A configuration published while it was warming may have closed its sockets. */
    if (entry->type == XDS_LISTENER && store_bind_latest(entry, &msg)) {
        log_error("listener_not_bound reason=\"%s\"", msg.text);
        ask_again(entry);
        return;
    }
    /* It has waited for its routes long enough, and so have they for their clusters. */
    if (entry->type == XDS_LISTENER && entry->needs && !entry->needs->live && entry->needs->latest)
        take_live(entry->needs);
    take_live(entry);
    entry->live_needs = entry->needs;
    endpoints_config_unref(entry->live_resolved);
    entry->live_resolved = entry->resolved ? endpoints_config_ref(entry->resolved) : NULL;
}

static void retry_bind(struct entry *entry, uint64_t now_ms)
{
    struct errmsg msg;
    if (!entry->waits_for_port || now_ms < entry->bind_retry_at_ms)
        return;
    if (store_bind_latest(entry, &msg) == 0) {
        log_info("listener_bound name=\"%.*s\"", STR_ARGS(entry->name));
        store_entry_clear_error(entry);
        ask_again(entry);
    }
}

/* Promotes what is ready (the store is dirty then); returns whether something is still warming, and
 * the time to look again. */
static bool promote_ready(struct store *store, enum xds_type type, uint64_t now_ms,
                          uint64_t *next_ms)
{
    bool are_warming = false;
    MAP_FOR_EACH(slot, &store->entries[type]) {
        struct entry *entry = slot->value;
        if (!store_entry_is_warming(entry))
            continue;
        retry_bind(entry, now_ms);
        if (is_ready(entry, now_ms))
            promote(entry);
        if (!store_entry_is_warming(entry)) {
            store->is_dirty = true;
            continue;
        }
        /* A port that is taken holds up nobody else. */
        are_warming |= !entry->waits_for_port;
        uint64_t at_ms = entry->waits_for_port ? entry->bind_retry_at_ms : entry->deadline_ms;
        *next_ms = at_ms < *next_ms ? at_ms : *next_ms;
    }
    return are_warming;
}

/* The routes of a live listener, borrowed; NULL where there are none. */
static struct route_table *live_routes(const struct entry *entry)
{
    const struct listener_config *listener = entry->live;
    return entry->live_needs ? entry->live_needs->live : listener->inline_routes;
}

/* --- what goes -------------------------------------------------------------------------------- */

static bool is_retired(const struct entry *entry)
{
    return entry->type == XDS_CLUSTER && entry->live && !entry->latest;
}

static void mark_cluster(struct str cluster, void *arg)
{
    struct entry *entry = store_entry_find(arg, XDS_CLUSTER, cluster);
    if (entry)
        entry->is_wanted = true;
}

static void mark_clusters_of_routes(struct store *store)
{
    MAP_FOR_EACH(slot, &store->entries[XDS_LISTENER]) {
        const struct entry *entry = slot->value;
        const struct route_table *routes = entry->live ? live_routes(entry) : NULL;
        if (routes)
            route_table_visit_clusters(routes, mark_cluster, store);
    }
}

/* What was published of a removed cluster; a version after it that was refused stays to be seen. */
static void drop_cluster(struct entry *entry)
{
    struct store *store = entry->store;
    store->is_dirty = true;
    if (entry->error.len == 0) {
        map_remove(&store->entries[XDS_CLUSTER], entry->name);
        store_entry_free(entry);
        return;
    }
    store_parts[XDS_CLUSTER].unref(entry->live);
    endpoints_config_unref(entry->live_resolved);
    entry->live = NULL;
    entry->live_needs = NULL;
    entry->live_resolved = NULL;
}

/* Removed clusters go once no live routes lead to them, at the latest at their deadline. */
static void drop_retired(struct store *store, uint64_t now_ms, uint64_t *next_ms)
{
    struct vec retired = {0};
    MAP_FOR_EACH(slot, &store->entries[XDS_CLUSTER])
        if (is_retired(slot->value))
            vec_append(&retired, slot->value);
    if (retired.len)
        mark_clusters_of_routes(store);
    for (size_t i = 0; i < retired.len; i++) {
        struct entry *entry = retired.items[i];
        if (!entry->is_wanted || now_ms >= entry->deadline_ms)
            drop_cluster(entry);
        else if (entry->deadline_ms < *next_ms)
            *next_ms = entry->deadline_ms;
    }
    if (retired.len)
        MAP_FOR_EACH(slot, &store->entries[XDS_CLUSTER])
            ((struct entry *)slot->value)->is_wanted = false;
    vec_done(&retired);
}

static void mark_wanted(struct store *store)
{
    for (enum xds_type type = 0; type < XDS_TYPE_COUNT; type++) {
        if (!xds_type_is_wildcard(type))
            continue;
        MAP_FOR_EACH(slot, &store->entries[type]) {
            const struct entry *entry = slot->value;
            if (entry->needs)
                entry->needs->is_wanted = true;
            if (entry->live_needs)
                entry->live_needs->is_wanted = true;
        }
    }
}

/* Whether an entry that nobody names is to go now. It lingers, subscribed, for a while: where it is
 * named again soon, an unsubscription under way would cross with what the server believes to have
 * sent, and traffic would be routed to a cluster without its endpoints. */
static bool has_lingered(struct entry *entry, uint64_t now_ms, uint64_t *next_ms)
{
    if (!entry->is_subscribed || entry->is_static)
        return true;
    if (!entry->drop_at_ms)
        entry->drop_at_ms = now_ms + entry->store->linger_ms;
    if (entry->drop_at_ms < *next_ms)
        *next_ms = entry->drop_at_ms;
    return now_ms >= entry->drop_at_ms;
}

/* Drops the endpoints or routes nobody names, subscribes to those that are new. */
static void sweep(struct store *store, enum xds_type type, uint64_t now_ms, uint64_t *next_ms)
{
    struct entry *dropped = NULL;
    MAP_FOR_EACH(slot, &store->entries[type]) {
        struct entry *entry = slot->value;
        if (!entry->is_wanted) {
            if (!has_lingered(entry, now_ms, next_ms))
                continue;
            entry->needs = dropped; /* its own needs are NULL: a free link */
            dropped = entry;
            continue;
        }
        /* What the server took away meanwhile it is asked for again: it must say what there is. */
        bool is_asked_again = entry->drop_at_ms && !entry->latest;
        entry->drop_at_ms = 0;
        if ((!entry->is_subscribed || is_asked_again) && store->output.subscribe)
            store->output.subscribe(store->output.arg, type, entry->name);
        entry->is_subscribed = true;
        entry->is_wanted = false;
    }
    while (dropped) {
        struct entry *entry = dropped;
        dropped = entry->needs;
        map_remove(&store->entries[type], entry->name);
        if (entry->is_subscribed && store->output.unsubscribe)
            store->output.unsubscribe(store->output.arg, type, entry->name);
        store_entry_free(entry);
    }
}

/* --- what is published ------------------------------------------------------------------------ */

static struct endpoints_config *live_endpoints(const struct entry *entry)
{
    const struct cluster_config *cluster = entry->live;
    struct endpoints_config *endpoints = cluster->endpoints;
    if (entry->live_needs)
        endpoints = entry->live_needs->latest;
    else if (cluster->dns_target_count)
        endpoints = entry->live_resolved;
    return endpoints ? endpoints_config_ref(endpoints) : NULL;
}

static uint32_t count_live(const struct store *store, enum xds_type type)
{
    uint32_t count = 0;
    MAP_FOR_EACH(slot, &store->entries[type])
        count += ((const struct entry *)slot->value)->live != NULL;
    return count;
}

static struct config *build_config(struct store *store)
{
    struct config *config =
        config_new(count_live(store, XDS_LISTENER), count_live(store, XDS_CLUSTER));
    config->generation = ++store->generation;
    uint32_t i = 0;
    MAP_FOR_EACH(slot, &store->entries[XDS_LISTENER]) {
        const struct entry *entry = slot->value;
        if (!entry->live)
            continue;
        struct route_table *routes = live_routes(entry);
        config->listeners[i++] =
            (struct config_listener){.listener = listener_config_ref(entry->live),
                                     .routes = routes ? route_table_ref(routes) : NULL};
    }
    i = 0;
    MAP_FOR_EACH(slot, &store->entries[XDS_CLUSTER]) {
        const struct entry *entry = slot->value;
        if (entry->live)
            config->clusters[i++] = (struct config_cluster){
                .cluster = cluster_config_ref(entry->live), .endpoints = live_endpoints(entry)};
    }
    return config;
}

static void publish(struct store *store)
{
    config_unref(store->config);
    store->config = build_config(store);
    log_debug("config_published generation=%llu listeners=%u clusters=%u",
              (unsigned long long)store->generation, store->config->listener_count,
              store->config->cluster_count);
    store->output.publish(store->output.arg, store->config);
    if (store->output.changed)
        store->output.changed(store->output.arg);
}

/* Whether the first resources are complete, or have been waited for long enough. */
static bool is_initialised(struct store *store, bool are_warming, uint64_t now_ms,
                           uint64_t *next_ms)
{
    if (!store->is_initialising)
        return true;
    bool has_all = store_is_complete(store);
    if ((!has_all || are_warming) && now_ms < store->init_deadline_ms) {
        if (store->init_deadline_ms < *next_ms)
            *next_ms = store->init_deadline_ms;
        return false;
    }
    if (!has_all)
        log_warning("initialisation_timed_out reason=\"no answer of the control plane\"");
    store->is_initialising = false;
    store->is_dirty = true;
    return true;
}

void store_flush(struct store *store)
{
    uint64_t now_ms = clock_monotonic_ms();
    uint64_t next_ms = UINT64_MAX;
    bool are_warming = promote_ready(store, XDS_CLUSTER, now_ms, &next_ms);
    are_warming |= promote_ready(store, XDS_ROUTES, now_ms, &next_ms);
    are_warming |= promote_ready(store, XDS_LISTENER, now_ms, &next_ms);
    drop_retired(store, now_ms, &next_ms);
    mark_wanted(store);
    sweep(store, XDS_ENDPOINTS, now_ms, &next_ms);
    sweep(store, XDS_ROUTES, now_ms, &next_ms);
    bool may_publish = is_initialised(store, are_warming, now_ms, &next_ms);
    bool is_new = store->is_dirty;
    store->is_dirty = false;
    if (may_publish && is_new)
        publish(store);
    /* What was called may have brought something new. */
    if (store->is_dirty)
        loop_timer_start(&store->timer, 0);
    else if (next_ms != UINT64_MAX)
        loop_timer_start(&store->timer, next_ms > now_ms ? next_ms - now_ms : 0);
}
