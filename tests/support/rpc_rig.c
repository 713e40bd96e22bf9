#include "tests/support/rpc_rig.h"

#include "tests/support/loop_until.h"
#include "tests/support/port.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

/* --- server ----------------------------------------------------------------------------------- */

static void on_request(void *arg, struct rpc_stream *stream, struct str data)
{
    struct rpc_rig *rig = arg;
    rig->server_messages++;
    if (rig->is_quiet)
        return;
    struct rpc_buf *answer = rpc_buf_copy(data);
    ck_assert_int_eq(rpc_stream_send_buf(stream, answer), 0);
    rpc_buf_unref(answer);
}

static void on_half_close(void *arg, struct rpc_stream *stream)
{
    struct rpc_rig *rig = arg;
    rig->has_half_closed = true;
    rpc_stream_finish(stream, RPC_STATUS_OK, "");
}

static void on_server_closed(void *arg, struct rpc_stream *stream, enum rpc_status status,
                             const char *text)
{
    (void)text;
    struct rpc_rig *rig = arg;
    rig->server_closed_count++;
    rig->server_status = status;
    if (rig->accepted == stream)
        rig->accepted = NULL;
}

static const struct rpc_stream_events echo_events = {
    .on_message = on_request, .on_half_close = on_half_close, .on_closed = on_server_closed};

static void on_accept(void *arg, struct rpc_stream *stream)
{
    struct rpc_rig *rig = arg;
    rig->accepted = stream;
    rig->accepted_count++;
    rpc_stream_set_user(stream, &echo_events, rig);
}

static void on_stopped(void *arg)
{
    struct rpc_rig *rig = arg;
    rig->is_stopped = true;
}

void rpc_rig_init(struct rpc_rig *rig)
{
    *rig = (struct rpc_rig){.loop = loop_new()};
    rig->runtime = rpc_runtime_new(rig->loop);
    rig->insecure = rpc_credentials_new_insecure();
}

void rpc_rig_serve(struct rpc_rig *rig, uint16_t port, struct rpc_credentials *credentials)
{
    char address[32];
    snprintf(address, sizeof address, "127.0.0.1:%u", port ? port : reserve_port());
    rig->server = rpc_server_new(rig->runtime, &rig->server_options);
    rpc_server_route(rig->server, RPC_RIG_ECHO, on_accept, rig);
    struct errmsg msg = {""};
    int err = rpc_server_listen(rig->server, address, credentials ? credentials : rig->insecure,
                                &rig->port, &msg);
    ck_assert_msg(err == 0, "%s", msg.text);
    rpc_server_start(rig->server);
}

void rpc_rig_connect(struct rpc_rig *rig, struct rpc_credentials *credentials)
{
    char target[32];
    snprintf(target, sizeof target, "127.0.0.1:%u", rig->port);
    rig->channel = rpc_channel_new(rig->runtime, target, credentials ? credentials : rig->insecure,
                                   &rig->channel_options);
}

void rpc_rig_stop_server(struct rpc_rig *rig, int grace_ms)
{
    rig->is_stopped = false;
    rpc_server_stop(rig->server, grace_ms, on_stopped, rig);
    ck_assert(loop_until_flag(rig->loop, 10000, &rig->is_stopped));
    rpc_server_free(rig->server);
    rig->server = NULL;
}

void rpc_rig_done(struct rpc_rig *rig)
{
    rpc_channel_free(rig->channel);
    rpc_server_free(rig->server);
    rpc_runtime_free(rig->runtime);
    rpc_credentials_unref(rig->insecure);
    loop_free(rig->loop);
}

/* --- client ----------------------------------------------------------------------------------- */

static void on_answer(void *arg, struct rpc_stream *stream, struct str data)
{
    (void)stream;
    struct rpc_client *client = arg;
    client->messages++;
    client->bytes += data.len;
    snprintf(client->last, sizeof client->last, "%.*s", STR_ARGS(data));
}

static void on_writable(void *arg, struct rpc_stream *stream)
{
    (void)stream;
    struct rpc_client *client = arg;
    client->is_writable = true;
}

static void on_client_closed(void *arg, struct rpc_stream *stream, enum rpc_status status,
                             const char *text)
{
    (void)stream;
    struct rpc_client *client = arg;
    ck_assert(!client->is_closed);
    client->is_closed = true;
    client->status = status;
    client->stream = NULL;
    snprintf(client->text, sizeof client->text, "%s", text);
}

static const struct rpc_stream_events client_events = {
    .on_message = on_answer, .on_writable = on_writable, .on_closed = on_client_closed};

void rpc_client_open(struct rpc_client *client, struct rpc_channel *channel, const char *method)
{
    *client = (struct rpc_client){0};
    client->stream = rpc_stream_open(channel, method, NULL, 0, &client_events, client);
}

void rpc_client_send(struct rpc_client *client, const char *text)
{
    struct rpc_buf *buf = rpc_buf_copy(str_from(text));
    ck_assert_int_eq(rpc_stream_send_buf(client->stream, buf), 0);
    rpc_buf_unref(buf);
}
