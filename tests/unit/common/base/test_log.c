/* What log lines look like on standard error, which is a pipe here. */
#include "common/base/log.h"

#include "tests/support/test.h"

#include <pthread.h>
#include <string.h>

#include <fcntl.h>
#include <unistd.h>

static char output[8192];

static int redirect(int *ret_saved)
{
    int ends[2];
    ck_assert_int_eq(pipe2(ends, O_NONBLOCK), 0);
    *ret_saved = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    return ends[0];
}

/* Puts standard error back; what was written is in output. */
static size_t collect(int fd, int saved)
{
    ssize_t got = read(fd, output, sizeof output - 1);
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(fd);
    size_t len = got > 0 ? (size_t)got : 0;
    output[len] = '\0';
    return len;
}

START_TEST(a_line_has_time_level_and_text)
{
    int saved, fd = redirect(&saved);
    log_info("started name=%s port=%u", "x", 80u);
    size_t len = collect(fd, saved);
    ck_assert_uint_eq(strspn(output, "0123456789-T:.Z"), 24);
    ck_assert_str_eq(output + 24, " info started name=x port=80\n");
    ck_assert_int_eq(output[len - 1], '\n');
}
END_TEST

START_TEST(a_peer_cannot_forge_a_line)
{
    int saved, fd = redirect(&saved);
    log_warning("refused path=%s", "/a\nb\r\x1b[31m\tc\x7f\xff\xc3ü");
    size_t len = collect(fd, saved);
    ck_assert_ptr_nonnull(strstr(output, " warning refused path=/a?b??[31m?c???ü\n"));
    ck_assert_ptr_eq(strchr(output, '\n'), output + len - 1);
}
END_TEST

START_TEST(a_long_line_is_cut)
{
    int saved, fd = redirect(&saved);
    log_error("x=%05000d", 1);
    size_t len = collect(fd, saved);
    ck_assert_uint_le(len, 2048);
    ck_assert_uint_ge(len, 2000);
    ck_assert_ptr_eq(strchr(output, '\n'), output + len - 1);
}
END_TEST

START_TEST(levels_below_the_least_are_not_written)
{
    ck_assert(log_set_level("warn") && log_level_min == LOG_LEVEL_WARNING);
    ck_assert(!log_set_level("loud") && log_level_min == LOG_LEVEL_WARNING);
    int saved, fd = redirect(&saved);
    log_info("no");
    log_warning("yes");
    log_set_level("off");
    log_error("no");
    collect(fd, saved);
    ck_assert_ptr_nonnull(strstr(output, " warning yes\n"));
    ck_assert_ptr_null(strstr(output, "no"));
}
END_TEST

static void *change_level(void *arg)
{
    for (int i = 0; i < 1000; i++)
        ck_assert(log_set_level(i % 2 ? "error" : "off"));
    return arg;
}

START_TEST(the_level_may_change_while_another_thread_logs)
{
    pthread_t thread;
    ck_assert(log_set_level("off"));
    ck_assert_int_eq(pthread_create(&thread, NULL, change_level, NULL), 0);
    for (int i = 0; i < 1000; i++)
        log_debug("unseen");
    pthread_join(thread, NULL);
    ck_assert(log_level_min == LOG_LEVEL_ERROR);
}
END_TEST

TEST_MAIN("log", a_line_has_time_level_and_text, a_peer_cannot_forge_a_line, a_long_line_is_cut,
          levels_below_the_least_are_not_written, the_level_may_change_while_another_thread_logs)
