#include "controlplane/translate/local_reply.h"

#include "controlplane/model/check.h"
#include "controlplane/policy/build.h"

typedef Envoy__Extensions__Filters__Network__HttpConnectionManager__V3__LocalReplyConfig
    LocalReplyConfig;
typedef Envoy__Extensions__Filters__Network__HttpConnectionManager__V3__ResponseMapper Mapper;
typedef Envoy__Config__Accesslog__V3__AccessLogFilter Filter;
typedef Envoy__Config__Core__V3__SubstitutionFormatString Format;
typedef Envoy__Config__Route__V3__HeaderMatcher HeaderMatcher;

/* --- bodies ----------------------------------------------------------------------------------- */

/* Members of the problem document; values are Envoy's format commands. %RESPONSE_CODE% alone is a
 * number. */
static const char *const members[][2] = {
    {"type", "about:blank"},
    {"status", "%RESPONSE_CODE%"},
    {"detail", "%LOCAL_REPLY_BODY%"},
    {"code", "%RESPONSE_CODE_DETAILS%"},
    {"request_id", "%REQ(X-REQUEST-ID)%"},
};
enum { MEMBER_COUNT = sizeof members / sizeof *members };

static Format *problem_format(struct arena *arena)
{
    Format *format = build_json_format(arena, members, MEMBER_COUNT);
    format->content_type = build_text(arena, "application/problem+json");
    return format;
}

static Format *text_format(struct arena *arena)
{
    Format *format =
        build_message(arena, &envoy__config__core__v3__substitution_format_string__descriptor);
    Envoy__Config__Core__V3__DataSource *source =
        build_message(arena, &envoy__config__core__v3__data_source__descriptor);
    source->specifier_case = ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER_INLINE_STRING;
    source->inline_string = build_text(arena, "%LOCAL_REPLY_BODY%");
    format->format_case =
        ENVOY__CONFIG__CORE__V3__SUBSTITUTION_FORMAT_STRING__FORMAT_TEXT_FORMAT_SOURCE;
    format->text_format_source = source;
    format->content_type = build_text(arena, "text/plain");
    return format;
}

/* --- who gets which --------------------------------------------------------------------------- */

static Filter *header_filter(struct arena *arena, const char *name, const char *prefix)
{
    Filter *filter =
        build_message(arena, &envoy__config__accesslog__v3__access_log_filter__descriptor);
    HeaderMatcher *matcher =
        build_message(arena, &envoy__config__route__v3__header_matcher__descriptor);
    matcher->name = build_text(arena, name);
    if (prefix) {
        Envoy__Type__Matcher__V3__StringMatcher *text =
            build_message(arena, &envoy__type__matcher__v3__string_matcher__descriptor);
        text->match_pattern_case = ENVOY__TYPE__MATCHER__V3__STRING_MATCHER__MATCH_PATTERN_PREFIX;
        text->prefix = build_text(arena, prefix);
        matcher->header_match_specifier_case =
            ENVOY__CONFIG__ROUTE__V3__HEADER_MATCHER__HEADER_MATCH_SPECIFIER_STRING_MATCH;
        matcher->string_match = text;
    } else {
        matcher->header_match_specifier_case =
            ENVOY__CONFIG__ROUTE__V3__HEADER_MATCHER__HEADER_MATCH_SPECIFIER_PRESENT_MATCH;
        matcher->present_match = true;
    }
    filter->filter_specifier_case =
        ENVOY__CONFIG__ACCESSLOG__V3__ACCESS_LOG_FILTER__FILTER_SPECIFIER_HEADER_FILTER;
    filter->header_filter =
        build_message(arena, &envoy__config__accesslog__v3__header_filter__descriptor);
    filter->header_filter->header = matcher;
    return filter;
}

static Filter *status_filter(struct arena *arena, uint32_t status_max)
{
    Filter *filter =
        build_message(arena, &envoy__config__accesslog__v3__access_log_filter__descriptor);
    Envoy__Config__Accesslog__V3__ComparisonFilter *comparison =
        build_message(arena, &envoy__config__accesslog__v3__comparison_filter__descriptor);
    comparison->op = ENVOY__CONFIG__ACCESSLOG__V3__COMPARISON_FILTER__OP__LE;
    comparison->value = build_message(arena, &envoy__config__core__v3__runtime_uint32__descriptor);
    comparison->value->default_value = status_max;
    comparison->value->runtime_key = build_text(arena, "weir.local_reply.plain_status_max");
    filter->filter_specifier_case =
        ENVOY__CONFIG__ACCESSLOG__V3__ACCESS_LOG_FILTER__FILTER_SPECIFIER_STATUS_CODE_FILTER;
    filter->status_code_filter =
        build_message(arena, &envoy__config__accesslog__v3__status_code_filter__descriptor);
    filter->status_code_filter->comparison = comparison;
    return filter;
}

static void add_plain_mapper(struct arena *arena, LocalReplyConfig *config, Filter *filter)
{
    Mapper *mapper = build_message(
        arena,
        &envoy__extensions__filters__network__http_connection_manager__v3__response_mapper__descriptor);
    mapper->filter = filter;
    mapper->body_format_override = text_format(arena);
    config->mappers[config->n_mappers++] = mapper;
}

LocalReplyConfig *local_reply_config(struct arena *arena)
{
    LocalReplyConfig *config = build_message(
        arena,
        &envoy__extensions__filters__network__http_connection_manager__v3__local_reply_config__descriptor);
    config->mappers = build_list(arena, 4);
    add_plain_mapper(arena, config, header_filter(arena, DIRECT_RESPONSE_HEADER, NULL));
    add_plain_mapper(arena, config, status_filter(arena, 399));
    add_plain_mapper(arena, config, header_filter(arena, "accept", "text/"));
    add_plain_mapper(arena, config, header_filter(arena, "content-type", "application/grpc"));
    config->body_format = problem_format(arena);
    return config;
}
