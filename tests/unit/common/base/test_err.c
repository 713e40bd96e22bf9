#include "common/base/err.h"

#include "tests/support/test.h"

#include <string.h>

START_TEST(every_error_has_a_name_and_a_text)
{
    ck_assert_str_eq(err_name(ERR_AGAIN), "ERR_AGAIN");
    ck_assert_str_eq(err_name(ERR_CANCELLED), "ERR_CANCELLED");
    ck_assert_str_eq(err_name(0), "OK");
    ck_assert_str_eq(err_name(-1000), "ERR_UNKNOWN");
    ck_assert_str_eq(err_text(ERR_TOO_LARGE), "a limit is exceeded");
    ck_assert_str_eq(err_text(0), "no error");
    ck_assert_str_eq(err_text(1), "unknown error");
}
END_TEST

START_TEST(a_sentence_is_set_and_prefixed)
{
    struct errmsg msg;
    ck_assert_int_eq(errmsg_set(&msg, ERR_INVALID, "must be %d", 5), ERR_INVALID);
    errmsg_prefix(&msg, "%s.%s: ", "routes", "x");
    ck_assert_str_eq(msg.text, "routes.x: must be 5");
    ck_assert_int_eq(errmsg_set(NULL, ERR_IO, "x"), ERR_IO);
    errmsg_prefix(NULL, "x");
}
END_TEST

START_TEST(a_sentence_that_is_too_long_is_cut)
{
    struct errmsg msg;
    errmsg_set(&msg, ERR_INVALID, "%02000d", 7);
    ck_assert_uint_eq(strlen(msg.text), sizeof msg.text - 1);
    errmsg_prefix(&msg, "abc: ");
    ck_assert_uint_eq(strlen(msg.text), sizeof msg.text - 1);
    ck_assert_int_eq(strncmp(msg.text, "abc: 000", 8), 0);
    errmsg_prefix(&msg, "%02000d", 7);
    ck_assert_uint_eq(strlen(msg.text), sizeof msg.text - 1);
}
END_TEST

TEST_MAIN("err", every_error_has_a_name_and_a_text, a_sentence_is_set_and_prefixed,
          a_sentence_that_is_too_long_is_cut)
