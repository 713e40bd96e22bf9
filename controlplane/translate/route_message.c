#include "controlplane/translate/route_message.h"

#include "controlplane/model/check.h"
#include "controlplane/model/path_template.h"
#include "controlplane/policy/api_key.h"
#include "controlplane/policy/build.h"
#include "controlplane/policy/headers.h"
#include "controlplane/translate/filters.h"
#include "controlplane/translate/limits.h"
#include "controlplane/translate/route_match.h"

typedef Envoy__Config__Route__V3__Route Route;
typedef Envoy__Config__Route__V3__RouteAction RouteAction;
typedef Envoy__Config__Route__V3__RedirectAction RedirectAction;
typedef Envoy__Config__Route__V3__DirectResponseAction DirectResponseAction;
typedef Envoy__Type__Matcher__V3__RegexMatchAndSubstitute RegexRewrite;

/* --- rewrites --------------------------------------------------------------------------------- */

static RegexRewrite *build_rewrite(struct arena *arena, char *pattern, char *substitution)
{
    RegexRewrite *rewrite =
        build_message(arena, &envoy__type__matcher__v3__regex_match_and_substitute__descriptor);
    rewrite->pattern = build_regex(arena, pattern);
    rewrite->substitution = substitution;
    return rewrite;
}

/* text as a substitution that stands for itself. */
static char *quote_substitution(struct arena *arena, const char *text)
{
    char *quoted = arena_alloc(arena, 2 * strlen(text) + 1), *out = quoted;
    for (; *text; text++) {
        if (*text == '\\')
            *out++ = '\\';
        *out++ = *text;
    }
    *out = '\0';
    return quoted;
}

/* text without slashes at its end. */
static char *trim_slashes(struct arena *arena, const char *text)
{
    size_t len = strlen(text);
    while (len > 0 && text[len - 1] == '/')
        len--;
    return (char *)arena_copy_str(arena, (struct str){.data = text, .len = len}).data;
}

/* What replaces the matched prefix, so that "/a" -> "/b" makes /b/x of /a/x, and -> "/" makes /x.
 * Envoy replaces just the characters that matched. One of the results is NULL. */
static void plan_prefix_rewrite(struct arena *arena, const char *prefix, const char *replacement,
                                char **ret_prefix, RegexRewrite **ret_regex)
{
    char *trimmed = trim_slashes(arena, replacement);
    bool ends_in_slash = prefix[strlen(prefix) - 1] == '/';
    *ret_prefix = NULL;
    *ret_regex = NULL;
    if (ends_in_slash) {
        *ret_prefix = arena_printf(arena, "%s/", trimmed);
    } else if (*trimmed) {
        *ret_prefix = trimmed;
    } else {
        /* The slash behind the prefix, where there is one, is the one that stays. */
        *ret_regex = build_rewrite(arena, arena_printf(arena, "^%s/?", regex_quote(arena, prefix)),
                                   build_text(arena, "/"));
    }
}

static void set_rewrite(struct arena *arena, const Weir__V1__Route *route, RouteAction *action)
{
    const Weir__V1__Rewrite *rewrite = route->rewrite;
    if (!rewrite)
        return;
    if (*rewrite->prefix) {
        char *prefix;
        plan_prefix_rewrite(arena, route->match->path->prefix, rewrite->prefix, &prefix,
                            &action->regex_rewrite);
        if (prefix)
            action->prefix_rewrite = prefix;
    } else if (*rewrite->path) {
        action->regex_rewrite = build_rewrite(arena, build_text(arena, "^.*$"),
                                              quote_substitution(arena, rewrite->path));
    } else if (rewrite->regex) {
        action->regex_rewrite =
            build_rewrite(arena, rewrite->regex->pattern, rewrite->regex->substitution);
    }
    if (*rewrite->host) {
        action->host_rewrite_specifier_case =
            ENVOY__CONFIG__ROUTE__V3__ROUTE_ACTION__HOST_REWRITE_SPECIFIER_HOST_REWRITE_LITERAL;
        action->host_rewrite_literal = rewrite->host;
    }
}

/* --- actions ---------------------------------------------------------------------------------- */

static void set_clusters(struct arena *arena, const Weir__V1__Route *route, RouteAction *action)
{
    if (route->n_backends == 1) {
        action->cluster_specifier_case =
            ENVOY__CONFIG__ROUTE__V3__ROUTE_ACTION__CLUSTER_SPECIFIER_CLUSTER;
        action->cluster = route->backends[0]->service;
        return;
    }
    Envoy__Config__Route__V3__WeightedCluster *weighted =
        build_message(arena, &envoy__config__route__v3__weighted_cluster__descriptor);
    weighted->clusters = build_list(arena, route->n_backends);
    for (size_t i = 0; i < route->n_backends; i++) {
        const Weir__V1__Backend *backend = route->backends[i];
        Envoy__Config__Route__V3__WeightedCluster__ClusterWeight *weight = build_message(
            arena, &envoy__config__route__v3__weighted_cluster__cluster_weight__descriptor);
        weight->name = backend->service;
        weight->weight = build_u32(arena, backend->weight ? backend->weight->value : 1);
        weighted->clusters[weighted->n_clusters++] = weight;
    }
    action->cluster_specifier_case =
        ENVOY__CONFIG__ROUTE__V3__ROUTE_ACTION__CLUSTER_SPECIFIER_WEIGHTED_CLUSTERS;
    action->weighted_clusters = weighted;
}

static void set_forward(struct arena *arena, const Weir__V1__Route *route, Route *message)
{
    RouteAction *action = build_message(arena, &envoy__config__route__v3__route_action__descriptor);
    set_clusters(arena, route, action);
    set_rewrite(arena, route, action);
    action->timeout = route->timeout;
    message->action_case = ENVOY__CONFIG__ROUTE__V3__ROUTE__ACTION_ROUTE;
    message->route = action;
}

static Envoy__Config__Route__V3__RedirectAction__RedirectResponseCode redirect_code(uint32_t status)
{
    switch (status) {
    case 302:
        return ENVOY__CONFIG__ROUTE__V3__REDIRECT_ACTION__REDIRECT_RESPONSE_CODE__FOUND;
    case 303:
        return ENVOY__CONFIG__ROUTE__V3__REDIRECT_ACTION__REDIRECT_RESPONSE_CODE__SEE_OTHER;
    case 307:
        return ENVOY__CONFIG__ROUTE__V3__REDIRECT_ACTION__REDIRECT_RESPONSE_CODE__TEMPORARY_REDIRECT;
    case 308:
        return ENVOY__CONFIG__ROUTE__V3__REDIRECT_ACTION__REDIRECT_RESPONSE_CODE__PERMANENT_REDIRECT;
    }
    return ENVOY__CONFIG__ROUTE__V3__REDIRECT_ACTION__REDIRECT_RESPONSE_CODE__MOVED_PERMANENTLY;
}

static void set_redirect_path(struct arena *arena, const Weir__V1__Route *route,
                              RedirectAction *action)
{
    const Weir__V1__Redirect *redirect = route->redirect;
    if (*redirect->path) {
        action->path_rewrite_specifier_case =
            ENVOY__CONFIG__ROUTE__V3__REDIRECT_ACTION__PATH_REWRITE_SPECIFIER_PATH_REDIRECT;
        action->path_redirect = redirect->path;
    } else if (*redirect->prefix) {
        char *prefix;
        RegexRewrite *regex;
        plan_prefix_rewrite(arena, route->match->path->prefix, redirect->prefix, &prefix, &regex);
        if (prefix) {
            action->path_rewrite_specifier_case =
                ENVOY__CONFIG__ROUTE__V3__REDIRECT_ACTION__PATH_REWRITE_SPECIFIER_PREFIX_REWRITE;
            action->prefix_rewrite = prefix;
        } else {
            action->path_rewrite_specifier_case =
                ENVOY__CONFIG__ROUTE__V3__REDIRECT_ACTION__PATH_REWRITE_SPECIFIER_REGEX_REWRITE;
            action->regex_rewrite = regex;
        }
    }
}

static void set_redirect(struct arena *arena, const Weir__V1__Route *route, Route *message)
{
    const Weir__V1__Redirect *redirect = route->redirect;
    RedirectAction *action =
        build_message(arena, &envoy__config__route__v3__redirect_action__descriptor);
    if (*redirect->scheme) {
        action->scheme_rewrite_specifier_case =
            ENVOY__CONFIG__ROUTE__V3__REDIRECT_ACTION__SCHEME_REWRITE_SPECIFIER_SCHEME_REDIRECT;
        action->scheme_redirect = redirect->scheme;
    }
    action->host_redirect = redirect->host;
    action->port_redirect = redirect->port;
    set_redirect_path(arena, route, action);
    action->response_code = redirect_code(redirect->status);
    action->strip_query = redirect->strip_query;
    message->action_case = ENVOY__CONFIG__ROUTE__V3__ROUTE__ACTION_REDIRECT;
    message->redirect = action;
}

static void set_answer(struct arena *arena, uint32_t status, char *body, Route *message)
{
    DirectResponseAction *action =
        build_message(arena, &envoy__config__route__v3__direct_response_action__descriptor);
    action->status = status;
    if (*body) {
        action->body = build_message(arena, &envoy__config__core__v3__data_source__descriptor);
        action->body->specifier_case =
            ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER_INLINE_STRING;
        action->body->inline_string = body;
    }
    message->action_case = ENVOY__CONFIG__ROUTE__V3__ROUTE__ACTION_DIRECT_RESPONSE;
    message->direct_response = action;
}

static void set_action(struct arena *arena, const struct route_source *source, Route *message)
{
    static char shut_body[] = "a policy of this route is missing";
    const Weir__V1__Route *route = source->route->route;
    if (source->is_shut)
        set_answer(arena, 503, shut_body, message);
    else if (route->redirect)
        set_redirect(arena, route, message);
    else if (route->direct_response)
        set_answer(arena, route->direct_response->status, route->direct_response->body, message);
    else
        set_forward(arena, route, message);
}

/* --- filters ---------------------------------------------------------------------------------- */

static void add_filter_config(struct arena *arena, Route *message, const char *filter,
                              Google__Protobuf__Any *config)
{
    if (!config)
        return;
    Envoy__Config__Route__V3__Route__TypedPerFilterConfigEntry *entry = build_message(
        arena, &envoy__config__route__v3__route__typed_per_filter_config_entry__descriptor);
    entry->key = build_text(arena, filter);
    entry->value = config;
    message->typed_per_filter_config[message->n_typed_per_filter_config++] = entry;
}

static Google__Protobuf__Any *auth_config(struct arena *arena, const struct route_source *source)
{
    switch (source->auth) {
    case ROUTE_AUTH_NOT_SAID:
        break;
    case ROUTE_AUTH_OWN:
        return api_key_route_config(arena, source->model, source->auth_policy);
    case ROUTE_AUTH_OFF: {
        Envoy__Config__Route__V3__FilterConfig *off =
            build_message(arena, &envoy__config__route__v3__filter_config__descriptor);
        off->disabled = true;
        return build_any(arena, &off->base);
    }
    }
    return NULL;
}

/* A direct response that is an error must be told from the errors that the data plane makes, whose
 * form is not the operator's. */
static void mark_direct_response(struct policy_sum *sum, const Weir__V1__Route *route)
{
    const Weir__V1__DirectResponse *response = route->direct_response;
    if (response && response->status >= 400)
        headers_add_set(sum->arena, DIRECT_RESPONSE_HEADER, "1", &sum->request_mutations);
    if (response && *response->content_type)
        headers_add_set(sum->arena, "content-type", response->content_type,
                        &sum->response_mutations);
}

static Google__Protobuf__Any *headers_config(struct arena *arena, const struct route_source *source)
{
    const Weir__V1__Route *route = source->route->route;
    struct policy_sum sum;
    policy_sum_init(&sum, arena);
    policy_sum_add(&sum, source->model, route->policies, route->n_policies);
    headers_add_changes(arena, route->request_headers, &sum.request_mutations);
    headers_add_changes(arena, route->response_headers, &sum.response_mutations);
    if (!source->is_shut)
        mark_direct_response(&sum, route);
    Google__Protobuf__Any *config = headers_route_config(&sum);
    policy_sum_done(&sum);
    return config;
}

/* In the order of the filters' names: equal policy makes equal bytes. */
static void set_filter_configs(struct arena *arena, const struct route_source *source,
                               Route *message)
{
    const Weir__V1__Route *route = source->route->route;
    message->typed_per_filter_config = build_list(arena, 4);
    add_filter_config(arena, message, FILTER_API_KEY, auth_config(arena, source));
    add_filter_config(arena, message, FILTER_HEADERS, headers_config(arena, source));
    add_filter_config(arena, message, FILTER_LIMITS_BY_ADDRESS,
                      limits_config(arena, source->model, route->limits, route->n_limits, false));
    add_filter_config(arena, message, FILTER_LIMITS_BY_CONSUMER,
                      limits_config(arena, source->model, route->limits, route->n_limits, true));
}

Route *route_message(struct arena *arena, const struct route_source *source)
{
    Route *message = build_message(arena, &envoy__config__route__v3__route__descriptor);
    message->name = (char *)source->route->name.data;
    message->match = route_match_build(arena, source->route->route->match);
    set_action(arena, source, message);
    set_filter_configs(arena, source, message);
    return message;
}

Route *route_message_grpc(struct arena *arena, const struct route_source *source)
{
    const Weir__V1__Route *route = source->route->route;
    bool is_of_use =
        route->n_backends > 0 && !source->is_shut && (!route->match || route->match->n_query == 0);
    if (!is_of_use)
        return NULL;
    Route *message = build_message(arena, &envoy__config__route__v3__route__descriptor);
    RouteAction *action = build_message(arena, &envoy__config__route__v3__route_action__descriptor);
    message->name = (char *)source->route->name.data;
    message->match = route_match_build_grpc(arena, route->match);
    set_clusters(arena, route, action);
    if (route->timeout) {
        action->max_stream_duration = build_message(
            arena, &envoy__config__route__v3__route_action__max_stream_duration__descriptor);
        action->max_stream_duration->max_stream_duration = route->timeout;
    }
    message->action_case = ENVOY__CONFIG__ROUTE__V3__ROUTE__ACTION_ROUTE;
    message->route = action;
    return message;
}
