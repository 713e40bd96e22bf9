/*
 * The types of messages that the proxy knows: the four kinds of resources it subscribes to, and
 * every message that may stand in an Any.
 */
#ifndef DATAPLANE_XDS_TYPES_H
#define DATAPLANE_XDS_TYPES_H

#include "common/pbjson/pbjson.h"

/* In the order in which they are asked for: what is referred to comes before what refers to it. */
enum xds_type { XDS_CLUSTER, XDS_ENDPOINTS, XDS_LISTENER, XDS_ROUTES, XDS_TYPE_COUNT };

/* The type URL; static storage. */
struct str xds_type_url(enum xds_type type);
/* The type of a type URL, or XDS_TYPE_COUNT where it is none of these. */
enum xds_type xds_type_from_url(struct str url);
/* "cluster", "endpoints", "listener", "routes": for sentences and logs. */
const char *xds_type_noun(enum xds_type type);
/* Whether all resources of the type are wanted ("*"): listeners and clusters. */
bool xds_type_is_wildcard(enum xds_type type);
const ProtobufCMessageDescriptor *xds_type_descriptor(enum xds_type type);

/* A new registry with every message that an Any in our configuration may hold: for bootstrap files,
 * config dumps and checks. */
struct pbjson_registry *xds_types_registry_new(void);

#endif
