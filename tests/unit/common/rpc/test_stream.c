/* Streams and unary calls over real connections on the loopback interface. */
#include "common/rpc/rpc_internal.h"
#include "tests/support/loop_until.h"
#include "tests/support/rpc_rig.h"
#include "tests/support/test.h"

#include <malloc.h>
#include <stdio.h>

struct unary {
    bool is_done;
    enum rpc_status status;
    char text[128];
    char response[64];
};

static void on_unary_done(void *arg, enum rpc_status status, const char *text, struct str response)
{
    struct unary *unary = arg;
    ck_assert(!unary->is_done);
    unary->is_done = true;
    unary->status = status;
    snprintf(unary->text, sizeof unary->text, "%s", text);
    snprintf(unary->response, sizeof unary->response, "%.*s", STR_ARGS(response));
}

static bool has_message(void *arg)
{
    const struct rpc_client *client = arg;
    return client->messages > 0 || client->is_closed;
}

static bool server_has_closed(void *arg)
{
    const struct rpc_rig *rig = arg;
    return rig->server_closed_count > 0;
}

static bool server_has_message(void *arg)
{
    const struct rpc_rig *rig = arg;
    return rig->server_messages > 0;
}

static void wait_for_answer(struct rpc_rig *rig, struct rpc_client *client)
{
    ck_assert(loop_until(rig->loop, 10000, has_message, client));
    ck_assert_msg(!client->is_closed, "closed: %s", client->text);
}

START_TEST(a_stream_carries_messages_both_ways_in_order)
{
    struct rpc_rig rig;
    rpc_rig_init(&rig);
    rpc_rig_serve(&rig, 0, NULL);
    rpc_rig_connect(&rig, NULL);
    struct rpc_client client;
    rpc_client_open(&client, rig.channel, RPC_RIG_ECHO);
    rpc_client_send(&client, "one");
    wait_for_answer(&rig, &client);
    ck_assert_str_eq(client.last, "one");
    rpc_client_send(&client, "two");
    rpc_client_send(&client, "three");
    rpc_stream_half_close(client.stream);
    ck_assert(loop_until_flag(rig.loop, 10000, &client.is_closed));
    ck_assert_uint_eq(client.messages, 3);
    ck_assert_str_eq(client.last, "three");
    ck_assert_int_eq(client.status, RPC_STATUS_OK);
    rpc_rig_done(&rig);
}
END_TEST

START_TEST(an_empty_message_is_a_message)
{
    struct rpc_rig rig;
    rpc_rig_init(&rig);
    rpc_rig_serve(&rig, 0, NULL);
    rpc_rig_connect(&rig, NULL);
    struct rpc_client client;
    rpc_client_open(&client, rig.channel, RPC_RIG_ECHO);
    rpc_client_send(&client, "");
    wait_for_answer(&rig, &client);
    ck_assert_uint_eq(client.bytes, 0);
    rpc_rig_done(&rig);
}
END_TEST

START_TEST(a_unary_call_gets_its_answer)
{
    struct rpc_rig rig;
    rpc_rig_init(&rig);
    rpc_rig_serve(&rig, 0, NULL);
    rpc_rig_connect(&rig, NULL);
    struct unary unary = {0};
    struct rpc_buf *request = rpc_buf_copy(STR("hello"));
    rpc_call_start(rig.channel, RPC_RIG_ECHO, request, NULL, 0, 5000, on_unary_done, &unary);
    rpc_buf_unref(request);
    ck_assert(loop_until_flag(rig.loop, 10000, &unary.is_done));
    ck_assert_int_eq(unary.status, RPC_STATUS_OK);
    ck_assert_str_eq(unary.response, "hello");
    rpc_rig_done(&rig);
}
END_TEST

START_TEST(a_unary_call_that_cannot_work_fails_with_a_status)
{
    struct rpc_rig rig;
    rpc_rig_init(&rig);
    rpc_rig_serve(&rig, 0, NULL);
    rpc_rig_connect(&rig, NULL);
    struct unary unary = {0};
    struct rpc_buf *request = rpc_buf_copy(STR("hello"));
    struct rpc_metadata illegal = {.key = "token", .value = STR("line\nbreak")};
    rpc_call_start(rig.channel, "/test.Echo/None", request, NULL, 0, 5000, on_unary_done, &unary);
    ck_assert(loop_until_flag(rig.loop, 10000, &unary.is_done));
    ck_assert_int_eq(unary.status, RPC_STATUS_UNIMPLEMENTED);
    unary = (struct unary){0};
    rpc_call_start(rig.channel, RPC_RIG_ECHO, request, &illegal, 1, 5000, on_unary_done, &unary);
    ck_assert(loop_until_flag(rig.loop, 10000, &unary.is_done));
    ck_assert_int_eq(unary.status, RPC_STATUS_INTERNAL);
    rpc_buf_unref(request);
    rpc_rig_done(&rig);
}
END_TEST

START_TEST(a_cancelled_unary_call_calls_nobody)
{
    struct rpc_rig rig;
    rpc_rig_init(&rig);
    rpc_rig_serve(&rig, 0, NULL);
    rpc_rig_connect(&rig, NULL);
    struct unary unary = {0};
    struct rpc_buf *request = rpc_buf_copy(STR("hello"));
    rpc_call_cancel(
        rpc_call_start(rig.channel, RPC_RIG_ECHO, request, NULL, 0, 5000, on_unary_done, &unary));
    rpc_buf_unref(request);
    loop_for(rig.loop, 50);
    ck_assert(!unary.is_done);
    rpc_rig_done(&rig);
}
END_TEST

START_TEST(half_close_and_cancel_look_different_to_the_server)
{
    struct rpc_rig rig;
    rpc_rig_init(&rig);
    rpc_rig_serve(&rig, 0, NULL);
    rpc_rig_connect(&rig, NULL);
    struct rpc_client client;
    rpc_client_open(&client, rig.channel, RPC_RIG_ECHO);
    rpc_stream_half_close(client.stream);
    ck_assert(loop_until(rig.loop, 10000, server_has_closed, &rig));
    ck_assert(rig.has_half_closed);
    ck_assert_int_eq(rig.server_status, RPC_STATUS_OK);
    ck_assert(loop_until_flag(rig.loop, 10000, &client.is_closed));

    rig.has_half_closed = false;
    rig.server_closed_count = 0;
    rpc_client_open(&client, rig.channel, RPC_RIG_ECHO);
    rpc_client_send(&client, "x");
    wait_for_answer(&rig, &client);
    rpc_stream_cancel(client.stream, RPC_STATUS_CANCELLED, "enough");
    ck_assert(loop_until(rig.loop, 10000, server_has_closed, &rig));
    ck_assert(!rig.has_half_closed);
    ck_assert_int_eq(rig.server_status, RPC_STATUS_CANCELLED);
    ck_assert(loop_until_flag(rig.loop, 10000, &client.is_closed));
    ck_assert_int_eq(client.status, RPC_STATUS_CANCELLED);
    rpc_rig_done(&rig);
}
END_TEST

START_TEST(a_method_without_a_route_is_unimplemented)
{
    struct rpc_rig rig;
    rpc_rig_init(&rig);
    rpc_rig_serve(&rig, 0, NULL);
    rpc_rig_connect(&rig, NULL);
    struct rpc_client client;
    rpc_client_open(&client, rig.channel, "/test.Echo/Other");
    ck_assert(loop_until_flag(rig.loop, 10000, &client.is_closed));
    ck_assert_int_eq(client.status, RPC_STATUS_UNIMPLEMENTED);
    ck_assert_uint_eq(rig.accepted_count, 0);
    rpc_rig_done(&rig);
}
END_TEST

enum { FAN_OUT = 50, BODY_BYTES = 1024 * 1024 };

static bool all_have(void *arg)
{
    const struct rpc_client *clients = arg;
    for (size_t i = 0; i < FAN_OUT; i++)
        if (clients[i].bytes < BODY_BYTES + 3)
            return false;
    return true;
}

static struct rpc_stream *fan_out[FAN_OUT];
static size_t fan_out_count;

static void on_fan_out_closed(void *arg, struct rpc_stream *stream, enum rpc_status status,
                              const char *text)
{
    (void)arg, (void)stream, (void)status, (void)text;
}

static const struct rpc_stream_events fan_out_events = {.on_closed = on_fan_out_closed};

static void on_fan_out_accept(void *arg, struct rpc_stream *stream)
{
    (void)arg;
    rpc_stream_set_user(stream, &fan_out_events, NULL);
    ck_assert_uint_lt(fan_out_count, FAN_OUT);
    fan_out[fan_out_count++] = stream;
}

static bool are_accepted(void *arg)
{
    const size_t *count = arg;
    return fan_out_count == *count;
}

static void wait_for_streams(struct rpc_rig *rig, size_t count)
{
    ck_assert(loop_until(rig->loop, 10000, are_accepted, &count));
}

/* A second server on the rig's runtime, whose streams the test sends to by itself. */
static struct rpc_server *serve_fan_out(struct rpc_rig *rig)
{
    struct errmsg msg;
    struct rpc_server *server = rpc_server_new(rig->runtime, &rig->server_options);
    rpc_server_route(server, "/test.FanOut/Stream", on_fan_out_accept, NULL);
    ck_assert_int_eq(rpc_server_listen(server, "127.0.0.1:0", rig->insecure, &rig->port, &msg), 0);
    rpc_server_start(server);
    rpc_rig_connect(rig, NULL);
    return server;
}

static struct rpc_buf *big_body(void)
{
    char *data;
    struct rpc_buf *body = rpc_buf_new(BODY_BYTES, &data);
    memset(data, 'b', BODY_BYTES);
    return body;
}

START_TEST(a_unary_call_that_is_not_answered_in_time_fails)
{
    struct rpc_rig rig;
    rpc_rig_init(&rig);
    struct rpc_server *server = serve_fan_out(&rig);
    struct unary unary = {0};
    struct rpc_buf *request = rpc_buf_copy(STR("hello"));
    rpc_call_start(rig.channel, "/test.FanOut/Stream", request, NULL, 0, 100, on_unary_done,
                   &unary);
    rpc_buf_unref(request);
    ck_assert(loop_until_flag(rig.loop, 10000, &unary.is_done));
    ck_assert_int_eq(unary.status, RPC_STATUS_DEADLINE_EXCEEDED);
    rpc_server_free(server);
    rpc_rig_done(&rig);
}
END_TEST

START_TEST(one_body_is_shared_by_many_streams_with_a_private_tail_each)
{
    struct rpc_rig rig;
    rpc_rig_init(&rig);
    struct rpc_server *server = serve_fan_out(&rig);
    static struct rpc_client clients[FAN_OUT];
    for (size_t i = 0; i < FAN_OUT; i++)
        rpc_client_open(&clients[i], rig.channel, "/test.FanOut/Stream");
    wait_for_streams(&rig, FAN_OUT);

    struct rpc_buf *parts[2] = {rpc_buf_copy(STR("")), big_body()};
    struct mallinfo2 before = mallinfo2();
    for (size_t i = 0; i < FAN_OUT; i++) {
        char tail[8];
        snprintf(tail, sizeof tail, "%03zu", i);
        ck_assert_int_eq(rpc_stream_send(fan_out[i], parts, 2, str_from(tail)), 0);
    }
    struct mallinfo2 after = mallinfo2();
    ck_assert_uint_lt(after.uordblks + after.hblkhd,
                      before.uordblks + before.hblkhd + 8 * (size_t)BODY_BYTES);
    rpc_buf_unref(parts[0]);
    rpc_buf_unref(parts[1]);
    ck_assert(loop_until(rig.loop, 30000, all_have, clients));
    rpc_server_free(server);
    rpc_rig_done(&rig);
}
END_TEST

/* Fills the queue of stream; returns how many messages it took. */
static size_t send_until_full(struct rpc_stream *stream, struct rpc_buf *body)
{
    size_t sent = 0;
    int err;
    while ((err = rpc_stream_send_buf(stream, body)) == 0 && sent < 1000)
        sent++;
    ck_assert_int_eq(err, ERR_AGAIN);
    return sent;
}

static bool reader_has_two(void *arg)
{
    const struct rpc_client *client = arg;
    return client->bytes == 2 * (size_t)BODY_BYTES;
}

static bool queue_is_empty(void *arg)
{
    (void)arg;
    return fan_out[0]->queue_count == 0 && !fan_out[0]->is_sending;
}

START_TEST(a_client_that_does_not_read_holds_back_nobody_and_a_bounded_queue)
{
    struct rpc_rig rig;
    rpc_rig_init(&rig);
    rig.channel_options.has_own_connection = true;
    struct rpc_server *server = serve_fan_out(&rig);
    struct rpc_client sleeper, reader;
    rpc_client_open(&sleeper, rig.channel, "/test.FanOut/Stream");
    rpc_stream_pause(sleeper.stream);
    wait_for_streams(&rig, 1);
    struct rpc_buf *body = big_body();
    /* Connection and stream windows take some; after that the queue stays full. */
    for (int i = 0; i < 20; i++) {
        send_until_full(fan_out[0], body);
        loop_for(rig.loop, 10);
    }
    ck_assert_uint_eq(fan_out[0]->queue_count, RPC_STREAM_QUEUE_MAX);
    ck_assert_uint_le(sleeper.messages, 1);

    struct rpc_channel *second = rig.channel;
    rpc_rig_connect(&rig, NULL);
    rpc_client_open(&reader, rig.channel, "/test.FanOut/Stream");
    wait_for_streams(&rig, 2);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(rpc_stream_send_buf(fan_out[1], body), 0);
    ck_assert(loop_until(rig.loop, 10000, reader_has_two, &reader));
    ck_assert_uint_le(sleeper.messages, 1);

    rpc_stream_resume(sleeper.stream);
    ck_assert(loop_until(rig.loop, 20000, queue_is_empty, NULL));
    ck_assert_uint_gt(sleeper.messages, RPC_STREAM_QUEUE_MAX / 2);
    rpc_buf_unref(body);
    rpc_channel_free(second);
    rpc_server_free(server);
    rpc_rig_done(&rig);
}
END_TEST

START_TEST(a_message_over_the_limit_ends_the_stream_with_resource_exhausted)
{
    struct rpc_rig rig;
    rpc_rig_init(&rig);
    rig.server_options.receive_bytes_max = 1000;
    rpc_rig_serve(&rig, 0, NULL);
    rpc_rig_connect(&rig, NULL);
    struct rpc_client client;
    rpc_client_open(&client, rig.channel, RPC_RIG_ECHO);
    char *data;
    struct rpc_buf *body = rpc_buf_new(2000, &data);
    memset(data, 'x', 2000);
    ck_assert_int_eq(rpc_stream_send_buf(client.stream, body), 0);
    rpc_buf_unref(body);
    ck_assert(loop_until_flag(rig.loop, 10000, &client.is_closed));
    ck_assert_int_eq(client.status, RPC_STATUS_RESOURCE_EXHAUSTED);
    ck_assert(loop_until(rig.loop, 10000, server_has_closed, &rig));
    ck_assert_uint_eq(rig.server_messages, 0);
    ck_assert_int_eq(rig.server_status, RPC_STATUS_CANCELLED);
    rpc_rig_done(&rig);
}
END_TEST

START_TEST(an_abandoned_stream_calls_nobody_and_ends_at_the_server)
{
    struct rpc_rig rig;
    rpc_rig_init(&rig);
    rpc_rig_serve(&rig, 0, NULL);
    rpc_rig_connect(&rig, NULL);
    struct rpc_client client;
    rpc_client_open(&client, rig.channel, RPC_RIG_ECHO);
    rpc_client_send(&client, "x");
    ck_assert(loop_until(rig.loop, 10000, server_has_message, &rig));
    rpc_stream_abandon(client.stream);
    ck_assert(loop_until(rig.loop, 10000, server_has_closed, &rig));
    loop_for(rig.loop, 20);
    ck_assert(!client.is_closed);
    rpc_rig_done(&rig);
}
END_TEST

START_TEST(request_headers_reach_the_server)
{
    struct rpc_rig rig;
    rpc_rig_init(&rig);
    rpc_rig_serve(&rig, 0, NULL);
    rpc_rig_connect(&rig, NULL);
    struct unary unary = {0};
    struct rpc_buf *request = rpc_buf_copy(STR("hello"));
    struct rpc_metadata metadata = {.key = "token", .value = STR("t.1")};
    rig.is_quiet = true;
    struct rpc_call *call = rpc_call_start(rig.channel, RPC_RIG_ECHO, request, &metadata, 1, 5000,
                                           on_unary_done, &unary);
    rpc_buf_unref(request);
    ck_assert(loop_until(rig.loop, 10000, server_has_message, &rig));
    struct str value;
    if (rig.accepted) {
        ck_assert(rpc_stream_header(rig.accepted, "token", &value));
        ck_assert_str_eq_len(value, "t.1");
        ck_assert(!rpc_stream_header(rig.accepted, "other", &value));
        ck_assert(!rpc_stream_peer(rig.accepted)->is_authenticated);
        ck_assert(str_starts_with(rpc_stream_peer(rig.accepted)->address, STR("ipv4:127.0.0.1:")));
    }
    if (!unary.is_done)
        rpc_call_cancel(call);
    rpc_rig_done(&rig);
}
END_TEST

TEST_MAIN("rpc streams", a_stream_carries_messages_both_ways_in_order,
          an_empty_message_is_a_message, a_unary_call_gets_its_answer,
          a_unary_call_that_cannot_work_fails_with_a_status, a_cancelled_unary_call_calls_nobody,
          half_close_and_cancel_look_different_to_the_server,
          a_method_without_a_route_is_unimplemented,
          a_unary_call_that_is_not_answered_in_time_fails,
          one_body_is_shared_by_many_streams_with_a_private_tail_each,
          a_client_that_does_not_read_holds_back_nobody_and_a_bounded_queue,
          a_message_over_the_limit_ends_the_stream_with_resource_exhausted,
          an_abandoned_stream_calls_nobody_and_ends_at_the_server, request_headers_reach_the_server)
