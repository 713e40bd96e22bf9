/* What gateways are served, as JSON for people. Pure. */
#ifndef CONTROLPLANE_SERVER_CONFIG_DUMP_H
#define CONTROLPLANE_SERVER_CONFIG_DUMP_H

#include "common/pbjson/pbjson.h"
#include "controlplane/snapshot/world.h"

struct config_dump_filter {
    const char *gateway;     /* NULL: all */
    enum resource_type type; /* RESOURCE_TYPE_COUNT: all */
};

/* A registry of all types that the feed has inside Any. */
struct pbjson_registry *config_dump_registry_new(void);
/* Appends the dump of world (NULL: none yet) to out; keys and passwords read "[redacted]". Where
 * out is full it ends in the middle and is_overflown says so. */
void config_dump_print(const struct world *world, const struct config_dump_filter *filter,
                       const struct pbjson_registry *registry, struct buf *out);

#endif
