/* Validation of kind routes, and how specific a route is. */
#include "common/regex/regex.h"
#include "controlplane/model/check.h"
#include "controlplane/model/model_internal.h"
#include "controlplane/model/path_template.h"
#include "controlplane/model/regex.h"

#include <stdio.h>

enum {
    GATEWAYS_MAX = 100,
    BACKENDS_MAX = 50,
    POLICIES_MAX = 50,
    LIMITS_MAX = 20,
    CONDITIONS_MAX = 20,
    WEIGHT_MAX = 1000000,
    PATH_BYTES_MAX = 2048,
    VALUE_BYTES_MAX = 4096,
    TIMEOUT_MAX_MS = 60 * 60 * 1000,
};

enum { RANK_EXACT, RANK_TEMPLATE, RANK_REGEX, RANK_PREFIX };

/* --- match ------------------------------------------------------------------------------------ */

static int check_path_text(const char *field, const char *path, struct errmsg *msg)
{
    if (path[0] != '/')
        return errmsg_set(msg, ERR_INVALID, "%s: must begin with '/'", field);
    if (strpbrk(path, "?#"))
        return errmsg_set(msg, ERR_INVALID,
                          "%s: must not contain '?' or '#' (match.query is for the query)", field);
    if (strpbrk(path, " \t"))
        return errmsg_set(msg, ERR_INVALID, "%s: must not contain spaces", field);
    return check_text(field, path, PATH_BYTES_MAX, msg);
}

static int check_template(struct arena *arena, const char *text, struct model_route_rank *rank,
                          struct errmsg *msg)
{
    int err = check_path_text("match.path.template", text, msg);
    if (err == 0)
        err = path_template_check("match.path.template", text, &rank->path_length, msg);
    return err ? err
               : regex_check("match.path.template", path_template_regex(arena, text), NULL, msg);
}

static int check_path(const struct model_draft *draft, const Weir__V1__PathMatch *path,
                      struct errmsg *msg)
{
    struct model_route_rank *rank = draft->rank;
    switch (path->match_case) {
    case WEIR__V1__PATH_MATCH__MATCH_EXACT:
        rank->path_class = RANK_EXACT;
        rank->path_length = (unsigned)strlen(path->exact);
        return check_path_text("match.path.exact", path->exact, msg);
    case WEIR__V1__PATH_MATCH__MATCH_PREFIX:
        rank->path_class = RANK_PREFIX;
        rank->path_length = (unsigned)strlen(path->prefix);
        return check_path_text("match.path.prefix", path->prefix, msg);
    case WEIR__V1__PATH_MATCH__MATCH_TEMPLATE:
        rank->path_class = RANK_TEMPLATE;
        return check_template(draft->arena, path->template_, rank, msg);
    case WEIR__V1__PATH_MATCH__MATCH_REGEX:
        rank->path_class = RANK_REGEX;
        rank->path_length = (unsigned)strlen(path->regex);
        return regex_check("match.path.regex", path->regex, NULL, msg);
    case WEIR__V1__PATH_MATCH__MATCH__NOT_SET:
    case _WEIR__V1__PATH_MATCH__MATCH__CASE_IS_INT_SIZE:
        break;
    }
    return errmsg_set(msg, ERR_INVALID,
                      "match.path: one of exact, prefix, template and regex is required");
}

/* Methods are matched as GET|HEAD. */
static int check_methods(struct arena *arena, const Weir__V1__Match *match, struct errmsg *msg)
{
    int err = check_count("match.methods", match->n_methods, CONDITIONS_MAX, msg);
    for (size_t i = 0; err == 0 && i < match->n_methods; i++) {
        const char *method = match->methods[i];
        size_t len = strspn(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-_");
        if (len == 0 || len > 32 || method[len] != '\0')
            return errmsg_set(msg, ERR_INVALID,
                              "match.methods[%zu]: \"%.100s\" is no method (capital letters)", i,
                              method);
    }
    if (err || match->n_methods == 0)
        return err;
    char *regex = arena_copy_string(arena, match->methods[0]);
    for (size_t i = 1; i < match->n_methods; i++)
        regex = arena_printf(arena, "%s|%s", regex, match->methods[i]);
    return regex_check("match.methods", regex, NULL, msg);
}

static int check_header_match(const Weir__V1__HeaderMatch *match, struct errmsg *msg)
{
    int err = check_header_name("name", match->name, msg);
    if (err)
        return err;
    switch (match->match_case) {
    case WEIR__V1__HEADER_MATCH__MATCH_EXACT:
        return check_text("exact", match->exact, VALUE_BYTES_MAX, msg);
    case WEIR__V1__HEADER_MATCH__MATCH_PREFIX:
        return check_text("prefix", match->prefix, VALUE_BYTES_MAX, msg);
    case WEIR__V1__HEADER_MATCH__MATCH_SUFFIX:
        return check_text("suffix", match->suffix, VALUE_BYTES_MAX, msg);
    case WEIR__V1__HEADER_MATCH__MATCH_CONTAINS:
        return check_text("contains", match->contains, VALUE_BYTES_MAX, msg);
    case WEIR__V1__HEADER_MATCH__MATCH_REGEX:
        return regex_check("regex", match->regex, NULL, msg);
    case WEIR__V1__HEADER_MATCH__MATCH_PRESENT:
    case WEIR__V1__HEADER_MATCH__MATCH__NOT_SET:
    case _WEIR__V1__HEADER_MATCH__MATCH__CASE_IS_INT_SIZE:
        break;
    }
    return 0;
}

/* Prefix, suffix and contains of nothing would be true of everything; Envoy refuses them. */
static int check_header_match_text(const Weir__V1__HeaderMatch *match, struct errmsg *msg)
{
    bool is_empty =
        (match->match_case == WEIR__V1__HEADER_MATCH__MATCH_PREFIX && !*match->prefix) ||
        (match->match_case == WEIR__V1__HEADER_MATCH__MATCH_SUFFIX && !*match->suffix) ||
        (match->match_case == WEIR__V1__HEADER_MATCH__MATCH_CONTAINS && !*match->contains);
    if (is_empty)
        return errmsg_set(msg, ERR_INVALID, "prefix, suffix or contains: is empty");
    return check_header_match(match, msg);
}

static int check_query_match(const Weir__V1__QueryMatch *match, struct errmsg *msg)
{
    if (*match->name == '\0')
        return errmsg_set(msg, ERR_INVALID, "name: is required");
    int err = check_text("name", match->name, 256, msg);
    if (err)
        return err;
    switch (match->match_case) {
    case WEIR__V1__QUERY_MATCH__MATCH_EXACT:
        return check_text("exact", match->exact, VALUE_BYTES_MAX, msg);
    case WEIR__V1__QUERY_MATCH__MATCH_PREFIX:
        if (*match->prefix == '\0')
            return errmsg_set(msg, ERR_INVALID, "prefix: is empty");
        return check_text("prefix", match->prefix, VALUE_BYTES_MAX, msg);
    case WEIR__V1__QUERY_MATCH__MATCH_REGEX:
        return regex_check("regex", match->regex, NULL, msg);
    case WEIR__V1__QUERY_MATCH__MATCH_PRESENT:
    case WEIR__V1__QUERY_MATCH__MATCH__NOT_SET:
    case _WEIR__V1__QUERY_MATCH__MATCH__CASE_IS_INT_SIZE:
        break;
    }
    return 0;
}

static int check_conditions(const Weir__V1__Match *match, struct errmsg *msg)
{
    int err = check_count("match.headers", match->n_headers, CONDITIONS_MAX, msg);
    for (size_t i = 0; err == 0 && i < match->n_headers; i++) {
        err = check_header_match_text(match->headers[i], msg);
        if (err)
            errmsg_prefix(msg, "match.headers[%zu].", i);
    }
    if (err == 0)
        err = check_count("match.query", match->n_query, CONDITIONS_MAX, msg);
    for (size_t i = 0; err == 0 && i < match->n_query; i++) {
        err = check_query_match(match->query[i], msg);
        if (err)
            errmsg_prefix(msg, "match.query[%zu].", i);
    }
    return err;
}

static int check_match(const struct model_draft *draft, const Weir__V1__Match *match,
                       struct errmsg *msg)
{
    struct model_route_rank *rank = draft->rank;
    *rank = (struct model_route_rank){.path_class = RANK_PREFIX, .path_length = 1};
    if (!match)
        return 0;
    rank->has_methods = match->n_methods > 0;
    rank->header_matches = (unsigned)match->n_headers;
    rank->query_matches = (unsigned)match->n_query;
    int err = match->path ? check_path(draft, match->path, msg) : 0;
    if (err == 0)
        err = check_methods(draft->arena, match, msg);
    return err ? err : check_conditions(match, msg);
}

/* --- what becomes of the request -------------------------------------------------------------- */

static int check_backends(const Weir__V1__Route *route, struct errmsg *msg)
{
    uint64_t total = 0;
    int err = check_count("backends", route->n_backends, BACKENDS_MAX, msg);
    for (size_t i = 0; err == 0 && i < route->n_backends; i++) {
        const Weir__V1__Backend *backend = route->backends[i];
        err = check_name("service", backend->service, msg);
        if (err == 0)
            err = check_u32("weight", backend->weight, 0, WEIGHT_MAX, msg);
        if (err)
            errmsg_prefix(msg, "backends[%zu].", i);
        total += backend->weight ? backend->weight->value : 1;
    }
    if (err == 0 && route->n_backends > 0 && total == 0)
        return errmsg_set(msg, ERR_INVALID, "backends: the weights of all are 0");
    return err;
}

static bool is_prefix_match(const Weir__V1__Route *route)
{
    return route->match && route->match->path &&
           route->match->path->match_case == WEIR__V1__PATH_MATCH__MATCH_PREFIX;
}

static int check_new_prefix(const char *field, const Weir__V1__Route *route, const char *prefix,
                            struct errmsg *msg)
{
    enum { TO_ROOT_BYTES_MAX = 80 }; /* it is done with a regular expression: regex.h */
    if (!is_prefix_match(route))
        return errmsg_set(msg, ERR_INVALID, "%s: needs match.path.prefix", field);
    if (strspn(prefix, "/") == strlen(prefix) &&
        strlen(route->match->path->prefix) > TO_ROOT_BYTES_MAX)
        return errmsg_set(
            msg, ERR_TOO_LARGE,
            "%s: a match.path.prefix of more than %d characters cannot be replaced by "
            "\"/\"",
            field, TO_ROOT_BYTES_MAX);
    return check_path_text(field, prefix, msg);
}

static int check_substitution(const char *substitution, unsigned groups, struct errmsg *msg)
{
    int err = regex_check_substitution(str_from(substitution), groups, msg);
    if (err)
        errmsg_prefix(msg, "rewrite.regex.substitution: ");
    return err;
}

static int check_rewrite(const Weir__V1__Route *route, struct errmsg *msg)
{
    const Weir__V1__Rewrite *rewrite = route->rewrite;
    if (!rewrite)
        return 0;
    int count = (*rewrite->prefix != '\0') + (*rewrite->path != '\0') + (rewrite->regex != NULL);
    if (route->n_backends == 0)
        return errmsg_set(msg, ERR_INVALID, "rewrite: needs backends");
    if (count > 1)
        return errmsg_set(msg, ERR_INVALID, "rewrite: only one of prefix, path and regex");
    int err = 0;
    if (*rewrite->prefix)
        err = check_new_prefix("rewrite.prefix", route, rewrite->prefix, msg);
    if (err == 0 && *rewrite->path)
        err = check_path_text("rewrite.path", rewrite->path, msg);
    if (err == 0 && rewrite->regex) {
        unsigned groups = 0;
        err = regex_check("rewrite.regex.pattern", rewrite->regex->pattern, &groups, msg);
        if (err == 0)
            err = check_text("rewrite.regex.substitution", rewrite->regex->substitution,
                             PATH_BYTES_MAX, msg);
        if (err == 0)
            err = check_substitution(rewrite->regex->substitution, groups, msg);
    }
    if (err == 0 && *rewrite->host)
        err = check_host("rewrite.host", rewrite->host, msg);
    return err;
}

static int check_redirect(const Weir__V1__Route *route, struct errmsg *msg)
{
    const Weir__V1__Redirect *redirect = route->redirect;
    if (!redirect)
        return 0;
    if (*redirect->scheme && strcmp(redirect->scheme, "http") != 0 &&
        strcmp(redirect->scheme, "https") != 0)
        return errmsg_set(msg, ERR_INVALID, "redirect.scheme: must be \"https\" or \"http\"");
    bool changes = *redirect->scheme || *redirect->host || redirect->port || *redirect->path ||
                   *redirect->prefix || redirect->strip_query;
    if (!changes)
        return errmsg_set(msg, ERR_INVALID,
                          "redirect: leads to itself; one of scheme, host, port, path, prefix and "
                          "strip_query is required");
    if (*redirect->path && *redirect->prefix)
        return errmsg_set(msg, ERR_INVALID, "redirect: only one of path and prefix");
    int err = check_range("redirect.port", redirect->port, 0, UINT16_MAX, msg);
    if (err == 0 && *redirect->host)
        err = check_host("redirect.host", redirect->host, msg);
    if (err == 0 && *redirect->path && redirect->path[0] != '/')
        err = errmsg_set(msg, ERR_INVALID, "redirect.path: must begin with '/'");
    if (err == 0)
        err = check_text("redirect.path", redirect->path, PATH_BYTES_MAX, msg);
    if (err == 0 && *redirect->prefix)
        err = check_new_prefix("redirect.prefix", route, redirect->prefix, msg);
    if (err)
        return err;
    switch (redirect->status) {
    case 0:
    case 301:
    case 302:
    case 303:
    case 307:
    case 308:
        return 0;
    }
    return errmsg_set(msg, ERR_INVALID, "redirect.status: must be 301, 302, 303, 307 or 308");
}

static int check_direct_response(const Weir__V1__DirectResponse *response, struct errmsg *msg)
{
    if (!response)
        return 0;
    int err = check_range("direct_response.status", response->status, 200, 599, msg);
    if (err == 0 && strlen(response->body) > VALUE_BYTES_MAX)
        err = errmsg_set(msg, ERR_TOO_LARGE,
                         "direct_response.body: has more than %d bytes; serve it from a service",
                         VALUE_BYTES_MAX);
    if (err == 0)
        err = check_text("direct_response.content_type", response->content_type, 256, msg);
    return err;
}

static int check_action(const Weir__V1__Route *route, struct errmsg *msg)
{
    int count =
        (route->n_backends > 0) + (route->redirect != NULL) + (route->direct_response != NULL);
    if (count != 1)
        return errmsg_set(msg, ERR_INVALID,
                          "backends: %s of backends, redirect and direct_response is needed",
                          count == 0 ? "one" : "exactly one");
    if (route->timeout && route->n_backends == 0)
        return errmsg_set(msg, ERR_INVALID, "timeout: needs backends");
    int err = check_backends(route, msg);
    if (err == 0)
        err = check_redirect(route, msg);
    if (err == 0)
        err = check_direct_response(route->direct_response, msg);
    if (err == 0)
        err = check_rewrite(route, msg);
    if (err == 0)
        err = check_duration("timeout", route->timeout, 0, TIMEOUT_MAX_MS, msg);
    return err;
}

static int check_attachments(const Weir__V1__Route *route, struct errmsg *msg)
{
    int err = check_names("policies", route->policies, route->n_policies, POLICIES_MAX, msg);
    if (err == 0)
        err = check_names("limits", route->limits, route->n_limits, LIMITS_MAX, msg);
    if (err == 0 && (err = check_header_changes(route->request_headers, msg)) != 0)
        errmsg_prefix(msg, "request_headers.");
    if (err == 0 && (err = check_header_changes(route->response_headers, msg)) != 0)
        errmsg_prefix(msg, "response_headers.");
    return err;
}

int route_validate(const struct model_draft *draft, struct errmsg *msg)
{
    const Weir__V1__Route *route = (const Weir__V1__Route *)draft->message;
    if (route->n_gateways == 0)
        return errmsg_set(msg, ERR_INVALID, "gateways: at least one is required");
    int err = check_names("gateways", route->gateways, route->n_gateways, GATEWAYS_MAX, msg);
    if (err == 0)
        err = check_hosts("hosts", route->hosts, route->n_hosts, msg);
    if (err == 0)
        err = check_match(draft, route->match, msg);
    if (err == 0)
        err = check_action(route, msg);
    if (err == 0)
        err = check_attachments(route, msg);
    return err;
}
