#include "tests/support/loop_until.h"
#include "tests/support/test.h"
#include "tests/support/xds_rig.h"

static struct xds_rig rig;

static void open_rig(bool expects_control_plane, uint64_t init_timeout_ms)
{
    xds_rig_init(&rig);
    xds_rig_open(&rig, expects_control_plane, init_timeout_ms);
    store_begin(rig.store);
}

static void put_cluster(const char *name, const char *version, const char *extra)
{
    xds_rig_put_ok(&rig, XDS_CLUSTER, name, version, xds_rig_eds_cluster_yaml(&rig, name, extra));
}

static void put_endpoints(const char *name, unsigned port)
{
    xds_rig_put_ok(&rig, XDS_ENDPOINTS, name, "1", xds_rig_endpoints_yaml(&rig, name, port));
}

static void put_listener(const char *name, const char *routes)
{
    xds_rig_put_ok(&rig, XDS_LISTENER, name, "1", xds_rig_listener_yaml(&rig, name, routes));
}

static void put_routes(const char *name, const char *cluster)
{
    xds_rig_put_ok(&rig, XDS_ROUTES, name, "1", xds_rig_routes_yaml(&rig, name, cluster));
}

static void receive_all(void)
{
    store_type_received(rig.store, XDS_CLUSTER);
    store_type_received(rig.store, XDS_LISTENER);
}

static void expect_subscriptions(const char *expected)
{
    ck_assert_str_eq_len(buf_str(&rig.subscriptions), expected);
    buf_reset(&rig.subscriptions);
}

/* Everything live: one cluster with endpoints, one listener with routes. */
static void start_live(void)
{
    open_rig(true, 0);
    put_cluster("users", "1", "");
    put_listener("public/http", "public");
    receive_all();
    loop_for(rig.loop, 10);
    put_endpoints("users", 9001);
    put_routes("public", "users");
    ck_assert(xds_rig_wait_publishes(&rig, 1));
    buf_reset(&rig.subscriptions);
}

START_TEST(the_first_publish_waits_until_everything_is_complete)
{
    open_rig(true, 0);
    put_cluster("users", "1", "");
    put_listener("public/http", "public");
    receive_all();
    loop_for(rig.loop, 20);
    ck_assert_uint_eq(rig.publishes, 0);
    expect_subscriptions("+endpoints users +routes public ");
    put_endpoints("users", 9001);
    loop_for(rig.loop, 20);
    ck_assert_uint_eq(rig.publishes, 0);
    put_routes("public", "users");
    ck_assert(xds_rig_wait_publishes(&rig, 1));
    const struct config_cluster *cluster = xds_rig_cluster(&rig, "users");
    ck_assert_uint_eq(cluster->endpoints->host_count, 1);
    ck_assert_str_eq_len(cluster->endpoints->hosts[0].address.text, "127.0.0.1:9001");
    ck_assert_ptr_nonnull(xds_rig_listener(&rig, "public/http")->routes);
    ck_assert_uint_eq(rig.binds, 2); /* when it came, and when it went live */
    xds_rig_done(&rig);
}
END_TEST

START_TEST(what_came_in_one_turn_is_one_publish)
{
    start_live();
    for (int i = 0; i < 10; i++)
        put_endpoints("users", 9100 + (unsigned)i);
    loop_for(rig.loop, 20);
    ck_assert_uint_eq(rig.publishes, 2);
    ck_assert_str_eq_len(xds_rig_cluster(&rig, "users")->endpoints->hosts[0].address.text,
                         "127.0.0.1:9109");
    xds_rig_done(&rig);
}
END_TEST

START_TEST(parts_that_did_not_change_are_used_again)
{
    start_live();
    struct route_table *routes = xds_rig_listener(&rig, "public/http")->routes;
    struct cluster_config *cluster = xds_rig_cluster(&rig, "users")->cluster;
    struct listener_config *listener = xds_rig_listener(&rig, "public/http")->listener;
    put_endpoints("users", 9002);
    put_cluster("users", "2", ""); /* another version, the same content */
    ck_assert(xds_rig_wait_publishes(&rig, 2));
    ck_assert_ptr_eq(xds_rig_listener(&rig, "public/http")->routes, routes);
    ck_assert_ptr_eq(xds_rig_listener(&rig, "public/http")->listener, listener);
    ck_assert_ptr_eq(xds_rig_cluster(&rig, "users")->cluster, cluster);
    ck_assert_uint_eq(rig.binds, 2);
    xds_rig_done(&rig);
}
END_TEST

START_TEST(an_unchanged_resource_makes_no_publish)
{
    start_live();
    put_cluster("users", "2", "");
    put_endpoints("users", 9001);
    loop_for(rig.loop, 20);
    ck_assert_uint_eq(rig.publishes, 1);
    xds_rig_done(&rig);
}
END_TEST

START_TEST(a_changed_listener_waits_for_its_new_routes_while_the_old_one_serves)
{
    start_live();
    struct listener_config *before = xds_rig_listener(&rig, "public/http")->listener;
    put_listener("public/http", "other");
    loop_for(rig.loop, 20);
    expect_subscriptions("+routes other ");
    ck_assert_ptr_eq(xds_rig_listener(&rig, "public/http")->listener, before);
    ck_assert_ptr_nonnull(xds_rig_listener(&rig, "public/http")->routes);
    unsigned publishes = rig.publishes;
    put_routes("other", "users");
    ck_assert(xds_rig_wait_publishes(&rig, publishes + 1));
    ck_assert_ptr_ne(xds_rig_listener(&rig, "public/http")->listener, before);
    loop_for(rig.loop, XDS_RIG_LINGER_MS + 20);
    expect_subscriptions("-routes public ");
    xds_rig_done(&rig);
}
END_TEST

START_TEST(a_changed_cluster_keeps_its_endpoints)
{
    start_live();
    put_cluster("users", "2", "connect_timeout: 3s\n");
    ck_assert(xds_rig_wait_publishes(&rig, 2));
    const struct config_cluster *cluster = xds_rig_cluster(&rig, "users");
    ck_assert_uint_eq(cluster->cluster->connect_timeout_ms, 3000);
    ck_assert_uint_eq(cluster->endpoints->host_count, 1);
    expect_subscriptions("");
    xds_rig_done(&rig);
}
END_TEST

START_TEST(a_new_cluster_is_not_there_before_its_endpoints)
{
    start_live();
    put_cluster("orders", "1", "");
    loop_for(rig.loop, 20);
    ck_assert_ptr_null(xds_rig_cluster(&rig, "orders"));
    unsigned publishes = rig.publishes;
    put_endpoints("orders", 9002);
    ck_assert(xds_rig_wait_publishes(&rig, publishes + 1));
    ck_assert_ptr_nonnull(xds_rig_cluster(&rig, "orders"));
    xds_rig_done(&rig);
}
END_TEST

START_TEST(a_cluster_goes_live_without_endpoints_after_its_fetch_timeout)
{
    start_live();
    xds_rig_put_ok(&rig, XDS_CLUSTER, "slow", "1",
                   "name: slow\n"
                   "type: EDS\n"
                   "eds_cluster_config: {eds_config: {ads: {}, initial_fetch_timeout: 0.5s}}\n");
    loop_for(rig.loop, 20);
    ck_assert_ptr_null(xds_rig_cluster(&rig, "slow"));
    loop_for(rig.loop, 600);
    ck_assert_ptr_nonnull(xds_rig_cluster(&rig, "slow"));
    ck_assert_ptr_null(xds_rig_cluster(&rig, "slow")->endpoints);
    put_endpoints("slow", 9003);
    loop_for(rig.loop, 20);
    ck_assert_ptr_nonnull(xds_rig_cluster(&rig, "slow")->endpoints);
    xds_rig_done(&rig);
}
END_TEST

START_TEST(endpoints_the_server_does_not_have_do_not_hold_up_their_cluster)
{
    start_live();
    put_cluster("empty", "1", "");
    loop_for(rig.loop, 10);
    store_remove(rig.store, XDS_ENDPOINTS, STR("empty"));
    loop_for(rig.loop, 10);
    ck_assert_ptr_nonnull(xds_rig_cluster(&rig, "empty"));
    ck_assert_ptr_null(xds_rig_cluster(&rig, "empty")->endpoints);
    xds_rig_done(&rig);
}
END_TEST

START_TEST(only_clusters_and_listeners_are_removed)
{
    start_live();
    store_remove(rig.store, XDS_ENDPOINTS, STR("users"));
    store_remove(rig.store, XDS_ROUTES, STR("public"));
    loop_for(rig.loop, 20);
    ck_assert_ptr_nonnull(xds_rig_cluster(&rig, "users")->endpoints);
    ck_assert_ptr_nonnull(xds_rig_listener(&rig, "public/http")->routes);
    store_remove(rig.store, XDS_CLUSTER, STR("users"));
    store_remove(rig.store, XDS_LISTENER, STR("public/http"));
    store_remove(rig.store, XDS_LISTENER, STR("nobody"));
    loop_for(rig.loop, 20);
    ck_assert_uint_eq(rig.config->cluster_count, 0);
    ck_assert_uint_eq(rig.config->listener_count, 0);
    loop_for(rig.loop, XDS_RIG_LINGER_MS);
    expect_subscriptions("-endpoints users -routes public ");
    xds_rig_done(&rig);
}
END_TEST

START_TEST(a_cluster_that_leaves_and_comes_back_in_one_turn_keeps_its_endpoints)
{
    start_live();
    store_remove(rig.store, XDS_CLUSTER, STR("users"));
    put_cluster("users", "2", "connect_timeout: 2s\n");
    ck_assert(xds_rig_wait_publishes(&rig, 2));
    ck_assert_uint_eq(xds_rig_cluster(&rig, "users")->endpoints->host_count, 1);
    expect_subscriptions("");
    xds_rig_done(&rig);
}
END_TEST

static void find_error(const struct store_view *view, void *arg)
{
    if (view->error.len)
        *(struct store_view *)arg = *view;
}

START_TEST(a_refused_update_leaves_the_version_before_and_its_sentence)
{
    start_live();
    struct errmsg msg;
    int err = xds_rig_put(&rig, XDS_CLUSTER, "users", "bad",
                          xds_rig_eds_cluster_yaml(&rig, "users", "lb_policy: MAGLEV\n"), &msg);
    ck_assert_int_eq(err, ERR_UNSUPPORTED);
    ck_assert_str_eq(msg.text, "cluster users: lb_policy: MAGLEV is not supported; supported: "
                               "ROUND_ROBIN, LEAST_REQUEST, RANDOM");
    loop_for(rig.loop, 20);
    ck_assert_ptr_nonnull(xds_rig_cluster(&rig, "users"));
    struct store_view view = {.is_static = false};
    store_visit(rig.store, XDS_CLUSTER, find_error, &view);
    ck_assert_str_eq_len(view.error, msg.text);
    ck_assert_str_eq_len(view.error_version, "bad");
    ck_assert_str_eq_len(view.version, "1");
    ck_assert_uint_eq(store_rejected_total(rig.store), 1);
    put_cluster("users", "1", ""); /* rolled back to what runs */
    view = (struct store_view){.is_static = false};
    store_visit(rig.store, XDS_CLUSTER, find_error, &view);
    ck_assert_uint_eq(view.error.len, 0);
    xds_rig_done(&rig);
}
END_TEST

START_TEST(a_port_that_is_taken_is_refused_and_tried_again)
{
    start_live();
    struct errmsg msg;
    rig.port_is_taken = true;
    store_remove(rig.store, XDS_LISTENER, STR("public/http"));
    int err = xds_rig_put(&rig, XDS_LISTENER, "second", "1",
                          xds_rig_listener_yaml(&rig, "second", "public"), &msg);
    ck_assert_int_eq(err, ERR_IO);
    ck_assert_str_eq(msg.text, "listener second: address already in use");
    loop_for(rig.loop, 20);
    ck_assert_ptr_null(xds_rig_listener(&rig, "second"));
    /* The same again is still an error, not an acceptance. */
    ck_assert_int_eq(xds_rig_put(&rig, XDS_LISTENER, "second", "1",
                                 xds_rig_listener_yaml(&rig, "second", "public"), &msg),
                     ERR_IO);
    buf_reset(&rig.subscriptions);
    rig.port_is_taken = false;
    loop_for(rig.loop, STORE_BIND_RETRY_MS + 100);
    ck_assert_ptr_nonnull(xds_rig_listener(&rig, "second"));
    /* The control plane, which knows of the refusal only, hears of it. */
    ck_assert_str_eq_len(buf_str(&rig.subscriptions), "+listener second ");
    ck_assert_int_eq(xds_rig_put(&rig, XDS_LISTENER, "second", "1",
                                 xds_rig_listener_yaml(&rig, "second", "public"), &msg),
                     0);
    struct store_view view = {.is_static = false};
    store_visit(rig.store, XDS_LISTENER, find_error, &view);
    ck_assert_uint_eq(view.error.len, 0);
    xds_rig_done(&rig);
}
END_TEST

START_TEST(a_port_that_was_lost_before_the_listener_went_live_is_told)
{
    start_live();
    store_remove(rig.store, XDS_LISTENER, STR("public/http"));
    loop_for(rig.loop, 20);
    buf_reset(&rig.subscriptions);
    xds_rig_put_ok(&rig, XDS_LISTENER, "second", "1",
                   xds_rig_listener_yaml(&rig, "second", "other"));
    rig.port_is_taken = true;
    loop_for(rig.loop, 20);
    xds_rig_put_ok(&rig, XDS_ROUTES, "other", "1", xds_rig_routes_yaml(&rig, "other", "users"));
    loop_for(rig.loop, 20);
    ck_assert_str_eq_len(buf_str(&rig.subscriptions), "+routes other +listener second ");
    struct errmsg msg;
    ck_assert_int_eq(xds_rig_put(&rig, XDS_LISTENER, "second", "1",
                                 xds_rig_listener_yaml(&rig, "second", "other"), &msg),
                     ERR_IO);
    xds_rig_done(&rig);
}
END_TEST

START_TEST(a_listener_without_its_port_can_be_forgotten)
{
    start_live();
    struct errmsg msg;
    ck_assert_int_ne(xds_rig_put(&rig, XDS_LISTENER, "second", "1",
                                 xds_rig_listener_yaml(&rig, "second", "public"), &msg),
                     0);
    store_forget_refused(rig.store);
    ck_assert_uint_eq(store_count(rig.store, XDS_LISTENER), 1);
    loop_for(rig.loop, 20);
    ck_assert_ptr_nonnull(xds_rig_listener(&rig, "public/http"));
    xds_rig_done(&rig);
}
END_TEST

static void count_views(const struct store_view *view, void *arg)
{
    (void)view;
    ++*(unsigned *)arg;
}

START_TEST(what_was_never_accepted_is_forgotten_and_what_was_stays)
{
    start_live();
    struct errmsg msg;
    ck_assert_int_ne(xds_rig_put(&rig, XDS_CLUSTER, "bad", "1", "name: worse\n", &msg), 0);
    ck_assert_int_ne(xds_rig_put(&rig, XDS_CLUSTER, "users", "9", "name: other\n", &msg), 0);
    unsigned views = 0;
    store_visit(rig.store, XDS_CLUSTER, count_views, &views);
    ck_assert_uint_eq(views, 2);
    store_forget_refused(rig.store);
    views = 0;
    store_visit(rig.store, XDS_CLUSTER, count_views, &views);
    ck_assert_uint_eq(views, 1);
    struct store_view view = {.is_static = false};
    store_visit(rig.store, XDS_CLUSTER, find_error, &view);
    ck_assert_uint_gt(view.error.len, 0); /* of a version after the live one */
    loop_for(rig.loop, 20);
    ck_assert_ptr_nonnull(xds_rig_cluster(&rig, "users"));
    xds_rig_done(&rig);
}
END_TEST

START_TEST(two_listeners_cannot_have_one_address)
{
    start_live();
    struct errmsg msg;
    int err = xds_rig_put(&rig, XDS_LISTENER, "second", "1",
                          xds_rig_listener_yaml(&rig, "second", "public"), &msg);
    ck_assert_int_eq(err, ERR_EXISTS);
    ck_assert_str_eq(msg.text,
                     "listener second: address: 127.0.0.1:8080 is that of listener public/http");
    loop_for(rig.loop, 20);
    ck_assert_ptr_null(xds_rig_listener(&rig, "second"));
    /* Once the first is gone the second takes its place. */
    store_remove(rig.store, XDS_LISTENER, STR("public/http"));
    loop_for(rig.loop, 20);
    ck_assert_ptr_nonnull(xds_rig_listener(&rig, "second"));
    ck_assert_ptr_nonnull(xds_rig_listener(&rig, "second")->routes);
    ck_assert_ptr_null(xds_rig_listener(&rig, "public/http"));
    xds_rig_done(&rig);
}
END_TEST

START_TEST(static_resources_cannot_be_replaced)
{
    xds_rig_init(&rig);
    xds_rig_open(&rig, false, 0);
    struct errmsg msg;
    struct str bytes = xds_rig_encode(&rig, XDS_CLUSTER, "name: local\nconnect_timeout: 1s\n");
    ck_assert_int_eq(store_put(rig.store, XDS_CLUSTER, STR("local"), STR(""), bytes, true, &msg),
                     0);
    store_begin(rig.store);
    ck_assert_uint_eq(rig.publishes, 1);
    xds_rig_put_ok(&rig, XDS_CLUSTER, "local", "1", "name: local\nconnect_timeout: 9s\n");
    store_remove(rig.store, XDS_CLUSTER, STR("local"));
    loop_for(rig.loop, 20);
    ck_assert_uint_eq(xds_rig_cluster(&rig, "local")->cluster->connect_timeout_ms, 1000);
    xds_rig_done(&rig);
}
END_TEST

START_TEST(the_start_does_not_wait_for_ever)
{
    open_rig(true, 500);
    put_cluster("users", "1", "");
    loop_for(rig.loop, 20);
    ck_assert_uint_eq(rig.publishes, 0);
    ck_assert(xds_rig_wait_publishes(&rig, 1));
    ck_assert_ptr_null(xds_rig_cluster(&rig, "users")); /* still warming */
    xds_rig_done(&rig);
}
END_TEST

START_TEST(resources_nobody_asked_for_are_dropped)
{
    start_live();
    put_endpoints("stranger", 1);
    put_routes("stranger", "x");
    ck_assert_uint_eq(store_count(rig.store, XDS_ENDPOINTS), 1);
    ck_assert_uint_eq(store_count(rig.store, XDS_ROUTES), 1);
    xds_rig_done(&rig);
}
END_TEST

/* --- what nobody names any more --- */

/* Listener and cluster gone, so that the endpoints of "users" linger. */
static void leave_endpoints(void)
{
    start_live();
    store_remove(rig.store, XDS_LISTENER, STR("public/http"));
    store_remove(rig.store, XDS_CLUSTER, STR("users"));
    loop_for(rig.loop, 10);
    ck_assert_ptr_null(xds_rig_cluster(&rig, "users"));
    expect_subscriptions("");
}

START_TEST(endpoints_that_are_sent_again_before_their_cluster_make_it_live_at_once)
{
    leave_endpoints();
    put_endpoints("users", 9002);
    put_cluster("users", "2", "");
    loop_for(rig.loop, 10);
    ck_assert_ptr_nonnull(xds_rig_cluster(&rig, "users"));
    ck_assert_str_eq_len(xds_rig_cluster(&rig, "users")->endpoints->hosts[0].address.text,
                         "127.0.0.1:9002");
    loop_for(rig.loop, XDS_RIG_LINGER_MS + 20);
    expect_subscriptions("-routes public ");
    ck_assert_ptr_nonnull(xds_rig_cluster(&rig, "users")->endpoints);
    xds_rig_done(&rig);
}
END_TEST

START_TEST(endpoints_that_were_removed_meanwhile_are_asked_for_again)
{
    leave_endpoints();
    store_remove(rig.store, XDS_ENDPOINTS, STR("users"));
    ck_assert_uint_eq(store_count(rig.store, XDS_ENDPOINTS), 0);
    put_cluster("users", "2", "");
    loop_for(rig.loop, 10);
    expect_subscriptions("+endpoints users ");
    ck_assert_ptr_null(xds_rig_cluster(&rig, "users")); /* it waits for the answer */
    put_endpoints("users", 9003);
    loop_for(rig.loop, 10);
    ck_assert_ptr_nonnull(xds_rig_cluster(&rig, "users"));
    expect_subscriptions("");
    xds_rig_done(&rig);
}
END_TEST

START_TEST(what_nobody_names_is_dropped_after_a_while)
{
    leave_endpoints();
    loop_for(rig.loop, XDS_RIG_LINGER_MS / 2);
    expect_subscriptions("");
    ck_assert_uint_eq(store_count(rig.store, XDS_ENDPOINTS), 1);
    loop_for(rig.loop, XDS_RIG_LINGER_MS);
    expect_subscriptions("-endpoints users -routes public ");
    ck_assert_uint_eq(store_count(rig.store, XDS_ENDPOINTS), 0);
    ck_assert_uint_eq(store_count(rig.store, XDS_ROUTES), 0);
    put_cluster("users", "3", "");
    loop_for(rig.loop, 10);
    expect_subscriptions("+endpoints users ");
    xds_rig_done(&rig);
}
END_TEST

/* --- routes and their clusters --- */

START_TEST(routes_wait_for_the_clusters_that_they_lead_to)
{
    start_live();
    struct route_table *before = xds_rig_listener(&rig, "public/http")->routes;
    put_cluster("orders", "1", "");
    put_routes("public", "orders");
    loop_for(rig.loop, 20);
    ck_assert_ptr_eq(xds_rig_listener(&rig, "public/http")->routes, before);
    put_routes("public", "orders"); /* the same again changes nothing */
    unsigned publishes = rig.publishes;
    put_endpoints("orders", 9002);
    ck_assert(xds_rig_wait_publishes(&rig, publishes + 1));
    ck_assert_uint_eq(rig.publishes, publishes + 1); /* both in one */
    ck_assert_ptr_nonnull(xds_rig_cluster(&rig, "orders"));
    ck_assert_ptr_ne(xds_rig_listener(&rig, "public/http")->routes, before);
    xds_rig_done(&rig);
}
END_TEST

START_TEST(routes_to_a_cluster_that_there_is_not_do_not_wait)
{
    start_live();
    struct route_table *before = xds_rig_listener(&rig, "public/http")->routes;
    put_routes("public", "nobody");
    loop_for(rig.loop, 20);
    ck_assert_ptr_ne(xds_rig_listener(&rig, "public/http")->routes, before);
    xds_rig_done(&rig);
}
END_TEST

START_TEST(routes_do_not_wait_longer_than_their_cluster)
{
    start_live();
    struct route_table *before = xds_rig_listener(&rig, "public/http")->routes;
    xds_rig_put_ok(&rig, XDS_CLUSTER, "slow", "1",
                   "name: slow\n"
                   "type: EDS\n"
                   "eds_cluster_config: {eds_config: {ads: {}, initial_fetch_timeout: 0.5s}}\n");
    put_routes("public", "slow");
    loop_for(rig.loop, 20);
    ck_assert_ptr_eq(xds_rig_listener(&rig, "public/http")->routes, before);
    loop_for(rig.loop, 600);
    ck_assert_ptr_ne(xds_rig_listener(&rig, "public/http")->routes, before);
    xds_rig_done(&rig);
}
END_TEST

START_TEST(routes_that_keep_changing_do_not_wait_for_ever)
{
    start_live();
    struct route_table *before = xds_rig_listener(&rig, "public/http")->routes;
    put_cluster("orders", "1", "");
    put_routes("public", "orders");
    loop_for(rig.loop, XDS_RIG_HOLD_MS * 2 / 3);
    ck_assert_ptr_eq(xds_rig_listener(&rig, "public/http")->routes, before);
    xds_rig_put_ok(&rig, XDS_ROUTES, "public", "2",
                   "name: public\n"
                   "virtual_hosts: [{name: v, domains: [x.example], routes: [{match: {prefix: /}, "
                   "route: {cluster: orders}}]}]\n");
    loop_for(rig.loop, XDS_RIG_HOLD_MS * 2 / 3);
    ck_assert_ptr_ne(xds_rig_listener(&rig, "public/http")->routes, before);
    xds_rig_done(&rig);
}
END_TEST

START_TEST(a_new_listener_never_goes_live_without_the_routes_that_are_there)
{
    open_rig(true, 0);
    put_cluster("users", "1", "");
    xds_rig_put_ok(
        &rig, XDS_LISTENER, "public/http", "1",
        "name: public/http\n"
        "address: {socket_address: {address: 127.0.0.1, port_value: 8080}}\n"
        "filter_chains:\n"
        "- filters:\n"
        "  - name: hcm\n"
        "    typed_config:\n"
        "      \"@type\": type.googleapis.com/envoy.extensions.filters.network."
        "http_connection_manager.v3.HttpConnectionManager\n"
        "      stat_prefix: test\n"
        "      rds: {route_config_name: public, config_source: {ads: {}, "
        "initial_fetch_timeout: 0.5s}}\n"
        "      http_filters:\n"
        "      - name: envoy.filters.http.router\n"
        "        typed_config: {\"@type\": type.googleapis.com/envoy.extensions.filters.http."
        "router.v3.Router}\n");
    receive_all();
    loop_for(rig.loop, 5);
    put_routes("public", "users");
    store_end_init(rig.store);
    loop_for(rig.loop, 20);
    ck_assert_ptr_null(xds_rig_listener(&rig, "public/http"));
    loop_for(rig.loop, 600); /* its time is over, that of the routes is not */
    ck_assert_ptr_nonnull(xds_rig_listener(&rig, "public/http"));
    ck_assert_ptr_nonnull(xds_rig_listener(&rig, "public/http")->routes);
    xds_rig_done(&rig);
}
END_TEST

START_TEST(a_removed_cluster_stays_while_live_routes_lead_to_it)
{
    start_live();
    put_cluster("orders", "1", "");
    loop_for(rig.loop, 10);
    put_endpoints("orders", 9002);
    store_remove(rig.store, XDS_CLUSTER, STR("users"));
    store_remove(rig.store, XDS_ENDPOINTS, STR("users"));
    loop_for(rig.loop, 20);
    ck_assert_uint_eq(xds_rig_cluster(&rig, "users")->endpoints->host_count, 1);
    ck_assert_uint_eq(store_count(rig.store, XDS_CLUSTER), 1);
    put_routes("public", "orders");
    loop_for(rig.loop, 20);
    ck_assert_ptr_null(xds_rig_cluster(&rig, "users"));
    ck_assert_ptr_nonnull(xds_rig_cluster(&rig, "orders"));
    xds_rig_done(&rig);
}
END_TEST

START_TEST(a_removed_cluster_does_not_stay_for_ever)
{
    start_live();
    store_remove(rig.store, XDS_CLUSTER, STR("users"));
    loop_for(rig.loop, XDS_RIG_HOLD_MS / 2);
    store_remove(rig.store, XDS_CLUSTER, STR("users")); /* again: no new term */
    loop_for(rig.loop, XDS_RIG_HOLD_MS / 4);
    ck_assert_ptr_nonnull(xds_rig_cluster(&rig, "users"));
    loop_for(rig.loop, XDS_RIG_HOLD_MS / 2);
    ck_assert_ptr_null(xds_rig_cluster(&rig, "users"));
    loop_for(rig.loop, XDS_RIG_LINGER_MS + 20);
    expect_subscriptions("-endpoints users ");
    xds_rig_done(&rig);
}
END_TEST

START_TEST(a_removed_cluster_that_comes_back_stays)
{
    start_live();
    store_remove(rig.store, XDS_CLUSTER, STR("users"));
    loop_for(rig.loop, 20);
    put_cluster("users", "2", "connect_timeout: 3s\n");
    loop_for(rig.loop, XDS_RIG_HOLD_MS + 50);
    ck_assert_uint_eq(xds_rig_cluster(&rig, "users")->cluster->connect_timeout_ms, 3000);
    ck_assert_uint_eq(xds_rig_cluster(&rig, "users")->endpoints->host_count, 1);
    expect_subscriptions("");
    xds_rig_done(&rig);
}
END_TEST

START_TEST(a_version_refused_after_a_removal_shows_until_it_is_removed_too)
{
    start_live();
    struct errmsg msg;
    store_remove(rig.store, XDS_CLUSTER, STR("users"));
    ck_assert_int_ne(xds_rig_put(&rig, XDS_CLUSTER, "users", "bad",
                                 xds_rig_eds_cluster_yaml(&rig, "users", "lb_policy: MAGLEV\n"),
                                 &msg),
                     0);
    loop_for(rig.loop, XDS_RIG_HOLD_MS + 50);
    ck_assert_ptr_null(xds_rig_cluster(&rig, "users"));
    struct store_view view = {.is_static = false};
    store_visit(rig.store, XDS_CLUSTER, find_error, &view);
    ck_assert_str_eq_len(view.error_version, "bad");
    store_remove(rig.store, XDS_CLUSTER, STR("users"));
    view = (struct store_view){.is_static = false};
    store_visit(rig.store, XDS_CLUSTER, find_error, &view);
    ck_assert_uint_eq(view.error.len, 0);
    xds_rig_done(&rig);
}
END_TEST

TEST_MAIN("store", the_first_publish_waits_until_everything_is_complete,
          what_came_in_one_turn_is_one_publish, parts_that_did_not_change_are_used_again,
          an_unchanged_resource_makes_no_publish,
          a_changed_listener_waits_for_its_new_routes_while_the_old_one_serves,
          a_changed_cluster_keeps_its_endpoints, a_new_cluster_is_not_there_before_its_endpoints,
          a_cluster_goes_live_without_endpoints_after_its_fetch_timeout,
          endpoints_the_server_does_not_have_do_not_hold_up_their_cluster,
          only_clusters_and_listeners_are_removed,
          a_cluster_that_leaves_and_comes_back_in_one_turn_keeps_its_endpoints,
          a_refused_update_leaves_the_version_before_and_its_sentence,
          a_port_that_is_taken_is_refused_and_tried_again,
          a_port_that_was_lost_before_the_listener_went_live_is_told,
          a_listener_without_its_port_can_be_forgotten,
          what_was_never_accepted_is_forgotten_and_what_was_stays,
          two_listeners_cannot_have_one_address, static_resources_cannot_be_replaced,
          the_start_does_not_wait_for_ever, resources_nobody_asked_for_are_dropped,
          endpoints_that_are_sent_again_before_their_cluster_make_it_live_at_once,
          endpoints_that_were_removed_meanwhile_are_asked_for_again,
          what_nobody_names_is_dropped_after_a_while,
          routes_wait_for_the_clusters_that_they_lead_to,
          routes_to_a_cluster_that_there_is_not_do_not_wait,
          routes_do_not_wait_longer_than_their_cluster,
          routes_that_keep_changing_do_not_wait_for_ever,
          a_new_listener_never_goes_live_without_the_routes_that_are_there,
          a_removed_cluster_stays_while_live_routes_lead_to_it,
          a_removed_cluster_does_not_stay_for_ever, a_removed_cluster_that_comes_back_stays,
          a_version_refused_after_a_removal_shows_until_it_is_removed_too)
