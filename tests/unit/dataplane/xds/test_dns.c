#include "dataplane/xds/dns.h"

#include "tests/support/loop_until.h"
#include "tests/support/test.h"
#include "tests/support/xds_rig.h"

static struct xds_rig rig;

static const char *dns_cluster(const char *host)
{
    return arena_printf(&rig.arena,
                        "name: local\n"
                        "type: STRICT_DNS\n"
                        "dns_lookup_family: V4_ONLY\n"
                        "load_assignment: {cluster_name: local, endpoints: [{lb_endpoints: ["
                        "{endpoint: {address: {socket_address: {address: %s, port_value: 80}}}},"
                        "{endpoint: {address: {socket_address: {address: 10.0.0.1, port_value: "
                        "81}}}}]}]}\n",
                        host);
}

static void open_rig(void)
{
    xds_rig_init(&rig);
    xds_rig_open(&rig, false, 0);
    store_begin(rig.store);
}

START_TEST(a_name_in_the_hosts_file_is_resolved_and_joined_with_the_addresses)
{
    open_rig();
    xds_rig_put_ok(&rig, XDS_CLUSTER, "local", "1", dns_cluster("localhost"));
    ck_assert(xds_rig_wait_publishes(&rig, 2));
    loop_for(rig.loop, 50);
    const struct endpoints_config *endpoints = xds_rig_cluster(&rig, "local")->endpoints;
    ck_assert_uint_eq(endpoints->host_count, 2);
    ck_assert_str_eq_len(endpoints->hosts[0].address.text, "10.0.0.1:81");
    ck_assert_str_eq_len(endpoints->hosts[1].address.text, "127.0.0.1:80");
    ck_assert_uint_eq(ntohs(endpoints->hosts[1].address.v4.sin_port), 80);
    xds_rig_done(&rig);
}
END_TEST

START_TEST(a_cluster_can_go_while_its_names_are_being_resolved)
{
    open_rig();
    xds_rig_put_ok(&rig, XDS_CLUSTER, "local", "1", dns_cluster("name.that.is.not.there.invalid"));
    loop_for(rig.loop, 20);
    store_remove(rig.store, XDS_CLUSTER, STR("local"));
    loop_for(rig.loop, 20);
    ck_assert_ptr_null(xds_rig_cluster(&rig, "local"));
    xds_rig_put_ok(&rig, XDS_CLUSTER, "local", "1", dns_cluster("name.that.is.not.there.invalid"));
    loop_for(rig.loop, 20);
    xds_rig_done(&rig);
}
END_TEST

TEST_MAIN("dns", a_name_in_the_hosts_file_is_resolved_and_joined_with_the_addresses,
          a_cluster_can_go_while_its_names_are_being_resolved)
