#include "common/io/socket.h"

#include "tests/support/test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>
#include <unistd.h>

static const char *text_of(const void *address, size_t len)
{
    static char text[SOCKET_TEXT_BYTES];
    size_t got = socket_address_text(address, (socklen_t)len, text, sizeof text);
    ck_assert_uint_eq(got, strlen(text));
    return text;
}

START_TEST(addresses_are_written_as_people_write_them)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(80)};
    inet_pton(AF_INET, "10.1.2.3", &v4.sin_addr);
    ck_assert_str_eq(text_of(&v4, sizeof v4), "10.1.2.3:80");
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(8443)};
    inet_pton(AF_INET6, "2001:db8::1", &v6.sin6_addr);
    ck_assert_str_eq(text_of(&v6, sizeof v6), "[2001:db8::1]:8443");
    inet_pton(AF_INET6, "::ffff:10.1.2.3", &v6.sin6_addr);
    ck_assert_str_eq(text_of(&v6, sizeof v6), "10.1.2.3:8443");
    struct sockaddr_un path = {.sun_family = AF_UNIX, .sun_path = "/run/x.sock"};
    ck_assert_str_eq(text_of(&path, sizeof path), "/run/x.sock");
    ck_assert_str_eq(text_of(&path, sizeof path.sun_family), "");
}
END_TEST

START_TEST(writing_takes_out_what_went_and_says_when_it_is_blocked)
{
    int fds[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    static const char block[100 * 1000];
    struct slice_queue queue = {0};
    uint64_t written = 0;
    slice_queue_append(&queue, (struct slice){.data = "ab", .len = 2});
    slice_queue_append(&queue, (struct slice){.data = "cd", .len = 2});
    ck_assert_int_eq(socket_write(fds[0], &queue, &written), 0);
    ck_assert_uint_eq(written, 4);
    char got[8];
    ck_assert_int_eq(socket_read(fds[1], got, sizeof got), 4);
    ck_assert_int_eq(memcmp(got, "abcd", 4), 0);
    ck_assert_int_eq(socket_read(fds[1], got, sizeof got), ERR_AGAIN);
    ck_assert(socket_is_idle(fds[1]));
    for (int i = 0; i < 100; i++)
        slice_queue_append(&queue, (struct slice){.data = block, .len = sizeof block});
    size_t before = queue.bytes;
    written = 0;
    ck_assert_int_eq(socket_write(fds[0], &queue, &written), ERR_AGAIN);
    ck_assert_uint_gt(written, 0);
    ck_assert_uint_eq(queue.bytes + written, before);
    ck_assert(!socket_is_idle(fds[1]));
    close(fds[1]);
    ck_assert_int_eq(socket_write(fds[0], &queue, &written), ERR_IO);
    slice_queue_done(&queue);
    close(fds[0]);
}
END_TEST

START_TEST(the_end_of_a_stream_and_a_reset_differ)
{
    int fds[2];
    char got[8];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    close(fds[1]);
    ck_assert_int_eq(socket_read(fds[0], got, sizeof got), ERR_CLOSED);
    ck_assert(!socket_is_idle(fds[0]));
    close(fds[0]);
    ck_assert_int_eq(socket_read(fds[0], got, sizeof got), ERR_IO);
}
END_TEST

START_TEST(connecting_fails_at_once_where_it_can_be_known)
{
    struct sockaddr_un nowhere = {.sun_family = AF_UNIX, .sun_path = "/nonexistent/x.sock"};
    ck_assert_int_eq(socket_connect((struct sockaddr *)&nowhere, sizeof nowhere), ERR_IO);
}
END_TEST

TEST_MAIN("socket", addresses_are_written_as_people_write_them,
          writing_takes_out_what_went_and_says_when_it_is_blocked,
          the_end_of_a_stream_and_a_reset_differ, connecting_fails_at_once_where_it_can_be_known)
