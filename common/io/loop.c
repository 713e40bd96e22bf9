#include "common/io/loop.h"

#include "common/base/clock.h"
#include "common/base/mem.h"

#include <event2/event.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct loop {
    struct event_base *base;
    struct event *wake;     /* readable eventfd: something was posted */
    struct event *turn_end; /* activated while frees are waiting */
    struct event *tick;     /* armed for armed_ms */
    struct timer_wheel wheel;
    uint64_t armed_ms; /* UINT64_MAX: tick is not armed */
    struct loop_free *frees;
    int wake_fd;
    bool is_stopping; /* under mutex */
    pthread_mutex_t mutex;
    struct loop_post *posts; /* under mutex, oldest first */
    struct loop_post **posts_end;
};

static void wake_up(struct loop *loop)
{
    uint64_t one = 1;
    ssize_t written = write(loop->wake_fd, &one, sizeof one);
    (void)written; /* a full counter wakes the loop as well */
}

static struct loop_post *take_posts(struct loop *loop, bool *ret_is_stopping)
{
    pthread_mutex_lock(&loop->mutex);
    struct loop_post *posts = loop->posts;
    loop->posts = NULL;
    loop->posts_end = &loop->posts;
    *ret_is_stopping = loop->is_stopping;
    pthread_mutex_unlock(&loop->mutex);
    return posts;
}

static bool run_posts(struct loop *loop)
{
    bool is_stopping;
    struct loop_post *post = take_posts(loop, &is_stopping);
    while (post) {
        struct loop_post *next = post->next;
        post->run(post);
        post = next;
    }
    return is_stopping;
}

static void on_wake_readable(evutil_socket_t fd, short what, void *arg)
{
    struct loop *loop = arg;
    (void)what;
    uint64_t count;
    ssize_t got = read(fd, &count, sizeof count);
    (void)got;
    if (run_posts(loop))
        event_base_loopbreak(loop->base);
}

static void on_turn_end(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct loop *loop = arg;
    struct loop_free *item = loop->frees;
    loop->frees = NULL;
    while (item) {
        struct loop_free *next = item->next;
        item->run(item);
        item = next;
    }
}

static void arm_tick(struct loop *loop, uint64_t at_ms, uint64_t now_ms)
{
    if (at_ms >= loop->armed_ms)
        return;
    loop->armed_ms = at_ms;
    uint64_t delay_ms = at_ms > now_ms ? at_ms - now_ms : 0;
    struct timeval delay = {.tv_sec = (time_t)(delay_ms / 1000),
                            .tv_usec = (suseconds_t)(delay_ms % 1000 * 1000)};
    event_add(loop->tick, &delay);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct loop *loop = arg;
    struct list expired;
    list_init(&expired);
    loop->armed_ms = UINT64_MAX;
    timer_wheel_advance(&loop->wheel, clock_monotonic_ms(), &expired);
    /* All that expired is taken out first, so a callback that restarts its timer starves nobody;
     * one callback may stop or free another timer of the list: it takes itself out by list_remove.
     */
    while (!list_is_empty(&expired)) {
        struct timer_wheel_entry *entry = LIST_ENTRY(expired.next, struct timer_wheel_entry, link);
        list_remove(&entry->link);
        struct loop_timer *timer = CONTAINER_OF(entry, struct loop_timer, entry);
        timer->on_expire(timer);
    }
    uint64_t next_ms = timer_wheel_next_ms(&loop->wheel);
    if (next_ms != UINT64_MAX)
        arm_tick(loop, next_ms, clock_monotonic_ms());
}

struct loop *loop_new(void)
{
    struct loop *loop = MEM_NEW(struct loop);
    struct event_config *config = event_config_new();
    ASSERT(config);
    /* Only loop_post crosses threads, under its own mutex. */
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    loop->base = event_base_new_with_config(config);
    event_config_free(config);
    loop->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    ASSERT(loop->base && loop->wake_fd >= 0);
    loop->posts_end = &loop->posts;
    loop->armed_ms = UINT64_MAX;
    pthread_mutex_init(&loop->mutex, NULL);
    timer_wheel_init(&loop->wheel, clock_monotonic_ms());
    loop->wake = event_new(loop->base, loop->wake_fd, EV_READ | EV_PERSIST, on_wake_readable, loop);
    loop->turn_end = event_new(loop->base, -1, 0, on_turn_end, loop);
    loop->tick = event_new(loop->base, -1, 0, on_tick, loop);
    ASSERT(loop->wake && loop->turn_end && loop->tick);
    event_add(loop->wake, NULL);
    return loop;
}

void loop_free(struct loop *loop)
{
    if (!loop)
        return;
    do { /* either may cause more of the other */
        run_posts(loop);
        on_turn_end(-1, 0, loop);
    } while (loop->frees || loop->posts);
    event_free(loop->wake);
    event_free(loop->turn_end);
    event_free(loop->tick);
    event_base_free(loop->base);
    close(loop->wake_fd);
    pthread_mutex_destroy(&loop->mutex);
    mem_free(loop);
}

void loop_run(struct loop *loop)
{
    event_base_dispatch(loop->base);
}

void loop_stop(struct loop *loop)
{
    pthread_mutex_lock(&loop->mutex);
    loop->is_stopping = true;
    pthread_mutex_unlock(&loop->mutex);
    wake_up(loop);
}

struct event_base *loop_event_base(struct loop *loop)
{
    return loop->base;
}

void loop_post(struct loop *loop, struct loop_post *post, loop_post_fn *run)
{
    post->next = NULL;
    post->run = run;
    pthread_mutex_lock(&loop->mutex);
    bool was_empty = !loop->posts;
    *loop->posts_end = post;
    loop->posts_end = &post->next;
    pthread_mutex_unlock(&loop->mutex);
    if (was_empty)
        wake_up(loop);
}

void loop_defer(struct loop *loop, struct loop_free *item, loop_free_fn *run)
{
    if (!loop->frees)
        event_active(loop->turn_end, 0, 0);
    item->run = run;
    item->next = loop->frees;
    loop->frees = item;
}

void loop_timer_init(struct loop_timer *timer, struct loop *loop, loop_timer_fn *on_expire)
{
    *timer = (struct loop_timer){.loop = loop, .on_expire = on_expire};
    list_init(&timer->entry.link);
}

void loop_timer_start(struct loop_timer *timer, uint64_t delay_ms)
{
    struct loop *loop = timer->loop;
    uint64_t now_ms = clock_monotonic_ms();
    list_remove(&timer->entry.link); /* it may be waiting in on_tick's list */
    timer_wheel_start(&loop->wheel, &timer->entry, now_ms + delay_ms);
    arm_tick(loop, timer_wheel_next_ms(&loop->wheel), now_ms);
}

void loop_timer_stop(struct loop_timer *timer)
{
    timer_wheel_stop(&timer->loop->wheel, &timer->entry);
    list_remove(&timer->entry.link);
}

bool loop_timer_is_running(const struct loop_timer *timer)
{
    return timer->entry.is_running;
}
