/* What api_key policies become: Envoy's api_key_auth filter. Thread: the control plane's loop. */
#ifndef CONTROLPLANE_POLICY_API_KEY_H
#define CONTROLPLANE_POLICY_API_KEY_H

#include "controlplane/policy/policy.h"

#include <google/protobuf/any.pb-c.h>

/* The settings that turn the filter on for routes with this policy: an ApiKeyAuthPerRoute with all
 * keys of all consumers of the model; in arena. */
Google__Protobuf__Any *api_key_route_config(struct arena *arena, const struct model *model,
                                            const struct model_object *policy);
/* The filter's own settings, for the listener, where it is off: it then needs none. */
Google__Protobuf__Any *api_key_listener_config(struct arena *arena);

#endif
