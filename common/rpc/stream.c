/* Streams of both sides: sending with a bounded queue, receiving one message at a time, ending. */
#include "common/base/mem.h"
#include "common/rpc/rpc_internal.h"

static void stream_free(struct rpc_stream *stream)
{
    list_remove(&stream->link);
    if (stream->server)
        rpc_server_on_stream_gone(stream->server, stream);
    grpc_metadata_array_destroy(&stream->initial_metadata);
    grpc_metadata_array_destroy(&stream->trailing_metadata);
    grpc_slice_unref(stream->status_text);
    grpc_slice_unref(stream->own_text);
    grpc_call_unref(stream->call);
    arena_done(&stream->arena);
    mem_free(stream);
}

static void drop_queue(struct rpc_stream *stream)
{
    for (; stream->queue_count > 0; stream->queue_count--) {
        grpc_byte_buffer_destroy(stream->queue[stream->queue_head]);
        stream->queue_head = (stream->queue_head + 1) % RPC_STREAM_QUEUE_MAX;
    }
}

/* The status for on_closed. */
static enum rpc_status closing_status(const struct rpc_stream *stream, grpc_slice *ret_text)
{
    if (!stream->server) {
        *ret_text = stream->status_text;
        return (enum rpc_status)stream->status;
    }
    if (stream->is_cancelled || !stream->was_cancelled) {
        *ret_text = stream->own_text;
        return stream->own_status;
    }
    *ret_text = grpc_slice_from_static_string("the client has gone");
    return RPC_STATUS_CANCELLED;
}

/* After each operation that came back: when it was the last, the stream goes. */
static void settle(struct rpc_stream *stream)
{
    if (!stream->has_ended || stream->ops_pending > 0)
        return;
    if (stream->events) {
        grpc_slice slice;
        enum rpc_status status = closing_status(stream, &slice);
        char *text = grpc_slice_to_c_string(slice);
        stream->events->on_closed(stream->arg, stream, status, text);
        gpr_free(text);
    }
    stream_free(stream);
}

/* False where libgrpc refuses the batch, which it does for metadata it cannot send only. */
static bool start(struct rpc_stream *stream, struct rpc_op *op, rpc_op_fn *fn, const grpc_op *ops,
                  size_t count)
{
    if (!rpc_op_start_batch(stream->runtime, op, fn, stream->call, ops, count))
        return false;
    stream->ops_pending++;
    return true;
}

/* --- receiving -------------------------------------------------------------------------------- */

static void on_received(struct rpc_op *op, bool ok);

/* A server's user that has finished or cancelled hears of the end only. */
static bool is_listening(const struct rpc_stream *stream)
{
    return stream->events && !stream->is_cancelled && !(stream->server && stream->is_write_closed);
}

static void receive(struct rpc_stream *stream)
{
    if (stream->is_receiving || stream->is_paused || stream->is_read_closed ||
        stream->is_cancelled || stream->has_ended)
        return;
    grpc_op batch = {.op = GRPC_OP_RECV_MESSAGE};
    batch.data.recv_message.recv_message = &stream->incoming;
    stream->is_receiving = start(stream, &stream->receive_op, on_received, &batch, 1);
    ASSERT(stream->is_receiving);
}

static void on_read_closed(struct rpc_stream *stream)
{
    stream->is_read_closed = true;
    /* A broken stream looks the same but for this flag; its end is reported by end_op. */
    bool is_broken = grpc_call_failed_before_recv_message(stream->call) != 0;
    if (stream->server && !is_broken && is_listening(stream) && stream->events->on_half_close)
        stream->events->on_half_close(stream->arg, stream);
}

static void on_received(struct rpc_op *op, bool ok)
{
    struct rpc_stream *stream = CONTAINER_OF(op, struct rpc_stream, receive_op);
    stream->ops_pending--;
    stream->is_receiving = false;
    struct rpc_received received;
    bool is_readable = rpc_received_init(&received, stream->incoming);
    stream->incoming = NULL;
    if (!ok || !received.buffer)
        on_read_closed(stream);
    else if (!is_readable)
        rpc_stream_cancel(stream, RPC_STATUS_UNIMPLEMENTED, "compressed messages are not accepted");
    else if (is_listening(stream) && stream->events->on_message)
        stream->events->on_message(stream->arg, stream, received.data);
    rpc_received_done(&received);
    receive(stream);
    settle(stream);
}

void rpc_stream_pause(struct rpc_stream *stream)
{
    stream->is_paused = true;
}

void rpc_stream_resume(struct rpc_stream *stream)
{
    stream->is_paused = false;
    receive(stream);
}

/* --- sending ---------------------------------------------------------------------------------- */

static void on_sent(struct rpc_op *op, bool ok);

static void send_now(struct rpc_stream *stream, grpc_byte_buffer *buffer)
{
    grpc_op batch = {.op = GRPC_OP_SEND_MESSAGE};
    batch.data.send_message.send_message = buffer;
    stream->sending = buffer;
    stream->is_sending = start(stream, &stream->send_op, on_sent, &batch, 1);
    ASSERT(stream->is_sending);
}

static void on_finished(struct rpc_op *op, bool ok)
{
    (void)ok;
    struct rpc_stream *stream = CONTAINER_OF(op, struct rpc_stream, finish_op);
    stream->ops_pending--;
    settle(stream);
}

/* The queue is empty: half-close or status, if asked for. */
static void finish_now(struct rpc_stream *stream)
{
    grpc_op batch = {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT};
    if (stream->server) {
        batch.op = GRPC_OP_SEND_STATUS_FROM_SERVER;
        batch.data.send_status_from_server.status = (grpc_status_code)stream->own_status;
        batch.data.send_status_from_server.status_details = &stream->own_text;
    }
    stream->has_finish = false;
    bool is_started = start(stream, &stream->finish_op, on_finished, &batch, 1);
    ASSERT(is_started);
}

static void on_sent(struct rpc_op *op, bool ok)
{
    struct rpc_stream *stream = CONTAINER_OF(op, struct rpc_stream, send_op);
    stream->ops_pending--;
    stream->is_sending = false;
    grpc_byte_buffer_destroy(stream->sending);
    if (!ok) {
        stream->is_write_closed = true;
        drop_queue(stream);
    }
    if (stream->queue_count > 0) {
        grpc_byte_buffer *next = stream->queue[stream->queue_head];
        stream->queue_head = (stream->queue_head + 1) % RPC_STREAM_QUEUE_MAX;
        stream->queue_count--;
        send_now(stream, next);
    } else if (stream->has_finish && !stream->is_cancelled) {
        finish_now(stream);
    } else if (!stream->is_write_closed && stream->events && stream->events->on_writable) {
        stream->events->on_writable(stream->arg, stream);
    }
    settle(stream);
}

/* Enough for a head, some resources and a tail without touching the heap. */
enum { PARTS_ON_STACK = 16 };

static grpc_byte_buffer *join(struct rpc_buf *const *parts, size_t count, struct str tail)
{
    grpc_slice on_stack[PARTS_ON_STACK + 1];
    grpc_slice *slices = on_stack;
    if (count > PARTS_ON_STACK)
        slices = mem_alloc_zero(count + 1, sizeof *slices);
    for (size_t i = 0; i < count; i++)
        slices[i] = parts[i]->slice;
    slices[count] = grpc_slice_from_copied_buffer(tail.data, tail.len);
    /* It takes references of its own on each slice. */
    grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(slices, count + (tail.len > 0));
    grpc_slice_unref(slices[count]);
    if (slices != on_stack)
        mem_free(slices);
    return buffer;
}

int rpc_stream_send(struct rpc_stream *stream, struct rpc_buf *const *parts, size_t part_count,
                    struct str tail)
{
    if (stream->is_write_closed || stream->has_ended)
        return ERR_CLOSED;
    if (stream->queue_count == RPC_STREAM_QUEUE_MAX)
        return ERR_AGAIN;
    grpc_byte_buffer *buffer = join(parts, part_count, tail);
    if (!stream->is_sending) {
        send_now(stream, buffer);
        return 0;
    }
    unsigned end = (stream->queue_head + stream->queue_count) % RPC_STREAM_QUEUE_MAX;
    stream->queue[end] = buffer;
    stream->queue_count++;
    return 0;
}

int rpc_stream_send_buf(struct rpc_stream *stream, struct rpc_buf *buf)
{
    return rpc_stream_send(stream, &buf, 1, (struct str){0});
}

/* --- ending ----------------------------------------------------------------------------------- */

static void close_writes(struct rpc_stream *stream)
{
    if (stream->is_write_closed || stream->has_ended)
        return;
    stream->is_write_closed = true;
    stream->has_finish = true;
    if (!stream->is_sending)
        finish_now(stream);
}

void rpc_stream_half_close(struct rpc_stream *stream)
{
    ASSERT(!stream->server);
    close_writes(stream);
}

void rpc_stream_finish(struct rpc_stream *stream, enum rpc_status status, const char *text)
{
    ASSERT(stream->server);
    if (stream->is_write_closed)
        return;
    stream->own_status = status;
    stream->own_text = grpc_slice_from_copied_string(text);
    close_writes(stream);
}

void rpc_stream_cancel(struct rpc_stream *stream, enum rpc_status status, const char *text)
{
    if (stream->is_cancelled || stream->has_ended)
        return;
    stream->is_cancelled = true;
    stream->is_write_closed = true;
    stream->has_finish = false;
    drop_queue(stream);
    grpc_slice_unref(stream->own_text);
    stream->own_status = status;
    stream->own_text = grpc_slice_from_copied_string(text);
    grpc_call_cancel_with_status(stream->call, (grpc_status_code)status, text, NULL);
}

void rpc_stream_abandon(struct rpc_stream *stream)
{
    stream->events = NULL;
    rpc_stream_cancel(stream, RPC_STATUS_CANCELLED, "cancelled");
}

static void on_ended(struct rpc_op *op, bool ok)
{
    (void)ok; /* this operation always succeeds; its results say what happened */
    struct rpc_stream *stream = CONTAINER_OF(op, struct rpc_stream, end_op);
    stream->ops_pending--;
    stream->has_ended = true;
    stream->is_write_closed = true;
    stream->has_finish = false;
    drop_queue(stream);
    settle(stream);
}

/* --- beginning -------------------------------------------------------------------------------- */

static void on_opened(struct rpc_op *op, bool ok)
{
    (void)ok; /* a failure is reported by end_op */
    struct rpc_stream *stream = CONTAINER_OF(op, struct rpc_stream, open_op);
    stream->ops_pending--;
    settle(stream);
}

static struct rpc_stream *stream_new(struct rpc_runtime *runtime)
{
    struct rpc_stream *stream = MEM_NEW(struct rpc_stream);
    stream->runtime = runtime;
    stream->status_text = grpc_empty_slice();
    stream->own_text = grpc_empty_slice();
    list_append(&runtime->streams, &stream->link);
    list_init(&stream->server_link);
    arena_init(&stream->arena, 512);
    grpc_metadata_array_init(&stream->initial_metadata);
    grpc_metadata_array_init(&stream->trailing_metadata);
    return stream;
}

struct rpc_stream *rpc_stream_open(struct rpc_channel *channel, const char *method,
                                   const struct rpc_metadata *metadata, size_t metadata_count,
                                   const struct rpc_stream_events *events, void *arg)
{
    struct rpc_stream *stream = stream_new(channel->runtime);
    stream->events = events;
    stream->arg = arg;
    stream->call = rpc_channel_begin_call(channel, method, gpr_inf_future(GPR_CLOCK_REALTIME));

    grpc_op end = {.op = GRPC_OP_RECV_STATUS_ON_CLIENT};
    end.data.recv_status_on_client.trailing_metadata = &stream->trailing_metadata;
    end.data.recv_status_on_client.status = &stream->status;
    end.data.recv_status_on_client.status_details = &stream->status_text;
    bool is_started = start(stream, &stream->end_op, on_ended, &end, 1);
    ASSERT(is_started);

    grpc_metadata *array = rpc_metadata_new(metadata, metadata_count);
    grpc_op open[2] = {{.op = GRPC_OP_SEND_INITIAL_METADATA},
                       {.op = GRPC_OP_RECV_INITIAL_METADATA}};
    open[0].data.send_initial_metadata.metadata = array;
    open[0].data.send_initial_metadata.count = metadata_count;
    open[1].data.recv_initial_metadata.recv_initial_metadata = &stream->initial_metadata;
    if (start(stream, &stream->open_op, on_opened, open, 2))
        receive(stream);
    else
        rpc_stream_cancel(stream, RPC_STATUS_INTERNAL, "illegal metadata");
    rpc_metadata_free(array, metadata_count);
    return stream;
}

struct rpc_stream *rpc_stream_accept(struct rpc_server *server, struct rpc_runtime *runtime,
                                     grpc_call *call, grpc_metadata_array *metadata)
{
    struct rpc_stream *stream = stream_new(runtime);
    stream->server = server;
    stream->call = call;
    grpc_metadata_array_destroy(&stream->initial_metadata);
    stream->initial_metadata = *metadata;

    grpc_op end = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER};
    end.data.recv_close_on_server.cancelled = &stream->was_cancelled;
    grpc_op open = {.op = GRPC_OP_SEND_INITIAL_METADATA};
    bool is_started = start(stream, &stream->end_op, on_ended, &end, 1) &&
                      start(stream, &stream->open_op, on_opened, &open, 1);
    ASSERT(is_started);
    receive(stream);
    return stream;
}

void rpc_stream_set_user(struct rpc_stream *stream, const struct rpc_stream_events *events,
                         void *arg)
{
    stream->events = events;
    stream->arg = arg;
}

bool rpc_stream_header(const struct rpc_stream *stream, const char *key, struct str *ret_value)
{
    for (size_t i = 0; i < stream->initial_metadata.count; i++) {
        const grpc_metadata *entry = &stream->initial_metadata.metadata[i];
        if (grpc_slice_str_cmp(entry->key, key) != 0)
            continue;
        *ret_value = (struct str){.data = (const char *)GRPC_SLICE_START_PTR(entry->value),
                                  .len = GRPC_SLICE_LENGTH(entry->value)};
        return true;
    }
    return false;
}
