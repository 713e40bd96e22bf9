#include "dataplane/xds/bootstrap.h"

#include "tests/support/loop_until.h"
#include "tests/support/temp_folder.h"
#include "tests/support/test.h"
#include "tests/support/xds_rig.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static struct xds_rig rig;

/* One static listener with inline routes to one static cluster, as a benchmark would have it. */
static const char static_yaml[] =
    "admin:\n"
    "  address: {socket_address: {address: 127.0.0.1, port_value: 9911}}\n"
    "static_resources:\n"
    "  listeners:\n"
    "  - name: front\n"
    "    address: {socket_address: {address: 127.0.0.1, port_value: 8080}}\n"
    "    filter_chains:\n"
    "    - filters:\n"
    "      - name: envoy.filters.network.http_connection_manager\n"
    "        typed_config:\n"
    "          \"@type\": type.googleapis.com/envoy.extensions.filters.network."
    "http_connection_manager.v3.HttpConnectionManager\n"
    "          stat_prefix: front\n"
    "          codec_type: AUTO\n"
    "          use_remote_address: true\n"
    "          route_config:\n"
    "            name: table\n"
    "            virtual_hosts:\n"
    "            - name: everything\n"
    "              domains: [\"*\"]\n"
    "              routes:\n"
    "              - match: {prefix: \"/\"}\n"
    "                route: {cluster: users, timeout: 15s}\n"
    "          http_filters:\n"
    "          - name: envoy.filters.http.router\n"
    "            typed_config:\n"
    "              \"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router\n"
    "  clusters:\n"
    "  - name: users\n"
    "    type: STATIC\n"
    "    connect_timeout: 1s\n"
    "    circuit_breakers:\n"
    "      thresholds:\n"
    "      - {max_connections: 10000, max_pending_requests: 10000, max_requests: 10000}\n"
    "    load_assignment:\n"
    "      cluster_name: users\n"
    "      endpoints:\n"
    "      - lb_endpoints:\n"
    "        - endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 9001}}}\n";

/* ADS over a static cluster, as most control planes hand it out. */
#define ADS_HEAD                                                                                   \
    "node: {id: n1, cluster: public, metadata: {role: edge}, locality: {zone: a}}\n"               \
    "dynamic_resources:\n"                                                                         \
    "  lds_config: {ads: {}, resource_api_version: V3}\n"                                          \
    "  cds_config: {ads: {}, resource_api_version: V3}\n"                                          \
    "  ads_config:\n"                                                                              \
    "    api_type: DELTA_GRPC\n"                                                                   \
    "    transport_api_version: V3\n"
#define ENVOY_GRPC                                                                                 \
    "    grpc_services: [{envoy_grpc: {cluster_name: xds}, initial_metadata: [{key: "              \
    "Authorization, value: token}]}]\n"
#define XDS_CLUSTER_HEAD                                                                           \
    "static_resources:\n"                                                                          \
    "  clusters:\n"                                                                                \
    "  - name: xds\n"                                                                              \
    "    type: STRICT_DNS\n"                                                                       \
    "    typed_extension_protocol_options:\n"                                                      \
    "      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:\n"                              \
    "        \"@type\": type.googleapis.com/envoy.extensions.upstreams.http.v3."                   \
    "HttpProtocolOptions\n"                                                                        \
    "        explicit_http_config: {http2_protocol_options: {}}\n"
#define ENDPOINT(host, port)                                                                       \
    "{endpoint: {address: {socket_address: {address: " host ", port_value: " port "}}}}"
#define XDS_ENDPOINTS_YAML(list)                                                                   \
    "    load_assignment: {cluster_name: xds, endpoints: [{lb_endpoints: [" list "]}]}\n"

static struct bootstrap *read_yaml(const char *yaml)
{
    struct errmsg msg = {.text = ""};
    struct bootstrap *bootstrap = NULL;
    int err = bootstrap_new(str_from(yaml), rig.types, &bootstrap, &msg);
    ck_assert_msg(err == 0, "%s", msg.text);
    return bootstrap;
}

static void expect_refused(const char *yaml, const char *sentence)
{
    struct errmsg msg = {.text = ""};
    struct bootstrap *bootstrap = NULL;
    ck_assert_int_ne(bootstrap_new(str_from(yaml), rig.types, &bootstrap, &msg), 0);
    ck_assert_str_eq(msg.text, sentence);
}

START_TEST(a_static_file_makes_a_whole_configuration)
{
    xds_rig_init(&rig);
    xds_rig_open(&rig, false, 0);
    struct bootstrap *bootstrap = read_yaml(static_yaml);
    struct errmsg msg = {.text = ""};
    ck_assert_str_eq(bootstrap->admin_address, "127.0.0.1:9911");
    ck_assert(!bootstrap->ads.is_set);
    int err = bootstrap_put_static(bootstrap, rig.store, &msg);
    ck_assert_msg(err == 0, "%s", msg.text);
    store_begin(rig.store);
    ck_assert_uint_eq(rig.publishes, 1);
    ck_assert_ptr_nonnull(xds_rig_listener(&rig, "front")->routes);
    ck_assert_uint_eq(xds_rig_cluster(&rig, "users")->endpoints->host_count, 1);
    ck_assert_uint_eq(xds_rig_cluster(&rig, "users")->cluster->thresholds.requests_max, 10000);
    bootstrap_free(bootstrap);
    xds_rig_done(&rig);
}
END_TEST

START_TEST(json_is_read_as_well)
{
    xds_rig_init(&rig);
    struct bootstrap *bootstrap = read_yaml("{\"node\": {\"id\": \"n\", \"cluster\": \"c\"}}");
    ck_assert_str_eq(bootstrap->message->node->id, "n");
    bootstrap_free(bootstrap);
    bootstrap = read_yaml("{}");
    ck_assert_str_eq(bootstrap->message->node->id, "");
    ck_assert_ptr_null(bootstrap->admin_address);
    bootstrap_free(bootstrap);
    xds_rig_done(&rig);
}
END_TEST

START_TEST(the_ads_server_is_found_through_its_cluster)
{
    xds_rig_init(&rig);
    xds_rig_open(&rig, true, 0);
    struct bootstrap *bootstrap = read_yaml(ADS_HEAD ENVOY_GRPC XDS_CLUSTER_HEAD XDS_ENDPOINTS_YAML(
        ENDPOINT("127.0.0.1", "18000") "," ENDPOINT("127.0.0.2", "18001")));
    const struct bootstrap_ads *ads = &bootstrap->ads;
    ck_assert(ads->is_set && ads->wants_listeners && ads->wants_clusters && !ads->has_tls);
    ck_assert_str_eq(ads->target, "ipv4:127.0.0.1:18000,127.0.0.2:18001");
    ck_assert_uint_eq(ads->metadata_count, 1);
    ck_assert_str_eq(ads->metadata[0].key, "authorization");
    ck_assert_str_eq_len(ads->metadata[0].value, "token");
    ck_assert_str_eq(bootstrap->message->node->cluster, "public");
    /* It speaks HTTP/2 and is not for traffic. */
    struct errmsg msg;
    ck_assert_int_eq(bootstrap_put_static(bootstrap, rig.store, &msg), 0);
    ck_assert_uint_eq(store_count(rig.store, XDS_CLUSTER), 0);
    bootstrap_free(bootstrap);
    bootstrap = read_yaml(ADS_HEAD ENVOY_GRPC XDS_CLUSTER_HEAD XDS_ENDPOINTS_YAML(
        ENDPOINT("control.example.com", "18000")));
    ck_assert_str_eq(bootstrap->ads.target, "dns:///control.example.com:18000");
    bootstrap_free(bootstrap);
    xds_rig_done(&rig);
}
END_TEST

START_TEST(the_ads_server_can_have_tls)
{
    char ca[64];
    snprintf(ca, sizeof ca, "%s/ca", temp_folder());
    int fd = open(ca, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_eq(write(fd, "PEM", 3), 3);
    close(fd);
    xds_rig_init(&rig);
    struct bootstrap *bootstrap = read_yaml(arena_printf(
        &rig.arena,
        ADS_HEAD ENVOY_GRPC XDS_CLUSTER_HEAD XDS_ENDPOINTS_YAML(
            ENDPOINT("\"::1\"", "18000")) "    transport_socket:\n"
                                          "      name: tls\n"
                                          "      typed_config:\n"
                                          "        \"@type\": type.googleapis.com/envoy.extensions."
                                          "transport_sockets.tls.v3.UpstreamTlsContext\n"
                                          "        sni: control\n"
                                          "        common_tls_context:\n"
                                          "          tls_certificates: [{certificate_chain: "
                                          "{inline_string: chain}, private_key: {inline_string: "
                                          "key}}]\n"
                                          "          validation_context: {trusted_ca: {filename: "
                                          "%s}}\n",
        ca));
    ck_assert(bootstrap->ads.has_tls);
    ck_assert_str_eq(bootstrap->ads.target, "ipv6:[::1]:18000");
    ck_assert_str_eq(bootstrap->ads.tls_server_name, "control");
    ck_assert_str_eq_len(bootstrap->ads.tls.ca_pem, "PEM");
    ck_assert_str_eq_len(bootstrap->ads.tls.cert_pem, "chain");
    ck_assert_str_eq_len(bootstrap->ads.tls.key_pem, "key");
    bootstrap_free(bootstrap);
    xds_rig_done(&rig);
    unlink(ca);
}
END_TEST

#define TLS_OF(common)                                                                             \
    ADS_HEAD ENVOY_GRPC XDS_CLUSTER_HEAD XDS_ENDPOINTS_YAML(                                       \
        ENDPOINT("127.0.0.1", "18000")) "    transport_socket: {name: tls, typed_config: "         \
                                        "{\"@type\": type.googleapis.com/envoy."                   \
                                        "extensions.transport_sockets.tls.v3.UpstreamTlsContext, " \
                                        "common_tls_context: " common "}}\n"

#define VALIDATION(field)                                                                          \
    "cluster xds: common_tls_context.validation_context." field                                    \
    ": is not supported; only trusted_ca is (the name in the certificate must be sni, or the "     \
    "server's host)"
#define TLS_PARAMS                                                                                 \
    "cluster xds: common_tls_context.tls_params: TLS 1.2 and 1.3 with the library's ciphers, "     \
    "curves and signatures are all there is"

START_TEST(a_protection_that_the_tls_of_the_ads_server_lacks_is_refused)
{
    static const char *const cases[][2] = {
        {TLS_OF("{validation_context: {crl: {inline_string: x}}}"), VALIDATION("crl")},
        {TLS_OF("{validation_context: {max_verify_depth: 1}}"), VALIDATION("max_verify_depth")},
        {TLS_OF("{validation_context: {verify_certificate_hash: [x]}}"),
         VALIDATION("verify_certificate_hash")},
        {TLS_OF("{validation_context: {match_typed_subject_alt_names: [{san_type: DNS}]}}"),
         VALIDATION("match_typed_subject_alt_names")},
        {TLS_OF("{validation_context: {ca_certificate_provider_instance: {}}}"),
         VALIDATION("ca_certificate_provider_instance")},
        {TLS_OF("{tls_params: {tls_minimum_protocol_version: TLSv1_3}}"), TLS_PARAMS},
        {TLS_OF("{tls_params: {cipher_suites: [ECDHE-RSA-AES256-GCM-SHA384]}}"), TLS_PARAMS},
    };
    xds_rig_init(&rig);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct errmsg msg = {.text = ""};
        struct bootstrap *bootstrap = NULL;
        ck_assert_int_ne(bootstrap_new(str_from(cases[i][0]), rig.types, &bootstrap, &msg), 0);
        ck_assert_str_eq(msg.text, cases[i][1]);
    }
    bootstrap_free(read_yaml(TLS_OF("{tls_params: {tls_minimum_protocol_version: TLSv1_2}}")));
    xds_rig_done(&rig);
}
END_TEST

START_TEST(the_ads_server_can_be_a_grpc_target)
{
    xds_rig_init(&rig);
    struct bootstrap *bootstrap =
        read_yaml(ADS_HEAD "    grpc_services: [{google_grpc: {target_uri: \"127.0.0.1:18000\", "
                           "stat_prefix: ads}}]\n");
    ck_assert_str_eq(bootstrap->ads.target, "127.0.0.1:18000");
    ck_assert(!bootstrap->ads.has_tls);
    bootstrap_free(bootstrap);
    xds_rig_done(&rig);
}
END_TEST

START_TEST(what_is_wrong_is_refused_by_its_path)
{
    static const char *const cases[][2] = {
        {"admin: {address: {socket_address: {address: localhost, port_value: 1}}}\n",
         "admin.address: must be an IP address and a port"},
        {"dynamic_resources: {lds_config: {ads: {}}}\n",
         "dynamic_resources.ads_config: must be set"},
        {"dynamic_resources: {lds_config: {path_config_source: {path: /x}}}\n",
         "dynamic_resources.lds_config: must be ads (or self); others are not supported"},
        {ADS_HEAD ENVOY_GRPC,
         "dynamic_resources.ads_config.grpc_services[0].envoy_grpc.cluster_name: "
         "static_resources has no cluster \"xds\""},
        {ADS_HEAD ENVOY_GRPC XDS_CLUSTER_HEAD, "cluster xds: load_assignment: has no endpoint"},
        {"static_resources: {clusters: [{name: a}, {name: b}, {name: a}]}\n",
         "static_resources.clusters: two are named \"a\""},
        {"static_resources: {listeners: [{}, {}, {name: a}, {name: a}]}\n",
         "static_resources.listeners: two are named \"a\""},
        {ADS_HEAD, "dynamic_resources.ads_config.grpc_services: must have one"},
        {"dynamic_resources: {ads_config: {api_type: REST}}\n",
         "dynamic_resources.ads_config.api_type: REST is not supported; use DELTA_GRPC"},
    };
    xds_rig_init(&rig);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_refused(cases[i][0], cases[i][1]);
    xds_rig_done(&rig);
}
END_TEST

START_TEST(an_unknown_field_is_refused_by_its_path)
{
    struct errmsg msg = {.text = ""};
    struct bootstrap *bootstrap = NULL;
    xds_rig_init(&rig);
    ck_assert_int_ne(bootstrap_new(STR("static_resources: {clusters: [{name: a, colour: red}]}\n"),
                                   rig.types, &bootstrap, &msg),
                     0);
    ck_assert_msg(strstr(msg.text, "static_resources.clusters[0]") != NULL, "%s", msg.text);
    ck_assert_msg(strstr(msg.text, "colour") != NULL, "%s", msg.text);
    xds_rig_done(&rig);
}
END_TEST

START_TEST(a_file_is_named_in_its_errors)
{
    struct errmsg msg = {.text = ""};
    struct bootstrap *bootstrap = NULL;
    xds_rig_init(&rig);
    ck_assert_int_eq(bootstrap_read("/nowhere/envoy.yaml", rig.types, &bootstrap, &msg), ERR_IO);
    ck_assert_str_eq(msg.text, "/nowhere/envoy.yaml: No such file or directory");
    xds_rig_done(&rig);
}
END_TEST

TEST_MAIN("bootstrap", a_static_file_makes_a_whole_configuration, json_is_read_as_well,
          the_ads_server_is_found_through_its_cluster, the_ads_server_can_have_tls,
          a_protection_that_the_tls_of_the_ads_server_lacks_is_refused,
          the_ads_server_can_be_a_grpc_target, what_is_wrong_is_refused_by_its_path,
          an_unknown_field_is_refused_by_its_path, a_file_is_named_in_its_errors)
