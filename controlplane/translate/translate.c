#include "controlplane/translate/translate.h"

#include "common/base/mem.h"
#include "controlplane/translate/translate_internal.h"

#include <stdlib.h>

struct translator {
    struct map gateways; /* of struct gateway_cache, by name */
    struct service_cache services;
    uint64_t list_ids[MODEL_KIND_COUNT]; /* of the model that was last translated */
    uint64_t round;
    uint64_t last_serial;
};

struct translator *translator_new(void)
{
    return MEM_NEW(struct translator);
}

void translator_free(struct translator *translator)
{
    if (!translator)
        return;
    MAP_FOR_EACH(entry, &translator->gateways)
        gateway_cache_free(entry->value);
    map_done(&translator->gateways);
    service_cache_done(&translator->services);
    mem_free(translator);
}

static struct gateway_cache *get_gateway(struct translator *translator, struct str name)
{
    struct gateway_cache *gateway = map_find(&translator->gateways, name);
    if (!gateway) {
        gateway = gateway_cache_new(name);
        map_put(&translator->gateways, gateway->name, gateway);
    }
    return gateway;
}

/* --- routes ----------------------------------------------------------------------------------- */

static int compare_routes(const void *a, const void *b)
{
    const struct model_object *left = *(const struct model_object *const *)a;
    const struct model_object *right = *(const struct model_object *const *)b;
    int order = model_route_rank_compare(&left->rank, &right->rank);
    return order ? order : str_compare(left->name, right->name);
}

/* All routes, most specific first. */
static const struct model_object **sort_routes(struct arena *arena, const struct model *model)
{
    const struct model_list *list = model->lists[MODEL_ROUTE];
    const struct model_object **routes =
        (const struct model_object **)arena_alloc_array(arena, list->len + 1, sizeof *routes);
    for (size_t i = 0; i < list->len; i++)
        routes[i] = list->items[i];
    qsort(routes, list->len, sizeof *routes, compare_routes);
    return routes;
}

/* The routes of one gateway. */
struct routes_of {
    struct vec routes;
};

/* Sorts out which gateway has which routes: a map of struct routes_of by the gateway's name. */
static void deal_routes(struct arena *arena, const struct model *model, struct map *ret_hands)
{
    const struct model_list *gateways = model->lists[MODEL_GATEWAY];
    const struct model_object **routes = sort_routes(arena, model);
    *ret_hands = (struct map){0};
    for (size_t i = 0; i < gateways->len; i++)
        map_put(ret_hands, gateways->items[i]->name, ARENA_NEW(arena, struct routes_of));
    for (size_t i = 0; i < model->lists[MODEL_ROUTE]->len; i++) {
        for (size_t j = 0; j < routes[i]->route->n_gateways; j++) {
            struct routes_of *hand = map_find(ret_hands, str_from(routes[i]->route->gateways[j]));
            if (hand)
                vec_append(&hand->routes, (void *)routes[i]);
        }
    }
}

static void update_gateways(struct translator *translator, const struct model *model)
{
    const struct model_list *gateways = model->lists[MODEL_GATEWAY];
    struct arena arena;
    struct map hands;
    arena_init(&arena, 64 * 1024);
    deal_routes(&arena, model, &hands);
    for (size_t i = 0; i < gateways->len; i++) {
        const struct model_object *object = gateways->items[i];
        struct routes_of *hand = map_find(&hands, object->name);
        gateway_cache_update(get_gateway(translator, object->name), model, object,
                             (const struct model_object *const *)hand->routes.items,
                             hand->routes.len, &translator->last_serial);
        vec_done(&hand->routes);
    }
    map_done(&hands);
    arena_done(&arena);
}

/* Whether anything has changed that gateways and routes are made from. */
static bool gateways_changed(const struct translator *translator, const struct model *model)
{
    static const enum model_kind kinds[] = {MODEL_CONSUMER, MODEL_GATEWAY, MODEL_LIMIT,
                                            MODEL_POLICY, MODEL_ROUTE};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (translator->list_ids[kinds[i]] != model->lists[kinds[i]]->id)
            return true;
    }
    return false;
}

/* --- snapshots -------------------------------------------------------------------------------- */

/* The set of resources, which are sorted by name; the previous one (may be NULL) where it holds the
 * same. One reference for the caller. */
static struct resource_set *make_set(enum resource_type type, const struct vec *resources,
                                     struct resource_set *previous)
{
    struct resource *const *items = (struct resource *const *)resources->items;
    bool is_same =
        previous && previous->len == resources->len &&
        (previous->len == 0 || memcmp(previous->items, items, previous->len * sizeof *items) == 0);
    return is_same ? resource_set_ref(previous) : resource_set_new(type, items, resources->len);
}

static void collect_services(struct translator *translator, const struct model *model,
                             const struct gateway_cache *gateway, struct vec *clusters,
                             struct vec *endpoints)
{
    for (size_t i = 0; i < gateway->service_names.len; i++) {
        const struct model_object *service =
            model_find(model, MODEL_SERVICE, str_from(gateway->service_names.items[i]));
        if (!service)
            continue; /* its share of requests is answered 503 */
        const struct service_resources *resources =
            service_cache_get(&translator->services, model, service);
        vec_append(clusters, resources->cluster);
        vec_append(endpoints, resources->endpoints);
    }
}

/* A snapshot of the four sets, whose references it takes; the previous one where it has the same.
 */
static void set_snapshot(struct gateway_cache *gateway, enum client_kind kind, int64_t revision,
                         struct resource_set *const sets[RESOURCE_TYPE_COUNT])
{
    struct snapshot *snapshot = snapshot_new(revision, sets);
    struct snapshot *previous = gateway->snapshots[kind];
    if (previous && memcmp(previous->sets, snapshot->sets, sizeof snapshot->sets) == 0) {
        snapshot_unref(snapshot);
        return;
    }
    snapshot_unref(previous);
    gateway->snapshots[kind] = snapshot;
}

static struct resource_set *previous_set(const struct gateway_cache *gateway, enum client_kind kind,
                                         enum resource_type type)
{
    return gateway->snapshots[kind] ? gateway->snapshots[kind]->sets[type] : NULL;
}

/* Both kinds of clients have the same clusters and endpoints. */
static void make_snapshots(struct translator *translator, const struct model *model,
                           struct gateway_cache *gateway)
{
    struct vec clusters = {0}, endpoints = {0};
    collect_services(translator, model, gateway, &clusters, &endpoints);
    struct resource_set *cds = make_set(RESOURCE_CLUSTER, &clusters,
                                        previous_set(gateway, CLIENT_ENVOY, RESOURCE_CLUSTER));
    struct resource_set *eds = make_set(RESOURCE_ENDPOINTS, &endpoints,
                                        previous_set(gateway, CLIENT_ENVOY, RESOURCE_ENDPOINTS));
    for (int i = 0; i < CLIENT_KIND_COUNT; i++) {
        enum client_kind kind = (enum client_kind)i;
        struct resource_set *const sets[RESOURCE_TYPE_COUNT] = {
            [RESOURCE_CLUSTER] = resource_set_ref(cds),
            [RESOURCE_ENDPOINTS] = resource_set_ref(eds),
            [RESOURCE_LISTENER] = make_set(RESOURCE_LISTENER, &gateway->listeners[kind],
                                           previous_set(gateway, kind, RESOURCE_LISTENER)),
            [RESOURCE_ROUTES] = make_set(RESOURCE_ROUTES, &gateway->route_tables[kind],
                                         previous_set(gateway, kind, RESOURCE_ROUTES)),
        };
        set_snapshot(gateway, kind, model->revision, sets);
    }
    resource_set_unref(cds);
    resource_set_unref(eds);
    vec_done(&clusters);
    vec_done(&endpoints);
    gateway->is_changed = false;
}

static void forget_gateways(struct translator *translator)
{
    struct vec gone = {0};
    MAP_FOR_EACH(entry, &translator->gateways) {
        const struct gateway_cache *gateway = entry->value;
        if (gateway->round != translator->round)
            vec_append(&gone, entry->value);
    }
    for (size_t i = 0; i < gone.len; i++) {
        struct gateway_cache *gateway = gone.items[i];
        map_remove(&translator->gateways, gateway->name);
        gateway_cache_free(gateway);
    }
    vec_done(&gone);
}

static void remember_lists(struct translator *translator, const struct model *model)
{
    for (size_t i = 0; i < MODEL_KIND_COUNT; i++)
        translator->list_ids[i] = model->lists[i]->id;
}

struct world *translator_run(struct translator *translator, struct model *model,
                             translate_problem_fn *on_problem, void *arg)
{
    const struct model_list *gateways = model->lists[MODEL_GATEWAY];
    struct world_builder *builder = world_builder_new(model->revision);
    if (gateways_changed(translator, model))
        update_gateways(translator, model);
    remember_lists(translator, model);
    translator->round++;
    service_cache_begin(&translator->services);
    bool is_current = service_cache_is_current(&translator->services, model);
    for (size_t i = 0; i < gateways->len; i++) {
        struct gateway_cache *gateway = get_gateway(translator, gateways->items[i]->name);
        gateway->round = translator->round;
        if (gateway->problem.text[0] && on_problem)
            on_problem(gateway->name, gateway->problem.text, arg);
        if (gateway->is_changed || !is_current || !gateway->snapshots[0])
            make_snapshots(translator, model, gateway);
        for (int kind = 0; kind < CLIENT_KIND_COUNT; kind++)
            world_builder_add(builder, gateway->name, (enum client_kind)kind,
                              snapshot_ref(gateway->snapshots[kind]));
    }
    service_cache_end(&translator->services, model, !is_current);
    forget_gateways(translator);
    return world_builder_finish(builder);
}
