/* Clusters on the request path: pools, thresholds, breaker, outlier detection, endpoints. */
#include "dataplane/upstream/cluster.h"

#include "dataplane/upstream/limits.h"
#include "tests/support/proxy_rig.h"
#include "tests/support/test.h"

#include <semaphore.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define CLUSTER_STAT(field) offsetof(struct cluster_stats, field)

static const char get[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
static const char bad[] = "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n";

struct scene {
    struct proxy_rig *rig;
    struct rig_server servers[2];
};

typedef void adjust_fn(struct rig_config *config, struct cluster_config *cluster);

static void publish(struct scene *scene, uint32_t hosts, adjust_fn *adjust)
{
    uint16_t ports[] = {scene->servers[0].port, scene->servers[1].port};
    struct rig_config *config = rig_config_new(scene->rig);
    rig_config_routes(config, rig_routes_to_a);
    struct cluster_config *cluster = rig_config_cluster(config, "a", ports, hosts);
    if (adjust)
        adjust(config, cluster);
    rig_publish(scene->rig, config);
}

static struct scene set_up(uint32_t hosts, adjust_fn *adjust)
{
    struct scene scene = {.rig = proxy_rig_new(1), .servers = {rig_listen(), rig_listen()}};
    publish(&scene, hosts, adjust);
    return scene;
}

static void tear_down(struct scene *scene)
{
    close(scene->servers[0].fd);
    close(scene->servers[1].fd);
    proxy_rig_free(scene->rig);
}

static uint64_t stat_of(struct scene *scene, size_t offset)
{
    return rig_cluster_stat(scene->rig, "a", offset);
}

/* One exchange on a client connection of its own; the server answers on a new or the given one. */
static int answer_with(struct scene *scene, int server, const char *answer, const char *expected)
{
    int client = rig_connect(scene->rig);
    rig_send(client, get);
    if (server < 0)
        server = rig_accept(&scene->servers[0]);
    rig_read_message(server);
    rig_send(server, answer);
    ck_assert_begins(rig_read_message(client), expected);
    close(client);
    return server;
}

START_TEST(a_refused_connection_is_answered_503)
{
    struct scene scene = set_up(1, NULL);
    close(scene.servers[0].fd);
    const char *answer = rig_get(scene.rig, get);
    ck_assert_begins(answer, "HTTP/1.1 503 Service Unavailable\r\n");
    ck_assert_contains(answer, "\r\n\r\nupstream connect error or disconnect/reset before headers. "
                               "reset reason: remote connection failure");
    ck_assert_uint_eq(stat_of(&scene, CLUSTER_STAT(upstream_cx_connect_fail)), 1);
    ck_assert_uint_eq(stat_of(&scene, CLUSTER_STAT(upstream_rq_pending_active)), 0);
    scene.servers[0] = rig_listen();
    tear_down(&scene);
}
END_TEST

START_TEST(without_hosts_there_is_no_healthy_upstream)
{
    struct scene scene = set_up(0, NULL);
    const char *answer = rig_get(scene.rig, get);
    ck_assert_begins(answer, "HTTP/1.1 503 ");
    ck_assert_contains(answer, "\r\n\r\nno healthy upstream");
    tear_down(&scene);
}
END_TEST

static void slow_connect(struct rig_config *config, struct cluster_config *cluster)
{
    (void)config;
    cluster->connect_timeout_ms = 50;
}

START_TEST(a_connect_that_takes_too_long_is_answered_503)
{
    struct scene scene = set_up(1, slow_connect);
    /* A listening socket whose queue is full does not answer. */
    close(scene.servers[0].fd);
    struct rig_server full = rig_listen();
    ck_assert_int_eq(listen(full.fd, 0), 0);
    scene.servers[0] = full;
    int fillers[4], count = 0;
    for (; count < 2; count++) {
        fillers[count] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_port = htons(full.port),
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        (void)!connect(fillers[count], (struct sockaddr *)&address, sizeof address);
    }
    usleep(20000);
    publish(&scene, 1, slow_connect);
    const char *answer = rig_get(scene.rig, get);
    ck_assert_begins(answer, "HTTP/1.1 503 ");
    ck_assert_contains(answer, "reset reason: connection timeout");
    while (count > 0)
        close(fillers[--count]);
    tear_down(&scene);
}
END_TEST

static void one_request(struct rig_config *config, struct cluster_config *cluster)
{
    (void)config;
    cluster->thresholds.requests_max = 1;
}

START_TEST(more_requests_than_the_threshold_are_refused)
{
    struct scene scene = set_up(1, one_request);
    int client = rig_connect(scene.rig);
    rig_send(client, get);
    int server = rig_accept(&scene.servers[0]);
    rig_read_message(server);
    const char *answer = rig_get(scene.rig, get);
    ck_assert_begins(answer, "HTTP/1.1 503 ");
    ck_assert_lacks(answer, "x-envoy-overloaded"); /* the rig's router suppresses them */
    ck_assert_contains(answer, "reset reason: overflow");
    rig_send(server, ok);
    rig_read_message(client);
    close(client);
    answer_with(&scene, server, ok, "HTTP/1.1 200 ");
    close(server);
    tear_down(&scene);
}
END_TEST

static void one_connection(struct rig_config *config, struct cluster_config *cluster)
{
    (void)config;
    cluster->thresholds.connections_max = 1;
    cluster->thresholds.pending_requests_max = 2;
}

START_TEST(requests_beyond_the_connections_wait_and_beyond_that_are_refused)
{
    struct scene scene = set_up(1, one_connection);
    int clients[3];
    clients[0] = rig_connect(scene.rig);
    rig_send(clients[0], get);
    int server = rig_accept(&scene.servers[0]);
    rig_read_message(server);
    for (int i = 1; i < 3; i++) {
        clients[i] = rig_connect(scene.rig);
        rig_send(clients[i], get);
    }
    rig_await_cluster_stat(scene.rig, "a", CLUSTER_STAT(upstream_rq_pending_active), 2);
    ck_assert_contains(rig_get(scene.rig, get), "reset reason: overflow");
    for (int i = 0; i < 3; i++) {
        if (i > 0)
            rig_read_message(server);
        rig_send(server, ok);
        ck_assert_begins(rig_read_message(clients[i]), "HTTP/1.1 200 ");
        close(clients[i]);
    }
    ck_assert_uint_eq(stat_of(&scene, CLUSTER_STAT(upstream_cx_total)), 1);
    close(server);
    tear_down(&scene);
}
END_TEST

static void one_of_each(struct rig_config *config, struct cluster_config *cluster)
{
    (void)config;
    cluster->thresholds.connections_max = 1;
    cluster->thresholds.requests_max = 1;
}

START_TEST(requests_that_wait_are_not_under_way)
{
    struct scene scene = set_up(1, one_of_each);
    int clients[3];
    for (int i = 0; i < 3; i++) {
        clients[i] = rig_connect(scene.rig);
        rig_send(clients[i], get);
    }
    int server = rig_accept(&scene.servers[0]);
    for (int i = 0; i < 3; i++) {
        rig_read_message(server);
        if (i == 0)
            rig_await_cluster_stat(scene.rig, "a", CLUSTER_STAT(upstream_rq_pending_active), 2);
        ck_assert_uint_eq(stat_of(&scene, CLUSTER_STAT(upstream_rq_active)), 1);
        rig_send(server, ok);
    }
    for (int i = 0; i < 3; i++) {
        ck_assert_begins(rig_read_message(clients[i]), "HTTP/1.1 200 ");
        close(clients[i]);
    }
    ck_assert_uint_eq(stat_of(&scene, CLUSTER_STAT(upstream_rq_total)), 3);
    close(server);
    tear_down(&scene);
}
END_TEST

static void one_request_and_breaker(struct rig_config *config, struct cluster_config *cluster)
{
    cluster->thresholds.requests_max = 1;
    rig_cluster_breaker(config, cluster,
                        (struct breaker_config){.consecutive_failures = 1,
                                                .open_for_ms = 60000,
                                                .half_open_requests = 1,
                                                .success_threshold = 1});
}

START_TEST(who_is_refused_for_a_threshold_is_no_failure_of_the_host)
{
    struct scene scene = set_up(1, one_request_and_breaker);
    int client = rig_connect(scene.rig);
    rig_send(client, get);
    int server = rig_accept(&scene.servers[0]);
    rig_read_message(server);
    /* Once when it has got a connection, once at once, on the connection that is there now. */
    for (int i = 0; i < 2; i++)
        ck_assert_contains(rig_get(scene.rig, get), "reset reason: overflow");
    ck_assert_uint_eq(stat_of(&scene, CLUSTER_STAT(upstream_rq_pending_overflow)), 2);
    ck_assert_uint_eq(stat_of(&scene, CLUSTER_STAT(upstream_cx_total)), 2);
    ck_assert_uint_eq(stat_of(&scene, CLUSTER_STAT(breaker_rejected)), 0);
    rig_send(server, ok);
    ck_assert_begins(rig_read_message(client), "HTTP/1.1 200 ");
    close(client);
    close(server);
    tear_down(&scene);
}
END_TEST

/* --- a host on a unix socket: connecting to it fails at once where nobody listens --- */

static struct sockaddr_un unix_path;

static void on_unix_socket(struct rig_config *config, struct cluster_config *cluster)
{
    struct address *address = &cluster->endpoints->hosts[0].address;
    one_connection(config, cluster);
    address->path = unix_path;
    address->len = sizeof unix_path;
    address->text = STR("unix");
}

static int listen_unix(void)
{
    unix_path.sun_family = AF_UNIX;
    snprintf(unix_path.sun_path, sizeof unix_path.sun_path, "/tmp/test-cluster-%d.sock", getpid());
    unlink(unix_path.sun_path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&unix_path, sizeof unix_path), 0);
    ck_assert_int_eq(listen(fd, 8), 0);
    return fd;
}

START_TEST(who_waits_fails_when_the_one_connection_ends_and_no_other_can_be_opened)
{
    int listener = listen_unix();
    struct scene scene = set_up(1, on_unix_socket);
    int first = rig_connect(scene.rig), second = rig_connect(scene.rig);
    rig_send(first, get);
    int server = accept(listener, NULL, NULL);
    rig_read_message(server);
    rig_send(second, get);
    rig_await_cluster_stat(scene.rig, "a", CLUSTER_STAT(upstream_rq_pending_active), 1);
    close(listener);
    unlink(unix_path.sun_path);
    close(server);
    ck_assert_contains(rig_read_message(first), "reset reason: connection termination");
    ck_assert_contains(rig_read_message(second), "reset reason: remote connection failure");
    ck_assert_uint_eq(stat_of(&scene, CLUSTER_STAT(upstream_rq_pending_active)), 0);
    ck_assert_uint_eq(stat_of(&scene, CLUSTER_STAT(upstream_cx_active)), 0);
    close(first);
    close(second);
    tear_down(&scene);
}
END_TEST

static void two_connections(struct rig_config *config, struct cluster_config *cluster)
{
    (void)config;
    cluster->thresholds.connections_max = 2;
}

/* As another worker may, which counts against the same threshold. */
static struct shared_state *take_connection(struct scene *scene)
{
    struct shared_state *state = cluster_limits_get(scene->rig->shared, STR("a"));
    limit_force(&((struct cluster_limits *)shared_state_object(state))->connections);
    return state;
}

static void give_connection(struct shared_state *state)
{
    limit_give(&((struct cluster_limits *)shared_state_object(state))->connections);
    shared_state_unref(state);
}

START_TEST(a_second_try_takes_the_pooled_connection_where_no_more_may_be_opened)
{
    struct scene scene = set_up(1, two_connections);
    int clients[2], servers[2];
    for (int i = 0; i < 2; i++) {
        clients[i] = rig_connect(scene.rig);
        rig_send(clients[i], get);
        servers[i] = rig_accept(&scene.servers[0]);
        rig_read_message(servers[i]);
    }
    for (int i = 0; i < 2; i++) {
        rig_send(servers[i], ok);
        rig_read_message(clients[i]);
    }
    struct shared_state *taken = take_connection(&scene);
    rig_send(clients[0], get);
    rig_read_message(servers[1]); /* the one used last */
    close(servers[1]);
    rig_read_message(servers[0]);
    rig_send(servers[0], ok);
    ck_assert_begins(rig_read_message(clients[0]), "HTTP/1.1 200 ");
    ck_assert_uint_eq(stat_of(&scene, CLUSTER_STAT(upstream_cx_total)), 2);
    give_connection(taken);
    close(clients[0]);
    close(clients[1]);
    close(servers[0]);
    tear_down(&scene);
}
END_TEST

/* Keeps the worker from seeing one thing before the other. */
static struct {
    struct loop_post post;
    sem_t is_held, may_go;
} hold;

static void on_hold(struct loop_post *post)
{
    (void)post;
    sem_post(&hold.is_held);
    sem_wait(&hold.may_go);
}

static void hold_worker(struct proxy_rig *rig)
{
    sem_init(&hold.is_held, 0, 0);
    sem_init(&hold.may_go, 0, 0);
    loop_post(worker_pool_worker(rig->pool, 0)->loop, &hold.post, on_hold);
    sem_wait(&hold.is_held);
}

/* A server that restarts has closed them all. */
START_TEST(a_second_try_gets_a_connection_where_the_pooled_ones_are_gone_too)
{
    struct scene scene = set_up(1, two_connections);
    int clients[2], servers[2];
    for (int i = 0; i < 2; i++) {
        clients[i] = rig_connect(scene.rig);
        rig_send(clients[i], get);
        servers[i] = rig_accept(&scene.servers[0]);
        rig_read_message(servers[i]);
    }
    for (int i = 0; i < 2; i++) {
        rig_send(servers[i], ok);
        rig_read_message(clients[i]);
    }
    struct shared_state *taken = take_connection(&scene);
    rig_send(clients[0], get);
    rig_read_message(servers[1]); /* the one used last */
    hold_worker(scene.rig);
    close(servers[1]);
    close(servers[0]);
    sem_post(&hold.may_go);
    int server = rig_accept(&scene.servers[0]);
    rig_read_message(server);
    rig_send(server, ok);
    ck_assert_begins(rig_read_message(clients[0]), "HTTP/1.1 200 ");
    give_connection(taken);
    close(clients[0]);
    close(clients[1]);
    close(server);
    tear_down(&scene);
}
END_TEST

START_TEST(who_waits_gets_a_new_connection_when_the_one_in_use_ends)
{
    struct scene scene = set_up(1, one_connection);
    int first = rig_connect(scene.rig), second = rig_connect(scene.rig);
    rig_send(first, get);
    int server = rig_accept(&scene.servers[0]);
    rig_read_message(server);
    rig_send(second, get);
    rig_await_cluster_stat(scene.rig, "a", CLUSTER_STAT(upstream_rq_pending_active), 1);
    rig_send(server, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    rig_read_message(first);
    close(server);
    server = rig_accept(&scene.servers[0]);
    rig_read_message(server);
    rig_send(server, ok);
    ck_assert_begins(rig_read_message(second), "HTTP/1.1 200 ");
    close(first);
    close(second);
    close(server);
    tear_down(&scene);
}
END_TEST

START_TEST(hosts_take_turns)
{
    struct scene scene = set_up(2, NULL);
    int counts[2] = {0}, servers[2] = {-1, -1};
    int client = rig_connect(scene.rig);
    for (int i = 0; i < 2; i++) {
        rig_send(client, get);
        struct timeval none = {.tv_usec = 200000};
        for (int host = 0; host < 2; host++) {
            setsockopt(scene.servers[host].fd, SOL_SOCKET, SO_RCVTIMEO, &none, sizeof none);
            int fd = accept(scene.servers[host].fd, NULL, NULL);
            if (fd < 0)
                continue;
            servers[host] = fd;
            counts[host]++;
            rig_read_message(fd);
            rig_send(fd, ok);
            break;
        }
        rig_read_message(client);
    }
    ck_assert(counts[0] == 1 && counts[1] == 1);
    close(client);
    close(servers[0]);
    close(servers[1]);
    tear_down(&scene);
}
END_TEST

static uint32_t open_for_ms; /* of breakers, and of ejections */

static void with_breaker(struct rig_config *config, struct cluster_config *cluster)
{
    rig_cluster_breaker(config, cluster,
                        (struct breaker_config){.consecutive_failures = 2,
                                                .open_for_ms = open_for_ms,
                                                .half_open_requests = 1,
                                                .success_threshold = 1});
}

START_TEST(the_breaker_opens_and_stays_open_when_published_again)
{
    open_for_ms = 60000;
    struct scene scene = set_up(1, with_breaker);
    int server = answer_with(&scene, -1, bad, "HTTP/1.1 500 ");
    answer_with(&scene, server, ok, "HTTP/1.1 200 ");
    answer_with(&scene, server, bad, "HTTP/1.1 500 ");
    answer_with(&scene, server, bad, "HTTP/1.1 500 ");
    const char *answer = rig_get(scene.rig, get);
    ck_assert_begins(answer, "HTTP/1.1 503 ");
    ck_assert_contains(answer, "\r\n\r\nno healthy upstream");
    const char *retry_after = strstr(answer, "retry-after: ");
    ck_assert_ptr_nonnull(retry_after);
    ck_assert_int_gt(strtol(retry_after + 13, NULL, 10), 0);
    ck_assert_int_le(strtol(retry_after + 13, NULL, 10), 60);
    ck_assert_uint_eq(stat_of(&scene, CLUSTER_STAT(breaker_rejected)), 1);
    publish(&scene, 1, with_breaker);
    ck_assert_contains(rig_get(scene.rig, get), "no healthy upstream");
    close(server);
    tear_down(&scene);
}
END_TEST

START_TEST(an_open_breaker_tries_and_closes)
{
    open_for_ms = 50;
    struct scene scene = set_up(1, with_breaker);
    int server = answer_with(&scene, -1, bad, "HTTP/1.1 500 ");
    answer_with(&scene, server, bad, "HTTP/1.1 500 ");
    usleep(70000);
    /* one may try; while it does, no other */
    int client = rig_connect(scene.rig);
    rig_send(client, get);
    rig_read_message(server);
    ck_assert_contains(rig_get(scene.rig, get), "no healthy upstream");
    rig_send(server, ok);
    ck_assert_begins(rig_read_message(client), "HTTP/1.1 200 ");
    close(client);
    answer_with(&scene, server, ok, "HTTP/1.1 200 ");
    close(server);
    tear_down(&scene);
}
END_TEST

START_TEST(a_client_that_leaves_is_no_failure_and_gives_the_trial_back)
{
    open_for_ms = 50;
    struct scene scene = set_up(1, with_breaker);
    int server = answer_with(&scene, -1, bad, "HTTP/1.1 500 ");
    answer_with(&scene, server, bad, "HTTP/1.1 500 ");
    usleep(70000);
    int client = rig_connect(scene.rig);
    rig_send(client, get);
    rig_read_message(server);
    close(client);
    rig_expect_closed(server);
    server = answer_with(&scene, -1, ok, "HTTP/1.1 200 ");
    answer_with(&scene, server, ok, "HTTP/1.1 200 ");
    close(server);
    tear_down(&scene);
}
END_TEST

static void with_another_breaker(struct rig_config *config, struct cluster_config *cluster)
{
    rig_cluster_breaker(config, cluster,
                        (struct breaker_config){.consecutive_failures = 9,
                                                .open_for_ms = open_for_ms,
                                                .half_open_requests = 1,
                                                .success_threshold = 1});
}

START_TEST(a_trial_that_ends_under_other_settings_does_not_close_the_door_for_ever)
{
    open_for_ms = 50;
    struct scene scene = set_up(1, with_breaker);
    int holder = rig_connect(scene.rig); /* of the first configuration, to the end */
    rig_send(holder, get);
    int held = rig_accept(&scene.servers[0]);
    rig_read_message(held);
    int server = answer_with(&scene, -1, bad, "HTTP/1.1 500 ");
    answer_with(&scene, server, bad, "HTTP/1.1 500 ");
    usleep(70000);
    int client = rig_connect(scene.rig);
    rig_send(client, get);
    rig_read_message(server);
    publish(&scene, 1, with_another_breaker);
    rig_send(server, ok);
    ck_assert_begins(rig_read_message(client), "HTTP/1.1 200 ");
    publish(&scene, 1, with_breaker);
    answer_with(&scene, server, ok, "HTTP/1.1 200 ");
    close(client);
    close(server);
    close(holder);
    close(held);
    tear_down(&scene);
}
END_TEST

static void with_outlier(struct rig_config *config, struct cluster_config *cluster)
{
    cluster->healthy_panic_threshold_percent = 0;
    rig_cluster_outlier(config, cluster,
                        (struct outlier_config){.consecutive_5xx = 2,
                                                .enforcing_consecutive_5xx_percent = 100,
                                                .interval_ms = 100,
                                                .base_ejection_time_ms = open_for_ms,
                                                .max_ejection_time_ms = open_for_ms,
                                                .max_ejection_percent = 100,
                                                .always_eject_one_host = true});
}

START_TEST(an_ejected_host_gets_nothing)
{
    open_for_ms = 60000;
    struct scene scene = set_up(1, with_outlier);
    int server = answer_with(&scene, -1, bad, "HTTP/1.1 500 ");
    answer_with(&scene, server, bad, "HTTP/1.1 500 ");
    ck_assert_contains(rig_get(scene.rig, get), "\r\n\r\nno healthy upstream");
    ck_assert_uint_eq(stat_of(&scene, CLUSTER_STAT(outlier_detection_ejections_enforced_total)), 1);
    close(server);
    tear_down(&scene);
}
END_TEST

START_TEST(an_ejected_host_is_back_when_its_time_is_over)
{
    open_for_ms = 50;
    struct scene scene = set_up(1, with_outlier);
    int server = answer_with(&scene, -1, bad, "HTTP/1.1 500 ");
    answer_with(&scene, server, bad, "HTTP/1.1 500 ");
    usleep(70000);
    answer_with(&scene, server, ok, "HTTP/1.1 200 ");
    ck_assert_uint_eq(stat_of(&scene, CLUSTER_STAT(outlier_detection_ejections_enforced_total)), 1);
    close(server);
    tear_down(&scene);
}
END_TEST

START_TEST(connections_of_a_host_that_stays_survive_and_those_of_one_that_goes_end)
{
    struct scene scene = set_up(1, NULL);
    int server = answer_with(&scene, -1, ok, "HTTP/1.1 200 ");
    publish(&scene, 1, one_connection); /* other settings, same host */
    answer_with(&scene, server, ok, "HTTP/1.1 200 ");
    ck_assert_uint_eq(stat_of(&scene, CLUSTER_STAT(upstream_cx_total)), 1);
    /* a request is under way when its host goes: it is answered, then the connection ends */
    int client = rig_connect(scene.rig);
    rig_send(client, get);
    rig_read_message(server);
    publish(&scene, 0, NULL);
    rig_send(server, ok);
    ck_assert_begins(rig_read_message(client), "HTTP/1.1 200 ");
    rig_expect_closed(server);
    rig_send(client, get);
    ck_assert_contains(rig_read_message(client), "no healthy upstream");
    close(client);
    tear_down(&scene);
}
END_TEST

START_TEST(a_request_outlives_its_cluster)
{
    struct scene scene = set_up(1, with_breaker);
    int client = rig_connect(scene.rig);
    rig_send(client, get);
    int server = rig_accept(&scene.servers[0]);
    rig_read_message(server);
    struct rig_config *config = rig_config_new(scene.rig);
    rig_config_routes(config, "name: r\n");
    rig_publish(scene.rig, config);
    rig_send(server, ok);
    ck_assert_begins(rig_read_message(client), "HTTP/1.1 200 ");
    rig_send(client, get);
    ck_assert_begins(rig_read_message(client), "HTTP/1.1 404 ");
    rig_expect_closed(server);
    close(client);
    tear_down(&scene);
}
END_TEST

TEST_MAIN("cluster", a_refused_connection_is_answered_503,
          without_hosts_there_is_no_healthy_upstream, a_connect_that_takes_too_long_is_answered_503,
          more_requests_than_the_threshold_are_refused,
          requests_beyond_the_connections_wait_and_beyond_that_are_refused,
          requests_that_wait_are_not_under_way,
          who_is_refused_for_a_threshold_is_no_failure_of_the_host,
          who_waits_fails_when_the_one_connection_ends_and_no_other_can_be_opened,
          a_second_try_takes_the_pooled_connection_where_no_more_may_be_opened,
          a_second_try_gets_a_connection_where_the_pooled_ones_are_gone_too,
          who_waits_gets_a_new_connection_when_the_one_in_use_ends, hosts_take_turns,
          the_breaker_opens_and_stays_open_when_published_again, an_open_breaker_tries_and_closes,
          a_client_that_leaves_is_no_failure_and_gives_the_trial_back,
          a_trial_that_ends_under_other_settings_does_not_close_the_door_for_ever,
          an_ejected_host_gets_nothing, an_ejected_host_is_back_when_its_time_is_over,
          connections_of_a_host_that_stays_survive_and_those_of_one_that_goes_end,
          a_request_outlives_its_cluster)
