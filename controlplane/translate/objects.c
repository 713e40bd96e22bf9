/* From a resource back to the objects it was made from. */
#include "controlplane/translate/hosts.h"
#include "controlplane/translate/translate_internal.h"

/* The keys told so far. */
struct telling {
    const struct model *model;
    struct map told;
    translate_object_fn *on_object;
    void *arg;
};

static void tell(struct telling *telling, const struct model_object *object)
{
    if (!object || map_find(&telling->told, object->key))
        return;
    map_put(&telling->told, object->key, telling);
    telling->on_object(object->key, telling->arg);
}

static void tell_named(struct telling *telling, enum model_kind kind, char *const *names,
                       size_t count)
{
    for (size_t i = 0; i < count; i++)
        tell(telling, model_find(telling->model, kind, str_from(names[i])));
}

static void tell_service(struct telling *telling, struct str name, bool with_endpoints)
{
    size_t count = 0;
    struct model_object *const *endpoints = model_endpoints_of(telling->model, name, &count);
    tell(telling, model_find(telling->model, MODEL_SERVICE, name));
    for (size_t i = 0; with_endpoints && i < count; i++)
        tell(telling, endpoints[i]);
}

static void tell_gateway(struct telling *telling, const struct model_object *gateway)
{
    const Weir__V1__Gateway *message = gateway->gateway;
    tell(telling, gateway);
    tell_named(telling, MODEL_POLICY, message->policies, message->n_policies);
    tell_named(telling, MODEL_LIMIT, message->limits, message->n_limits);
}

static bool is_route_of(const struct model_object *route, struct str gateway)
{
    for (size_t i = 0; i < route->route->n_gateways; i++) {
        if (str_equal(gateway, str_from(route->route->gateways[i])))
            return true;
    }
    return false;
}

/* Policies with keys have all consumers in them. */
static void tell_consumers(struct telling *telling, char *const *policies, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct model_object *policy =
            model_find(telling->model, MODEL_POLICY, str_from(policies[i]));
        if (!policy || policy->policy->kind_case != WEIR__V1__POLICY__KIND_API_KEY)
            continue;
        const struct model_list *consumers = telling->model->lists[MODEL_CONSUMER];
        for (size_t j = 0; j < consumers->len; j++)
            tell(telling, consumers->items[j]);
        return;
    }
}

static void tell_routes(struct telling *telling, const struct model_object *gateway)
{
    const struct model_list *routes = telling->model->lists[MODEL_ROUTE];
    const Weir__V1__Gateway *message = gateway->gateway;
    for (size_t i = 0; i < routes->len; i++) {
        const Weir__V1__Route *route = routes->items[i]->route;
        if (!is_route_of(routes->items[i], gateway->name))
            continue;
        tell(telling, routes->items[i]);
        tell_named(telling, MODEL_POLICY, route->policies, route->n_policies);
        tell_named(telling, MODEL_LIMIT, route->limits, route->n_limits);
        tell_consumers(telling, route->policies, route->n_policies);
    }
    tell_named(telling, MODEL_POLICY, message->policies, message->n_policies);
    tell_consumers(telling, message->policies, message->n_policies);
}

void translate_objects_of(const struct model *model, struct str gateway, enum resource_type type,
                          struct str resource_name, translate_object_fn *on_object, void *arg)
{
    struct telling telling = {.model = model, .on_object = on_object, .arg = arg};
    const struct model_object *object = model_find(model, MODEL_GATEWAY, gateway);
    switch (type) {
    case RESOURCE_CLUSTER:
        tell_service(&telling, resource_name, false);
        break;
    case RESOURCE_ENDPOINTS:
        tell_service(&telling, resource_name, true);
        break;
    case RESOURCE_LISTENER:
        if (object)
            tell_gateway(&telling, object);
        break;
    case RESOURCE_ROUTES:
        if (object)
            tell_routes(&telling, object);
        break;
    case RESOURCE_TYPE_COUNT:
        break;
    }
    map_done(&telling.told);
}
