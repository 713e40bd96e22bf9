#include "dataplane/http/stream.h"

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "dataplane/config/stats.h"
#include "dataplane/http/access_log.h"
#include "dataplane/http/filter_chain.h"
#include "dataplane/http/forwarding.h"
#include "dataplane/http/header_mutations.h"
#include "dataplane/http/local_reply.h"
#include "dataplane/route/route.h"

#include <stdio.h>

enum {
    ARENA_BLOCK_BYTES = 8 * 1024,
    IDLE_STREAMS_MAX = 128, /* kept per worker: about 1 MiB */
};

/* --- life ------------------------------------------------------------------------------------ */

static void on_deadline(struct lazy_timer *timer);

struct http_stream *http_stream_new(struct worker *worker)
{
    struct http_stream *stream = worker->idle_streams;
    if (stream) {
        worker->idle_streams = stream->next_idle;
        worker->idle_stream_count--;
    } else {
        stream = mem_alloc(sizeof *stream);
        stream->worker = worker;
        arena_init(&stream->arena, ARENA_BLOCK_BYTES);
        lazy_timer_init(&stream->timer, worker->loop, on_deadline);
    }
    memset(&stream->codec, 0, sizeof *stream - offsetof(struct http_stream, codec));
    stream->next_idle = NULL;
    return stream;
}

static void free_stream(struct http_stream *stream)
{
    lazy_timer_done(&stream->timer);
    arena_done(&stream->arena);
    mem_free(stream);
}

void http_streams_done(struct worker *worker)
{
    while (worker->idle_streams) {
        struct http_stream *stream = worker->idle_streams;
        worker->idle_streams = stream->next_idle;
        free_stream(stream);
    }
    worker->idle_stream_count = 0;
}

static void count_response(struct http_stats *stats, unsigned status)
{
    if (status >= 500)
        stat_inc(&stats->downstream_rq_5xx);
    else if (status >= 400)
        stat_inc(&stats->downstream_rq_4xx);
    else if (status >= 300)
        stat_inc(&stats->downstream_rq_3xx);
    else
        stat_inc(&stats->downstream_rq_2xx);
}

static void count_end(struct http_stream *stream)
{
    struct http_stats *stats = stream->stats;
    stat_dec(&stats->downstream_rq_active);
    if (stream->response_has_started)
        count_response(stats, stream->response.status);
    if (!stream->response_is_complete)
        stat_inc(stream->flags & FLAG_DOWNSTREAM_TERMINATION ? &stats->downstream_rq_rx_reset
                                                             : &stats->downstream_rq_tx_reset);
    struct stats_block *block = CONTAINER_OF(stats, struct stats_block, http);
    if (!block->latency) {
        struct stats_latency *latency = MEM_NEW(struct stats_latency);
        __atomic_store_n(&block->latency, latency, __ATOMIC_RELEASE);
    }
    stats_latency_add(block->latency, (stream->end_ns - stream->start_ns) / 1000);
}

static void drop_upstream(struct http_stream *stream)
{
    const struct http_upstream_ops *ops = stream->upstream_ops;
    if (!ops)
        return;
    stream->upstream_ops = NULL;
    ops->on_abort(stream->upstream);
}

void http_stream_finish(struct http_stream *stream)
{
    struct worker *worker = stream->worker;
    if (stream->has_started) {
        stream->end_ns = worker->now_ns;
        drop_upstream(stream);
        filter_chain_destroy(stream);
        /* An interim or incomplete head is no answer, and its bytes may be gone. */
        if (!stream->response_has_started)
            http_response_init(&stream->response, &stream->arena);
        if (stream->listener->access_log_count)
            access_log_stream(stream);
        count_end(stream);
    }
    config_lease_unref(stream->lease);
    chunk_unref(stream->request_chunk);
    chunk_unref(stream->response_chunk);
    stream->timer.deadline_ms = UINT64_MAX;
    if (worker->idle_stream_count >= IDLE_STREAMS_MAX) {
        free_stream(stream);
        return;
    }
    arena_reset(&stream->arena);
    stream->next_idle = worker->idle_streams;
    worker->idle_streams = stream;
    worker->idle_stream_count++;
}

/* --- deadlines ------------------------------------------------------------------------------- */

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t idle_deadline_ms(const struct http_stream *stream)
{
    return stream->last_activity_ns / 1000000 + stream->idle_timeout_ms;
}

void http_stream_arm(struct http_stream *stream)
{
    uint64_t deadline_ms = UINT64_MAX;
    if (stream->idle_timeout_ms)
        deadline_ms = idle_deadline_ms(stream);
    if (stream->route_deadline_ms)
        deadline_ms = min_u64(deadline_ms, stream->route_deadline_ms);
    if (stream->request_deadline_ms && !stream->request_is_complete)
        deadline_ms = min_u64(deadline_ms, stream->request_deadline_ms);
    lazy_timer_set(&stream->timer, deadline_ms, stream->worker->now_ns / 1000000);
}

static void reply_timeout(struct http_stream *stream, const char *body, const char *details)
{
    http_stream_reply(stream, stream->request_is_complete ? 504 : 408, str_from(body), details,
                      NULL);
}

static bool request_is_late(const struct http_stream *stream, uint64_t now_ms)
{
    return stream->request_deadline_ms && !stream->request_is_complete &&
           !stream->response_is_complete && now_ms >= stream->request_deadline_ms;
}

/* Nothing moves: no answer comes, or the client does not read it. */
static void end_idle(struct http_stream *stream)
{
    if (!stream->response_is_complete) {
        reply_timeout(stream, "stream timeout", "stream_idle_timeout");
        return;
    }
    stream->is_aborted = true;
    stream->details = "stream_idle_timeout";
    stream->codec->abort(stream);
}

static void on_deadline(struct lazy_timer *timer)
{
    struct http_stream *stream = CONTAINER_OF(timer, struct http_stream, timer);
    worker_update_clock(stream->worker);
    uint64_t now_ms = stream->worker->now_ns / 1000000;
    if (stream->is_aborted)
        return;
    if (stream->route_deadline_ms && now_ms >= stream->route_deadline_ms) {
        stream->route_deadline_ms = 0;
        if (stream->upstream_ops)
            stream->upstream_ops->on_timeout(stream->upstream);
    } else if (request_is_late(stream, now_ms)) {
        stream->request_deadline_ms = 0;
        stat_inc(&stream->stats->downstream_rq_timeout);
        reply_timeout(stream, "request timeout", "request_overall_timeout");
    } else if (stream->idle_timeout_ms && now_ms >= idle_deadline_ms(stream)) {
        stat_inc(&stream->stats->downstream_rq_idle_timeout);
        stream->flags |= FLAG_STREAM_IDLE_TIMEOUT;
        end_idle(stream);
    }
    if (!stream->is_aborted)
        http_stream_arm(stream); /* also behind an answer of ours: it must be read */
}

/* --- the request ----------------------------------------------------------------------------- */

static void begin(struct http_stream *stream, bool is_end)
{
    struct worker *worker = stream->worker;
    const struct listener_config *listener = stream->listener;
    uint64_t now_ms = worker->now_ns / 1000000;
    stream->has_started = true;
    stream->head_was_end = is_end;
    stream->start_ns = stream->last_activity_ns = worker->now_ns;
    stream->start_wall_us = worker_wall_us(worker);
    stream->is_head_request = stream->request.method_id == HTTP_HEAD;
    stream->idle_timeout_ms = listener->stream_idle_timeout_ms;
    if (listener->request_timeout_ms && !is_end)
        stream->request_deadline_ms = now_ms + listener->request_timeout_ms;
    if (is_end) {
        stream->request_is_complete = true;
        stream->request_end_ns = worker->now_ns;
    }
    stat_inc(&stream->stats->downstream_rq_total);
    stat_inc(&stream->stats->downstream_rq_active);
    http_stream_arm(stream);
}

/* Answers what is refused before any filter sees it. */
static void refuse(struct http_stream *stream, unsigned status, struct str body,
                   const char *details, const struct header_list *headers)
{
    filter_chain_set_up(stream);
    http_stream_reply(stream, status, body, details, headers);
}

/* What leads a client to path on this host: "//name/x" alone would lead it to another (S29). */
static struct str location_of(struct arena *arena, struct str path)
{
    bool names_a_host = path.len > 1 && (path.data[1] == '/' || path.data[1] == '\\');
    return names_a_host ? str_from(arena_printf(arena, "/.%.*s", STR_ARGS(path))) : path;
}

/* The path becomes canonical; false where the request was answered. */
static bool normalise_path(struct http_stream *stream)
{
    struct http_request *request = &stream->request;
    enum path_action action;
    if (path_normalise(request->path, &stream->listener->path, &stream->arena, &request->path,
                       &action)) {
        stream->close_after_response = true;
        refuse(stream, 400, STR(""), "path_normalization_failed", NULL);
        return false;
    }
    if (action == PATH_CONTINUE)
        return true;
    struct header_list headers;
    header_list_init(&headers, &stream->arena);
    header_list_add(&headers, HEADER_LOCATION, location_of(&stream->arena, request->path));
    refuse(stream, 307, STR(""), "path_normalization_failed", &headers);
    return false;
}

static bool check_request(struct http_stream *stream)
{
    if (!forwarding_check_underscores(stream)) {
        stream->close_after_response = true;
        refuse(stream, 400, STR("Bad Request"), "http1.unexpected_underscore", NULL);
        return false;
    }
    return stream->request.method_id == HTTP_CONNECT || normalise_path(stream);
}

/* Refuses tunnels and upgrades, of which the first byte would be the last that we understand. */
static bool is_tunnel(struct http_stream *stream)
{
    if (stream->request.method_id == HTTP_CONNECT) {
        stream->flags |= FLAG_NO_ROUTE;
        stream->close_after_response = true;
        stat_inc(&stream->stats->no_route);
        refuse(stream, 404, STR(""), "route_not_found", NULL);
        return true;
    }
    if (stream->request.is_upgrade) {
        stream->close_after_response = true;
        refuse(stream, 403, STR(""), "upgrade_failed", NULL);
        return true;
    }
    return false;
}

static void find_route(struct http_stream *stream)
{
    if (!stream->routes)
        return;
    struct route_match_input input = {.request = &stream->request,
                                      .random = worker_random(stream->worker)};
    stream->route = route_match(stream->routes, &input);
    if (stream->route && stream->route->kind == ROUTE_FORWARD &&
        stream->route->forward.idle_timeout_ms != UINT64_MAX) {
        stream->idle_timeout_ms = stream->route->forward.idle_timeout_ms;
        http_stream_arm(stream);
    }
}

static void run_filters(struct http_stream *stream)
{
    if (filter_chain_run_request(stream) == FILTER_PAUSE) {
        stream->is_paused = true;
        stream->codec->pause_request(stream);
    }
}

void http_stream_start(struct http_stream *stream, bool is_end)
{
    begin(stream, is_end);
    if (!check_request(stream))
        return;
    header_list_strip_hop_by_hop(&stream->request.headers);
    header_list_join_lines(&stream->request.headers);
    forwarding_normalise_host(stream);
    header_mutations_apply(stream->listener->early_header_mutations, stream,
                           &stream->request.headers);
    forwarding_complete_request(stream);
    if (is_tunnel(stream))
        return;
    find_route(stream);
    filter_chain_set_up(stream);
    run_filters(stream);
}

void http_stream_reject(struct http_stream *stream, unsigned status, struct str body,
                        const char *details, uint32_t flags)
{
    begin(stream, false);
    stream->flags |= flags;
    stream->close_after_response = true;
    refuse(stream, status, body, details, NULL);
}

void http_stream_resume(struct http_stream *stream)
{
    ASSERT(stream->is_paused);
    stream->is_paused = false;
    if (stream->response_has_started || stream->is_aborted)
        return;
    worker_update_clock(stream->worker);
    stream->last_activity_ns = stream->worker->now_ns; /* the time it was held is nobody's fault */
    stream->codec->resume_request(stream);
    run_filters(stream);
}

void http_stream_continue(struct http_stream *stream)
{
    if (!stream->request.expects_continue || stream->request_is_complete)
        return;
    stream->request.expects_continue = false;
    struct http_response interim;
    http_response_init(&interim, &stream->arena);
    interim.status = 100;
    interim.keep_alive = true;
    stream->codec->send_interim_head(stream, &interim);
}

static void drop_data(struct slice_queue *data)
{
    slice_queue_drop(data, data->bytes);
}

void http_stream_request_body(struct http_stream *stream, struct slice_queue *data, bool is_end)
{
    stream->last_activity_ns = stream->worker->now_ns;
    stream->request_body_bytes += data->bytes;
    if (is_end) {
        stream->request_is_complete = true;
        stream->request_end_ns = stream->worker->now_ns;
    }
    if (stream->upstream_ops)
        stream->upstream_ops->on_request_body(stream->upstream, data, is_end);
    drop_data(data);
}

void http_stream_abort(struct http_stream *stream, enum response_flag flag, const char *details)
{
    if (stream->is_aborted || stream->response_is_complete)
        return;
    stream->is_aborted = true;
    stream->flags |= flag;
    stream->details = details;
    drop_upstream(stream);
}

/* --- the response ---------------------------------------------------------------------------- */

static void complete_response(struct http_stream *stream)
{
    stream->response_is_complete = true;
    stream->upstream_ops = NULL;
    stream->route_deadline_ms = stream->request_deadline_ms = 0;
}

/* Route's and arm's headers, then the filters', then the listener's own, as in Envoy. */
static void send_head(struct http_stream *stream, bool is_end)
{
    struct http_response *response = &stream->response;
    filter_chain_run_response(stream);
    forwarding_complete_response(stream);
    stream->response_has_started = true;
    stream->response_start_ns = stream->worker->now_ns;
    if (is_end)
        complete_response(stream);
    response->answers_head = stream->is_head_request;
    stream->codec->send_response_head(stream, is_end);
}

static void apply_route_to_response(struct http_stream *stream)
{
    if (stream->arm)
        header_mutations_apply(stream->arm->response_mutations, stream, &stream->response.headers);
    if (stream->route)
        header_mutations_apply(stream->route->response_mutations, stream,
                               &stream->response.headers);
}

/* gRPC's mapping of HTTP statuses (http-grpc-status-mapping.md). */
static struct str grpc_status_of(unsigned status)
{
    switch (status) {
    case 400:
        return STR("13");
    case 401:
        return STR("16");
    case 403:
        return STR("7");
    case 404:
        return STR("12");
    case 429:
    case 502:
    case 503:
    case 504:
        return STR("14");
    default:
        return STR("2");
    }
}

/* Percent-encoded as grpc-message wants it. */
static struct str grpc_message_of(struct arena *arena, struct str text)
{
    char *out = arena_alloc(arena, text.len * 3), *at = out;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c >= 0x20 && c <= 0x7e && c != '%') {
            *at++ = (char)c;
            continue;
        }
        *at++ = '%';
        *at++ = "0123456789ABCDEF"[c >> 4];
        *at++ = "0123456789ABCDEF"[c & 15];
    }
    return (struct str){.data = out, .len = (size_t)(at - out)};
}

/* The reply's head from what the local_reply configuration made of it; *body is what to send. */
static void fill_reply(struct http_stream *stream, unsigned status, struct str *body,
                       struct str content_type)
{
    struct http_response *response = &stream->response;
    if (status == 204 || status == 304)
        *body = (struct str){0};
    if (http_request_is_grpc(&stream->request)) { /* errors are told in gRPC's way */
        header_list_set(&response->headers, HEADER_CONTENT_TYPE, STR("application/grpc"));
        header_list_set(&response->headers, HEADER_GRPC_STATUS, grpc_status_of(status));
        if (body->len)
            header_list_set_name(&response->headers, STR("grpc-message"),
                                 grpc_message_of(&stream->arena, *body));
        response->status = 200;
        *body = (struct str){0};
    } else if (body->len) {
        header_list_set(&response->headers, HEADER_CONTENT_TYPE, content_type);
    } else {
        header_list_remove(&response->headers, HEADER_CONTENT_TYPE);
        header_list_remove(&response->headers, HEADER_CONTENT_LENGTH);
    }
    if (body->len && stream->is_head_request) {
        header_list_set(&response->headers, HEADER_CONTENT_LENGTH,
                        arena_decimal(&stream->arena, body->len));
        *body = (struct str){0};
    }
    response->body_kind = body->len ? BODY_LENGTH : BODY_NONE;
    response->content_length = body->len;
}

static void send_reply(struct http_stream *stream, struct str body)
{
    send_head(stream, !body.len);
    if (!body.len)
        return;
    struct slice_queue data = {0};
    slice_queue_append(&data, worker_copy(stream->worker, body));
    stream->response_body_bytes = body.len;
    complete_response(stream);
    stream->codec->send_response_body(stream, &data, true);
    slice_queue_done(&data);
}

void http_stream_reply(struct http_stream *stream, unsigned status, struct str body,
                       const char *details, const struct header_list *headers)
{
    ASSERT(status >= 200 && status <= 599);
    if (stream->is_replying || stream->is_aborted || stream->response_is_complete)
        return;
    stream->details = details;
    drop_upstream(stream);
    if (stream->response_has_started) {
        stream->is_aborted = true;
        stream->codec->abort(stream);
        return;
    }
    stream->is_replying = true;
    stream->last_activity_ns = stream->worker->now_ns;
    struct http_response *response = &stream->response;
    http_response_init(response, &stream->arena);
    response->status = status;
    response->keep_alive = true;
    for (uint32_t i = 0; headers && i < headers->len; i++)
        header_list_add_name(&response->headers, headers->items[i].name, headers->items[i].value);
    apply_route_to_response(stream);
    struct str content_type;
    local_reply_apply(stream->listener->local_reply, stream, &status, &body, &content_type);
    response->status = status;
    fill_reply(stream, status, &body, content_type);
    send_reply(stream, body);
    stream->is_replying = false;
}

void http_stream_response_head(struct http_stream *stream, bool is_end)
{
    ASSERT(!stream->response_has_started);
    stream->last_activity_ns = stream->worker->now_ns;
    header_list_strip_hop_by_hop(&stream->response.headers);
    apply_route_to_response(stream);
    send_head(stream, is_end);
}

size_t http_stream_response_body(struct http_stream *stream, struct slice_queue *data, bool is_end)
{
    stream->last_activity_ns = stream->worker->now_ns;
    stream->response_body_bytes += data->bytes;
    if (is_end)
        complete_response(stream);
    if (!stream->is_aborted)
        stream->codec->send_response_body(stream, data, is_end);
    drop_data(data);
    return stream->codec->response_bytes_pending(stream);
}

void http_stream_response_drained(struct http_stream *stream)
{
    if (stream->upstream_ops)
        stream->upstream_ops->on_response_drained(stream->upstream);
}
