/* One route as Envoy's Route message. Thread: the control plane's loop. */
#ifndef CONTROLPLANE_TRANSLATE_ROUTE_MESSAGE_H
#define CONTROLPLANE_TRANSLATE_ROUTE_MESSAGE_H

#include "controlplane/policy/policy.h"

#include <envoy/config/route/v3/route_components.pb-c.h>

/* How a route says who may call it. A route configuration can have an api_key policy for all its
 * routes, so that keys need not be repeated in each. */
enum route_auth {
    ROUTE_AUTH_NOT_SAID, /* nobody is asked, or the route configuration's policy counts */
    ROUTE_AUTH_OFF,      /* the route configuration has a policy, and this route has none */
    ROUTE_AUTH_OWN,      /* a policy of its own */
};

/* What a Route is made from. */
struct route_source {
    const struct model *model;
    const struct model_object *route;
    enum route_auth auth;
    const struct model_object *auth_policy; /* with ROUTE_AUTH_OWN */
    bool is_shut; /* a policy that should guard it is missing: every request is answered 503 */
};

/* For Envoy and weir-proxy; in arena. */
Envoy__Config__Route__V3__Route *route_message(struct arena *arena,
                                               const struct route_source *source);
/* For gRPC clients, which know fewer matches and no filters; NULL where the route is of no use to
 * them. In arena. */
Envoy__Config__Route__V3__Route *route_message_grpc(struct arena *arena,
                                                    const struct route_source *source);

#endif
