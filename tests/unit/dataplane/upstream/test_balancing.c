/* Which hosts a cluster hands to its load balancer: health, ejection, panic, priorities; the same
 * for every balancer. A worker without a thread, nothing is sent. */
#include "common/base/mem.h"
#include "dataplane/upstream/upstream_internal.h"
#include "tests/support/proxy_rig.h"
#include "tests/support/test.h"

#include <string.h>

enum { HOSTS = 4, PICKS = 400 };

static const struct load_balancer_type *const balancers[] = {
    &round_robin_balancer, &least_request_balancer, &random_balancer};
enum { BALANCERS = sizeof balancers / sizeof *balancers };

static const struct outlier_config outlier_settings = {.consecutive_5xx = 1,
                                                       .enforcing_consecutive_5xx_percent = 100,
                                                       .interval_ms = 1000,
                                                       .base_ejection_time_ms = 1000,
                                                       .max_ejection_time_ms = 1000,
                                                       .max_ejection_percent = 100};

struct scene {
    struct proxy_rig rig; /* only what rig_config_cluster needs */
    struct worker worker;
    struct config *config;
    struct cluster *cluster;
};

typedef void adjust_fn(struct cluster_config *cluster);

static void apply(struct scene *scene, const struct load_balancer_type *type, adjust_fn *adjust)
{
    static const uint16_t ports[HOSTS] = {1, 2, 3, 4};
    struct rig_config made = {.rig = &scene->rig};
    struct cluster_config *cluster = rig_config_cluster(&made, "a", ports, HOSTS);
    cluster->load_balancer = type;
    cluster->lb_choice_count = 2;
    rig_cluster_outlier(&made, cluster, outlier_settings);
    if (adjust)
        adjust(cluster);
    struct config *config = config_new(0, 1);
    config->clusters[0].cluster = cluster;
    clusters_apply(&scene->worker, config);
    config_unref(scene->config);
    scene->config = config;
    scene->cluster = cluster_find(&scene->worker, STR("a"));
}

static struct scene *set_up(const struct load_balancer_type *type, adjust_fn *adjust)
{
    static struct scene scene;
    scene = (struct scene){
        .rig = {.shared = shared_registry_new(), .cluster_slots = name_slots_new(), .workers = 1}};
    struct loop *loop = loop_new();
    worker_init(&scene.worker, loop);
    scene.worker.main_loop = loop;
    apply(&scene, type, adjust);
    scene.worker.lease = MEM_NEW(struct config_lease);
    *scene.worker.lease = (struct config_lease){
        .config = config_ref(scene.config), .worker = &scene.worker, .refs = 1};
    return &scene;
}

static void tear_down(struct scene *scene)
{
    clusters_done(&scene->worker);
    config_lease_unref(scene->worker.lease);
    worker_done(&scene->worker);
    loop_free(scene->worker.loop);
    config_unref(scene->config);
    shared_registry_free(scene->rig.shared);
    name_slots_free(scene->rig.cluster_slots);
}

/* Bit i: the host with port i + 1 is picked. */
static unsigned picked(struct scene *scene)
{
    unsigned hosts = 0;
    for (int i = 0; i < PICKS; i++) {
        struct host *host = cluster_pick_host(scene->cluster);
        if (host)
            hosts |= 1u << (ntohs(host->address.v4.sin_port) - 1);
    }
    return hosts;
}

static void eject(struct scene *scene, uint32_t i)
{
    ck_assert(outlier_report(scene->cluster->hosts[i]->outlier, &outlier_settings, 500, HOSTS, 0,
                             scene->worker.now_ns / 1000000));
}

static void advance_ms(struct scene *scene, uint64_t ms)
{
    scene->worker.now_ns += ms * 1000000;
}

static void check_well(const struct load_balancer_type *type)
{
    struct scene *scene = set_up(type, NULL);
    ck_assert_uint_eq(picked(scene), 0xf);
    tear_down(scene);
}

START_TEST(every_host_that_is_well_is_picked)
{
    for (size_t i = 0; i < BALANCERS; i++)
        check_well(balancers[i]);
}
END_TEST

static void second_is_unhealthy(struct cluster_config *cluster)
{
    cluster->endpoints->hosts[1].is_healthy = false;
}

static void check_unhealthy(const struct load_balancer_type *type)
{
    struct scene *scene = set_up(type, second_is_unhealthy);
    ck_assert_uint_eq(picked(scene), 0xd);
    apply(scene, type, NULL);
    ck_assert_uint_eq(picked(scene), 0xf);
    tear_down(scene);
}

START_TEST(an_unhealthy_host_is_not_picked)
{
    for (size_t i = 0; i < BALANCERS; i++)
        check_unhealthy(balancers[i]);
}
END_TEST

static void check_ejected(const struct load_balancer_type *type)
{
    struct scene *scene = set_up(type, NULL);
    ck_assert_uint_eq(picked(scene), 0xf);
    eject(scene, 2);
    ck_assert_uint_eq(picked(scene), 0xb);
    advance_ms(scene, 999);
    ck_assert_uint_eq(picked(scene), 0xb);
    advance_ms(scene, 1);
    ck_assert_uint_eq(picked(scene), 0xf);
    tear_down(scene);
}

START_TEST(an_ejected_host_is_not_picked_until_it_is_back)
{
    for (size_t i = 0; i < BALANCERS; i++)
        check_ejected(balancers[i]);
}
END_TEST

static void check_panic(const struct load_balancer_type *type)
{
    struct scene *scene = set_up(type, NULL);
    eject(scene, 0);
    eject(scene, 1);
    ck_assert_uint_eq(picked(scene), 0xc);
    eject(scene, 2);
    ck_assert_uint_eq(picked(scene), 0xf);
    eject(scene, 3);
    ck_assert_uint_eq(picked(scene), 0xf);
    tear_down(scene);
}

START_TEST(where_fewer_than_half_are_left_all_are_picked)
{
    for (size_t i = 0; i < BALANCERS; i++)
        check_panic(balancers[i]);
}
END_TEST

static void never_panics(struct cluster_config *cluster)
{
    cluster->healthy_panic_threshold_percent = 0;
}

static void check_no_panic(const struct load_balancer_type *type)
{
    struct scene *scene = set_up(type, never_panics);
    for (uint32_t i = 0; i < 3; i++)
        eject(scene, i);
    ck_assert_uint_eq(picked(scene), 0x8);
    eject(scene, 3);
    ck_assert_ptr_null(cluster_pick_host(scene->cluster));
    tear_down(scene);
}

START_TEST(without_panic_the_last_hosts_get_everything_and_then_nobody)
{
    for (size_t i = 0; i < BALANCERS; i++)
        check_no_panic(balancers[i]);
}
END_TEST

static void two_priorities(struct cluster_config *cluster)
{
    cluster->endpoints->hosts[2].priority = cluster->endpoints->hosts[3].priority = 1;
}

static void check_priorities(const struct load_balancer_type *type)
{
    struct scene *scene = set_up(type, two_priorities);
    ck_assert_uint_eq(picked(scene), 0x3);
    eject(scene, 0);
    eject(scene, 1);
    ck_assert_uint_eq(picked(scene), 0xc);
    tear_down(scene);
}

START_TEST(a_lower_priority_is_picked_where_the_first_has_nobody)
{
    for (size_t i = 0; i < BALANCERS; i++)
        check_priorities(balancers[i]);
}
END_TEST

static void only_the_second_priority(struct cluster_config *cluster)
{
    for (uint32_t i = 0; i < HOSTS; i++)
        cluster->endpoints->hosts[i].priority = 1;
}

static void check_panic_below(const struct load_balancer_type *type)
{
    struct scene *scene = set_up(type, only_the_second_priority);
    for (uint32_t i = 0; i < HOSTS; i++)
        eject(scene, i);
    ck_assert_uint_eq(picked(scene), 0xf);
    tear_down(scene);
}

START_TEST(panic_finds_the_hosts_where_the_first_priority_is_empty)
{
    for (size_t i = 0; i < BALANCERS; i++)
        check_panic_below(balancers[i]);
}
END_TEST

static void one_is_heavy(struct cluster_config *cluster)
{
    cluster->endpoints->hosts[0].weight = 1000000;
}

static void check_changes(const struct load_balancer_type *type)
{
    struct scene *scene = set_up(type, NULL);
    struct host *before = scene->cluster->hosts[0];
    for (size_t i = 0; i < BALANCERS; i++) {
        apply(scene, balancers[i], i % 2 ? one_is_heavy : NULL);
        ck_assert_ptr_eq(scene->cluster->hosts[0], before);
        ck_assert_uint_ne(picked(scene), 0);
    }
    tear_down(scene);
}

START_TEST(settings_may_change_while_hosts_stay)
{
    for (size_t i = 0; i < BALANCERS; i++)
        check_changes(balancers[i]);
}
END_TEST

TEST_MAIN("balancing", every_host_that_is_well_is_picked, an_unhealthy_host_is_not_picked,
          an_ejected_host_is_not_picked_until_it_is_back,
          where_fewer_than_half_are_left_all_are_picked,
          without_panic_the_last_hosts_get_everything_and_then_nobody,
          a_lower_priority_is_picked_where_the_first_has_nobody,
          panic_finds_the_hosts_where_the_first_priority_is_empty,
          settings_may_change_while_hosts_stay)
