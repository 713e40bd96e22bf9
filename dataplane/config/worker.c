#include "dataplane/config/worker.h"

#include "common/base/clock.h"
#include "common/base/mem.h"

#include <stdio.h>
#include <sys/random.h>
#include <time.h>

enum {
    IDLE_CHUNKS_MAX = 64, /* 1 MiB per worker kept for reuse */
    WALL_READ_INTERVAL_NS = 1000 * 1000 * 1000,
};

void worker_init(struct worker *worker, struct loop *loop)
{
    worker->loop = loop;
    chunk_pool_init(&worker->chunks, IDLE_CHUNKS_MAX);
    list_init(&worker->removed_clusters);
    list_init(&worker->tasks);
    list_init(&worker->yielded);
    list_init(&worker->listeners);
    while (!worker->random_state)
        if (getrandom(&worker->random_state, sizeof worker->random_state, 0) < 0)
            worker->random_state = clock_monotonic_ns();
    worker_update_clock(worker);
}

void worker_done(struct worker *worker)
{
    ASSERT(list_is_empty(&worker->tasks) && list_is_empty(&worker->yielded));
    chunk_pool_done(&worker->chunks);
}

/* --- leases -------------------------------------------------------------------------------- */

static void on_lease_returned(struct loop_post *post)
{
    struct config_lease *lease = CONTAINER_OF(post, struct config_lease, post);
    config_unref(lease->config);
    mem_free(lease);
}

struct config_lease *config_lease_ref(struct config_lease *lease)
{
    lease->refs++;
    return lease;
}

void config_lease_unref(struct config_lease *lease)
{
    if (lease && --lease->refs == 0)
        loop_post(lease->worker->main_loop, &lease->post, on_lease_returned);
}

/* --- chance and time ----------------------------------------------------------------------- */

uint64_t worker_random(struct worker *worker)
{
    uint64_t x = worker->random_state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    worker->random_state = x;
    return x * 0x2545f4914f6cdd1du;
}

void worker_update_clock(struct worker *worker)
{
    worker->now_ns = clock_monotonic_ns();
}

uint64_t worker_wall_us(struct worker *worker)
{
    if (!worker->wall_read_ns || worker->now_ns - worker->wall_read_ns > WALL_READ_INTERVAL_NS) {
        worker->wall_read_ns = worker->now_ns;
        worker->wall_offset_us = (int64_t)clock_wall_us() - (int64_t)(clock_monotonic_ns() / 1000);
    }
    return (uint64_t)((int64_t)(worker->now_ns / 1000) + worker->wall_offset_us);
}

struct str worker_date(struct worker *worker)
{
    static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    uint64_t second = worker_wall_us(worker) / 1000000;
    if (second != worker->date_second) {
        worker->date_second = second;
        time_t seconds = (time_t)second;
        struct tm tm;
        gmtime_r(&seconds, &tm);
        char text[64];
        snprintf(text, sizeof text, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[tm.tm_wday],
                 tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min,
                 tm.tm_sec);
        memcpy(worker->date, text, WORKER_DATE_LEN);
    }
    return (struct str){.data = worker->date, .len = WORKER_DATE_LEN};
}

/* --- small memory -------------------------------------------------------------------------- */

char *worker_bytes(struct worker *worker, size_t size, struct chunk **ret_chunk)
{
    struct chunk *chunk = chunk_pool_room(&worker->chunks, size);
    char *bytes = chunk->data + chunk->len;
    chunk->len += (uint32_t)size;
    *ret_chunk = chunk_ref(chunk);
    return bytes;
}

struct slice worker_copy(struct worker *worker, struct str s)
{
    if (!s.len)
        return (struct slice){0};
    struct chunk *chunk;
    char *bytes;
    if (s.len <= CHUNK_BYTES / 4) {
        bytes = worker_bytes(worker, s.len, &chunk);
    } else {
        chunk = chunk_new(&worker->chunks, s.len);
        chunk->len = (uint32_t)s.len;
        bytes = chunk->data;
    }
    memcpy(bytes, s.data, s.len);
    return (struct slice){.chunk = chunk, .data = bytes, .len = s.len};
}

/* --- tasks --------------------------------------------------------------------------------- */

/* Those that are scheduled meanwhile wait for the next round. */
static void run_all(struct worker *worker, struct list *tasks)
{
    struct list round;
    list_init(&round);
    if (!list_is_empty(tasks)) {
        list_append(tasks, &round);
        list_remove(tasks);
    }
    worker_update_clock(worker);
    while (!list_is_empty(&round)) {
        struct worker_task *task = LIST_ENTRY(round.next, struct worker_task, link);
        list_remove(&task->link);
        task->run(task);
    }
}

static void on_turn_end(struct loop_free *item)
{
    struct worker *worker = CONTAINER_OF(item, struct worker, run_tasks);
    worker->tasks_are_scheduled = false;
    run_all(worker, &worker->tasks);
}

static void on_next_turn(struct loop_post *post)
{
    struct worker *worker = CONTAINER_OF(post, struct worker, run_yielded);
    worker->yielded_is_posted = false;
    run_all(worker, &worker->yielded);
}

void worker_task_init(struct worker_task *task, worker_task_fn *run)
{
    task->run = run;
    list_init(&task->link);
}

void worker_task_schedule(struct worker *worker, struct worker_task *task)
{
    if (!list_is_empty(&task->link))
        return;
    list_append(&worker->tasks, &task->link);
    if (worker->tasks_are_scheduled)
        return;
    worker->tasks_are_scheduled = true;
    loop_defer(worker->loop, &worker->run_tasks, on_turn_end);
}

void worker_task_yield(struct worker *worker, struct worker_task *task)
{
    if (!list_is_empty(&task->link))
        return;
    list_append(&worker->yielded, &task->link);
    if (worker->yielded_is_posted)
        return;
    worker->yielded_is_posted = true;
    loop_post(worker->loop, &worker->run_yielded, on_next_turn);
}

void worker_task_cancel(struct worker_task *task)
{
    list_remove(&task->link);
}

/* --- lazy timers --------------------------------------------------------------------------- */

static void arm(struct lazy_timer *timer, uint64_t now_ms)
{
    timer->armed_ms = timer->deadline_ms;
    uint64_t delay_ms = timer->deadline_ms > now_ms ? timer->deadline_ms - now_ms : 0;
    loop_timer_start(&timer->timer, delay_ms);
}

static void on_timer(struct loop_timer *loop_timer)
{
    struct lazy_timer *timer = CONTAINER_OF(loop_timer, struct lazy_timer, timer);
    timer->armed_ms = UINT64_MAX;
    if (timer->deadline_ms == UINT64_MAX)
        return;
    uint64_t now_ms = clock_monotonic_ms();
    if (now_ms < timer->deadline_ms) {
        arm(timer, now_ms);
        return;
    }
    timer->deadline_ms = UINT64_MAX;
    timer->on_expire(timer);
}

void lazy_timer_init(struct lazy_timer *timer, struct loop *loop,
                     void (*on_expire)(struct lazy_timer *timer))
{
    loop_timer_init(&timer->timer, loop, on_timer);
    timer->armed_ms = timer->deadline_ms = UINT64_MAX;
    timer->on_expire = on_expire;
}

void lazy_timer_set(struct lazy_timer *timer, uint64_t deadline_ms, uint64_t now_ms)
{
    timer->deadline_ms = deadline_ms;
    if (deadline_ms < timer->armed_ms)
        arm(timer, now_ms);
}

void lazy_timer_done(struct lazy_timer *timer)
{
    loop_timer_stop(&timer->timer);
    timer->armed_ms = timer->deadline_ms = UINT64_MAX;
}
