#include "common/base/mem.h"
#include "controlplane/policy/policy.h"
#include "controlplane/translate/route_message.h"
#include "controlplane/translate/translate_internal.h"

/* A route has at most 50 policies and 20 limits; the rest is its own id, its auth and its client
 * kinds. */
enum { INPUTS_MAX = 80, ARENA_BLOCK_BYTES = 8 * 1024 };

/* --- who may call ----------------------------------------------------------------------------- */

/* The first api_key policy among the named ones, or NULL; *ret_is_missing: one does not exist. */
static const struct model_object *find_auth(const struct model *model, char *const *names,
                                            size_t count, bool *ret_is_missing)
{
    const struct model_object *found = NULL;
    *ret_is_missing = false;
    for (size_t i = 0; i < count; i++) {
        const struct model_object *policy = model_find(model, MODEL_POLICY, str_from(names[i]));
        if (!policy)
            *ret_is_missing = true;
        else if (!found && policy->policy->kind_case == WEIR__V1__POLICY__KIND_API_KEY)
            found = policy;
    }
    return found;
}

/* The policy that counts for a route, or NULL. */
static const struct model_object *route_auth_policy(const struct model *model,
                                                    const Weir__V1__Route *route,
                                                    const struct auth_plan *plan, bool *ret_is_shut)
{
    const struct model_object *own =
        find_auth(model, route->policies, route->n_policies, ret_is_shut);
    *ret_is_shut = *ret_is_shut || plan->gateway_is_shut;
    if (own)
        return own;
    return route->open ? NULL : plan->gateway_policy;
}

/* How many bytes the keys of all consumers take in a message, about. */
static size_t keys_bytes(const struct model *model)
{
    const struct model_list *consumers = model->lists[MODEL_CONSUMER];
    size_t bytes = 128;
    for (size_t i = 0; i < consumers->len; i++) {
        const Weir__V1__Consumer *consumer = consumers->items[i]->consumer;
        for (size_t j = 0; j < consumer->n_api_keys; j++)
            bytes += strlen(consumer->api_keys[j]->key) + consumers->items[i]->name.len + 8;
    }
    return bytes;
}

/* The policy that the route configuration is to have: the one most routes have, if it is smaller
 * so: every route that asks nobody must then say so. */
struct auth_plan auth_plan_make(const struct model *model, const struct model_object *gateway,
                                const struct model_object *const *routes, size_t count)
{
    enum { OFF_BYTES = 120 }; /* what saying so takes */
    struct auth_plan plan = {0};
    struct map counts = {0}; /* how many routes have a policy, by its key; never 0 */
    size_t best = 0, open = 0;
    plan.gateway_policy = find_auth(model, gateway->gateway->policies, gateway->gateway->n_policies,
                                    &plan.gateway_is_shut);
    for (size_t i = 0; i < count; i++) {
        bool is_shut;
        const struct model_object *policy =
            route_auth_policy(model, routes[i]->route, &plan, &is_shut);
        if (!policy) {
            open++;
            continue;
        }
        size_t uses = (size_t)(uintptr_t)map_find(&counts, policy->key) + 1;
        map_put(&counts, policy->key, (void *)(uintptr_t)uses);
        bool is_better = uses > best || (uses == best && plan.shared &&
                                         str_compare(policy->name, plan.shared->name) < 0);
        if (is_better) {
            best = uses;
            plan.shared = policy;
        }
    }
    map_done(&counts);
    if (best < 2 || (best - 1) * keys_bytes(model) <= open * OFF_BYTES)
        plan.shared = NULL;
    return plan;
}

/* --- encodings -------------------------------------------------------------------------------- */

static void drop_encoding(struct encoded_route *encoded)
{
    mem_free(encoded->inputs);
    for (size_t i = 0; i < CLIENT_KIND_COUNT; i++)
        mem_free((char *)encoded->bytes[i].data);
}

static void encoded_free(struct encoded_route *encoded)
{
    drop_encoding(encoded);
    mem_free((char *)encoded->name.data);
    mem_free(encoded);
}

void route_cache_done(struct route_cache *cache)
{
    MAP_FOR_EACH(entry, &cache->routes)
        encoded_free(entry->value);
    map_done(&cache->routes);
}

void route_cache_begin(struct route_cache *cache)
{
    cache->round++;
}

void route_cache_end(struct route_cache *cache)
{
    struct vec gone = {0};
    MAP_FOR_EACH(entry, &cache->routes) {
        const struct encoded_route *encoded = entry->value;
        if (encoded->round != cache->round)
            vec_append(&gone, entry->value);
    }
    for (size_t i = 0; i < gone.len; i++) {
        struct encoded_route *encoded = gone.items[i];
        map_remove(&cache->routes, encoded->name);
        encoded_free(encoded);
    }
    vec_done(&gone);
}

static size_t add_objects(uint64_t *inputs, size_t count, const struct model *model,
                          enum model_kind kind, char *const *names, size_t name_count)
{
    for (size_t i = 0; i < name_count; i++) {
        const struct model_object *object = model_find(model, kind, str_from(names[i]));
        inputs[count++] = object ? object->id : 0;
    }
    return count;
}

/* The ids of all that a route's encoding is made from. */
static size_t collect_inputs(const struct route_source *source, uint64_t inputs[INPUTS_MAX])
{
    const Weir__V1__Route *route = source->route->route;
    size_t count = 0;
    inputs[count++] = source->route->id;
    inputs[count++] = (uint64_t)source->auth << 1 | source->is_shut;
    if (source->auth == ROUTE_AUTH_OWN) {
        inputs[count++] = source->auth_policy->id;
        inputs[count++] = source->model->lists[MODEL_CONSUMER]->id;
    }
    count =
        add_objects(inputs, count, source->model, MODEL_POLICY, route->policies, route->n_policies);
    return add_objects(inputs, count, source->model, MODEL_LIMIT, route->limits, route->n_limits);
}

static struct str pack(const ProtobufCMessage *message)
{
    size_t len = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = mem_alloc(len + 1);
    protobuf_c_message_pack(message, bytes);
    return (struct str){.data = (const char *)bytes, .len = len};
}

static void encode(struct encoded_route *encoded, const struct route_source *source)
{
    struct arena arena;
    arena_init(&arena, ARENA_BLOCK_BYTES);
    const Envoy__Config__Route__V3__Route *grpc = route_message_grpc(&arena, source);
    encoded->bytes[CLIENT_ENVOY] = pack(&route_message(&arena, source)->base);
    encoded->bytes[CLIENT_GRPC] = grpc ? pack(&grpc->base) : (struct str){0};
    arena_done(&arena);
}

static struct encoded_route *encoded_new(struct route_cache *cache, struct str name)
{
    struct encoded_route *encoded = MEM_NEW(struct encoded_route);
    encoded->name = (struct str){.data = mem_copy_string(name.data, name.len), .len = name.len};
    map_put(&cache->routes, encoded->name, encoded);
    return encoded;
}

static struct route_source make_source(const struct model *model, const struct model_object *route,
                                       const struct auth_plan *plan)
{
    struct route_source source = {.model = model, .route = route};
    const struct model_object *policy =
        route_auth_policy(model, route->route, plan, &source.is_shut);
    if (source.is_shut)
        policy = NULL; /* nobody passes, with or without a key */
    if (policy && policy != plan->shared) {
        source.auth = ROUTE_AUTH_OWN;
        source.auth_policy = policy;
    } else if (!policy && plan->shared) {
        source.auth = ROUTE_AUTH_OFF;
    }
    return source;
}

const struct encoded_route *route_cache_get(struct route_cache *cache, const struct model *model,
                                            const struct model_object *route,
                                            const struct auth_plan *plan, uint64_t *last_serial)
{
    uint64_t inputs[INPUTS_MAX];
    struct route_source source = make_source(model, route, plan);
    size_t count = collect_inputs(&source, inputs);
    struct encoded_route *encoded = map_find(&cache->routes, route->name);
    if (!encoded)
        encoded = encoded_new(cache, route->name);
    encoded->round = cache->round;
    if (encoded->input_count == count &&
        memcmp(encoded->inputs, inputs, count * sizeof *inputs) == 0)
        return encoded;
    drop_encoding(encoded);
    encode(encoded, &source);
    encoded->inputs = mem_alloc(count * sizeof *inputs);
    memcpy(encoded->inputs, inputs, count * sizeof *inputs);
    encoded->input_count = count;
    encoded->serial = ++*last_serial;
    return encoded;
}
