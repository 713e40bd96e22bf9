/* A filter that holds a request head until something else has happened: what a lookup at another
 * server will do. The one here waits for time to pass. */
#include "tests/support/proxy_rig.h"
#include "tests/support/test.h"

#include "dataplane/http/filter.h"

#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#define HTTP_STAT(field) offsetof(struct http_stats, field)
#define CLUSTER_STAT(field) offsetof(struct cluster_stats, field)

static const char get[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
static const char post[] = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n";
static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/* --- the filter ------------------------------------------------------------------------------ */

enum { FOR_EVER = 0 };

struct wait_settings {
    uint64_t for_ms; /* FOR_EVER: until the stream ends */
    bool denies;     /* then answers 403 itself; otherwise it lets the request go on */
};

struct wait {
    struct loop_timer timer;
    struct http_stream *stream;
    bool denies;
};

static atomic_uint waiting, ended;

static void on_time_over(struct loop_timer *timer)
{
    struct wait *wait = CONTAINER_OF(timer, struct wait, timer);
    worker_update_clock(wait->stream->worker);
    if (wait->denies)
        http_stream_reply(wait->stream, 403, STR("no"), "denied", NULL);
    http_stream_resume(wait->stream);
}

static enum filter_status on_request_headers(struct http_filter *filter, struct http_stream *stream,
                                             bool is_end)
{
    (void)is_end;
    const struct wait_settings *settings = filter->config;
    struct wait *wait = ARENA_NEW(&stream->arena, struct wait);
    filter->state = wait;
    wait->stream = stream;
    wait->denies = settings->denies;
    loop_timer_init(&wait->timer, stream->worker->loop, on_time_over);
    if (settings->for_ms)
        loop_timer_start(&wait->timer, settings->for_ms);
    waiting++;
    return FILTER_PAUSE;
}

static void on_destroy(struct http_filter *filter, struct http_stream *stream)
{
    (void)stream;
    struct wait *wait = filter->state;
    if (!wait)
        return;
    loop_timer_stop(&wait->timer);
    ended++;
}

static const struct http_filter_type wait_filter = {
    .name = "wait", .on_request_headers = on_request_headers, .on_destroy = on_destroy};

/* --- the scene ------------------------------------------------------------------------------- */

struct scene {
    struct proxy_rig *rig;
    struct rig_server server;
};

/* Puts `count` waiting filters before the router. */
static void add_waits(struct rig_config *config, struct wait_settings settings, uint32_t count)
{
    struct listener_config *listener = config->listener;
    struct filter_config *filters = arena_alloc_array(&listener->arena, count + 1, sizeof *filters);
    struct wait_settings *copy = ARENA_NEW(&listener->arena, struct wait_settings);
    *copy = settings;
    for (uint32_t i = 0; i < count; i++) {
        filters[i].type = &wait_filter;
        filters[i].config = copy;
        filters[i].name_slot = name_slots_acquire(config->rig->filter_slots, STR("wait"));
    }
    filters[count] = listener->filters[0];
    listener->filters = filters;
    listener->filter_count = count + 1;
}

static struct rig_config *config_of(struct scene *scene, struct wait_settings settings)
{
    struct rig_config *config = rig_config_new(scene->rig);
    add_waits(config, settings, 1);
    rig_config_routes(config, rig_routes_to_a);
    rig_config_cluster(config, "a", &scene->server.port, 1);
    return config;
}

static struct scene start(void)
{
    waiting = ended = 0;
    return (struct scene){.rig = proxy_rig_new(1), .server = rig_listen()};
}

static struct scene set_up(struct wait_settings settings)
{
    struct scene scene = start();
    rig_publish(scene.rig, config_of(&scene, settings));
    return scene;
}

static void tear_down(struct scene *scene)
{
    close(scene->server.fd);
    proxy_rig_free(scene->rig);
    ck_assert_uint_eq(ended, waiting); /* no timer outlives its stream */
}

static void await(atomic_uint *count, unsigned wanted)
{
    for (int i = 0; *count < wanted && i < RIG_WAIT_MS; i++)
        usleep(1000);
    ck_assert_uint_eq(*count, wanted);
}

static void answer_one(struct scene *scene, int client, const char *begin)
{
    int server = rig_accept(&scene->server);
    ck_assert_begins(rig_read_message(server), begin);
    rig_send(server, ok);
    ck_assert_begins(rig_read_message(client), "HTTP/1.1 200 ");
    close(server);
}

/* --- going on -------------------------------------------------------------------------------- */

START_TEST(a_held_request_goes_on_when_it_is_let_go)
{
    struct scene scene = set_up((struct wait_settings){.for_ms = 20});
    int client = rig_connect(scene.rig);
    rig_send(client, get);
    answer_one(&scene, client, "GET / HTTP/1.1\r\n");
    close(client);
    tear_down(&scene);
}
END_TEST

START_TEST(filters_may_hold_a_request_one_after_the_other)
{
    struct scene scene = start();
    struct rig_config *config = rig_config_new(scene.rig);
    add_waits(config, (struct wait_settings){.for_ms = 5}, 3);
    rig_config_routes(config, rig_routes_to_a);
    rig_config_cluster(config, "a", &scene.server.port, 1);
    rig_publish(scene.rig, config);
    int client = rig_connect(scene.rig);
    rig_send(client, post);
    rig_send(client, "abc");
    answer_one(&scene, client, "POST / HTTP/1.1\r\n");
    ck_assert_uint_eq(waiting, 3);
    close(client);
    tear_down(&scene);
}
END_TEST

START_TEST(a_request_behind_a_held_one_waits_for_its_turn)
{
    struct scene scene = set_up((struct wait_settings){.for_ms = 20});
    int client = rig_connect(scene.rig), server = -1;
    rig_send(client, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\n"
                     "Content-Length: 3\r\n\r\nabcGET /3 HTTP/1.1\r\nHost: a\r\n\r\n");
    static const char *const begins[] = {"GET /1 ", "POST /2 ", "GET /3 "};
    for (int i = 0; i < 3; i++) {
        if (server < 0)
            server = rig_accept(&scene.server);
        ck_assert_begins(rig_read_message(server), begins[i]);
        ck_assert_uint_eq(waiting, (unsigned)i + 1);
        rig_send(server, ok);
        ck_assert_begins(rig_read_message(client), "HTTP/1.1 200 ");
    }
    close(client);
    close(server);
    tear_down(&scene);
}
END_TEST

/* Sends until the proxy takes no more; returns how much that was. */
static size_t send_until_blocked(int fd)
{
    static const char bytes[16 * 1024];
    size_t total = 0;
    for (int idle = 0; idle < 20;) {
        ssize_t n = send(fd, bytes, sizeof bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
        total += n > 0 ? (size_t)n : 0;
        idle = n > 0 ? 0 : idle + 1;
        ck_assert_uint_lt(total, 32u << 20);
        if (n <= 0)
            usleep(10000);
    }
    return total;
}

/* The kernel's buffers fill, ours do not; then all of it arrives. */
START_TEST(the_body_of_a_held_request_stays_where_it_is_and_none_of_it_is_lost)
{
    const size_t total = 64u << 20;
    struct scene scene = set_up((struct wait_settings){.for_ms = 1000});
    int client = rig_connect(scene.rig), server = -1;
    rig_send(client, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 67108864\r\n\r\n");
    size_t sent = send_until_blocked(client), read = 0;
    ck_assert_uint_lt(rig_http_stat(scene.rig, HTTP_STAT(downstream_cx_rx_bytes_total)),
                      256 * 1024);
    server = rig_accept(&scene.server);
    rig_read_until(server, "\r\n\r\n");
    static char bytes[64 * 1024];
    while (read < total) {
        size_t part = total - sent < sizeof bytes ? total - sent : sizeof bytes;
        ssize_t n = part ? send(client, bytes, part, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
        sent += n > 0 ? (size_t)n : 0;
        n = recv(server, bytes, sizeof bytes, n > 0 ? MSG_DONTWAIT : 0);
        read += n > 0 ? (size_t)n : 0;
    }
    rig_send(server, ok);
    ck_assert_begins(rig_read_message(client), "HTTP/1.1 200 ");
    close(client);
    close(server);
    tear_down(&scene);
}
END_TEST

START_TEST(a_client_that_expects_100_gets_it_when_its_request_goes_on)
{
    struct scene scene = set_up((struct wait_settings){.for_ms = 50});
    int client = rig_connect(scene.rig);
    rig_send(client, "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                     "Content-Length: 3\r\n\r\n");
    await(&waiting, 1);
    ck_assert_str_eq(rig_read_until(client, "\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    rig_send(client, "abc");
    answer_one(&scene, client, "POST / HTTP/1.1\r\n");
    close(client);
    tear_down(&scene);
}
END_TEST

START_TEST(the_time_a_request_was_held_is_not_taken_from_the_servers)
{
    struct scene scene = start();
    struct rig_config *config = config_of(&scene, (struct wait_settings){.for_ms = 2000});
    config->listener->stream_idle_timeout_ms = 3000;
    rig_publish(scene.rig, config);
    int client = rig_connect(scene.rig);
    rig_send(client, get);
    int server = rig_accept(&scene.server);
    rig_read_message(server);
    rig_expect_silence(client, 2000);
    rig_send(server, ok);
    ck_assert_begins(rig_read_message(client), "HTTP/1.1 200 ");
    close(client);
    close(server);
    tear_down(&scene);
}
END_TEST

/* --- not going on ---------------------------------------------------------------------------- */

START_TEST(a_held_request_may_be_refused_later_and_the_connection_goes_on)
{
    struct scene scene = set_up((struct wait_settings){.for_ms = 5, .denies = true});
    int client = rig_connect(scene.rig);
    for (int i = 0; i < 3; i++) {
        rig_send(client,
                 i == 1 ? "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" : get);
        const char *answer = rig_read_message(client);
        ck_assert_begins(answer, "HTTP/1.1 403 ");
        ck_assert_lacks(answer, "connection: close");
    }
    close(client);
    ck_assert_uint_eq(rig_cluster_stat(scene.rig, "a", CLUSTER_STAT(upstream_rq_total)), 0);
    tear_down(&scene);
}
END_TEST

START_TEST(a_refusal_before_the_body_has_come_ends_the_connection)
{
    struct scene scene = set_up((struct wait_settings){.for_ms = 5, .denies = true});
    int client = rig_connect(scene.rig);
    rig_send(client, "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                     "Content-Length: 3\r\n\r\n");
    const char *answer = rig_read_message(client);
    ck_assert_begins(answer, "HTTP/1.1 403 ");
    ck_assert_contains(answer, "connection: close\r\n");
    rig_expect_closed(client);
    tear_down(&scene);
}
END_TEST

/* Opens a connection, sends this, and goes away once the filter holds the request. */
static void send_and_leave(struct scene *scene, const char *request, bool resets)
{
    unsigned before = waiting;
    int client = rig_connect(scene->rig);
    rig_send(client, request);
    await(&waiting, before + 1);
    if (resets)
        rig_reset(client);
    else
        close(client);
    await(&ended, before + 1);
}

START_TEST(a_client_that_leaves_ends_its_held_request_whatever_it_had_sent)
{
    struct scene scene = set_up((struct wait_settings){.for_ms = FOR_EVER});
    for (int resets = 0; resets < 2; resets++) {
        send_and_leave(&scene, get, resets);
        send_and_leave(&scene, post, resets);
        send_and_leave(&scene, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na", resets);
        send_and_leave(&scene, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
                       resets);
        send_and_leave(&scene,
                       "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
                       resets);
    }
    rig_await_http_stat(scene.rig, HTTP_STAT(downstream_rq_active), 0);
    rig_await_http_stat(scene.rig, HTTP_STAT(downstream_cx_active), 0);
    ck_assert_uint_eq(rig_http_stat(scene.rig, HTTP_STAT(downstream_rq_rx_reset)), 10);
    ck_assert_uint_eq(rig_cluster_stat(scene.rig, "a", CLUSTER_STAT(upstream_rq_total)), 0);
    tear_down(&scene);
}
END_TEST

START_TEST(a_held_request_that_stands_still_too_long_is_answered)
{
    struct scene scene = start();
    struct rig_config *config = config_of(&scene, (struct wait_settings){.for_ms = FOR_EVER});
    config->listener->stream_idle_timeout_ms = 50;
    rig_publish(scene.rig, config);
    int client = rig_connect(scene.rig);
    rig_send(client, get);
    ck_assert_begins(rig_read_message(client), "HTTP/1.1 504 ");
    rig_send(client, post);
    ck_assert_begins(rig_read_message(client), "HTTP/1.1 408 ");
    rig_expect_closed(client);
    tear_down(&scene);
}
END_TEST

START_TEST(a_held_request_that_takes_too_long_to_come_is_answered)
{
    struct scene scene = start();
    struct rig_config *config = config_of(&scene, (struct wait_settings){.for_ms = FOR_EVER});
    config->listener->request_timeout_ms = 50;
    rig_publish(scene.rig, config);
    int client = rig_connect(scene.rig);
    rig_send(client, post);
    ck_assert_begins(rig_read_message(client), "HTTP/1.1 408 ");
    rig_expect_closed(client);
    tear_down(&scene);
}
END_TEST

/* Both timers are due in the same turn, in this order or the other. */
START_TEST(a_timeout_and_the_letting_go_may_meet)
{
    for (uint64_t ms = 45; ms <= 55; ms++) {
        struct scene scene = start();
        struct rig_config *config = config_of(&scene, (struct wait_settings){.for_ms = ms});
        config->listener->stream_idle_timeout_ms = 50;
        rig_publish(scene.rig, config);
        int clients[4];
        for (int i = 0; i < 4; i++) {
            clients[i] = rig_connect(scene.rig);
            rig_send(clients[i], i % 2 ? get : post);
        }
        for (int i = 0; i < 4; i++) {
            ck_assert_begins(rig_read_message(clients[i]),
                             i % 2 ? "HTTP/1.1 504 " : "HTTP/1.1 408 ");
            close(clients[i]);
        }
        tear_down(&scene);
    }
}
END_TEST

/* --- meanwhile ------------------------------------------------------------------------------- */

START_TEST(a_held_request_keeps_its_configuration)
{
    struct scene scene = set_up((struct wait_settings){.for_ms = 300});
    int client = rig_connect(scene.rig);
    rig_send(client, get);
    await(&waiting, 1);
    struct rig_config *config = rig_config_new(scene.rig);
    rig_config_routes(config, "name: r\nvirtual_hosts: [{name: v, domains: ['*'], routes: [{match: "
                              "{prefix: /}, direct_response: {status: 418}}]}]\n");
    rig_config_cluster(config, "a", &scene.server.port, 1);
    rig_publish(scene.rig, config);
    answer_one(&scene, client, "GET / HTTP/1.1\r\n");
    rig_send(client, get);
    ck_assert_begins(rig_read_message(client), "HTTP/1.1 418 ");
    close(client);
    tear_down(&scene);
}
END_TEST

START_TEST(the_cluster_of_a_held_request_may_go)
{
    struct scene scene = set_up((struct wait_settings){.for_ms = 300});
    int client = rig_connect(scene.rig);
    rig_send(client, get);
    await(&waiting, 1);
    struct rig_config *config = rig_config_new(scene.rig);
    rig_config_routes(config, rig_routes_to_a);
    rig_config_cluster(config, "b", &scene.server.port, 1);
    rig_publish(scene.rig, config);
    ck_assert_begins(rig_read_message(client), "HTTP/1.1 503 ");
    close(client);
    tear_down(&scene);
}
END_TEST

START_TEST(the_listener_of_a_held_request_may_go)
{
    struct scene scene = set_up((struct wait_settings){.for_ms = 100});
    int client = rig_connect(scene.rig);
    rig_send(client, get);
    await(&waiting, 1);
    rig_publish_nothing(scene.rig);
    const char *answer = rig_read_message(client);
    ck_assert_begins(answer, "HTTP/1.1 503 "); /* its cluster went as well */
    ck_assert_contains(answer, "connection: close\r\n");
    rig_expect_closed(client);
    tear_down(&scene);
}
END_TEST

START_TEST(the_proxy_may_stop_while_requests_are_held)
{
    struct scene scene = set_up((struct wait_settings){.for_ms = FOR_EVER});
    int first = rig_connect(scene.rig), second = rig_connect(scene.rig);
    rig_send(first, get);
    rig_send(second, post);
    await(&waiting, 2);
    tear_down(&scene);
    rig_expect_closed(first);
    rig_expect_closed(second);
}
END_TEST

TEST_MAIN("pause", a_held_request_goes_on_when_it_is_let_go,
          filters_may_hold_a_request_one_after_the_other,
          a_request_behind_a_held_one_waits_for_its_turn,
          the_body_of_a_held_request_stays_where_it_is_and_none_of_it_is_lost,
          a_client_that_expects_100_gets_it_when_its_request_goes_on,
          the_time_a_request_was_held_is_not_taken_from_the_servers,
          a_held_request_may_be_refused_later_and_the_connection_goes_on,
          a_refusal_before_the_body_has_come_ends_the_connection,
          a_client_that_leaves_ends_its_held_request_whatever_it_had_sent,
          a_held_request_that_stands_still_too_long_is_answered,
          a_held_request_that_takes_too_long_to_come_is_answered,
          a_timeout_and_the_letting_go_may_meet, a_held_request_keeps_its_configuration,
          the_cluster_of_a_held_request_may_go, the_listener_of_a_held_request_may_go,
          the_proxy_may_stop_while_requests_are_held)
