#include "dataplane/xds/store.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/vec.h"
#include "dataplane/xds/store_internal.h"

/* --- parts of any type ------------------------------------------------------------------------ */

#define PART_OPERATIONS(noun, type)                                                                \
    static int noun##_decode(const struct decode_context *context, struct str name,                \
                             struct str bytes, void **ret_part, struct errmsg *msg)                \
    {                                                                                              \
        struct type *part = NULL;                                                                  \
        int err = decode_##noun(context, name, bytes, &part, msg);                                 \
        *ret_part = part;                                                                          \
        return err;                                                                                \
    }                                                                                              \
    static void *noun##_ref(void *part)                                                            \
    {                                                                                              \
        return type##_ref(part);                                                                   \
    }                                                                                              \
    static void noun##_unref(void *part)                                                           \
    {                                                                                              \
        type##_unref(part);                                                                        \
    }

PART_OPERATIONS(cluster, cluster_config)
PART_OPERATIONS(endpoints, endpoints_config)
PART_OPERATIONS(listener, listener_config)
PART_OPERATIONS(routes, route_table)

const struct part_operations store_parts[XDS_TYPE_COUNT] = {
    [XDS_CLUSTER] = {cluster_decode, cluster_ref, cluster_unref},
    [XDS_ENDPOINTS] = {endpoints_decode, endpoints_ref, endpoints_unref},
    [XDS_LISTENER] = {listener_decode, listener_ref, listener_unref},
    [XDS_ROUTES] = {routes_decode, routes_ref, routes_unref},
};

/* --- entries ---------------------------------------------------------------------------------- */

static void set_text(struct str *text, struct str value)
{
    mem_free((char *)text->data);
    *text = (struct str){0};
    if (value.len)
        *text = (struct str){.data = mem_copy_string(value.data, value.len), .len = value.len};
}

struct entry *store_entry_find(const struct store *store, enum xds_type type, struct str name)
{
    return map_find(&store->entries[type], name);
}

static struct entry *entry_new(struct store *store, enum xds_type type, struct str name)
{
    struct entry *entry = MEM_NEW(struct entry);
    entry->store = store;
    entry->type = type;
    entry->name = (struct str){.data = mem_copy_string(name.data, name.len), .len = name.len};
    map_put(&store->entries[type], entry->name, entry);
    return entry;
}

/* Frees what is in entry; it has been taken out of its map. */
void store_entry_free(struct entry *entry)
{
    entry->store->bytes_total -= entry->bytes.len;
    dns_watch_free(entry->dns);
    endpoints_config_unref(entry->resolved);
    endpoints_config_unref(entry->live_resolved);
    store_parts[entry->type].unref(entry->latest);
    store_parts[entry->type].unref(entry->live);
    set_text(&entry->version, STR(""));
    set_text(&entry->bytes, STR(""));
    set_text(&entry->error, STR(""));
    set_text(&entry->error_version, STR(""));
    mem_free((char *)entry->name.data);
    mem_free(entry);
}

static void entry_set_error(struct entry *entry, struct str version, const struct errmsg *msg)
{
    set_text(&entry->error, str_from(msg->text));
    set_text(&entry->error_version, version);
}

void store_entry_clear_error(struct entry *entry)
{
    set_text(&entry->error, STR(""));
    set_text(&entry->error_version, STR(""));
}

static void mark_dirty(struct store *store)
{
    store->is_dirty = true;
    if (store->has_begun)
        loop_timer_start(&store->timer, 0);
}

/* --- taking in -------------------------------------------------------------------------------- */

/* The endpoints or routes that part waits for, or NULL, and how long it waits for them, or for the
 * clusters that its routes lead to; 0: for ever. */
static struct entry *entry_needed_by(struct store *store, enum xds_type type, const void *part,
                                     uint64_t *ret_timeout_ms)
{
    enum xds_type needed = type == XDS_CLUSTER ? XDS_ENDPOINTS : XDS_ROUTES;
    struct str name = {0};
    *ret_timeout_ms = store->routes_hold_ms;
    if (type == XDS_CLUSTER) {
        const struct cluster_config *cluster = part;
        *ret_timeout_ms = cluster->endpoints_fetch_timeout_ms;
        if (cluster->discovery == CLUSTER_EDS)
            name = cluster->endpoints_name;
        else if (cluster->dns_target_count)
            *ret_timeout_ms = cluster->dns_refresh_ms;
    } else if (type == XDS_LISTENER) {
        const struct listener_config *listener = part;
        if (!listener->inline_routes)
            *ret_timeout_ms = listener->routes_fetch_timeout_ms;
        name = listener->route_config_name;
    }
    if (name.len == 0)
        return NULL;
    struct entry *entry = store_entry_find(store, needed, name);
    return entry ? entry : entry_new(store, needed, name);
}

static void on_resolved(void *arg, struct endpoints_config *endpoints)
{
    struct entry *entry = arg;
    endpoints_config_unref(entry->resolved);
    entry->resolved = endpoints;
    if (entry->live == entry->latest) {
        endpoints_config_unref(entry->live_resolved);
        entry->live_resolved = endpoints_config_ref(endpoints);
    }
    mark_dirty(entry->store);
}

static void start_resolving(struct entry *entry)
{
    dns_watch_free(entry->dns);
    entry->dns = NULL;
    endpoints_config_unref(entry->resolved);
    entry->resolved = NULL;
    struct cluster_config *cluster = entry->latest;
    if (cluster->dns_target_count == 0)
        return;
    if (!entry->store->resolver)
        entry->store->resolver = dns_resolver_new(entry->store->loop);
    entry->dns = dns_watch_new(entry->store->resolver, cluster, on_resolved, entry);
}

/* Makes part (a reference, taken) the latest of entry. */
static void accept_part(struct entry *entry, void *part, struct str version, struct str bytes)
{
    struct store *store = entry->store;
    /* Routes that keep changing do not keep waiting. */
    bool waits_on = entry->type == XDS_ROUTES && store_entry_is_warming(entry);
    store_parts[entry->type].unref(entry->latest);
    entry->latest = part;
    store->bytes_total = store->bytes_total - entry->bytes.len + bytes.len;
    set_text(&entry->bytes, bytes);
    set_text(&entry->version, version);
    entry->updated_wall_us = clock_wall_us();
    entry->is_absent = false;
    uint64_t timeout_ms = 0;
    entry->needs = entry_needed_by(store, entry->type, part, &timeout_ms);
    if (!waits_on)
        entry->deadline_ms = timeout_ms ? clock_monotonic_ms() + timeout_ms : UINT64_MAX;
    if (entry->type == XDS_CLUSTER)
        start_resolving(entry);
    mark_dirty(store);
}

static bool has_address(const struct listener_config *listener, struct str address)
{
    return listener && str_equal(listener->address.text, address);
}

/* Whether another listener is there, or about to be, at the address of entry's latest. */
static int check_address(const struct entry *entry, struct errmsg *msg)
{
    struct str address = ((const struct listener_config *)entry->latest)->address.text;
    MAP_FOR_EACH(slot, &entry->store->entries[XDS_LISTENER]) {
        const struct entry *other = slot->value;
        bool is_first = other != entry && !other->waits_for_port;
        if (is_first && (has_address(other->latest, address) || has_address(other->live, address)))
            return errmsg_set(msg, ERR_EXISTS,
                              "listener %.*s: address: %.*s is that of listener "
                              "%.*s",
                              STR_ARGS(entry->name), STR_ARGS(address), STR_ARGS(other->name));
    }
    return 0;
}

/* Opens the sockets of a listener (harmless where they are open); where that fails it is tried
 * again later. */
int store_bind_latest(struct entry *entry, struct errmsg *msg)
{
    int err = check_address(entry, msg);
    if (!err)
        err = entry->store->output.bind(entry->store->output.arg, entry->latest, msg);
    entry->waits_for_port = err != 0;
    if (!err)
        return 0;
    entry->bind_retry_at_ms = clock_monotonic_ms() + STORE_BIND_RETRY_MS;
    entry_set_error(entry, entry->version, msg);
    return err;
}

static int check_limits(const struct store *store, enum xds_type type, struct str name,
                        struct str bytes, struct errmsg *msg)
{
    const char *noun = xds_type_noun(type);
    if (name.len == 0 || name.len > STORE_NAME_BYTES_MAX)
        return errmsg_set(msg, ERR_INVALID, "%s: a name must have 1 to %d bytes", noun,
                          STORE_NAME_BYTES_MAX);
    const struct entry *entry = store_entry_find(store, type, name);
    if (!entry && store->entries[type].len >= STORE_RESOURCES_MAX)
        return errmsg_set(msg, ERR_TOO_LARGE, "%s %.*s: there are %d of this type already", noun,
                          STR_ARGS(name), STORE_RESOURCES_MAX);
    if (bytes.len > STORE_BYTES_MAX - store->bytes_total)
        return errmsg_set(msg, ERR_TOO_LARGE, "%s %.*s: all resources together exceed %d bytes",
                          noun, STR_ARGS(name), STORE_BYTES_MAX);
    return 0;
}

/* The same content again: only the version can be new. */
static int put_unchanged(struct entry *entry, struct str version, struct errmsg *msg)
{
    set_text(&entry->version, version);
    if (entry->waits_for_port)
        return errmsg_set(msg, ERR_IO, "%.*s", STR_ARGS(entry->error));
    store_entry_clear_error(entry);
    return 0;
}

static int put_changed(struct store *store, struct entry *entry, enum xds_type type,
                       struct str name, struct str version, struct str bytes, bool is_static,
                       struct errmsg *msg)
{
    void *part;
    int err = store_parts[type].decode(store->decode, name, bytes, &part, msg);
    if (!entry)
        entry = entry_new(store, type, name);
    if (err) {
        entry_set_error(entry, version, msg);
        entry->is_absent = !entry->latest; /* who waits for it need not wait for another */
        mark_dirty(store);
        return err;
    }
    entry->is_static = is_static;
    store_entry_clear_error(entry);
    accept_part(entry, part, version, bytes);
    return type == XDS_LISTENER ? store_bind_latest(entry, msg) : 0;
}

int store_put(struct store *store, enum xds_type type, struct str name, struct str version,
              struct str bytes, bool is_static, struct errmsg *msg)
{
    int err = check_limits(store, type, name, bytes, msg);
    struct entry *entry = err ? NULL : store_entry_find(store, type, name);
    bool is_unwanted = !err && !entry && !xds_type_is_wildcard(type);
    if (entry && entry->is_static && !is_static) {
        log_warning("resource_ignored type=%s name=\"%.*s\" reason=\"the bootstrap has one of "
                    "that name\"",
                    xds_type_noun(type), STR_ARGS(name));
        return 0;
    }
    if (is_unwanted)
        return 0; /* nobody names it any more: it was on its way when it was unsubscribed */
    if (!err && entry && entry->latest && str_equal(entry->bytes, bytes))
        err = put_unchanged(entry, version, msg);
    else if (!err)
        err = put_changed(store, entry, type, name, version, bytes, is_static, msg);
    store->rejected_total += err != 0;
    return err;
}

/* A port may have become free. */
static void retry_binds_soon(struct store *store)
{
    MAP_FOR_EACH(slot, &store->entries[XDS_LISTENER])
        ((struct entry *)slot->value)->bind_retry_at_ms = 0;
}

/* Whether a listener or cluster names these endpoints or routes. */
static bool is_in_use(const struct entry *needed)
{
    enum xds_type type = needed->type == XDS_ENDPOINTS ? XDS_CLUSTER : XDS_LISTENER;
    MAP_FOR_EACH(slot, &needed->store->entries[type]) {
        const struct entry *entry = slot->value;
        if (entry->needs == needed || entry->live_needs == needed)
            return true;
    }
    return false;
}

/* What was received goes, the entry stays. */
static void clear_content(struct entry *entry)
{
    store_parts[entry->type].unref(entry->latest);
    entry->latest = NULL;
    entry->store->bytes_total -= entry->bytes.len;
    set_text(&entry->bytes, STR(""));
    set_text(&entry->version, STR(""));
}

/* Endpoints and routes that nobody uses: they stay subscribed. */
static void forget_content(struct entry *entry)
{
    clear_content(entry);
    store_parts[entry->type].unref(entry->live);
    entry->live = NULL;
}

/* A live cluster goes at the end of the turn, or once no live routes lead to it. */
static void retire_cluster(struct entry *entry)
{
    clear_content(entry);
    store_entry_clear_error(entry);
    dns_watch_free(entry->dns);
    entry->dns = NULL;
    endpoints_config_unref(entry->resolved);
    entry->resolved = NULL;
    entry->needs = NULL;
    entry->deadline_ms = clock_monotonic_ms() + entry->store->cluster_hold_ms;
}

void store_remove(struct store *store, enum xds_type type, struct str name)
{
    struct entry *entry = store_entry_find(store, type, name);
    if (!entry || entry->is_static)
        return;
    if (type == XDS_CLUSTER && entry->live) {
        if (entry->latest)
            retire_cluster(entry);
        else
            store_entry_clear_error(entry); /* of a version after the one that goes */
    } else if (xds_type_is_wildcard(type)) {
        map_remove(&store->entries[type], name);
        store_entry_free(entry);
        retry_binds_soon(store);
    } else if (!is_in_use(entry)) {
        forget_content(entry);
    } else if (entry->latest) {
        log_warning("removal_ignored type=%s name=\"%.*s\" reason=\"it is in use\"",
                    xds_type_noun(type), STR_ARGS(name));
    } else {
        entry->is_absent = true;
    }
    mark_dirty(store);
}

void store_forget_refused(struct store *store)
{
    for (enum xds_type type = 0; type < XDS_TYPE_COUNT; type++) {
        struct vec refused = {0};
        if (!xds_type_is_wildcard(type))
            continue;
        MAP_FOR_EACH(slot, &store->entries[type]) {
            struct entry *entry = slot->value;
            bool was_refused = entry->waits_for_port || !entry->latest;
            if (was_refused && !entry->live && !entry->is_static)
                vec_append(&refused, entry);
        }
        for (size_t i = 0; i < refused.len; i++)
            store_remove(store, type, ((struct entry *)refused.items[i])->name);
        vec_done(&refused);
    }
}

void store_type_received(struct store *store, enum xds_type type)
{
    if (store->is_received[type])
        return;
    store->is_received[type] = true;
    mark_dirty(store);
}

static void on_timer(struct loop_timer *timer)
{
    store_flush(CONTAINER_OF(timer, struct store, timer));
}

/* --- life ------------------------------------------------------------------------------------- */

struct store *store_new(const struct store_options *options)
{
    struct store *store = MEM_NEW(struct store);
    store->loop = options->loop;
    store->decode = options->decode;
    store->output = options->output;
    store->is_initialising = options->expects_control_plane;
    uint64_t timeout_ms = options->init_timeout_ms;
    store->linger_ms = options->linger_ms ? options->linger_ms : STORE_LINGER_MS;
    store->routes_hold_ms = options->hold_ms ? options->hold_ms : STORE_ROUTES_HOLD_MS;
    store->cluster_hold_ms = options->hold_ms ? options->hold_ms : STORE_CLUSTER_HOLD_MS;
    store->init_deadline_ms =
        clock_monotonic_ms() + (timeout_ms ? timeout_ms : STORE_INIT_TIMEOUT_MS);
    loop_timer_init(&store->timer, options->loop, on_timer);
    return store;
}

void store_free(struct store *store)
{
    if (!store)
        return;
    loop_timer_stop(&store->timer);
    for (enum xds_type type = 0; type < XDS_TYPE_COUNT; type++) {
        MAP_FOR_EACH(slot, &store->entries[type])
            store_entry_free(slot->value);
        map_done(&store->entries[type]);
    }
    dns_resolver_free(store->resolver);
    config_unref(store->config);
    mem_free(store);
}

void store_begin(struct store *store)
{
    store->has_begun = true;
    store->is_dirty = true;
    store_flush(store);
}

void store_end_init(struct store *store)
{
    store->is_initialising = false;
    mark_dirty(store);
}

bool store_is_complete(const struct store *store)
{
    return store->is_received[XDS_LISTENER] && store->is_received[XDS_CLUSTER];
}

bool store_is_live(const struct store *store)
{
    return store->config != NULL;
}

struct config *store_config(const struct store *store)
{
    return store->config;
}

/* --- looking ---------------------------------------------------------------------------------- */

void store_visit(const struct store *store, enum xds_type type, store_visit_fn *visit, void *arg)
{
    MAP_FOR_EACH(slot, &store->entries[type]) {
        const struct entry *entry = slot->value;
        bool is_wildcard = xds_type_is_wildcard(type);
        bool is_retired = type == XDS_CLUSTER && entry->live && !entry->latest;
        if (is_retired && !entry->error.len)
            continue;
        struct store_view view = {.type = type,
                                  .name = entry->name,
                                  .version = entry->version,
                                  .bytes = entry->bytes,
                                  .updated_wall_us = entry->updated_wall_us,
                                  .is_static = entry->is_static,
                                  .is_warming = store_entry_is_warming(entry) ||
                                                (!is_wildcard && !entry->latest),
                                  .is_subscribed = entry->is_subscribed,
                                  .waits_for_port = entry->waits_for_port,
                                  .error = entry->error,
                                  .error_version = entry->error_version};
        visit(&view, arg);
    }
}

size_t store_count(const struct store *store, enum xds_type type)
{
    size_t count = 0;
    MAP_FOR_EACH(slot, &store->entries[type])
        count += ((const struct entry *)slot->value)->latest != NULL;
    return count;
}

uint64_t store_rejected_total(const struct store *store)
{
    return store->rejected_total;
}
