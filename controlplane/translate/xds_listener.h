/* Listeners. Thread: the control plane's loop. */
#ifndef CONTROLPLANE_TRANSLATE_XDS_LISTENER_H
#define CONTROLPLANE_TRANSLATE_XDS_LISTENER_H

#include "controlplane/model/model.h"
#include "controlplane/snapshot/resource.h"

/* One listener of a gateway, with routes from the route configuration of that name; one reference
 * for the caller. */
struct resource *translate_listener(const struct model *model, const struct model_object *gateway,
                                    const Weir__V1__Listener *listener,
                                    const char *route_config_name);
/* The form that gRPC clients ask for, by the host they dial: no socket, only routes. */
struct resource *translate_api_listener(struct str host, const char *route_config_name);

#endif
