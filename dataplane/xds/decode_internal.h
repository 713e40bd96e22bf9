/* What the decoders share; not for others. */
#ifndef DATAPLANE_XDS_DECODE_INTERNAL_H
#define DATAPLANE_XDS_DECODE_INTERNAL_H

#include "dataplane/xds/decode.h"
#include "dataplane/xds/types.h"

#include <envoy/config/cluster/v3/cluster.pb-c.h>
#include <envoy/config/core/v3/address.pb-c.h>
#include <envoy/config/core/v3/base.pb-c.h>
#include <envoy/config/core/v3/config_source.pb-c.h>
#include <envoy/config/endpoint/v3/endpoint.pb-c.h>
#include <google/protobuf/any.pb-c.h>
#include <google/protobuf/duration.pb-c.h>
#include <google/protobuf/wrappers.pb-c.h>

/* Each reader below: 0, or ERR_INVALID with "<path>: <what is wrong>" in msg. */

/* Milliseconds of a duration; preset where it is NULL. Anything above nothing is at least 1. */
int read_duration_ms(const Google__Protobuf__Duration *duration, const char *path, uint64_t preset,
                     uint64_t *ret_ms, struct errmsg *msg) MUST_CHECK;

static inline uint32_t read_uint32(const Google__Protobuf__UInt32Value *value, uint32_t preset)
{
    return value ? value->value : preset;
}

static inline bool read_bool(const Google__Protobuf__BoolValue *value, bool preset)
{
    return value ? (bool)value->value : preset;
}

/* What an Address says. An IP literal or a path makes an address (text in arena); a host name is
 * told apart, for resolving, with its port. */
struct read_address {
    struct address address; /* len 0: it is a host name */
    struct str host;        /* borrowed from the message */
    uint16_t port;
};
int read_address(const Envoy__Config__Core__V3__Address *message, const char *path,
                 struct arena *arena, struct read_address *ret_address,
                 struct errmsg *msg) MUST_CHECK;

/* How long to wait for what comes from this source (initial_fetch_timeout, default 15 s); refuses
 * every source but ADS. */
int read_ads_source(const Envoy__Config__Core__V3__ConfigSource *source, const char *path,
                    uint64_t *ret_timeout_ms, struct errmsg *msg) MUST_CHECK;

/* Whether a transport socket is none at all, or one that does nothing. */
bool is_plaintext(const Envoy__Config__Core__V3__TransportSocket *socket);
/* The type of an Any without the prefix, for comparing and for sentences. "" for NULL. */
const char *any_type(const Google__Protobuf__Any *any);
/* Whether any holds a message of this type. */
bool any_is(const Google__Protobuf__Any *any, const ProtobufCMessageDescriptor *descriptor);
/* The message in any, in arena; the type has been looked at. */
int any_unpack(const Google__Protobuf__Any *any, const ProtobufCMessageDescriptor *descriptor,
               const char *path, struct arena *arena, ProtobufCMessage **ret_message,
               struct errmsg *msg) MUST_CHECK;

/* Reports what message has and we do not implement. */
void decode_note_ignored(const struct decode_context *context, enum xds_type type, struct str name,
                         const ProtobufCMessage *message);
/* What a route table is made with. */
void decode_route_options(const struct decode_context *context, struct route_table_options *ret);

/* decode_endpoints for a ClusterLoadAssignment that has been unpacked. targets (may be NULL: host
 * names are refused) takes the endpoints that are known by host name. path goes before each field
 * in a sentence ("load_assignment." or ""). */
struct dns_targets {
    struct arena *arena; /* of the part they go into */
    struct dns_target *items;
    uint32_t count;
};
int read_endpoints(const Envoy__Config__Endpoint__V3__ClusterLoadAssignment *message,
                   const char *path, struct dns_targets *targets,
                   struct endpoints_config **ret_endpoints, struct errmsg *msg) MUST_CHECK;

/* Which load balancer a cluster has, and its settings. */
int read_load_balancer(const Envoy__Config__Cluster__V3__Cluster *message, struct arena *scratch,
                       struct cluster_config *cluster, struct errmsg *msg) MUST_CHECK;

#endif
