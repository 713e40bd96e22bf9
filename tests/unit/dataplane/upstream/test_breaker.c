#include "dataplane/upstream/breaker.h"

#include "tests/support/test.h"

#include <pthread.h>

static const struct breaker_config config = {.is_enabled = true,
                                             .consecutive_failures = 3,
                                             .open_for_ms = 1000,
                                             .half_open_requests = 2,
                                             .success_threshold = 2};

/* Admits and reports; -1 refused, 1 the state changed, 0 otherwise. */
static int run(struct breaker *breaker, enum breaker_result result, uint64_t now_ms)
{
    struct breaker_ticket ticket;
    enum breaker_state state;
    if (!breaker_admit(breaker, &config, now_ms, &ticket))
        return -1;
    return breaker_report(breaker, &config, ticket, result, now_ms, &state);
}

static void open_it(struct breaker *breaker, uint64_t now_ms)
{
    ck_assert_int_eq(run(breaker, BREAKER_FAILURE, now_ms), 0);
    ck_assert_int_eq(run(breaker, BREAKER_FAILURE, now_ms), 0);
    ck_assert_int_eq(run(breaker, BREAKER_FAILURE, now_ms), 1);
}

START_TEST(failures_in_a_row_open_it_for_a_while)
{
    struct breaker breaker = {0};
    open_it(&breaker, 5000);
    ck_assert_int_eq(breaker_state_at(&breaker, 5999), BREAKER_OPEN);
    ck_assert_int_eq(run(&breaker, BREAKER_SUCCESS, 5999), -1);
    ck_assert_uint_eq(breaker_wait_ms(&breaker, 5400), 600);
    ck_assert_int_eq(breaker_state_at(&breaker, 6000), BREAKER_HALF_OPEN);
    ck_assert_uint_eq(breaker_wait_ms(&breaker, 6000), 0);
}
END_TEST

START_TEST(a_success_between_failures_starts_the_count_again)
{
    struct breaker breaker = {0};
    for (int i = 0; i < 10; i++) {
        ck_assert_int_eq(run(&breaker, BREAKER_FAILURE, 1), 0);
        ck_assert_int_eq(run(&breaker, BREAKER_FAILURE, 1), 0);
        ck_assert_int_eq(run(&breaker, BREAKER_SUCCESS, 1), 0);
    }
    ck_assert_int_eq(breaker_state_at(&breaker, 1), BREAKER_CLOSED);
}
END_TEST

START_TEST(what_is_no_verdict_counts_for_nothing)
{
    struct breaker breaker = {0};
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(run(&breaker, BREAKER_NO_VERDICT, 1), 0);
    run(&breaker, BREAKER_FAILURE, 1);
    run(&breaker, BREAKER_FAILURE, 1);
    run(&breaker, BREAKER_NO_VERDICT, 1);
    ck_assert_int_eq(run(&breaker, BREAKER_FAILURE, 1), 1);
}
END_TEST

START_TEST(half_open_lets_so_many_try_at_a_time)
{
    struct breaker breaker = {0};
    struct breaker_ticket tickets[3];
    enum breaker_state state;
    open_it(&breaker, 0);
    ck_assert(breaker_admit(&breaker, &config, 1000, &tickets[0]));
    ck_assert(breaker_admit(&breaker, &config, 1000, &tickets[1]));
    ck_assert(tickets[0].is_trial && tickets[1].is_trial);
    ck_assert(!breaker_admit(&breaker, &config, 1000, &tickets[2]));
    ck_assert(!breaker_report(&breaker, &config, tickets[0], BREAKER_NO_VERDICT, 1000, &state));
    ck_assert(breaker_admit(&breaker, &config, 1000, &tickets[2]));
    ck_assert(!breaker_report(&breaker, &config, tickets[1], BREAKER_SUCCESS, 1000, &state));
    ck_assert(breaker_report(&breaker, &config, tickets[2], BREAKER_SUCCESS, 1000, &state));
    ck_assert_int_eq(state, BREAKER_CLOSED);
    /* and trips again after exactly as many failures as the first time */
    open_it(&breaker, 2000);
}
END_TEST

START_TEST(one_failed_trial_opens_it_again)
{
    struct breaker breaker = {0};
    struct breaker_ticket tickets[2];
    enum breaker_state state;
    open_it(&breaker, 0);
    ck_assert(breaker_admit(&breaker, &config, 1000, &tickets[0]));
    ck_assert(breaker_admit(&breaker, &config, 1000, &tickets[1]));
    ck_assert(breaker_report(&breaker, &config, tickets[0], BREAKER_FAILURE, 1500, &state));
    ck_assert_int_eq(state, BREAKER_OPEN);
    ck_assert(!breaker_report(&breaker, &config, tickets[1], BREAKER_SUCCESS, 1500, &state));
    ck_assert_int_eq(run(&breaker, BREAKER_SUCCESS, 2499), -1);
    ck_assert_int_eq(run(&breaker, BREAKER_SUCCESS, 2500), 0);
}
END_TEST

START_TEST(results_from_before_a_change_of_state_are_ignored)
{
    struct breaker breaker = {0};
    struct breaker_ticket slow;
    enum breaker_state state;
    ck_assert(breaker_admit(&breaker, &config, 0, &slow));
    open_it(&breaker, 0);
    ck_assert(!breaker_report(&breaker, &config, slow, BREAKER_FAILURE, 900, &state));
    ck_assert_uint_eq(breaker_wait_ms(&breaker, 900), 100);
    ck_assert_int_eq(run(&breaker, BREAKER_NO_VERDICT, 1000), 0);
    ck_assert(!breaker_report(&breaker, &config, slow, BREAKER_SUCCESS, 1000, &state));
    ck_assert_int_eq(breaker_state_at(&breaker, 1000), BREAKER_HALF_OPEN);
}
END_TEST

START_TEST(while_nothing_fails_nothing_is_written)
{
    static _Alignas(64) const struct breaker closed = {0};
    /* in read-only memory: a write would crash */
    struct breaker *breaker = (struct breaker *)&closed;
    ck_assert_int_eq(run(breaker, BREAKER_SUCCESS, 1), 0);
}
END_TEST

/* --- many threads ---------------------------------------------------------------------------- */

enum { THREADS = 8, ROUNDS = 20000 };

struct shared {
    struct breaker breaker;
    _Atomic int trials, trials_most, admitted;
};

static void *hammer_half_open(void *arg)
{
    struct shared *shared = arg;
    for (int i = 0; i < ROUNDS; i++) {
        struct breaker_ticket ticket;
        enum breaker_state state;
        if (!breaker_admit(&shared->breaker, &config, 1000, &ticket))
            continue;
        ck_assert(ticket.is_trial);
        int trials = atomic_fetch_add(&shared->trials, 1) + 1, most = shared->trials_most;
        while (trials > most && !atomic_compare_exchange_weak(&shared->trials_most, &most, trials))
            ;
        atomic_fetch_add(&shared->admitted, 1);
        atomic_fetch_sub(&shared->trials, 1);
        breaker_report(&shared->breaker, &config, ticket, BREAKER_NO_VERDICT, 1000, &state);
    }
    return NULL;
}

static void run_threads(void *(*body)(void *), struct shared *shared)
{
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, body, shared);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

START_TEST(under_many_threads_no_more_than_so_many_try_at_a_time)
{
    static struct shared shared;
    open_it(&shared.breaker, 0);
    run_threads(hammer_half_open, &shared);
    ck_assert_int_gt(shared.admitted, 0);
    ck_assert_int_le(shared.trials_most, (int)config.half_open_requests);
    /* none was lost: as many as ever may try now */
    struct breaker_ticket ticket;
    ck_assert(breaker_admit(&shared.breaker, &config, 1000, &ticket));
    ck_assert(breaker_admit(&shared.breaker, &config, 1000, &ticket));
    ck_assert(!breaker_admit(&shared.breaker, &config, 1000, &ticket));
}
END_TEST

static void *hammer_all(void *arg)
{
    struct shared *shared = arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct breaker_ticket ticket;
        enum breaker_state state;
        if (!breaker_admit(&shared->breaker, &config, i / 4, &ticket))
            continue;
        int trials = ticket.is_trial ? atomic_fetch_add(&shared->trials, 1) + 1 : 0;
        (void)trials;
        if (ticket.is_trial)
            atomic_fetch_sub(&shared->trials, 1);
        if (breaker_report(&shared->breaker, &config, ticket, (enum breaker_result)(i % 3), i / 4,
                           &state))
            atomic_fetch_add(&shared->admitted, 1);
    }
    return NULL;
}

START_TEST(under_many_threads_each_change_of_state_is_reported_once)
{
    static struct shared shared;
    run_threads(hammer_all, &shared);
    uint64_t epoch = shared.breaker.word >> 32;
    /* changes to half-open are made by breaker_admit and not reported: they are followed by one
     * that is, so reports lie between half of all changes and all */
    ck_assert_uint_le((uint64_t)shared.admitted, epoch);
    ck_assert_uint_ge((uint64_t)shared.admitted * 2 + 1, epoch);
}
END_TEST

START_TEST(forgotten_trials_leave_room_for_the_next_and_their_results_count_for_nothing)
{
    struct breaker breaker = {0};
    struct breaker_ticket ticket, next;
    enum breaker_state state;
    for (uint32_t i = 0; i < config.consecutive_failures; i++) {
        ck_assert(breaker_admit(&breaker, &config, 0, &ticket));
        breaker_report(&breaker, &config, ticket, BREAKER_FAILURE, 0, &state);
    }
    breaker_forget_trials(&breaker);
    uint64_t later_ms = config.open_for_ms;
    ck_assert(!breaker_admit(&breaker, &config, later_ms - 1, &ticket));
    for (uint32_t i = 0; i < config.half_open_requests; i++)
        ck_assert(breaker_admit(&breaker, &config, later_ms, &ticket));
    ck_assert(!breaker_admit(&breaker, &config, later_ms, &next));
    breaker_forget_trials(&breaker);
    ck_assert(breaker_admit(&breaker, &config, later_ms, &next));
    ck_assert(!breaker_report(&breaker, &config, ticket, BREAKER_FAILURE, later_ms, &state));
    ck_assert_int_eq(breaker_state_at(&breaker, later_ms), BREAKER_HALF_OPEN);
}
END_TEST

TEST_MAIN("breaker", failures_in_a_row_open_it_for_a_while,
          a_success_between_failures_starts_the_count_again, what_is_no_verdict_counts_for_nothing,
          half_open_lets_so_many_try_at_a_time, one_failed_trial_opens_it_again,
          results_from_before_a_change_of_state_are_ignored, while_nothing_fails_nothing_is_written,
          under_many_threads_no_more_than_so_many_try_at_a_time,
          under_many_threads_each_change_of_state_is_reported_once,
          forgotten_trials_leave_room_for_the_next_and_their_results_count_for_nothing)
