/*
 * From a host name to a virtual host, as Envoy finds it: an exact name, then the longest suffix
 * wildcard ("*.example.com", "*-bar.example.com"), then the longest prefix wildcard ("example.*"),
 * then "*". Letters compare without case. Immutable after it is built; any thread may look up.
 */
#ifndef DATAPLANE_ROUTE_DOMAINS_H
#define DATAPLANE_ROUTE_DOMAINS_H

#include "common/base/arena.h"
#include "common/base/err.h"
#include "common/base/map.h"

enum {
    /* A longer host cannot be anybody's; such a request finds nothing but "*". */
    ROUTE_HOST_BYTES_MAX = 512,
};

/* Wildcards of one length. */
struct route_wildcards {
    size_t len; /* without the '*' */
    bool all_begin_with_dot;
    struct map by_text;
    struct route_wildcards *next; /* shorter ones */
};

struct route_domains {
    struct map exact;
    struct route_wildcards *suffixes, *prefixes; /* longest first */
    void *any;                                   /* of "*" */
};

/* Adds a domain (copied into arena). 0, or ERR_EXISTS / ERR_INVALID with a sentence. */
int route_domains_add(struct route_domains *domains, struct arena *arena, struct str domain,
                      void *value, struct errmsg *msg) MUST_CHECK;
void route_domains_done(struct route_domains *domains);
/* The value for host (as in the authority), or NULL. */
void *route_domains_find(const struct route_domains *domains, struct str host);

#endif
