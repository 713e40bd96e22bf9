#include "dataplane/config/worker.h"

#include "common/base/clock.h"
#include "tests/support/loop_until.h"
#include "tests/support/test.h"

struct fixture {
    struct worker worker;
    struct worker_task task, other;
    int runs, other_runs;
    bool reschedules;
    struct lazy_timer timer;
    int expired;
};

static struct fixture fixture;

static void on_task(struct worker_task *task)
{
    fixture.runs++;
    if (fixture.reschedules && fixture.runs < 5)
        worker_task_schedule(&fixture.worker, task);
}

static void on_other(struct worker_task *task)
{
    (void)task;
    fixture.other_runs++;
}

static void on_expire(struct lazy_timer *timer)
{
    (void)timer;
    fixture.expired++;
}

static void set_up(void)
{
    worker_init(&fixture.worker, loop_new());
    worker_task_init(&fixture.task, on_task);
    worker_task_init(&fixture.other, on_other);
    lazy_timer_init(&fixture.timer, fixture.worker.loop, on_expire);
}

static void tear_down(void)
{
    lazy_timer_done(&fixture.timer);
    loop_free(fixture.worker.loop);
    worker_done(&fixture.worker);
}

START_TEST(a_task_runs_once_from_a_fresh_stack)
{
    set_up();
    worker_task_schedule(&fixture.worker, &fixture.task);
    worker_task_schedule(&fixture.worker, &fixture.task);
    worker_task_yield(&fixture.worker, &fixture.other);
    ck_assert_int_eq(fixture.runs, 0);
    loop_for(fixture.worker.loop, 20);
    ck_assert_int_eq(fixture.runs, 1);
    ck_assert_int_eq(fixture.other_runs, 1);
    tear_down();
}
END_TEST

START_TEST(a_task_may_schedule_itself_and_be_forgotten)
{
    set_up();
    fixture.reschedules = true;
    worker_task_schedule(&fixture.worker, &fixture.task);
    worker_task_schedule(&fixture.worker, &fixture.other);
    worker_task_cancel(&fixture.other);
    worker_task_cancel(&fixture.other);
    loop_for(fixture.worker.loop, 20);
    ck_assert_int_eq(fixture.runs, 5);
    ck_assert_int_eq(fixture.other_runs, 0);
    tear_down();
}
END_TEST

START_TEST(a_deadline_that_is_moved_is_met_where_it_is)
{
    set_up();
    uint64_t now_ms = clock_monotonic_ms();
    lazy_timer_set(&fixture.timer, now_ms + 30, now_ms);
    lazy_timer_set(&fixture.timer, now_ms + 90, now_ms);
    loop_for(fixture.worker.loop, 60);
    ck_assert_int_eq(fixture.expired, 0);
    loop_for(fixture.worker.loop, 60);
    ck_assert_int_eq(fixture.expired, 1);
    now_ms = clock_monotonic_ms();
    lazy_timer_set(&fixture.timer, now_ms + 500, now_ms);
    lazy_timer_set(&fixture.timer, now_ms + 10, now_ms);
    loop_for(fixture.worker.loop, 40);
    ck_assert_int_eq(fixture.expired, 2);
    lazy_timer_set(&fixture.timer, now_ms + 60, now_ms);
    lazy_timer_set(&fixture.timer, UINT64_MAX, now_ms);
    loop_for(fixture.worker.loop, 60);
    ck_assert_int_eq(fixture.expired, 2);
    tear_down();
}
END_TEST

START_TEST(small_bytes_lie_together_and_long_ones_alone)
{
    set_up();
    struct chunk *chunks[3];
    char *first = worker_bytes(&fixture.worker, 10, &chunks[0]);
    char *second = worker_bytes(&fixture.worker, 10, &chunks[1]);
    ck_assert_ptr_eq(second, first + 10);
    ck_assert_ptr_eq(chunks[0], chunks[1]);
    chunk_unref(chunks[0]);
    chunk_unref(chunks[1]);
    ck_assert_ptr_eq(worker_bytes(&fixture.worker, 10, &chunks[2]), first);
    chunk_unref(chunks[2]);
    static char text[100 * 1000];
    struct slice slice = worker_copy(&fixture.worker, (struct str){.data = text, .len = 100000});
    ck_assert_uint_eq(slice.len, 100000);
    ck_assert_int_eq(memcmp(slice.data, text, slice.len), 0);
    chunk_unref(slice.chunk);
    tear_down();
}
END_TEST

START_TEST(the_date_is_http_s)
{
    set_up();
    fixture.worker.wall_read_ns = fixture.worker.now_ns = 1000 * 1000 * 1000;
    fixture.worker.wall_offset_us = 784111776ll * 1000000;
    ck_assert_str_eq_len(worker_date(&fixture.worker), "Sun, 06 Nov 1994 08:49:37 GMT");
    tear_down();
}
END_TEST

START_TEST(random_numbers_differ)
{
    set_up();
    uint64_t seen[100];
    for (int i = 0; i < 100; i++) {
        seen[i] = worker_random(&fixture.worker);
        for (int j = 0; j < i; j++)
            ck_assert_uint_ne(seen[i], seen[j]);
    }
    tear_down();
}
END_TEST

TEST_MAIN("worker", a_task_runs_once_from_a_fresh_stack,
          a_task_may_schedule_itself_and_be_forgotten, a_deadline_that_is_moved_is_met_where_it_is,
          small_bytes_lie_together_and_long_ones_alone, the_date_is_http_s, random_numbers_differ)
