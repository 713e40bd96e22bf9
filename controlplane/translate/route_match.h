/* Conditions of routes as Envoy's RouteMatch. Thread: the control plane's loop. */
#ifndef CONTROLPLANE_TRANSLATE_ROUTE_MATCH_H
#define CONTROLPLANE_TRANSLATE_ROUTE_MATCH_H

#include "common/base/arena.h"

#include <envoy/config/route/v3/route_components.pb-c.h>
#include <weir/v1/routes.pb-c.h>

/* match may be NULL: every request. In arena. */
Envoy__Config__Route__V3__RouteMatch *route_match_build(struct arena *arena,
                                                        const Weir__V1__Match *match);
/* The same in what gRPC clients know: no path_separated_prefix. */
Envoy__Config__Route__V3__RouteMatch *route_match_build_grpc(struct arena *arena,
                                                             const Weir__V1__Match *match);

#endif
