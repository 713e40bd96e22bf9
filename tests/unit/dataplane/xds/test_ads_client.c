#include "dataplane/xds/ads_client.h"

#include "tests/support/ads_server.h"
#include "tests/support/loop_until.h"
#include "tests/support/test.h"
#include "tests/support/xds_rig.h"

#include <stdio.h>

typedef Envoy__Service__Discovery__V3__DeltaDiscoveryRequest delta_request;

static struct xds_rig rig;
static struct rpc_runtime *runtime;
static struct rpc_credentials *credentials;
static struct ads_server server;
static struct ads_client *client;
static struct store_output to_client;

static void subscribe(void *arg, enum xds_type type, struct str name)
{
    (void)arg;
    if (client)
        ads_client_subscribe(client, type, name);
}

static void unsubscribe(void *arg, enum xds_type type, struct str name)
{
    (void)arg;
    if (client)
        ads_client_unsubscribe(client, type, name);
}

static void start_client(void)
{
    static char id[] = "node-1", cluster[] = "public";
    Envoy__Config__Core__V3__Node node = ENVOY__CONFIG__CORE__V3__NODE__INIT;
    char target[64];
    node.id = id;
    node.cluster = cluster;
    snprintf(target, sizeof target, "127.0.0.1:%u", server.port);
    struct rpc_metadata metadata = {.key = "authorization", .value = STR("token")};
    struct ads_client_options options = {.runtime = runtime,
                                         .store = rig.store,
                                         .target = target,
                                         .credentials = credentials,
                                         .metadata = &metadata,
                                         .metadata_count = 1,
                                         .node = &node};
    client = ads_client_new(&options);
    store_begin(rig.store);
}

static void start(void)
{
    xds_rig_init(&rig);
    xds_rig_open(&rig, true, 0);
    to_client = (struct store_output){.subscribe = subscribe, .unsubscribe = unsubscribe};
    rig.also = &to_client;
    client = NULL;
    runtime = rpc_runtime_new(rig.loop);
    credentials = rpc_credentials_new_insecure();
    ads_server_start(&server, runtime, 0);
    start_client();
}

static void finish(void)
{
    ads_client_free(client);
    client = NULL;
    ads_server_stop(&server);
    rpc_credentials_unref(credentials);
    rpc_runtime_free(runtime);
    xds_rig_done(&rig);
}

struct wanted_request {
    enum xds_type type;
    size_t index;
};

static bool has_request(void *arg)
{
    const struct wanted_request *wanted = arg;
    return ads_server_request(&server, wanted->type, wanted->index) != NULL;
}

/* The index'th request of a type, waited for. */
static const delta_request *expect_request(enum xds_type type, size_t index)
{
    struct wanted_request wanted = {.type = type, .index = index};
    ck_assert(loop_until(rig.loop, 5000, has_request, &wanted));
    return ads_server_request(&server, type, index);
}

static void send_one(enum xds_type type, const char *name, const char *version, const char *yaml)
{
    struct ads_resource resource = {
        .name = name, .version = version, .bytes = xds_rig_encode(&rig, type, yaml)};
    ads_server_send(&server, type, &resource, 1);
}

/* One cluster with endpoints and one listener with routes, all acknowledged. */
static void bring_up(void)
{
    expect_request(XDS_LISTENER, 0);
    send_one(XDS_CLUSTER, "users", "c1", xds_rig_eds_cluster_yaml(&rig, "users", ""));
    send_one(XDS_LISTENER, "public/http", "l1",
             xds_rig_listener_yaml(&rig, "public/http", "public"));
    expect_request(XDS_ENDPOINTS, 0);
    expect_request(XDS_ROUTES, 0);
    send_one(XDS_ENDPOINTS, "users", "e1", xds_rig_endpoints_yaml(&rig, "users", 9001));
    send_one(XDS_ROUTES, "public", "r1", xds_rig_routes_yaml(&rig, "public", "users"));
    ck_assert(xds_rig_wait_publishes(&rig, 1));
    expect_request(XDS_ROUTES, 1);
}

START_TEST(the_first_requests_say_who_we_are_and_ask_for_everything)
{
    start();
    const delta_request *clusters = expect_request(XDS_CLUSTER, 0);
    const delta_request *listeners = expect_request(XDS_LISTENER, 0);
    ck_assert_ptr_eq(server.requests[0], clusters);
    ck_assert_str_eq(clusters->node->id, "node-1");
    ck_assert_str_eq(clusters->node->cluster, "public");
    ck_assert_uint_eq(clusters->n_resource_names_subscribe, 1);
    ck_assert_str_eq(clusters->resource_names_subscribe[0], "*");
    ck_assert_uint_eq(clusters->n_initial_resource_versions, 0);
    ck_assert_str_eq(clusters->response_nonce, "");
    ck_assert_ptr_null(listeners->node);
    loop_for(rig.loop, 30);
    ck_assert_uint_eq(server.request_count, 2); /* nothing yet to ask of the others */
    struct str token;
    ck_assert(rpc_stream_header(server.stream, "authorization", &token));
    ck_assert_str_eq_len(token, "token");
    finish();
}
END_TEST

START_TEST(resources_come_in_and_are_acknowledged)
{
    start();
    bring_up();
    const delta_request *ack = expect_request(XDS_CLUSTER, 1);
    ck_assert_str_eq(ack->response_nonce, "n1");
    ck_assert_ptr_null(ack->error_detail);
    const delta_request *endpoints = expect_request(XDS_ENDPOINTS, 0);
    ck_assert_uint_eq(endpoints->n_resource_names_subscribe, 1);
    ck_assert_str_eq(endpoints->resource_names_subscribe[0], "users");
    ck_assert_uint_eq(xds_rig_cluster(&rig, "users")->endpoints->host_count, 1);
    ck_assert_ptr_nonnull(xds_rig_listener(&rig, "public/http")->routes);
    struct ads_status status = ads_client_status(client);
    ck_assert(status.is_current && status.has_answered);
    ck_assert(status.is_connected);
    for (enum xds_type type = 0; type < XDS_TYPE_COUNT; type++) {
        ck_assert_uint_eq(status.accepted[type], 1);
        ck_assert_uint_eq(status.rejected[type], 0);
    }
    finish();
}
END_TEST

START_TEST(a_bad_resource_is_refused_by_name_and_its_good_siblings_are_taken)
{
    start();
    bring_up();
    const struct ads_resource resources[] = {
        {"users", "c2",
         xds_rig_encode(&rig, XDS_CLUSTER,
                        xds_rig_eds_cluster_yaml(&rig, "users", "connect_timeout: 7s\n"))},
        {"bad", "c2", xds_rig_encode(&rig, XDS_CLUSTER, "name: bad\nlb_policy: MAGLEV\n")},
        {"worse", "c2", STR("\xff")},
    };
    ads_server_send(&server, XDS_CLUSTER, resources, 3);
    const delta_request *nack = expect_request(XDS_CLUSTER, 2);
    ck_assert_ptr_nonnull(nack->error_detail);
    ck_assert_int_eq(nack->error_detail->code, RPC_STATUS_INVALID_ARGUMENT);
    ck_assert_str_eq(
        nack->error_detail->message,
        "2 of 3 resources refused: cluster bad: lb_policy: MAGLEV is not supported; "
        "supported: ROUND_ROBIN, LEAST_REQUEST, RANDOM\ncluster worse: is not a protobuf message");
    ck_assert_str_eq(nack->response_nonce, "n5");
    loop_for(rig.loop, 20);
    ck_assert_uint_eq(xds_rig_cluster(&rig, "users")->cluster->connect_timeout_ms, 7000);
    ck_assert_uint_eq(ads_client_status(client).rejected[XDS_CLUSTER], 1);
    finish();
}
END_TEST

START_TEST(a_name_twice_in_one_response_is_refused)
{
    start();
    expect_request(XDS_CLUSTER, 0);
    struct str bytes = xds_rig_encode(&rig, XDS_CLUSTER, "name: a\n");
    const struct ads_resource resources[] = {{"a", "1", bytes}, {"a", "2", bytes}};
    ads_server_send(&server, XDS_CLUSTER, resources, 2);
    ck_assert_str_eq(expect_request(XDS_CLUSTER, 1)->error_detail->message,
                     "1 of 2 resources refused: cluster a: is in the response twice");
    finish();
}
END_TEST

START_TEST(removed_resources_go_and_what_they_named_is_unsubscribed)
{
    start();
    bring_up();
    const struct ads_resource removed = {.name = "users"};
    ads_server_send(&server, XDS_CLUSTER, &removed, 1);
    const delta_request *request = expect_request(XDS_ENDPOINTS, 2);
    ck_assert_uint_eq(request->n_resource_names_unsubscribe, 1);
    ck_assert_str_eq(request->resource_names_unsubscribe[0], "users");
    ck_assert_uint_eq(request->n_resource_names_subscribe, 0);
    ck_assert_ptr_null(xds_rig_cluster(&rig, "users"));
    /* And back again: the endpoints are asked for anew. */
    send_one(XDS_CLUSTER, "users", "c1", xds_rig_eds_cluster_yaml(&rig, "users", ""));
    request = expect_request(XDS_ENDPOINTS, 3);
    ck_assert_uint_eq(request->n_resource_names_subscribe, 1);
    finish();
}
END_TEST

static bool has_streams(void *arg)
{
    return server.streams >= *(size_t *)arg;
}

START_TEST(after_a_lost_stream_we_say_what_we_hold)
{
    start();
    bring_up();
    size_t streams = 2, before = server.request_count;
    rpc_stream_cancel(server.stream, RPC_STATUS_UNAVAILABLE, "restart");
    ck_assert(loop_until(rig.loop, 5000, has_streams, &streams));
    ck_assert(!ads_client_status(client).is_current);
    ck_assert_uint_ne(ads_client_status(client).lost_at_ms, 0);
    expect_request(XDS_ROUTES, 2);
    const delta_request *clusters = server.requests[before];
    ck_assert_ptr_nonnull(clusters->node);
    ck_assert_str_eq(clusters->resource_names_subscribe[0], "*");
    ck_assert_uint_eq(clusters->n_initial_resource_versions, 1);
    ck_assert_str_eq(clusters->initial_resource_versions[0]->key, "users");
    ck_assert_str_eq(clusters->initial_resource_versions[0]->value, "c1");
    const delta_request *routes = expect_request(XDS_ROUTES, 2);
    ck_assert_str_eq(routes->resource_names_subscribe[0], "public");
    ck_assert_str_eq(routes->initial_resource_versions[0]->value, "r1");
    ck_assert_uint_eq(rig.publishes, 1);
    /* An answer without anything is an answer. */
    ads_server_send(&server, XDS_CLUSTER, NULL, 0);
    expect_request(XDS_CLUSTER, 3);
    ck_assert(ads_client_status(client).is_current);
    ck_assert_uint_eq(rig.publishes, 1);
    finish();
}
END_TEST

START_TEST(what_came_from_elsewhere_is_told_on_a_new_stream)
{
    start();
    expect_request(XDS_LISTENER, 0);
    xds_rig_put_ok(&rig, XDS_CLUSTER, "kept", "k1", xds_rig_eds_cluster_yaml(&rig, "kept", ""));
    ads_client_restart(client);
    const delta_request *clusters = expect_request(XDS_CLUSTER, 1);
    ck_assert_uint_eq(clusters->n_initial_resource_versions, 1);
    ck_assert_str_eq(clusters->initial_resource_versions[0]->key, "kept");
    ck_assert_ptr_nonnull(clusters->node);
    finish();
}
END_TEST

START_TEST(a_server_that_is_not_there_yet_is_tried_again)
{
    start();
    expect_request(XDS_CLUSTER, 0);
    uint16_t port = server.port;
    ads_server_stop(&server);
    loop_for(rig.loop, 700);
    ck_assert(!ads_client_status(client).is_current);
    ck_assert_str_ne(ads_client_status(client).last_error, "");
    ads_server_start(&server, runtime, port);
    size_t streams = 1;
    ck_assert(loop_until(rig.loop, 10000, has_streams, &streams));
    bring_up();
    finish();
}
END_TEST

START_TEST(endpoints_the_server_does_not_have_do_not_hold_up_the_start)
{
    start();
    expect_request(XDS_LISTENER, 0);
    send_one(XDS_CLUSTER, "users", "c1", xds_rig_eds_cluster_yaml(&rig, "users", ""));
    ads_server_send(&server, XDS_LISTENER, NULL, 0);
    expect_request(XDS_ENDPOINTS, 0);
    ck_assert_uint_eq(rig.publishes, 0);
    const struct ads_resource missing = {.name = "users"};
    ads_server_send(&server, XDS_ENDPOINTS, &missing, 1);
    ck_assert(xds_rig_wait_publishes(&rig, 1));
    ck_assert_ptr_nonnull(xds_rig_cluster(&rig, "users"));
    finish();
}
END_TEST

START_TEST(a_listener_whose_port_became_free_is_asked_for_again_and_acknowledged)
{
    start();
    bring_up();
    rig.port_is_taken = true;
    const char *second = xds_rig_listener_yaml(&rig, "public/second", "public");
    struct str bytes = xds_rig_encode(&rig, XDS_LISTENER, arena_printf(&rig.arena, "%s", second));
    const struct ads_resource changes[] = {{"public/http", "", {0}},
                                           {"public/second", "l2", bytes}};
    ads_server_send(&server, XDS_LISTENER, changes, 2);
    const delta_request *nack = expect_request(XDS_LISTENER, 2);
    ck_assert_str_eq(nack->error_detail->message,
                     "1 of 1 resources refused: listener public/second: address already in use");
    rig.port_is_taken = false;
    const delta_request *again = expect_request(XDS_LISTENER, 3);
    ck_assert_uint_eq(again->n_resource_names_subscribe, 1);
    ck_assert_str_eq(again->resource_names_subscribe[0], "public/second");
    ck_assert_uint_eq(again->n_resource_names_unsubscribe, 0);
    ck_assert_str_eq(again->response_nonce, "");
    ck_assert_ptr_nonnull(xds_rig_listener(&rig, "public/second"));
    ads_server_send(&server, XDS_LISTENER, &changes[1], 1);
    const delta_request *ack = expect_request(XDS_LISTENER, 4);
    ck_assert_ptr_null(ack->error_detail);
    ck_assert_str_ne(ack->response_nonce, "");
    finish();
}
END_TEST

START_TEST(the_wait_before_a_new_stream_grows_and_differs_from_proxy_to_proxy)
{
    ck_assert_uint_eq(ads_backoff_ms(0, 0), ADS_BACKOFF_MIN_MS);
    ck_assert_uint_eq(ads_backoff_ms(0, 500), 2 * ADS_BACKOFF_MIN_MS);
    ck_assert_uint_eq(ads_backoff_ms(0, 501), ADS_BACKOFF_MIN_MS);
    ck_assert_uint_eq(ads_backoff_ms(1, 1500), 4 * ADS_BACKOFF_MIN_MS);
    for (uint64_t random = 0; random < 100000; random += 97)
        for (unsigned failures = 0; failures < 100; failures++) {
            uint64_t wait_ms = ads_backoff_ms(failures, random);
            ck_assert(wait_ms >= ADS_BACKOFF_MIN_MS && wait_ms <= ADS_BACKOFF_MAX_MS);
        }
    ck_assert_uint_eq(ads_backoff_ms(UINT32_MAX, 9500), ADS_BACKOFF_MAX_MS);
}
END_TEST

TEST_MAIN("ads_client", the_first_requests_say_who_we_are_and_ask_for_everything,
          resources_come_in_and_are_acknowledged,
          a_bad_resource_is_refused_by_name_and_its_good_siblings_are_taken,
          a_name_twice_in_one_response_is_refused,
          removed_resources_go_and_what_they_named_is_unsubscribed,
          after_a_lost_stream_we_say_what_we_hold, what_came_from_elsewhere_is_told_on_a_new_stream,
          a_server_that_is_not_there_yet_is_tried_again,
          endpoints_the_server_does_not_have_do_not_hold_up_the_start,
          a_listener_whose_port_became_free_is_asked_for_again_and_acknowledged,
          the_wait_before_a_new_stream_grows_and_differs_from_proxy_to_proxy)
