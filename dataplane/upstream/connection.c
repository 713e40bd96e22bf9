/* One HTTP/1.1 connection to a server: connects, sends a request's head and body, reads its answer,
 * and rests in its host's pool between requests. */
#include "common/base/mem.h"
#include "dataplane/http/body_reader.h"
#include "dataplane/http/h1_write.h"
#include "dataplane/upstream/upstream_internal.h"

#include <errno.h>
#include <event2/event.h>
#include <unistd.h>

/* Read at a stretch before others get their turn. */
enum { READ_BUDGET_BYTES = 256 * 1024 };

static uint64_t now_ms(const struct upstream_connection *conn)
{
    return conn->worker->now_ns / 1000000;
}

static struct cluster_stats *stats_of(const struct upstream_connection *conn)
{
    return conn->host->cluster->stats;
}

/* --- the end --------------------------------------------------------------------------------- */

static void on_free(struct loop_free *item)
{
    struct upstream_connection *conn = CONTAINER_OF(item, struct upstream_connection, deferred);
    input_done(&conn->input);
    slice_queue_done(&conn->body_data);
    mem_free(conn);
}

void upstream_connection_close(struct upstream_connection *conn)
{
    if (conn->state == UPSTREAM_CLOSED)
        return;
    ASSERT(!conn->request);
    struct host *host = conn->host;
    conn->state = UPSTREAM_CLOSED;
    event_free(conn->event);
    close(conn->fd);
    lazy_timer_done(&conn->timer);
    worker_task_cancel(&conn->task);
    slice_queue_done(&conn->out);
    list_remove(&conn->link);
    limit_give(&host->cluster->limits->connections);
    stat_dec(&host->cluster->stats->upstream_cx_active);
    host->connection_count--;
    loop_defer(conn->worker->loop, &conn->deferred, on_free);
    pool_connection_closed(host);
    host_release(host);
}

static bool is_idempotent(enum http_method method)
{
    switch (method) {
    case HTTP_GET:
    case HTTP_HEAD:
    case HTTP_PUT:
    case HTTP_DELETE:
    case HTTP_OPTIONS:
    case HTTP_TRACE:
        return true;
    case HTTP_POST:
    case HTTP_PATCH:
    case HTTP_CONNECT:
    case HTTP_OTHER:
        return false;
    }
    return false;
}

/* A server may close a connection at rest at the very moment a request is put on it. */
static bool may_try_again(const struct upstream_connection *conn,
                          const struct upstream_request *request)
{
    return conn->requests > 1 && !request->was_retried && !request->has_received &&
           !request->has_body &&
           (!conn->has_sent || is_idempotent(request->options.request->method_id));
}

/* Closes conn and tries its request again, or fails it. */
static void lose(struct upstream_connection *conn, enum upstream_failure failure)
{
    struct upstream_request *request = conn->request;
    bool tries_again = false;
    if (request) {
        tries_again = failure == UPSTREAM_CONNECTION_TERMINATION && may_try_again(conn, request);
        request->conn = NULL;
        request->state = REQUEST_WAITING;
        conn->request = NULL;
        if (conn->state == UPSTREAM_BUSY && !tries_again &&
            failure == UPSTREAM_CONNECTION_TERMINATION)
            stat_inc(&stats_of(conn)->upstream_cx_destroy_remote_with_active_rq);
    }
    upstream_connection_close(conn);
    if (!request)
        return;
    request->was_retried |= tries_again;
    if (!tries_again || !pool_retry(request, &failure))
        upstream_request_fail(request, failure);
}

/* --- the request out ------------------------------------------------------------------------- */

/* A server that wants no more of a request may answer and close: the answer can still be read. */
static void break_off(struct upstream_connection *conn)
{
    conn->is_broken = true;
    conn->is_write_blocked = false;
    conn->input.state = INPUT_READY;
    slice_queue_drop(&conn->out, conn->out.bytes);
    worker_task_schedule(conn->worker, &conn->task);
}

void upstream_connection_flush(struct upstream_connection *conn)
{
    if (conn->is_broken)
        slice_queue_drop(&conn->out, conn->out.bytes);
    if (!conn->out.bytes || conn->is_write_blocked)
        return;
    uint64_t written = 0;
    int err = socket_write(conn->fd, &conn->out, &written);
    conn->has_sent |= written > 0;
    stat_add(&stats_of(conn)->upstream_cx_tx_bytes_total, written);
    conn->is_write_blocked = err == ERR_AGAIN;
    if (err == ERR_IO)
        break_off(conn);
}

static void append_head(struct upstream_connection *conn, const struct upstream_request *request)
{
    struct chunk *chunk;
    char *bytes;
    size_t size = request->head_size;
    if (size <= CHUNK_BYTES) {
        bytes = worker_bytes(conn->worker, size, &chunk);
    } else {
        chunk = chunk_new(&conn->worker->chunks, size);
        chunk->len = (uint32_t)size;
        bytes = chunk->data;
    }
    h1_write_request(request->options.request, bytes);
    slice_queue_append(&conn->out, (struct slice){.chunk = chunk, .data = bytes, .len = size});
}

void upstream_connection_attach(struct upstream_connection *conn, struct upstream_request *request)
{
    ASSERT(!conn->request && (conn->state == UPSTREAM_IDLE || conn->state == UPSTREAM_BUSY));
    conn->state = UPSTREAM_BUSY;
    conn->request = request;
    conn->requests++;
    conn->has_sent = false;
    conn->scan = (struct h1_scan){0};
    conn->timer.deadline_ms = UINT64_MAX;
    list_remove(&conn->link);
    list_append(&conn->host->busy, &conn->link);
    request->conn = conn;
    request->local_address = conn->local_address;
    request->state = REQUEST_ATTACHED;
    append_head(conn, request);
    slice_queue_move(&conn->out, &request->body);
    if (!request->is_corked)
        upstream_connection_flush(conn);
    if (request->was_over_watermark)
        worker_task_schedule(conn->worker, &conn->task);
}

void upstream_connection_rest(struct upstream_connection *conn)
{
    const struct cluster_config *config = conn->host->cluster->config;
    conn->state = UPSTREAM_IDLE;
    input_release(&conn->input);
    list_remove(&conn->link);
    list_prepend(&conn->host->idle, &conn->link);
    lazy_timer_set(&conn->timer,
                   config->idle_timeout_ms ? now_ms(conn) + config->idle_timeout_ms : UINT64_MAX,
                   now_ms(conn));
}

void upstream_connection_resume(struct upstream_connection *conn)
{
    worker_task_schedule(conn->worker, &conn->task);
}

/* --- the answer in --------------------------------------------------------------------------- */

/* Nothing more has come behind the answer. A read that took less than it might have has seen the
 * end; otherwise more may wait, of which no event would tell again. */
static bool is_silent(const struct upstream_connection *conn)
{
    return !input_unread(&conn->input) && !conn->input.peer_has_closed &&
           (conn->input.state != INPUT_READY || socket_is_idle(conn->fd));
}

static bool may_be_used_again(const struct upstream_connection *conn,
                              const struct upstream_request *request)
{
    const struct cluster_config *config = conn->host->cluster->config;
    uint64_t requests_max = config->requests_per_connection_max;
    return request->is_end && !conn->out.bytes && !conn->is_broken && request->server_keeps_alive &&
           !conn->host->is_removed && (!requests_max || conn->requests < requests_max) &&
           is_silent(conn);
}

/* The exchange is over: the connection goes to whoever waits, or to rest, or is closed where either
 * side's message has no clean end (threats S10, S13). Returns the request. */
static struct upstream_request *complete(struct upstream_connection *conn)
{
    struct upstream_request *request = conn->request;
    bool is_reusable = may_be_used_again(conn, request);
    conn->request = NULL;
    request->conn = NULL;
    upstream_request_done(request);
    if (is_reusable)
        pool_connection_is_free(conn);
    else
        upstream_connection_close(conn);
    return request;
}

enum step { MORE, WAIT, LOST_CLOSED, LOST_PROTOCOL };

static enum step take_interim(struct upstream_connection *conn)
{
    struct upstream_request *request = conn->request;
    const struct http_response *response = request->options.response;
    if (response->status == 101 || ++request->interim_count > UPSTREAM_INTERIM_MAX)
        return LOST_PROTOCOL;
    stat_inc(&stats_of(conn)->upstream_rq_1xx);
    if (response->status != 100)
        request->options.ops->on_interim_head(request->options.arg, response);
    return MORE;
}

static enum step take_head(struct upstream_connection *conn, uint32_t head_len)
{
    struct upstream_request *request = conn->request;
    const struct upstream_request_options *options = &request->options;
    const struct http_response *response = options->response;
    struct chunk *chunk = conn->input.chunk;
    conn->input.from += head_len;
    if (response->status < 200)
        return take_interim(conn);
    request->has_response_head = true;
    request->server_keeps_alive = response->keep_alive; /* the caller makes the message its own */
    upstream_request_has_head(request);
    h1_body_init(&conn->body, response->body_kind, response->content_length, &h1_limits_default,
                 options->arena);
    if (response->body_kind != BODY_NONE) {
        options->ops->on_response_head(options->arg, chunk, false);
        return MORE;
    }
    chunk_ref(chunk);
    complete(conn);
    options->ops->on_response_head(options->arg, chunk, true);
    chunk_unref(chunk);
    return WAIT;
}

static enum step fill(struct upstream_connection *conn)
{
    int err = input_fill(&conn->input, &conn->worker->chunks, conn->fd, false,
                         &stats_of(conn)->upstream_cx_rx_bytes_total);
    return !err ? MORE : err == ERR_AGAIN ? WAIT : LOST_CLOSED;
}

static enum step read_head(struct upstream_connection *conn)
{
    struct upstream_request *request = conn->request;
    if (!input_unread(&conn->input))
        return fill(conn);
    struct http_response *response = request->options.response;
    struct h1_error error;
    if (!request->has_received || request->interim_count)
        http_response_init(response, request->options.arena);
    request->has_received = true;
    int len =
        h1_parse_response(input_data(&conn->input), input_unread(&conn->input), &h1_limits_default,
                          &conn->scan, request->options.request->method_id, response, &error);
    if (len == ERR_AGAIN)
        return fill(conn);
    return len < 0 ? LOST_PROTOCOL : take_head(conn, (uint32_t)len);
}

/* Hands over what body there is, at least once after the head. */
static enum step deliver(struct upstream_connection *conn)
{
    struct upstream_request *request = conn->request;
    const struct upstream_request_options *options = &request->options;
    struct h1_error error;
    if (body_reader_take(conn->worker, &conn->body, &conn->input, &conn->body_data, &error)) {
        slice_queue_drop(&conn->body_data, conn->body_data.bytes);
        return LOST_PROTOCOL;
    }
    bool is_end = h1_body_is_done(&conn->body);
    if (is_end)
        complete(conn);
    options->ops->on_response_body(options->arg, &conn->body_data, is_end);
    slice_queue_drop(&conn->body_data, conn->body_data.bytes);
    return is_end ? WAIT : MORE;
}

/* The server closed: the end of some bodies, the loss of others. Where writing has failed, that
 * took the error which would tell a reset from an end. */
static enum step end_of_body(struct upstream_connection *conn, int err)
{
    if (err == ERR_CLOSED && !conn->is_broken && h1_body_close(&conn->body) == 0)
        return deliver(conn);
    return LOST_CLOSED;
}

static enum step read_body(struct upstream_connection *conn)
{
    if (input_unread(&conn->input))
        return deliver(conn);
    if (conn->request->is_paused)
        return WAIT;
    int err = input_fill(&conn->input, &conn->worker->chunks, conn->fd, false,
                         &stats_of(conn)->upstream_cx_rx_bytes_total);
    return !err ? MORE : err == ERR_AGAIN ? WAIT : end_of_body(conn, err);
}

static enum step step(struct upstream_connection *conn)
{
    bool had_head = conn->request->has_response_head;
    enum step next = had_head ? read_body(conn) : read_head(conn);
    bool head_came = !had_head && conn->request && conn->request->has_response_head;
    return next == MORE && head_came ? deliver(conn) : next;
}

/* Writing failed, and no answer is there to be read either. */
static bool is_dead(const struct upstream_connection *conn)
{
    return conn->is_broken && conn->state == UPSTREAM_BUSY && !conn->request->is_paused;
}

static void process(struct upstream_connection *conn)
{
    if (conn->is_processing)
        return;
    conn->is_processing = true;
    uint64_t read_before = stats_of(conn)->upstream_cx_rx_bytes_total;
    enum step next = MORE;
    while (next == MORE && conn->state == UPSTREAM_BUSY && conn->request) {
        next = step(conn);
        if (next == MORE && conn->state == UPSTREAM_BUSY &&
            stats_of(conn)->upstream_cx_rx_bytes_total - read_before > READ_BUDGET_BYTES) {
            worker_task_yield(conn->worker, &conn->task);
            break;
        }
    }
    conn->is_processing = false;
    if (next == LOST_PROTOCOL) {
        stat_inc(&stats_of(conn)->upstream_cx_protocol_error);
        lose(conn, UPSTREAM_PROTOCOL_ERROR);
    } else if (next == LOST_CLOSED || (next == WAIT && is_dead(conn))) {
        lose(conn, UPSTREAM_CONNECTION_TERMINATION);
    }
}

/* --- events ---------------------------------------------------------------------------------- */

static void on_connected(struct upstream_connection *conn)
{
    struct sockaddr_storage own;
    socklen_t own_len = sizeof own;
    if (getsockname(conn->fd, (struct sockaddr *)&own, &own_len) == 0) {
        conn->local_address.data = conn->local_text;
        conn->local_address.len = socket_address_text((struct sockaddr *)&own, own_len,
                                                      conn->local_text, sizeof conn->local_text);
    }
    conn->timer.deadline_ms = UINT64_MAX;
    conn->state = UPSTREAM_BUSY;
    pool_connection_is_free(conn);
}

static void on_connect_event(struct upstream_connection *conn)
{
    if (socket_error(conn->fd)) {
        stat_inc(&stats_of(conn)->upstream_cx_connect_fail);
        pool_connect_failed(conn, UPSTREAM_CONNECT_FAILURE);
    } else {
        on_connected(conn);
    }
}

/* Something is said on an idle connection: an end, or bytes that answer nothing. Either ends it.
 * The event may also be about an answer that was read since. */
static void look_at_idle(struct upstream_connection *conn)
{
    if (conn->is_broken || conn->input.peer_has_closed || !socket_is_idle(conn->fd))
        upstream_connection_close(conn);
    else
        conn->input.state = INPUT_EMPTY;
}

static void go_on(struct upstream_connection *conn)
{
    if (conn->state == UPSTREAM_BUSY)
        process(conn);
    else if (conn->state == UPSTREAM_IDLE && (conn->input.state == INPUT_READY || conn->is_broken))
        look_at_idle(conn);
}

/* The request's source may go on when little of its body waits. */
static void tell_drained(struct upstream_connection *conn)
{
    struct upstream_request *request = conn->request;
    uint32_t low = conn->host->cluster->config->connection_buffer_bytes / 2;
    if (!request || !request->was_over_watermark || conn->out.bytes > low)
        return;
    request->was_over_watermark = false;
    request->options.ops->on_request_drained(request->options.arg);
}

static void on_writable(struct upstream_connection *conn)
{
    conn->is_write_blocked = false;
    upstream_connection_flush(conn);
    tell_drained(conn);
}

static void on_socket_event(evutil_socket_t fd, short what, void *arg)
{
    struct upstream_connection *conn = arg;
    ASSERT(conn->magic == UPSTREAM_CONNECTION_MAGIC && conn->fd == fd);
    worker_update_clock(conn->worker);
    if (conn->state == UPSTREAM_CONNECTING) {
        on_connect_event(conn);
        return;
    }
    if (what & (EV_READ | EV_CLOSED))
        input_is_readable(&conn->input, what & EV_CLOSED);
    if (what & EV_WRITE && conn->is_write_blocked)
        on_writable(conn);
    go_on(conn);
}

static void on_task(struct worker_task *task)
{
    struct upstream_connection *conn = CONTAINER_OF(task, struct upstream_connection, task);
    ASSERT(conn->magic == UPSTREAM_CONNECTION_MAGIC);
    tell_drained(conn);
    go_on(conn);
}

static void on_timer(struct lazy_timer *timer)
{
    struct upstream_connection *conn = CONTAINER_OF(timer, struct upstream_connection, timer);
    ASSERT(conn->magic == UPSTREAM_CONNECTION_MAGIC);
    worker_update_clock(conn->worker);
    if (conn->state == UPSTREAM_CONNECTING) {
        stat_inc(&stats_of(conn)->upstream_cx_connect_fail);
        stat_inc(&stats_of(conn)->upstream_cx_connect_timeout);
        pool_connect_failed(conn, UPSTREAM_CONNECT_TIMEOUT);
    } else if (conn->state == UPSTREAM_IDLE) {
        upstream_connection_close(conn);
    }
}

/* --- the beginning --------------------------------------------------------------------------- */

struct upstream_connection *upstream_connection_new(struct host *host)
{
    struct worker *worker = host->worker;
    struct cluster *cluster = host->cluster;
    int fd = socket_connect(&host->address.any, host->address.len);
    if (fd < 0) {
        stat_inc(&cluster->stats->upstream_cx_connect_fail);
        return NULL;
    }
    struct upstream_connection *conn = MEM_NEW(struct upstream_connection);
    *conn = (struct upstream_connection){
        .magic = UPSTREAM_CONNECTION_MAGIC, .host = host, .worker = worker, .fd = fd};
    conn->event =
        event_new(loop_event_base(worker->loop), fd,
                  EV_READ | EV_WRITE | EV_CLOSED | EV_PERSIST | EV_ET, on_socket_event, conn);
    if (!conn->event || event_add(conn->event, NULL)) {
        if (conn->event)
            event_free(conn->event);
        close(fd);
        mem_free(conn);
        errno = ENOMEM; /* epoll has no room for it */
        return NULL;
    }
    lazy_timer_init(&conn->timer, worker->loop, on_timer);
    worker_task_init(&conn->task, on_task);
    list_append(&host->connecting, &conn->link);
    host->connection_count++;
    stat_inc(&cluster->stats->upstream_cx_total);
    stat_inc(&cluster->stats->upstream_cx_active);
    if (cluster->config->connect_timeout_ms)
        lazy_timer_set(&conn->timer, now_ms(conn) + cluster->config->connect_timeout_ms,
                       now_ms(conn));
    return conn;
}
