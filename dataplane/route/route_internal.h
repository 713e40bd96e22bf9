/* What the files of route/ share: how a route matches, and the index over the routes of a virtual
 * host. */
#ifndef DATAPLANE_ROUTE_ROUTE_INTERNAL_H
#define DATAPLANE_ROUTE_ROUTE_INTERNAL_H

#include "dataplane/http/filter.h"
#include "dataplane/http/header_match.h"
#include "dataplane/route/domains.h"
#include "dataplane/route/index.h"
#include "dataplane/route/regex.h"
#include "dataplane/route/route.h"

enum route_path_kind {
    ROUTE_PATH_PREFIX,
    ROUTE_PATH_EXACT,
    ROUTE_PATH_SEPARATED_PREFIX, /* ends at a '/' or at the end of the path */
    ROUTE_PATH_REGEX,            /* path is its literal prefix */
};

struct query_match {
    struct str name;
    bool is_presence; /* the condition is on presence, which is to be `wants_presence` */
    bool wants_presence;
    struct string_match string;
};

/* The conditions besides the path; most routes have none. */
struct route_conditions {
    const struct header_match *headers;
    const struct query_match *queries;
    uint32_t header_count, query_count;
    uint32_t fraction_numerator, fraction_denominator; /* denominator 0: all requests */
    bool is_grpc_only;
};

/* How a route matches. */
struct route_rule {
    enum route_path_kind kind;
    bool ignores_case; /* path is lower case then */
    struct str path;
    const struct route_regex *regex;
    const struct route_conditions *conditions; /* NULL: none */
};

struct route_entry {
    struct route route;
    struct route_rule rule;
};

struct route_virtual_host {
    struct str name;
    struct route_entry *entries; /* in the order of the list */
    uint32_t entry_count;
    struct route_index index;
    const struct route *tls_redirect; /* of require_tls: for requests that came without; or NULL */
};

/* Decodes message into rule, in load->arena. 0, or ERR_* with a sentence: whatever is not
 * understood is an error, because leaving it out would widen the match. */
int route_rule_init(struct filter_load *load, const Envoy__Config__Route__V3__RouteMatch *message,
                    struct route_rule *rule, struct errmsg *msg) MUST_CHECK;
/* Whether rule matches a path (without query) that begins with rule->path. */
enum match_result route_rule_test_rest(const struct route_rule *rule, struct str path,
                                       const struct route_match_input *input);
/* Whether rule matches. */
enum match_result route_rule_test(const struct route_rule *rule, struct str path,
                                  const struct route_match_input *input);

/* Decodes the action of message into route. body_max: bytes of a direct response. */
int route_action_init(struct filter_load *load, struct name_slots *cluster_slots, uint32_t body_max,
                      const Envoy__Config__Route__V3__Route *message, struct route *route,
                      struct errmsg *msg) MUST_CHECK;

#endif
