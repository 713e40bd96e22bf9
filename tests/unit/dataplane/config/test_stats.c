#include "dataplane/config/stats.h"

#include "common/base/mem.h"
#include "tests/support/test.h"

START_TEST(a_duration_lands_in_the_first_bucket_whose_bound_it_does_not_exceed)
{
    struct stats_latency latency = {.sum_us = 0};
    stats_latency_add(&latency, 0);
    stats_latency_add(&latency, stats_latency_bounds_us[0]);
    stats_latency_add(&latency, stats_latency_bounds_us[0] + 1u);
    stats_latency_add(&latency, UINT32_MAX);
    ck_assert_uint_eq(latency.counts[0], 2);
    ck_assert_uint_eq(latency.counts[1], 1);
    ck_assert_uint_eq(latency.counts[STATS_LATENCY_BUCKETS - 1], 1);
    ck_assert_uint_eq(latency.sum_us, 2u * stats_latency_bounds_us[0] + 1u + (uint64_t)UINT32_MAX);
}
END_TEST

START_TEST(bounds_grow)
{
    for (int i = 1; i < STATS_LATENCY_BUCKETS - 1; i++)
        ck_assert_uint_lt(stats_latency_bounds_us[i - 1], stats_latency_bounds_us[i]);
}
END_TEST

START_TEST(a_scope_has_a_block_per_worker_and_survives_as_long_as_it_is_held)
{
    struct shared_registry *registry = shared_registry_new();
    struct shared_state *state = stats_scope_get(registry, true, STR("users"), 3);
    struct stats_scope *scope = shared_state_object(state);
    ck_assert_uint_eq(scope->workers, 3);
    ck_assert(scope->is_cluster);
    stat_inc(&scope->blocks[2].cluster.upstream_rq_total);
    scope->blocks[1].latency = MEM_NEW(struct stats_latency);
    struct shared_state *again = stats_scope_get(registry, true, STR("users"), 3);
    ck_assert_ptr_eq(state, again);
    struct shared_state *http = stats_scope_get(registry, false, STR("users"), 3);
    ck_assert_ptr_ne(http, state);
    shared_state_unref(state);
    ck_assert_uint_eq(stat_read(&scope->blocks[2].cluster.upstream_rq_total), 1);
    shared_state_unref(again);
    shared_state_unref(http);
    shared_registry_free(registry);
}
END_TEST

TEST_MAIN("stats", a_duration_lands_in_the_first_bucket_whose_bound_it_does_not_exceed, bounds_grow,
          a_scope_has_a_block_per_worker_and_survives_as_long_as_it_is_held)
