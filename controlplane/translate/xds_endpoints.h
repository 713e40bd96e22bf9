/* Endpoints of clusters. Thread: the control plane's loop. */
#ifndef CONTROLPLANE_TRANSLATE_XDS_ENDPOINTS_H
#define CONTROLPLANE_TRANSLATE_XDS_ENDPOINTS_H

#include "controlplane/model/model.h"
#include "controlplane/snapshot/resource.h"

/* The endpoints that a service names itself and those registered for it, sorted by address, each
 * address once (the registered one counts); one reference for the caller. */
struct resource *translate_endpoints(const struct model_object *service,
                                     struct model_object *const *registered, size_t count);

#endif
