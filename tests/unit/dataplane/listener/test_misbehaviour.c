/* Clients and servers that break the rules, or keep to them in the worst way. */
#include "tests/support/proxy_rig.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static const char get[] = "GET /x?y=1 HTTP/1.1\r\nHost: a.test\r\n\r\n";

/* A proxy in front of one server, cluster "a". */
struct scene {
    struct proxy_rig *rig;
    struct rig_server server;
};

/* With these time limits, in milliseconds; 0: none. */
static struct scene set_up(uint32_t head_ms, uint32_t idle_ms)
{
    struct scene scene = {.rig = proxy_rig_new(1), .server = rig_listen()};
    struct rig_config *config = rig_config_new(scene.rig);
    config->listener->request_headers_timeout_ms = head_ms;
    config->listener->stream_idle_timeout_ms = idle_ms;
    config->listener->connection_buffer_bytes = 16 << 20;
    rig_config_routes(config, rig_routes_to_a);
    rig_config_cluster(config, "a", &scene.server.port, 1)->connection_buffer_bytes = 16 << 20;
    rig_publish(scene.rig, config);
    return scene;
}

static void tear_down(struct scene *scene)
{
    close(scene->server.fd);
    proxy_rig_free(scene->rig);
}

/* An answer of so many bytes, and more behind it. */
static void answer_with_surplus(int server, size_t total)
{
    enum { SURPLUS = 40000 };
    static char data[SURPLUS + 20000];
    memset(data, 'x', sizeof data);
    size_t head_len = sizeof "HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n" - 1;
    int len = snprintf(data, sizeof data, "HTTP/1.1 200 OK\r\nContent-Length: %05zu\r\n\r\n",
                       total - head_len);
    ck_assert_uint_eq((size_t)len, head_len);
    data[len] = 'x';
    rig_send_bytes(server, data, total + SURPLUS);
}

/* The reads that end just there leave the surplus in the socket, where no event tells of it. */
START_TEST(a_connection_with_bytes_behind_the_answer_is_not_used_again_wherever_a_read_ends)
{
    struct scene scene = set_up(0, 0);
    for (size_t total = 15500; total <= 16384; total++) {
        int client = rig_connect(scene.rig);
        rig_send(client, get);
        int server = rig_accept(&scene.server);
        rig_read_message(server);
        answer_with_surplus(server, total);
        rig_skip(client, total);
        rig_expect_closed(server);
        close(client);
    }
    tear_down(&scene);
}
END_TEST

START_TEST(an_answer_that_comes_before_the_server_resets_an_upload_is_passed_on)
{
    struct scene scene = set_up(0, 0);
    static char body[6 << 20];
    int small = 4096;
    setsockopt(scene.server.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    int client = rig_connect(scene.rig);
    rig_send(client, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n");
    rig_send_bytes(client, body, sizeof body);
    int server = rig_accept(&scene.server);
    rig_send(server, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno");
    rig_reset(server);
    const char *answer = rig_read_all(client);
    ck_assert_begins(answer, "HTTP/1.1 413 ");
    ck_assert_contains(answer, "\r\n\r\nno");
    close(client);
    tear_down(&scene);
}
END_TEST

START_TEST(a_head_that_never_ends_is_cut_without_a_time_of_its_own)
{
    struct scene scene = set_up(0, 50);
    int client = rig_connect(scene.rig);
    rig_send(client, "GET / HTTP/1.1\r\nHo");
    ck_assert_begins(rig_read_message(client), "HTTP/1.1 408 ");
    rig_expect_closed(client);
    tear_down(&scene);
}
END_TEST

static void send_lines(int client, unsigned count)
{
    char line[1000];
    memset(line, 'x', sizeof line);
    line[1] = ':';
    line[sizeof line - 2] = '\r';
    line[sizeof line - 1] = '\n';
    for (unsigned i = 0; i < count; i++)
        rig_send_bytes(client, line, sizeof line);
    usleep(30000); /* until it was read */
}

/* A long head moves from buffer to buffer as it grows, and is not parsed anew each time. */
START_TEST(the_answer_to_a_late_head_looks_at_nothing_that_has_moved)
{
    struct scene scene = set_up(2000, 0);
    int client = rig_connect(scene.rig);
    rig_send(client, "GET / HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\n");
    send_lines(client, 10);
    send_lines(client, 14);
    send_lines(client, 24);
    ck_assert_begins(rig_read_message(client), "HTTP/1.1 408 ");
    rig_expect_closed(client);
    tear_down(&scene);
}
END_TEST

START_TEST(a_client_that_resets_ends_its_request_upstream)
{
    struct scene scene = set_up(0, 0);
    for (int has_pipelined = 0; has_pipelined < 2; has_pipelined++) {
        int client = rig_connect(scene.rig);
        rig_send(client, get);
        int server = rig_accept(&scene.server);
        rig_read_message(server);
        if (has_pipelined)
            rig_send(client, get);
        usleep(20000); /* so that the reset is an event of its own */
        rig_reset(client);
        rig_expect_closed(server);
    }
    tear_down(&scene);
}
END_TEST

/* What the server does not take would otherwise be kept until a timeout. */
START_TEST(a_client_that_resets_while_its_body_is_stopped_ends_its_request_upstream)
{
    struct scene scene = set_up(0, 0);
    static const char bytes[16 * 1024];
    int small = 4096;
    setsockopt(scene.server.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    int client = rig_connect(scene.rig);
    rig_send(client, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n");
    for (int idle = 0; idle < 10; usleep(idle ? 10000 : 0))
        idle = send(client, bytes, sizeof bytes, MSG_DONTWAIT | MSG_NOSIGNAL) > 0 ? 0 : idle + 1;
    int server = rig_accept(&scene.server);
    rig_reset(client);
    rig_await_http_stat(scene.rig, offsetof(struct http_stats, downstream_rq_rx_reset), 1);
    close(server);
    tear_down(&scene);
}
END_TEST

TEST_MAIN("misbehaviour",
          a_connection_with_bytes_behind_the_answer_is_not_used_again_wherever_a_read_ends,
          an_answer_that_comes_before_the_server_resets_an_upload_is_passed_on,
          a_head_that_never_ends_is_cut_without_a_time_of_its_own,
          the_answer_to_a_late_head_looks_at_nothing_that_has_moved,
          a_client_that_resets_ends_its_request_upstream,
          a_client_that_resets_while_its_body_is_stopped_ends_its_request_upstream)
