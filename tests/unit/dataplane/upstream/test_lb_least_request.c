#include "dataplane/upstream/load_balancer.h"

#include "dataplane/upstream/upstream_internal.h"
#include "tests/support/test.h"

enum { HOSTS_MAX = 8 };

struct scene {
    struct load_balancer *balancer;
    struct host hosts[HOSTS_MAX];
    uint64_t random;
};

static void set_hosts(struct scene *scene, const uint32_t *weights, uint32_t count)
{
    struct host *hosts[HOSTS_MAX];
    for (uint32_t i = 0; i < count; i++)
        hosts[i] = &scene->hosts[i];
    least_request_balancer.set_hosts(scene->balancer, hosts, weights, count, 12345);
}

static struct scene *set_up(uint32_t choice_count, const uint32_t *weights, uint32_t count)
{
    static struct scene scene;
    struct cluster_config cluster = {.lb_choice_count = choice_count};
    scene = (struct scene){.balancer = least_request_balancer.create(&cluster), .random = 7};
    set_hosts(&scene, weights, count);
    return &scene;
}

static void tear_down(struct scene *scene)
{
    least_request_balancer.destroy(scene->balancer);
}

/* The number of the host that is picked next, -1 for none. */
static int pick(struct scene *scene)
{
    scene->random = scene->random * 6364136223846793005u + 1442695040888963407u;
    struct load_balancer_input input = {.random = scene->random};
    struct host *host = least_request_balancer.pick(scene->balancer, &input);
    return host ? (int)(host - scene->hosts) : -1;
}

static void count_picks(struct scene *scene, int times, int counts[HOSTS_MAX])
{
    for (int i = 0; i < times; i++)
        counts[pick(scene)]++;
}

static const uint32_t equal[HOSTS_MAX] = {3, 3, 3, 3, 3, 3, 3, 3};

START_TEST(without_hosts_nothing_is_picked)
{
    struct scene *scene = set_up(2, equal, 0);
    ck_assert_int_eq(pick(scene), -1);
    tear_down(scene);
}
END_TEST

START_TEST(a_single_host_gets_everything)
{
    struct scene *scene = set_up(2, equal, 1);
    scene->hosts[0].request_count = 1000;
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(pick(scene), 0);
    tear_down(scene);
}
END_TEST

START_TEST(hosts_with_equal_load_are_picked_equally_often)
{
    struct scene *scene = set_up(2, equal, 5);
    int counts[HOSTS_MAX] = {0};
    count_picks(scene, 50000, counts);
    for (int i = 0; i < 5; i++)
        ck_assert_int_le(abs(counts[i] - 10000), 500);
    tear_down(scene);
}
END_TEST

START_TEST(of_two_hosts_the_less_loaded_one_always_wins)
{
    struct scene *scene = set_up(2, equal, 2);
    scene->hosts[1].request_count = 1;
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(pick(scene), 0);
    scene->hosts[0].request_count = 2;
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(pick(scene), 1);
    tear_down(scene);
}
END_TEST

/* With two of n compared, the one with rank r (0: least loaded) wins 2 (n - 1 - r) of n (n - 1)
 * times. */
START_TEST(of_many_hosts_two_are_compared)
{
    struct scene *scene = set_up(2, equal, 5);
    for (uint32_t i = 0; i < 5; i++)
        scene->hosts[i].request_count = 10 * i;
    int counts[HOSTS_MAX] = {0};
    count_picks(scene, 50000, counts);
    for (int i = 0; i < 5; i++)
        ck_assert_int_le(abs(counts[i] - 5000 * (4 - i)), 500);
    ck_assert_int_eq(counts[4], 0);
    tear_down(scene);
}
END_TEST

START_TEST(as_many_choices_as_hosts_or_more_find_the_least_loaded)
{
    static const uint32_t choices[] = {6, 7, UINT32_MAX};
    for (size_t c = 0; c < 3; c++) {
        struct scene *scene = set_up(choices[c], equal, 6);
        for (uint32_t i = 0; i < 6; i++)
            scene->hosts[i].request_count = i == 4 ? 1 : 2 + i;
        for (int i = 0; i < 1000; i++)
            ck_assert_int_eq(pick(scene), 4);
        tear_down(scene);
    }
}
END_TEST

START_TEST(without_load_different_weights_are_kept)
{
    static const uint32_t weights[] = {1, 2, 7};
    struct scene *scene = set_up(2, weights, 3);
    int counts[HOSTS_MAX] = {0};
    count_picks(scene, 10000, counts);
    ck_assert_int_le(abs(counts[0] - 1000), 2);
    ck_assert_int_le(abs(counts[1] - 2000), 2);
    ck_assert_int_le(abs(counts[2] - 7000), 2);
    tear_down(scene);
}
END_TEST

/* Weight / (requests + 1): 4 / 4 and 2 / 1. */
START_TEST(where_weights_differ_load_makes_a_host_lighter)
{
    static const uint32_t weights[] = {4, 2};
    struct scene *scene = set_up(2, weights, 2);
    scene->hosts[0].request_count = 3;
    int counts[HOSTS_MAX] = {0};
    count_picks(scene, 9000, counts);
    ck_assert_int_le(abs(counts[0] - 3000), 5);
    ck_assert_int_le(abs(counts[1] - 6000), 5);
    tear_down(scene);
}
END_TEST

START_TEST(new_hosts_replace_the_old_ones)
{
    static const uint32_t weights[] = {1, 2, 7};
    struct scene *scene = set_up(2, weights, 3);
    set_hosts(scene, equal, 2);
    int counts[HOSTS_MAX] = {0};
    count_picks(scene, 1000, counts);
    ck_assert(counts[0] > 400 && counts[1] > 400 && counts[2] == 0);
    set_hosts(scene, weights, 3);
    ck_assert_int_ge(pick(scene), 0);
    set_hosts(scene, equal, 0);
    ck_assert_int_eq(pick(scene), -1);
    tear_down(scene);
}
END_TEST

TEST_MAIN("lb_least_request", without_hosts_nothing_is_picked, a_single_host_gets_everything,
          hosts_with_equal_load_are_picked_equally_often,
          of_two_hosts_the_less_loaded_one_always_wins, of_many_hosts_two_are_compared,
          as_many_choices_as_hosts_or_more_find_the_least_loaded,
          without_load_different_weights_are_kept, where_weights_differ_load_makes_a_host_lighter,
          new_hosts_replace_the_old_ones)
