/* The HTTP filters of every listener, in their one order, and the settings that routes have for
 * them. Thread: the control plane's loop. */
#ifndef CONTROLPLANE_TRANSLATE_FILTERS_H
#define CONTROLPLANE_TRANSLATE_FILTERS_H

#include "controlplane/model/model.h"

#include <envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb-c.h>

/* Names of filter instances; those of per-route settings are the same. */
#define FILTER_GATEWAY_LIMITS_BY_ADDRESS "weir.local_ratelimit.gateway.address"
#define FILTER_LIMITS_BY_ADDRESS "weir.local_ratelimit.address"
#define FILTER_API_KEY "envoy.filters.http.api_key_auth"
#define FILTER_GATEWAY_LIMITS_BY_CONSUMER "weir.local_ratelimit.gateway.consumer"
#define FILTER_LIMITS_BY_CONSUMER "weir.local_ratelimit.consumer"
#define FILTER_HEADERS "envoy.filters.http.header_mutation"
#define FILTER_ROUTER "envoy.filters.http.router"

/* Sets http_filters and early_header_mutation_extensions of hcm, all in arena. */
void filters_add_chain(
    struct arena *arena, const struct model *model, const Weir__V1__Gateway *gateway,
    Envoy__Extensions__Filters__Network__HttpConnectionManager__V3__HttpConnectionManager *hcm);
/* The router alone, as gRPC clients have it. */
void filters_add_router(
    struct arena *arena,
    Envoy__Extensions__Filters__Network__HttpConnectionManager__V3__HttpConnectionManager *hcm);

#endif
