#include "common/base/mem.h"
#include "controlplane/policy/api_key.h"
#include "controlplane/translate/hosts.h"
#include "controlplane/translate/translate_internal.h"
#include "controlplane/translate/xds_listener.h"
#include "controlplane/translate/xds_route.h"

#include <stdlib.h>

enum { ARENA_BLOCK_BYTES = 64 * 1024 };
/* Of all route tables of a gateway, for one kind of client: weir-proxy takes no message over 64
 * MiB. Bounds what the keys of many consumers, which may be in every route, come to. */
enum { TABLES_MIB_MAX = 60 };

static void clear_resources(struct vec *resources)
{
    for (size_t i = 0; i < resources->len; i++)
        resource_unref(resources->items[i]);
    vec_done(resources);
}

struct gateway_cache *gateway_cache_new(struct str name)
{
    struct gateway_cache *gateway = MEM_NEW(struct gateway_cache);
    gateway->name = (struct str){.data = mem_copy_string(name.data, name.len), .len = name.len};
    return gateway;
}

static void clear_names(struct vec *names)
{
    for (size_t i = 0; i < names->len; i++)
        mem_free(names->items[i]);
    vec_done(names);
}

void gateway_cache_free(struct gateway_cache *gateway)
{
    route_cache_done(&gateway->routes);
    for (size_t i = 0; i < CLIENT_KIND_COUNT; i++) {
        clear_resources(&gateway->listeners[i]);
        clear_resources(&gateway->route_tables[i]);
        snapshot_unref(gateway->snapshots[i]);
    }
    clear_names(&gateway->service_names);
    mem_free(gateway->inputs);
    mem_free((char *)gateway->name.data);
    mem_free(gateway);
}

/* Takes made; puts it, or the old resource of that name if it says the same, into list. */
static void add_resource(struct vec *list, const struct vec *old, struct resource *made)
{
    for (size_t i = 0; i < old->len; i++) {
        if (resource_is_same(old->items[i], made)) {
            resource_unref(made);
            made = resource_ref(old->items[i]);
            break;
        }
    }
    vec_append(list, made);
}

/* --- inputs ----------------------------------------------------------------------------------- */

/* Everything that the gateway's resources are made from. Routes stand for themselves and for all
 * that is in them. True where it differs from last time. */
static bool inputs_changed(struct gateway_cache *gateway, const struct model *model,
                           const struct model_object *object, const struct auth_plan *plan,
                           const struct encoded_route *const *routes, size_t count)
{
    const Weir__V1__Gateway *message = object->gateway;
    size_t max = count + message->n_policies + message->n_limits + 4, len = 0;
    uint64_t *inputs = mem_alloc(max * sizeof *inputs);
    inputs[len++] = object->id;
    for (size_t i = 0; i < message->n_policies; i++) {
        const struct model_object *policy =
            model_find(model, MODEL_POLICY, str_from(message->policies[i]));
        inputs[len++] = policy ? policy->id : 0;
    }
    for (size_t i = 0; i < message->n_limits; i++) {
        const struct model_object *limit =
            model_find(model, MODEL_LIMIT, str_from(message->limits[i]));
        inputs[len++] = limit ? limit->id : 0;
    }
    inputs[len++] = plan->shared ? plan->shared->id : 0;
    inputs[len++] = plan->shared ? model->lists[MODEL_CONSUMER]->id : 0;
    for (size_t i = 0; i < count; i++)
        inputs[len++] = routes[i]->serial;
    bool is_same =
        len == gateway->input_count && memcmp(inputs, gateway->inputs, len * sizeof *inputs) == 0;
    mem_free(gateway->inputs);
    gateway->inputs = inputs;
    gateway->input_count = len;
    return !is_same;
}

/* --- route tables ----------------------------------------------------------------------------- */

static bool same_hosts(const Weir__V1__Listener *a, const Weir__V1__Listener *b)
{
    if (a->n_hosts != b->n_hosts)
        return false;
    for (size_t i = 0; i < a->n_hosts; i++) {
        if (strcmp(a->hosts[i], b->hosts[i]) != 0)
            return false;
    }
    return true;
}

/* Whether all listeners are for the same hosts, and so have one route table. */
static bool has_one_table(const Weir__V1__Gateway *gateway)
{
    for (size_t i = 1; i < gateway->n_listeners; i++) {
        if (!same_hosts(gateway->listeners[0], gateway->listeners[i]))
            return false;
    }
    return true;
}

/* The name of the route configuration of a listener: the gateway's, or <gateway>/<listener> where
 * the listeners of the gateway are for different hosts; in arena. */
static char *route_table_name(struct arena *arena, const struct model_object *gateway,
                              const Weir__V1__Listener *listener)
{
    if (listener->n_hosts == 0 || has_one_table(gateway->gateway))
        return (char *)arena_copy_str(arena, gateway->name).data;
    return arena_printf(arena, "%s/%s", gateway->name.data, listener->name);
}

/* What making a gateway's resources needs; on the stack of gateway_cache_update. */
struct update {
    struct arena arena;
    const struct model *model;
    const struct model_object *object;
    const struct model_object *const *routes;
    const struct encoded_route **encoded;
    size_t count;
    struct auth_plan plan;
    struct vec listeners[CLIENT_KIND_COUNT];
    struct vec route_tables[CLIENT_KIND_COUNT];
    size_t tables_len[CLIENT_KIND_COUNT];
    struct errmsg problem;
};

static int refuse_len(struct update *update)
{
    return errmsg_set(
        &update->problem, ERR_TOO_LARGE,
        "its routes make more than %d MiB (each with another api_key policy than most "
        "has the keys of all consumers in it); what was there before stays",
        TABLES_MIB_MAX);
}

static bool is_too_long(size_t len)
{
    return len > (size_t)TABLES_MIB_MAX * 1024 * 1024;
}

static int plan_hosts(struct update *update, char *const *listener_hosts, size_t count,
                      struct virtual_hosts *ret_hosts)
{
    int err = virtual_hosts_plan(&update->arena, update->routes, update->count, listener_hosts,
                                 count, ret_hosts);
    if (err)
        errmsg_set(
            &update->problem, err,
            "its routes and their hosts make more than %d pairs; what was there before stays",
            VIRTUAL_HOST_ROUTES_MAX);
    return err;
}

static int add_table(struct update *update, const struct gateway_cache *gateway,
                     enum client_kind kind, const struct route_table_source *source)
{
    update->tables_len[kind] += route_table_len(source);
    if (is_too_long(update->tables_len[kind]))
        return refuse_len(update);
    add_resource(&update->route_tables[kind], &gateway->route_tables[kind],
                 translate_route_table(source));
    return 0;
}

static struct str *bytes_of(struct update *update, enum client_kind kind)
{
    struct str *bytes = arena_alloc_array(&update->arena, update->count + 1, sizeof *bytes);
    for (size_t i = 0; i < update->count; i++)
        bytes[i] = update->encoded[i]->bytes[kind];
    return bytes;
}

static int add_envoy_table(struct update *update, const struct gateway_cache *gateway,
                           const char *name, const Weir__V1__Listener *listener)
{
    struct virtual_hosts hosts;
    int err = plan_hosts(update, listener->hosts, listener->n_hosts, &hosts);
    if (err)
        return err;
    struct route_table_source source = {
        .name = str_from(name),
        .hosts = &hosts,
        .routes = bytes_of(update, CLIENT_ENVOY),
    };
    if (update->plan.shared)
        source.auth = api_key_route_config(&update->arena, update->model, update->plan.shared);
    return add_table(update, gateway, CLIENT_ENVOY, &source);
}

static bool has_resource(const struct vec *resources, struct str name)
{
    for (size_t i = 0; i < resources->len; i++) {
        if (str_equal(((const struct resource *)resources->items[i])->name, name))
            return true;
    }
    return false;
}

static int make_envoy_tables(struct update *update, const struct gateway_cache *gateway)
{
    const Weir__V1__Gateway *message = update->object->gateway;
    int err = 0;
    for (size_t i = 0; err == 0 && i < message->n_listeners; i++) {
        const char *name = route_table_name(&update->arena, update->object, message->listeners[i]);
        if (!has_resource(&update->route_tables[CLIENT_ENVOY], str_from(name)))
            err = add_envoy_table(update, gateway, name, message->listeners[i]);
    }
    return err;
}

/* --- gRPC
 * ------------------------------------------------------------------------------------------ One
 * route table for the whole gateway, and a listener for each host that can be dialled. */

/* The hosts of all listeners together; none where a listener is for all. */
static char **all_listener_hosts(struct update *update, size_t *ret_count)
{
    const Weir__V1__Gateway *message = update->object->gateway;
    size_t count = 0;
    for (size_t i = 0; i < message->n_listeners; i++)
        count += message->listeners[i]->n_hosts;
    char **hosts = arena_alloc_array(&update->arena, count + 1, sizeof *hosts);
    *ret_count = 0;
    for (size_t i = 0; i < message->n_listeners; i++) {
        const Weir__V1__Listener *listener = message->listeners[i];
        if (listener->n_hosts == 0) {
            *ret_count = 0;
            return hosts;
        }
        for (size_t j = 0; j < listener->n_hosts; j++)
            hosts[(*ret_count)++] = listener->hosts[j];
    }
    return hosts;
}

static uint32_t *all_ports(struct update *update, size_t *ret_count)
{
    const Weir__V1__Gateway *message = update->object->gateway;
    uint32_t *ports = arena_alloc_array(&update->arena, message->n_listeners + 1, sizeof *ports);
    *ret_count = 0;
    for (size_t i = 0; i < message->n_listeners; i++) {
        bool is_known = false;
        for (size_t j = 0; j < *ret_count; j++)
            is_known = is_known || ports[j] == message->listeners[i]->port;
        if (!is_known)
            ports[(*ret_count)++] = message->listeners[i]->port;
    }
    return ports;
}

/* The resource of that name, or NULL; resources are sorted. */
static struct resource *find_sorted(const struct vec *resources, struct str name)
{
    size_t low = 0, high = resources->len;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        struct resource *resource = resources->items[middle];
        int order = str_compare(resource->name, name);
        if (order == 0)
            return resource;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* A listener of that name, unless there is one. It says nothing but its name and the gateway's: one
 * from last time is as good as new, and there may be very many. */
static void add_api_listener(struct update *update, const struct gateway_cache *gateway,
                             struct map *names, struct str name)
{
    if (map_find(names, name))
        return;
    map_put(names, name, update);
    struct resource *old = find_sorted(&gateway->listeners[CLIENT_GRPC], name);
    vec_append(&update->listeners[CLIENT_GRPC],
               old ? resource_ref(old) : translate_api_listener(name, update->object->name.data));
}

/* A listener for each host, alone and with each port; and one by the gateway's own name, for routes
 * that are for every host. */
static void make_api_listeners(struct update *update, const struct gateway_cache *gateway,
                               const struct virtual_hosts *hosts, const uint32_t *ports,
                               size_t port_count)
{
    struct map names = {0};
    add_api_listener(update, gateway, &names, update->object->name);
    for (size_t i = 0; i < hosts->len; i++) {
        struct str host = hosts->items[i].host;
        if (!host_is_concrete(host))
            continue;
        add_api_listener(update, gateway, &names, host);
        for (size_t j = 0; j < port_count; j++)
            add_api_listener(
                update, gateway, &names,
                str_from(arena_printf(&update->arena, "%.*s:%u", STR_ARGS(host), ports[j])));
    }
    map_done(&names);
}

static int make_grpc(struct update *update, const struct gateway_cache *gateway)
{
    struct virtual_hosts hosts;
    size_t host_count, port_count;
    char **listener_hosts = all_listener_hosts(update, &host_count);
    const uint32_t *ports = all_ports(update, &port_count);
    int err = plan_hosts(update, listener_hosts, host_count, &hosts);
    if (err)
        return err;
    const struct route_table_source source = {
        .name = update->object->name,
        .hosts = &hosts,
        .routes = bytes_of(update, CLIENT_GRPC),
        .ports = ports,
        .port_count = port_count,
    };
    err = add_table(update, gateway, CLIENT_GRPC, &source);
    if (err == 0)
        make_api_listeners(update, gateway, &hosts, ports, port_count);
    return err;
}

/* --- all of a gateway ------------------------------------------------------------------------- */

static void make_listeners(struct update *update, const struct gateway_cache *gateway)
{
    const Weir__V1__Gateway *message = update->object->gateway;
    for (size_t i = 0; i < message->n_listeners; i++) {
        const Weir__V1__Listener *listener = message->listeners[i];
        const char *table = route_table_name(&update->arena, update->object, listener);
        add_resource(&update->listeners[CLIENT_ENVOY], &gateway->listeners[CLIENT_ENVOY],
                     translate_listener(update->model, update->object, listener, table));
    }
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int compare_resources(const void *a, const void *b)
{
    const struct resource *const *left = a, *const *right = b;
    return str_compare((*left)->name, (*right)->name);
}

static void sort(struct vec *vec, int (*compare)(const void *, const void *))
{
    if (vec->len > 0)
        qsort(vec->items, vec->len, sizeof(void *), compare);
}

static void name_services(struct gateway_cache *gateway, const struct update *update)
{
    struct map known = {0};
    clear_names(&gateway->service_names);
    for (size_t i = 0; i < update->count; i++) {
        const Weir__V1__Route *route = update->routes[i]->route;
        for (size_t j = 0; j < route->n_backends; j++) {
            struct str name = str_from(route->backends[j]->service);
            if (map_find(&known, name))
                continue;
            map_put(&known, name, gateway);
            vec_append(&gateway->service_names, mem_copy_string(name.data, name.len));
        }
    }
    map_done(&known);
    sort(&gateway->service_names, compare_texts);
}

static void take_over(struct gateway_cache *gateway, struct update *update)
{
    for (size_t i = 0; i < CLIENT_KIND_COUNT; i++) {
        clear_resources(&gateway->listeners[i]);
        clear_resources(&gateway->route_tables[i]);
        gateway->listeners[i] = update->listeners[i];
        gateway->route_tables[i] = update->route_tables[i];
        sort(&gateway->listeners[i], compare_resources);
        sort(&gateway->route_tables[i], compare_resources);
    }
    name_services(gateway, update);
    gateway->is_changed = true;
}

/* What was there before stays. */
static void refuse(struct gateway_cache *gateway, struct update *update)
{
    for (size_t i = 0; i < CLIENT_KIND_COUNT; i++) {
        clear_resources(&update->listeners[i]);
        clear_resources(&update->route_tables[i]);
    }
    gateway->problem = update->problem;
}

static void make_resources(struct gateway_cache *gateway, struct update *update)
{
    int err = make_envoy_tables(update, gateway);
    if (err == 0)
        err = make_grpc(update, gateway);
    if (err) {
        refuse(gateway, update);
        return;
    }
    gateway->problem.text[0] = '\0';
    make_listeners(update, gateway);
    take_over(gateway, update);
}

/* ERR_TOO_LARGE as soon as it is too much. */
static int encode_routes(struct gateway_cache *gateway, struct update *update,
                         uint64_t *last_serial)
{
    size_t len = 0;
    update->encoded = arena_alloc_array(&update->arena, update->count + 1, sizeof *update->encoded);
    route_cache_begin(&gateway->routes);
    for (size_t i = 0; i < update->count && !is_too_long(len); i++) {
        update->encoded[i] = route_cache_get(&gateway->routes, update->model, update->routes[i],
                                             &update->plan, last_serial);
        len += update->encoded[i]->bytes[CLIENT_ENVOY].len;
    }
    route_cache_end(&gateway->routes);
    return is_too_long(len) ? refuse_len(update) : 0;
}

static void forget_inputs(struct gateway_cache *gateway)
{
    mem_free(gateway->inputs);
    gateway->inputs = NULL;
    gateway->input_count = 0;
}

void gateway_cache_update(struct gateway_cache *gateway, const struct model *model,
                          const struct model_object *object,
                          const struct model_object *const *routes, size_t count,
                          uint64_t *last_serial)
{
    struct update update = {.model = model, .object = object, .routes = routes, .count = count};
    arena_init(&update.arena, ARENA_BLOCK_BYTES);
    update.plan = auth_plan_make(model, object, routes, count);
    if (encode_routes(gateway, &update, last_serial)) {
        refuse(gateway, &update);
        forget_inputs(gateway);
    } else if (inputs_changed(gateway, model, object, &update.plan, update.encoded, count)) {
        make_resources(gateway, &update);
    }
    arena_done(&update.arena);
}
