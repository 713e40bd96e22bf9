#include "dataplane/http/input.h"

#include "tests/support/test.h"

#include <sys/socket.h>
#include <unistd.h>

struct fixture {
    struct chunk_pool pool;
    struct input input;
    int peer, fd;
    uint64_t bytes;
};

static struct fixture set_up(void)
{
    struct fixture fixture = {0};
    int fds[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    fixture.peer = fds[0];
    fixture.fd = fds[1];
    chunk_pool_init(&fixture.pool, 8);
    return fixture;
}

static void tear_down(struct fixture *f)
{
    input_done(&f->input);
    chunk_pool_done(&f->pool);
    close(f->peer);
    close(f->fd);
}

static int fill(struct fixture *f, bool is_idle)
{
    return input_fill(&f->input, &f->pool, f->fd, is_idle, &f->bytes);
}

static void send_text(struct fixture *f, const char *text)
{
    ck_assert_int_eq(send(f->peer, text, strlen(text), 0), (ssize_t)strlen(text));
    input_is_readable(&f->input, false);
}

static void expect_unread(struct fixture *f, const char *text)
{
    ck_assert_uint_eq(input_unread(&f->input), strlen(text));
    ck_assert_int_eq(memcmp(input_data(&f->input), text, strlen(text)), 0);
}

START_TEST(without_an_event_nothing_is_read)
{
    struct fixture f = set_up();
    ck_assert_int_eq(send(f.peer, "x", 1, 0), 1);
    ck_assert_int_eq(fill(&f, false), ERR_AGAIN);
    ck_assert_uint_eq(f.bytes, 0);
    tear_down(&f);
}
END_TEST

START_TEST(behind_a_short_read_only_a_message_under_way_looks_again)
{
    struct fixture f = set_up();
    send_text(&f, "abc");
    ck_assert_int_eq(fill(&f, true), 0);
    ck_assert_int_eq(send(f.peer, "d", 1, 0), 1);
    ck_assert_int_eq(fill(&f, true), ERR_AGAIN);
    ck_assert_int_eq(fill(&f, false), 0);
    expect_unread(&f, "abcd");
    ck_assert_int_eq(fill(&f, false), ERR_AGAIN);
    ck_assert_uint_eq(f.bytes, 4);
    tear_down(&f);
}
END_TEST

START_TEST(an_idle_connection_holds_no_memory)
{
    struct fixture f = set_up();
    send_text(&f, "abc");
    ck_assert_int_eq(fill(&f, true), 0);
    f.input.from += 2;
    input_release(&f.input);
    expect_unread(&f, "c");
    f.input.from++;
    input_release(&f.input);
    ck_assert_ptr_null(f.input.chunk);
    ck_assert_uint_eq(f.pool.live_count, 1); /* the pool's own */
    tear_down(&f);
}
END_TEST

START_TEST(connections_that_share_a_chunk_do_not_mix)
{
    struct fixture f = set_up(), g = set_up();
    send_text(&f, "first ");
    ck_assert_int_eq(fill(&f, false), 0);
    send_text(&g, "other");
    ck_assert_int_eq(input_fill(&g.input, &f.pool, g.fd, false, &g.bytes), 0);
    ck_assert_ptr_eq(f.input.chunk, g.input.chunk);
    send_text(&f, "second");
    ck_assert_int_eq(fill(&f, false), 0);
    expect_unread(&f, "first second");
    expect_unread(&g, "other");
    input_done(&g.input);
    tear_down(&g);
    tear_down(&f);
}
END_TEST

START_TEST(a_flood_gets_chunks_of_its_own_and_keeps_its_order)
{
    struct fixture f = set_up();
    static char sent[200 * 1000];
    for (size_t i = 0; i < sizeof sent; i++)
        sent[i] = (char)(i * 7 + i / 251);
    size_t out = 0, in = 0;
    while (in < sizeof sent) {
        ssize_t n = out < sizeof sent ? send(f.peer, sent + out, sizeof sent - out, 0) : 0;
        out += n > 0 ? (size_t)n : 0;
        input_is_readable(&f.input, false);
        while (fill(&f, false) == 0) {
            size_t unread = input_unread(&f.input);
            ck_assert_int_eq(memcmp(input_data(&f.input), sent + in, unread), 0);
            size_t use = unread > 100 ? unread - 100 : unread; /* leave some for the next */
            f.input.from += (uint32_t)use;
            in += use;
        }
        in += input_unread(&f.input);
        f.input.from = f.input.to;
    }
    ck_assert_uint_eq(in, sizeof sent);
    tear_down(&f);
}
END_TEST

START_TEST(the_end_is_found_behind_the_last_bytes)
{
    struct fixture f = set_up();
    send_text(&f, "abc");
    close(f.peer);
    input_is_readable(&f.input, true);
    ck_assert_int_eq(fill(&f, true), 0);
    ck_assert_int_eq(fill(&f, true), ERR_CLOSED);
    expect_unread(&f, "abc");
    f.peer = dup(f.fd);
    tear_down(&f);
}
END_TEST

TEST_MAIN("input", without_an_event_nothing_is_read,
          behind_a_short_read_only_a_message_under_way_looks_again,
          an_idle_connection_holds_no_memory, connections_that_share_a_chunk_do_not_mix,
          a_flood_gets_chunks_of_its_own_and_keeps_its_order,
          the_end_is_found_behind_the_last_bytes)
