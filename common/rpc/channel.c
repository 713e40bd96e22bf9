/* Channels, and the unary calls over them. */
#include "common/base/mem.h"
#include "common/rpc/rpc_internal.h"

#include <limits.h>

struct rpc_channel *rpc_channel_new(struct rpc_runtime *runtime, const char *target,
                                    struct rpc_credentials *credentials,
                                    const struct rpc_channel_options *options)
{
    ASSERT(credentials->channel);
    int backoff_max_ms = rpc_or_default(options->reconnect_backoff_max_ms, 3000);
    grpc_arg args[16] = {
        rpc_int_arg(GRPC_ARG_KEEPALIVE_TIME_MS, rpc_or_default(options->keepalive_ms, 10000)),
        rpc_int_arg(GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
                    rpc_or_default(options->keepalive_timeout_ms, 5000)),
        rpc_int_arg(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1),
        /* Otherwise the pings of an idle stream end after the second. */
        rpc_int_arg(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0),
        rpc_int_arg(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH,
                    rpc_or_default(options->receive_bytes_max, 64 * 1024 * 1024)),
        rpc_int_arg(GRPC_ARG_MAX_SEND_MESSAGE_LENGTH, -1),
        rpc_int_arg(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS,
                    backoff_max_ms < 250 ? backoff_max_ms : 250),
        rpc_int_arg(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, backoff_max_ms),
        rpc_int_arg(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS,
                    rpc_or_default(options->connect_timeout_ms, 5000)),
        rpc_int_arg(GRPC_ARG_ENABLE_HTTP_PROXY, 0),
        rpc_int_arg(GRPC_ARG_ENABLE_RETRIES, 0), /* they would keep a copy of what was sent */
        rpc_int_arg(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1),
        rpc_int_arg(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, options->has_own_connection),
        RPC_ARGS_NO_COMPRESSION,
    };
    size_t count = 15;
    if (options->tls_server_name)
        args[count++] = (grpc_arg){.type = GRPC_ARG_STRING,
                                   .key = (char *)(uintptr_t)GRPC_SSL_TARGET_NAME_OVERRIDE_ARG,
                                   .value.string = (char *)(uintptr_t)options->tls_server_name};
    grpc_channel_args channel_args = {.num_args = count, .args = args};
    struct rpc_channel *channel = MEM_NEW(struct rpc_channel);
    channel->runtime = runtime;
    channel->channel = grpc_channel_create(target, credentials->channel, &channel_args);
    runtime->channel_count++;
    return channel;
}

void rpc_channel_free(struct rpc_channel *channel)
{
    if (!channel)
        return;
    grpc_channel_destroy(channel->channel);
    channel->runtime->channel_count--;
    mem_free(channel);
}

grpc_call *rpc_channel_begin_call(struct rpc_channel *channel, const char *method,
                                  gpr_timespec deadline)
{
    grpc_slice slice = grpc_slice_from_copied_string(method);
    grpc_call *call = grpc_channel_create_call(channel->channel, NULL, GRPC_PROPAGATE_DEFAULTS,
                                               channel->runtime->cq, slice, NULL, deadline, NULL);
    grpc_slice_unref(slice);
    return call;
}

grpc_metadata *rpc_metadata_new(const struct rpc_metadata *metadata, size_t count)
{
    if (count == 0)
        return NULL;
    grpc_metadata *array = mem_alloc_zero(count, sizeof *array);
    for (size_t i = 0; i < count; i++) {
        array[i].key = grpc_slice_from_copied_string(metadata[i].key);
        array[i].value =
            grpc_slice_from_copied_buffer(metadata[i].value.data, metadata[i].value.len);
    }
    return array;
}

void rpc_metadata_free(grpc_metadata *metadata, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        grpc_slice_unref(metadata[i].key);
        grpc_slice_unref(metadata[i].value);
    }
    mem_free(metadata);
}

static void call_free(struct rpc_call *call)
{
    list_remove(&call->link);
    grpc_metadata_array_destroy(&call->initial_metadata);
    grpc_metadata_array_destroy(&call->trailing_metadata);
    grpc_slice_unref(call->status_text);
    grpc_call_unref(call->call);
    mem_free(call);
}

static void on_call_done(struct rpc_op *op, bool ok)
{
    (void)ok; /* a batch with RECV_STATUS in it always succeeds; the status says what happened */
    struct rpc_call *call = CONTAINER_OF(op, struct rpc_call, op);
    enum rpc_status status = (enum rpc_status)call->status;
    char *text = grpc_slice_to_c_string(call->status_text);
    struct rpc_received response;
    bool is_readable = rpc_received_init(&response, call->response);
    if (status == RPC_STATUS_OK && (!is_readable || !response.buffer))
        status = RPC_STATUS_INTERNAL;
    if (call->on_done)
        call->on_done(call->arg, status, text,
                      status == RPC_STATUS_OK ? response.data : (struct str){0});
    rpc_received_done(&response);
    gpr_free(text);
    call_free(call);
}

static grpc_op receive_status_op(struct rpc_call *call)
{
    grpc_op op = {.op = GRPC_OP_RECV_STATUS_ON_CLIENT};
    op.data.recv_status_on_client.trailing_metadata = &call->trailing_metadata;
    op.data.recv_status_on_client.status = &call->status;
    op.data.recv_status_on_client.status_details = &call->status_text;
    return op;
}

static void call_begin(struct rpc_call *call, grpc_byte_buffer *request, grpc_metadata *metadata,
                       size_t metadata_count)
{
    grpc_op ops[6] = {{.op = GRPC_OP_SEND_INITIAL_METADATA},  {.op = GRPC_OP_SEND_MESSAGE},
                      {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT}, {.op = GRPC_OP_RECV_INITIAL_METADATA},
                      {.op = GRPC_OP_RECV_MESSAGE},           receive_status_op(call)};
    ops[0].data.send_initial_metadata.metadata = metadata;
    ops[0].data.send_initial_metadata.count = metadata_count;
    ops[1].data.send_message.send_message = request;
    ops[3].data.recv_initial_metadata.recv_initial_metadata = &call->initial_metadata;
    ops[4].data.recv_message.recv_message = &call->response;
    if (rpc_op_start_batch(call->runtime, &call->op, on_call_done, call->call, ops, 6))
        return;
    /* Only metadata that HTTP/2 cannot carry comes here. */
    grpc_call_cancel_with_status(call->call, GRPC_STATUS_INTERNAL, "illegal metadata", NULL);
    bool is_started =
        rpc_op_start_batch(call->runtime, &call->op, on_call_done, call->call, &ops[5], 1);
    ASSERT(is_started);
}

struct rpc_call *rpc_call_start(struct rpc_channel *channel, const char *method,
                                struct rpc_buf *request, const struct rpc_metadata *metadata,
                                size_t metadata_count, int timeout_ms, rpc_call_done_fn *on_done,
                                void *arg)
{
    struct rpc_call *call = MEM_NEW(struct rpc_call);
    call->runtime = channel->runtime;
    call->on_done = on_done;
    call->arg = arg;
    call->status_text = grpc_empty_slice();
    grpc_metadata_array_init(&call->initial_metadata);
    grpc_metadata_array_init(&call->trailing_metadata);
    gpr_timespec deadline =
        gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(timeout_ms, GPR_TIMESPAN));
    call->call = rpc_channel_begin_call(channel, method, deadline);
    list_append(&channel->runtime->calls, &call->link);
    grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&request->slice, 1);
    grpc_metadata *array = rpc_metadata_new(metadata, metadata_count);
    call_begin(call, buffer, array, metadata_count);
    rpc_metadata_free(array, metadata_count);
    grpc_byte_buffer_destroy(buffer);
    return call;
}

void rpc_call_abort(struct rpc_call *call)
{
    grpc_call_cancel(call->call, NULL);
}

void rpc_call_cancel(struct rpc_call *call)
{
    call->on_done = NULL;
    rpc_call_abort(call);
}
