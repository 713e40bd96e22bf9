#include "common/base/buf.h"

#include "tests/support/test.h"

START_TEST(pieces_are_appended_in_order)
{
    struct buf buf;
    buf_init(&buf, 10000);
    ck_assert_uint_eq(buf_str(&buf).len, 0);
    ck_assert_ptr_nonnull(buf_str(&buf).data);
    buf_append(&buf, "ab", 2);
    buf_append_str(&buf, (struct str){0});
    buf_append_char(&buf, 'c');
    buf_printf(&buf, "%d%s", 12, "x");
    ck_assert_str_eq_len(buf_str(&buf), "abc12x");
    for (int i = 0; i < 1000; i++)
        buf_append_char(&buf, 'y');
    ck_assert_uint_eq(buf_str(&buf).len, 1006);
    buf_reset(&buf);
    ck_assert_uint_eq(buf_str(&buf).len, 0);
    buf_done(&buf);
}
END_TEST

START_TEST(what_does_not_fit_is_left_out_as_a_whole)
{
    struct buf buf;
    buf_init(&buf, 5);
    buf_append_str(&buf, STR("abc"));
    buf_append_str(&buf, STR("def"));
    ck_assert(buf.is_overflown);
    ck_assert_str_eq_len(buf_str(&buf), "abc");
    buf_reset(&buf);
    ck_assert(!buf.is_overflown);
    buf_printf(&buf, "%s", "12345"); /* exactly as much as there may be */
    ck_assert(!buf.is_overflown);
    ck_assert_str_eq_len(buf_str(&buf), "12345");
    buf_printf(&buf, "%s", "");
    ck_assert(!buf.is_overflown);
    buf_printf(&buf, "%s", "6");
    ck_assert(buf.is_overflown);
    ck_assert_ptr_null(buf_reserve(&buf, 1));
    ck_assert_str_eq_len(buf_str(&buf), "12345");
    buf_done(&buf);
}
END_TEST

static void expect_json(struct str s, const char *expected)
{
    struct buf buf;
    buf_init(&buf, 1000);
    buf_append_json_string(&buf, s);
    ck_assert_msg(str_equal(buf_str(&buf), str_from(expected)), "%.*s", STR_ARGS(buf_str(&buf)));
    buf_done(&buf);
}

START_TEST(json_strings_are_escaped)
{
    expect_json(STR(""), "\"\"");
    expect_json((struct str){0}, "\"\"");
    expect_json(STR("a\"b\\c/"), "\"a\\\"b\\\\c/\"");
    expect_json(STR("\n\r\t\0\x1b\x7f"), "\"\\n\\u000d\\u0009\\u0000\\u001b\\u007f\"");
    expect_json(STR("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"),
                "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"");
    /* not UTF-8: alone, cut off, overlong, surrogate, beyond U+10FFFF */
    expect_json(STR("\xff"), "\"\\u00ff\"");
    expect_json(STR("\xe2\x82"), "\"\\u00e2\\u0082\"");
    expect_json(STR("\xc0\xaf"), "\"\\u00c0\\u00af\"");
    expect_json(STR("\xe0\x80\x80"), "\"\\u00e0\\u0080\\u0080\"");
    expect_json(STR("\xed\xa0\x80"), "\"\\u00ed\\u00a0\\u0080\"");
    expect_json(STR("\xf4\x90\x80\x80"), "\"\\u00f4\\u0090\\u0080\\u0080\"");
}
END_TEST

START_TEST(a_json_string_is_appended_whole_or_not_at_all)
{
    for (size_t max = 0; max < 20; max++) {
        struct buf buf;
        buf_init(&buf, max);
        buf_append_json_string(&buf, STR("a\x01\"b\"\n")); /* 16 bytes */
        ck_assert_int_eq(buf.is_overflown, max < 16);
        ck_assert_uint_eq(buf.len, max < 16 ? 0 : 16);
        buf_done(&buf);
    }
}
END_TEST

TEST_MAIN("buf", pieces_are_appended_in_order, what_does_not_fit_is_left_out_as_a_whole,
          json_strings_are_escaped, a_json_string_is_appended_whole_or_not_at_all)
