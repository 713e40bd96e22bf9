/* The loop's contracts: when timers, posts and deferred frees run, and on which stack. */
#include "common/io/loop.h"

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "tests/support/test.h"

#include <event2/event.h>
#include <pthread.h>

/* Counts nesting: whatever the loop calls must begin on a fresh stack. */
static int depth;

static void enter(void)
{
    ck_assert_int_eq(depth, 0);
    depth++;
}

static void leave(void)
{
    depth--;
}

/* --- timers ------------------------------------------------------------------------------- */

struct test_timer {
    struct loop_timer timer;
    uint64_t due_ms;
    int number;
    int fired;
    int restarts;
    struct test_timer *victim; /* stopped when this one fires */
};

static int order[64], order_len;

static void on_expire(struct loop_timer *timer)
{
    struct test_timer *test = CONTAINER_OF(timer, struct test_timer, timer);
    enter();
    ck_assert_uint_ge(clock_monotonic_ms(), test->due_ms);
    ck_assert(!loop_timer_is_running(timer));
    order[order_len++] = test->number;
    test->fired++;
    if (test->victim)
        loop_timer_stop(&test->victim->timer);
    if (test->restarts-- > 0) {
        test->due_ms = clock_monotonic_ms();
        loop_timer_start(timer, 0);
        ck_assert(loop_timer_is_running(timer));
    }
    leave();
}

static void on_expire_stop(struct loop_timer *timer)
{
    loop_stop(timer->loop);
}

static void start(struct test_timer *test, struct loop *loop, int number, uint64_t delay_ms)
{
    test->number = number;
    test->due_ms = clock_monotonic_ms() + delay_ms;
    loop_timer_init(&test->timer, loop, on_expire);
    loop_timer_start(&test->timer, delay_ms);
    ck_assert(loop_timer_is_running(&test->timer));
}

/* Runs the loop for so long. */
static void run_for(struct loop *loop, uint64_t delay_ms)
{
    struct loop_timer stop;
    loop_timer_init(&stop, loop, on_expire_stop);
    loop_timer_start(&stop, delay_ms);
    loop_run(loop);
}

START_TEST(timers_expire_in_the_order_of_their_times_and_never_early)
{
    struct loop *loop = loop_new();
    struct test_timer timers[5] = {0};
    static const uint64_t delays_ms[] = {60, 15, 90, 0, 30};
    for (int i = 0; i < 5; i++)
        start(&timers[i], loop, i, delays_ms[i]);
    run_for(loop, 150);
    static const int expected[] = {3, 1, 4, 0, 2};
    ck_assert_int_eq(order_len, 5);
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(order[i], expected[i]);
    loop_free(loop);
}
END_TEST

START_TEST(a_timer_may_be_started_again_while_it_runs_and_in_its_callback)
{
    struct loop *loop = loop_new();
    struct test_timer moved = {0}, repeated = {.restarts = 3};
    start(&moved, loop, 1, 5);
    loop_timer_start(&moved.timer, 4000);
    moved.due_ms = clock_monotonic_ms() + 1000;
    loop_timer_start(&moved.timer, 1000);
    start(&repeated, loop, 2, 0);
    run_for(loop, 1100);
    ck_assert_int_eq(moved.fired, 1);
    ck_assert_int_eq(repeated.fired, 4);
    ck_assert_int_eq(order[4], 1);
    loop_free(loop);
}
END_TEST

START_TEST(a_callback_may_stop_another_timer_that_has_expired_too)
{
    struct loop *loop = loop_new();
    struct test_timer first = {0}, second = {0};
    first.victim = &second;
    second.victim = &first;
    start(&first, loop, 1, 5);
    start(&second, loop, 2, 5);
    second.due_ms = first.due_ms;
    run_for(loop, 40);
    ck_assert_int_eq(first.fired + second.fired, 1);
    ck_assert(!loop_timer_is_running(&first.timer) && !loop_timer_is_running(&second.timer));
    loop_timer_stop(&first.timer); /* harmless */
    loop_free(loop);
}
END_TEST

static void on_expire_free_victim(struct loop_timer *timer)
{
    struct test_timer *test = CONTAINER_OF(timer, struct test_timer, timer);
    loop_timer_stop(&test->victim->timer);
    mem_free(test->victim);
}

START_TEST(a_callback_may_free_another_timer_that_has_expired_too)
{
    struct loop *loop = loop_new();
    struct test_timer killer = {.victim = MEM_NEW(struct test_timer)};
    loop_timer_init(&killer.timer, loop, on_expire_free_victim);
    loop_timer_start(&killer.timer, 5);
    loop_timer_init(&killer.victim->timer, loop, on_expire);
    loop_timer_start(&killer.victim->timer, 5);
    struct timespec past = {.tv_nsec = 20 * 1000 * 1000};
    nanosleep(&past, NULL); /* both have expired when the loop looks */
    run_for(loop, 10);
    ck_assert_int_eq(order_len, 0);
    loop_free(loop);
}
END_TEST

/* --- deferred frees -----------------------------------------------------------------------------
 */

struct item {
    struct loop_free free;
    struct loop_post post;
    struct loop *loop;
    struct item *child; /* deferred when this one is freed */
};

static int freed;

static void free_item(struct loop_free *free)
{
    struct item *item = CONTAINER_OF(free, struct item, free);
    enter();
    freed++;
    if (item->child)
        loop_defer(item->loop, &item->child->free, free_item);
    mem_free(item);
    leave();
}

static struct item *new_item(struct loop *loop, struct item *child)
{
    struct item *item = MEM_NEW(struct item);
    item->loop = loop;
    item->child = child;
    return item;
}

static void on_post_defer(struct loop_post *post)
{
    struct item *item = CONTAINER_OF(post, struct item, post);
    enter();
    int freed_before = freed;
    loop_defer(item->loop, &new_item(item->loop, NULL)->free, free_item);
    loop_defer(item->loop, &item->free, free_item);
    /* Nothing is freed below a callback: item may still be used here. */
    ck_assert_int_eq(freed, freed_before);
    ck_assert_ptr_nonnull(item->loop);
    leave();
}

START_TEST(what_is_deferred_is_freed_after_the_callback_and_in_the_same_turn)
{
    struct loop *loop = loop_new();
    struct item *item = new_item(loop, new_item(loop, NULL));
    loop_post(loop, &item->post, on_post_defer);
    run_for(loop, 10);
    ck_assert_int_eq(freed, 3);
    loop_free(loop);
}
END_TEST

static void on_expire_defer(struct loop_timer *timer)
{
    enter();
    loop_defer(timer->loop, &new_item(timer->loop, NULL)->free, free_item);
    ck_assert_int_eq(freed, 0);
    leave();
}

START_TEST(what_a_timer_defers_is_freed_after_its_callback)
{
    struct loop *loop = loop_new();
    struct loop_timer timer;
    loop_timer_init(&timer, loop, on_expire_defer);
    loop_timer_start(&timer, 1);
    run_for(loop, 20);
    ck_assert_int_eq(freed, 1);
    loop_free(loop);
}
END_TEST

static void on_event_defer(evutil_socket_t fd, short what, void *arg)
{
    struct loop *loop = arg;
    (void)fd, (void)what;
    enter();
    loop_defer(loop, &new_item(loop, NULL)->free, free_item);
    loop_stop(loop);
    leave();
}

START_TEST(what_an_event_defers_is_freed_after_its_callback)
{
    struct loop *loop = loop_new();
    struct event *event = event_new(loop_event_base(loop), -1, 0, on_event_defer, loop);
    event_active(event, 0, 0);
    loop_run(loop);
    ck_assert_int_eq(freed, 1);
    event_free(event);
    loop_free(loop);
}
END_TEST

START_TEST(freeing_a_loop_runs_what_was_posted_and_deferred_and_what_follows_from_it)
{
    struct loop *loop = loop_new();
    struct item *item = new_item(loop, new_item(loop, new_item(loop, NULL)));
    loop_post(loop, &item->post, on_post_defer);
    loop_free(loop);
    ck_assert_int_eq(freed, 4);
    loop_free(NULL);
}
END_TEST

/* --- posts from other threads -------------------------------------------------------------------
 */

enum { POSTERS = 3, POSTS_EACH = 2000 };

struct poster {
    pthread_t thread;
    struct loop *loop;
    struct counted_post {
        struct loop_post post;
        struct poster *poster;
        int number;
    } posts[POSTS_EACH];
    int seen; /* by the loop's thread */
};

static struct poster posters[POSTERS];

static void on_counted_post(struct loop_post *post)
{
    struct counted_post *counted = CONTAINER_OF(post, struct counted_post, post);
    enter();
    ck_assert_int_eq(counted->number, counted->poster->seen); /* order is kept per poster */
    counted->poster->seen++;
    int all = 0;
    for (int i = 0; i < POSTERS; i++)
        all += posters[i].seen;
    if (all == POSTERS * POSTS_EACH)
        loop_stop(counted->poster->loop);
    leave();
}

static void *post_all(void *arg)
{
    struct poster *poster = arg;
    for (int i = 0; i < POSTS_EACH; i++) {
        poster->posts[i].poster = poster;
        poster->posts[i].number = i;
        loop_post(poster->loop, &poster->posts[i].post, on_counted_post);
    }
    return NULL;
}

START_TEST(posts_of_several_threads_all_run_in_order_on_the_loops_thread)
{
    struct loop *loop = loop_new();
    for (int i = 0; i < POSTERS; i++) {
        posters[i].loop = loop;
        ck_assert_int_eq(pthread_create(&posters[i].thread, NULL, post_all, &posters[i]), 0);
    }
    loop_run(loop);
    for (int i = 0; i < POSTERS; i++) {
        pthread_join(posters[i].thread, NULL);
        ck_assert_int_eq(posters[i].seen, POSTS_EACH);
    }
    loop_free(loop);
}
END_TEST

static void *stop_loop(void *loop)
{
    loop_stop(loop);
    return NULL;
}

START_TEST(another_thread_may_stop_the_loop_before_or_while_it_runs)
{
    struct loop *loop = loop_new();
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, stop_loop, loop), 0);
    loop_run(loop);
    pthread_join(thread, NULL);
    loop_free(loop);
}
END_TEST

TEST_MAIN("loop", timers_expire_in_the_order_of_their_times_and_never_early,
          a_timer_may_be_started_again_while_it_runs_and_in_its_callback,
          a_callback_may_stop_another_timer_that_has_expired_too,
          a_callback_may_free_another_timer_that_has_expired_too,
          what_is_deferred_is_freed_after_the_callback_and_in_the_same_turn,
          what_a_timer_defers_is_freed_after_its_callback,
          what_an_event_defers_is_freed_after_its_callback,
          freeing_a_loop_runs_what_was_posted_and_deferred_and_what_follows_from_it,
          posts_of_several_threads_all_run_in_order_on_the_loops_thread,
          another_thread_may_stop_the_loop_before_or_while_it_runs)
