/* Conditions of access logs and local reply mappers (AccessLogFilter). */
#include "dataplane/http/access_log.h"
#include "dataplane/http/header_match.h"

enum filter_kind {
    FILTER_STATUS,
    FILTER_DURATION,
    FILTER_ALWAYS,
    FILTER_AND,
    FILTER_OR,
    FILTER_HEADER,
    FILTER_FLAGS,
};

struct access_log_filter {
    enum filter_kind kind;
    Envoy__Config__Accesslog__V3__ComparisonFilter__Op comparison;
    uint32_t value;                            /* compared with; or the flags wanted, 0: any */
    const struct header_match *header;         /* one */
    const struct access_log_filter **children; /* of FILTER_AND and FILTER_OR */
    size_t child_count;
};

typedef Envoy__Config__Accesslog__V3__AccessLogFilter filter_message;

static const struct {
    const char *name;
    uint32_t flag;
} flag_names[] = {
    {"UH", FLAG_NO_HEALTHY_UPSTREAM},
    {"UF", FLAG_UPSTREAM_CONNECTION_FAILURE},
    {"UO", FLAG_UPSTREAM_OVERFLOW},
    {"NR", FLAG_NO_ROUTE},
    {"UT", FLAG_UPSTREAM_TIMEOUT},
    {"LR", FLAG_LOCAL_RESET},
    {"UR", FLAG_UPSTREAM_REMOTE_RESET},
    {"UC", FLAG_UPSTREAM_TERMINATION},
    {"DI", FLAG_DELAY},
    {"RL", FLAG_RATE_LIMITED},
    {"UAEX", FLAG_UNAUTHORIZED},
    {"DC", FLAG_DOWNSTREAM_TERMINATION},
    {"SI", FLAG_STREAM_IDLE_TIMEOUT},
    {"DPE", FLAG_DOWNSTREAM_PROTOCOL_ERROR},
    {"UPE", FLAG_UPSTREAM_PROTOCOL_ERROR},
    {"NC", FLAG_NO_CLUSTER},
    {"URX", FLAG_UPSTREAM_RETRY_LIMIT},
};

/* --- compiling --- */

static int filter_new(struct filter_load *load, const filter_message *message, unsigned depth,
                      const struct access_log_filter **ret_filter, struct errmsg *msg);

static int set_comparison(struct access_log_filter *filter, enum filter_kind kind,
                          const Envoy__Config__Accesslog__V3__ComparisonFilter *comparison,
                          struct errmsg *msg)
{
    if (!comparison || !comparison->value)
        return errmsg_set(msg, ERR_INVALID, "comparison or its value is missing");
    filter->kind = kind;
    filter->comparison = comparison->op;
    filter->value = comparison->value->default_value;
    return 0;
}

static int set_children(struct filter_load *load, struct access_log_filter *filter,
                        enum filter_kind kind, filter_message *const *messages, size_t count,
                        unsigned depth, struct errmsg *msg)
{
    if (count < 2)
        return errmsg_set(msg, ERR_INVALID, "and_filter and or_filter need two filters or more");
    filter->kind = kind;
    filter->child_count = count;
    filter->children = arena_alloc_array(load->arena, count, sizeof(void *));
    for (size_t i = 0; i < count; i++) {
        int err = filter_new(load, messages[i], depth + 1, &filter->children[i], msg);
        if (err)
            return err;
    }
    return 0;
}

static int set_header(struct filter_load *load, struct access_log_filter *filter,
                      Envoy__Config__Route__V3__HeaderMatcher *header, struct errmsg *msg)
{
    if (!header)
        return errmsg_set(msg, ERR_INVALID, "header_filter: header is missing");
    filter->kind = FILTER_HEADER;
    return header_match_new(load, &header, 1, &filter->header, msg);
}

static int set_flags(struct access_log_filter *filter,
                     const Envoy__Config__Accesslog__V3__ResponseFlagFilter *message,
                     struct errmsg *msg)
{
    filter->kind = FILTER_FLAGS;
    for (size_t i = 0; i < message->n_flags; i++) {
        uint32_t flag = 0;
        for (size_t k = 0; k < sizeof flag_names / sizeof *flag_names; k++)
            if (!strcmp(message->flags[i], flag_names[k].name))
                flag = flag_names[k].flag;
        if (!flag)
            return errmsg_set(msg, ERR_UNSUPPORTED, "response_flag_filter: %s is not known here",
                              message->flags[i]);
        filter->value |= flag;
    }
    return 0;
}

static int refuse(struct errmsg *msg, const char *what)
{
    return errmsg_set(msg, ERR_UNSUPPORTED, "%s is not supported", what);
}

/* Recursion is bounded by ACCESS_LOG_FILTER_DEPTH_MAX. */
static int filter_new(struct filter_load *load, const filter_message *message, unsigned depth,
                      const struct access_log_filter **ret_filter, struct errmsg *msg)
{
    if (depth > ACCESS_LOG_FILTER_DEPTH_MAX)
        return errmsg_set(msg, ERR_TOO_LARGE, "more than %d filters inside each other",
                          ACCESS_LOG_FILTER_DEPTH_MAX);
    struct access_log_filter *filter = ARENA_NEW(load->arena, struct access_log_filter);
    *ret_filter = filter;
    switch (message->filter_specifier_case) {
    case ENVOY__CONFIG__ACCESSLOG__V3__ACCESS_LOG_FILTER__FILTER_SPECIFIER_STATUS_CODE_FILTER:
        return set_comparison(filter, FILTER_STATUS, message->status_code_filter->comparison, msg);
    case ENVOY__CONFIG__ACCESSLOG__V3__ACCESS_LOG_FILTER__FILTER_SPECIFIER_DURATION_FILTER:
        return set_comparison(filter, FILTER_DURATION, message->duration_filter->comparison, msg);
    case ENVOY__CONFIG__ACCESSLOG__V3__ACCESS_LOG_FILTER__FILTER_SPECIFIER_NOT_HEALTH_CHECK_FILTER:
        /* Nothing marks requests as health checks here, so none is left out. */
        filter->kind = FILTER_ALWAYS;
        return 0;
    case ENVOY__CONFIG__ACCESSLOG__V3__ACCESS_LOG_FILTER__FILTER_SPECIFIER_AND_FILTER:
        return set_children(load, filter, FILTER_AND, message->and_filter->filters,
                            message->and_filter->n_filters, depth, msg);
    case ENVOY__CONFIG__ACCESSLOG__V3__ACCESS_LOG_FILTER__FILTER_SPECIFIER_OR_FILTER:
        return set_children(load, filter, FILTER_OR, message->or_filter->filters,
                            message->or_filter->n_filters, depth, msg);
    case ENVOY__CONFIG__ACCESSLOG__V3__ACCESS_LOG_FILTER__FILTER_SPECIFIER_HEADER_FILTER:
        return set_header(load, filter, message->header_filter->header, msg);
    case ENVOY__CONFIG__ACCESSLOG__V3__ACCESS_LOG_FILTER__FILTER_SPECIFIER_RESPONSE_FLAG_FILTER:
        return set_flags(filter, message->response_flag_filter, msg);
    case ENVOY__CONFIG__ACCESSLOG__V3__ACCESS_LOG_FILTER__FILTER_SPECIFIER_TRACEABLE_FILTER:
        return refuse(msg, "traceable_filter");
    case ENVOY__CONFIG__ACCESSLOG__V3__ACCESS_LOG_FILTER__FILTER_SPECIFIER_RUNTIME_FILTER:
        return refuse(msg, "runtime_filter");
    case ENVOY__CONFIG__ACCESSLOG__V3__ACCESS_LOG_FILTER__FILTER_SPECIFIER_GRPC_STATUS_FILTER:
        return refuse(msg, "grpc_status_filter");
    case ENVOY__CONFIG__ACCESSLOG__V3__ACCESS_LOG_FILTER__FILTER_SPECIFIER_EXTENSION_FILTER:
        return refuse(msg, "extension_filter");
    case ENVOY__CONFIG__ACCESSLOG__V3__ACCESS_LOG_FILTER__FILTER_SPECIFIER_METADATA_FILTER:
        return refuse(msg, "metadata_filter");
    case ENVOY__CONFIG__ACCESSLOG__V3__ACCESS_LOG_FILTER__FILTER_SPECIFIER_LOG_TYPE_FILTER:
        return refuse(msg, "log_type_filter");
    case ENVOY__CONFIG__ACCESSLOG__V3__ACCESS_LOG_FILTER__FILTER_SPECIFIER__NOT_SET:
    case _ENVOY__CONFIG__ACCESSLOG__V3__ACCESS_LOG_FILTER__FILTER_SPECIFIER__CASE_IS_INT_SIZE:
        break;
    }
    return errmsg_set(msg, ERR_INVALID, "a filter with nothing set");
}

int access_log_filter_new(struct filter_load *load, const filter_message *message,
                          const struct access_log_filter **ret_filter, struct errmsg *msg)
{
    int err = filter_new(load, message, 1, ret_filter, msg);
    if (err)
        errmsg_prefix(msg, "filter: ");
    return err;
}

/* --- matching --- */

static bool compare(const struct access_log_filter *filter, uint64_t value)
{
    switch (filter->comparison) {
    case ENVOY__CONFIG__ACCESSLOG__V3__COMPARISON_FILTER__OP__EQ:
        return value == filter->value;
    case ENVOY__CONFIG__ACCESSLOG__V3__COMPARISON_FILTER__OP__GE:
        return value >= filter->value;
    case ENVOY__CONFIG__ACCESSLOG__V3__COMPARISON_FILTER__OP__LE:
        return value <= filter->value;
    case ENVOY__CONFIG__ACCESSLOG__V3__COMPARISON_FILTER__OP__NE:
        return value != filter->value;
    case _ENVOY__CONFIG__ACCESSLOG__V3__COMPARISON_FILTER__OP_IS_INT_SIZE:
        break;
    }
    return false;
}

static uint64_t duration_ms(const struct http_stream *stream)
{
    return stream->end_ns > stream->start_ns ? (stream->end_ns - stream->start_ns) / 1000000 : 0;
}

/* Recursion is bounded by the depth of the filter. */
bool access_log_filter_match(const struct access_log_filter *filter,
                             const struct http_stream *stream)
{
    switch (filter->kind) {
    case FILTER_STATUS:
        return compare(filter, stream->response.status);
    case FILTER_DURATION:
        return compare(filter, duration_ms(stream));
    case FILTER_ALWAYS:
        return true;
    case FILTER_AND:
        for (size_t i = 0; i < filter->child_count; i++)
            if (!access_log_filter_match(filter->children[i], stream))
                return false;
        return true;
    case FILTER_OR:
        for (size_t i = 0; i < filter->child_count; i++)
            if (access_log_filter_match(filter->children[i], stream))
                return true;
        return false;
    case FILTER_HEADER:
        return header_match_all(filter->header, 1, &stream->request, false) == MATCH_YES;
    case FILTER_FLAGS:
        return filter->value ? (stream->flags & filter->value) != 0 : stream->flags != 0;
    }
    return false;
}
