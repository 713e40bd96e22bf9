/* Route configurations, put together from routes that are encoded already: one changed route of ten
 * thousand is encoded anew, the rest is copied. Thread: the control plane's loop. */
#ifndef CONTROLPLANE_TRANSLATE_XDS_ROUTE_H
#define CONTROLPLANE_TRANSLATE_XDS_ROUTE_H

#include "controlplane/snapshot/resource.h"
#include "controlplane/translate/virtual_hosts.h"

#include <google/protobuf/any.pb-c.h>

/* What a route configuration is made from; all borrowed. */
struct route_table_source {
    struct str name;
    const struct virtual_hosts *hosts;
    /* Encoded Route messages by the indexes that hosts has; .data is NULL for those left out. */
    const struct str *routes;
    /* api_key settings for all routes that do not say otherwise, or NULL. */
    Google__Protobuf__Any *auth;
    /* Ports to be taken as part of a host: gRPC clients compare hosts with their port. */
    const uint32_t *ports;
    size_t port_count;
};

/* How long its encoding will be, but for names and domains. */
size_t route_table_len(const struct route_table_source *source);
/* One reference for the caller. */
struct resource *translate_route_table(const struct route_table_source *source);

#endif
