#include "controlplane/translate/filters.h"

#include "controlplane/model/check.h"
#include "controlplane/policy/api_key.h"
#include "controlplane/policy/build.h"
#include "controlplane/policy/headers.h"
#include "controlplane/translate/limits.h"

#include <envoy/extensions/filters/http/router/v3/router.pb-c.h>
#include <envoy/extensions/http/early_header_mutation/header_mutation/v3/header_mutation.pb-c.h>

typedef Envoy__Extensions__Filters__Network__HttpConnectionManager__V3__HttpConnectionManager Hcm;
typedef Envoy__Extensions__Filters__Network__HttpConnectionManager__V3__HttpFilter HttpFilter;

/* What the filters of one listener are made from. */
struct chain {
    struct arena *arena;
    const struct model *model;
    const Weir__V1__Gateway *gateway;
};

/* A filter's settings in the listener. *ret_is_off: it does nothing unless a route has settings for
 * it. NULL: this listener does not have it. */
typedef Google__Protobuf__Any *filter_config_fn(const struct chain *chain, bool *ret_is_off);

static Google__Protobuf__Any *gateway_limits_by_address(const struct chain *chain, bool *ret_is_off)
{
    *ret_is_off = false;
    return limits_config(chain->arena, chain->model, chain->gateway->limits,
                         chain->gateway->n_limits, false);
}

static Google__Protobuf__Any *gateway_limits_by_consumer(const struct chain *chain,
                                                         bool *ret_is_off)
{
    *ret_is_off = false;
    return limits_config(chain->arena, chain->model, chain->gateway->limits,
                         chain->gateway->n_limits, true);
}

static Google__Protobuf__Any *route_limits(const struct chain *chain, bool *ret_is_off)
{
    *ret_is_off = true;
    return limits_empty_config(chain->arena);
}

static Google__Protobuf__Any *api_key(const struct chain *chain, bool *ret_is_off)
{
    *ret_is_off = true;
    return api_key_listener_config(chain->arena);
}

static Google__Protobuf__Any *headers(const struct chain *chain, bool *ret_is_off)
{
    struct policy_sum sum;
    policy_sum_init(&sum, chain->arena);
    policy_sum_add(&sum, chain->model, chain->gateway->policies, chain->gateway->n_policies);
    *ret_is_off = sum.request_mutations.len == 0 && sum.response_mutations.len == 0;
    Google__Protobuf__Any *config = headers_listener_config(&sum);
    policy_sum_done(&sum);
    return config;
}

static Google__Protobuf__Any *router(const struct chain *chain, bool *ret_is_off)
{
    Envoy__Extensions__Filters__Http__Router__V3__Router *config = build_message(
        chain->arena, &envoy__extensions__filters__http__router__v3__router__descriptor);
    /* No x-envoy-* headers towards back ends and clients. */
    config->suppress_envoy_headers = true;
    *ret_is_off = false;
    return build_any(chain->arena, &config->base);
}

/* The order of the rows is the order in which requests pass them. */
static const struct filter_row {
    const char *name;
    filter_config_fn *config;
} rows[] = {
    /* Limits that need no identity come before what costs more than counting: whoever is over such
     * a limit cannot try keys either. The gateway's before the routes'. */
    {FILTER_GATEWAY_LIMITS_BY_ADDRESS, gateway_limits_by_address},
    {FILTER_LIMITS_BY_ADDRESS, route_limits},
    /* Says who calls: */
    {FILTER_API_KEY, api_key},
    /* and these count it. */
    {FILTER_GATEWAY_LIMITS_BY_CONSUMER, gateway_limits_by_consumer},
    {FILTER_LIMITS_BY_CONSUMER, route_limits},
    /* After identity, so that no policy can forge or remove what the filters above look at. */
    {FILTER_HEADERS, headers},
    {FILTER_ROUTER, router},
};
enum { ROW_COUNT = sizeof rows / sizeof *rows };

static void add_filter(struct arena *arena, Hcm *hcm, const char *name,
                       Google__Protobuf__Any *config, bool is_off)
{
    HttpFilter *filter = build_message(
        arena,
        &envoy__extensions__filters__network__http_connection_manager__v3__http_filter__descriptor);
    filter->name = arena_copy_string(arena, name);
    filter->config_type_case =
        ENVOY__EXTENSIONS__FILTERS__NETWORK__HTTP_CONNECTION_MANAGER__V3__HTTP_FILTER__CONFIG_TYPE_TYPED_CONFIG;
    filter->typed_config = config;
    filter->disabled = is_off;
    hcm->http_filters[hcm->n_http_filters++] = filter;
}

/* Before a route is chosen: headers by which we tell the truth are taken off what clients send, and
 * those by which proxies tell where a request came from, unless there are proxies to trust (threats
 * S21). x-forwarded-for and -proto are rewritten by the data plane itself. */
static void add_early_mutation(struct arena *arena, const Weir__V1__Gateway *gateway, Hcm *hcm)
{
    static const char *const told_by_proxies[] = {"forwarded", "x-real-ip", "x-forwarded-host",
                                                  "x-forwarded-port", "x-forwarded-prefix"};
    struct vec mutations = {0};
    headers_add_remove(arena, CONSUMER_HEADER, &mutations);
    headers_add_remove(arena, DIRECT_RESPONSE_HEADER, &mutations);
    if (gateway->trusted_hops == 0)
        for (size_t i = 0; i < sizeof told_by_proxies / sizeof *told_by_proxies; i++)
            headers_add_remove(arena, told_by_proxies[i], &mutations);
    Envoy__Extensions__Http__EarlyHeaderMutation__HeaderMutation__V3__HeaderMutation *config =
        build_message(
            arena,
            &envoy__extensions__http__early_header_mutation__header_mutation__v3__header_mutation__descriptor);
    config->n_mutations = mutations.len;
    config->mutations = build_list(arena, mutations.len);
    for (size_t i = 0; i < mutations.len; i++)
        config->mutations[i] = mutations.items[i];
    vec_done(&mutations);

    Envoy__Config__Core__V3__TypedExtensionConfig *extension =
        build_message(arena, &envoy__config__core__v3__typed_extension_config__descriptor);
    extension->name = build_text(arena, "envoy.http.early_header_mutation.header_mutation");
    extension->typed_config = build_any(arena, &config->base);
    hcm->early_header_mutation_extensions = build_list(arena, 1);
    hcm->early_header_mutation_extensions[0] = extension;
    hcm->n_early_header_mutation_extensions = 1;
}

void filters_add_chain(struct arena *arena, const struct model *model,
                       const Weir__V1__Gateway *gateway, Hcm *hcm)
{
    struct chain chain = {.arena = arena, .model = model, .gateway = gateway};
    hcm->http_filters = build_list(arena, ROW_COUNT);
    for (size_t i = 0; i < ROW_COUNT; i++) {
        bool is_off;
        Google__Protobuf__Any *config = rows[i].config(&chain, &is_off);
        if (config)
            add_filter(arena, hcm, rows[i].name, config, is_off);
    }
    add_early_mutation(arena, gateway, hcm);
}

void filters_add_router(struct arena *arena, Hcm *hcm)
{
    struct chain chain = {.arena = arena};
    bool is_off;
    hcm->http_filters = build_list(arena, 1);
    add_filter(arena, hcm, FILTER_ROUTER, router(&chain, &is_off), false);
}
