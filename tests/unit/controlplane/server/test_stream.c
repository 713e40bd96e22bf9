/* One stream with a fake transport; numbers in names are those of the project's list of xDS cases.
 */
#include "tests/support/test.h"
#include "tests/support/xds_peer.h"

#include "common/base/mem.h"
#include "controlplane/server/stream.h"

#include <envoy/service/discovery/v3/discovery.pb-c.h>
#include <stdarg.h>
#include <stdio.h>

static struct stream_context context;
static struct stream stream;
static struct ledger *ledger;
static uint64_t now_ms;
static char sent[8192]; /* what was sent since it was last looked at: "CDS a=1 -b; EDS c=1" */
static char nonces[RESOURCE_TYPE_COUNT][24];
static enum rpc_status finished;

static void on_send(void *arg, const struct response *response)
{
    (void)arg;
    char nonce[24];
    const char *text = xds_response_text(response, stream.is_delta, nonce);
    /* The nonce tells which type it was: each type remembers its own outstanding one. */
    for (int type = 0; type < RESOURCE_TYPE_COUNT; type++) {
        const struct subscription *sub = stream.subscriptions[type];
        if (!sub || sub->out.nonce != strtoull(nonce, NULL, 10))
            continue;
        snprintf(nonces[type], sizeof nonces[type], "%s", nonce);
        size_t len = strlen(sent);
        snprintf(sent + len, sizeof sent - len, "%s%s %s", len ? "; " : "",
                 resource_type_short_name((enum resource_type)type), text);
    }
}

static void on_finish(void *arg, enum rpc_status status, const char *text)
{
    (void)arg, (void)text;
    finished = status;
}

static void open_stream(bool is_delta, enum resource_type only)
{
    static const struct stream_transport transport = {.send = on_send, .finish = on_finish};
    ledger = ledger_new();
    stream_context_init(&context, ledger);
    stream_init(&stream, &context, &transport, 1, is_delta, only, STR("ipv4:127.0.0.1:1"));
    finished = RPC_STATUS_OK;
}

static void close_stream(void)
{
    stream_done(&stream);
    stream_context_done(&context);
    ledger_free(ledger);
}

/* A world with one gateway, "public". */
static void publish_as(const char *gateway, const char *clusters, const char *endpoints,
                       const char *listeners, const char *routes)
{
    const char *texts[] = {clusters, endpoints, listeners, routes};
    static int64_t revision;
    struct snapshot_builder *builder = snapshot_builder_new(++revision);
    for (int type = 0; type < RESOURCE_TYPE_COUNT; type++) {
        struct resource_set *set = xds_set((enum resource_type)type, texts[type]);
        for (size_t i = 0; i < set->len; i++)
            snapshot_builder_add(builder, resource_ref(set->items[i]));
        resource_set_unref(set);
    }
    struct world_builder *world = world_builder_new(revision);
    world_builder_add(world, str_from(gateway), CLIENT_ENVOY, snapshot_builder_finish(builder));
    struct world *before = context.world;
    context.world = world_builder_finish(world);
    world_share(context.world, before);
    world_unref(before);
    stream_publish(&stream, now_ms);
}

static void publish(const char *clusters, const char *endpoints, const char *listeners,
                    const char *routes)
{
    publish_as("public", clusters, endpoints, listeners, routes);
}

struct ask {
    const char *node; /* id; NULL: no node */
    const char *gateway;
    const char *url;
    enum resource_type type;
    const char *name;  /* one name; NULL: none */
    const char *nonce; /* "ack": that of the last response of the type */
    const char *error;
};

static void pack_and_take(const ProtobufCMessage *message)
{
    size_t len = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = mem_alloc(len ? len : 1);
    protobuf_c_message_pack(message, bytes);
    stream_message(&stream, (struct str){.data = (char *)bytes, .len = len}, now_ms, 0);
    mem_free(bytes);
}

static void ask(struct ask ask)
{
    Envoy__Config__Core__V3__Node node = ENVOY__CONFIG__CORE__V3__NODE__INIT;
    Google__Rpc__Status error = GOOGLE__RPC__STATUS__INIT;
    node.id = (char *)(ask.node ? ask.node : "");
    node.cluster = (char *)(ask.gateway ? ask.gateway : "public");
    error.message = (char *)(ask.error ? ask.error : "");
    const char *url = ask.url ? ask.url : resource_type_url(ask.type);
    const char *nonce = !ask.nonce                      ? ""
                        : strcmp(ask.nonce, "ack") == 0 ? nonces[ask.type]
                                                        : ask.nonce;
    char *names[] = {(char *)ask.name};
    if (stream.is_delta) {
        Envoy__Service__Discovery__V3__DeltaDiscoveryRequest request =
            ENVOY__SERVICE__DISCOVERY__V3__DELTA_DISCOVERY_REQUEST__INIT;
        request.node = ask.node ? &node : NULL;
        request.type_url = (char *)url;
        request.response_nonce = (char *)nonce;
        request.error_detail = ask.error ? &error : NULL;
        request.resource_names_subscribe = names;
        request.n_resource_names_subscribe = ask.name != NULL;
        pack_and_take(&request.base);
        return;
    }
    Envoy__Service__Discovery__V3__DiscoveryRequest request =
        ENVOY__SERVICE__DISCOVERY__V3__DISCOVERY_REQUEST__INIT;
    request.node = ask.node ? &node : NULL;
    request.type_url = (char *)url;
    request.response_nonce = (char *)nonce;
    request.error_detail = ask.error ? &error : NULL;
    request.resource_names = names;
    request.n_resource_names = ask.name != NULL;
    pack_and_take(&request.base);
}

static void ack(enum resource_type type)
{
    /* State of the world repeats its names. */
    static const char *const names[] = {NULL, "new", NULL, "rc"};
    ask((struct ask){.type = type, .nonce = "ack", .name = stream.is_delta ? NULL : names[type]});
}

static void nack(enum resource_type type, const char *error)
{
    ask((struct ask){.type = type, .nonce = "ack", .error = error});
}

#define expect(text)                                                                               \
    do {                                                                                           \
        ck_assert_str_eq(sent, text);                                                              \
        sent[0] = '\0';                                                                            \
    } while (0)

/* A delta client with a listener, a route configuration and the cluster "old", in sync. */
static void settle_delta(void)
{
    open_stream(true, RESOURCE_TYPE_COUNT);
    publish("old=1", "old=e", "l=1", "rc=old");
    ask((struct ask){.node = "n", .type = RESOURCE_CLUSTER});
    expect("CDS old=1");
    ask((struct ask){.type = RESOURCE_ENDPOINTS, .name = "old"});
    expect("EDS old=e");
    ack(RESOURCE_CLUSTER);
    ack(RESOURCE_ENDPOINTS);
    ask((struct ask){.type = RESOURCE_LISTENER});
    expect("LDS l=1");
    ask((struct ask){.type = RESOURCE_ROUTES, .name = "rc"});
    expect("RDS rc=old");
    ack(RESOURCE_LISTENER);
    ck_assert(!stream_is_in_sync(&stream));
    ack(RESOURCE_ROUTES);
    expect("");
    ck_assert(stream_is_in_sync(&stream));
}

START_TEST(case_31_only_the_first_request_needs_a_node)
{
    settle_delta();
    ck_assert_str_eq_len(stream.node_id, "n");
    ck_assert_int_eq(stream.client->revision, context.world->revision);
    ck_assert(stream.client->is_in_sync);
    close_stream();
}
END_TEST

START_TEST(case_32_a_first_request_without_node_ends_the_stream)
{
    open_stream(false, RESOURCE_TYPE_COUNT);
    ask((struct ask){.type = RESOURCE_CLUSTER});
    ck_assert_int_eq(finished, RPC_STATUS_INVALID_ARGUMENT);
    expect("");
    close_stream();
}
END_TEST

START_TEST(case_33_another_node_later_does_not_switch_the_gateway)
{
    settle_delta();
    ask((struct ask){.node = "m", .gateway = "partner", .type = RESOURCE_CLUSTER});
    ck_assert_str_eq_len(stream.gateway, "public");
    ck_assert_int_eq(finished, RPC_STATUS_OK);
    close_stream();
}
END_TEST

START_TEST(case_34_unknown_types_are_tolerated)
{
    open_stream(true, RESOURCE_TYPE_COUNT);
    publish("a=1", "", "", "");
    ask((struct ask){.node = "n", .url = "type.googleapis.com/health.v1.Probe"});
    expect("");
    ask((struct ask){.type = RESOURCE_CLUSTER});
    expect("CDS a=1");
    ck_assert_int_eq(finished, RPC_STATUS_OK);
    close_stream();
}
END_TEST

START_TEST(a_request_that_cannot_be_decoded_ends_the_stream)
{
    open_stream(true, RESOURCE_TYPE_COUNT);
    stream_message(&stream, STR("\x0a\xff\xff"), now_ms, 0);
    ck_assert_int_eq(finished, RPC_STATUS_INVALID_ARGUMENT);
    close_stream();
}
END_TEST

START_TEST(a_stream_of_one_type_needs_no_type_url_and_takes_no_other)
{
    open_stream(true, RESOURCE_CLUSTER);
    publish("a=1", "a=1", "", "");
    ask((struct ask){.node = "n", .url = ""});
    expect("CDS a=1");
    ask((struct ask){.type = RESOURCE_ENDPOINTS, .name = "a"});
    ck_assert_int_eq(finished, RPC_STATUS_INVALID_ARGUMENT);
    close_stream();
}
END_TEST

START_TEST(case_35_a_repointed_route_is_made_before_the_old_cluster_is_broken)
{
    settle_delta();
    publish("new=1", "new=e", "l=1", "rc=new");
    expect("CDS new=1");
    ask((struct ask){.type = RESOURCE_ENDPOINTS, .name = "new"});
    expect("EDS new=e");
    ack(RESOURCE_CLUSTER);
    expect(""); /* not before the endpoints are there */
    ack(RESOURCE_ENDPOINTS);
    expect("RDS rc=new");
    ck_assert(!stream_is_in_sync(&stream));
    ack(RESOURCE_ROUTES);
    expect("CDS -old; EDS -old");
    ack(RESOURCE_CLUSTER);
    ack(RESOURCE_ENDPOINTS);
    expect("");
    ck_assert(stream_is_in_sync(&stream));
    close_stream();
}
END_TEST

START_TEST(case_36_state_of_the_world_has_both_clusters_first_and_then_the_new_one)
{
    open_stream(false, RESOURCE_TYPE_COUNT);
    publish("old=1", "new=e", "l=1", "rc=old");
    ask((struct ask){.node = "n", .type = RESOURCE_CLUSTER});
    expect("CDS =1");
    ack(RESOURCE_CLUSTER);
    ask((struct ask){.type = RESOURCE_ROUTES, .name = "rc"});
    expect("RDS =old");
    ack(RESOURCE_ROUTES);
    publish("new=2", "new=e", "l=1", "rc=new");
    expect("CDS =2 =1");
    ack(RESOURCE_CLUSTER);
    expect("RDS =new");
    ack(RESOURCE_ROUTES);
    expect("CDS =2");
    ack(RESOURCE_CLUSTER);
    expect("");
    ck_assert(stream_is_in_sync(&stream));
    close_stream();
}
END_TEST

START_TEST(case_37_a_changed_cluster_gets_its_endpoints_again)
{
    settle_delta();
    publish("old=2", "old=e", "l=1", "rc=old");
    expect("CDS old=2; EDS old=e");
    ack(RESOURCE_CLUSTER);
    ack(RESOURCE_ENDPOINTS);
    expect("");
    ck_assert(stream_is_in_sync(&stream));
    close_stream();
}
END_TEST

START_TEST(case_38_a_second_cluster_update_waits_for_the_endpoints_of_the_first)
{
    settle_delta();
    publish("old=2", "old=e", "l=1", "rc=old");
    expect("CDS old=2; EDS old=e");
    publish("old=3", "old=e", "l=1", "rc=old");
    ack(RESOURCE_CLUSTER);
    expect("");
    ack(RESOURCE_ENDPOINTS);
    expect("CDS old=3; EDS old=e");
    close_stream();
}
END_TEST

START_TEST(endpoints_alone_go_out_at_once_also_while_a_plan_waits)
{
    settle_delta();
    publish("old=1", "old=f", "l=1", "rc=old");
    expect("EDS old=f");
    ack(RESOURCE_ENDPOINTS);
    publish("old=1 new=1", "old=f new=e", "l=1", "rc=new");
    expect("CDS new=1");
    ack(RESOURCE_CLUSTER);
    publish("old=1 new=1", "old=g new=e", "l=1", "rc=new");
    expect("EDS old=g");
    close_stream();
}
END_TEST

START_TEST(case_40_routes_wait_for_new_endpoints_but_not_for_ever)
{
    settle_delta();
    publish("old=1 new=1", "old=e new=e", "l=1", "rc=new");
    expect("CDS new=1");
    ack(RESOURCE_CLUSTER);
    expect("");
    now_ms = stream.deadline_ms - 1;
    stream_tick(&stream, now_ms);
    expect("");
    now_ms = stream.deadline_ms;
    stream_tick(&stream, now_ms);
    expect("RDS rc=new");
    ck_assert_uint_eq(context.counters.step_timeouts, 1);
    close_stream();
}
END_TEST

START_TEST(a_silent_client_costs_one_response_per_type)
{
    settle_delta();
    publish("new=1", "new=e", "l=2", "rc=new");
    expect("CDS new=1");
    for (int i = 0; i < 10; i++) {
        now_ms += STREAM_STEP_TIMEOUT_MS;
        stream_tick(&stream, now_ms);
    }
    expect("LDS l=2; RDS rc=new; EDS -old");
    ck_assert_uint_eq(stream.deadline_ms, UINT64_MAX);
    close_stream();
}
END_TEST

START_TEST(a_refused_new_cluster_holds_back_the_routes_that_need_it)
{
    settle_delta();
    publish("new=1", "new=e", "l=1", "rc=new");
    expect("CDS new=1");
    nack(RESOURCE_CLUSTER, "cluster new: nonsense");
    expect("");
    ck_assert(!stream_is_in_sync(&stream));
    ck_assert_uint_eq(stream.client->refusal_count, 1);
    now_ms += 10 * STREAM_STEP_TIMEOUT_MS;
    stream_tick(&stream, now_ms);
    expect("");
    publish("new=1 more=1", "new=e more=e", "l=1", "rc=new"); /* still needs it */
    expect("CDS more=1");
    ack(RESOURCE_CLUSTER);
    expect("");
    publish("new=2", "new=e", "l=1", "rc=new");
    expect("CDS new=2");
    ask((struct ask){.type = RESOURCE_ENDPOINTS, .name = "new"});
    expect("EDS new=e");
    ack(RESOURCE_CLUSTER);
    ack(RESOURCE_ENDPOINTS);
    expect("RDS rc=new");
    ack(RESOURCE_ROUTES);
    expect("CDS -more -old; EDS -old");
    ack(RESOURCE_CLUSTER);
    ack(RESOURCE_ENDPOINTS);
    ck_assert(stream_is_in_sync(&stream));
    ck_assert_uint_eq(stream.client->refusal_count, 0);
    close_stream();
}
END_TEST

START_TEST(refused_routes_keep_the_clusters_that_the_older_ones_name)
{
    settle_delta();
    publish("new=1", "new=e", "l=1", "rc=new");
    ask((struct ask){.type = RESOURCE_ENDPOINTS, .name = "new"});
    ack(RESOURCE_CLUSTER);
    ack(RESOURCE_ENDPOINTS);
    expect("CDS new=1; EDS new=e; RDS rc=new");
    nack(RESOURCE_ROUTES, "no");
    expect("");                                 /* old stays */
    publish("old=1", "old=e", "l=1", "rc=old"); /* the operator goes back */
    expect("CDS -new; EDS -new");
    ack(RESOURCE_CLUSTER);
    ack(RESOURCE_ENDPOINTS);
    ck_assert(stream_is_in_sync(&stream));
    ck_assert_uint_eq(stream.client->refusal_count, 0);
    close_stream();
}
END_TEST

START_TEST(a_node_of_an_unknown_gateway_waits_for_it)
{
    open_stream(true, RESOURCE_TYPE_COUNT);
    publish("a=1", "", "", "");
    ask((struct ask){.node = "n", .gateway = "later", .type = RESOURCE_CLUSTER});
    expect("CDS empty");
    ask((struct ask){.type = RESOURCE_LISTENER});
    expect("LDS empty");
    ack(RESOURCE_CLUSTER);
    ack(RESOURCE_LISTENER);
    ck_assert(!stream.client->is_gateway_known);
    ck_assert(!stream_is_in_sync(&stream));
    publish_as("later", "b=1", "", "l=1", "");
    expect("CDS b=1");
    ack(RESOURCE_CLUSTER);
    expect("LDS l=1");
    ack(RESOURCE_LISTENER);
    ck_assert(stream.client->is_gateway_known);
    ck_assert(stream_is_in_sync(&stream));
    close_stream();
}
END_TEST

START_TEST(an_unchanged_world_sends_nothing)
{
    settle_delta();
    publish("old=1", "old=e", "l=1", "rc=old");
    expect("");
    ck_assert(stream_is_in_sync(&stream));
    close_stream();
}
END_TEST

START_TEST(a_new_listener_finds_its_routes_before_the_old_ones_change)
{
    settle_delta();
    publish("old=1", "old=e", "l=1 m=1", "rc=2 rm=1");
    expect("LDS m=1");
    ask((struct ask){.type = RESOURCE_ROUTES, .name = "rm"});
    expect("RDS rm=1");
    ack(RESOURCE_LISTENER);
    expect("");
    ack(RESOURCE_ROUTES);
    expect("RDS rc=2");
    ack(RESOURCE_ROUTES);
    ck_assert(stream_is_in_sync(&stream));
    close_stream();
}
END_TEST

TEST_MAIN("stream", case_31_only_the_first_request_needs_a_node,
          case_32_a_first_request_without_node_ends_the_stream,
          case_33_another_node_later_does_not_switch_the_gateway,
          case_34_unknown_types_are_tolerated, a_request_that_cannot_be_decoded_ends_the_stream,
          a_stream_of_one_type_needs_no_type_url_and_takes_no_other,
          case_35_a_repointed_route_is_made_before_the_old_cluster_is_broken,
          case_36_state_of_the_world_has_both_clusters_first_and_then_the_new_one,
          case_37_a_changed_cluster_gets_its_endpoints_again,
          case_38_a_second_cluster_update_waits_for_the_endpoints_of_the_first,
          endpoints_alone_go_out_at_once_also_while_a_plan_waits,
          case_40_routes_wait_for_new_endpoints_but_not_for_ever,
          a_silent_client_costs_one_response_per_type,
          a_refused_new_cluster_holds_back_the_routes_that_need_it,
          refused_routes_keep_the_clusters_that_the_older_ones_name,
          a_node_of_an_unknown_gateway_waits_for_it, an_unchanged_world_sends_nothing,
          a_new_listener_finds_its_routes_before_the_old_ones_change)
