/* The xDS server over real gRPC, server and clients on one loop. */
#include "tests/support/test.h"
#include "tests/support/xds_peer.h"

#include "common/base/mem.h"
#include "controlplane/server/ads.h"

#include <envoy/service/discovery/v3/discovery.pb-c.h>
#include <event2/event.h>
#include <stdio.h>

enum { CLIENTS_MAX = 1000 };

struct client {
    struct rpc_stream *rpc;
    char received[512]; /* "a=1; b=2": responses so far */
    char nonce[24];
    bool is_closed;
    enum rpc_status status;
};

static struct loop *loop;
static struct rpc_runtime *runtime;
static struct ledger *ledger;
static struct ads_server *server;
static struct rpc_channel *channel;
static struct client clients[CLIENTS_MAX];
static bool is_stopped;

static void begin(void)
{
    uint16_t port;
    char target[32];
    struct errmsg msg;
    loop = loop_new();
    runtime = rpc_runtime_new(loop);
    ledger = ledger_new();
    server = ads_new(runtime, ledger);
    ck_assert_int_eq(ads_listen(server, "127.0.0.1:0", NULL, &port, &msg), 0);
    ads_start(server);
    snprintf(target, sizeof target, "127.0.0.1:%u", port);
    struct rpc_credentials *credentials = rpc_credentials_new_insecure();
    channel = rpc_channel_new(runtime, target, credentials, &(struct rpc_channel_options){0});
    rpc_credentials_unref(credentials);
}

static void end(void)
{
    rpc_channel_free(channel);
    ads_free(server);
    rpc_runtime_free(runtime);
    loop_free(loop);
    ledger_free(ledger);
}

static void on_message(void *arg, struct rpc_stream *rpc, struct str data)
{
    struct client *client = arg;
    (void)rpc;
    Envoy__Service__Discovery__V3__DeltaDiscoveryResponse *response =
        envoy__service__discovery__v3__delta_discovery_response__unpack(NULL, data.len,
                                                                        (const uint8_t *)data.data);
    ck_assert_ptr_nonnull(response);
    size_t len = strlen(client->received);
    len += (size_t)snprintf(client->received + len, sizeof client->received - len, "[");
    for (size_t i = 0; i < response->n_resources; i++)
        len += (size_t)snprintf(client->received + len, sizeof client->received - len, "%s%s",
                                i ? " " : "", response->resources[i]->name);
    snprintf(client->received + len, sizeof client->received - len, "]");
    snprintf(client->nonce, sizeof client->nonce, "%s", response->nonce);
    envoy__service__discovery__v3__delta_discovery_response__free_unpacked(response, NULL);
}

static void on_closed(void *arg, struct rpc_stream *rpc, enum rpc_status status, const char *text)
{
    struct client *client = arg;
    (void)rpc, (void)text;
    client->is_closed = true;
    client->status = status;
}

static void open_client(struct client *client, const char *method)
{
    static const struct rpc_stream_events events = {.on_message = on_message,
                                                    .on_closed = on_closed};
    *client = (struct client){0};
    client->rpc = rpc_stream_open(channel, method, NULL, 0, &events, client);
}

#define ADS_DELTA "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"

static void send_request(struct client *client, const char *url, const char *nonce)
{
    Envoy__Config__Core__V3__Node node = ENVOY__CONFIG__CORE__V3__NODE__INIT;
    Envoy__Service__Discovery__V3__DeltaDiscoveryRequest request =
        ENVOY__SERVICE__DISCOVERY__V3__DELTA_DISCOVERY_REQUEST__INIT;
    node.id = (char *)"n";
    node.cluster = (char *)"public";
    request.node = &node;
    request.type_url = (char *)url;
    request.response_nonce = (char *)nonce;
    struct rpc_buf *buf = rpc_buf_pack(&request.base);
    ck_assert_int_eq(rpc_stream_send_buf(client->rpc, buf), 0);
    rpc_buf_unref(buf);
}

static void publish(const char *clusters)
{
    struct resource_set *sets[RESOURCE_TYPE_COUNT];
    for (int type = 0; type < RESOURCE_TYPE_COUNT; type++)
        sets[type] = xds_set((enum resource_type)type, type == RESOURCE_CLUSTER ? clusters : "");
    struct world_builder *world = world_builder_new(1);
    world_builder_add(world, STR("public"), CLIENT_ENVOY, snapshot_new(1, sets));
    ads_publish(server, world_builder_finish(world));
}

#define run_until(condition)                                                                       \
    do {                                                                                           \
        event_base_loop(loop_event_base(loop), EVLOOP_ONCE);                                       \
    } while (!(condition))

START_TEST(case_46_before_the_first_publication_streams_are_refused_as_unavailable)
{
    begin();
    open_client(&clients[0], ADS_DELTA);
    run_until(clients[0].is_closed);
    ck_assert_int_eq(clients[0].status, RPC_STATUS_UNAVAILABLE);
    ck_assert_uint_eq(ads_stats(server).streams_unavailable, 1);
    end();
}
END_TEST

START_TEST(a_client_gets_what_is_published_and_then_what_changes)
{
    begin();
    publish("a=1");
    open_client(&clients[0], ADS_DELTA);
    send_request(&clients[0], resource_type_url(RESOURCE_CLUSTER), "");
    run_until(clients[0].nonce[0]);
    send_request(&clients[0], resource_type_url(RESOURCE_CLUSTER), clients[0].nonce);
    run_until(ads_stats(server).counters.acks[RESOURCE_CLUSTER] == 1);
    publish("a=1 b=1");
    run_until(strlen(clients[0].received) > 3);
    ck_assert_str_eq(clients[0].received, "[a][b]");
    ck_assert_uint_eq(ads_stats(server).streams, 1);
    rpc_stream_cancel(clients[0].rpc, RPC_STATUS_CANCELLED, "");
    run_until(ads_stats(server).streams == 0 && clients[0].is_closed);
    ck_assert(list_is_empty(ledger_clients(ledger)));
    end();
}
END_TEST

START_TEST(the_services_of_one_type_need_no_type_url)
{
    begin();
    publish("a=1 b=1");
    open_client(&clients[0], "/envoy.service.cluster.v3.ClusterDiscoveryService/DeltaClusters");
    send_request(&clients[0], "", "");
    run_until(clients[0].nonce[0]);
    ck_assert_str_eq(clients[0].received, "[a b]");
    rpc_stream_abandon(clients[0].rpc);
    end();
}
END_TEST

static bool have_all_of(int count, const char *expected)
{
    for (int i = 0; i < count; i++)
        if (strcmp(clients[i].received, expected) != 0)
            return false;
    return true;
}

static bool have_all(const char *expected)
{
    return have_all_of(100, expected);
}

START_TEST(case_47_a_thousand_clients_that_come_at_once_are_all_served)
{
    begin();
    publish("a=1");
    for (int i = 0; i < CLIENTS_MAX; i++) {
        open_client(&clients[i], ADS_DELTA);
        send_request(&clients[i], resource_type_url(RESOURCE_CLUSTER), "");
    }
    run_until(have_all_of(CLIENTS_MAX, "[a]"));
    for (int i = 0; i < CLIENTS_MAX; i++)
        send_request(&clients[i], resource_type_url(RESOURCE_CLUSTER), clients[i].nonce);
    run_until(ads_stats(server).counters.acks[RESOURCE_CLUSTER] == CLIENTS_MAX);
    publish("a=1 b=1");
    run_until(have_all_of(CLIENTS_MAX, "[a][b]"));
    ck_assert_uint_eq(ads_stats(server).subscription_bytes, 0);
    for (int i = 0; i < CLIENTS_MAX; i++)
        rpc_stream_abandon(clients[i].rpc);
    run_until(ads_stats(server).streams == 0);
    ck_assert(list_is_empty(ledger_clients(ledger)));
    end();
}
END_TEST

START_TEST(case_48_a_client_that_stops_reading_is_owed_one_response_and_delays_nobody)
{
    begin();
    publish("a=1");
    for (int i = 0; i < 2; i++) {
        open_client(&clients[i], ADS_DELTA);
        send_request(&clients[i], resource_type_url(RESOURCE_CLUSTER), "");
    }
    rpc_stream_pause(clients[0].rpc);
    run_until(clients[1].nonce[0]);
    for (int i = 0; i < 50; i++) {
        char clusters[16], nonce[24];
        snprintf(nonce, sizeof nonce, "%s", clients[1].nonce);
        send_request(&clients[1], resource_type_url(RESOURCE_CLUSTER), nonce);
        snprintf(clusters, sizeof clusters, "a=%d", i + 2);
        publish(clusters);
        run_until(strcmp(clients[1].nonce, nonce) != 0);
    }
    ck_assert_uint_eq(ads_stats(server).counters.responses[RESOURCE_CLUSTER], 1 + 51);
    rpc_stream_resume(clients[0].rpc);
    run_until(clients[0].nonce[0]);
    send_request(&clients[0], resource_type_url(RESOURCE_CLUSTER), clients[0].nonce);
    run_until(strcmp(clients[0].received, "[a][a]") == 0);
    ck_assert_uint_eq(ads_stats(server).counters.responses[RESOURCE_CLUSTER], 2 + 51);
    for (int i = 0; i < 2; i++)
        rpc_stream_abandon(clients[i].rpc);
    end();
}
END_TEST

typedef Envoy__Service__Discovery__V3__DeltaDiscoveryRequest__InitialResourceVersionsEntry
    versions_entry;

START_TEST(case_50_a_client_may_come_back_with_fifty_thousand_versions)
{
    enum { COUNT = 50 * 1000 };
    begin();
    publish("a=1");
    open_client(&clients[0], ADS_DELTA);
    struct arena arena;
    arena_init(&arena, 1 << 20);
    Envoy__Config__Core__V3__Node node = ENVOY__CONFIG__CORE__V3__NODE__INIT;
    Envoy__Service__Discovery__V3__DeltaDiscoveryRequest request =
        ENVOY__SERVICE__DISCOVERY__V3__DELTA_DISCOVERY_REQUEST__INIT;
    node.id = (char *)"n";
    node.cluster = (char *)"public";
    request.node = &node;
    request.type_url = (char *)resource_type_url(RESOURCE_CLUSTER);
    request.n_initial_resource_versions = COUNT;
    request.initial_resource_versions =
        arena_alloc_array(&arena, COUNT, sizeof *request.initial_resource_versions);
    for (int i = 0; i < COUNT; i++) {
        versions_entry *entry = ARENA_NEW(&arena, versions_entry);
        envoy__service__discovery__v3__delta_discovery_request__initial_resource_versions_entry__init(
            entry);
        entry->key = arena_printf(
            &arena, "a-cluster-with-a-name-of-the-length-that-names-have-in-real-life-%d", i);
        entry->value = (char *)"0123456789abcdef0123456789abcdef";
        request.initial_resource_versions[i] = entry;
    }
    struct rpc_buf *buf = rpc_buf_pack(&request.base);
    ck_assert_uint_gt(rpc_buf_str(buf).len, 4 * 1024 * 1024);
    ck_assert_int_eq(rpc_stream_send_buf(clients[0].rpc, buf), 0);
    rpc_buf_unref(buf);
    arena_done(&arena);
    run_until(clients[0].nonce[0] || clients[0].is_closed);
    ck_assert_str_eq(clients[0].received, "[a]");
    send_request(&clients[0], resource_type_url(RESOURCE_CLUSTER), clients[0].nonce);
    run_until(strcmp(clients[0].received, "[a][]") == 0); /* what it had is told to be gone */
    send_request(&clients[0], resource_type_url(RESOURCE_CLUSTER), clients[0].nonce);
    run_until(ads_stats(server).counters.acks[RESOURCE_CLUSTER] == 2);
    publish("a=1 b=1");
    run_until(strcmp(clients[0].received, "[a][][b]") == 0);
    ck_assert_uint_eq(ads_stats(server).subscription_bytes, 0);
    rpc_stream_abandon(clients[0].rpc);
    end();
}
END_TEST

START_TEST(case_51_a_client_that_goes_in_the_middle_of_a_response_leaves_nothing_behind)
{
    begin();
    publish("a=1");
    for (int i = 0; i < 100; i++) {
        open_client(&clients[i], ADS_DELTA);
        send_request(&clients[i], resource_type_url(RESOURCE_CLUSTER), "");
        send_request(&clients[i], resource_type_url(RESOURCE_ENDPOINTS), "");
    }
    run_until(have_all("[a]"));
    publish("a=2");
    for (int i = 0; i < 100; i++) {
        if (i % 2)
            rpc_stream_cancel(clients[i].rpc, RPC_STATUS_CANCELLED, "");
        else
            rpc_stream_half_close(clients[i].rpc);
    }
    run_until(ads_stats(server).streams == 0);
    ck_assert(list_is_empty(ledger_clients(ledger)));
    ck_assert_uint_eq(ads_stats(server).subscription_bytes, 0);
    end();
}
END_TEST

START_TEST(a_publication_reaches_more_streams_than_fit_in_a_slice)
{
    begin();
    publish("a=1");
    for (int i = 0; i < 100; i++) {
        open_client(&clients[i], ADS_DELTA);
        send_request(&clients[i], resource_type_url(RESOURCE_CLUSTER), "");
    }
    run_until(have_all("[a]"));
    for (int i = 0; i < 100; i++)
        send_request(&clients[i], resource_type_url(RESOURCE_CLUSTER), clients[i].nonce);
    run_until(ads_stats(server).counters.acks[RESOURCE_CLUSTER] == 100);
    publish("a=1 b=1");
    ck_assert_uint_eq(ads_stats(server).streams_to_visit, 100);
    rpc_stream_abandon(clients[50].rpc); /* goes while it is waiting to be visited */
    snprintf(clients[50].received, sizeof clients[50].received, "[a][b]");
    run_until(have_all("[a][b]"));
    ck_assert_uint_eq(ads_stats(server).streams_to_visit, 0);
    for (int i = 0; i < 100; i++)
        if (i != 50)
            rpc_stream_abandon(clients[i].rpc);
    end();
}
END_TEST

static void on_stopped(void *arg)
{
    (void)arg;
    is_stopped = true;
}

START_TEST(stopping_ends_streams_as_unavailable)
{
    begin();
    publish("a=1");
    open_client(&clients[0], ADS_DELTA);
    send_request(&clients[0], resource_type_url(RESOURCE_CLUSTER), "");
    run_until(clients[0].nonce[0]);
    ads_stop(server, 1000, on_stopped, NULL);
    run_until(is_stopped && clients[0].is_closed);
    ck_assert_int_eq(clients[0].status, RPC_STATUS_UNAVAILABLE);
    end();
}
END_TEST

START_TEST(a_server_can_be_freed_while_streams_are_open_and_a_publication_is_under_way)
{
    begin();
    publish("a=1");
    open_client(&clients[0], ADS_DELTA);
    send_request(&clients[0], resource_type_url(RESOURCE_CLUSTER), "");
    run_until(clients[0].nonce[0]);
    publish("a=2");
    end();
    ck_assert(clients[0].is_closed);
}
END_TEST

START_TEST(a_taken_address_is_told)
{
    struct errmsg msg = {""};
    begin();
    struct ads_server *other = ads_new(runtime, ledger), *third = ads_new(runtime, ledger);
    uint16_t port;
    char address[32];
    ck_assert_int_eq(ads_listen(other, "127.0.0.1:0", NULL, &port, &msg), 0);
    snprintf(address, sizeof address, "127.0.0.1:%u", port);
    ck_assert_int_eq(ads_listen(third, address, NULL, NULL, &msg), ERR_IO);
    ck_assert_ptr_nonnull(strstr(msg.text, address));
    ads_free(other);
    ads_free(third);
    end();
}
END_TEST

TEST_MAIN("ads", case_46_before_the_first_publication_streams_are_refused_as_unavailable,
          a_client_gets_what_is_published_and_then_what_changes,
          the_services_of_one_type_need_no_type_url,
          case_47_a_thousand_clients_that_come_at_once_are_all_served,
          case_48_a_client_that_stops_reading_is_owed_one_response_and_delays_nobody,
          case_50_a_client_may_come_back_with_fifty_thousand_versions,
          case_51_a_client_that_goes_in_the_middle_of_a_response_leaves_nothing_behind,
          a_publication_reaches_more_streams_than_fit_in_a_slice,
          stopping_ends_streams_as_unavailable,
          a_server_can_be_freed_while_streams_are_open_and_a_publication_is_under_way,
          a_taken_address_is_told)
