#include "tests/support/test.h"
#include "tests/support/xds_peer.h"

#include "common/rpc/rpc.h"
#include "controlplane/snapshot/bridge.h"
#include "controlplane/snapshot/world.h"

#include <envoy/config/cluster/v3/cluster.pb-c.h>
#include <envoy/config/listener/v3/listener.pb-c.h>
#include <envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb-c.h>
#include <envoy/service/discovery/v3/discovery.pb-c.h>
#include <google/protobuf/wrappers.pb-c.h>

static struct snapshot *snapshot_of(const char *clusters, const char *endpoints,
                                    const char *listeners, const char *routes)
{
    const char *texts[] = {clusters, endpoints, listeners, routes};
    struct resource_set *sets[RESOURCE_TYPE_COUNT];
    for (int type = 0; type < RESOURCE_TYPE_COUNT; type++)
        sets[type] = xds_set((enum resource_type)type, texts[type]);
    return snapshot_new(7, sets);
}

START_TEST(a_resource_is_a_valid_field_of_both_forms_of_response)
{
    struct resource *resource = xds_resource(RESOURCE_CLUSTER, "users", "hello");
    struct buf buf;
    buf_init(&buf, SIZE_MAX);
    buf_append_str(&buf, rpc_buf_str(resource->delta_head));
    buf_append_str(&buf, rpc_buf_str(resource->sotw_field));
    Envoy__Service__Discovery__V3__DeltaDiscoveryResponse *delta =
        envoy__service__discovery__v3__delta_discovery_response__unpack(NULL, buf.len,
                                                                        (uint8_t *)buf.data);
    ck_assert_ptr_nonnull(delta);
    ck_assert_uint_eq(delta->n_resources, 1);
    ck_assert_str_eq(delta->resources[0]->name, "users");
    ck_assert_str_eq(delta->resources[0]->version, resource->version.hex);
    ck_assert_str_eq(delta->resources[0]->resource->type_url,
                     "type.googleapis.com/envoy.config.cluster.v3.Cluster");
    ck_assert_uint_eq(delta->resources[0]->resource->value.len,
                      resource_message_bytes(resource).len);
    ck_assert_uint_eq(buf.len, resource_encoded_len(resource, true));
    envoy__service__discovery__v3__delta_discovery_response__free_unpacked(delta, NULL);
    buf_done(&buf);
    resource_unref(resource);
}
END_TEST

START_TEST(equal_messages_have_equal_versions_and_others_do_not)
{
    struct resource *a = xds_resource(RESOURCE_CLUSTER, "a", "1");
    struct resource *b = xds_resource(RESOURCE_CLUSTER, "a", "1");
    struct resource *c = xds_resource(RESOURCE_CLUSTER, "a", "2");
    ck_assert(resource_is_same(a, b));
    ck_assert(!resource_is_same(a, c));
    ck_assert(!resource_is_same(a, NULL));
    ck_assert(resource_is_same(NULL, NULL));
    resource_unref(a), resource_unref(b), resource_unref(c);
}
END_TEST

START_TEST(case_13_a_set_has_the_same_version_whatever_the_order_it_was_built_in)
{
    struct snapshot *a = snapshot_of("a=1 b=2 c=3", "", "", "");
    struct snapshot *b = snapshot_of("c=3 a=1 b=2", "", "", "");
    struct snapshot *c = snapshot_of("c=3 a=1 b=9", "", "", "");
    ck_assert(resource_set_is_same(a->sets[RESOURCE_CLUSTER], b->sets[RESOURCE_CLUSTER]));
    ck_assert(!resource_set_is_same(a->sets[RESOURCE_CLUSTER], c->sets[RESOURCE_CLUSTER]));
    ck_assert_ptr_nonnull(resource_set_find(a->sets[RESOURCE_CLUSTER], STR("b")));
    ck_assert_ptr_null(resource_set_find(a->sets[RESOURCE_CLUSTER], STR("bb")));
    ck_assert_ptr_null(resource_set_find(a->sets[RESOURCE_LISTENER], STR("b")));
    snapshot_unref(a), snapshot_unref(b), snapshot_unref(c);
}
END_TEST

START_TEST(a_snapshot_shares_what_did_not_change_with_the_one_before)
{
    struct snapshot *a = snapshot_of("a=1 b=2", "e=1", "", "");
    struct snapshot *b = snapshot_of("a=1 b=3 c=1", "e=1", "", "");
    snapshot_share(b, a);
    ck_assert_ptr_eq(a->sets[RESOURCE_ENDPOINTS], b->sets[RESOURCE_ENDPOINTS]);
    ck_assert_ptr_ne(a->sets[RESOURCE_CLUSTER], b->sets[RESOURCE_CLUSTER]);
    ck_assert_ptr_eq(resource_set_find(a->sets[RESOURCE_CLUSTER], STR("a")),
                     resource_set_find(b->sets[RESOURCE_CLUSTER], STR("a")));
    snapshot_unref(a);
    ck_assert_uint_eq(b->sets[RESOURCE_CLUSTER]->len, 3);
    snapshot_unref(b);
}
END_TEST

START_TEST(a_diff_has_additions_changes_and_removals_in_order)
{
    struct resource_set *from = xds_set(RESOURCE_CLUSTER, "a=1 b=1 d=1 z=1");
    struct resource_set *to = xds_set(RESOURCE_CLUSTER, "a=1 b=2 c=1 z=1");
    struct set_diff *diff = set_diff_new(from, to);
    ck_assert_uint_eq(diff->len, 3);
    ck_assert_uint_eq(diff->removed_count, 1);
    ck_assert_str_eq_len(set_change_name(&diff->changes[0]), "b");
    ck_assert_str_eq_len(set_change_name(&diff->changes[1]), "c");
    ck_assert_ptr_null(diff->changes[1].before);
    ck_assert_str_eq_len(set_change_name(&diff->changes[2]), "d");
    ck_assert_ptr_null(diff->changes[2].after);
    set_diff_unref(diff);
    diff = set_diff_new(NULL, to);
    ck_assert_uint_eq(diff->len, 4);
    set_diff_unref(diff);
    diff = set_diff_new(to, to);
    ck_assert_uint_eq(diff->len, 0);
    set_diff_unref(diff);
    resource_set_unref(from), resource_set_unref(to);
}
END_TEST

START_TEST(the_diff_cache_makes_each_diff_once_and_stays_small)
{
    struct diff_cache cache = {0};
    struct resource_set *sets[DIFF_CACHE_SLOTS + 3];
    for (size_t i = 0; i < DIFF_CACHE_SLOTS + 3; i++)
        sets[i] = xds_set(RESOURCE_CLUSTER, i % 2 ? "a=1" : "a=2");
    struct set_diff *diff = diff_cache_get(&cache, NULL, sets[0]);
    ck_assert_ptr_eq(diff_cache_get(&cache, NULL, sets[0]), diff);
    for (size_t i = 0; i < DIFF_CACHE_SLOTS + 3; i++)
        ck_assert_ptr_eq(diff_cache_get(&cache, NULL, sets[i])->to, sets[i]);
    diff_cache_clear(&cache);
    for (size_t i = 0; i < DIFF_CACHE_SLOTS + 3; i++) {
        ck_assert_uint_eq(sets[i]->refs, 1);
        resource_set_unref(sets[i]);
    }
}
END_TEST

static void expect_names(const struct snapshot *snapshot, enum resource_type type,
                         const char *expected)
{
    struct resource_set *set = xds_set(type, expected);
    ck_assert_str_eq(snapshot->sets[type]->version.hex, set->version.hex);
    resource_set_unref(set);
}

START_TEST(a_bridge_makes_before_it_breaks)
{
    struct snapshot *live = snapshot_of("old=1 same=1", "old=1 same=1", "l=1 m=1", "r=1 gone=1");
    struct snapshot *goal = snapshot_of("new=1 same=2", "new=1 same=2", "l=2", "r=2 s=1");
    struct snapshot *bridge = snapshot_bridge(live, goal);
    expect_names(bridge, RESOURCE_CLUSTER, "new=1 old=1 same=2");
    expect_names(bridge, RESOURCE_ENDPOINTS, "new=1 old=1 same=2");
    expect_names(bridge, RESOURCE_LISTENER, "l=1 m=1");
    expect_names(bridge, RESOURCE_ROUTES, "gone=1 r=1 s=1");
    snapshot_unref(bridge);
    bridge = snapshot_bridge(goal, goal);
    for (int type = 0; type < RESOURCE_TYPE_COUNT; type++)
        ck_assert_ptr_eq(bridge->sets[type], goal->sets[type]);
    snapshot_unref(bridge), snapshot_unref(live), snapshot_unref(goal);
}
END_TEST

/* --- what needs what -------------------------------------------------------------------------- */

static struct resource *eds_cluster(const char *name, const char *service)
{
    Envoy__Config__Cluster__V3__Cluster message = ENVOY__CONFIG__CLUSTER__V3__CLUSTER__INIT;
    Envoy__Config__Cluster__V3__Cluster__EdsClusterConfig eds =
        ENVOY__CONFIG__CLUSTER__V3__CLUSTER__EDS_CLUSTER_CONFIG__INIT;
    message.name = (char *)name;
    message.cluster_discovery_type_case =
        ENVOY__CONFIG__CLUSTER__V3__CLUSTER__CLUSTER_DISCOVERY_TYPE_TYPE;
    message.type = ENVOY__CONFIG__CLUSTER__V3__CLUSTER__DISCOVERY_TYPE__EDS;
    eds.service_name = (char *)service;
    message.eds_cluster_config = &eds;
    return resource_new(RESOURCE_CLUSTER, str_from(name), &message.base);
}

static struct snapshot *snapshot_with(struct resource *resource, const char *endpoints,
                                      const char *routes)
{
    struct snapshot *snapshot = snapshot_of("", endpoints, "", routes);
    resource_set_unref(snapshot->sets[resource->type]);
    snapshot->sets[resource->type] = resource_set_new(resource->type, &resource, 1);
    resource_unref(resource);
    return snapshot;
}

START_TEST(a_cluster_without_its_endpoints_is_refused)
{
    struct errmsg msg;
    struct snapshot *bad = snapshot_with(eds_cluster("users", ""), "other=1", "");
    ck_assert_int_eq(snapshot_check(bad, &msg), ERR_INVALID);
    ck_assert_str_eq(msg.text, "CDS users needs EDS users, which is missing");
    snapshot_unref(bad);
    struct snapshot *good = snapshot_with(eds_cluster("users", "pods"), "a=1 pods=1", "");
    ck_assert_int_eq(snapshot_check(good, &msg), 0);
    snapshot_unref(good);
}
END_TEST

START_TEST(a_listener_without_its_routes_is_refused)
{
    Envoy__Extensions__Filters__Network__HttpConnectionManager__V3__HttpConnectionManager hcm =
        ENVOY__EXTENSIONS__FILTERS__NETWORK__HTTP_CONNECTION_MANAGER__V3__HTTP_CONNECTION_MANAGER__INIT;
    Envoy__Extensions__Filters__Network__HttpConnectionManager__V3__Rds rds =
        ENVOY__EXTENSIONS__FILTERS__NETWORK__HTTP_CONNECTION_MANAGER__V3__RDS__INIT;
    rds.route_config_name = (char *)"public";
    hcm.route_specifier_case =
        ENVOY__EXTENSIONS__FILTERS__NETWORK__HTTP_CONNECTION_MANAGER__V3__HTTP_CONNECTION_MANAGER__ROUTE_SPECIFIER_RDS;
    hcm.rds = &rds;
    uint8_t bytes[256];
    Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT;
    any.type_url = (char *)"type.googleapis.com/envoy.extensions.filters.network."
                           "http_connection_manager.v3.HttpConnectionManager";
    any.value.data = bytes;
    any.value.len = protobuf_c_message_pack(&hcm.base, bytes);
    Envoy__Config__Listener__V3__Filter filter = ENVOY__CONFIG__LISTENER__V3__FILTER__INIT;
    filter.config_type_case = ENVOY__CONFIG__LISTENER__V3__FILTER__CONFIG_TYPE_TYPED_CONFIG;
    filter.typed_config = &any;
    Envoy__Config__Listener__V3__Filter *filters[] = {&filter};
    Envoy__Config__Listener__V3__FilterChain chain =
        ENVOY__CONFIG__LISTENER__V3__FILTER_CHAIN__INIT;
    chain.filters = filters;
    chain.n_filters = 1;
    Envoy__Config__Listener__V3__FilterChain *chains[] = {&chain};
    Envoy__Config__Listener__V3__Listener listener = ENVOY__CONFIG__LISTENER__V3__LISTENER__INIT;
    listener.filter_chains = chains;
    listener.n_filter_chains = 1;

    struct errmsg msg;
    struct resource *resource = resource_new(RESOURCE_LISTENER, STR("l"), &listener.base);
    struct snapshot *bad = snapshot_with(resource_ref(resource), "", "other=1");
    ck_assert_int_eq(snapshot_check(bad, &msg), ERR_INVALID);
    ck_assert_str_eq(msg.text, "LDS l needs RDS public, which is missing");
    struct snapshot *good = snapshot_with(resource, "", "public=1");
    ck_assert_int_eq(snapshot_check(good, &msg), 0);
    snapshot_unref(bad), snapshot_unref(good);
}
END_TEST

/* --- worlds ----------------------------------------------------------------------------------- */

static struct world *world_of(struct snapshot *public, struct snapshot *partner)
{
    struct world_builder *builder = world_builder_new(9);
    world_builder_add(builder, STR("public"), CLIENT_GRPC, snapshot_ref(public));
    world_builder_add(builder, STR("public"), CLIENT_ENVOY, public);
    world_builder_add(builder, STR("partner"), CLIENT_ENVOY, partner);
    return world_builder_finish(builder);
}

START_TEST(a_world_finds_the_snapshot_of_a_gateway_and_kind_of_client)
{
    struct snapshot *public = snapshot_of("a=1", "", "", "");
    struct snapshot *partner = snapshot_of("b=1", "", "", "");
    struct world *world = world_of(public, partner);
    ck_assert_ptr_eq(world_find(world, STR("public"), CLIENT_ENVOY), public);
    ck_assert_ptr_eq(world_find(world, STR("partner"), CLIENT_ENVOY), partner);
    ck_assert_ptr_null(world_find(world, STR("partner"), CLIENT_GRPC));
    ck_assert_ptr_null(world_find(world, STR("publi"), CLIENT_ENVOY));
    ck_assert_ptr_null(world_find(NULL, STR("public"), CLIENT_ENVOY));
    world_free(world);
}
END_TEST

START_TEST(an_unchanged_snapshot_of_a_new_world_is_the_one_before)
{
    struct world *before = world_of(snapshot_of("a=1", "", "", ""), snapshot_of("b=1", "", "", ""));
    struct world *after = world_of(snapshot_of("a=1", "", "", ""), snapshot_of("b=2", "", "", ""));
    world_share(after, before);
    ck_assert_ptr_eq(world_find(after, STR("public"), CLIENT_ENVOY),
                     world_find(before, STR("public"), CLIENT_ENVOY));
    ck_assert_ptr_ne(world_find(after, STR("partner"), CLIENT_ENVOY),
                     world_find(before, STR("partner"), CLIENT_ENVOY));
    world_free(before), world_free(after);
}
END_TEST

START_TEST(a_world_may_hold_the_very_snapshot_of_the_one_before)
{
    struct world *before = world_of(snapshot_of("a=1", "", "", ""), snapshot_of("b=1", "", "", ""));
    struct snapshot *public = world_find(before, STR("public"), CLIENT_ENVOY);
    struct world *after = world_of(snapshot_ref(public), snapshot_of("b=1", "", "", ""));
    world_share(after, before);
    ck_assert_ptr_eq(world_find(after, STR("public"), CLIENT_ENVOY), public);
    world_free(before);
    expect_names(public, RESOURCE_CLUSTER, "a=1");
    world_free(after);
}
END_TEST

static void count_problem(struct str gateway, const char *sentence, void *arg)
{
    (void)gateway, (void)sentence;
    ++*(int *)arg;
}

START_TEST(a_gateway_with_dangling_names_keeps_what_it_had)
{
    struct world *before = world_of(snapshot_of("a=1", "", "", ""), snapshot_of("b=1", "", "", ""));
    struct world *after =
        world_of(snapshot_with(eds_cluster("x", ""), "", ""), snapshot_of("b=2", "", "", ""));
    int problems = 0;
    world_check(after, before, count_problem, &problems);
    ck_assert_int_eq(problems, 2); /* both kinds of client */
    ck_assert_ptr_eq(world_find(after, STR("public"), CLIENT_ENVOY),
                     world_find(before, STR("public"), CLIENT_ENVOY));
    expect_names(world_find(after, STR("partner"), CLIENT_ENVOY), RESOURCE_CLUSTER, "b=2");
    world_free(before), world_free(after);
}
END_TEST

TEST_MAIN("snapshot", a_resource_is_a_valid_field_of_both_forms_of_response,
          equal_messages_have_equal_versions_and_others_do_not,
          case_13_a_set_has_the_same_version_whatever_the_order_it_was_built_in,
          a_snapshot_shares_what_did_not_change_with_the_one_before,
          a_diff_has_additions_changes_and_removals_in_order,
          the_diff_cache_makes_each_diff_once_and_stays_small, a_bridge_makes_before_it_breaks,
          a_cluster_without_its_endpoints_is_refused, a_listener_without_its_routes_is_refused,
          a_world_finds_the_snapshot_of_a_gateway_and_kind_of_client,
          an_unchanged_snapshot_of_a_new_world_is_the_one_before,
          a_world_may_hold_the_very_snapshot_of_the_one_before,
          a_gateway_with_dangling_names_keeps_what_it_had)
