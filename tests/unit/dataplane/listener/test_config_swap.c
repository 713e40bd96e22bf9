/* New configurations, listeners that come and go, draining: under traffic. */
#include "tests/support/loop_until.h"
#include "tests/support/proxy_rig.h"
#include "tests/support/test.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static const char get[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/* --- a server and clients on threads of their own -------------------------------------------- */

struct traffic {
    struct proxy_rig *rig;
    struct rig_server server;
    _Atomic bool is_over;
    _Atomic unsigned answers, failures;
};

static void *serve_connection(void *arg)
{
    int fd = (int)(intptr_t)arg;
    char bytes[4096];
    while (recv(fd, bytes, sizeof bytes, 0) > 0)
        if (send(fd, ok, sizeof ok - 1, MSG_NOSIGNAL) < 0)
            break;
    close(fd);
    return NULL;
}

static void *serve(void *arg)
{
    struct traffic *traffic = arg;
    for (int fd; (fd = accept(traffic->server.fd, NULL, NULL)) >= 0;) {
        pthread_t thread;
        pthread_create(&thread, NULL, serve_connection, (void *)(intptr_t)fd);
        pthread_detach(thread);
    }
    return NULL;
}

/* Keeps one connection busy; anything but a 200 is a failure. */
static void *request(void *arg)
{
    struct traffic *traffic = arg;
    int fd = rig_connect(traffic->rig);
    char bytes[4096];
    while (!traffic->is_over) {
        ssize_t n = send(fd, get, sizeof get - 1, MSG_NOSIGNAL);
        n = n < 0 ? n : recv(fd, bytes, sizeof bytes, 0);
        bool is_ok = n > 12 && memcmp(bytes, "HTTP/1.1 200", 12) == 0;
        atomic_fetch_add(is_ok ? &traffic->answers : &traffic->failures, 1);
        if (!is_ok)
            break;
    }
    close(fd);
    return NULL;
}

static struct rig_config *config_of(struct traffic *traffic, unsigned variant)
{
    struct rig_config *config = rig_config_new(traffic->rig);
    config->listener->request_headers_max = 50 + variant % 50;
    rig_config_routes(config, rig_routes_to_a);
    struct cluster_config *a = rig_config_cluster(config, "a", &traffic->server.port, 1);
    a->connect_timeout_ms = 20000 + variant;
    if (variant % 3 == 0)
        rig_cluster_breaker(config, a,
                            (struct breaker_config){.consecutive_failures = 5 + variant % 2,
                                                    .open_for_ms = 1000,
                                                    .half_open_requests = 1,
                                                    .success_threshold = 1});
    if (variant % 3 == 1)
        rig_cluster_outlier(config, a,
                            (struct outlier_config){.consecutive_5xx = 5,
                                                    .interval_ms = 1000,
                                                    .base_ejection_time_ms = 1000,
                                                    .max_ejection_percent = 100});
    char name[16];
    for (unsigned i = 0; i < variant % 4; i++) {
        snprintf(name, sizeof name, "other-%u", variant + i);
        rig_config_cluster(config, name, &traffic->server.port, 1);
    }
    return config;
}

START_TEST(no_request_fails_while_configurations_come_one_after_the_other)
{
    struct traffic traffic = {.rig = proxy_rig_new(2), .server = rig_listen()};
    struct timeval never = {0};
    setsockopt(traffic.server.fd, SOL_SOCKET, SO_RCVTIMEO, &never, sizeof never);
    rig_publish(traffic.rig, config_of(&traffic, 0));
    pthread_t server, clients[8];
    pthread_create(&server, NULL, serve, &traffic);
    for (int i = 0; i < 8; i++)
        pthread_create(&clients[i], NULL, request, &traffic);
    for (unsigned i = 1; i <= 150; i++)
        rig_publish(traffic.rig, config_of(&traffic, i));
    traffic.is_over = true;
    for (int i = 0; i < 8; i++)
        pthread_join(clients[i], NULL);
    ck_assert_uint_eq(traffic.failures, 0);
    ck_assert_uint_gt(traffic.answers, 100);
    proxy_rig_free(traffic.rig);
    shutdown(traffic.server.fd, SHUT_RDWR);
    pthread_join(server, NULL);
    close(traffic.server.fd);
}
END_TEST

/* --- listeners ------------------------------------------------------------------------------- */

static struct traffic set_up(void)
{
    struct traffic traffic = {.rig = proxy_rig_new(2), .server = rig_listen()};
    rig_publish(traffic.rig, config_of(&traffic, 2));
    return traffic;
}

static void tear_down(struct traffic *traffic)
{
    close(traffic->server.fd);
    proxy_rig_free(traffic->rig);
}

static bool is_listening(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    bool is_ok = connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
    close(fd);
    return is_ok;
}

START_TEST(a_removed_listener_answers_what_it_has_and_closes)
{
    struct traffic traffic = set_up();
    int busy = rig_connect(traffic.rig), idle = rig_connect(traffic.rig);
    rig_send(busy, get);
    int server = rig_accept(&traffic.server);
    rig_read_message(server);
    rig_publish_nothing(traffic.rig);
    ck_assert(!is_listening(traffic.rig->port));
    rig_send(server, ok);
    const char *answer = rig_read_message(busy);
    ck_assert_begins(answer, "HTTP/1.1 200 ");
    ck_assert_contains(answer, "connection: close\r\n");
    rig_expect_closed(busy);
    /* the idle one may send once more, and gets its answer by the last configuration there was */
    rig_send(idle, get);
    ck_assert_contains(rig_read_message(idle), "connection: close\r\n");
    rig_expect_closed(idle);
    close(server);
    /* and it may come back */
    rig_publish(traffic.rig, config_of(&traffic, 2));
    ck_assert(is_listening(traffic.rig->port));
    tear_down(&traffic);
}
END_TEST

START_TEST(a_listener_may_go_and_come_back_in_one_breath)
{
    struct traffic traffic = set_up();
    for (int i = 0; i < 20; i++) {
        struct config *none = config_new(0, 0);
        none->generation = ++traffic.rig->generation;
        config_publish(traffic.rig->pool, none);
        config_unref(none);
        rig_publish(traffic.rig, config_of(&traffic, 2));
        ck_assert(is_listening(traffic.rig->port));
    }
    tear_down(&traffic);
}
END_TEST

START_TEST(a_listener_of_another_name_takes_over_the_address)
{
    struct traffic traffic = set_up();
    int old = rig_connect(traffic.rig);
    rig_send(old, "GET");
    rig_await_http_stat(traffic.rig, offsetof(struct http_stats, downstream_cx_active), 1);
    struct rig_config *config = config_of(&traffic, 2);
    shared_state_unref(config->listener->stats);
    config->listener->stats = stats_scope_get(traffic.rig->shared, false, STR("renamed"), 2);
    rig_publish(traffic.rig, config);
    ck_assert(is_listening(traffic.rig->port));
    rig_send(old, " / HTTP/1.1\r\nHost: a\r\n\r\n");
    int server = rig_accept(&traffic.server);
    rig_read_message(server);
    rig_send(server, ok);
    ck_assert_contains(rig_read_message(old), "connection: close\r\n");
    close(old);
    close(server);
    tear_down(&traffic);
}
END_TEST

START_TEST(a_port_that_somebody_has_is_reported_before_anything_changes)
{
    struct traffic traffic = set_up();
    int taken = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    /* also one that would share it */
    setsockopt(taken, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
    ck_assert_int_eq(bind(taken, (struct sockaddr *)&address, len), 0);
    ck_assert_int_eq(listen(taken, 1), 0);
    getsockname(taken, (struct sockaddr *)&address, &len);
    struct listener_config *listener = listener_config_new();
    listener->name = STR("public/http");
    listener->address.v4 = address;
    listener->address.len = len;
    listener->address.text =
        str_from(arena_printf(&listener->arena, "127.0.0.1:%u", ntohs(address.sin_port)));
    struct errmsg msg;
    ck_assert_int_eq(worker_pool_bind(traffic.rig->pool, listener, &msg), ERR_EXISTS);
    ck_assert_begins(msg.text, "listener public/http: 127.0.0.1:");
    ck_assert_contains(msg.text, "address already in use");
    ck_assert(is_listening(traffic.rig->port));
    close(taken);
    /* bound and never published: given back with the next configuration */
    ck_assert_int_eq(worker_pool_bind(traffic.rig->pool, listener, &msg), 0);
    ck_assert(is_listening(ntohs(address.sin_port)));
    rig_publish(traffic.rig, config_of(&traffic, 2));
    ck_assert(!is_listening(ntohs(address.sin_port)));
    listener_config_unref(listener);
    tear_down(&traffic);
}
END_TEST

START_TEST(port_0_is_any_port_and_the_same_for_all_workers)
{
    struct traffic traffic = {.rig = proxy_rig_new(3), .server = rig_listen()};
    struct rig_config *config = config_of(&traffic, 2);
    config->listener->address.v4.sin_port = 0;
    config->listener->address.text = STR("127.0.0.1:0");
    rig_publish(traffic.rig, config);
    uint16_t port = worker_pool_port(traffic.rig->pool, STR("127.0.0.1:0"));
    ck_assert_uint_ne(port, 0);
    for (int i = 0; i < 10; i++)
        ck_assert(is_listening(port));
    tear_down(&traffic);
}
END_TEST

/* --- draining -------------------------------------------------------------------------------- */

static void on_drained(void *arg)
{
    *(bool *)arg = true;
}

START_TEST(a_drain_ends_with_the_last_connection)
{
    struct traffic traffic = set_up();
    int busy = rig_connect(traffic.rig), idle = rig_connect(traffic.rig);
    bool is_drained = false;
    rig_send(busy, get);
    int server = rig_accept(&traffic.server);
    rig_read_message(server);
    worker_pool_drain(traffic.rig->pool, 20000, on_drained, &is_drained);
    ck_assert(!loop_until_flag(traffic.rig->main_loop, 300, &is_drained));
    ck_assert(!is_listening(traffic.rig->port));
    rig_send(server, ok);
    ck_assert_contains(rig_read_message(busy), "connection: close\r\n");
    rig_expect_closed(busy);
    ck_assert(loop_until_flag(traffic.rig->main_loop, 5000, &is_drained));
    rig_expect_closed(idle);
    close(server);
    tear_down(&traffic);
}
END_TEST

START_TEST(a_drain_has_a_deadline)
{
    struct traffic traffic = set_up();
    int busy = rig_connect(traffic.rig);
    bool is_drained = false;
    rig_send(busy, get);
    int server = rig_accept(&traffic.server);
    rig_read_message(server);
    worker_pool_drain(traffic.rig->pool, 100, on_drained, &is_drained);
    ck_assert(loop_until_flag(traffic.rig->main_loop, 5000, &is_drained));
    tear_down(&traffic);
    rig_expect_closed(busy);
    close(server);
}
END_TEST

TEST_MAIN("config_swap", no_request_fails_while_configurations_come_one_after_the_other,
          a_removed_listener_answers_what_it_has_and_closes,
          a_listener_may_go_and_come_back_in_one_breath,
          a_listener_of_another_name_takes_over_the_address,
          a_port_that_somebody_has_is_reported_before_anything_changes,
          port_0_is_any_port_and_the_same_for_all_workers, a_drain_ends_with_the_last_connection,
          a_drain_has_a_deadline)
