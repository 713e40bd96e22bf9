/*
 * One thread, one loop: a libevent base, timers, deferred frees, and the only way in from another
 * thread, loop_post. Everything but loop_post and loop_stop runs on the loop's own thread (before
 * loop_run: on whichever thread set it up).
 */
#ifndef COMMON_IO_LOOP_H
#define COMMON_IO_LOOP_H

#include "common/base/list.h"
#include "common/io/timer_wheel.h"

struct event_base;
struct loop;

/* A call to be made on the loop's thread. Embedded in the poster's object; from loop_post until its
 * function runs it belongs to the loop and must stay where it is. */
struct loop_post;
typedef void loop_post_fn(struct loop_post *post);
struct loop_post {
    struct loop_post *next;
    loop_post_fn *run;
};

/* Memory to be given back when nothing on the stack can refer to it any more. */
struct loop_free;
typedef void loop_free_fn(struct loop_free *item);
struct loop_free {
    struct loop_free *next;
    loop_free_fn *run;
};

/* A timer, embedded in its owner. */
struct loop_timer;
typedef void loop_timer_fn(struct loop_timer *timer);
struct loop_timer {
    struct timer_wheel_entry entry;
    struct loop *loop;
    loop_timer_fn *on_expire;
};

/* A new loop; aborts where epoll or eventfd are refused (nothing can work then). */
struct loop *loop_new(void);
/* Runs what was posted or deferred and frees the loop. Its thread must have left loop_run, and
 * timers must have been stopped. NULL is fine. */
void loop_free(struct loop *loop);
/* Runs until loop_stop. */
void loop_run(struct loop *loop);
/* Makes loop_run return after the current turn. Any thread. */
void loop_stop(struct loop *loop);
/* The libevent base, for code that registers events; made with EVENT_BASE_FLAG_NOLOCK. */
struct event_base *loop_event_base(struct loop *loop);

/* Queues post->run(post) for the loop's thread. Any thread; order is kept per poster. */
void loop_post(struct loop *loop, struct loop_post *post, loop_post_fn *run);
/* Queues item->run(item) for the end of this turn: after the callbacks that are on the stack now.
 */
void loop_defer(struct loop *loop, struct loop_free *item, loop_free_fn *run);

void loop_timer_init(struct loop_timer *timer, struct loop *loop, loop_timer_fn *on_expire);
/* (Re)starts: on_expire is called once, delay_ms from now or up to 2 ms later, from a fresh stack.
 * Costs no system call unless it is the earliest of all timers. */
void loop_timer_start(struct loop_timer *timer, uint64_t delay_ms);
/* Harmless where it is not running. */
void loop_timer_stop(struct loop_timer *timer);
bool loop_timer_is_running(const struct loop_timer *timer);

#endif
