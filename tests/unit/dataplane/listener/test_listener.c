#include "dataplane/listener/listener.h"

#include "tests/support/proxy_rig.h"
#include "tests/support/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
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

START_TEST(a_unix_socket_is_shared_by_all_workers_and_a_stale_one_replaced)
{
    struct address address = {.path = {.sun_family = AF_UNIX}, .len = sizeof address.path};
    char folder[] = "/tmp/weir-test-XXXXXX";
    ck_assert_ptr_nonnull(mkdtemp(folder));
    int len = snprintf(address.path.sun_path, sizeof address.path.sun_path, "%s/s", folder);
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
    unlink(address.path.sun_path);
    rmdir(folder);
}
END_TEST

TEST_MAIN("listener", without_descriptors_connections_are_shed_and_it_goes_on_later,
          a_unix_socket_is_shared_by_all_workers_and_a_stale_one_replaced)
