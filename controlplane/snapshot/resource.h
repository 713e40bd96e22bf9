/*
 * A resource: one listener, route configuration, cluster or endpoint assignment in Envoy v3 form,
 * encoded once, immutable, shared by reference between revisions, gateways and streams.
 *
 * Everything here belongs to the control plane's loop thread.
 */
#ifndef CONTROLPLANE_SNAPSHOT_RESOURCE_H
#define CONTROLPLANE_SNAPSHOT_RESOURCE_H

#include "common/base/hash.h"
#include "common/base/str.h"
#include "common/base/vec.h"

#include <protobuf-c/protobuf-c.h>

struct rpc_buf;

/* In push order: what others refer to comes before what refers to it (xDS, "eventual consistency
 * considerations"): CDS, EDS, LDS, RDS. */
enum resource_type {
    RESOURCE_CLUSTER,
    RESOURCE_ENDPOINTS,
    RESOURCE_LISTENER,
    RESOURCE_ROUTES,
    RESOURCE_TYPE_COUNT,
};

/* The type URL of a resource of this type; static storage. */
const char *resource_type_url(enum resource_type type);
/* The type of a type URL, or RESOURCE_TYPE_COUNT where it is none of ours. */
enum resource_type resource_type_from_url(struct str url);
/* "CDS", "EDS", "LDS", "RDS": for logs, metrics and status texts. */
const char *resource_type_short_name(enum resource_type type);
/* Whether a subscription to "*" (or, first of all, to nothing) means all of them, and whether a
 * state-of-the-world answer is the complete state: LDS and CDS. */
bool resource_type_has_wildcard(enum resource_type type);

struct resource {
    enum resource_type type;
    uint32_t refs;
    uint32_t message_len;        /* of the encoded message at the end of sotw_field */
    struct str name;             /* inside the same allocation */
    struct content_hash version; /* of the encoded message */
    /* `resources` field of a DiscoveryResponse, key and length included: an Any with this message.
     */
    struct rpc_buf *sotw_field;
    /* `resources` field of a DeltaDiscoveryResponse, up to where its Any begins: that Any is the
     * field of the same number, so that delta_head and then sotw_field are the complete field. */
    struct rpc_buf *delta_head;
    /* Names (char *) of what it cannot work without: a cluster's endpoints, a listener's route
     * configurations. */
    struct vec needs;
};

/* Encodes message (borrowed) as a resource with one reference. */
struct resource *resource_new(enum resource_type type, struct str name,
                              const ProtobufCMessage *message);
struct resource *resource_ref(struct resource *resource);
/* NULL is fine. */
void resource_unref(struct resource *resource);
/* Both NULL, or both there and of one version. */
bool resource_is_same(const struct resource *a, const struct resource *b);
/* Bytes it adds to a response of that form. */
size_t resource_encoded_len(const struct resource *resource, bool is_delta);
/* The encoded message inside the Any, borrowed: for /config_dump and golden tests. */
struct str resource_message_bytes(const struct resource *resource);

#endif
