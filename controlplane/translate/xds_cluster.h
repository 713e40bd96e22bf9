/* Clusters. Thread: the control plane's loop. */
#ifndef CONTROLPLANE_TRANSLATE_XDS_CLUSTER_H
#define CONTROLPLANE_TRANSLATE_XDS_CLUSTER_H

#include "controlplane/model/model.h"
#include "controlplane/snapshot/resource.h"

/* The key of weir.v1.ClusterExtension in a cluster's typed_filter_metadata. */
#define CLUSTER_EXTENSION_KEY "weir.circuit_breaker"

/* A service as a cluster; one reference for the caller. */
struct resource *translate_cluster(const struct model_object *service);

#endif
