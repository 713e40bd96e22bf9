/* The messages of a client's connection: HTTP/1.1 requests in, answers out, in order. */
#include "dataplane/http/body_reader.h"
#include "dataplane/http/downstream_internal.h"
#include "dataplane/http/h1_write.h"

static const struct http_codec_ops codec_ops;
static void abort_stream(struct http_stream *stream);

static uint64_t now_ms(const struct downstream *conn)
{
    return conn->worker->now_ns / 1000000;
}

/* --- request head ---------------------------------------------------------------------------- */

static void open_stream(struct downstream *conn)
{
    const struct downstream_listener *listener = conn->listener;
    const struct listener_config *config = listener->config;
    struct http_stream *stream = http_stream_new(conn->worker);
    stream->codec = &codec_ops;
    stream->codec_connection = conn;
    stream->lease = config_lease_ref(listener->lease);
    stream->listener = config;
    stream->routes = listener->routes;
    stream->stats = listener->stats;
    stream->remote_address = conn->remote_address;
    stream->local_address = conn->local_address;
    http_request_init(&stream->request, &stream->arena);
    conn->stream = stream;
    conn->scan = (struct h1_scan){0};
    conn->limits = h1_limits_default;
    conn->limits.head_bytes_max = config->request_head_bytes_max;
    conn->limits.header_count_max = config->request_headers_max;
    conn->limits.accepts_http10 = config->accept_http_10;
    conn->pauses = 0;
    conn->head_is_complete = conn->body_is_due = false;
    conn->request_is_done = conn->response_is_done = false;
    conn->response_is_chunked = false;
}

/* Answers a head that cannot be understood or does not come; nothing more is read as a request. */
static void reject_head(struct downstream *conn, unsigned status, const char *body,
                        const char *details, uint32_t flags)
{
    struct http_stream *stream = conn->stream;
    conn->head_is_complete = conn->request_is_done = conn->input_is_dead = true;
    conn->keep_alive = false;
    if (!stream->request_chunk && conn->input.chunk)
        stream->request_chunk = chunk_ref(conn->input.chunk);
    http_stream_reject(stream, status, str_from(body), details, flags);
}

void downstream_h1_head_timeout(struct downstream *conn)
{
    /* What was parsed so far lies where the bytes were then; they may have been moved since. */
    http_request_init(&conn->stream->request, &conn->stream->arena);
    reject_head(conn, 408, "request header timeout", "request_header_timeout", 0);
}

static void start_request(struct downstream *conn, uint32_t head_len)
{
    struct http_stream *stream = conn->stream;
    const struct http_request *request = &stream->request;
    bool is_end = request->body_kind == BODY_NONE;
    conn->input.from += head_len;
    conn->head_is_complete = true;
    conn->timer.deadline_ms = UINT64_MAX;
    conn->requests++;
    conn->keep_alive = request->keep_alive;
    conn->request_is_done = is_end;
    conn->body_is_due = !is_end;
    h1_body_init(&conn->body, request->body_kind, request->content_length, &conn->limits,
                 &stream->arena);
    stream->request_chunk = chunk_ref(conn->input.chunk);
    http_stream_start(stream, is_end);
}

/* How long a head may take from its first byte; without a time of its own, as long as any stream
 * may stand still, as in Envoy (threats S39). 0: for ever. */
static uint64_t head_timeout_ms(const struct listener_config *config)
{
    return config->request_headers_timeout_ms ? config->request_headers_timeout_ms
                                              : config->stream_idle_timeout_ms;
}

static enum downstream_step wait_for_head(struct downstream *conn)
{
    int err = downstream_fill(conn);
    if (!err)
        return STEP_MORE;
    if (err == ERR_CLOSED)
        return conn->stream ? STEP_CUT : STEP_END;
    if (err != ERR_AGAIN)
        return STEP_CUT;
    input_release(&conn->input);
    uint64_t timeout_ms = conn->stream ? head_timeout_ms(conn->stream->listener) : 0;
    if (timeout_ms && conn->timer.deadline_ms == UINT64_MAX)
        lazy_timer_set(&conn->timer, now_ms(conn) + timeout_ms, now_ms(conn));
    return STEP_WAIT;
}

static enum downstream_step read_head(struct downstream *conn)
{
    if (!input_unread(&conn->input))
        return wait_for_head(conn);
    if (!conn->stream) {
        open_stream(conn);
        conn->timer.deadline_ms = UINT64_MAX;
    }
    struct h1_error error;
    int len = h1_parse_request(input_data(&conn->input), input_unread(&conn->input), &conn->limits,
                               &conn->scan, &conn->stream->request, &error);
    if (len == ERR_AGAIN)
        return wait_for_head(conn);
    if (len < 0) {
        stat_inc(&conn->listener->stats->downstream_cx_protocol_error);
        reject_head(conn, error.status, error.body, error.details, FLAG_DOWNSTREAM_PROTOCOL_ERROR);
    } else {
        start_request(conn, (uint32_t)len);
    }
    return STEP_MORE;
}

/* --- request body ---------------------------------------------------------------------------- */

static void reject_body(struct downstream *conn, const struct h1_error *error)
{
    struct http_stream *stream = conn->stream;
    stat_inc(&conn->listener->stats->downstream_cx_protocol_error);
    conn->request_is_done = conn->input_is_dead = true;
    conn->keep_alive = false;
    stream->flags |= FLAG_DOWNSTREAM_PROTOCOL_ERROR;
    http_stream_reply(stream, error->status, str_from(error->body), error->details, NULL);
}

static enum downstream_step read_body(struct downstream *conn)
{
    if (!input_unread(&conn->input) && !conn->body_is_due) {
        int err = downstream_fill(conn);
        return !err ? STEP_MORE : err == ERR_AGAIN ? STEP_WAIT : STEP_CUT;
    }
    struct h1_error error;
    int err = body_reader_take(conn->worker, &conn->body, &conn->input, &conn->body_data, &error);
    if (err) {
        slice_queue_drop(&conn->body_data, conn->body_data.bytes);
        reject_body(conn, &error);
        return STEP_MORE;
    }
    conn->body_is_due = false;
    conn->request_is_done = h1_body_is_done(&conn->body);
    http_stream_request_body(conn->stream, &conn->body_data, conn->request_is_done);
    return STEP_MORE;
}

/* --- the end of an exchange ------------------------------------------------------------------ */

/* The answer came before the end of the request: what is left of it is passed over where it is here
 * already, otherwise the connection has no further use (threats S9, S10). */
static void pass_over_request(struct downstream *conn)
{
    struct h1_error error;
    int err = body_reader_take(conn->worker, &conn->body, &conn->input, &conn->body_data, &error);
    slice_queue_drop(&conn->body_data, conn->body_data.bytes);
    if (err || !h1_body_is_done(&conn->body)) {
        conn->input_is_dead = true;
        conn->keep_alive = false;
    }
}

static enum downstream_step finish_exchange(struct downstream *conn)
{
    if (!conn->request_is_done)
        pass_over_request(conn);
    http_stream_finish(conn->stream);
    conn->stream = NULL;
    if (!conn->keep_alive)
        return STEP_END;
    uint64_t idle_ms = conn->listener->config->idle_timeout_ms;
    conn->idle_since_ms = now_ms(conn);
    lazy_timer_set(&conn->timer, idle_ms ? now_ms(conn) + idle_ms : UINT64_MAX, now_ms(conn));
    input_release(&conn->input);
    return STEP_MORE;
}

/* Nobody is left to answer. The event of a reset is no other than that of bytes; where it comes
 * while nothing is read, the socket is asked. */
static bool is_left(const struct downstream *conn)
{
    const struct input *input = &conn->input;
    return input->peer_has_closed || (input->state == INPUT_READY && socket_error(conn->fd));
}

enum downstream_step downstream_h1_step(struct downstream *conn)
{
    if (!conn->stream || !conn->head_is_complete)
        return read_head(conn);
    if (conn->response_is_done)
        return conn->out.bytes ? STEP_WAIT : finish_exchange(conn);
    if (!conn->request_is_done && !conn->pauses)
        return read_body(conn);
    /* Also while the request's body is kept waiting, as in Envoy. */
    return is_left(conn) ? STEP_CUT : STEP_WAIT;
}

void downstream_h1_end(struct downstream *conn)
{
    struct http_stream *stream = conn->stream;
    if (!stream)
        return;
    if (stream->has_started)
        http_stream_abort(stream, FLAG_DOWNSTREAM_TERMINATION, "downstream_remote_disconnect");
    http_stream_finish(stream);
    conn->stream = NULL;
}

/* --- the answer ------------------------------------------------------------------------------ */

static struct downstream *connection_of(const struct http_stream *stream)
{
    struct downstream *conn = stream->codec_connection;
    ASSERT(conn->magic == DOWNSTREAM_MAGIC);
    return conn;
}

static bool may_keep_alive(const struct downstream *conn, const struct http_stream *stream)
{
    uint64_t requests_max = stream->listener->connection_requests_max;
    if (stream->close_after_response || conn->worker->is_draining || conn->listener->is_draining ||
        (requests_max && conn->requests >= requests_max))
        return false;
    return conn->request_is_done || stream->upstream_ops ||
           h1_body_left(&conn->body) <= input_unread(&conn->input);
}

/* Framing towards this client. */
static void frame_response(struct downstream *conn, struct http_stream *stream, bool is_end)
{
    struct http_response *response = &stream->response;
    response->is_http10 = stream->request.is_http10;
    conn->keep_alive = conn->keep_alive && may_keep_alive(conn, stream);
    if (is_end) {
        response->body_kind = BODY_NONE;
    } else if (response->body_kind != BODY_LENGTH) {
        response->body_kind = response->is_http10 ? BODY_UNTIL_CLOSE : BODY_CHUNKED;
        conn->keep_alive = conn->keep_alive && !response->is_http10;
    }
    conn->response_is_chunked = response->body_kind == BODY_CHUNKED;
    response->keep_alive = conn->keep_alive;
}

/* Takes out what cannot be sent (a value with a line break from a token, a path …; threats S14). */
static void drop_invalid_headers(struct header_list *headers)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < headers->len; i++) {
        const struct header *header = &headers->items[i];
        if (header_name_is_valid(header->name) && header_value_is_valid(header->value))
            headers->items[kept++] = *header;
    }
    headers->len = kept;
}

static void append_head(struct downstream *conn, const struct http_response *response, size_t size)
{
    struct chunk *chunk;
    char *bytes;
    if (size <= CHUNK_BYTES) {
        bytes = worker_bytes(conn->worker, size, &chunk);
    } else {
        chunk = chunk_new(&conn->worker->chunks, size);
        chunk->len = (uint32_t)size;
        bytes = chunk->data;
    }
    h1_write_response(response, bytes);
    slice_queue_append(&conn->out, (struct slice){.chunk = chunk, .data = bytes, .len = size});
}

static void send_response_head(struct http_stream *stream, bool is_end)
{
    struct downstream *conn = connection_of(stream);
    struct http_response *response = &stream->response;
    frame_response(conn, stream, is_end);
    size_t size;
    int err = h1_response_size(response, &size);
    if (err) {
        drop_invalid_headers(&response->headers);
        err = h1_response_size(response, &size);
    }
    if (err) {
        abort_stream(stream);
        return;
    }
    append_head(conn, response, size);
    if (!is_end)
        return;
    conn->response_is_done = true;
    downstream_flush(conn);
    worker_task_schedule(conn->worker, &conn->task);
}

static void send_interim_head(struct http_stream *stream, const struct http_response *response)
{
    struct downstream *conn = connection_of(stream);
    size_t size;
    if (stream->request.is_http10 || h1_response_size(response, &size))
        return;
    append_head(conn, response, size);
    downstream_flush(conn);
}

static void append_static(struct downstream *conn, struct str text)
{
    slice_queue_append(&conn->out, (struct slice){.data = text.data, .len = text.len});
}

static void append_chunk_size(struct downstream *conn, uint64_t len)
{
    char line[H1_CHUNK_SIZE_LINE_MAX];
    struct str text = {.data = line, .len = h1_write_chunk_size(line, len)};
    slice_queue_append(&conn->out, worker_copy(conn->worker, text));
}

static void send_response_body(struct http_stream *stream, struct slice_queue *data, bool is_end)
{
    struct downstream *conn = connection_of(stream);
    if (conn->is_broken)
        return;
    if (conn->response_is_chunked && data->bytes) {
        append_chunk_size(conn, data->bytes);
        slice_queue_move(&conn->out, data);
        append_static(conn, STR("\r\n"));
    } else {
        slice_queue_move(&conn->out, data);
    }
    if (conn->response_is_chunked && is_end)
        append_static(conn, H1_LAST_CHUNK);
    downstream_flush(conn);
    if (!is_end)
        return;
    conn->response_is_done = true;
    worker_task_schedule(conn->worker, &conn->task);
}

static void pause_request(struct http_stream *stream)
{
    connection_of(stream)->pauses++;
}

static void resume_request(struct http_stream *stream)
{
    struct downstream *conn = connection_of(stream);
    ASSERT(conn->pauses > 0);
    if (--conn->pauses == 0)
        worker_task_schedule(conn->worker, &conn->task);
}

static size_t response_bytes_pending(const struct http_stream *stream)
{
    return connection_of(stream)->out.bytes;
}

static void abort_stream(struct http_stream *stream)
{
    struct downstream *conn = connection_of(stream);
    conn->is_broken = true;
    /* Where the end of the connection is the end of the body, only a reset tells that it is not. */
    conn->wants_reset =
        stream->response_has_started && stream->response.body_kind == BODY_UNTIL_CLOSE;
    worker_task_schedule(conn->worker, &conn->task);
}

static const struct http_codec_ops codec_ops = {
    .send_response_head = send_response_head,
    .send_interim_head = send_interim_head,
    .send_response_body = send_response_body,
    .pause_request = pause_request,
    .resume_request = resume_request,
    .response_bytes_pending = response_bytes_pending,
    .abort = abort_stream,
};
