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

/* --- routes
 * ---------------------------------------------------------------------------------------
 */

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

/* --- snapshots
 * ------------------------------------------------------------------------------------
 */

static void add_all(struct snapshot_builder *builder, const struct vec *resources)
{
    for (size_t i = 0; i < resources->len; i++)
        snapshot_builder_add(builder, resource_ref(resources->items[i]));
}

static void add_services(struct translator *translator, struct snapshot_builder *builder,
                         const struct model *model, const struct gateway_cache *gateway)
{
    for (size_t i = 0; i < gateway->service_names.len; i++) {
        const struct model_object *service =
            model_find(model, MODEL_SERVICE, str_from(gateway->service_names.items[i]));
        if (!service)
            continue; /* its share of requests is answered 503 */
        const struct service_resources *resources =
            service_cache_get(&translator->services, model, service);
        snapshot_builder_add(builder, resource_ref(resources->cluster));
        snapshot_builder_add(builder, resource_ref(resources->endpoints));
    }
}

/* What one kind of client of a gateway gets; one reference for the caller. */
static struct snapshot *make_snapshot(struct translator *translator, const struct model *model,
                                      struct gateway_cache *gateway, enum client_kind kind)
{
    struct snapshot_builder *builder = snapshot_builder_new(model->revision);
    add_all(builder, &gateway->listeners[kind]);
    add_all(builder, &gateway->route_tables[kind]);
    add_services(translator, builder, model, gateway);
    struct snapshot *snapshot = snapshot_builder_finish(builder);
    snapshot_share(snapshot, gateway->snapshots[kind]);
    snapshot_unref(gateway->snapshots[kind]);
    gateway->snapshots[kind] = snapshot;
    return snapshot_ref(snapshot);
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
    for (size_t i = 0; i < gateways->len; i++) {
        struct gateway_cache *gateway = get_gateway(translator, gateways->items[i]->name);
        gateway->round = translator->round;
        if (gateway->problem[0] && on_problem)
            on_problem(gateway->name, gateway->problem, arg);
        for (int kind = 0; kind < CLIENT_KIND_COUNT; kind++)
            world_builder_add(builder, gateway->name, (enum client_kind)kind,
                              make_snapshot(translator, model, gateway, (enum client_kind)kind));
    }
    service_cache_end(&translator->services, model);
    forget_gateways(translator);
    return world_builder_finish(builder);
}
