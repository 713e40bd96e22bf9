#include "dataplane/http/string_match.h"

struct string_match string_match_of(struct filter_load *load, enum string_match_kind kind,
                                    const char *text, bool ignores_case)
{
    char *copy = arena_copy_string(load->arena, text ? text : "");
    for (char *c = copy; ignores_case && *c; c++)
        *c = ascii_lower(*c);
    return (struct string_match){
        .kind = kind, .ignores_case = ignores_case, .text = str_from(copy)};
}

int string_match_new(struct filter_load *load,
                     const Envoy__Type__Matcher__V3__StringMatcher *message,
                     struct string_match *ret_match, struct errmsg *msg)
{
    if (message->base.n_unknown_fields)
        return errmsg_set(msg, ERR_UNSUPPORTED, "string matcher: a field that is not known here");
    bool ignores_case = message->ignore_case;
    switch (message->match_pattern_case) {
    case ENVOY__TYPE__MATCHER__V3__STRING_MATCHER__MATCH_PATTERN_EXACT:
        *ret_match = string_match_of(load, STRING_MATCH_EXACT, message->exact, ignores_case);
        return 0;
    case ENVOY__TYPE__MATCHER__V3__STRING_MATCHER__MATCH_PATTERN_PREFIX:
        *ret_match = string_match_of(load, STRING_MATCH_PREFIX, message->prefix, ignores_case);
        break;
    case ENVOY__TYPE__MATCHER__V3__STRING_MATCHER__MATCH_PATTERN_SUFFIX:
        *ret_match = string_match_of(load, STRING_MATCH_SUFFIX, message->suffix, ignores_case);
        break;
    case ENVOY__TYPE__MATCHER__V3__STRING_MATCHER__MATCH_PATTERN_CONTAINS:
        *ret_match = string_match_of(load, STRING_MATCH_CONTAINS, message->contains, ignores_case);
        break;
    case ENVOY__TYPE__MATCHER__V3__STRING_MATCHER__MATCH_PATTERN_SAFE_REGEX:
        if (ignores_case)
            return errmsg_set(msg, ERR_INVALID,
                              "string matcher: ignore_case has no effect on a "
                              "regex; write (?i)");
        *ret_match = (struct string_match){.kind = STRING_MATCH_REGEX};
        return route_regex_from_message(load->shared, load->states, message->safe_regex,
                                        &ret_match->regex, msg);
    case ENVOY__TYPE__MATCHER__V3__STRING_MATCHER__MATCH_PATTERN_CUSTOM:
        return errmsg_set(msg, ERR_UNSUPPORTED, "string matcher: custom is not supported");
    case ENVOY__TYPE__MATCHER__V3__STRING_MATCHER__MATCH_PATTERN__NOT_SET:
    case _ENVOY__TYPE__MATCHER__V3__STRING_MATCHER__MATCH_PATTERN__CASE_IS_INT_SIZE:
        return errmsg_set(msg, ERR_INVALID, "string matcher: no pattern is set");
    }
    if (!ret_match->text.len)
        return errmsg_set(msg, ERR_INVALID,
                          "string matcher: an empty prefix, suffix or contains matches everything");
    return 0;
}

static bool equal(struct str a, struct str b, bool ignores_case)
{
    return ignores_case ? str_equal_nocase(a, b) : str_equal(a, b);
}

static bool contains(const struct string_match *match, struct str value)
{
    size_t len = match->text.len;
    if (!match->ignores_case)
        return str_find(value, match->text) < value.len;
    for (size_t i = 0; i + len <= value.len; i++)
        if (str_equal_nocase(str_slice(value, i, i + len), match->text))
            return true;
    return false;
}

static enum match_result test_regex(const struct route_regex *regex, struct str value)
{
    switch (route_regex_match(regex, value)) {
    case ROUTE_REGEX_MATCH:
        return MATCH_YES;
    case ROUTE_REGEX_NO_MATCH:
        return MATCH_NO;
    case ROUTE_REGEX_GAVE_UP:
        break;
    }
    return MATCH_GAVE_UP;
}

enum match_result string_match_test(const struct string_match *match, struct str value)
{
    size_t len = match->text.len;
    bool fits = value.len >= len, is_yes = false;
    switch (match->kind) {
    case STRING_MATCH_ANY:
        return MATCH_YES;
    case STRING_MATCH_EXACT:
        is_yes = equal(value, match->text, match->ignores_case);
        break;
    case STRING_MATCH_PREFIX:
        is_yes = fits && equal(str_slice(value, 0, len), match->text, match->ignores_case);
        break;
    case STRING_MATCH_SUFFIX:
        is_yes = fits && equal(str_slice(value, value.len - len, value.len), match->text,
                               match->ignores_case);
        break;
    case STRING_MATCH_CONTAINS:
        is_yes = fits && contains(match, value);
        break;
    case STRING_MATCH_REGEX:
        return test_regex(match->regex, value);
    }
    return is_yes ? MATCH_YES : MATCH_NO;
}
