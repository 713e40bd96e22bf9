#include "controlplane/translate/xds_listener.h"

#include "controlplane/model/check.h"
#include "controlplane/policy/build.h"
#include "controlplane/translate/access_log.h"
#include "controlplane/translate/filters.h"
#include "controlplane/translate/local_reply.h"

#include <envoy/config/listener/v3/listener.pb-c.h>
#include <envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb-c.h>

enum { ARENA_BLOCK_BYTES = 16 * 1024, REQUEST_HEADERS_TIMEOUT_MS = 10 * 1000 };

typedef Envoy__Config__Listener__V3__Listener Listener;
typedef Envoy__Extensions__Filters__Network__HttpConnectionManager__V3__HttpConnectionManager Hcm;

static Envoy__Config__Core__V3__Address *build_address(struct arena *arena, const char *ip,
                                                       uint32_t port)
{
    Envoy__Config__Core__V3__Address *address =
        build_message(arena, &envoy__config__core__v3__address__descriptor);
    Envoy__Config__Core__V3__SocketAddress *socket =
        build_message(arena, &envoy__config__core__v3__socket_address__descriptor);
    socket->address = build_text(arena, ip);
    socket->port_specifier_case =
        ENVOY__CONFIG__CORE__V3__SOCKET_ADDRESS__PORT_SPECIFIER_PORT_VALUE;
    socket->port_value = port;
    address->address_case = ENVOY__CONFIG__CORE__V3__ADDRESS__ADDRESS_SOCKET_ADDRESS;
    address->socket_address = socket;
    return address;
}

static void set_routes(struct arena *arena, Hcm *hcm, const char *route_config_name)
{
    hcm->rds = build_message(
        arena, &envoy__extensions__filters__network__http_connection_manager__v3__rds__descriptor);
    hcm->rds->route_config_name = build_text(arena, route_config_name);
    hcm->rds->config_source = build_ads_source(arena);
    hcm->route_specifier_case =
        ENVOY__EXTENSIONS__FILTERS__NETWORK__HTTP_CONNECTION_MANAGER__V3__HTTP_CONNECTION_MANAGER__ROUTE_SPECIFIER_RDS;
}

/* What a request's head may be, and what is done to it before anybody looks at it. */
static void set_request_rules(struct arena *arena, Hcm *hcm, const Weir__V1__Gateway *gateway)
{
    static const int slashes[] = {
        [WEIR__V1__ESCAPED_SLASHES__REJECT] =
            ENVOY__EXTENSIONS__FILTERS__NETWORK__HTTP_CONNECTION_MANAGER__V3__HTTP_CONNECTION_MANAGER__PATH_WITH_ESCAPED_SLASHES_ACTION__REJECT_REQUEST,
        [WEIR__V1__ESCAPED_SLASHES__KEEP] =
            ENVOY__EXTENSIONS__FILTERS__NETWORK__HTTP_CONNECTION_MANAGER__V3__HTTP_CONNECTION_MANAGER__PATH_WITH_ESCAPED_SLASHES_ACTION__KEEP_UNCHANGED,
        [WEIR__V1__ESCAPED_SLASHES__REDIRECT] =
            ENVOY__EXTENSIONS__FILTERS__NETWORK__HTTP_CONNECTION_MANAGER__V3__HTTP_CONNECTION_MANAGER__PATH_WITH_ESCAPED_SLASHES_ACTION__UNESCAPE_AND_REDIRECT,
        [WEIR__V1__ESCAPED_SLASHES__DECODE] =
            ENVOY__EXTENSIONS__FILTERS__NETWORK__HTTP_CONNECTION_MANAGER__V3__HTTP_CONNECTION_MANAGER__PATH_WITH_ESCAPED_SLASHES_ACTION__UNESCAPE_AND_FORWARD,
    };
    hcm->normalize_path = build_bool(arena, true);
    hcm->merge_slashes = true;
    hcm->path_with_escaped_slashes_action =
        (Envoy__Extensions__Filters__Network__HttpConnectionManager__V3__HttpConnectionManager__PathWithEscapedSlashesAction)
            slashes[gateway->escaped_slashes];
    hcm->max_request_headers_kb = gateway->max_request_headers_kb;
    hcm->request_headers_timeout = build_duration(
        arena, duration_ms(gateway->request_headers_timeout, REQUEST_HEADERS_TIMEOUT_MS));
    hcm->request_timeout = gateway->request_timeout;
    hcm->stream_idle_timeout = gateway->stream_idle_timeout;

    Envoy__Config__Core__V3__HttpProtocolOptions *options =
        build_message(arena, &envoy__config__core__v3__http_protocol_options__descriptor);
    options->idle_timeout = gateway->idle_timeout;
    options->max_headers_count = gateway->max_headers_count;
    options->headers_with_underscores_action =
        ENVOY__CONFIG__CORE__V3__HTTP_PROTOCOL_OPTIONS__HEADERS_WITH_UNDERSCORES_ACTION__DROP_HEADER;
    hcm->common_http_protocol_options = options;
}

/* Who the client is, how a request is called, and what we say of ourselves. */
static void set_identity(struct arena *arena, Hcm *hcm, const Weir__V1__Gateway *gateway)
{
    hcm->use_remote_address = build_bool(arena, true);
    hcm->xff_num_trusted_hops = gateway->trusted_hops;
    hcm->generate_request_id = build_bool(arena, true);
    hcm->always_set_request_id_in_response = true;
    hcm->via = build_text(arena, "1.1 weir");
    hcm->server_header_transformation =
        ENVOY__EXTENSIONS__FILTERS__NETWORK__HTTP_CONNECTION_MANAGER__V3__HTTP_CONNECTION_MANAGER__SERVER_HEADER_TRANSFORMATION__PASS_THROUGH;
}

static Hcm *build_hcm(struct arena *arena, const struct model *model,
                      const struct model_object *gateway, const Weir__V1__Listener *listener,
                      const char *route_config_name)
{
    Hcm *hcm = build_message(
        arena,
        &envoy__extensions__filters__network__http_connection_manager__v3__http_connection_manager__descriptor);
    hcm->stat_prefix = arena_printf(arena, "%s_%s", gateway->name.data, listener->name);
    set_routes(arena, hcm, route_config_name);
    set_request_rules(arena, hcm, gateway->gateway);
    set_identity(arena, hcm, gateway->gateway);
    filters_add_chain(arena, model, gateway->gateway, hcm);
    hcm->local_reply_config = local_reply_config(arena);
    if (gateway->gateway->access_log) {
        hcm->access_log = build_list(arena, 1);
        hcm->access_log[0] = access_log_build(arena, gateway->gateway->access_log);
        hcm->n_access_log = 1;
    }
    return hcm;
}

static void set_filter_chain(struct arena *arena, Listener *message, const Hcm *hcm)
{
    Envoy__Config__Listener__V3__FilterChain *chain =
        build_message(arena, &envoy__config__listener__v3__filter_chain__descriptor);
    Envoy__Config__Listener__V3__Filter *filter =
        build_message(arena, &envoy__config__listener__v3__filter__descriptor);
    filter->name = build_text(arena, "envoy.filters.network.http_connection_manager");
    filter->config_type_case = ENVOY__CONFIG__LISTENER__V3__FILTER__CONFIG_TYPE_TYPED_CONFIG;
    filter->typed_config = build_any(arena, &hcm->base);
    chain->filters = build_list(arena, 1);
    chain->filters[0] = filter;
    chain->n_filters = 1;
    message->filter_chains = build_list(arena, 1);
    message->filter_chains[0] = chain;
    message->n_filter_chains = 1;
}

struct resource *translate_listener(const struct model *model, const struct model_object *gateway,
                                    const Weir__V1__Listener *listener,
                                    const char *route_config_name)
{
    struct arena arena;
    arena_init(&arena, ARENA_BLOCK_BYTES);
    Listener *message = build_message(&arena, &envoy__config__listener__v3__listener__descriptor);
    message->name = arena_printf(&arena, "%s/%s", gateway->name.data, listener->name);
    message->address =
        build_address(&arena, *listener->address ? listener->address : "0.0.0.0", listener->port);
    message->traffic_direction = ENVOY__CONFIG__CORE__V3__TRAFFIC_DIRECTION__INBOUND;
    set_filter_chain(&arena, message,
                     build_hcm(&arena, model, gateway, listener, route_config_name));
    struct resource *resource =
        resource_new(RESOURCE_LISTENER, str_from(message->name), &message->base);
    arena_done(&arena);
    return resource;
}

struct resource *translate_api_listener(struct str host, const char *route_config_name)
{
    struct arena arena;
    arena_init(&arena, ARENA_BLOCK_BYTES);
    Listener *message = build_message(&arena, &envoy__config__listener__v3__listener__descriptor);
    Hcm *hcm = build_message(
        &arena,
        &envoy__extensions__filters__network__http_connection_manager__v3__http_connection_manager__descriptor);
    set_routes(&arena, hcm, route_config_name);
    filters_add_router(&arena, hcm);
    message->name = (char *)arena_copy_str(&arena, host).data;
    message->api_listener =
        build_message(&arena, &envoy__config__listener__v3__api_listener__descriptor);
    message->api_listener->api_listener = build_any(&arena, &hcm->base);
    struct resource *resource = resource_new(RESOURCE_LISTENER, host, &message->base);
    arena_done(&arena);
    return resource;
}
