#include "controlplane/translate/xds_cluster.h"

#include "controlplane/model/check.h"
#include "controlplane/policy/build.h"

#include <envoy/config/cluster/v3/cluster.pb-c.h>
#include <weir/v1/extension.pb-c.h>

enum {
    ARENA_BLOCK_BYTES = 4 * 1024,
    CONNECT_TIMEOUT_MS = 5 * 1000,
    OPEN_FOR_MS = 30 * 1000,
    EJECT_FOR_MS = 30 * 1000,
    MAX_EJECT_FOR_MS = 300 * 1000,
    OUTLIER_INTERVAL_MS = 100, /* how soon an ejected host may come back after its time */
};

typedef Envoy__Config__Cluster__V3__Cluster Cluster;
typedef Envoy__Config__Cluster__V3__OutlierDetection OutlierDetection;

static void set_discovery(struct arena *arena, Cluster *cluster)
{
    cluster->cluster_discovery_type_case =
        ENVOY__CONFIG__CLUSTER__V3__CLUSTER__CLUSTER_DISCOVERY_TYPE_TYPE;
    cluster->type = ENVOY__CONFIG__CLUSTER__V3__CLUSTER__DISCOVERY_TYPE__EDS;
    cluster->eds_cluster_config =
        build_message(arena, &envoy__config__cluster__v3__cluster__eds_cluster_config__descriptor);
    cluster->eds_cluster_config->eds_config = build_ads_source(arena);
}

static Envoy__Config__Cluster__V3__Cluster__LbPolicy lb_policy(const Weir__V1__Service *service)
{
    switch (service->load_balancer) {
    case WEIR__V1__LOAD_BALANCER__LEAST_REQUEST:
        return ENVOY__CONFIG__CLUSTER__V3__CLUSTER__LB_POLICY__LEAST_REQUEST;
    case WEIR__V1__LOAD_BALANCER__RANDOM:
        return ENVOY__CONFIG__CLUSTER__V3__CLUSTER__LB_POLICY__RANDOM;
    case WEIR__V1__LOAD_BALANCER__ROUND_ROBIN:
    case _WEIR__V1__LOAD_BALANCER_IS_INT_SIZE:
        break;
    }
    return ENVOY__CONFIG__CLUSTER__V3__CLUSTER__LB_POLICY__ROUND_ROBIN;
}

static void set_concurrency_limits(struct arena *arena, const Weir__V1__ConcurrencyLimits *limits,
                                   Cluster *cluster)
{
    Envoy__Config__Cluster__V3__CircuitBreakers__Thresholds *thresholds =
        build_message(arena, &envoy__config__cluster__v3__circuit_breakers__thresholds__descriptor);
    thresholds->max_connections = limits->max_connections;
    thresholds->max_pending_requests = limits->max_pending_requests;
    thresholds->max_requests = limits->max_requests;
    thresholds->max_retries = limits->max_retries;
    cluster->circuit_breakers =
        build_message(arena, &envoy__config__cluster__v3__circuit_breakers__descriptor);
    cluster->circuit_breakers->thresholds = build_list(arena, 1);
    cluster->circuit_breakers->thresholds[0] = thresholds;
    cluster->circuit_breakers->n_thresholds = 1;
}

/* Failures in a row eject a host for a time; nothing else does. */
static OutlierDetection *build_outlier_detection(struct arena *arena, uint32_t failures,
                                                 int64_t eject_ms, int64_t max_eject_ms,
                                                 uint32_t max_percent)
{
    OutlierDetection *outlier =
        build_message(arena, &envoy__config__cluster__v3__outlier_detection__descriptor);
    outlier->consecutive_5xx = build_u32(arena, failures);
    outlier->enforcing_consecutive_5xx = build_u32(arena, 100);
    outlier->enforcing_success_rate = build_u32(arena, 0);
    outlier->enforcing_consecutive_gateway_failure = build_u32(arena, 0);
    outlier->interval = build_duration(arena, OUTLIER_INTERVAL_MS);
    outlier->base_ejection_time = build_duration(arena, eject_ms);
    outlier->max_ejection_time = build_duration(arena, max_eject_ms);
    outlier->max_ejection_percent = build_u32(arena, max_percent);
    outlier->always_eject_one_host = build_bool(arena, true);
    return outlier;
}

/* What weir-proxy runs instead of the outlier detection; Envoy ignores it. */
static void set_extension(struct arena *arena, const Weir__V1__CircuitBreaker *breaker,
                          Cluster *cluster)
{
    Weir__V1__ClusterExtension *extension =
        build_message(arena, &weir__v1__cluster_extension__descriptor);
    Weir__V1__CircuitBreakerExtension *settings =
        build_message(arena, &weir__v1__circuit_breaker_extension__descriptor);
    settings->consecutive_failures = breaker->consecutive_failures;
    settings->open_for = build_duration(arena, duration_ms(breaker->open_for, OPEN_FOR_MS));
    settings->half_open_requests =
        breaker->half_open_requests ? breaker->half_open_requests->value : 1;
    settings->success_threshold =
        breaker->success_threshold ? breaker->success_threshold->value : 1;
    settings->replaces_outlier_detection = true;
    extension->circuit_breaker = settings;

    Envoy__Config__Core__V3__Metadata__TypedFilterMetadataEntry *entry = build_message(
        arena, &envoy__config__core__v3__metadata__typed_filter_metadata_entry__descriptor);
    entry->key = build_text(arena, CLUSTER_EXTENSION_KEY);
    entry->value = build_any(arena, &extension->base);
    cluster->metadata = build_message(arena, &envoy__config__core__v3__metadata__descriptor);
    cluster->metadata->typed_filter_metadata = build_list(arena, 1);
    cluster->metadata->typed_filter_metadata[0] = entry;
    cluster->metadata->n_typed_filter_metadata = 1;
}

static void set_breaker(struct arena *arena, const Weir__V1__CircuitBreaker *breaker,
                        Cluster *cluster)
{
    if (breaker->limits)
        set_concurrency_limits(arena, breaker->limits, cluster);
    if (breaker->consecutive_failures == 0)
        return;
    int64_t open_ms = duration_ms(breaker->open_for, OPEN_FOR_MS);
    cluster->outlier_detection =
        build_outlier_detection(arena, breaker->consecutive_failures, open_ms, open_ms, 100);
    /* Otherwise Envoy sends to ejected hosts again when too many are ejected. */
    cluster->common_lb_config =
        build_message(arena, &envoy__config__cluster__v3__cluster__common_lb_config__descriptor);
    cluster->common_lb_config->healthy_panic_threshold =
        build_message(arena, &envoy__type__v3__percent__descriptor);
    set_extension(arena, breaker, cluster);
}

static void set_outlier_detection(struct arena *arena, const Weir__V1__OutlierDetection *outlier,
                                  Cluster *cluster)
{
    int64_t eject_ms = duration_ms(outlier->eject_for, EJECT_FOR_MS);
    int64_t otherwise = eject_ms > MAX_EJECT_FOR_MS ? eject_ms : MAX_EJECT_FOR_MS;
    cluster->outlier_detection = build_outlier_detection(
        arena, outlier->consecutive_failures, eject_ms,
        duration_ms(outlier->max_eject_for, otherwise),
        outlier->max_eject_percent ? outlier->max_eject_percent->value : 10);
}

struct resource *translate_cluster(const struct model_object *object)
{
    const Weir__V1__Service *service = object->service;
    struct arena arena;
    arena_init(&arena, ARENA_BLOCK_BYTES);
    Cluster *cluster = build_message(&arena, &envoy__config__cluster__v3__cluster__descriptor);
    cluster->name = (char *)object->name.data;
    set_discovery(&arena, cluster);
    cluster->connect_timeout =
        build_duration(&arena, duration_ms(service->connect_timeout, CONNECT_TIMEOUT_MS));
    cluster->lb_policy = lb_policy(service);
    if (service->circuit_breaker)
        set_breaker(&arena, service->circuit_breaker, cluster);
    if (service->outlier_detection)
        set_outlier_detection(&arena, service->outlier_detection, cluster);
    struct resource *resource = resource_new(RESOURCE_CLUSTER, object->name, &cluster->base);
    arena_done(&arena);
    return resource;
}
