#include "controlplane/translate/route_match.h"

#include "controlplane/model/path_template.h"
#include "controlplane/policy/build.h"

typedef Envoy__Config__Route__V3__RouteMatch RouteMatch;
typedef Envoy__Config__Route__V3__HeaderMatcher HeaderMatcher;
typedef Envoy__Config__Route__V3__QueryParameterMatcher QueryMatcher;
typedef Envoy__Type__Matcher__V3__StringMatcher StringMatcher;

/* --- paths ------------------------------------------------------------------------------------ */

static void set_prefix(RouteMatch *match, char *prefix)
{
    size_t len = strlen(prefix);
    if (prefix[len - 1] == '/') { /* "/" and "/users/": what is below */
        match->path_specifier_case = ENVOY__CONFIG__ROUTE__V3__ROUTE_MATCH__PATH_SPECIFIER_PREFIX;
        match->prefix = prefix;
    } else {
        match->path_specifier_case =
            ENVOY__CONFIG__ROUTE__V3__ROUTE_MATCH__PATH_SPECIFIER_PATH_SEPARATED_PREFIX;
        match->path_separated_prefix = prefix;
    }
}

static void set_regex(struct arena *arena, RouteMatch *match, char *regex)
{
    match->path_specifier_case = ENVOY__CONFIG__ROUTE__V3__ROUTE_MATCH__PATH_SPECIFIER_SAFE_REGEX;
    match->safe_regex = build_regex(arena, regex);
}

static void set_path(struct arena *arena, RouteMatch *match, const Weir__V1__PathMatch *path)
{
    static char root[] = "/";
    switch (path ? path->match_case : WEIR__V1__PATH_MATCH__MATCH__NOT_SET) {
    case WEIR__V1__PATH_MATCH__MATCH_EXACT:
        match->path_specifier_case = ENVOY__CONFIG__ROUTE__V3__ROUTE_MATCH__PATH_SPECIFIER_PATH;
        match->path = path->exact;
        return;
    case WEIR__V1__PATH_MATCH__MATCH_PREFIX:
        set_prefix(match, path->prefix);
        return;
    case WEIR__V1__PATH_MATCH__MATCH_TEMPLATE:
        set_regex(arena, match, path_template_regex(arena, path->template_));
        return;
    case WEIR__V1__PATH_MATCH__MATCH_REGEX:
        set_regex(arena, match, path->regex);
        return;
    case WEIR__V1__PATH_MATCH__MATCH__NOT_SET:
    case _WEIR__V1__PATH_MATCH__MATCH__CASE_IS_INT_SIZE:
        break;
    }
    set_prefix(match, root);
}

/* --- headers and query ------------------------------------------------------------------------ */

static StringMatcher *exact_matcher(struct arena *arena, const char *text)
{
    StringMatcher *matcher =
        build_message(arena, &envoy__type__matcher__v3__string_matcher__descriptor);
    matcher->match_pattern_case = ENVOY__TYPE__MATCHER__V3__STRING_MATCHER__MATCH_PATTERN_EXACT;
    matcher->exact = build_text(arena, text);
    return matcher;
}

static StringMatcher *regex_matcher(struct arena *arena, char *regex)
{
    StringMatcher *matcher =
        build_message(arena, &envoy__type__matcher__v3__string_matcher__descriptor);
    matcher->match_pattern_case =
        ENVOY__TYPE__MATCHER__V3__STRING_MATCHER__MATCH_PATTERN_SAFE_REGEX;
    matcher->safe_regex = build_regex(arena, regex);
    return matcher;
}

static StringMatcher *header_value_matcher(struct arena *arena, const Weir__V1__HeaderMatch *match)
{
    StringMatcher *matcher =
        build_message(arena, &envoy__type__matcher__v3__string_matcher__descriptor);
    switch (match->match_case) {
    case WEIR__V1__HEADER_MATCH__MATCH_EXACT:
        return exact_matcher(arena, match->exact);
    case WEIR__V1__HEADER_MATCH__MATCH_REGEX:
        return regex_matcher(arena, match->regex);
    case WEIR__V1__HEADER_MATCH__MATCH_PREFIX:
        matcher->match_pattern_case =
            ENVOY__TYPE__MATCHER__V3__STRING_MATCHER__MATCH_PATTERN_PREFIX;
        matcher->prefix = match->prefix;
        return matcher;
    case WEIR__V1__HEADER_MATCH__MATCH_SUFFIX:
        matcher->match_pattern_case =
            ENVOY__TYPE__MATCHER__V3__STRING_MATCHER__MATCH_PATTERN_SUFFIX;
        matcher->suffix = match->suffix;
        return matcher;
    case WEIR__V1__HEADER_MATCH__MATCH_CONTAINS:
        matcher->match_pattern_case =
            ENVOY__TYPE__MATCHER__V3__STRING_MATCHER__MATCH_PATTERN_CONTAINS;
        matcher->contains = match->contains;
        return matcher;
    case WEIR__V1__HEADER_MATCH__MATCH_PRESENT:
    case WEIR__V1__HEADER_MATCH__MATCH__NOT_SET:
    case _WEIR__V1__HEADER_MATCH__MATCH__CASE_IS_INT_SIZE:
        break;
    }
    return NULL;
}

static HeaderMatcher *header_matcher(struct arena *arena, const Weir__V1__HeaderMatch *match)
{
    HeaderMatcher *matcher =
        build_message(arena, &envoy__config__route__v3__header_matcher__descriptor);
    StringMatcher *value = header_value_matcher(arena, match);
    matcher->name = match->name;
    matcher->invert_match = match->invert;
    if (value) {
        matcher->header_match_specifier_case =
            ENVOY__CONFIG__ROUTE__V3__HEADER_MATCHER__HEADER_MATCH_SPECIFIER_STRING_MATCH;
        matcher->string_match = value;
        return matcher;
    }
    bool wants_absence =
        match->match_case == WEIR__V1__HEADER_MATCH__MATCH_PRESENT && !match->present;
    matcher->header_match_specifier_case =
        ENVOY__CONFIG__ROUTE__V3__HEADER_MATCHER__HEADER_MATCH_SPECIFIER_PRESENT_MATCH;
    matcher->present_match = true;
    matcher->invert_match = match->invert != (protobuf_c_boolean)wants_absence;
    return matcher;
}

/* One method, or several as a regular expression: "GET|HEAD". */
static HeaderMatcher *method_matcher(struct arena *arena, const Weir__V1__Match *match)
{
    HeaderMatcher *matcher =
        build_message(arena, &envoy__config__route__v3__header_matcher__descriptor);
    char *methods = arena_copy_string(arena, match->methods[0]);
    for (size_t i = 1; i < match->n_methods; i++)
        methods = arena_printf(arena, "%s|%s", methods, match->methods[i]);
    matcher->name = build_text(arena, ":method");
    matcher->header_match_specifier_case =
        ENVOY__CONFIG__ROUTE__V3__HEADER_MATCHER__HEADER_MATCH_SPECIFIER_STRING_MATCH;
    matcher->string_match =
        match->n_methods == 1 ? exact_matcher(arena, methods) : regex_matcher(arena, methods);
    return matcher;
}

static QueryMatcher *query_matcher(struct arena *arena, const Weir__V1__QueryMatch *match)
{
    QueryMatcher *matcher =
        build_message(arena, &envoy__config__route__v3__query_parameter_matcher__descriptor);
    StringMatcher *value = NULL;
    bool wants_presence = true;
    matcher->name = match->name;
    switch (match->match_case) {
    case WEIR__V1__QUERY_MATCH__MATCH_EXACT:
        value = exact_matcher(arena, match->exact);
        break;
    case WEIR__V1__QUERY_MATCH__MATCH_REGEX:
        value = regex_matcher(arena, match->regex);
        break;
    case WEIR__V1__QUERY_MATCH__MATCH_PREFIX:
        value = build_message(arena, &envoy__type__matcher__v3__string_matcher__descriptor);
        value->match_pattern_case = ENVOY__TYPE__MATCHER__V3__STRING_MATCHER__MATCH_PATTERN_PREFIX;
        value->prefix = match->prefix;
        break;
    case WEIR__V1__QUERY_MATCH__MATCH_PRESENT:
        wants_presence = match->present;
        break;
    case WEIR__V1__QUERY_MATCH__MATCH__NOT_SET:
    case _WEIR__V1__QUERY_MATCH__MATCH__CASE_IS_INT_SIZE:
        break;
    }
    if (value) {
        matcher->query_parameter_match_specifier_case =
            ENVOY__CONFIG__ROUTE__V3__QUERY_PARAMETER_MATCHER__QUERY_PARAMETER_MATCH_SPECIFIER_STRING_MATCH;
        matcher->string_match = value;
    } else {
        matcher->query_parameter_match_specifier_case =
            ENVOY__CONFIG__ROUTE__V3__QUERY_PARAMETER_MATCHER__QUERY_PARAMETER_MATCH_SPECIFIER_PRESENT_MATCH;
        matcher->present_match = wants_presence;
    }
    return matcher;
}

static void set_conditions(struct arena *arena, RouteMatch *message, const Weir__V1__Match *match)
{
    if (!match)
        return;
    message->headers = build_list(arena, match->n_headers + 1);
    if (match->n_methods > 0)
        message->headers[message->n_headers++] = method_matcher(arena, match);
    for (size_t i = 0; i < match->n_headers; i++)
        message->headers[message->n_headers++] = header_matcher(arena, match->headers[i]);
    message->query_parameters = build_list(arena, match->n_query);
    for (size_t i = 0; i < match->n_query; i++)
        message->query_parameters[message->n_query_parameters++] =
            query_matcher(arena, match->query[i]);
}

RouteMatch *route_match_build(struct arena *arena, const Weir__V1__Match *match)
{
    RouteMatch *message = build_message(arena, &envoy__config__route__v3__route_match__descriptor);
    set_path(arena, message, match ? match->path : NULL);
    set_conditions(arena, message, match);
    return message;
}

RouteMatch *route_match_build_grpc(struct arena *arena, const Weir__V1__Match *match)
{
    RouteMatch *message = route_match_build(arena, match);
    if (message->path_specifier_case ==
        ENVOY__CONFIG__ROUTE__V3__ROUTE_MATCH__PATH_SPECIFIER_PATH_SEPARATED_PREFIX)
        set_regex(
            arena, message,
            arena_printf(arena, "%s(?:/.*)?", regex_quote(arena, message->path_separated_prefix)));
    return message;
}
