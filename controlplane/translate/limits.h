/* Rate limits as settings of Envoy's local_ratelimit filter. Thread: the control plane's loop. */
#ifndef CONTROLPLANE_TRANSLATE_LIMITS_H
#define CONTROLPLANE_TRANSLATE_LIMITS_H

#include "controlplane/model/model.h"

#include <google/protobuf/any.pb-c.h>

/* The settings for those of the named limits that count by consumer (needs_consumer), or for those
 * that do not: one message for all of them, in arena. NULL where there are none of that sort.
 * Names that do not exist are left out (the model has said so). */
Google__Protobuf__Any *limits_config(struct arena *arena, const struct model *model,
                                     char *const *names, size_t count, bool needs_consumer);
/* Settings of a filter that limits nothing by itself. */
Google__Protobuf__Any *limits_empty_config(struct arena *arena);

#endif
