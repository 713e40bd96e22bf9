#include "dataplane/upstream/load_balancer.h"
#include "tests/support/test.h"
#include "tests/support/xds_rig.h"

static struct xds_rig rig;

static struct cluster_config *decode(const char *yaml)
{
    struct errmsg msg = {.text = ""};
    struct cluster_config *cluster = NULL;
    int err = decode_cluster(&rig.decode, STR("users"), xds_rig_encode(&rig, XDS_CLUSTER, yaml),
                             &cluster, &msg);
    ck_assert_msg(err == 0, "%s", msg.text);
    return cluster;
}

static void expect_refused(const char *yaml, const char *sentence)
{
    struct errmsg msg = {.text = ""};
    struct cluster_config *cluster = NULL;
    int err = decode_cluster(&rig.decode, STR("users"), xds_rig_encode(&rig, XDS_CLUSTER, yaml),
                             &cluster, &msg);
    ck_assert_int_ne(err, 0);
    ck_assert_str_eq(msg.text, sentence);
}

START_TEST(an_empty_cluster_has_the_defaults_of_envoy)
{
    xds_rig_init(&rig);
    struct cluster_config *cluster = decode("name: users\n");
    ck_assert_str_eq_len(cluster->name, "users");
    ck_assert_int_eq(cluster->discovery, CLUSTER_STATIC);
    ck_assert_uint_eq(cluster->connect_timeout_ms, 5000);
    ck_assert_uint_eq(cluster->idle_timeout_ms, 3600000);
    ck_assert_uint_eq(cluster->connection_buffer_bytes, 1048576);
    ck_assert_uint_eq(cluster->healthy_panic_threshold_percent, 50);
    ck_assert_uint_eq(cluster->thresholds.connections_max, 1024);
    ck_assert_uint_eq(cluster->thresholds.pending_requests_max, 1024);
    ck_assert_uint_eq(cluster->thresholds.requests_max, 1024);
    ck_assert_uint_eq(cluster->thresholds.retries_max, 3);
    ck_assert(!cluster->outlier.is_enabled);
    ck_assert(!cluster->breaker.is_enabled);
    ck_assert_ptr_null(cluster->breaker_state);
    ck_assert_ptr_eq(cluster->load_balancer, &round_robin_balancer);
    ck_assert_uint_eq(cluster->endpoints->host_count, 0);
    ck_assert_uint_eq(cluster->slot, name_slots_find(rig.decode.cluster_slots, STR("users")));
    cluster_config_unref(cluster);
    ck_assert_uint_eq(name_slots_find(rig.decode.cluster_slots, STR("users")), NAME_SLOT_NONE);
    xds_rig_done(&rig);
}
END_TEST

START_TEST(every_setting_is_read)
{
    xds_rig_init(&rig);
    struct cluster_config *cluster = decode(
        "name: users\n"
        "type: EDS\n"
        "eds_cluster_config:\n"
        "  eds_config: {ads: {}, initial_fetch_timeout: 3s}\n"
        "  service_name: users-v2\n"
        "connect_timeout: 0.25s\n"
        "per_connection_buffer_limit_bytes: 4096\n"
        "common_lb_config: {healthy_panic_threshold: {value: 33.6}}\n"
        "circuit_breakers:\n"
        "  thresholds:\n"
        "  - {priority: HIGH, max_connections: 1}\n"
        "  - {max_connections: 7, max_pending_requests: 8, max_requests: 9, max_retries: 1}\n"
        "outlier_detection:\n"
        "  consecutive_5xx: 3\n"
        "  interval: 0.1s\n"
        "  base_ejection_time: 5s\n"
        "  max_ejection_time: 6s\n"
        "  max_ejection_percent: 100\n"
        "  always_eject_one_host: true\n"
        "typed_extension_protocol_options:\n"
        "  envoy.extensions.upstreams.http.v3.HttpProtocolOptions:\n"
        "    \"@type\": type.googleapis.com/envoy.extensions.upstreams.http.v3."
        "HttpProtocolOptions\n"
        "    common_http_protocol_options: {idle_timeout: 10s, "
        "max_requests_per_connection: 50}\n"
        "    explicit_http_config: {http_protocol_options: {}}\n");
    ck_assert_int_eq(cluster->discovery, CLUSTER_EDS);
    ck_assert_str_eq_len(cluster->endpoints_name, "users-v2");
    ck_assert_uint_eq(cluster->endpoints_fetch_timeout_ms, 3000);
    ck_assert_ptr_null(cluster->endpoints);
    ck_assert_uint_eq(cluster->connect_timeout_ms, 250);
    ck_assert_uint_eq(cluster->connection_buffer_bytes, 4096);
    ck_assert_uint_eq(cluster->healthy_panic_threshold_percent, 34);
    ck_assert_uint_eq(cluster->thresholds.connections_max, 7);
    ck_assert_uint_eq(cluster->thresholds.requests_max, 9);
    ck_assert(cluster->outlier.is_enabled);
    ck_assert_uint_eq(cluster->outlier.consecutive_5xx, 3);
    ck_assert_uint_eq(cluster->outlier.interval_ms, 100);
    ck_assert_uint_eq(cluster->outlier.base_ejection_time_ms, 5000);
    ck_assert_uint_eq(cluster->outlier.max_ejection_time_ms, 6000);
    ck_assert_uint_eq(cluster->outlier.enforcing_consecutive_5xx_percent, 100);
    ck_assert(cluster->outlier.always_eject_one_host);
    ck_assert_uint_eq(cluster->idle_timeout_ms, 10000);
    ck_assert_uint_eq(cluster->requests_per_connection_max, 50);
    ck_assert_uint_eq(ignored_fields_total(rig.decode.ignored), 0);
    cluster_config_unref(cluster);
    xds_rig_done(&rig);
}
END_TEST

#define BREAKER                                                                                    \
    "name: users\n"                                                                                \
    "outlier_detection: {consecutive_5xx: 3}\n"                                                    \
    "metadata:\n"                                                                                  \
    "  typed_filter_metadata:\n"                                                                   \
    "    weir.circuit_breaker:\n"                                                                  \
    "      \"@type\": type.googleapis.com/weir.v1.ClusterExtension\n"                              \
    "      circuit_breaker: {consecutive_failures: 3, open_for: 5s, half_open_requests: 2, "       \
    "success_threshold: %s, replaces_outlier_detection: true}\n"

START_TEST(the_breaker_of_a_service_replaces_outlier_detection)
{
    xds_rig_init(&rig);
    struct cluster_config *cluster = decode(arena_printf(&rig.arena, BREAKER, "1"));
    ck_assert(cluster->breaker.is_enabled);
    ck_assert_uint_eq(cluster->breaker.consecutive_failures, 3);
    ck_assert_uint_eq(cluster->breaker.open_for_ms, 5000);
    ck_assert_uint_eq(cluster->breaker.half_open_requests, 2);
    ck_assert_uint_eq(cluster->breaker.success_threshold, 1);
    ck_assert(!cluster->outlier.is_enabled);
    struct cluster_config *again = decode(arena_printf(&rig.arena, BREAKER, "1"));
    ck_assert_ptr_eq(again->breaker_state, cluster->breaker_state);
    ck_assert_ptr_eq(again->limits, cluster->limits);
    struct cluster_config *other = decode(arena_printf(&rig.arena, BREAKER, "2"));
    ck_assert_ptr_ne(other->breaker_state, cluster->breaker_state);
    ck_assert_ptr_eq(other->limits, cluster->limits);
    cluster_config_unref(cluster);
    cluster_config_unref(again);
    cluster_config_unref(other);
    expect_refused(arena_printf(&rig.arena, BREAKER, "0"),
                   "cluster users: metadata.typed_filter_metadata[weir.circuit_breaker]: every "
                   "count and open_for must be over 0");
    xds_rig_done(&rig);
}
END_TEST

#define TYPED(name, more)                                                                          \
    "{typed_extension_config: {name: x, typed_config: {\"@type\": type.googleapis.com/"            \
    "envoy.extensions.load_balancing_policies." name more "}}}"

START_TEST(load_balancers_are_known_by_both_of_their_names)
{
    static const struct {
        const char *yaml;
        const struct load_balancer_type *type;
        uint32_t choice_count;
    } cases[] = {
        {"lb_policy: ROUND_ROBIN\n", &round_robin_balancer, 2},
        {"lb_policy: LEAST_REQUEST\n", &least_request_balancer, 2},
        {"lb_policy: LEAST_REQUEST\nleast_request_lb_config: {choice_count: 5}\n",
         &least_request_balancer, 5},
        {"lb_policy: RANDOM\n", &random_balancer, 2},
        {"load_balancing_policy: {policies: [" TYPED("round_robin.v3.RoundRobin", "") "]}\n",
         &round_robin_balancer, 2},
        {"load_balancing_policy: {policies: [" TYPED("random.v3.Random", "") "]}\n",
         &random_balancer, 2},
        {"lb_policy: RANDOM\nload_balancing_policy: {policies: [" TYPED(
             "maglev.v3.Maglev", "") ", " TYPED("least_request.v3.LeastRequest",
                                                ", choice_count: 7") "]}\n",
         &least_request_balancer, 7},
    };
    xds_rig_init(&rig);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cluster_config *cluster =
            decode(arena_printf(&rig.arena, "name: users\n%s", cases[i].yaml));
        ck_assert_ptr_eq(cluster->load_balancer, cases[i].type);
        ck_assert_uint_eq(cluster->lb_choice_count, cases[i].choice_count);
        cluster_config_unref(cluster);
    }
    ck_assert_uint_eq(ignored_fields_total(rig.decode.ignored), 0);
    cluster_config_unref(decode("name: users\nlb_policy: LEAST_REQUEST\n"
                                "least_request_lb_config: {active_request_bias: {default_value: "
                                "2}}\n"));
    ck_assert_uint_eq(ignored_fields_total(rig.decode.ignored), 1);
    xds_rig_done(&rig);
}
END_TEST

START_TEST(what_cannot_be_run_is_refused_by_name)
{
    static const char *const cases[][2] = {
        {"name: other\n", "cluster users: name: is \"other\""},
        {"name: users\nlb_policy: MAGLEV\n",
         "cluster users: lb_policy: MAGLEV is not supported; supported: ROUND_ROBIN, "
         "LEAST_REQUEST, RANDOM"},
        {"name: users\ntype: STRICT_DNS\ndns_lookup_family: -1\n",
         "cluster users: dns_lookup_family: has an unknown value"},
        {"name: users\nlb_policy: 99\n",
         "cluster users: lb_policy: a value without a name is not supported; supported: "
         "ROUND_ROBIN, LEAST_REQUEST, RANDOM"},
        {"name: users\nlb_policy: LEAST_REQUEST\nleast_request_lb_config: {choice_count: 1}\n",
         "cluster users: least_request_lb_config.choice_count: must be at least 2"},
        {"name: users\n"
         "load_balancing_policy: {policies: [{typed_extension_config: {name: l, typed_config: "
         "{\"@type\": "
         "type.googleapis.com/envoy.extensions.load_balancing_policies.least_request.v3."
         "LeastRequest, choice_count: 0}}}]}\n",
         "cluster users: load_balancing_policy.choice_count: must be at least 2"},
        {"name: users\n"
         "load_balancing_policy: {policies: [{typed_extension_config: {name: m, typed_config: "
         "{\"@type\": type.googleapis.com/envoy.extensions.load_balancing_policies.maglev.v3."
         "Maglev}}}]}\n",
         "cluster users: load_balancing_policy: type "
         "envoy.extensions.load_balancing_policies.maglev.v3.Maglev is not supported; supported: "
         "envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin, "
         "envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest, "
         "envoy.extensions.load_balancing_policies.random.v3.Random"},
        {"name: users\ntype: ORIGINAL_DST\n",
         "cluster users: type: not supported; supported: STATIC, STRICT_DNS, LOGICAL_DNS, EDS"},
        {"name: users\ntype: EDS\n", "cluster users: eds_cluster_config: must be set"},
        {"name: users\ntype: EDS\neds_cluster_config: {eds_config: {path_config_source: {path: "
         "/x}}}\n",
         "cluster users: eds_cluster_config.eds_config: must be ads (or self); others are not "
         "supported"},
        {"name: users\n"
         "transport_socket: {name: tls, typed_config: {\"@type\": type.googleapis.com/"
         "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext}}\n",
         "cluster users: transport_socket: type "
         "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext is not supported; "
         "supported: raw_buffer"},
        {"name: users\ncircuit_breakers: {per_host_thresholds: [{max_connections: 1}]}\n",
         "cluster users: circuit_breakers.per_host_thresholds: are not supported"},
        {"name: users\nload_assignment: {cluster_name: users, policy: {drop_overloads: [{category: "
         "x}]}}\n",
         "cluster users: load_assignment.policy.drop_overloads: is not supported"},
        {"name: users\nhttp2_protocol_options: {}\n",
         "cluster users: http2_protocol_options: HTTP/2 to endpoints is not supported"},
        {"name: users\nconnect_timeout: 0s\n", "cluster users: connect_timeout: must be over 0"},
        {"name: users\nconnect_timeout: -1s\n",
         "cluster users: connect_timeout: must be between 0 and ten years"},
        {"name: users\ncommon_lb_config: {healthy_panic_threshold: {value: 101}}\n",
         "cluster users: common_lb_config.healthy_panic_threshold: must be between 0 and 100"},
        {"name: users\nload_assignment: {cluster_name: users, endpoints: [{lb_endpoints: "
         "[{endpoint: {address: {socket_address: {address: backend, port_value: 1}}}}]}]}\n",
         "cluster users: load_assignment.endpoints[0].lb_endpoints[0].endpoint.address."
         "socket_address.address: \"backend\" is not an IP address (only clusters of type "
         "STRICT_DNS or LOGICAL_DNS take host names)"},
    };
    xds_rig_init(&rig);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_refused(cases[i][0], cases[i][1]);
    xds_rig_done(&rig);
}
END_TEST

START_TEST(a_dns_cluster_keeps_host_names_apart_from_addresses)
{
    xds_rig_init(&rig);
    struct cluster_config *cluster = decode(
        "name: users\n"
        "type: STRICT_DNS\n"
        "dns_lookup_family: V4_ONLY\n"
        "dns_refresh_rate: 2s\n"
        "load_assignment: {cluster_name: users, endpoints: [{priority: 1, lb_endpoints: ["
        "{endpoint: {address: {socket_address: {address: backend, port_value: 80}}}, "
        "load_balancing_weight: 3},"
        "{endpoint: {address: {socket_address: {address: 10.0.0.1, port_value: 81}}}}]}]}\n");
    ck_assert_int_eq(cluster->discovery, CLUSTER_STRICT_DNS);
    ck_assert_uint_eq(cluster->dns_target_count, 1);
    ck_assert_str_eq_len(cluster->dns_targets[0].host, "backend");
    ck_assert_uint_eq(cluster->dns_targets[0].port, 80);
    ck_assert_uint_eq(cluster->dns_targets[0].weight, 3);
    ck_assert_uint_eq(cluster->dns_targets[0].priority, 1);
    ck_assert_uint_eq(cluster->dns_refresh_ms, 2000);
    ck_assert_int_eq(cluster->dns_family, DNS_V4_ONLY);
    ck_assert_uint_eq(cluster->endpoints->host_count, 1);
    cluster_config_unref(cluster);
    xds_rig_done(&rig);
}
END_TEST

START_TEST(fields_without_effect_are_reported)
{
    xds_rig_init(&rig);
    struct cluster_config *cluster =
        decode("name: users\ntrack_cluster_stats: {timeout_budgets: true}\n");
    ck_assert_uint_eq(ignored_fields_total(rig.decode.ignored), 1);
    cluster_config_unref(cluster);
    xds_rig_done(&rig);
}
END_TEST

TEST_MAIN("decode_cluster", an_empty_cluster_has_the_defaults_of_envoy, every_setting_is_read,
          the_breaker_of_a_service_replaces_outlier_detection,
          load_balancers_are_known_by_both_of_their_names, what_cannot_be_run_is_refused_by_name,
          a_dns_cluster_keeps_host_names_apart_from_addresses, fields_without_effect_are_reported)
