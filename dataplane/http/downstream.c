#include "dataplane/http/downstream.h"

#include "common/base/mem.h"
#include "dataplane/http/downstream_internal.h"

#include <event2/event.h>
#include <unistd.h>

enum {
    LINGER_MS = 1000,               /* how long a client may take to read its last answer */
    LINGER_BYTES_MAX = 1024 * 1024, /* and how much it may send meanwhile */
    READ_BUDGET_BYTES = 256 * 1024, /* read at a stretch before others get their turn */
};

static void set_state(struct downstream *conn, enum downstream_state state)
{
    ASSERT(state > conn->state);
    conn->state = state;
}

static uint64_t now_ms(const struct downstream *conn)
{
    return conn->worker->now_ns / 1000000;
}

/* --- the end --------------------------------------------------------------------------------- */

static void on_free(struct loop_free *item)
{
    mem_free(CONTAINER_OF(item, struct downstream, deferred));
}

static void close_now(struct downstream *conn)
{
    if (conn->state == DOWNSTREAM_CLOSED)
        return;
    downstream_h1_end(conn);
    set_state(conn, DOWNSTREAM_CLOSED);
    event_free(conn->event);
    if (conn->wants_reset)
        socket_close_reset(conn->fd);
    else
        close(conn->fd);
    lazy_timer_done(&conn->timer);
    worker_task_cancel(&conn->task);
    input_done(&conn->input);
    slice_queue_done(&conn->out);
    slice_queue_done(&conn->body_data);
    list_remove(&conn->link);
    conn->worker->connections--;
    stat_dec(&conn->listener->stats->downstream_cx_active);
    stat_inc(&conn->listener->stats->downstream_cx_destroy);
    conn->listener->on_closed(conn->listener);
    conn->listener = NULL;
    loop_defer(conn->worker->loop, &conn->deferred, on_free);
}

/* Everything is written. Where the client may still be sending, closing at once would make the
 * kernel answer with a reset, which can destroy our last answer on its way (RFC 9112 9.6). */
static void close_gently(struct downstream *conn)
{
    bool may_be_sending =
        conn->input_is_dead || input_unread(&conn->input) > 0 || conn->input.state == INPUT_READY;
    if (!may_be_sending || conn->input.peer_has_closed) {
        close_now(conn);
        return;
    }
    set_state(conn, DOWNSTREAM_LINGERING);
    shutdown(conn->fd, SHUT_WR);
    lazy_timer_set(&conn->timer, now_ms(conn) + LINGER_MS, now_ms(conn));
    conn->input.state = INPUT_READY;
}

static void throw_input_away(struct downstream *conn)
{
    for (size_t thrown = 0; thrown < LINGER_BYTES_MAX; thrown += CHUNK_BYTES / 2) {
        input_done(&conn->input);
        int err = downstream_fill(conn);
        if (err == ERR_AGAIN)
            return;
        if (err)
            break;
    }
    close_now(conn);
}

/* --- bytes ----------------------------------------------------------------------------------- */

int downstream_fill(struct downstream *conn)
{
    bool is_idle = conn->state == DOWNSTREAM_OPEN && !conn->stream && !input_unread(&conn->input);
    return input_fill(&conn->input, &conn->worker->chunks, conn->fd, is_idle,
                      &conn->listener->stats->downstream_cx_rx_bytes_total);
}

/* By the configuration of the request under way, as its other parties see it. */
static uint32_t high_watermark(const struct downstream *conn)
{
    const struct listener_config *config =
        conn->stream ? conn->stream->listener : conn->listener->config;
    return config->connection_buffer_bytes;
}

static void write_out(struct downstream *conn)
{
    uint64_t written = 0;
    int err = socket_write(conn->fd, &conn->out, &written);
    if (conn->stream && written)
        conn->stream->last_activity_ns = conn->worker->now_ns;
    stat_add(&conn->listener->stats->downstream_cx_tx_bytes_total, written);
    conn->is_write_blocked = err == ERR_AGAIN;
    if (err != ERR_IO)
        return;
    conn->is_broken = true;
    slice_queue_drop(&conn->out, conn->out.bytes);
    worker_task_schedule(conn->worker, &conn->task);
}

void downstream_flush(struct downstream *conn)
{
    if (conn->out.bytes && !conn->is_write_blocked && !conn->is_broken)
        write_out(conn);
    if (conn->out.bytes > high_watermark(conn))
        conn->was_over_watermark = true;
}

/* --- events ---------------------------------------------------------------------------------- */

static void end_step(struct downstream *conn, enum downstream_step step)
{
    if (step == STEP_CUT || conn->is_broken) {
        close_now(conn);
        return;
    }
    if (step == STEP_END)
        close_gently(conn);
    if (conn->state == DOWNSTREAM_LINGERING)
        throw_input_away(conn);
}

void downstream_process(struct downstream *conn)
{
    if (conn->is_processing || conn->state == DOWNSTREAM_CLOSED)
        return;
    conn->is_processing = true;
    enum downstream_step step = STEP_WAIT;
    uint64_t read_before = conn->listener->stats->downstream_cx_rx_bytes_total;
    while (conn->state == DOWNSTREAM_OPEN && !conn->is_broken) {
        step = downstream_h1_step(conn);
        if (step != STEP_MORE)
            break;
        uint64_t read = conn->listener->stats->downstream_cx_rx_bytes_total - read_before;
        if (read > READ_BUDGET_BYTES) {
            worker_task_yield(conn->worker, &conn->task);
            step = STEP_WAIT;
            break;
        }
    }
    conn->is_processing = false;
    end_step(conn, step);
}

static void on_task(struct worker_task *task)
{
    struct downstream *conn = CONTAINER_OF(task, struct downstream, task);
    ASSERT(conn->magic == DOWNSTREAM_MAGIC);
    downstream_process(conn);
}

static void on_writable(struct downstream *conn)
{
    conn->is_write_blocked = false;
    downstream_flush(conn);
    if (conn->was_over_watermark && conn->out.bytes <= high_watermark(conn) / 2) {
        conn->was_over_watermark = false;
        if (conn->stream)
            http_stream_response_drained(conn->stream);
    }
}

static void on_socket_event(evutil_socket_t fd, short what, void *arg)
{
    struct downstream *conn = arg;
    ASSERT(conn->magic == DOWNSTREAM_MAGIC && conn->fd == fd);
    worker_update_clock(conn->worker);
    if (what & (EV_READ | EV_CLOSED))
        input_is_readable(&conn->input, what & EV_CLOSED);
    if (what & EV_WRITE && conn->is_write_blocked)
        on_writable(conn);
    downstream_process(conn);
}

static void on_timer(struct lazy_timer *timer)
{
    struct downstream *conn = CONTAINER_OF(timer, struct downstream, timer);
    ASSERT(conn->magic == DOWNSTREAM_MAGIC);
    worker_update_clock(conn->worker);
    if (conn->state == DOWNSTREAM_OPEN && conn->stream && !conn->head_is_complete) {
        downstream_h1_head_timeout(conn);
        downstream_process(conn);
        return;
    }
    if (conn->state == DOWNSTREAM_OPEN && conn->stream)
        return; /* a stream has its own deadlines */
    if (conn->state == DOWNSTREAM_OPEN)
        stat_inc(&conn->listener->stats->downstream_cx_idle_timeout);
    close_now(conn);
}

/* --- the beginning --------------------------------------------------------------------------- */

static void set_addresses(struct downstream *conn, const struct sockaddr *address,
                          socklen_t address_len)
{
    char *remote = conn->texts, *local = conn->texts + SOCKET_TEXT_BYTES;
    size_t len = socket_address_text(address, address_len, remote, SOCKET_TEXT_BYTES);
    conn->remote_address = (struct str){.data = remote, .len = len};
    struct sockaddr_storage own = {0};
    socklen_t own_len = sizeof own;
    if (getsockname(conn->fd, (struct sockaddr *)&own, &own_len))
        return;
    len = socket_address_text((struct sockaddr *)&own, own_len, local, SOCKET_TEXT_BYTES);
    conn->local_address = (struct str){.data = local, .len = len};
}

void downstream_new(struct downstream_listener *listener, int fd, const struct sockaddr *address,
                    socklen_t address_len)
{
    struct worker *worker = listener->worker;
    struct downstream *conn = MEM_NEW(struct downstream);
    *conn = (struct downstream){
        .magic = DOWNSTREAM_MAGIC, .worker = worker, .listener = listener, .fd = fd};
    list_append(&listener->connections, &conn->link);
    worker->connections++;
    stat_inc(&listener->stats->downstream_cx_total);
    stat_inc(&listener->stats->downstream_cx_active);
    lazy_timer_init(&conn->timer, worker->loop, on_timer);
    worker_task_init(&conn->task, on_task);
    set_addresses(conn, address, address_len);
    if (address->sa_family != AF_UNIX)
        socket_set_no_delay(fd);
    conn->event =
        event_new(loop_event_base(worker->loop), fd,
                  EV_READ | EV_WRITE | EV_CLOSED | EV_PERSIST | EV_ET, on_socket_event, conn);
    conn->idle_since_ms = now_ms(conn);
    if (listener->config->idle_timeout_ms)
        lazy_timer_set(&conn->timer, now_ms(conn) + listener->config->idle_timeout_ms,
                       now_ms(conn));
    if (!conn->event || event_add(conn->event, NULL))
        conn->is_broken = true;
    if (conn->is_broken)
        worker_task_schedule(worker, &conn->task);
}

void downstream_close_idle(struct downstream_listener *listener, uint64_t min_idle_ms)
{
    LIST_FOR_EACH(link, &listener->connections) {
        struct downstream *conn = LIST_ENTRY(link, struct downstream, link);
        if (conn->state == DOWNSTREAM_OPEN && !conn->stream &&
            now_ms(conn) - conn->idle_since_ms >= min_idle_ms)
            close_now(conn);
    }
}

void downstream_close_all(struct downstream_listener *listener)
{
    LIST_FOR_EACH(link, &listener->connections)
        close_now(LIST_ENTRY(link, struct downstream, link));
}
