#include "dataplane/xds/decode_hcm.h"

#include "common/base/log.h"
#include "dataplane/config/stats.h"
#include "dataplane/filters/router.h"
#include "dataplane/filters/table.h"
#include "dataplane/http/access_log.h"
#include "dataplane/http/header_mutations.h"
#include "dataplane/http/local_reply.h"
#include "dataplane/xds/ignored_fields.h"

#include <envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb-c.h>
#include <envoy/extensions/http/early_header_mutation/header_mutation/v3/header_mutation.pb-c.h>
#include <envoy/extensions/request_id/uuid/v3/uuid.pb-c.h>
#include <stdio.h>

#define HCM(name) Envoy__Extensions__Filters__Network__HttpConnectionManager__V3__##name
#define HCM_VALUE(name) ENVOY__EXTENSIONS__FILTERS__NETWORK__HTTP_CONNECTION_MANAGER__V3__##name

typedef HCM(HttpConnectionManager) hcm_message;
typedef HCM(HttpFilter) http_filter_message;
typedef Envoy__Extensions__Http__EarlyHeaderMutation__HeaderMutation__V3__HeaderMutation
    early_message;
typedef Envoy__Config__Common__MutationRules__V3__HeaderMutation mutation_rule;

enum {
    HTTP_FILTERS_MAX = 64,
    ACCESS_LOGS_MAX = 16,
    REQUEST_HEAD_KB_MAX = 8192, /* Envoy's bound */
    REQUEST_HEADERS_MAX = 10000,
    IDLE_TIMEOUT_MS = 3600 * 1000,
    STREAM_IDLE_TIMEOUT_MS = 300 * 1000,
    DRAIN_TIMEOUT_MS = 5000,
};

/* One decoding. */
struct decoder {
    const struct decode_context *context;
    const hcm_message *message;
    struct listener_config *listener;
    struct errmsg *msg;
};

static struct filter_load filter_load_of(struct decoder *decoder)
{
    struct listener_config *listener = decoder->listener;
    const char *scope = arena_printf(&listener->arena, "listener %.*s", STR_ARGS(listener->name));
    return (struct filter_load){.arena = &listener->arena,
                                .shared = decoder->context->shared,
                                .scope = str_from(scope),
                                .states = &listener->states,
                                .workers = decoder->context->workers};
}

/* Whatever decides who a client is, what path it means or how it is answered, and is not there. */
static int refuse_what_is_missing(struct decoder *decoder)
{
    const hcm_message *message = decoder->message;
    const char *problem = NULL;
    if (message->codec_type != HCM_VALUE(HTTP_CONNECTION_MANAGER__CODEC_TYPE__AUTO) &&
        message->codec_type != HCM_VALUE(HTTP_CONNECTION_MANAGER__CODEC_TYPE__HTTP1))
        problem = "codec_type: only AUTO and HTTP1 are supported";
    else if (message->n_original_ip_detection_extensions)
        problem = "original_ip_detection_extensions: not supported";
    else if (message->path_normalization_options)
        problem = "path_normalization_options: not supported; use normalize_path and merge_slashes";
    else if (message->typed_header_validation_config)
        problem = "typed_header_validation_config: not supported";
    else if (message->stat_prefix[0] == '\0')
        problem = "stat_prefix: must be set";
    return problem ? errmsg_set(decoder->msg, ERR_UNSUPPORTED, "%s", problem) : 0;
}

static int read_routes(struct decoder *decoder)
{
    const hcm_message *message = decoder->message;
    struct listener_config *listener = decoder->listener;
    if (message->route_specifier_case == HCM_VALUE(HTTP_CONNECTION_MANAGER__ROUTE_SPECIFIER_RDS)) {
        if (!message->rds->route_config_name[0])
            return errmsg_set(decoder->msg, ERR_INVALID, "rds.route_config_name: must be set");
        listener->route_config_name = str_from(message->rds->route_config_name);
        return read_ads_source(message->rds->config_source, "rds.config_source",
                               &listener->routes_fetch_timeout_ms, decoder->msg);
    }
    if (message->route_specifier_case !=
        HCM_VALUE(HTTP_CONNECTION_MANAGER__ROUTE_SPECIFIER_ROUTE_CONFIG))
        return errmsg_set(decoder->msg, ERR_INVALID, "rds or route_config: must be set");
    struct route_table_options options;
    decode_route_options(decoder->context, &options);
    int err =
        route_table_new(message->route_config, &options, &listener->inline_routes, decoder->msg);
    if (err)
        errmsg_prefix(decoder->msg, "route_config: ");
    return err;
}

/* --- filters ---------------------------------------------------------------------------------- */

static void note_skipped(struct decoder *decoder, const http_filter_message *message)
{
    const struct listener_config *listener = decoder->listener;
    struct buf what;
    struct buf label;
    buf_init(&what, 1024);
    buf_init(&label, listener->name.len + 32);
    buf_printf(&label, "listener %.*s", STR_ARGS(listener->name));
    buf_printf(&what, "optional HTTP filter: type %.512s", any_type(message->typed_config));
    buf_append_char(&what, '\0');
    ignored_fields_note(decoder->context->ignored, buf_str(&label), what.data);
    buf_done(&what);
    buf_done(&label);
}

/* One filter into the next free place of listener->filters, or none where it is skipped. */
static int read_filter(struct decoder *decoder, const http_filter_message *message)
{
    struct listener_config *listener = decoder->listener;
    struct filter_config *filter = &listener->filters[listener->filter_count];
    if (message->config_type_case != HCM_VALUE(HTTP_FILTER__CONFIG_TYPE_TYPED_CONFIG))
        return errmsg_set(decoder->msg, ERR_UNSUPPORTED,
                          "must have a typed_config; config_discovery is not supported");
    if (!filter_table_find(str_from(message->typed_config->type_url)) && message->is_optional) {
        note_skipped(decoder, message);
        return 0;
    }
    struct filter_load load = filter_load_of(decoder);
    int err = filter_table_load(&load, message->typed_config, &filter->type, &filter->config,
                                decoder->msg);
    if (err)
        return err;
    filter->is_disabled = message->disabled;
    filter->name_slot = name_slots_acquire(listener->slots, str_from(message->name));
    listener->filter_count++;
    return 0;
}

static int check_order(struct decoder *decoder)
{
    const struct listener_config *listener = decoder->listener;
    uint32_t last = listener->filter_count - 1;
    for (uint32_t i = 0; i < listener->filter_count; i++)
        if ((listener->filters[i].type == &router_filter) != (i == last))
            return errmsg_set(decoder->msg, ERR_INVALID,
                              "http_filters: the last one, and no other, must be the router");
    if (listener->filters[last].is_disabled)
        return errmsg_set(decoder->msg, ERR_INVALID, "http_filters: the router cannot be disabled");
    return 0;
}

static int read_filters(struct decoder *decoder)
{
    const hcm_message *message = decoder->message;
    struct listener_config *listener = decoder->listener;
    if (message->n_http_filters == 0 || message->n_http_filters > HTTP_FILTERS_MAX)
        return errmsg_set(decoder->msg, ERR_INVALID, "http_filters: must have 1 to %d",
                          HTTP_FILTERS_MAX);
    listener->slots = decoder->context->filter_slots;
    listener->filters =
        arena_alloc_array(&listener->arena, message->n_http_filters, sizeof *listener->filters);
    for (size_t i = 0; i < message->n_http_filters; i++) {
        int err = read_filter(decoder, message->http_filters[i]);
        if (err) {
            errmsg_prefix(decoder->msg, "http_filters[%zu] %s: ", i,
                          message->http_filters[i]->name);
            return err;
        }
    }
    if (listener->filter_count == 0)
        return errmsg_set(decoder->msg, ERR_INVALID, "http_filters: must end in the router");
    return check_order(decoder);
}

static int unpack_early(struct decoder *decoder, size_t i, const early_message **ret_early)
{
    const ProtobufCMessageDescriptor *descriptor =
        &envoy__extensions__http__early_header_mutation__header_mutation__v3__header_mutation__descriptor;
    const Google__Protobuf__Any *any =
        decoder->message->early_header_mutation_extensions[i]->typed_config;
    char path[64];
    snprintf(path, sizeof path, "early_header_mutation_extensions[%zu]", i);
    if (!any_is(any, descriptor))
        return errmsg_set(decoder->msg, ERR_UNSUPPORTED, "%s: type %s is not supported", path,
                          any_type(any));
    ProtobufCMessage *unpacked;
    int err = any_unpack(any, descriptor, path, &decoder->listener->arena, &unpacked, decoder->msg);
    if (!err)
        *ret_early = (const early_message *)unpacked;
    return err;
}

static int read_early_mutations(struct decoder *decoder)
{
    struct arena *arena = &decoder->listener->arena;
    size_t extensions = decoder->message->n_early_header_mutation_extensions, count = 0;
    const early_message **early = arena_alloc_array(arena, extensions, sizeof *early);
    for (size_t i = 0; i < extensions; i++) {
        int err = unpack_early(decoder, i, &early[i]);
        if (err)
            return err;
        count += early[i]->n_mutations;
    }
    mutation_rule **rules = arena_alloc_array(arena, count, sizeof *rules);
    count = 0;
    for (size_t i = 0; i < extensions; i++)
        for (size_t j = 0; j < early[i]->n_mutations; j++)
            rules[count++] = early[i]->mutations[j];
    int err = header_mutations_from_rules(arena, rules, count,
                                          &decoder->listener->early_header_mutations, decoder->msg);
    if (err)
        errmsg_prefix(decoder->msg, "early_header_mutation_extensions: ");
    return err;
}

/* --- logs and replies ------------------------------------------------------------------------- */

static int read_access_logs(struct decoder *decoder)
{
    const hcm_message *message = decoder->message;
    struct listener_config *listener = decoder->listener;
    if (message->n_access_log > ACCESS_LOGS_MAX)
        return errmsg_set(decoder->msg, ERR_TOO_LARGE, "access_log: more than %d", ACCESS_LOGS_MAX);
    listener->access_logs =
        arena_alloc_array(&listener->arena, message->n_access_log, sizeof *listener->access_logs);
    struct filter_load load = filter_load_of(decoder);
    for (size_t i = 0; i < message->n_access_log; i++) {
        int err = access_log_load(&load, decoder->context->log_writer, message->access_log[i],
                                  &listener->access_logs[i], decoder->msg);
        if (err) {
            errmsg_prefix(decoder->msg, "access_log[%zu]: ", i);
            return err;
        }
        listener->access_log_count++;
    }
    return 0;
}

static int read_local_reply(struct decoder *decoder)
{
    if (!decoder->message->local_reply_config)
        return 0;
    struct filter_load load = filter_load_of(decoder);
    return local_reply_config_new(&load, decoder->message->local_reply_config,
                                  &decoder->listener->local_reply, decoder->msg);
}

/* --- limits and timeouts ---------------------------------------------------------------------- */

static int read_timeouts(struct decoder *decoder)
{
    const hcm_message *message = decoder->message;
    const Envoy__Config__Core__V3__HttpProtocolOptions *common =
        message->common_http_protocol_options;
    struct listener_config *listener = decoder->listener;
    const struct {
        const Google__Protobuf__Duration *value;
        const char *path;
        uint64_t preset;
        uint64_t *ret_ms;
    } rows[] = {
        {common ? common->idle_timeout : NULL, "common_http_protocol_options.idle_timeout",
         IDLE_TIMEOUT_MS, &listener->idle_timeout_ms},
        {message->request_headers_timeout, "request_headers_timeout", 0,
         &listener->request_headers_timeout_ms},
        {message->request_timeout, "request_timeout", 0, &listener->request_timeout_ms},
        {message->stream_idle_timeout, "stream_idle_timeout", STREAM_IDLE_TIMEOUT_MS,
         &listener->stream_idle_timeout_ms},
        {message->drain_timeout, "drain_timeout", DRAIN_TIMEOUT_MS, &listener->drain_timeout_ms},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int err = read_duration_ms(rows[i].value, rows[i].path, rows[i].preset, rows[i].ret_ms,
                                   decoder->msg);
        if (err)
            return err;
    }
    return 0;
}

#define UNDERSCORES(name)                                                                          \
    ENVOY__CONFIG__CORE__V3__HTTP_PROTOCOL_OPTIONS__HEADERS_WITH_UNDERSCORES_ACTION__##name

static int read_underscores(struct decoder *decoder,
                            const Envoy__Config__Core__V3__HttpProtocolOptions *common)
{
    struct listener_config *listener = decoder->listener;
    switch (common ? common->headers_with_underscores_action : UNDERSCORES(ALLOW)) {
    case UNDERSCORES(ALLOW):
        listener->underscores = UNDERSCORE_ALLOW;
        return 0;
    case UNDERSCORES(REJECT_REQUEST):
        listener->underscores = UNDERSCORE_REJECT;
        return 0;
    case UNDERSCORES(DROP_HEADER):
        listener->underscores = UNDERSCORE_DROP;
        return 0;
    default:
        return errmsg_set(decoder->msg, ERR_INVALID,
                          "common_http_protocol_options.headers_with_underscores_action: has an "
                          "unknown value");
    }
}

static int read_head_limits(struct decoder *decoder)
{
    const hcm_message *message = decoder->message;
    const Envoy__Config__Core__V3__HttpProtocolOptions *common =
        message->common_http_protocol_options;
    struct listener_config *listener = decoder->listener;
    uint32_t kb = read_uint32(message->max_request_headers_kb, 60);
    uint32_t headers = common ? read_uint32(common->max_headers_count, 100) : 100;
    if (kb == 0 || kb > REQUEST_HEAD_KB_MAX)
        return errmsg_set(decoder->msg, ERR_INVALID,
                          "max_request_headers_kb: must be between 1 and %d", REQUEST_HEAD_KB_MAX);
    if (headers == 0 || headers > REQUEST_HEADERS_MAX)
        return errmsg_set(decoder->msg, ERR_INVALID,
                          "common_http_protocol_options.max_headers_count: must be between 1 and "
                          "%d",
                          REQUEST_HEADERS_MAX);
    listener->request_head_bytes_max = kb * 1024;
    listener->request_headers_max = headers;
    if (common)
        listener->connection_requests_max = read_uint32(common->max_requests_per_connection, 0);
    return read_underscores(decoder, common);
}

/* --- what requests and responses look like ---------------------------------------------------- */

static int read_path_options(struct decoder *decoder)
{
    const hcm_message *message = decoder->message;
    struct path_options *path = &decoder->listener->path;
    path->normalizes = read_bool(message->normalize_path, false);
    path->merges_slashes = message->merge_slashes;
    switch (message->path_with_escaped_slashes_action) {
    case HCM_VALUE(
        HTTP_CONNECTION_MANAGER__PATH_WITH_ESCAPED_SLASHES_ACTION__IMPLEMENTATION_SPECIFIC_DEFAULT):
    case HCM_VALUE(HTTP_CONNECTION_MANAGER__PATH_WITH_ESCAPED_SLASHES_ACTION__KEEP_UNCHANGED):
        path->escaped_slashes = PATH_ESCAPED_SLASHES_KEEP_UNCHANGED;
        return 0;
    case HCM_VALUE(HTTP_CONNECTION_MANAGER__PATH_WITH_ESCAPED_SLASHES_ACTION__REJECT_REQUEST):
        path->escaped_slashes = PATH_ESCAPED_SLASHES_REJECT_REQUEST;
        return 0;
    case HCM_VALUE(
        HTTP_CONNECTION_MANAGER__PATH_WITH_ESCAPED_SLASHES_ACTION__UNESCAPE_AND_REDIRECT):
        path->escaped_slashes = PATH_ESCAPED_SLASHES_UNESCAPE_AND_REDIRECT;
        return 0;
    case HCM_VALUE(HTTP_CONNECTION_MANAGER__PATH_WITH_ESCAPED_SLASHES_ACTION__UNESCAPE_AND_FORWARD):
        path->escaped_slashes = PATH_ESCAPED_SLASHES_UNESCAPE_AND_FORWARD;
        return 0;
    default:
        return errmsg_set(decoder->msg, ERR_INVALID,
                          "path_with_escaped_slashes_action: has an unknown value");
    }
}

static int check_header_text(struct decoder *decoder, const char *text, const char *field)
{
    for (const char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return errmsg_set(decoder->msg, ERR_INVALID, "%s: has a control character", field);
    return 0;
}

static int read_own_headers(struct decoder *decoder)
{
    const hcm_message *message = decoder->message;
    struct listener_config *listener = decoder->listener;
    int err = check_header_text(decoder, message->server_name, "server_name");
    if (!err)
        err = check_header_text(decoder, message->via, "via");
    if (err)
        return err;
    listener->server_name = message->server_name[0] ? str_from(message->server_name) : STR("weir");
    listener->via = str_from(message->via);
    listener->server_header = SERVER_HEADER_OVERWRITE;
    if (message->server_header_transformation ==
        HCM_VALUE(HTTP_CONNECTION_MANAGER__SERVER_HEADER_TRANSFORMATION__APPEND_IF_ABSENT))
        listener->server_header = SERVER_HEADER_APPEND_IF_ABSENT;
    if (message->server_header_transformation ==
        HCM_VALUE(HTTP_CONNECTION_MANAGER__SERVER_HEADER_TRANSFORMATION__PASS_THROUGH))
        listener->server_header = SERVER_HEADER_PASS_THROUGH;
    return 0;
}

static int read_request_id(struct decoder *decoder)
{
    const hcm_message *message = decoder->message;
    struct listener_config *listener = decoder->listener;
    const Google__Protobuf__Any *any =
        message->request_id_extension ? message->request_id_extension->typed_config : NULL;
    if (any &&
        !any_is(any, &envoy__extensions__request_id__uuid__v3__uuid_request_id_config__descriptor))
        return errmsg_set(decoder->msg, ERR_UNSUPPORTED,
                          "request_id_extension: type %s is not supported", any_type(any));
    listener->generate_request_id = read_bool(message->generate_request_id, true);
    listener->preserve_external_request_id = message->preserve_external_request_id;
    listener->always_set_request_id_in_response = message->always_set_request_id_in_response;
    return 0;
}

static int read_client_address(struct decoder *decoder)
{
    const hcm_message *message = decoder->message;
    struct listener_config *listener = decoder->listener;
    listener->use_remote_address = read_bool(message->use_remote_address, false);
    listener->xff_trusted_hops = message->xff_num_trusted_hops;
    listener->skip_xff_append = message->skip_xff_append;
    listener->strip_any_host_port =
        message->strip_port_mode_case ==
            HCM_VALUE(HTTP_CONNECTION_MANAGER__STRIP_PORT_MODE_STRIP_ANY_HOST_PORT) &&
        message->strip_any_host_port;
    listener->strip_matching_host_port = message->strip_matching_host_port;
    listener->strip_trailing_host_dot = message->strip_trailing_host_dot;
    listener->accept_http_10 =
        message->http_protocol_options && message->http_protocol_options->accept_http_10;
    return 0;
}

int decode_hcm(const struct decode_context *context, const Google__Protobuf__Any *typed_config,
               struct listener_config *listener, struct errmsg *msg)
{
    static int (*const steps[])(struct decoder *) = {
        refuse_what_is_missing, read_timeouts,    read_head_limits,    read_path_options,
        read_own_headers,       read_request_id,  read_client_address, read_filters,
        read_early_mutations,   read_access_logs, read_local_reply,    read_routes,
    };
    ProtobufCMessage *message = NULL;
    int err = any_unpack(
        typed_config,
        &envoy__extensions__filters__network__http_connection_manager__v3__http_connection_manager__descriptor,
        "(itself)", &listener->arena, &message, msg);
    struct decoder decoder = {.context = context,
                              .message = (const hcm_message *)message,
                              .listener = listener,
                              .msg = msg};
    for (size_t i = 0; !err && i < sizeof steps / sizeof *steps; i++)
        err = steps[i](&decoder);
    if (err)
        return err;
    listener->stat_prefix = str_from(decoder.message->stat_prefix);
    listener->stats =
        stats_scope_get(context->shared, false, listener->stat_prefix, context->workers);
    return 0;
}
