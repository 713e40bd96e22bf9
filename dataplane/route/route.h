/*
 * Routes: from a request to what is to be done with it. A table is a decoded RouteConfiguration:
 * virtual hosts by domain, and in each an index that finds the first match of the list without
 * walking the list. Immutable and refcounted (main thread) like the other parts of a configuration.
 */
#ifndef DATAPLANE_ROUTE_ROUTE_H
#define DATAPLANE_ROUTE_ROUTE_H

#include "common/base/err.h"
#include "common/base/vec.h"
#include "dataplane/config/config.h"
#include "dataplane/http/message.h"

#include <envoy/config/route/v3/route.pb-c.h>

struct route_table;
struct header_mutations; /* http/header_mutations.h */
struct route_regex;      /* a compiled rewrite; route/regex.h */

enum route_kind { ROUTE_FORWARD, ROUTE_REDIRECT, ROUTE_DIRECT_RESPONSE };

/* One arm of a weighted cluster. */
struct route_arm {
    uint32_t cluster_slot;
    uint32_t weight_end; /* sum of the weights up to and with this one */
    struct str cluster;  /* its name */
    const struct header_mutations *request_mutations; /* or NULL */
    const struct header_mutations *response_mutations;
};

struct route_forward {
    struct route_arm *arms; /* one or more */
    uint32_t arm_count;
    uint32_t total_weight;
    struct str cluster_header; /* the cluster is named by this request header; then no arms */
    unsigned cluster_not_found_status; /* 503, 404 or 500 */
    uint64_t timeout_ms;               /* of the whole response; 0: none; default 15 s */
    uint64_t idle_timeout_ms;          /* UINT64_MAX: the listener's */
    bool has_prefix_rewrite;
    struct str prefix_rewrite; /* replaces the part that matched (prefix or whole path) */
    const struct route_regex *regex_rewrite;
    struct str regex_substitution;
    struct str host_rewrite; /* empty: none */
    struct str host_rewrite_header;
};

struct route_redirect {
    unsigned status;                               /* 301, 302, 303, 307, 308 */
    struct str scheme, host, path, prefix_rewrite; /* empty: kept */
    uint32_t port;                                 /* 0: kept */
    bool https_redirect, strip_query, has_path, has_prefix_rewrite;
    const struct route_regex *regex_rewrite;
    struct str regex_substitution;
};

struct route_direct_response {
    unsigned status;
    struct str body;
};

/* Public part of a route; how it matches is route/'s own business. */
struct route {
    struct str name;
    struct str virtual_host;
    enum route_kind kind;
    union {
        struct route_forward forward;
        struct route_redirect redirect;
        struct route_direct_response direct_response;
    };
    uint32_t
        match_prefix_len; /* length of the matched prefix for rewrites; UINT32_MAX: whole path */
    const struct header_mutations
        *request_mutations; /* of route, virtual host and table; or NULL */
    const struct header_mutations *response_mutations;
    const struct filter_route_config *filter_configs;
    uint32_t filter_config_count;
};

/* Loads per-route filter settings: given by the decoder, which knows the filter table. Returns 0,
 * or ERR_* with a sentence. ret->config is in load->arena. */
struct filter_load;
typedef int route_filter_load_fn(struct filter_load *load, struct str filter_name,
                                 const Google__Protobuf__Any *settings,
                                 struct filter_route_config *ret, struct errmsg *msg);

struct route_table_options {
    struct name_slots *cluster_slots; /* for arms */
    struct name_slots *filter_slots;  /* for filter_configs */
    struct shared_registry *shared;
    route_filter_load_fn *load_filter;
    uint32_t workers;
};

/* Decodes message (borrowed; need not outlive the call). Compiles every regex (PCRE2 with JIT and a
 * match limit; equal patterns share one). 0 and a table with one reference, or ERR_* with a
 * sentence "virtual host X: route Y: field …". */
int route_table_new(const Envoy__Config__Route__V3__RouteConfiguration *message,
                    const struct route_table_options *options, struct route_table **ret_table,
                    struct errmsg *msg) MUST_CHECK;
struct route_table *route_table_ref(struct route_table *table);
/* NULL is fine. */
void route_table_unref(struct route_table *table);
struct str route_table_name(const struct route_table *table);
/* Calls visit with the name of each cluster that a route leads to, often more than once; not of
 * clusters that a request header names. */
typedef void route_cluster_fn(struct str cluster, void *arg);
void route_table_visit_clusters(const struct route_table *table, route_cluster_fn *visit,
                                void *arg);

/* What a match looks at besides the request's own head. */
struct route_match_input {
    const struct http_request *request; /* path canonical, authority set */
    uint64_t random;                    /* for runtime fractions and weighted arms */
    bool is_tls;
};

/* The first route of the list that matches, or NULL. No allocation; any thread. */
const struct route *route_match(const struct route_table *table,
                                const struct route_match_input *input);
/* The same by walking the list: what route_match is tested against. */
const struct route *route_match_linear(const struct route_table *table,
                                       const struct route_match_input *input);
/* The arm for a random number. */
const struct route_arm *route_forward_pick(const struct route_forward *forward, uint64_t random);

#endif
