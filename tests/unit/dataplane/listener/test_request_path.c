/* A request on its whole way: listener, stream, router, upstream, and back. One file: every test is
 * one way along the same line, over the same scene. */
#include "tests/support/proxy_rig.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define HTTP_STAT(field) offsetof(struct http_stats, field)
#define CLUSTER_STAT(field) offsetof(struct cluster_stats, field)

static const char get[] = "GET /x?y=1 HTTP/1.1\r\nHost: a.test\r\n\r\n";
static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/* A proxy in front of one server, cluster "a". */
struct scene {
    struct proxy_rig *rig;
    struct rig_server server;
};

static struct scene set_up(void)
{
    struct scene scene = {.rig = proxy_rig_new(1), .server = rig_listen()};
    struct rig_config *config = rig_config_new(scene.rig);
    rig_config_routes(config, rig_routes_to_a);
    rig_config_cluster(config, "a", &scene.server.port, 1);
    rig_publish(scene.rig, config);
    return scene;
}

static void tear_down(struct scene *scene)
{
    close(scene->server.fd);
    proxy_rig_free(scene->rig);
}

START_TEST(a_request_reaches_the_server_and_its_answer_the_client)
{
    struct scene scene = set_up();
    int client = rig_connect(scene.rig);
    rig_send(client, get);
    int server = rig_accept(&scene.server);
    const char *request = rig_read_message(server);
    ck_assert_begins(request, "GET /x?y=1 HTTP/1.1\r\n");
    ck_assert_contains(request, "\r\nhost: a.test\r\n");
    ck_assert_contains(request, "\r\nx-forwarded-for: 127.0.0.1\r\n");
    ck_assert_contains(request, "\r\nx-forwarded-proto: http\r\n");
    ck_assert_contains(request, "\r\nx-request-id: ");
    rig_send(server, ok);
    const char *answer = rig_read_message(client);
    ck_assert_begins(answer, "HTTP/1.1 200 OK\r\n");
    ck_assert_contains(answer, "\r\nserver: weir\r\n");
    ck_assert_contains(answer, "\r\ndate: ");
    ck_assert_contains(answer, "\r\ncontent-length: 2\r\n\r\nok");
    ck_assert_lacks(answer, "connection:");
    close(client);
    close(server);
    tear_down(&scene);
}
END_TEST

START_TEST(both_connections_are_used_again)
{
    struct scene scene = set_up();
    int client = rig_connect(scene.rig), server = -1;
    for (int i = 0; i < 5; i++) {
        rig_send(client, get);
        if (server < 0)
            server = rig_accept(&scene.server);
        rig_read_message(server);
        rig_send(server, ok);
        ck_assert_begins(rig_read_message(client), "HTTP/1.1 200 OK\r\n");
    }
    ck_assert_uint_eq(rig_cluster_stat(scene.rig, "a", CLUSTER_STAT(upstream_cx_total)), 1);
    ck_assert_uint_eq(rig_cluster_stat(scene.rig, "a", CLUSTER_STAT(upstream_rq_total)), 5);
    ck_assert_uint_eq(rig_http_stat(scene.rig, HTTP_STAT(downstream_cx_total)), 1);
    rig_await_http_stat(scene.rig, HTTP_STAT(downstream_rq_2xx), 5);
    close(client);
    close(server);
    tear_down(&scene);
}
END_TEST

/* Publishes routes instead of those of set_up; cluster "a" stays. */
static void use_routes(struct scene *scene, const char *yaml)
{
    struct rig_config *config = rig_config_new(scene->rig);
    rig_config_routes(config, yaml);
    rig_config_cluster(config, "a", &scene->server.port, 1);
    rig_publish(scene->rig, config);
}

/* One exchange on connections that are there or made; returns the server's. */
static int exchange(struct scene *scene, int client, int server, const char *request,
                    const char *answer)
{
    rig_send(client, request);
    if (server < 0)
        server = rig_accept(&scene->server);
    rig_read_message(server);
    rig_send(server, answer);
    return server;
}

START_TEST(a_request_may_come_in_any_two_pieces)
{
    struct scene scene = set_up();
    static const char post[] = "POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                               "5\r\nhello\r\n0\r\n\r\n";
    int client = rig_connect(scene.rig), server = -1;
    for (size_t at = 1; at < sizeof post - 1; at++) {
        rig_send_bytes(client, post, at);
        usleep(300);
        rig_send(client, post + at);
        if (server < 0)
            server = rig_accept(&scene.server);
        const char *request = rig_read_message(server);
        ck_assert_begins(request, "POST /p HTTP/1.1\r\n");
        ck_assert_contains(request, "transfer-encoding: chunked\r\n");
        ck_assert_contains(request, "\r\n0\r\n\r\n");
        rig_send(server, ok);
        ck_assert_begins(rig_read_message(client), "HTTP/1.1 200 OK\r\n");
    }
    close(client);
    close(server);
    tear_down(&scene);
}
END_TEST

START_TEST(an_answer_may_come_byte_by_byte)
{
    struct scene scene = set_up();
    static const char answer[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: b\r\n\r\n"
                                 "5\r\nhello\r\n0\r\n\r\n";
    int client = rig_connect(scene.rig);
    rig_send(client, get);
    int server = rig_accept(&scene.server);
    rig_read_message(server);
    for (size_t i = 0; i < sizeof answer - 1; i++) {
        rig_send_bytes(server, answer + i, 1);
        usleep(200);
    }
    const char *got = rig_read_message(client);
    ck_assert_begins(got, "HTTP/1.1 200 OK\r\n");
    ck_assert_contains(got, "x-a: b\r\n");
    ck_assert_contains(got, "transfer-encoding: chunked\r\n");
    ck_assert_contains(got, "\r\n0\r\n\r\n");
    exchange(&scene, client, server, get, ok);
    ck_assert_begins(rig_read_message(client), "HTTP/1.1 200 OK\r\n");
    close(client);
    close(server);
    tear_down(&scene);
}
END_TEST

START_TEST(pipelined_requests_are_answered_in_order_and_a_bad_one_ends_the_connection)
{
    struct scene scene = set_up();
    int client = rig_connect(scene.rig);
    rig_send(client, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\n"
                     "Content-Length: 3\r\n\r\nabcGET /3 HTTP/1.1\r\nHost: a\r\n\r\n"
                     "GET /4 HTTP/1.1\r\nHost a\r\n\r\nGET /5 HTTP/1.1\r\nHost: a\r\n\r\n");
    int server = rig_accept(&scene.server);
    const char *requests[] = {"GET /1 ", "POST /2 ", "GET /3 "};
    const char *answers[] = {"HTTP/1.1 201 Created\r\nContent-Length: 1\r\n\r\n1",
                             "HTTP/1.1 202 Accepted\r\nContent-Length: 1\r\n\r\n2",
                             "HTTP/1.1 203 X\r\nContent-Length: 1\r\n\r\n3"};
    for (int i = 0; i < 3; i++) {
        ck_assert_begins(rig_read_message(server), requests[i]);
        rig_send(server, answers[i]);
    }
    ck_assert_begins(rig_read_message(client), "HTTP/1.1 201 ");
    ck_assert_begins(rig_read_message(client), "HTTP/1.1 202 ");
    ck_assert_begins(rig_read_message(client), "HTTP/1.1 203 ");
    const char *bad = rig_read_message(client);
    ck_assert_begins(bad, "HTTP/1.1 400 ");
    ck_assert_contains(bad, "connection: close\r\n");
    rig_expect_closed(client);
    rig_expect_silence(server, 20);
    close(server);
    tear_down(&scene);
}
END_TEST

START_TEST(a_thousand_pipelined_requests_do_not_recurse)
{
    struct scene scene = set_up();
    use_routes(&scene, "name: r\nvirtual_hosts: [{name: v, domains: ['*'], routes: [{match: "
                       "{prefix: /}, direct_response: {status: 204}}]}]\n");
    int client = rig_connect(scene.rig);
    static char requests[1000 * 40];
    size_t len = 0;
    for (int i = 0; i < 1000; i++)
        len += (size_t)snprintf(requests + len, sizeof requests - len,
                                "GET /%d HTTP/1.1\r\nHost: a\r\n\r\n", i);
    rig_send_bytes(client, requests, len);
    for (int i = 0; i < 1000; i++)
        ck_assert_begins(rig_read_message(client), "HTTP/1.1 204 ");
    close(client);
    tear_down(&scene);
}
END_TEST

START_TEST(a_chunked_body_of_many_tiny_chunks_arrives_whole)
{
    struct scene scene = set_up();
    int client = rig_connect(scene.rig);
    rig_send(client, "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 3000; i++)
        rig_send(client, "1\r\nx\r\n");
    rig_send(client, "0\r\n\r\n");
    int server = rig_accept(&scene.server);
    const char *request = rig_read_message(server);
    size_t count = 0;
    for (const char *at = strstr(request, "\r\n\r\n"); *at; at++)
        count += *at == 'x';
    ck_assert_uint_eq(count, 3000);
    close(client);
    close(server);
    tear_down(&scene);
}
END_TEST

#define TRAILERS                                                                                   \
    "X-Late: 1\r\nContent-Length: 5\r\nHost: b\r\nAuthorization: x\r\nTransfer-Encoding: "         \
    "chunked\r\n"

START_TEST(trailers_are_dropped_in_both_directions)
{
    struct scene scene = set_up();
    int client = rig_connect(scene.rig), server = -1;
    for (int i = 0; i < 2; i++) {
        rig_send(client, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                         "2\r\nhi\r\n0\r\n" TRAILERS "\r\n");
        if (server < 0)
            server = rig_accept(&scene.server);
        const char *request = rig_read_message(server);
        ck_assert_contains(request, "\r\n\r\n2\r\nhi\r\n0\r\n\r\n");
        ck_assert_lacks(request, "x-late");
        ck_assert_lacks(request, "authorization");
        ck_assert_lacks(request, "content-length");
        rig_send(server, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                         "2\r\nok\r\n0\r\n" TRAILERS "\r\n");
        const char *answer = rig_read_message(client);
        ck_assert_contains(answer, "\r\n\r\n2\r\nok\r\n0\r\n\r\n");
        ck_assert_lacks(answer, "x-late");
        ck_assert_lacks(answer, "content-length");
    }
    rig_expect_silence(server, 20);
    rig_expect_silence(client, 0);
    close(client);
    close(server);
    tear_down(&scene);
}
END_TEST

/* More trailers than a message may have. */
static void send_trailers(int fd)
{
    static char text[10000];
    memset(text, 'x', sizeof text - 1);
    memcpy(text, "0\r\n", 3);
    for (size_t at = 100; at < sizeof text - 4; at += 100)
        memcpy(text + at, "\r\nx:", 4);
    text[10] = ':';
    rig_send(fd, text);
}

START_TEST(trailers_without_end_end_the_connection)
{
    struct scene scene = set_up();
    int client = rig_connect(scene.rig);
    rig_send(client, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    int server = rig_accept(&scene.server);
    rig_read_until(server, "\r\n\r\n");
    send_trailers(client);
    const char *answer = rig_read_message(client);
    ck_assert_begins(answer, "HTTP/1.1 431 ");
    ck_assert_contains(answer, "connection: close\r\n");
    rig_expect_closed(server);
    close(client);
    client = rig_connect(scene.rig);
    rig_send(client, get);
    server = rig_accept(&scene.server);
    rig_read_message(server);
    rig_send(server, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n");
    rig_read_until(client, "2\r\nok\r\n");
    send_trailers(server);
    rig_expect_closed(client);
    rig_expect_closed(server);
    tear_down(&scene);
}
END_TEST

START_TEST(answers_without_body_are_framed_without_one)
{
    struct scene scene = set_up();
    int client = rig_connect(scene.rig);
    int server = exchange(&scene, client, -1, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
                          "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
    ck_assert_contains(rig_read_until(client, "\r\n\r\n"), "content-length: 1000\r\n");
    exchange(&scene, client, server, get, "HTTP/1.1 204 No Content\r\n\r\n");
    ck_assert_lacks(rig_read_until(client, "\r\n\r\n"), "content-length");
    exchange(&scene, client, server, get,
             "HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\nETag: x\r\n\r\n");
    ck_assert_begins(rig_read_until(client, "\r\n\r\n"), "HTTP/1.1 304 ");
    exchange(&scene, client, server, get, ok);
    ck_assert_begins(rig_read_message(client), "HTTP/1.1 200 ");
    close(client);
    close(server);
    tear_down(&scene);
}
END_TEST

START_TEST(a_body_until_close_becomes_chunks_for_the_client)
{
    struct scene scene = set_up();
    int client = rig_connect(scene.rig);
    rig_send(client, get);
    int server = rig_accept(&scene.server);
    rig_read_message(server);
    rig_send(server, "HTTP/1.1 200 OK\r\n\r\nhello");
    usleep(20000);
    rig_send(server, " world");
    close(server);
    const char *answer = rig_read_message(client);
    ck_assert_contains(answer, "transfer-encoding: chunked\r\n");
    ck_assert_contains(answer, "hello");
    ck_assert_contains(answer, "\r\n0\r\n\r\n");
    server = exchange(&scene, client, -1, get, ok);
    ck_assert_begins(rig_read_message(client), "HTTP/1.1 200 ");
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
        if (n > 0) {
            total += (size_t)n;
            idle = 0;
            ck_assert_uint_lt(total, 64u << 20);
        } else {
            idle++;
            usleep(10000);
        }
    }
    return total;
}

/* So that the kernel's own buffers do not hide ours. */
static void shrink_buffers(int fd)
{
    int size = 32 * 1024;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

START_TEST(a_slow_server_stops_a_fast_client_and_nothing_is_lost)
{
    struct scene scene = set_up();
    shrink_buffers(scene.server.fd);
    const size_t total = 40u << 20;
    int client = rig_connect(scene.rig);
    rig_send(client, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 41943040\r\n\r\n");
    int server = rig_accept(&scene.server);
    rig_read_until(server, "\r\n\r\n");
    size_t sent = send_until_blocked(client);
    ck_assert_uint_lt(sent, 16u << 20);
    size_t read = 0;
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
    exchange(&scene, client, server, get, ok);
    ck_assert_begins(rig_read_message(client), "HTTP/1.1 200 ");
    close(client);
    close(server);
    tear_down(&scene);
}
END_TEST

START_TEST(a_slow_client_stops_a_fast_server_and_nothing_is_lost)
{
    struct scene scene = set_up();
    const size_t total = 40u << 20;
    int client = rig_connect(scene.rig);
    shrink_buffers(client);
    rig_send(client, get);
    int server = rig_accept(&scene.server);
    rig_read_message(server);
    rig_send(server, "HTTP/1.1 200 OK\r\nContent-Length: 41943040\r\n\r\n");
    size_t sent = send_until_blocked(server);
    ck_assert_uint_lt(sent, 16u << 20);
    rig_read_until(client, "\r\n\r\n");
    size_t read = 0;
    static char bytes[64 * 1024];
    while (read < total) {
        size_t part = total - sent < sizeof bytes ? total - sent : sizeof bytes;
        ssize_t n = part ? send(server, bytes, part, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
        sent += n > 0 ? (size_t)n : 0;
        n = recv(client, bytes, sizeof bytes, n > 0 ? MSG_DONTWAIT : 0);
        read += n > 0 ? (size_t)n : 0;
    }
    exchange(&scene, client, server, get, ok);
    ck_assert_begins(rig_read_message(client), "HTTP/1.1 200 ");
    close(client);
    close(server);
    tear_down(&scene);
}
END_TEST

START_TEST(an_answer_before_the_end_of_the_request_ends_both_connections)
{
    struct scene scene = set_up();
    int client = rig_connect(scene.rig);
    rig_send(client, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc");
    int server = rig_accept(&scene.server);
    rig_read_until(server, "\r\n\r\nabc");
    rig_send(server, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno");
    ck_assert_begins(rig_read_message(client), "HTTP/1.1 413 ");
    rig_expect_closed(client);
    rig_expect_closed(server);
    client = rig_connect(scene.rig);
    server = exchange(&scene, client, -1, get, ok);
    ck_assert_begins(rig_read_message(client), "HTTP/1.1 200 ");
    close(client);
    close(server);
    tear_down(&scene);
}
END_TEST

START_TEST(expect_continue_is_answered_by_the_proxy)
{
    struct scene scene = set_up();
    int client = rig_connect(scene.rig);
    rig_send(client, "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: "
                     "3\r\n\r\n");
    ck_assert_str_eq(rig_read_until(client, "\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    rig_send(client, "abc");
    int server = rig_accept(&scene.server);
    ck_assert_lacks(rig_read_message(server), "expect");
    rig_send(server, ok);
    ck_assert_begins(rig_read_message(client), "HTTP/1.1 200 ");
    close(client);
    close(server);
    tear_down(&scene);
}
END_TEST

START_TEST(interim_answers_pass_but_not_without_end)
{
    struct scene scene = set_up();
    int client = rig_connect(scene.rig);
    rig_send(client, get);
    int server = rig_accept(&scene.server);
    rig_read_message(server);
    rig_send(server, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n");
    rig_send(server, ok);
    const char *hints = rig_read_until(client, "\r\n\r\n");
    ck_assert_begins(hints, "HTTP/1.1 103 ");
    ck_assert_contains(hints, "link: x\r\n");
    ck_assert_begins(rig_read_message(client), "HTTP/1.1 200 ");
    rig_send(client, get);
    rig_read_message(server);
    for (int i = 0; i < 9; i++)
        rig_send(server, "HTTP/1.1 100 Continue\r\n\r\n");
    const char *answer = rig_read_message(client);
    ck_assert_begins(answer, "HTTP/1.1 502 ");
    ck_assert_contains(answer, "reset reason: protocol error");
    rig_expect_closed(server);
    close(client);
    tear_down(&scene);
}
END_TEST

START_TEST(what_a_server_sends_beyond_its_answer_never_reaches_the_next_client)
{
    struct scene scene = set_up();
    int client = rig_connect(scene.rig);
    int server = exchange(&scene, client, -1, get,
                          "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n"
                          "Content-Length: 4\r\n\r\nevil");
    ck_assert_contains(rig_read_message(client), "\r\n\r\nok");
    rig_expect_closed(server);
    server = exchange(&scene, client, -1, get, ok);
    ck_assert_contains(rig_read_message(client), "\r\n\r\nok");
    close(client);
    close(server);
    tear_down(&scene);
}
END_TEST

START_TEST(a_server_that_breaks_off_is_told_of_by_its_phase)
{
    struct scene scene = set_up();
    int client = rig_connect(scene.rig);
    /* before a byte */
    rig_send(client, get);
    int server = rig_accept(&scene.server);
    rig_read_message(server);
    rig_reset(server);
    const char *answer = rig_read_message(client);
    ck_assert_begins(answer, "HTTP/1.1 503 ");
    ck_assert_contains(answer, "upstream connect error or disconnect/reset before headers. reset "
                               "reason: connection termination");
    /* in the head */
    rig_send(client, get);
    server = rig_accept(&scene.server);
    rig_read_message(server);
    rig_send(server, "HTTP/1.1 200 OK\r\nConte");
    usleep(10000);
    close(server);
    ck_assert_begins(rig_read_message(client), "HTTP/1.1 503 ");
    /* nonsense */
    rig_send(client, get);
    server = rig_accept(&scene.server);
    rig_read_message(server);
    rig_send(server, "SSH-2.0-OpenSSH\r\n\r\n");
    ck_assert_begins(rig_read_message(client), "HTTP/1.1 502 ");
    close(server);
    /* in the body */
    rig_send(client, get);
    server = rig_accept(&scene.server);
    rig_read_message(server);
    rig_send(server, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
    usleep(10000);
    close(server);
    answer = rig_read_all(client);
    ck_assert_begins(answer, "HTTP/1.1 200 ");
    ck_assert_contains(answer, "\r\n\r\nabc");
    close(client);
    tear_down(&scene);
}
END_TEST

START_TEST(a_request_on_a_connection_that_the_server_had_closed_is_sent_again)
{
    struct scene scene = set_up();
    int client = rig_connect(scene.rig);
    int server = exchange(&scene, client, -1, get, ok);
    rig_read_message(client);
    rig_send(client, get);
    rig_read_message(server); /* the server takes the request, and dies over it */
    close(server);
    server = rig_accept(&scene.server);
    ck_assert_begins(rig_read_message(server), "GET /x?y=1 ");
    rig_send(server, ok);
    ck_assert_begins(rig_read_message(client), "HTTP/1.1 200 ");
    /* twice in a row is no race any more */
    rig_send(client, get);
    rig_read_message(server);
    close(server);
    server = rig_accept(&scene.server);
    rig_read_message(server);
    close(server);
    ck_assert_begins(rig_read_message(client), "HTTP/1.1 503 ");
    /* a POST may have been done: never again */
    server = exchange(&scene, client, -1, get, ok);
    rig_read_message(client);
    rig_send(client, "POST / HTTP/1.1\r\nHost: a\r\n\r\n");
    rig_read_message(server);
    close(server);
    ck_assert_begins(rig_read_message(client), "HTTP/1.1 503 ");
    close(client);
    tear_down(&scene);
}
END_TEST

START_TEST(a_pooled_connection_that_was_closed_while_idle_is_not_used)
{
    struct scene scene = set_up();
    int client = rig_connect(scene.rig);
    int server = exchange(&scene, client, -1, get, ok);
    rig_read_message(client);
    close(server);
    rig_await_cluster_stat(scene.rig, "a", CLUSTER_STAT(upstream_cx_active), 0);
    rig_send(client, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
    server = rig_accept(&scene.server);
    ck_assert_contains(rig_read_message(server), "\r\n\r\nhi");
    rig_send(server, ok);
    ck_assert_begins(rig_read_message(client), "HTTP/1.1 200 ");
    close(client);
    close(server);
    tear_down(&scene);
}
END_TEST

START_TEST(a_client_that_leaves_ends_the_request_upstream)
{
    struct scene scene = set_up();
    int client = rig_connect(scene.rig);
    rig_send(client, get);
    int server = rig_accept(&scene.server);
    rig_read_message(server);
    close(client);
    rig_expect_closed(server);
    rig_await_http_stat(scene.rig, HTTP_STAT(downstream_rq_rx_reset), 1);
    ck_assert_uint_eq(rig_cluster_stat(scene.rig, "a", CLUSTER_STAT(upstream_rq_cancelled)), 1);
    tear_down(&scene);
}
END_TEST

START_TEST(timeouts_answer_and_cut)
{
    struct scene scene = set_up();
    use_routes(&scene, "name: r\nvirtual_hosts: [{name: v, domains: ['*'], routes: ["
                       "{match: {prefix: /idle}, route: {cluster: a, timeout: 0s, idle_timeout: "
                       "0.05s}}, {match: {prefix: /cut}, route: {cluster: a, timeout: 2s}}, "
                       "{match: {prefix: /}, route: {cluster: a, timeout: 1s}}]}]\n");
    int client = rig_connect(scene.rig);
    rig_send(client, get);
    int server = rig_accept(&scene.server);
    rig_read_message(server);
    const char *answer = rig_read_message(client);
    ck_assert_begins(answer, "HTTP/1.1 504 Gateway Timeout\r\n");
    ck_assert_contains(answer, "\r\n\r\nupstream request timeout");
    rig_expect_closed(server);
    /* after the head: cut */
    rig_send(client, "GET /cut HTTP/1.1\r\nHost: a\r\n\r\n");
    server = rig_accept(&scene.server);
    rig_read_message(server);
    rig_send(server, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
    ck_assert_begins(rig_read_all(client), "HTTP/1.1 200 ");
    rig_expect_closed(server);
    close(client);
    /* nothing moves */
    client = rig_connect(scene.rig);
    rig_send(client, "POST /idle HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
    server = rig_accept(&scene.server);
    answer = rig_read_message(client);
    ck_assert_begins(answer, "HTTP/1.1 408 ");
    ck_assert_contains(answer, "\r\n\r\nstream timeout");
    rig_expect_closed(client);
    close(server);
    ck_assert_uint_eq(rig_cluster_stat(scene.rig, "a", CLUSTER_STAT(upstream_rq_timeout)), 2);
    tear_down(&scene);
}
END_TEST

START_TEST(slow_heads_and_idle_connections_are_ended)
{
    struct scene scene = set_up();
    struct rig_config *config = rig_config_new(scene.rig);
    config->listener->request_headers_timeout_ms = 50;
    rig_config_routes(config, rig_routes_to_a);
    rig_publish(scene.rig, config);
    int client = rig_connect(scene.rig);
    rig_send(client, "GET / HTTP/1.1\r\nHo");
    const char *answer = rig_read_message(client);
    ck_assert_begins(answer, "HTTP/1.1 408 ");
    ck_assert_contains(answer, "request header timeout");
    rig_expect_closed(client);
    config = rig_config_new(scene.rig);
    config->listener->idle_timeout_ms = 50;
    rig_config_routes(config, rig_routes_to_a);
    rig_publish(scene.rig, config);
    client = rig_connect(scene.rig);
    rig_expect_closed(client);
    rig_await_http_stat(scene.rig, HTTP_STAT(downstream_cx_idle_timeout), 1);
    tear_down(&scene);
}
END_TEST

START_TEST(a_client_that_asks_for_close_gets_it)
{
    struct scene scene = set_up();
    int client = rig_connect(scene.rig);
    int server =
        exchange(&scene, client, -1, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", ok);
    ck_assert_contains(rig_read_message(client), "connection: close\r\n");
    rig_expect_closed(client);
    client = rig_connect(scene.rig);
    exchange(&scene, client, server, get,
             "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: "
             "close\r\n\r\n");
    ck_assert_lacks(rig_read_message(client), "connection: close");
    rig_expect_closed(server); /* that was the server's wish, not the client's business */
    close(client);
    tear_down(&scene);
}
END_TEST

START_TEST(a_client_that_does_not_read_its_answer_is_cut)
{
    struct scene scene = set_up();
    struct rig_config *config = rig_config_new(scene.rig);
    config->listener->stream_idle_timeout_ms = 2000;
    config->listener->connection_buffer_bytes = 16 << 20;
    rig_config_routes(config, rig_routes_to_a);
    rig_config_cluster(config, "a", &scene.server.port, 1);
    rig_publish(scene.rig, config);
    int client = rig_connect(scene.rig);
    shrink_buffers(client);
    rig_send(client, get);
    int server = rig_accept(&scene.server);
    rig_read_message(server);
    static char body[8 << 20];
    char head[64];
    snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", sizeof body);
    rig_send(server, head);
    rig_send_bytes(server, body, sizeof body);
    rig_await_http_stat(scene.rig, HTTP_STAT(downstream_rq_idle_timeout), 1);
    rig_await_http_stat(scene.rig, HTTP_STAT(downstream_cx_active), 0);
    close(client);
    close(server);
    tear_down(&scene);
}
END_TEST

START_TEST(a_listener_takes_so_many_headers_and_so_large_heads)
{
    struct scene scene = set_up();
    struct rig_config *config = rig_config_new(scene.rig);
    config->listener->request_headers_max = 3;
    config->listener->request_head_bytes_max = 100;
    rig_config_routes(config, "name: r\n");
    rig_publish(scene.rig, config);
    ck_assert_begins(rig_get(scene.rig, "GET / HTTP/1.1\r\nHost: a\r\nb: 1\r\nc: 1\r\n\r\n"),
                     "HTTP/1.1 404 ");
    ck_assert_begins(
        rig_get(scene.rig, "GET / HTTP/1.1\r\nHost: a\r\nb: 1\r\nc: 1\r\nd: 1\r\n\r\n"),
        "HTTP/1.1 431 ");
    for (int len = 99; len <= 101; len++) {
        char head[128];
        snprintf(head, sizeof head, "GET / HTTP/1.1\r\nHost: a\r\nb: %0*d\r\n\r\n", len - 32, 0);
        ck_assert_int_eq((int)strlen(head), len);
        ck_assert_begins(rig_get(scene.rig, head), len <= 100 ? "HTTP/1.1 404 " : "HTTP/1.1 431 ");
    }
    tear_down(&scene);
}
END_TEST

/* What the server sees as host of requests for a:1 and for a:<port of the listener>. */
static void check_hosts(bool strips_any, bool strips_matching)
{
    struct scene scene = set_up();
    struct rig_config *config = rig_config_new(scene.rig);
    config->listener->strip_any_host_port = strips_any;
    config->listener->strip_matching_host_port = strips_matching;
    rig_config_routes(config, rig_routes_to_a);
    rig_config_cluster(config, "a", &scene.server.port, 1);
    rig_publish(scene.rig, config);
    char own_port[8];
    snprintf(own_port, sizeof own_port, ":%u", scene.rig->port);
    const char *expected[] = {strips_any ? "" : ":1",
                              strips_any || strips_matching ? "" : own_port};
    int client = rig_connect(scene.rig), server = -1;
    for (int i = 0; i < 2; i++) {
        char request[80];
        snprintf(request, sizeof request, "GET / HTTP/1.1\r\nHost: a:%u\r\n\r\n",
                 i ? scene.rig->port : 1);
        rig_send(client, request);
        server = server < 0 ? rig_accept(&scene.server) : server;
        snprintf(request, sizeof request, "host: a%s\r\n", expected[i]);
        ck_assert_contains(rig_read_message(server), request);
        rig_send(server, ok);
        rig_read_message(client);
    }
    close(client);
    close(server);
    tear_down(&scene);
}

START_TEST(a_port_in_the_host_is_taken_off_where_that_is_configured)
{
    check_hosts(false, false);
    check_hosts(true, false);
    check_hosts(false, true);
}
END_TEST

START_TEST(a_connection_serves_so_many_requests)
{
    struct scene scene = set_up();
    struct rig_config *config = rig_config_new(scene.rig);
    config->listener->connection_requests_max = 2;
    rig_config_routes(config, rig_routes_to_a);
    struct cluster_config *a = rig_config_cluster(config, "a", &scene.server.port, 1);
    a->requests_per_connection_max = 1;
    rig_publish(scene.rig, config);
    int client = rig_connect(scene.rig);
    int server = exchange(&scene, client, -1, get, ok);
    ck_assert_lacks(rig_read_message(client), "connection: close");
    rig_expect_closed(server);
    server = exchange(&scene, client, -1, get, ok);
    ck_assert_contains(rig_read_message(client), "connection: close\r\n");
    rig_expect_closed(client);
    rig_expect_closed(server);
    tear_down(&scene);
}
END_TEST

TEST_MAIN("request_path", a_request_reaches_the_server_and_its_answer_the_client,
          both_connections_are_used_again, a_request_may_come_in_any_two_pieces,
          an_answer_may_come_byte_by_byte,
          pipelined_requests_are_answered_in_order_and_a_bad_one_ends_the_connection,
          a_thousand_pipelined_requests_do_not_recurse,
          a_chunked_body_of_many_tiny_chunks_arrives_whole, trailers_are_dropped_in_both_directions,
          trailers_without_end_end_the_connection, answers_without_body_are_framed_without_one,
          a_body_until_close_becomes_chunks_for_the_client,
          a_slow_server_stops_a_fast_client_and_nothing_is_lost,
          a_slow_client_stops_a_fast_server_and_nothing_is_lost,
          an_answer_before_the_end_of_the_request_ends_both_connections,
          expect_continue_is_answered_by_the_proxy, interim_answers_pass_but_not_without_end,
          what_a_server_sends_beyond_its_answer_never_reaches_the_next_client,
          a_server_that_breaks_off_is_told_of_by_its_phase,
          a_request_on_a_connection_that_the_server_had_closed_is_sent_again,
          a_pooled_connection_that_was_closed_while_idle_is_not_used,
          a_client_that_leaves_ends_the_request_upstream, timeouts_answer_and_cut,
          slow_heads_and_idle_connections_are_ended, a_client_that_asks_for_close_gets_it,
          a_client_that_does_not_read_its_answer_is_cut,
          a_listener_takes_so_many_headers_and_so_large_heads,
          a_port_in_the_host_is_taken_off_where_that_is_configured,
          a_connection_serves_so_many_requests)
