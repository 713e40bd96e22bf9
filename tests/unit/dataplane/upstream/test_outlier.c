#include "dataplane/upstream/outlier.h"

#include "tests/support/test.h"

#include <pthread.h>

static const struct outlier_config config = {
    .is_enabled = true,
    .consecutive_5xx = 3,
    .consecutive_gateway_failure = 2,
    .enforcing_consecutive_5xx_percent = 100,
    .enforcing_consecutive_gateway_failure_percent = 100,
    .interval_ms = 1000,
    .base_ejection_time_ms = 500,
    .max_ejection_time_ms = 1600,
    .max_ejection_percent = 50,
};

struct fixture {
    struct shared_registry *registry;
    struct shared_state *state;
    struct outlier_host *hosts[4];
};

static struct fixture set_up(void)
{
    struct fixture fixture = {.registry = shared_registry_new()};
    fixture.state = outlier_get(fixture.registry, STR("c"));
    struct outlier *table = shared_state_object(fixture.state);
    struct str names[] = {STR("1:1"), STR("2:2"), STR("3:3"), STR("4:4")};
    for (int i = 0; i < 4; i++)
        fixture.hosts[i] = outlier_host_ref(table, names[i]);
    return fixture;
}

static void tear_down(struct fixture *fixture)
{
    for (int i = 0; i < 4; i++)
        outlier_host_unref(fixture->hosts[i]);
    shared_state_unref(fixture->state);
    shared_registry_free(fixture->registry);
}

static bool report(struct outlier_host *host, unsigned status, int times, uint64_t now_ms)
{
    bool is_ejected = false;
    for (int i = 0; i < times; i++)
        is_ejected |= outlier_report(host, &config, status, 4, 0, now_ms);
    return is_ejected;
}

START_TEST(a_host_that_fails_in_a_row_is_left_out_for_a_while)
{
    struct fixture f = set_up();
    struct outlier *table = shared_state_object(f.state);
    ck_assert(!report(f.hosts[0], 500, 2, 10));
    ck_assert(!outlier_report(f.hosts[0], &config, 200, 4, 0, 10));
    ck_assert(!report(f.hosts[0], 500, 2, 10));
    ck_assert_uint_eq(outlier_changes(table), 0);
    ck_assert(report(f.hosts[0], 500, 1, 10));
    ck_assert_uint_eq(outlier_changes(table), 1);
    ck_assert(outlier_host_is_ejected(f.hosts[0], 509));
    ck_assert(!outlier_host_is_ejected(f.hosts[0], 510));
    ck_assert(!outlier_host_is_ejected(f.hosts[1], 10));
    tear_down(&f);
}
END_TEST

START_TEST(gateway_failures_are_counted_apart)
{
    struct fixture f = set_up();
    ck_assert(!report(f.hosts[0], 503, 1, 0));
    ck_assert(!report(f.hosts[0], 500, 1, 0)); /* a 5xx, but no gateway failure */
    ck_assert(!report(f.hosts[1], 504, 1, 0));
    ck_assert(report(f.hosts[1], 502, 1, 0));
    tear_down(&f);
}
END_TEST

START_TEST(a_threshold_that_is_lowered_meanwhile_counts_at_once)
{
    struct fixture f = set_up();
    struct outlier_config lowered = config;
    ck_assert(!report(f.hosts[0], 500, 2, 10));
    lowered.consecutive_5xx = 1;
    ck_assert(outlier_report(f.hosts[0], &lowered, 500, 4, 0, 10));
    tear_down(&f);
}
END_TEST

START_TEST(no_more_than_the_percentage_are_left_out_but_one_may_always_be)
{
    struct fixture f = set_up();
    ck_assert(report(f.hosts[0], 500, 3, 0));
    ck_assert(report(f.hosts[1], 500, 3, 0));
    ck_assert(!report(f.hosts[2], 500, 3, 0));
    ck_assert(report(f.hosts[2], 500, 3, 600)); /* the others are back */
    struct outlier_config strict = config;
    strict.max_ejection_percent = 10;
    bool is_ejected = false;
    for (int i = 0; i < 3; i++)
        is_ejected |= outlier_report(f.hosts[3], &strict, 500, 1, 0, 90000);
    ck_assert(!is_ejected);
    strict.always_eject_one_host = true;
    for (int i = 0; i < 3; i++)
        is_ejected |= outlier_report(f.hosts[3], &strict, 500, 1, 0, 90000);
    ck_assert(is_ejected);
    tear_down(&f);
}
END_TEST

START_TEST(the_time_grows_with_each_ejection_and_shrinks_with_health)
{
    uint32_t backoff = 0;
    ck_assert_uint_eq(outlier_ejection_ms(&config, &backoff, 0), 500);
    ck_assert_uint_eq(outlier_ejection_ms(&config, &backoff, 0), 1000);
    ck_assert_uint_eq(outlier_ejection_ms(&config, &backoff, 0), 1500);
    ck_assert_uint_eq(outlier_ejection_ms(&config, &backoff, 0), 1600);
    ck_assert_uint_eq(outlier_ejection_ms(&config, &backoff, 2500), 1000);
    ck_assert_uint_eq(outlier_ejection_ms(&config, &backoff, 1000 * 1000), 500);
}
END_TEST

START_TEST(the_enforcing_percentage_is_a_chance)
{
    struct fixture f = set_up();
    struct outlier_config lax = config;
    lax.consecutive_gateway_failure = 0;
    lax.enforcing_consecutive_5xx_percent = 30;
    bool is_ejected = false;
    for (int i = 0; i < 3; i++)
        is_ejected |= outlier_report(f.hosts[0], &lax, 503, 4, 30, 0);
    ck_assert(!is_ejected);
    for (int i = 0; i < 3; i++)
        is_ejected |= outlier_report(f.hosts[0], &lax, 503, 4, 29, 0);
    ck_assert(is_ejected);
    tear_down(&f);
}
END_TEST

START_TEST(a_host_is_one_for_all_who_ask_and_goes_with_the_last)
{
    struct fixture f = set_up();
    struct outlier *table = shared_state_object(f.state);
    struct outlier_host *again = outlier_host_ref(table, STR("1:1"));
    ck_assert_ptr_eq(again, f.hosts[0]);
    report(again, 500, 3, 0);
    outlier_host_unref(again);
    outlier_host_unref(f.hosts[0]);
    f.hosts[0] = outlier_host_ref(table, STR("1:1"));
    ck_assert(!outlier_host_is_ejected(f.hosts[0], 0));
    tear_down(&f);
}
END_TEST

static void *report_and_look(void *arg)
{
    struct outlier *table = arg;
    struct outlier_host *host = outlier_host_ref(table, STR("9:9"));
    for (unsigned i = 0; i < 5000; i++) {
        outlier_report(host, &config, i % 5 ? 503 : 200, 4, i, i);
        (void)outlier_host_is_ejected(host, i);
        (void)outlier_changes(table);
    }
    outlier_host_unref(host);
    return NULL;
}

START_TEST(many_threads_may_use_one_table)
{
    struct fixture f = set_up();
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, report_and_look, shared_state_object(f.state));
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    ck_assert_uint_gt(outlier_changes(shared_state_object(f.state)), 0);
    tear_down(&f);
}
END_TEST

TEST_MAIN("outlier", a_host_that_fails_in_a_row_is_left_out_for_a_while,
          gateway_failures_are_counted_apart, a_threshold_that_is_lowered_meanwhile_counts_at_once,
          no_more_than_the_percentage_are_left_out_but_one_may_always_be,
          the_time_grows_with_each_ejection_and_shrinks_with_health,
          the_enforcing_percentage_is_a_chance,
          a_host_is_one_for_all_who_ask_and_goes_with_the_last, many_threads_may_use_one_table)
