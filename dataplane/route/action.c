/* What a route does: decoding RouteAction, RedirectAction and DirectResponseAction. */
#include "dataplane/config/name_slots.h"
#include "dataplane/http/header_mutations.h"
#include "dataplane/route/route_internal.h"

enum {
    TIMEOUT_DEFAULT_MS = 15000,
    ARMS_MAX = 1024, /* of one weighted cluster */
};

static int get_duration_ms(const Google__Protobuf__Duration *duration, const char *name,
                           uint64_t *ret, struct errmsg *msg)
{
    if (!duration)
        return 0;
    if (duration->seconds < 0 || duration->nanos < 0 || duration->nanos > 999999999 ||
        duration->seconds > INT32_MAX)
        return errmsg_set(msg, ERR_INVALID, "%s: out of range", name);
    uint64_t ms = (uint64_t)duration->seconds * 1000 + (uint64_t)duration->nanos / 1000000;
    /* Less than a millisecond is not "off". */
    *ret = ms == 0 && duration->nanos ? 1 : ms;
    return 0;
}

static int copy_header_text(struct arena *arena, const char *text, const char *name,
                            struct str *ret, struct errmsg *msg)
{
    struct str s = str_from(text);
    if (!header_value_is_valid(s))
        return errmsg_set(msg, ERR_INVALID, "%s: has control characters", name);
    if (s.len)
        *ret = arena_copy_str(arena, s);
    return 0;
}

static int set_regex_rewrite(struct filter_load *load,
                             const Envoy__Type__Matcher__V3__RegexMatchAndSubstitute *message,
                             const struct route_regex **ret_regex, struct str *ret_substitution,
                             struct errmsg *msg)
{
    int err = route_regex_from_substitution(load->shared, load->states, message, ret_regex, msg);
    if (err) {
        errmsg_prefix(msg, "regex_rewrite: ");
        return err;
    }
    *ret_substitution = arena_copy_str(load->arena, str_from(message->substitution));
    return 0;
}

/* --- forward --- */

static void set_arm(struct filter_load *load, struct name_slots *slots, struct route_arm *arm,
                    const char *cluster)
{
    arm->cluster = str_from(arena_copy_string(load->arena, cluster));
    arm->cluster_slot = name_slots_acquire(slots, arm->cluster);
}

/* What would change where a request goes or who may see it, and is not supported. */
static const char *
unsupported_in_arm(const Envoy__Config__Route__V3__WeightedCluster__ClusterWeight *message)
{
    if (message->n_typed_per_filter_config)
        return "typed_per_filter_config";
    if (message->metadata_match)
        return "metadata_match";
    if (*message->cluster_header)
        return "cluster_header";
    if (message->host_rewrite_specifier_case !=
        ENVOY__CONFIG__ROUTE__V3__WEIGHTED_CLUSTER__CLUSTER_WEIGHT__HOST_REWRITE_SPECIFIER__NOT_SET)
        return "host_rewrite_literal";
    return NULL;
}

static int set_weighted_arm(struct filter_load *load, struct name_slots *slots,
                            const Envoy__Config__Route__V3__WeightedCluster__ClusterWeight *message,
                            struct route_arm *arm, uint64_t *total, struct errmsg *msg)
{
    const char *unsupported = unsupported_in_arm(message);
    if (unsupported)
        return errmsg_set(msg, ERR_UNSUPPORTED, "cluster %s: %s is not supported", message->name,
                          unsupported);
    if (!*message->name)
        return errmsg_set(msg, ERR_INVALID, "a cluster has no name");
    *total += message->weight ? message->weight->value : 0;
    if (*total > UINT32_MAX)
        return errmsg_set(msg, ERR_INVALID, "the weights add up to more than %u", UINT32_MAX);
    arm->weight_end = (uint32_t)*total;
    set_arm(load, slots, arm, message->name);
    int err = header_mutations_new(
        load->arena, message->request_headers_to_add, message->n_request_headers_to_add,
        message->request_headers_to_remove, message->n_request_headers_to_remove, NULL,
        &arm->request_mutations, msg);
    if (err)
        return err;
    return header_mutations_new(
        load->arena, message->response_headers_to_add, message->n_response_headers_to_add,
        message->response_headers_to_remove, message->n_response_headers_to_remove, NULL,
        &arm->response_mutations, msg);
}

static int set_weighted(struct filter_load *load, struct name_slots *slots,
                        const Envoy__Config__Route__V3__WeightedCluster *message,
                        struct route_forward *forward, struct errmsg *msg)
{
    size_t count = message->n_clusters;
    if (!count || count > ARMS_MAX)
        return errmsg_set(msg, ERR_INVALID, "weighted_clusters: must have 1 to %d clusters",
                          ARMS_MAX);
    forward->arms = arena_alloc_array(load->arena, count, sizeof *forward->arms);
    uint64_t total = 0;
    for (size_t i = 0; i < count; i++) {
        forward->arms[i].cluster_slot = NAME_SLOT_NONE;
        forward->arm_count = (uint32_t)i + 1;
        int err =
            set_weighted_arm(load, slots, message->clusters[i], &forward->arms[i], &total, msg);
        if (err) {
            errmsg_prefix(msg, "weighted_clusters: ");
            return err;
        }
    }
    if (!total)
        return errmsg_set(msg, ERR_INVALID, "weighted_clusters: the weights add up to 0");
    forward->total_weight = (uint32_t)total;
    return 0;
}

static int set_cluster(struct filter_load *load, struct name_slots *slots,
                       const Envoy__Config__Route__V3__RouteAction *message,
                       struct route_forward *forward, struct errmsg *msg)
{
    switch (message->cluster_specifier_case) {
    case ENVOY__CONFIG__ROUTE__V3__ROUTE_ACTION__CLUSTER_SPECIFIER_CLUSTER:
        if (!*message->cluster)
            return errmsg_set(msg, ERR_INVALID, "cluster is empty");
        forward->arms = ARENA_NEW(load->arena, struct route_arm);
        set_arm(load, slots, forward->arms, message->cluster);
        forward->arm_count = forward->arms->weight_end = forward->total_weight = 1;
        return 0;
    case ENVOY__CONFIG__ROUTE__V3__ROUTE_ACTION__CLUSTER_SPECIFIER_WEIGHTED_CLUSTERS:
        return set_weighted(load, slots, message->weighted_clusters, forward, msg);
    case ENVOY__CONFIG__ROUTE__V3__ROUTE_ACTION__CLUSTER_SPECIFIER_CLUSTER_HEADER: {
        char *name = arena_copy_string(load->arena, message->cluster_header);
        for (char *c = name; *c; c++)
            *c = ascii_lower(*c);
        forward->cluster_header = str_from(name);
        if (!header_name_is_valid(forward->cluster_header))
            return errmsg_set(msg, ERR_INVALID, "cluster_header %s: not a header name", name);
        return 0;
    }
    case ENVOY__CONFIG__ROUTE__V3__ROUTE_ACTION__CLUSTER_SPECIFIER_CLUSTER_SPECIFIER_PLUGIN:
        return errmsg_set(msg, ERR_UNSUPPORTED, "cluster_specifier_plugin is not supported");
    case ENVOY__CONFIG__ROUTE__V3__ROUTE_ACTION__CLUSTER_SPECIFIER__NOT_SET:
    case _ENVOY__CONFIG__ROUTE__V3__ROUTE_ACTION__CLUSTER_SPECIFIER__CASE_IS_INT_SIZE:
        break;
    }
    return errmsg_set(msg, ERR_INVALID, "no cluster is named");
}

static int set_host_rewrite(struct filter_load *load,
                            const Envoy__Config__Route__V3__RouteAction *message,
                            struct route_forward *forward, struct errmsg *msg)
{
    switch (message->host_rewrite_specifier_case) {
    case ENVOY__CONFIG__ROUTE__V3__ROUTE_ACTION__HOST_REWRITE_SPECIFIER_HOST_REWRITE_LITERAL:
        return copy_header_text(load->arena, message->host_rewrite_literal, "host_rewrite_literal",
                                &forward->host_rewrite, msg);
    case ENVOY__CONFIG__ROUTE__V3__ROUTE_ACTION__HOST_REWRITE_SPECIFIER_HOST_REWRITE_HEADER: {
        char *name = arena_copy_string(load->arena, message->host_rewrite_header);
        for (char *c = name; *c; c++)
            *c = ascii_lower(*c);
        forward->host_rewrite_header = str_from(name);
        return 0;
    }
    case ENVOY__CONFIG__ROUTE__V3__ROUTE_ACTION__HOST_REWRITE_SPECIFIER_HOST_REWRITE_PATH_REGEX:
        return errmsg_set(msg, ERR_UNSUPPORTED, "host_rewrite_path_regex is not supported");
    case ENVOY__CONFIG__ROUTE__V3__ROUTE_ACTION__HOST_REWRITE_SPECIFIER_HOST_REWRITE:
        return errmsg_set(msg, ERR_UNSUPPORTED, "host_rewrite is not supported");
    case ENVOY__CONFIG__ROUTE__V3__ROUTE_ACTION__HOST_REWRITE_SPECIFIER_AUTO_HOST_REWRITE:
    case ENVOY__CONFIG__ROUTE__V3__ROUTE_ACTION__HOST_REWRITE_SPECIFIER__NOT_SET:
    case _ENVOY__CONFIG__ROUTE__V3__ROUTE_ACTION__HOST_REWRITE_SPECIFIER__CASE_IS_INT_SIZE:
        break;
    }
    return 0;
}

/* Fields that would send a request elsewhere, or let it past a limit, where they are ignored. */
static int refuse_unsupported(const Envoy__Config__Route__V3__RouteAction *message,
                              struct errmsg *msg)
{
    const char *what = message->metadata_match        ? "metadata_match"
                       : message->n_rate_limits       ? "rate_limits (put them into the filter)"
                       : message->path_rewrite_policy ? "path_rewrite_policy"
                       : *message->path_rewrite       ? "path_rewrite"
                                                      : NULL;
    return what ? errmsg_set(msg, ERR_UNSUPPORTED, "%s is not supported", what) : 0;
}

static int set_rewrites(struct filter_load *load,
                        const Envoy__Config__Route__V3__RouteAction *message,
                        struct route_forward *forward, struct errmsg *msg)
{
    forward->has_prefix_rewrite = *message->prefix_rewrite != '\0';
    if (forward->has_prefix_rewrite && message->regex_rewrite)
        return errmsg_set(msg, ERR_INVALID, "prefix_rewrite and regex_rewrite exclude each other");
    int err = copy_header_text(load->arena, message->prefix_rewrite, "prefix_rewrite",
                               &forward->prefix_rewrite, msg);
    if (!err && message->regex_rewrite)
        err = set_regex_rewrite(load, message->regex_rewrite, &forward->regex_rewrite,
                                &forward->regex_substitution, msg);
    return err ? err : set_host_rewrite(load, message, forward, msg);
}

static int forward_init(struct filter_load *load, struct name_slots *slots,
                        const Envoy__Config__Route__V3__RouteAction *message,
                        struct route_forward *forward, struct errmsg *msg)
{
    static const unsigned statuses[] = {503, 404, 500};
    unsigned code = (unsigned)message->cluster_not_found_response_code;
    if (code >= sizeof statuses / sizeof *statuses)
        return errmsg_set(msg, ERR_INVALID, "cluster_not_found_response_code: unknown value");
    forward->cluster_not_found_status = statuses[code];
    forward->timeout_ms = TIMEOUT_DEFAULT_MS;
    forward->idle_timeout_ms = UINT64_MAX;
    int err = refuse_unsupported(message, msg);
    if (!err)
        err = get_duration_ms(message->timeout, "timeout", &forward->timeout_ms, msg);
    if (!err)
        err =
            get_duration_ms(message->idle_timeout, "idle_timeout", &forward->idle_timeout_ms, msg);
    if (!err)
        err = set_rewrites(load, message, forward, msg);
    return err ? err : set_cluster(load, slots, message, forward, msg);
}

/* --- redirect --- */

static int set_redirect_scheme(struct filter_load *load,
                               const Envoy__Config__Route__V3__RedirectAction *message,
                               struct route_redirect *redirect, struct errmsg *msg)
{
    switch (message->scheme_rewrite_specifier_case) {
    case ENVOY__CONFIG__ROUTE__V3__REDIRECT_ACTION__SCHEME_REWRITE_SPECIFIER_HTTPS_REDIRECT:
        redirect->https_redirect = message->https_redirect;
        return 0;
    case ENVOY__CONFIG__ROUTE__V3__REDIRECT_ACTION__SCHEME_REWRITE_SPECIFIER_SCHEME_REDIRECT:
        return copy_header_text(load->arena, message->scheme_redirect, "scheme_redirect",
                                &redirect->scheme, msg);
    case ENVOY__CONFIG__ROUTE__V3__REDIRECT_ACTION__SCHEME_REWRITE_SPECIFIER__NOT_SET:
    case _ENVOY__CONFIG__ROUTE__V3__REDIRECT_ACTION__SCHEME_REWRITE_SPECIFIER__CASE_IS_INT_SIZE:
        break;
    }
    return 0;
}

static int set_redirect_path(struct filter_load *load,
                             const Envoy__Config__Route__V3__RedirectAction *message,
                             struct route_redirect *redirect, struct errmsg *msg)
{
    switch (message->path_rewrite_specifier_case) {
    case ENVOY__CONFIG__ROUTE__V3__REDIRECT_ACTION__PATH_REWRITE_SPECIFIER_PATH_REDIRECT:
        redirect->has_path = *message->path_redirect != '\0';
        return copy_header_text(load->arena, message->path_redirect, "path_redirect",
                                &redirect->path, msg);
    case ENVOY__CONFIG__ROUTE__V3__REDIRECT_ACTION__PATH_REWRITE_SPECIFIER_PREFIX_REWRITE:
        redirect->has_prefix_rewrite = *message->prefix_rewrite != '\0';
        return copy_header_text(load->arena, message->prefix_rewrite, "prefix_rewrite",
                                &redirect->prefix_rewrite, msg);
    case ENVOY__CONFIG__ROUTE__V3__REDIRECT_ACTION__PATH_REWRITE_SPECIFIER_REGEX_REWRITE:
        return set_regex_rewrite(load, message->regex_rewrite, &redirect->regex_rewrite,
                                 &redirect->regex_substitution, msg);
    case ENVOY__CONFIG__ROUTE__V3__REDIRECT_ACTION__PATH_REWRITE_SPECIFIER_PATH_REWRITE:
        return errmsg_set(msg, ERR_UNSUPPORTED, "path_rewrite is not supported");
    case ENVOY__CONFIG__ROUTE__V3__REDIRECT_ACTION__PATH_REWRITE_SPECIFIER__NOT_SET:
    case _ENVOY__CONFIG__ROUTE__V3__REDIRECT_ACTION__PATH_REWRITE_SPECIFIER__CASE_IS_INT_SIZE:
        break;
    }
    return 0;
}

static int redirect_init(struct filter_load *load,
                         const Envoy__Config__Route__V3__RedirectAction *message,
                         struct route_redirect *redirect, struct errmsg *msg)
{
    static const unsigned statuses[] = {301, 302, 303, 307, 308};
    unsigned code = (unsigned)message->response_code;
    if (code >= sizeof statuses / sizeof *statuses)
        return errmsg_set(msg, ERR_INVALID, "response_code: unknown value");
    if (message->port_redirect > UINT16_MAX)
        return errmsg_set(msg, ERR_INVALID, "port_redirect: over 65535");
    redirect->status = statuses[code];
    redirect->port = message->port_redirect;
    redirect->strip_query = message->strip_query;
    int err = copy_header_text(load->arena, message->host_redirect, "host_redirect",
                               &redirect->host, msg);
    if (!err)
        err = set_redirect_scheme(load, message, redirect, msg);
    return err ? err : set_redirect_path(load, message, redirect, msg);
}

/* --- direct response --- */

static int set_body(struct filter_load *load, const Envoy__Config__Core__V3__DataSource *source,
                    struct str *ret, struct errmsg *msg)
{
    switch (source->specifier_case) {
    case ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER_INLINE_STRING:
        *ret = arena_copy_str(load->arena, str_from(source->inline_string));
        return 0;
    case ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER_INLINE_BYTES:
        *ret = arena_copy_str(load->arena,
                              (struct str){.data = (const char *)source->inline_bytes.data,
                                           .len = source->inline_bytes.len});
        return 0;
    case ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER_FILENAME:
    case ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER_ENVIRONMENT_VARIABLE:
        return errmsg_set(msg, ERR_UNSUPPORTED,
                          "body: only inline_string and inline_bytes are supported");
    case ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER__NOT_SET:
    case _ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER__CASE_IS_INT_SIZE:
        break;
    }
    return errmsg_set(msg, ERR_INVALID, "body: nothing is set");
}

static int direct_response_init(struct filter_load *load, uint32_t body_max,
                                const Envoy__Config__Route__V3__DirectResponseAction *message,
                                struct route_direct_response *direct, struct errmsg *msg)
{
    if (message->status < 200 || message->status > 599)
        return errmsg_set(msg, ERR_INVALID, "direct_response: status %u is not in 200 to 599",
                          message->status);
    if (message->body_format)
        return errmsg_set(msg, ERR_UNSUPPORTED, "direct_response: body_format is not supported");
    direct->status = message->status;
    int err = message->body ? set_body(load, message->body, &direct->body, msg) : 0;
    if (!err && direct->body.len > body_max)
        err = errmsg_set(msg, ERR_INVALID, "body: %zu bytes, at most %u are allowed",
                         direct->body.len, body_max);
    if (err)
        errmsg_prefix(msg, "direct_response: ");
    return err;
}

int route_action_init(struct filter_load *load, struct name_slots *cluster_slots, uint32_t body_max,
                      const Envoy__Config__Route__V3__Route *message, struct route *route,
                      struct errmsg *msg)
{
    switch (message->action_case) {
    case ENVOY__CONFIG__ROUTE__V3__ROUTE__ACTION_ROUTE:
        route->kind = ROUTE_FORWARD;
        return forward_init(load, cluster_slots, message->route, &route->forward, msg);
    case ENVOY__CONFIG__ROUTE__V3__ROUTE__ACTION_REDIRECT:
        route->kind = ROUTE_REDIRECT;
        return redirect_init(load, message->redirect, &route->redirect, msg);
    case ENVOY__CONFIG__ROUTE__V3__ROUTE__ACTION_DIRECT_RESPONSE:
        route->kind = ROUTE_DIRECT_RESPONSE;
        return direct_response_init(load, body_max, message->direct_response,
                                    &route->direct_response, msg);
    case ENVOY__CONFIG__ROUTE__V3__ROUTE__ACTION_FILTER_ACTION:
        return errmsg_set(msg, ERR_UNSUPPORTED, "filter_action is not supported");
    case ENVOY__CONFIG__ROUTE__V3__ROUTE__ACTION_NON_FORWARDING_ACTION:
        return errmsg_set(msg, ERR_UNSUPPORTED, "non_forwarding_action is not supported");
    case ENVOY__CONFIG__ROUTE__V3__ROUTE__ACTION__NOT_SET:
    case _ENVOY__CONFIG__ROUTE__V3__ROUTE__ACTION__CASE_IS_INT_SIZE:
        break;
    }
    return errmsg_set(msg, ERR_INVALID, "no action is set");
}
