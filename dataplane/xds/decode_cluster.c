#include "dataplane/xds/decode_internal.h"

#include "common/pbjson/wire.h"
#include "dataplane/config/stats.h"
#include "dataplane/upstream/breaker.h"
#include "dataplane/upstream/limits.h"
#include "dataplane/upstream/outlier.h"

#include <envoy/config/cluster/v3/cluster.pb-c.h>
#include <envoy/extensions/upstreams/http/v3/http_protocol_options.pb-c.h>
#include <weir/v1/extension.pb-c.h>

enum {
    SCRATCH_BLOCK = 8192,
    CONNECT_TIMEOUT_MS = 5000,
    IDLE_TIMEOUT_MS = 3600 * 1000,
    CONNECTION_BUFFER_BYTES = 1024 * 1024,
    PANIC_THRESHOLD_PERCENT = 50,
    DNS_REFRESH_MS = 5000,
    DNS_REFRESH_MIN_MS = 100,
};

typedef Envoy__Config__Cluster__V3__Cluster cluster_message;
typedef Envoy__Extensions__Upstreams__Http__V3__HttpProtocolOptions http_options;
typedef Envoy__Config__Core__V3__HttpProtocolOptions common_options;

#define HTTP_OPTIONS_KEY "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
#define BREAKER_KEY "weir.circuit_breaker"
#define UPSTREAM_CODEC "envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec"

/* One decoding: what it makes, and where it puts what is needed only meanwhile. */
struct decoder {
    const struct decode_context *context;
    const cluster_message *message;
    struct cluster_config *cluster;
    struct arena *scratch;
    struct errmsg *msg;
};

static int refuse_what_is_missing(struct decoder *decoder)
{
    const cluster_message *message = decoder->message;
    if (!is_plaintext(message->transport_socket) || message->n_transport_socket_matches)
        return errmsg_set(decoder->msg, ERR_UNSUPPORTED,
                          "transport_socket: type %s is not supported; supported: raw_buffer",
                          message->transport_socket
                              ? any_type(message->transport_socket->typed_config)
                              : "transport_socket_matches");
    if (message->circuit_breakers && message->circuit_breakers->n_per_host_thresholds)
        return errmsg_set(decoder->msg, ERR_UNSUPPORTED,
                          "circuit_breakers.per_host_thresholds: are not supported");
    if (message->http2_protocol_options)
        return errmsg_set(decoder->msg, ERR_UNSUPPORTED,
                          "http2_protocol_options: HTTP/2 to endpoints is not supported");
    return 0;
}

/* --- discovery -------------------------------------------------------------------------------- */

static int read_eds(struct decoder *decoder)
{
    const Envoy__Config__Cluster__V3__Cluster__EdsClusterConfig *eds =
        decoder->message->eds_cluster_config;
    struct cluster_config *cluster = decoder->cluster;
    if (!eds)
        return errmsg_set(decoder->msg, ERR_INVALID, "eds_cluster_config: must be set");
    cluster->endpoints_name = eds->service_name[0]
                                  ? arena_copy_str(&cluster->arena, str_from(eds->service_name))
                                  : cluster->name;
    return read_ads_source(eds->eds_config, "eds_cluster_config.eds_config",
                           &cluster->endpoints_fetch_timeout_ms, decoder->msg);
}

static int read_static(struct decoder *decoder, struct dns_targets *targets)
{
    static const Envoy__Config__Endpoint__V3__ClusterLoadAssignment empty =
        ENVOY__CONFIG__ENDPOINT__V3__CLUSTER_LOAD_ASSIGNMENT__INIT;
    const Envoy__Config__Endpoint__V3__ClusterLoadAssignment *assignment =
        decoder->message->load_assignment;
    decoder->cluster->endpoints_name = decoder->cluster->name;
    return read_endpoints(assignment ? assignment : &empty, "load_assignment.", targets,
                          &decoder->cluster->endpoints, decoder->msg);
}

static int read_dns(struct decoder *decoder)
{
    struct cluster_config *cluster = decoder->cluster;
    struct dns_targets targets = {.arena = &cluster->arena};
    int err = read_static(decoder, &targets);
    if (!err)
        err = read_duration_ms(decoder->message->dns_refresh_rate, "dns_refresh_rate",
                               DNS_REFRESH_MS, &cluster->dns_refresh_ms, decoder->msg);
    if (err)
        return err;
    if (cluster->dns_refresh_ms < DNS_REFRESH_MIN_MS)
        cluster->dns_refresh_ms = DNS_REFRESH_MIN_MS;
    cluster->dns_targets = targets.items;
    cluster->dns_target_count = targets.count;
    if ((unsigned)decoder->message->dns_lookup_family > DNS_ALL)
        return errmsg_set(decoder->msg, ERR_INVALID, "dns_lookup_family: has an unknown value");
    cluster->dns_family = (enum dns_family)decoder->message->dns_lookup_family;
    return 0;
}

static int read_discovery(struct decoder *decoder)
{
    const cluster_message *message = decoder->message;
    if (message->cluster_discovery_type_case ==
        ENVOY__CONFIG__CLUSTER__V3__CLUSTER__CLUSTER_DISCOVERY_TYPE_CLUSTER_TYPE)
        return errmsg_set(decoder->msg, ERR_UNSUPPORTED,
                          "cluster_type: type %s is not supported; supported types of cluster: "
                          "STATIC, STRICT_DNS, LOGICAL_DNS, EDS",
                          any_type(message->cluster_type->typed_config));
    /* A oneof member with its default value is not set: STATIC. */
    switch (message->type) {
    case ENVOY__CONFIG__CLUSTER__V3__CLUSTER__DISCOVERY_TYPE__STATIC:
        decoder->cluster->discovery = CLUSTER_STATIC;
        return read_static(decoder, NULL);
    case ENVOY__CONFIG__CLUSTER__V3__CLUSTER__DISCOVERY_TYPE__STRICT_DNS:
        decoder->cluster->discovery = CLUSTER_STRICT_DNS;
        return read_dns(decoder);
    case ENVOY__CONFIG__CLUSTER__V3__CLUSTER__DISCOVERY_TYPE__LOGICAL_DNS:
        decoder->cluster->discovery = CLUSTER_LOGICAL_DNS;
        return read_dns(decoder);
    case ENVOY__CONFIG__CLUSTER__V3__CLUSTER__DISCOVERY_TYPE__EDS:
        decoder->cluster->discovery = CLUSTER_EDS;
        return read_eds(decoder);
    case ENVOY__CONFIG__CLUSTER__V3__CLUSTER__DISCOVERY_TYPE__ORIGINAL_DST:
    default:
        return errmsg_set(decoder->msg, ERR_UNSUPPORTED,
                          "type: not supported; supported: STATIC, STRICT_DNS, LOGICAL_DNS, EDS");
    }
}

/* --- load balancing --------------------------------------------------------------------------- */

static int read_balancing(struct decoder *decoder)
{
    return read_load_balancer(decoder->message, decoder->scratch, decoder->cluster, decoder->msg);
}

static int read_panic_threshold(struct decoder *decoder)
{
    const Envoy__Config__Cluster__V3__Cluster__CommonLbConfig *common =
        decoder->message->common_lb_config;
    decoder->cluster->healthy_panic_threshold_percent = PANIC_THRESHOLD_PERCENT;
    if (!common || !common->healthy_panic_threshold)
        return 0;
    double percent = common->healthy_panic_threshold->value;
    if (!(percent >= 0 && percent <= 100))
        return errmsg_set(decoder->msg, ERR_INVALID,
                          "common_lb_config.healthy_panic_threshold: must be between 0 and 100");
    decoder->cluster->healthy_panic_threshold_percent = (uint32_t)(percent + 0.5);
    return 0;
}

/* --- limits, outlier detection, breaker ------------------------------------------------------- */

static void read_thresholds(struct decoder *decoder)
{
    struct cluster_thresholds *thresholds = &decoder->cluster->thresholds;
    *thresholds = (struct cluster_thresholds){.connections_max = 1024,
                                              .pending_requests_max = 1024,
                                              .requests_max = 1024,
                                              .retries_max = 3};
    const Envoy__Config__Cluster__V3__CircuitBreakers *breakers =
        decoder->message->circuit_breakers;
    for (size_t i = 0; breakers && i < breakers->n_thresholds; i++) {
        const Envoy__Config__Cluster__V3__CircuitBreakers__Thresholds *row =
            breakers->thresholds[i];
        if (row->priority != ENVOY__CONFIG__CORE__V3__ROUTING_PRIORITY__DEFAULT)
            continue;
        thresholds->connections_max = read_uint32(row->max_connections, 1024);
        thresholds->pending_requests_max = read_uint32(row->max_pending_requests, 1024);
        thresholds->requests_max = read_uint32(row->max_requests, 1024);
        thresholds->retries_max = read_uint32(row->max_retries, 3);
        return; /* the first of a priority counts, as in Envoy */
    }
}

static int read_outlier(struct decoder *decoder)
{
    const Envoy__Config__Cluster__V3__OutlierDetection *message =
        decoder->message->outlier_detection;
    struct outlier_config *outlier = &decoder->cluster->outlier;
    struct errmsg *msg = decoder->msg;
    if (!message)
        return 0;
    *outlier = (struct outlier_config){
        .is_enabled = true,
        .consecutive_5xx = read_uint32(message->consecutive_5xx, 5),
        .consecutive_gateway_failure = read_uint32(message->consecutive_gateway_failure, 5),
        .enforcing_consecutive_5xx_percent = read_uint32(message->enforcing_consecutive_5xx, 100),
        .enforcing_consecutive_gateway_failure_percent =
            read_uint32(message->enforcing_consecutive_gateway_failure, 0),
        .max_ejection_percent = read_uint32(message->max_ejection_percent, 10),
        .always_eject_one_host = read_bool(message->always_eject_one_host, false),
    };
    int err = read_duration_ms(message->interval, "outlier_detection.interval", 10000,
                               &outlier->interval_ms, msg);
    if (!err)
        err = read_duration_ms(message->base_ejection_time, "outlier_detection.base_ejection_time",
                               30000, &outlier->base_ejection_time_ms, msg);
    uint64_t longest =
        outlier->base_ejection_time_ms > 300000 ? outlier->base_ejection_time_ms : 300000;
    if (!err)
        err = read_duration_ms(message->max_ejection_time, "outlier_detection.max_ejection_time",
                               longest, &outlier->max_ejection_time_ms, msg);
    if (!err && (outlier->interval_ms == 0 || outlier->max_ejection_percent > 100 ||
                 outlier->enforcing_consecutive_5xx_percent > 100 ||
                 outlier->enforcing_consecutive_gateway_failure_percent > 100))
        err = errmsg_set(msg, ERR_INVALID,
                         "outlier_detection: interval must be over 0, percentages at most 100");
    return err;
}

static int read_breaker(struct decoder *decoder, const Google__Protobuf__Any *any)
{
    static const char path[] = "metadata.typed_filter_metadata[" BREAKER_KEY "]";
    if (!any_is(any, &weir__v1__cluster_extension__descriptor))
        return errmsg_set(decoder->msg, ERR_INVALID, "%s: must be a weir.v1.ClusterExtension",
                          path);
    ProtobufCMessage *unpacked;
    int err = any_unpack(any, &weir__v1__cluster_extension__descriptor, path, decoder->scratch,
                         &unpacked, decoder->msg);
    if (err)
        return err;
    const Weir__V1__CircuitBreakerExtension *message =
        ((const Weir__V1__ClusterExtension *)unpacked)->circuit_breaker;
    if (!message)
        return 0;
    struct breaker_config *breaker = &decoder->cluster->breaker;
    *breaker = (struct breaker_config){.is_enabled = true,
                                       .consecutive_failures = message->consecutive_failures,
                                       .half_open_requests = message->half_open_requests,
                                       .success_threshold = message->success_threshold};
    err = read_duration_ms(message->open_for, "circuit_breaker.open_for", 0, &breaker->open_for_ms,
                           decoder->msg);
    if (err)
        return err;
    if (!breaker->consecutive_failures || !breaker->half_open_requests ||
        !breaker->success_threshold || !breaker->open_for_ms)
        return errmsg_set(decoder->msg, ERR_INVALID, "%s: every count and open_for must be over 0",
                          path);
    if (message->replaces_outlier_detection)
        decoder->cluster->outlier = (struct outlier_config){.is_enabled = false};
    return 0;
}

static int read_metadata(struct decoder *decoder)
{
    const Envoy__Config__Core__V3__Metadata *metadata = decoder->message->metadata;
    for (size_t i = 0; metadata && i < metadata->n_typed_filter_metadata; i++) {
        const Envoy__Config__Core__V3__Metadata__TypedFilterMetadataEntry *entry =
            metadata->typed_filter_metadata[i];
        if (strcmp(entry->key, BREAKER_KEY) == 0)
            return read_breaker(decoder, entry->value);
    }
    return 0;
}

/* --- HTTP ------------------------------------------------------------------------------------- */

static int read_common_options(struct decoder *decoder, const common_options *common)
{
    struct cluster_config *cluster = decoder->cluster;
    if (!common)
        return 0;
    if (common->max_requests_per_connection)
        cluster->requests_per_connection_max = common->max_requests_per_connection->value;
    return read_duration_ms(common->idle_timeout, "common_http_protocol_options.idle_timeout",
                            IDLE_TIMEOUT_MS, &cluster->idle_timeout_ms, decoder->msg);
}

/* Only what comes out as HTTP/1.1 can be run. */
static int check_protocol(struct decoder *decoder, const http_options *options)
{
    bool is_http1;
    switch (options->upstream_protocol_options_case) {
    case ENVOY__EXTENSIONS__UPSTREAMS__HTTP__V3__HTTP_PROTOCOL_OPTIONS__UPSTREAM_PROTOCOL_OPTIONS_EXPLICIT_HTTP_CONFIG:
        is_http1 =
            options->explicit_http_config->protocol_config_case ==
            ENVOY__EXTENSIONS__UPSTREAMS__HTTP__V3__HTTP_PROTOCOL_OPTIONS__EXPLICIT_HTTP_CONFIG__PROTOCOL_CONFIG_HTTP_PROTOCOL_OPTIONS;
        break;
    case ENVOY__EXTENSIONS__UPSTREAMS__HTTP__V3__HTTP_PROTOCOL_OPTIONS__UPSTREAM_PROTOCOL_OPTIONS_USE_DOWNSTREAM_PROTOCOL_CONFIG:
    case ENVOY__EXTENSIONS__UPSTREAMS__HTTP__V3__HTTP_PROTOCOL_OPTIONS__UPSTREAM_PROTOCOL_OPTIONS__NOT_SET:
        is_http1 = true; /* clients speak nothing else */
        break;
    case ENVOY__EXTENSIONS__UPSTREAMS__HTTP__V3__HTTP_PROTOCOL_OPTIONS__UPSTREAM_PROTOCOL_OPTIONS_AUTO_CONFIG:
    default:
        is_http1 = false;
        break;
    }
    if (is_http1)
        return 0;
    return errmsg_set(decoder->msg, ERR_UNSUPPORTED,
                      "typed_extension_protocol_options[" HTTP_OPTIONS_KEY
                      "]: only explicit_http_config.http_protocol_options (HTTP/1.1) is supported");
}

static int read_http_options(struct decoder *decoder, const Google__Protobuf__Any *any)
{
    static const char path[] = "typed_extension_protocol_options[" HTTP_OPTIONS_KEY "]";
    if (!any_is(any, &envoy__extensions__upstreams__http__v3__http_protocol_options__descriptor))
        return errmsg_set(decoder->msg, ERR_INVALID, "%s: must be a " HTTP_OPTIONS_KEY, path);
    ProtobufCMessage *unpacked;
    int err =
        any_unpack(any, &envoy__extensions__upstreams__http__v3__http_protocol_options__descriptor,
                   path, decoder->scratch, &unpacked, decoder->msg);
    if (err)
        return err;
    const http_options *options = (const http_options *)unpacked;
    for (size_t i = 0; i < options->n_http_filters; i++)
        if (strcmp(any_type(options->http_filters[i]->typed_config), UPSTREAM_CODEC) != 0)
            return errmsg_set(decoder->msg, ERR_UNSUPPORTED,
                              "%s.http_filters: only the upstream codec is supported", path);
    err = check_protocol(decoder, options);
    return err ? err : read_common_options(decoder, options->common_http_protocol_options);
}

static int read_http(struct decoder *decoder)
{
    const cluster_message *message = decoder->message;
    struct cluster_config *cluster = decoder->cluster;
    cluster->idle_timeout_ms = IDLE_TIMEOUT_MS;
    cluster->requests_per_connection_max = read_uint32(message->max_requests_per_connection, 0);
    int err = read_common_options(decoder, message->common_http_protocol_options);
    for (size_t i = 0; !err && i < message->n_typed_extension_protocol_options; i++)
        if (strcmp(message->typed_extension_protocol_options[i]->key, HTTP_OPTIONS_KEY) == 0)
            err = read_http_options(decoder, message->typed_extension_protocol_options[i]->value);
    return err;
}

static int read_connect_timeout(struct decoder *decoder)
{
    struct cluster_config *cluster = decoder->cluster;
    cluster->connection_buffer_bytes =
        read_uint32(decoder->message->per_connection_buffer_limit_bytes, CONNECTION_BUFFER_BYTES);
    int err = read_duration_ms(decoder->message->connect_timeout, "connect_timeout",
                               CONNECT_TIMEOUT_MS, &cluster->connect_timeout_ms, decoder->msg);
    if (!err && cluster->connect_timeout_ms == 0)
        err = errmsg_set(decoder->msg, ERR_INVALID, "connect_timeout: must be over 0");
    return err;
}

/* --- all of it -------------------------------------------------------------------------------- */

static int read_all(struct decoder *decoder)
{
    static int (*const steps[])(struct decoder *) = {
        refuse_what_is_missing, read_connect_timeout, read_discovery, read_balancing,
        read_panic_threshold,   read_outlier,         read_metadata,  read_http,
    };
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        int err = steps[i](decoder);
        if (err)
            return err;
    }
    read_thresholds(decoder);
    return 0;
}

/* Statistics and counts that outlive this version of the cluster. */
static void take_shared_state(struct decoder *decoder)
{
    const struct decode_context *context = decoder->context;
    struct cluster_config *cluster = decoder->cluster;
    cluster->slots = context->cluster_slots;
    cluster->slot = name_slots_acquire(context->cluster_slots, cluster->name);
    cluster->stats = stats_scope_get(context->shared, true, cluster->name, context->workers);
    cluster->limits = cluster_limits_get(context->shared, cluster->name);
    if (cluster->breaker.is_enabled)
        cluster->breaker_state = breaker_get(context->shared, cluster->name, &cluster->breaker);
    if (cluster->outlier.is_enabled)
        cluster->outlier_state = outlier_get(context->shared, cluster->name);
}

static int load(const struct decode_context *context, struct str name, struct str bytes,
                struct arena *scratch, struct cluster_config *cluster, struct errmsg *msg)
{
    ProtobufCMessage *message;
    int err = wire_unpack(&envoy__config__cluster__v3__cluster__descriptor, bytes, context->types,
                          scratch, &message, msg);
    if (err)
        return err;
    struct decoder decoder = {.context = context,
                              .message = (const cluster_message *)message,
                              .cluster = cluster,
                              .scratch = scratch,
                              .msg = msg};
    if (!str_equal(str_from(decoder.message->name), name) || name.len == 0)
        return errmsg_set(msg, ERR_INVALID, "name: is \"%s\"", decoder.message->name);
    cluster->name = arena_copy_str(&cluster->arena, name);
    err = read_all(&decoder);
    if (err)
        return err;
    take_shared_state(&decoder);
    decode_note_ignored(context, XDS_CLUSTER, name, message);
    return 0;
}

int decode_cluster(const struct decode_context *context, struct str name, struct str bytes,
                   struct cluster_config **ret_cluster, struct errmsg *msg)
{
    struct cluster_config *cluster = cluster_config_new();
    struct arena scratch;
    arena_init(&scratch, SCRATCH_BLOCK);
    int err = load(context, name, bytes, &scratch, cluster, msg);
    arena_done(&scratch);
    if (err) {
        cluster_config_unref(cluster);
        errmsg_prefix(msg, "cluster %.*s: ", STR_ARGS(name));
        return err;
    }
    *ret_cluster = cluster;
    return 0;
}
