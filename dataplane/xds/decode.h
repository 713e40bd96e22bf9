/*
 * From the bytes of a resource to a part of the configuration. What the proxy cannot run is refused
 * with a sentence that names the resource and the field; what it merely does not know has no effect
 * and is reported (ignored_fields.h). Main thread; no I/O but the opening of access logs.
 */
#ifndef DATAPLANE_XDS_DECODE_H
#define DATAPLANE_XDS_DECODE_H

#include "common/base/err.h"
#include "dataplane/config/config.h"
#include "dataplane/route/route.h"

struct access_log_writer;
struct ignored_fields;
struct pbjson_registry;

/* What decoding refers to; all borrowed, and alive as long as the parts. */
struct decode_context {
    struct name_slots *cluster_slots;
    struct name_slots *filter_slots;
    struct shared_registry *shared;
    const struct pbjson_registry *types;
    struct ignored_fields *ignored;
    struct access_log_writer *log_writer;
    uint32_t workers;
};

/* Each: 0 and a part with one reference, or ERR_* with a sentence that begins with "listener NAME:
 * " or the like. name: of the resource as it was announced; the name inside must be the same (or
 * empty, in a listener). */
int decode_listener(const struct decode_context *context, struct str name, struct str bytes,
                    struct listener_config **ret_listener, struct errmsg *msg) MUST_CHECK;
int decode_cluster(const struct decode_context *context, struct str name, struct str bytes,
                   struct cluster_config **ret_cluster, struct errmsg *msg) MUST_CHECK;
int decode_endpoints(const struct decode_context *context, struct str name, struct str bytes,
                     struct endpoints_config **ret_endpoints, struct errmsg *msg) MUST_CHECK;
int decode_routes(const struct decode_context *context, struct str name, struct str bytes,
                  struct route_table **ret_routes, struct errmsg *msg) MUST_CHECK;

#endif
