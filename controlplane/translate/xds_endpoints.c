#include "controlplane/translate/xds_endpoints.h"

#include "common/base/mem.h"
#include "controlplane/model/check.h"
#include "controlplane/policy/build.h"

#include <envoy/config/endpoint/v3/endpoint.pb-c.h>
#include <stdlib.h>

enum { ARENA_BLOCK_BYTES = 4 * 1024 };

typedef Envoy__Config__Endpoint__V3__LbEndpoint LbEndpoint;
typedef Envoy__Config__Endpoint__V3__LocalityLbEndpoints LocalityLbEndpoints;
typedef Envoy__Config__Endpoint__V3__ClusterLoadAssignment ClusterLoadAssignment;

/* An endpoint and where it is. */
struct place {
    struct endpoint_address address;
    const Weir__V1__Endpoint *endpoint;
    bool is_registered;
    size_t index; /* static ones first, then by name */
};

static int compare_addresses(const struct place *a, const struct place *b)
{
    int order = strcmp(a->address.ip, b->address.ip);
    return order ? order : (int)a->address.port - (int)b->address.port;
}

/* By address; of the same address the registered one first, then the one whose name is. */
static int compare_places(const void *a, const void *b)
{
    const struct place *left = a, *right = b;
    int order = compare_addresses(left, right);
    if (order == 0)
        order = (int)right->is_registered - (int)left->is_registered;
    return order ? order : left->index < right->index ? -1 : 1;
}

static size_t add_place(struct place *places, size_t count, const Weir__V1__Endpoint *endpoint,
                        bool is_registered)
{
    struct place place = {.endpoint = endpoint, .is_registered = is_registered, .index = count};
    /* It was valid when the model took it. */
    if (endpoint_address_parse(endpoint, &place.address, NULL) == 0)
        places[count++] = place;
    return count;
}

/* All endpoints, sorted, no address twice; in arena. */
static struct place *collect_places(struct arena *arena, const Weir__V1__Service *service,
                                    struct model_object *const *registered, size_t count,
                                    size_t *ret_count)
{
    struct place *places =
        arena_alloc_array(arena, service->n_endpoints + count + 1, sizeof *places);
    size_t total = 0;
    for (size_t i = 0; i < service->n_endpoints; i++)
        total = add_place(places, total, service->endpoints[i], false);
    for (size_t i = 0; i < count; i++)
        total = add_place(places, total, registered[i]->endpoint, true);
    qsort(places, total, sizeof *places, compare_places);
    size_t kept = 0;
    for (size_t i = 0; i < total; i++) {
        if (kept == 0 || compare_addresses(&places[kept - 1], &places[i]) != 0)
            places[kept++] = places[i];
    }
    *ret_count = kept;
    return places;
}

static LbEndpoint *build_endpoint(struct arena *arena, const struct place *place)
{
    LbEndpoint *message =
        build_message(arena, &envoy__config__endpoint__v3__lb_endpoint__descriptor);
    Envoy__Config__Core__V3__SocketAddress *socket =
        build_message(arena, &envoy__config__core__v3__socket_address__descriptor);
    socket->address = (char *)place->address.ip;
    socket->port_specifier_case =
        ENVOY__CONFIG__CORE__V3__SOCKET_ADDRESS__PORT_SPECIFIER_PORT_VALUE;
    socket->port_value = place->address.port;
    Envoy__Config__Core__V3__Address *address =
        build_message(arena, &envoy__config__core__v3__address__descriptor);
    address->address_case = ENVOY__CONFIG__CORE__V3__ADDRESS__ADDRESS_SOCKET_ADDRESS;
    address->socket_address = socket;
    message->host_identifier_case =
        ENVOY__CONFIG__ENDPOINT__V3__LB_ENDPOINT__HOST_IDENTIFIER_ENDPOINT;
    message->endpoint = build_message(arena, &envoy__config__endpoint__v3__endpoint__descriptor);
    message->endpoint->address = address;
    if (place->endpoint->weight)
        message->load_balancing_weight = build_u32(arena, place->endpoint->weight->value);
    if (place->endpoint->draining)
        message->health_status = ENVOY__CONFIG__CORE__V3__HEALTH_STATUS__DRAINING;
    return message;
}

static void set_endpoints(struct arena *arena, const struct place *places, size_t count,
                          ClusterLoadAssignment *assignment)
{
    LocalityLbEndpoints *locality =
        build_message(arena, &envoy__config__endpoint__v3__locality_lb_endpoints__descriptor);
    locality->lb_endpoints = build_list(arena, count);
    for (size_t i = 0; i < count; i++)
        locality->lb_endpoints[i] = build_endpoint(arena, &places[i]);
    locality->n_lb_endpoints = count;
    /* gRPC ignores localities without a name or with no weight; to Envoy both are of no matter. */
    locality->locality = build_message(arena, &envoy__config__core__v3__locality__descriptor);
    locality->load_balancing_weight = build_u32(arena, 1);
    assignment->endpoints = build_list(arena, 1);
    assignment->endpoints[0] = locality;
    assignment->n_endpoints = 1;
}

struct resource *translate_endpoints(const struct model_object *service,
                                     struct model_object *const *registered, size_t count)
{
    struct arena arena;
    arena_init(&arena, ARENA_BLOCK_BYTES);
    ClusterLoadAssignment *assignment =
        build_message(&arena, &envoy__config__endpoint__v3__cluster_load_assignment__descriptor);
    assignment->cluster_name = (char *)service->name.data;
    size_t place_count;
    const struct place *places =
        collect_places(&arena, service->service, registered, count, &place_count);
    if (place_count > 0)
        set_endpoints(&arena, places, place_count, assignment);
    struct resource *resource = resource_new(RESOURCE_ENDPOINTS, service->name, &assignment->base);
    arena_done(&arena);
    return resource;
}
