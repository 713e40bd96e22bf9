#include "tests/support/test.h"
#include "tests/support/xds_rig.h"

static struct xds_rig rig;

static struct endpoints_config *decode(const char *yaml)
{
    struct errmsg msg = {.text = ""};
    struct endpoints_config *endpoints = NULL;
    int err = decode_endpoints(&rig.decode, STR("users"), xds_rig_encode(&rig, XDS_ENDPOINTS, yaml),
                               &endpoints, &msg);
    ck_assert_msg(err == 0, "%s", msg.text);
    return endpoints;
}

static void expect_refused(const char *yaml, const char *sentence)
{
    struct errmsg msg = {.text = ""};
    struct endpoints_config *endpoints = NULL;
    int err = decode_endpoints(&rig.decode, STR("users"), xds_rig_encode(&rig, XDS_ENDPOINTS, yaml),
                               &endpoints, &msg);
    ck_assert_int_ne(err, 0);
    ck_assert_str_eq(msg.text, sentence);
}

START_TEST(hosts_have_address_weight_priority_and_health)
{
    xds_rig_init(&rig);
    struct endpoints_config *endpoints = decode(
        "cluster_name: users\n"
        "endpoints:\n"
        "- lb_endpoints:\n"
        "  - {endpoint: {address: {socket_address: {address: 10.0.0.1, port_value: 80}}}}\n"
        "  - {endpoint: {address: {socket_address: {address: \"2001:DB8::1\", port_value: 81}}}, "
        "load_balancing_weight: 5, health_status: DRAINING}\n"
        "- priority: 1\n"
        "  lb_endpoints:\n"
        "  - {endpoint: {address: {pipe: {path: /run/a.sock}}}, health_status: DEGRADED}\n"
        "  - {endpoint: {address: {pipe: {path: \"@abstract\"}}}, health_status: UNHEALTHY}\n");
    ck_assert_uint_eq(endpoints->host_count, 4);
    const struct host_config *host = endpoints->hosts;
    ck_assert_str_eq_len(host[0].address.text, "10.0.0.1:80");
    ck_assert_int_eq(host[0].address.any.sa_family, AF_INET);
    ck_assert_uint_eq(host[0].weight, 1);
    ck_assert(host[0].is_healthy);
    ck_assert_str_eq_len(host[1].address.text, "[2001:db8::1]:81");
    ck_assert_uint_eq(host[1].weight, 5);
    ck_assert(!host[1].is_healthy);
    ck_assert_str_eq_len(host[2].address.text, "/run/a.sock");
    ck_assert_uint_eq(host[2].priority, 1);
    ck_assert(host[2].is_healthy);
    ck_assert_int_eq(host[3].address.path.sun_path[0], 0);
    ck_assert_int_eq(memcmp(host[3].address.path.sun_path + 1, "abstract", 8), 0);
    ck_assert_uint_eq(host[3].address.len, offsetof(struct sockaddr_un, sun_path) + 9);
    ck_assert(!host[3].is_healthy);
    endpoints_config_unref(endpoints);
    xds_rig_done(&rig);
}
END_TEST

START_TEST(an_address_that_is_given_twice_counts_once)
{
    xds_rig_init(&rig);
    struct endpoints_config *endpoints = decode(
        "cluster_name: users\n"
        "endpoints: [{lb_endpoints: [\n"
        "  {endpoint: {address: {socket_address: {address: 10.0.0.1, port_value: 80}}}},\n"
        "  {endpoint: {address: {socket_address: {address: 10.0.0.1, port_value: 80}}}}]}]\n");
    ck_assert_uint_eq(endpoints->host_count, 1);
    endpoints_config_unref(endpoints);
    xds_rig_done(&rig);
}
END_TEST

START_TEST(bad_endpoints_are_refused_by_name)
{
    static const char *const cases[][2] = {
        {"cluster_name: other\n", "endpoints users: cluster_name: is \"other\""},
        {"cluster_name: users\nendpoints: [{lb_endpoints: [{}]}]\n",
         "endpoints users: endpoints[0].lb_endpoints[0]: must have an endpoint"},
        {"cluster_name: users\nendpoints: [{lb_endpoints: [{endpoint: {}}]}]\n",
         "endpoints users: endpoints[0].lb_endpoints[0].endpoint.address: must be a "
         "socket_address or a pipe"},
        {"cluster_name: users\nendpoints: [{lb_endpoints: [{endpoint: {address: "
         "{socket_address: {address: 1.2.3.4, port_value: 65536}}}}]}]\n",
         "endpoints users: endpoints[0].lb_endpoints[0].endpoint.address.socket_address."
         "port_value: must be a number up to 65535"},
        {"cluster_name: users\nendpoints: [{lb_endpoints: [{endpoint: {address: "
         "{socket_address: {address: 1.2.3.4, port_value: 1}}}, load_balancing_weight: 0}]}]\n",
         "endpoints users: endpoints[0].lb_endpoints[0].load_balancing_weight: must be between 1 "
         "and 1000000"},
        {"cluster_name: users\nendpoints: [{priority: 129}]\n",
         "endpoints users: endpoints[0].priority: must be at most 128"},
        {"cluster_name: users\nendpoints: [{leds_cluster_locality_config: {}}]\n",
         "endpoints users: endpoints[0]: load_balancer_endpoints and "
         "leds_cluster_locality_config are not supported; use lb_endpoints"},
    };
    xds_rig_init(&rig);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_refused(cases[i][0], cases[i][1]);
    xds_rig_done(&rig);
}
END_TEST

TEST_MAIN("decode_endpoints", hosts_have_address_weight_priority_and_health,
          an_address_that_is_given_twice_counts_once, bad_endpoints_are_refused_by_name)
