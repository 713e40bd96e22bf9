#include "dataplane/http/header_match.h"

enum header_match_kind { HEADER_MATCH_PRESENT, HEADER_MATCH_RANGE, HEADER_MATCH_STRING };

struct header_match {
    struct str name; /* lower case */
    enum header_id id;
    enum header_match_kind kind;
    bool is_inverted;
    bool takes_missing_as_empty;
    bool wants_presence; /* of HEADER_MATCH_PRESENT */
    int64_t range_start, range_end;
    struct string_match string;
};

/* --- compiling --- */

static int set_range(struct header_match *match, const Envoy__Type__V3__Int64Range *range,
                     struct errmsg *msg)
{
    if (range->base.n_unknown_fields)
        return errmsg_set(msg, ERR_UNSUPPORTED, "range_match: a field that is not known here");
    if (range->start >= range->end)
        return errmsg_set(msg, ERR_INVALID, "range_match: start must be less than end");
    match->kind = HEADER_MATCH_RANGE;
    match->range_start = range->start;
    match->range_end = range->end;
    return 0;
}

/* One of the old spellings that hold their text themselves. */
static int set_text(struct filter_load *load, struct header_match *match,
                    enum string_match_kind kind, const char *text, struct errmsg *msg)
{
    if (kind != STRING_MATCH_EXACT && !*text)
        return errmsg_set(msg, ERR_INVALID, "an empty text matches everything");
    match->string = string_match_of(load, kind, text, false);
    return 0;
}

static int set_condition(struct filter_load *load, struct header_match *match,
                         const Envoy__Config__Route__V3__HeaderMatcher *message, struct errmsg *msg)
{
    match->kind = HEADER_MATCH_STRING;
    switch (message->header_match_specifier_case) {
    case ENVOY__CONFIG__ROUTE__V3__HEADER_MATCHER__HEADER_MATCH_SPECIFIER_EXACT_MATCH:
        return set_text(load, match, STRING_MATCH_EXACT, message->exact_match, msg);
    case ENVOY__CONFIG__ROUTE__V3__HEADER_MATCHER__HEADER_MATCH_SPECIFIER_PREFIX_MATCH:
        return set_text(load, match, STRING_MATCH_PREFIX, message->prefix_match, msg);
    case ENVOY__CONFIG__ROUTE__V3__HEADER_MATCHER__HEADER_MATCH_SPECIFIER_SUFFIX_MATCH:
        return set_text(load, match, STRING_MATCH_SUFFIX, message->suffix_match, msg);
    case ENVOY__CONFIG__ROUTE__V3__HEADER_MATCHER__HEADER_MATCH_SPECIFIER_CONTAINS_MATCH:
        return set_text(load, match, STRING_MATCH_CONTAINS, message->contains_match, msg);
    case ENVOY__CONFIG__ROUTE__V3__HEADER_MATCHER__HEADER_MATCH_SPECIFIER_SAFE_REGEX_MATCH:
        match->string = (struct string_match){.kind = STRING_MATCH_REGEX};
        return route_regex_from_message(load->shared, load->states, message->safe_regex_match,
                                        &match->string.regex, msg);
    case ENVOY__CONFIG__ROUTE__V3__HEADER_MATCHER__HEADER_MATCH_SPECIFIER_STRING_MATCH:
        return string_match_new(load, message->string_match, &match->string, msg);
    case ENVOY__CONFIG__ROUTE__V3__HEADER_MATCHER__HEADER_MATCH_SPECIFIER_RANGE_MATCH:
        return set_range(match, message->range_match, msg);
    case ENVOY__CONFIG__ROUTE__V3__HEADER_MATCHER__HEADER_MATCH_SPECIFIER_PRESENT_MATCH:
        match->kind = HEADER_MATCH_PRESENT;
        match->wants_presence = message->present_match;
        return 0;
    case ENVOY__CONFIG__ROUTE__V3__HEADER_MATCHER__HEADER_MATCH_SPECIFIER__NOT_SET:
    case _ENVOY__CONFIG__ROUTE__V3__HEADER_MATCHER__HEADER_MATCH_SPECIFIER__CASE_IS_INT_SIZE:
        break;
    }
    match->kind = HEADER_MATCH_PRESENT;
    match->wants_presence = true;
    return 0;
}

static bool is_pseudo(struct str name)
{
    return str_equal(name, STR(":method")) || str_equal(name, STR(":path")) ||
           str_equal(name, STR(":authority")) || str_equal(name, STR(":scheme"));
}

static int header_match_init(struct filter_load *load, struct header_match *match,
                             const Envoy__Config__Route__V3__HeaderMatcher *message,
                             struct errmsg *msg)
{
    if (message->base.n_unknown_fields)
        return errmsg_set(msg, ERR_UNSUPPORTED, "a field that is not known here");
    char *name = arena_copy_string(load->arena, message->name);
    for (char *c = name; *c; c++)
        *c = ascii_lower(*c);
    match->name = str_from(name);
    if (!is_pseudo(match->name) && !header_name_is_valid(match->name))
        return errmsg_set(msg, ERR_INVALID, "this is not a header name");
    if (str_equal(match->name, STR("host")))
        match->name = STR(":authority");
    match->id = header_id_of(match->name);
    match->is_inverted = message->invert_match;
    match->takes_missing_as_empty = message->treat_missing_header_as_empty;
    return set_condition(load, match, message, msg);
}

int header_match_new(struct filter_load *load,
                     Envoy__Config__Route__V3__HeaderMatcher *const *messages, size_t count,
                     const struct header_match **ret_matches, struct errmsg *msg)
{
    struct header_match *matches =
        count ? arena_alloc_array(load->arena, count, sizeof *matches) : NULL;
    for (size_t i = 0; i < count; i++) {
        int err = header_match_init(load, &matches[i], messages[i], msg);
        if (err) {
            errmsg_prefix(msg, "header %s: ", messages[i]->name);
            return err;
        }
    }
    *ret_matches = matches;
    return 0;
}

/* --- matching --- */

static struct str pseudo_value(const struct http_request *request, struct str name, bool is_tls)
{
    switch (name.data[1]) {
    case 'm':
        return request->method;
    case 'p':
        return request->path;
    case 'a':
        return request->authority;
    default:
        if (request->scheme.len)
            return request->scheme;
        return is_tls ? STR("https") : STR("http");
    }
}

static const struct header *first_line(const struct header_list *headers, enum header_id id,
                                       struct str name)
{
    return id == HEADER_OTHER ? header_list_find_name(headers, name)
                              : header_list_find(headers, id);
}

struct str header_match_value(const struct http_request *request, enum header_id id,
                              struct str name, bool is_tls)
{
    if (name.len && name.data[0] == ':')
        return pseudo_value(request, name, is_tls);
    if (id == HEADER_HOST)
        return request->authority;
    const struct header *first = first_line(&request->headers, id, name);
    if (!first)
        return (struct str){0};
    return first->value.data ? first->value : STR("");
}

/* A whole decimal integer, as Envoy's range match reads it. */
static bool parse_integer(struct str value, int64_t *ret)
{
    bool is_negative = value.len && value.data[0] == '-';
    bool has_sign = is_negative || (value.len && value.data[0] == '+');
    uint64_t magnitude;
    if (!str_to_u64(str_slice(value, has_sign, value.len), (uint64_t)INT64_MAX, &magnitude))
        return false;
    *ret = is_negative ? -(int64_t)magnitude : (int64_t)magnitude;
    return true;
}

static enum match_result test_value(const struct header_match *match, struct str value)
{
    int64_t number;
    if (match->kind == HEADER_MATCH_STRING)
        return string_match_test(&match->string, value);
    return parse_integer(value, &number) && number >= match->range_start &&
                   number < match->range_end
               ? MATCH_YES
               : MATCH_NO;
}

/* Whether any of the lines matches: so Envoy takes several lines of one name, where it has not made
 * them one (header_list_join_lines). */
static enum match_result test_lines(const struct header_match *match,
                                    const struct http_request *request, struct str value)
{
    const struct header_list *headers = &request->headers;
    enum match_result result = test_value(match, value);
    if (result != MATCH_NO || match->name.data[0] == ':')
        return result;
    const struct header *line = first_line(headers, match->id, match->name);
    while (result == MATCH_NO && line && (line = header_list_find_next(headers, line)))
        result = test_value(match, line->value);
    return result;
}

static enum match_result test_header(const struct header_match *match,
                                     const struct http_request *request, bool is_tls)
{
    struct str value = header_match_value(request, match->id, match->name, is_tls);
    if (match->kind == HEADER_MATCH_PRESENT) {
        bool is_there = value.data || match->takes_missing_as_empty;
        return (is_there == match->wants_presence) != match->is_inverted ? MATCH_YES : MATCH_NO;
    }
    if (!value.data && !match->takes_missing_as_empty)
        return MATCH_NO;
    enum match_result result = test_lines(match, request, value.data ? value : STR(""));
    if (result == MATCH_GAVE_UP)
        return result;
    return (result == MATCH_YES) != match->is_inverted ? MATCH_YES : MATCH_NO;
}

enum match_result header_match_all(const struct header_match *matches, size_t count,
                                   const struct http_request *request, bool is_tls)
{
    for (size_t i = 0; i < count; i++) {
        enum match_result result = test_header(&matches[i], request, is_tls);
        if (result != MATCH_YES)
            return result;
    }
    return MATCH_YES;
}
