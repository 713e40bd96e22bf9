/* How one route matches: decoding RouteMatch, and testing it. */
#include "dataplane/http/path.h"
#include "dataplane/route/route_internal.h"

/* --- decoding --- */

static struct str copy_text(struct arena *arena, const char *text, bool lowers)
{
    char *copy = arena_copy_string(arena, text);
    for (char *c = copy; lowers && *c; c++)
        *c = ascii_lower(*c);
    return str_from(copy);
}

static int set_regex(struct filter_load *load, struct route_rule *rule,
                     const Envoy__Type__Matcher__V3__RegexMatcher *message, struct errmsg *msg)
{
    int err = route_regex_from_message(load->shared, load->states, message, &rule->regex, msg);
    if (err)
        return err;
    rule->kind = ROUTE_PATH_REGEX;
    rule->ignores_case = false;
    rule->path = route_regex_literal_prefix(rule->regex);
    return 0;
}

static int set_path(struct filter_load *load, struct route_rule *rule,
                    const Envoy__Config__Route__V3__RouteMatch *message, struct errmsg *msg)
{
    bool lowers = rule->ignores_case;
    switch (message->path_specifier_case) {
    case ENVOY__CONFIG__ROUTE__V3__ROUTE_MATCH__PATH_SPECIFIER_PREFIX:
        rule->kind = ROUTE_PATH_PREFIX;
        rule->path = copy_text(load->arena, message->prefix, lowers);
        return 0;
    case ENVOY__CONFIG__ROUTE__V3__ROUTE_MATCH__PATH_SPECIFIER_PATH:
        rule->kind = ROUTE_PATH_EXACT;
        rule->path = copy_text(load->arena, message->path, lowers);
        return 0;
    case ENVOY__CONFIG__ROUTE__V3__ROUTE_MATCH__PATH_SPECIFIER_PATH_SEPARATED_PREFIX:
        rule->kind = ROUTE_PATH_SEPARATED_PREFIX;
        rule->path = copy_text(load->arena, message->path_separated_prefix, lowers);
        if (!rule->path.len || rule->path.data[rule->path.len - 1] == '/' ||
            strpbrk(rule->path.data, "?#"))
            return errmsg_set(msg, ERR_INVALID,
                              "path_separated_prefix must not be empty, end in '/' or have ? or #");
        return 0;
    case ENVOY__CONFIG__ROUTE__V3__ROUTE_MATCH__PATH_SPECIFIER_SAFE_REGEX:
        return set_regex(load, rule, message->safe_regex, msg);
    case ENVOY__CONFIG__ROUTE__V3__ROUTE_MATCH__PATH_SPECIFIER_CONNECT_MATCHER:
        return errmsg_set(msg, ERR_UNSUPPORTED, "connect_matcher is not supported");
    case ENVOY__CONFIG__ROUTE__V3__ROUTE_MATCH__PATH_SPECIFIER_PATH_MATCH_POLICY:
        return errmsg_set(msg, ERR_UNSUPPORTED, "path_match_policy is not supported");
    case ENVOY__CONFIG__ROUTE__V3__ROUTE_MATCH__PATH_SPECIFIER__NOT_SET:
    case _ENVOY__CONFIG__ROUTE__V3__ROUTE_MATCH__PATH_SPECIFIER__CASE_IS_INT_SIZE:
        break;
    }
    return errmsg_set(msg, ERR_INVALID, "no path condition is set (for every path: prefix \"/\")");
}

static int set_fraction(struct route_conditions *conditions,
                        const Envoy__Config__Core__V3__RuntimeFractionalPercent *message,
                        struct errmsg *msg)
{
    static const uint32_t denominators[] = {100, 10000, 1000000};
    const Envoy__Type__V3__FractionalPercent *share = message->default_value;
    if (!share)
        return errmsg_set(msg, ERR_INVALID, "runtime_fraction: default_value is missing");
    unsigned denominator = (unsigned)share->denominator;
    if (denominator >= sizeof denominators / sizeof *denominators)
        return errmsg_set(msg, ERR_INVALID, "runtime_fraction: unknown denominator");
    conditions->fraction_numerator = share->numerator;
    conditions->fraction_denominator = denominators[denominator];
    return 0;
}

static int set_query(struct filter_load *load, struct query_match *match,
                     const Envoy__Config__Route__V3__QueryParameterMatcher *message,
                     struct errmsg *msg)
{
    if (message->base.n_unknown_fields)
        return errmsg_set(msg, ERR_UNSUPPORTED, "a field that is not known here");
    if (!*message->name)
        return errmsg_set(msg, ERR_INVALID, "the name is missing");
    match->name = copy_text(load->arena, message->name, false);
    switch (message->query_parameter_match_specifier_case) {
    case ENVOY__CONFIG__ROUTE__V3__QUERY_PARAMETER_MATCHER__QUERY_PARAMETER_MATCH_SPECIFIER_STRING_MATCH:
        return string_match_new(load, message->string_match, &match->string, msg);
    case ENVOY__CONFIG__ROUTE__V3__QUERY_PARAMETER_MATCHER__QUERY_PARAMETER_MATCH_SPECIFIER_PRESENT_MATCH:
        match->is_presence = true;
        match->wants_presence = message->present_match;
        return 0;
    case ENVOY__CONFIG__ROUTE__V3__QUERY_PARAMETER_MATCHER__QUERY_PARAMETER_MATCH_SPECIFIER__NOT_SET:
    case _ENVOY__CONFIG__ROUTE__V3__QUERY_PARAMETER_MATCHER__QUERY_PARAMETER_MATCH_SPECIFIER__CASE_IS_INT_SIZE:
        break;
    }
    match->is_presence = match->wants_presence = true;
    return 0;
}

static int set_queries(struct filter_load *load, struct route_conditions *conditions,
                       const Envoy__Config__Route__V3__RouteMatch *message, struct errmsg *msg)
{
    size_t count = message->n_query_parameters;
    if (!count)
        return 0;
    struct query_match *matches = arena_alloc_array(load->arena, count, sizeof *matches);
    for (size_t i = 0; i < count; i++) {
        int err = set_query(load, &matches[i], message->query_parameters[i], msg);
        if (err) {
            errmsg_prefix(msg, "query parameter %s: ", message->query_parameters[i]->name);
            return err;
        }
    }
    conditions->queries = matches;
    conditions->query_count = (uint32_t)count;
    return 0;
}

/* Conditions that we cannot test: taking the route without them would let in what was meant to stay
 * out. */
static int refuse_unsupported(const Envoy__Config__Route__V3__RouteMatch *message,
                              struct errmsg *msg)
{
    const char *what = message->tls_context             ? "tls_context"
                       : message->n_dynamic_metadata    ? "dynamic_metadata"
                       : message->n_filter_state        ? "filter_state"
                       : message->n_cookies             ? "cookies"
                       : message->base.n_unknown_fields ? "a field that is not known here"
                                                        : NULL;
    return what ? errmsg_set(msg, ERR_UNSUPPORTED, "%s is not supported", what) : 0;
}

static int set_conditions(struct filter_load *load, struct route_rule *rule,
                          const Envoy__Config__Route__V3__RouteMatch *message, struct errmsg *msg)
{
    if (!message->n_headers && !message->n_query_parameters && !message->grpc &&
        !message->runtime_fraction)
        return 0;
    struct route_conditions *conditions = ARENA_NEW(load->arena, struct route_conditions);
    int err =
        header_match_new(load, message->headers, message->n_headers, &conditions->headers, msg);
    conditions->header_count = (uint32_t)message->n_headers;
    if (!err)
        err = set_queries(load, conditions, message, msg);
    if (!err && message->runtime_fraction)
        err = set_fraction(conditions, message->runtime_fraction, msg);
    conditions->is_grpc_only = message->grpc != NULL;
    rule->conditions = conditions;
    return err;
}

int route_rule_init(struct filter_load *load, const Envoy__Config__Route__V3__RouteMatch *message,
                    struct route_rule *rule, struct errmsg *msg)
{
    rule->ignores_case = message->case_sensitive && !message->case_sensitive->value;
    int err = refuse_unsupported(message, msg);
    if (!err)
        err = set_path(load, rule, message, msg);
    if (!err)
        err = set_conditions(load, rule, message, msg);
    if (err)
        errmsg_prefix(msg, "match: ");
    return err;
}

/* --- testing --- */

/* The value of the first parameter of that name, as it stands in the path (Envoy does not decode
 * here either); data NULL where there is none. */
static struct str query_value(struct str path_and_query, struct str name)
{
    for (size_t at = path_query_at(path_and_query); at < path_and_query.len;) {
        size_t from = at + 1, end = str_find_char(path_and_query, '&', from);
        struct str pair = str_slice(path_and_query, from, end);
        size_t equals = str_find_char(pair, '=', 0);
        if (str_equal(str_slice(pair, 0, equals), name))
            return equals < pair.len ? str_slice(pair, equals + 1, pair.len) : STR("");
        at = end;
    }
    return (struct str){0};
}

static enum match_result test_queries(const struct route_conditions *conditions,
                                      struct str path_and_query)
{
    for (uint32_t i = 0; i < conditions->query_count; i++) {
        const struct query_match *match = &conditions->queries[i];
        struct str value = query_value(path_and_query, match->name);
        enum match_result result = MATCH_NO;
        if (match->is_presence)
            result = (value.data != NULL) == match->wants_presence ? MATCH_YES : MATCH_NO;
        else if (value.data)
            result = string_match_test(&match->string, value);
        if (result != MATCH_YES)
            return result;
    }
    return MATCH_YES;
}

static enum match_result test_conditions(const struct route_conditions *conditions,
                                         const struct route_match_input *input)
{
    if (conditions->is_grpc_only && !http_request_is_grpc(input->request))
        return MATCH_NO;
    if (conditions->fraction_denominator &&
        input->random % conditions->fraction_denominator >= conditions->fraction_numerator)
        return MATCH_NO;
    enum match_result result = header_match_all(conditions->headers, conditions->header_count,
                                                input->request, input->is_tls);
    return result == MATCH_YES ? test_queries(conditions, input->request->path) : result;
}

static enum match_result test_regex(const struct route_regex *regex, struct str path)
{
    if (!str_ends_with(path, route_regex_literal_suffix(regex)))
        return MATCH_NO;
    switch (route_regex_match(regex, path)) {
    case ROUTE_REGEX_MATCH:
        return MATCH_YES;
    case ROUTE_REGEX_NO_MATCH:
        return MATCH_NO;
    case ROUTE_REGEX_GAVE_UP:
        break;
    }
    return MATCH_GAVE_UP;
}

enum match_result route_rule_test_rest(const struct route_rule *rule, struct str path,
                                       const struct route_match_input *input)
{
    enum match_result result = MATCH_YES;
    switch (rule->kind) {
    case ROUTE_PATH_PREFIX:
        break;
    case ROUTE_PATH_EXACT:
        result = path.len == rule->path.len ? MATCH_YES : MATCH_NO;
        break;
    case ROUTE_PATH_SEPARATED_PREFIX:
        if (path.len > rule->path.len && path.data[rule->path.len] != '/')
            result = MATCH_NO;
        break;
    case ROUTE_PATH_REGEX:
        result = test_regex(rule->regex, path);
        break;
    }
    if (result != MATCH_YES || !rule->conditions)
        return result;
    return test_conditions(rule->conditions, input);
}

enum match_result route_rule_test(const struct route_rule *rule, struct str path,
                                  const struct route_match_input *input)
{
    if (path.len < rule->path.len)
        return MATCH_NO;
    struct str begin = str_slice(path, 0, rule->path.len);
    bool begins =
        rule->ignores_case ? str_equal_nocase(begin, rule->path) : str_equal(begin, rule->path);
    return begins ? route_rule_test_rest(rule, path, input) : MATCH_NO;
}
