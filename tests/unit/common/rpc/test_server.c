/* A server's life: listening, stopping with streams open, coming back; and a runtime's end. */
#include "common/rpc/rpc.h"
#include "tests/support/loop_until.h"
#include "tests/support/rpc_rig.h"
#include "tests/support/test.h"

#include <stdio.h>

static bool has_message(void *arg)
{
    const struct rpc_client *client = arg;
    return client->messages > 0;
}

static void rig_start(struct rpc_rig *rig)
{
    rpc_rig_init(rig);
    rpc_rig_serve(rig, 0, NULL);
    rpc_rig_connect(rig, NULL);
}

/* Opens a stream and waits until it works both ways. */
static void client_establish(struct rpc_rig *rig, struct rpc_client *client)
{
    rpc_client_open(client, rig->channel, RPC_RIG_ECHO);
    rpc_client_send(client, "hello");
    ck_assert(loop_until(rig->loop, 10000, has_message, client));
}

START_TEST(a_port_in_use_is_a_clear_error)
{
    struct rpc_rig rig;
    rig_start(&rig);
    struct rpc_server *second = rpc_server_new(rig.runtime, &rig.server_options);
    char address[32];
    snprintf(address, sizeof address, "127.0.0.1:%u", rig.port);
    struct errmsg msg;
    ck_assert_int_eq(rpc_server_listen(second, address, rig.insecure, NULL, &msg), ERR_IO);
    ck_assert(strstr(msg.text, address));
    ck_assert(strstr(msg.text, "in use"));
    ck_assert_int_eq(rpc_server_listen(second, "192.0.2.1:0", rig.insecure, NULL, &msg), ERR_IO);
    ck_assert(strstr(msg.text, "assign"));
    ck_assert_int_eq(rpc_server_listen(second, "no host:1", rig.insecure, NULL, &msg), ERR_IO);
    rpc_server_free(second);
    rpc_rig_done(&rig);
}
END_TEST

START_TEST(a_server_that_never_started_can_be_freed)
{
    struct rpc_rig rig;
    rpc_rig_init(&rig);
    struct errmsg msg;
    struct rpc_server *server = rpc_server_new(rig.runtime, &rig.server_options);
    ck_assert_int_eq(rpc_server_listen(server, "127.0.0.1:0", rig.insecure, NULL, &msg), 0);
    rpc_server_free(server);
    rpc_server_free(rpc_server_new(rig.runtime, &rig.server_options));
    rpc_rig_done(&rig);
}
END_TEST

START_TEST(stopping_ends_open_streams_with_unavailable)
{
    struct rpc_rig rig;
    rig_start(&rig);
    struct rpc_client clients[20];
    for (size_t i = 0; i < 20; i++)
        client_establish(&rig, &clients[i]);
    rpc_rig_stop_server(&rig, 5000);
    ck_assert_uint_eq(rig.server_closed_count, 20);
    for (size_t i = 0; i < 20; i++) {
        ck_assert(loop_until_flag(rig.loop, 10000, &clients[i].is_closed));
        ck_assert_int_eq(clients[i].status, RPC_STATUS_UNAVAILABLE);
        ck_assert_str_eq(clients[i].text, "the server is stopping");
    }
    rpc_rig_done(&rig);
}
END_TEST

static void fill_queue(struct rpc_rig *rig)
{
    char *data;
    struct rpc_buf *body = rpc_buf_new(1024 * 1024, &data);
    memset(data, 'b', 1024 * 1024);
    for (int i = 0; i < 10; i++) {
        int err;
        while ((err = rpc_stream_send_buf(rig->accepted, body)) == 0)
            ;
        ck_assert_int_eq(err, ERR_AGAIN);
        loop_for(rig->loop, 10);
    }
    rpc_buf_unref(body);
}

START_TEST(stopping_does_not_wait_longer_than_its_grace_for_a_client_that_does_not_read)
{
    struct rpc_rig rig;
    rig_start(&rig);
    struct rpc_client client;
    client_establish(&rig, &client);
    rpc_stream_pause(client.stream);
    fill_queue(&rig);
    rpc_rig_stop_server(&rig, 200);
    ck_assert_uint_eq(rig.server_closed_count, 1);
    rpc_rig_done(&rig);
}
END_TEST

START_TEST(a_client_reaches_a_server_that_came_back)
{
    struct rpc_rig rig;
    rpc_rig_init(&rig);
    rpc_rig_serve(&rig, 0, NULL);
    rig.channel_options.reconnect_backoff_max_ms = 200;
    rpc_rig_connect(&rig, NULL);
    struct rpc_client client;
    client_establish(&rig, &client);
    rpc_rig_stop_server(&rig, 1000);
    ck_assert(loop_until_flag(rig.loop, 10000, &client.is_closed));

    rpc_client_open(&client, rig.channel, RPC_RIG_ECHO);
    ck_assert(loop_until_flag(rig.loop, 10000, &client.is_closed));
    ck_assert_int_eq(client.status, RPC_STATUS_UNAVAILABLE);

    rpc_rig_serve(&rig, rig.port, NULL);
    bool is_back = false;
    for (int i = 0; i < 50 && !is_back; i++) {
        rpc_client_open(&client, rig.channel, RPC_RIG_ECHO);
        rpc_client_send(&client, "again");
        loop_until_flag(rig.loop, 100, &client.is_closed);
        is_back = client.messages > 0;
        if (client.stream)
            rpc_stream_abandon(client.stream);
        loop_for(rig.loop, 50);
    }
    ck_assert(is_back);
    rpc_rig_done(&rig);
}
END_TEST

START_TEST(more_streams_than_allowed_are_refused)
{
    struct rpc_rig rig;
    rpc_rig_init(&rig);
    rig.server_options.streams_max = 2;
    rpc_rig_serve(&rig, 0, NULL);
    rpc_rig_connect(&rig, NULL);
    struct rpc_client first, second, third;
    client_establish(&rig, &first);
    client_establish(&rig, &second);
    rpc_client_open(&third, rig.channel, RPC_RIG_ECHO);
    ck_assert(loop_until_flag(rig.loop, 10000, &third.is_closed));
    ck_assert_int_eq(third.status, RPC_STATUS_RESOURCE_EXHAUSTED);
    ck_assert(!first.is_closed && !second.is_closed);
    rpc_rig_done(&rig);
}
END_TEST

START_TEST(freeing_the_runtime_closes_what_is_open)
{
    struct rpc_rig rig;
    rig_start(&rig);
    struct rpc_client clients[10];
    for (size_t i = 0; i < 10; i++)
        client_establish(&rig, &clients[i]);
    struct rpc_client fresh; /* still connecting or just sent */
    rpc_client_open(&fresh, rig.channel, RPC_RIG_ECHO);
    rpc_client_send(&fresh, "x");
    rpc_rig_done(&rig);
    for (size_t i = 0; i < 10; i++)
        ck_assert(clients[i].is_closed);
    ck_assert(fresh.is_closed);
    ck_assert_uint_eq(rig.server_closed_count, rig.accepted_count);
}
END_TEST

START_TEST(a_runtime_can_be_freed_with_notices_still_posted_to_the_loop)
{
    for (int i = 0; i < 20; i++) {
        struct rpc_rig rig;
        rig_start(&rig);
        struct rpc_client client;
        rpc_client_open(&client, rig.channel, RPC_RIG_ECHO);
        loop_for(rig.loop, i);
        rpc_rig_done(&rig);
        ck_assert(client.is_closed);
    }
}
END_TEST

TEST_MAIN("rpc servers", a_port_in_use_is_a_clear_error, a_server_that_never_started_can_be_freed,
          stopping_ends_open_streams_with_unavailable,
          stopping_does_not_wait_longer_than_its_grace_for_a_client_that_does_not_read,
          a_client_reaches_a_server_that_came_back, more_streams_than_allowed_are_refused,
          freeing_the_runtime_closes_what_is_open,
          a_runtime_can_be_freed_with_notices_still_posted_to_the_loop)
