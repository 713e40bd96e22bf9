/*
 * Names of endpoints to addresses, for STRICT_DNS and LOGICAL_DNS clusters: resolved on the main
 * loop by libevent's resolver (/etc/resolv.conf and /etc/hosts), again after the cluster's refresh
 * time. A name that cannot be resolved keeps the addresses it had. Main thread.
 */
#ifndef DATAPLANE_XDS_DNS_H
#define DATAPLANE_XDS_DNS_H

#include "common/io/loop.h"
#include "dataplane/config/config.h"

struct dns_resolver;
struct dns_watch;

enum dns_limit {
    DNS_ADDRESSES_MAX = 256, /* of one name */
    DNS_RETRY_MS = 1000,     /* after a failure, doubled up to the refresh time */
};

struct dns_resolver *dns_resolver_new(struct loop *loop);
/* All watches must have been freed. NULL is fine. */
void dns_resolver_free(struct dns_resolver *resolver);

/* endpoints: all addresses of the cluster, by name and literal; takes the reference. Called once
 * every name has been tried, and after that whenever the addresses have changed. */
typedef void dns_endpoints_fn(void *arg, struct endpoints_config *endpoints);
/* Begins to resolve cluster's dns_targets; takes a reference on it. The first answer comes from a
 * fresh stack. */
struct dns_watch *dns_watch_new(struct dns_resolver *resolver, struct cluster_config *cluster,
                                dns_endpoints_fn *on_endpoints, void *arg);
/* Nothing is called any more. NULL is fine. */
void dns_watch_free(struct dns_watch *watch);

#endif
