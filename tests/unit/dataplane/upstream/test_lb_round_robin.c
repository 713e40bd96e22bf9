#include "dataplane/upstream/load_balancer.h"

#include "tests/support/test.h"

/* Hosts are only passed through: any distinct addresses do. */
static char memory[8];

static struct host *host(int i)
{
    return (struct host *)(void *)&memory[i];
}

/* Picks times hosts and counts how often each came. */
static void pick(struct load_balancer *balancer, int times, int counts[8])
{
    struct load_balancer_input input = {0};
    for (int i = 0; i < times; i++) {
        char *picked = (char *)(void *)round_robin_balancer.pick(balancer, &input);
        ck_assert_ptr_nonnull(picked);
        counts[picked - memory]++;
    }
}

START_TEST(without_hosts_nothing_is_picked)
{
    struct load_balancer *balancer = round_robin_balancer.create(NULL);
    struct load_balancer_input input = {0};
    ck_assert_ptr_null(round_robin_balancer.pick(balancer, &input));
    round_robin_balancer.set_hosts(balancer, NULL, NULL, 0, 7);
    ck_assert_ptr_null(round_robin_balancer.pick(balancer, &input));
    round_robin_balancer.destroy(balancer);
}
END_TEST

START_TEST(equal_hosts_take_turns)
{
    struct load_balancer *balancer = round_robin_balancer.create(NULL);
    struct host *hosts[] = {host(0), host(1), host(2)};
    uint32_t weights[] = {5, 5, 5};
    round_robin_balancer.set_hosts(balancer, hosts, weights, 3, 12345);
    for (int round = 0; round < 10; round++) {
        int counts[8] = {0};
        pick(balancer, 3, counts);
        ck_assert(counts[0] == 1 && counts[1] == 1 && counts[2] == 1);
    }
    round_robin_balancer.destroy(balancer);
}
END_TEST

START_TEST(weights_are_kept_over_any_stretch)
{
    struct load_balancer *balancer = round_robin_balancer.create(NULL);
    struct host *hosts[] = {host(0), host(1), host(2)};
    uint32_t weights[] = {1, 2, 7};
    round_robin_balancer.set_hosts(balancer, hosts, weights, 3, 99);
    for (int round = 0; round < 50; round++) {
        int counts[8] = {0};
        pick(balancer, 10, counts);
        ck_assert_int_le(abs(counts[0] - 1), 1);
        ck_assert_int_le(abs(counts[1] - 2), 1);
        ck_assert_int_le(abs(counts[2] - 7), 1);
    }
    int counts[8] = {0};
    pick(balancer, 10000, counts);
    ck_assert_int_le(abs(counts[0] - 1000), 2);
    ck_assert_int_le(abs(counts[1] - 2000), 2);
    ck_assert_int_le(abs(counts[2] - 7000), 2);
    round_robin_balancer.destroy(balancer);
}
END_TEST

TEST_MAIN("lb_round_robin", without_hosts_nothing_is_picked, equal_hosts_take_turns,
          weights_are_kept_over_any_stretch)
