/*
 * Translation: a model becomes a world, that is, what each kind of client of each gateway gets.
 *
 * What a world says depends on the model alone. The translator only remembers what it made last, so
 * that a changed endpoint encodes one resource, and a changed route one route: everything else is
 * the same pointer as before.
 *
 *     route, limits, policies -> route_message.c -> bytes of one route
 *     routes of a gateway -> virtual_hosts.c -> xds_route.c -> RouteConfiguration
 *     gateway -> xds_listener.c (filters.c, local_reply.c, access_log.c) -> Listener
 *     service -> xds_cluster.c, xds_endpoints.c -> Cluster, ClusterLoadAssignment
 *
 * Thread: the control plane's loop.
 */
#ifndef CONTROLPLANE_TRANSLATE_TRANSLATE_H
#define CONTROLPLANE_TRANSLATE_TRANSLATE_H

#include "common/base/err.h"
#include "controlplane/model/model.h"
#include "controlplane/snapshot/world.h"

struct translator;
struct translator *translator_new(void);
/* Worlds live on. NULL is fine. */
void translator_free(struct translator *translator);

/* A gateway that could not be translated: it keeps what it had, or has nothing. */
typedef void translate_problem_fn(struct str gateway, const char *sentence, void *arg);

/* The world of model, with one reference for the caller. on_problem may be NULL; it is called for
 * each gateway that has a problem, each time. */
struct world *translator_run(struct translator *translator, struct model *model,
                             translate_problem_fn *on_problem, void *arg);

/* Which objects a resource of a gateway was made from: calls on_object with each key
 * ("routes/users") of model, none twice. For a proxy's refusal of that resource. Pure. */
typedef void translate_object_fn(struct str key, void *arg);
void translate_objects_of(const struct model *model, struct str gateway, enum resource_type type,
                          struct str resource_name, translate_object_fn *on_object, void *arg);

#endif
