#include "dataplane/listener/listener.h"

#include "tests/support/proxy_rig.h"
#include "tests/support/temp_folder.h"
#include "tests/support/test.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define HTTP_STAT(field) offsetof(struct http_stats, field)

/* So that the process can open nothing more. */
static rlim_t use_up_descriptors(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    rlim_t before = limit.rlim_cur;
    int next = open("/dev/null", O_RDONLY | O_CLOEXEC);
    close(next);
    limit.rlim_cur = (rlim_t)next;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    ck_assert_int_lt(open("/dev/null", O_RDONLY | O_CLOEXEC), 0);
    return before;
}

static void set_descriptors(rlim_t count)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = count;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

START_TEST(without_descriptors_connections_are_shed_and_it_goes_on_later)
{
    struct proxy_rig *rig = proxy_rig_new(1);
    struct rig_config *config = rig_config_new(rig);
    rig_config_routes(config, "name: r\n");
    rig_publish(rig, config);
    int clients[3];
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(rig->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (int i = 0; i < 3; i++)
        clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    rlim_t before = use_up_descriptors();
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(connect(clients[i], (struct sockaddr *)&address, sizeof address), 0);
        ck_assert_begins(rig_read_all(clients[i]), "HTTP/1.1 503 ");
    }
    rig_await_http_stat(rig, HTTP_STAT(downstream_cx_overload), 3);
    set_descriptors(before);
    ck_assert_begins(rig_get(rig, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"), "HTTP/1.1 404 ");
    for (int i = 0; i < 3; i++)
        close(clients[i]);
    proxy_rig_free(rig);
}
END_TEST

/* The descriptor in reserve is given up, and nothing can be opened in its place either. */
START_TEST(with_no_descriptor_to_be_had_at_all_it_rests_and_sheds_again_later)
{
    struct proxy_rig *rig = proxy_rig_new(1);
    struct rig_config *config = rig_config_new(rig);
    rig_config_routes(config, "name: r\n");
    rig_publish(rig, config);
    int clients[2];
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(rig->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (int i = 0; i < 2; i++)
        clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    rlim_t before = use_up_descriptors();
    set_descriptors(3);
    ck_assert_int_eq(connect(clients[0], (struct sockaddr *)&address, sizeof address), 0);
    struct timespec used[2];
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used[0]);
    usleep(400000);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used[1]);
    double seconds = (double)(used[1].tv_sec - used[0].tv_sec) +
                     (double)(used[1].tv_nsec - used[0].tv_nsec) / 1e9;
    ck_assert_double_lt(seconds, 0.2);
    set_descriptors(before);
    rig_send(clients[0], "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    ck_assert_begins(rig_read_message(clients[0]), "HTTP/1.1 404 ");
    use_up_descriptors();
    ck_assert_int_eq(connect(clients[1], (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_begins(rig_read_all(clients[1]), "HTTP/1.1 503 ");
    set_descriptors(before);
    for (int i = 0; i < 2; i++)
        close(clients[i]);
    proxy_rig_free(rig);
}
END_TEST

START_TEST(without_descriptors_towards_a_server_the_server_is_not_blamed)
{
    struct proxy_rig *rig = proxy_rig_new(1);
    struct rig_server server = rig_listen();
    struct rig_config *config = rig_config_new(rig);
    rig_config_routes(config, rig_routes_to_a);
    rig_cluster_breaker(config, rig_config_cluster(config, "a", &server.port, 1),
                        (struct breaker_config){.consecutive_failures = 1,
                                                .open_for_ms = 60000,
                                                .half_open_requests = 1,
                                                .success_threshold = 1});
    rig_publish(rig, config);
    static const char get[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    int client = rig_connect(rig);
    rig_await_http_stat(rig, HTTP_STAT(downstream_cx_active), 1);
    rlim_t before = use_up_descriptors();
    for (int i = 0; i < 3; i++) {
        rig_send(client, get);
        ck_assert_contains(rig_read_message(client), "reset reason: overflow");
    }
    set_descriptors(before);
    rig_send(client, get);
    int accepted = rig_accept(&server);
    rig_read_message(accepted);
    rig_send(accepted, "HTTP/1.1 204 No\r\n\r\n");
    ck_assert_begins(rig_read_until(client, "\r\n\r\n"), "HTTP/1.1 204 ");
    close(client);
    close(accepted);
    close(server.fd);
    proxy_rig_free(rig);
}
END_TEST

START_TEST(a_unix_socket_is_shared_by_all_workers_and_a_stale_one_replaced)
{
    struct address address = {.path = {.sun_family = AF_UNIX}, .len = sizeof address.path};
    int len = snprintf(address.path.sun_path, sizeof address.path.sun_path, "%s/s", temp_folder());
    ck_assert_int_gt(len, 0);
    int fds[3], other;
    uint16_t port = 1;
    for (int round = 0; round < 2; round++) {
        ck_assert_int_eq(listener_open_sockets(&address, 0, false, 3, fds, &port), 0);
        ck_assert_uint_eq(port, 0);
        ck_assert_int_eq(listener_open_sockets(&address, 0, false, 1, &other, &port), ERR_EXISTS);
        int client = socket(AF_UNIX, SOCK_STREAM, 0);
        ck_assert_int_eq(connect(client, &address.any, address.len), 0);
        close(client);
        for (int i = 0; i < 3; i++)
            close(fds[i]); /* and the path stays behind */
    }
}
END_TEST

/* Connecting to it is refused as well, as with a socket that nobody listens on. */
START_TEST(a_file_in_the_place_of_a_unix_socket_stays)
{
    struct address address = {.path = {.sun_family = AF_UNIX}, .len = sizeof address.path};
    int len = snprintf(address.path.sun_path, sizeof address.path.sun_path, "%s/f", temp_folder());
    ck_assert_int_gt(len, 0);
    close(open(address.path.sun_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    int fd;
    uint16_t port;
    ck_assert_int_eq(listener_open_sockets(&address, 0, false, 1, &fd, &port), ERR_EXISTS);
    ck_assert_int_eq(access(address.path.sun_path, F_OK), 0);
}
END_TEST

/* As in Envoy: 0.0.0.0 and [::] may be two listeners, each with its own clients. */
START_TEST(a_listener_on_ipv6_takes_ipv4_only_where_it_is_to)
{
    struct address address = {.v6 = {.sin6_family = AF_INET6}, .len = sizeof address.v6};
    ck_assert_int_eq(inet_pton(AF_INET6, "::ffff:127.0.0.1", &address.v6.sin6_addr), 1);
    int plain = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), fd;
    uint16_t port;
    if (plain < 0) { /* a kernel without IPv6 */
        ck_assert_int_eq(listener_open_sockets(&address, 0, false, 1, &fd, &port), ERR_INVALID);
        return;
    }
    close(plain);
    ck_assert_int_eq(listener_open_sockets(&address, 0, false, 1, &fd, &port), ERR_IO);
    address.takes_ipv4 = true;
    ck_assert_int_eq(listener_open_sockets(&address, 0, false, 1, &fd, &port), 0);
    close(rig_connect_port(port)); /* of 127.0.0.1 */
    close(fd);
}
END_TEST

TEST_MAIN("listener", without_descriptors_connections_are_shed_and_it_goes_on_later,
          with_no_descriptor_to_be_had_at_all_it_rests_and_sheds_again_later,
          without_descriptors_towards_a_server_the_server_is_not_blamed,
          a_unix_socket_is_shared_by_all_workers_and_a_stale_one_replaced,
          a_file_in_the_place_of_a_unix_socket_stays,
          a_listener_on_ipv6_takes_ipv4_only_where_it_is_to)
