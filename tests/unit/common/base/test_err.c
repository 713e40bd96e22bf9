#include "common/base/err.h"

#include "common/base/str.h"
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

static bool is_utf8(const char *text)
{
    struct str s = str_from(text);
    size_t len = 1;
    for (; s.len && len; s = str_slice(s, len, s.len))
        len = str_utf8_length(s);
    return len > 0;
}

START_TEST(a_sentence_is_utf_8_wherever_it_is_cut_and_whatever_it_quotes)
{
    struct errmsg msg;
    char text[1100];
    for (size_t i = 0; i + 2 < sizeof text; i += 2)
        memcpy(text + i, "\xc3\xa9", 3);
    errmsg_set(&msg, ERR_INVALID, "%s", text); /* 1023 bytes: the last one is half a character */
    ck_assert(is_utf8(msg.text));
    errmsg_prefix(&msg, "x%.3s: ", text);
    ck_assert(is_utf8(msg.text));
    ck_assert_int_eq(strncmp(msg.text, "x\xc3\xa9?: \xc3\xa9", 8), 0);
    errmsg_set(&msg, ERR_INVALID, "\xff is no \xed\xa0\x80");
    ck_assert_str_eq(msg.text, "? is no ???");
}
END_TEST

TEST_MAIN("err", every_error_has_a_name_and_a_text, a_sentence_is_set_and_prefixed,
          a_sentence_that_is_too_long_is_cut,
          a_sentence_is_utf_8_wherever_it_is_cut_and_whatever_it_quotes)
