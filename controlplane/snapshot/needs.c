#include "controlplane/snapshot/needs.h"

#include "common/base/arena.h"
#include "common/base/mem.h"
#include "common/pbjson/pbjson.h"

#include <envoy/config/cluster/v3/cluster.pb-c.h>
#include <envoy/config/listener/v3/listener.pb-c.h>
#include <envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb-c.h>

typedef Envoy__Config__Cluster__V3__Cluster cluster_message;
typedef Envoy__Config__Listener__V3__Listener listener_message;
typedef Envoy__Config__Listener__V3__FilterChain filter_chain_message;
typedef Envoy__Extensions__Filters__Network__HttpConnectionManager__V3__HttpConnectionManager
    hcm_message;

#define HCM_DESCRIPTOR                                                                             \
    envoy__extensions__filters__network__http_connection_manager__v3__http_connection_manager__descriptor
#define HCM_ROUTE_SPECIFIER(name)                                                                  \
    ENVOY__EXTENSIONS__FILTERS__NETWORK__HTTP_CONNECTION_MANAGER__V3__HTTP_CONNECTION_MANAGER__ROUTE_SPECIFIER_##name

static void add(struct vec *names, const char *name)
{
    vec_append(names, mem_copy_string(name, strlen(name)));
}

static void needs_of_cluster(const cluster_message *cluster, struct vec *names)
{
    if (cluster->cluster_discovery_type_case !=
            ENVOY__CONFIG__CLUSTER__V3__CLUSTER__CLUSTER_DISCOVERY_TYPE_TYPE ||
        cluster->type != ENVOY__CONFIG__CLUSTER__V3__CLUSTER__DISCOVERY_TYPE__EDS)
        return;
    bool has_other_name =
        cluster->eds_cluster_config && cluster->eds_cluster_config->service_name[0];
    add(names, has_other_name ? cluster->eds_cluster_config->service_name : cluster->name);
}

static void needs_of_any(const Google__Protobuf__Any *any, struct vec *names)
{
    if (!any || !str_ends_with(str_from(any->type_url), str_from(HCM_DESCRIPTOR.name)))
        return;
    struct arena arena;
    arena_init(&arena, 16 * 1024);
    struct str bytes = {.data = (const char *)any->value.data, .len = any->value.len};
    const hcm_message *hcm = (const hcm_message *)pbjson_unpack(&HCM_DESCRIPTOR, bytes, &arena);
    if (hcm && hcm->route_specifier_case == HCM_ROUTE_SPECIFIER(RDS))
        add(names, hcm->rds->route_config_name);
    arena_done(&arena);
}

static void needs_of_filter_chain(const filter_chain_message *chain, struct vec *names)
{
    for (size_t i = 0; i < chain->n_filters; i++)
        if (chain->filters[i]->config_type_case ==
            ENVOY__CONFIG__LISTENER__V3__FILTER__CONFIG_TYPE_TYPED_CONFIG)
            needs_of_any(chain->filters[i]->typed_config, names);
}

static void needs_of_listener(const listener_message *listener, struct vec *names)
{
    for (size_t i = 0; i < listener->n_filter_chains; i++)
        needs_of_filter_chain(listener->filter_chains[i], names);
    if (listener->api_listener)
        needs_of_any(listener->api_listener->api_listener, names);
}

void needs_of_message(const ProtobufCMessage *message, struct vec *names)
{
    if (message->descriptor == &envoy__config__cluster__v3__cluster__descriptor)
        needs_of_cluster((const cluster_message *)message, names);
    else if (message->descriptor == &envoy__config__listener__v3__listener__descriptor)
        needs_of_listener((const listener_message *)message, names);
}
