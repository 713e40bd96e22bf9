#include "dataplane/xds/types.h"

#include <envoy/config/bootstrap/v3/bootstrap.pb-c.h>
#include <envoy/config/cluster/v3/cluster.pb-c.h>
#include <envoy/config/endpoint/v3/endpoint.pb-c.h>
#include <envoy/config/listener/v3/listener.pb-c.h>
#include <envoy/config/route/v3/route.pb-c.h>
#include <envoy/extensions/access_loggers/file/v3/file.pb-c.h>
#include <envoy/extensions/access_loggers/stream/v3/stream.pb-c.h>
#include <envoy/extensions/filters/http/api_key_auth/v3/api_key_auth.pb-c.h>
#include <envoy/extensions/filters/http/header_mutation/v3/header_mutation.pb-c.h>
#include <envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit.pb-c.h>
#include <envoy/extensions/filters/http/router/v3/router.pb-c.h>
#include <envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb-c.h>
#include <envoy/extensions/http/early_header_mutation/header_mutation/v3/header_mutation.pb-c.h>
#include <envoy/extensions/load_balancing_policies/least_request/v3/least_request.pb-c.h>
#include <envoy/extensions/load_balancing_policies/maglev/v3/maglev.pb-c.h>
#include <envoy/extensions/load_balancing_policies/random/v3/random.pb-c.h>
#include <envoy/extensions/load_balancing_policies/ring_hash/v3/ring_hash.pb-c.h>
#include <envoy/extensions/load_balancing_policies/round_robin/v3/round_robin.pb-c.h>
#include <envoy/extensions/request_id/uuid/v3/uuid.pb-c.h>
#include <envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer.pb-c.h>
#include <envoy/extensions/transport_sockets/tls/v3/tls.pb-c.h>
#include <envoy/extensions/upstreams/http/v3/http_protocol_options.pb-c.h>
#include <weir/v1/extension.pb-c.h>

static const struct type_row {
    struct str url;
    const char *noun;
    const ProtobufCMessageDescriptor *descriptor;
    bool is_wildcard;
} rows[XDS_TYPE_COUNT] = {
    [XDS_CLUSTER] = {{"type.googleapis.com/envoy.config.cluster.v3.Cluster", 51},
                     "cluster",
                     &envoy__config__cluster__v3__cluster__descriptor,
                     true},
    [XDS_ENDPOINTS] = {{"type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment", 66},
                       "endpoints",
                       &envoy__config__endpoint__v3__cluster_load_assignment__descriptor,
                       false},
    [XDS_LISTENER] = {{"type.googleapis.com/envoy.config.listener.v3.Listener", 53},
                      "listener",
                      &envoy__config__listener__v3__listener__descriptor,
                      true},
    [XDS_ROUTES] = {{"type.googleapis.com/envoy.config.route.v3.RouteConfiguration", 60},
                    "routes",
                    &envoy__config__route__v3__route_configuration__descriptor,
                    false},
};

struct str xds_type_url(enum xds_type type)
{
    return rows[type].url;
}

enum xds_type xds_type_from_url(struct str url)
{
    for (enum xds_type type = 0; type < XDS_TYPE_COUNT; type++)
        if (str_equal(rows[type].url, url))
            return type;
    return XDS_TYPE_COUNT;
}

const char *xds_type_noun(enum xds_type type)
{
    return rows[type].noun;
}

bool xds_type_is_wildcard(enum xds_type type)
{
    return rows[type].is_wildcard;
}

const ProtobufCMessageDescriptor *xds_type_descriptor(enum xds_type type)
{
    return rows[type].descriptor;
}

struct pbjson_registry *xds_types_registry_new(void)
{
    static const ProtobufCMessageDescriptor *const any_types[] = {
        &envoy__config__route__v3__filter_config__descriptor,
        &envoy__extensions__access_loggers__file__v3__file_access_log__descriptor,
        &envoy__extensions__access_loggers__stream__v3__stdout_access_log__descriptor,
        &envoy__extensions__access_loggers__stream__v3__stderr_access_log__descriptor,
        &envoy__extensions__filters__http__api_key_auth__v3__api_key_auth__descriptor,
        &envoy__extensions__filters__http__api_key_auth__v3__api_key_auth_per_route__descriptor,
        &envoy__extensions__filters__http__header_mutation__v3__header_mutation__descriptor,
        &envoy__extensions__filters__http__header_mutation__v3__header_mutation_per_route__descriptor,
        &envoy__extensions__filters__http__local_ratelimit__v3__local_rate_limit__descriptor,
        &envoy__extensions__filters__http__router__v3__router__descriptor,
        &envoy__extensions__filters__network__http_connection_manager__v3__http_connection_manager__descriptor,
        &envoy__extensions__http__early_header_mutation__header_mutation__v3__header_mutation__descriptor,
        &envoy__extensions__load_balancing_policies__least_request__v3__least_request__descriptor,
        &envoy__extensions__load_balancing_policies__maglev__v3__maglev__descriptor,
        &envoy__extensions__load_balancing_policies__random__v3__random__descriptor,
        &envoy__extensions__load_balancing_policies__ring_hash__v3__ring_hash__descriptor,
        &envoy__extensions__load_balancing_policies__round_robin__v3__round_robin__descriptor,
        &envoy__extensions__request_id__uuid__v3__uuid_request_id_config__descriptor,
        &envoy__extensions__transport_sockets__raw_buffer__v3__raw_buffer__descriptor,
        &envoy__extensions__transport_sockets__tls__v3__downstream_tls_context__descriptor,
        &envoy__extensions__transport_sockets__tls__v3__upstream_tls_context__descriptor,
        &envoy__extensions__upstreams__http__v3__http_protocol_options__descriptor,
        &weir__v1__cluster_extension__descriptor,
    };
    struct pbjson_registry *registry = pbjson_registry_new();
    for (enum xds_type type = 0; type < XDS_TYPE_COUNT; type++)
        pbjson_registry_add(registry, rows[type].descriptor);
    for (size_t i = 0; i < sizeof any_types / sizeof *any_types; i++)
        pbjson_registry_add(registry, any_types[i]);
    return registry;
}
