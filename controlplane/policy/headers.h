/* What headers policies, and the header changes of routes, become: Envoy's header_mutation filter.
 * Thread: the control plane's loop. */
#ifndef CONTROLPLANE_POLICY_HEADERS_H
#define CONTROLPLANE_POLICY_HEADERS_H

#include "controlplane/policy/policy.h"

#include <google/protobuf/any.pb-c.h>

/* Adds changes (may be NULL) to a list of mutations. */
void headers_add_changes(struct arena *arena, const Weir__V1__HeaderChanges *changes,
                         struct vec *mutations);
/* Adds one: name is set to value whatever it was; both taken as they are. */
void headers_add_set(struct arena *arena, const char *name, const char *value,
                     struct vec *mutations);
/* Adds one: name is removed. */
void headers_add_remove(struct arena *arena, const char *name, struct vec *mutations);

/* The settings of one route for the mutations of sum; in arena. NULL where there are none. */
Google__Protobuf__Any *headers_route_config(const struct policy_sum *sum);
/* The filter's own settings, for the listener. */
Google__Protobuf__Any *headers_listener_config(const struct policy_sum *sum);

#endif
