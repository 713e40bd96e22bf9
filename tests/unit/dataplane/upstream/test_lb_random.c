#include "dataplane/upstream/load_balancer.h"

#include "tests/support/test.h"

/* Hosts are only passed through: any distinct addresses do. */
static char memory[8];

static struct host *host(int i)
{
    return (struct host *)(void *)&memory[i];
}

START_TEST(without_hosts_nothing_is_picked)
{
    struct load_balancer *balancer = random_balancer.create(NULL);
    struct load_balancer_input input = {.random = UINT64_MAX};
    ck_assert_ptr_null(random_balancer.pick(balancer, &input));
    random_balancer.set_hosts(balancer, NULL, NULL, 0, 7);
    ck_assert_ptr_null(random_balancer.pick(balancer, &input));
    random_balancer.destroy(balancer);
}
END_TEST

START_TEST(every_host_is_as_likely_whatever_its_weight)
{
    struct load_balancer *balancer = random_balancer.create(NULL);
    struct host *hosts[] = {host(0), host(1), host(2)};
    uint32_t weights[] = {1, 2, 100};
    random_balancer.set_hosts(balancer, hosts, weights, 3, 99);
    int counts[8] = {0};
    uint64_t random = 1;
    for (int i = 0; i < 30000; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        struct load_balancer_input input = {.random = random};
        char *picked = (char *)(void *)random_balancer.pick(balancer, &input);
        counts[picked - memory]++;
    }
    for (int i = 0; i < 3; i++)
        ck_assert_int_le(abs(counts[i] - 10000), 500);
    random_balancer.destroy(balancer);
}
END_TEST

START_TEST(the_ends_of_the_range_are_hosts_too)
{
    struct load_balancer *balancer = random_balancer.create(NULL);
    struct host *hosts[] = {host(0), host(1), host(2)};
    uint32_t weights[] = {1, 1, 1};
    random_balancer.set_hosts(balancer, hosts, weights, 3, 0);
    struct load_balancer_input lowest = {.random = 0}, highest = {.random = UINT64_MAX};
    ck_assert_ptr_eq(random_balancer.pick(balancer, &lowest), host(0));
    ck_assert_ptr_eq(random_balancer.pick(balancer, &highest), host(2));
    random_balancer.destroy(balancer);
}
END_TEST

TEST_MAIN("lb_random", without_hosts_nothing_is_picked, every_host_is_as_likely_whatever_its_weight,
          the_ends_of_the_range_are_hosts_too)
