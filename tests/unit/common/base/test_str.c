#include "common/base/str.h"

#include "tests/support/test.h"

static const struct str none = {0};

START_TEST(strs_are_compared_by_bytes)
{
    ck_assert(str_equal(STR("ab"), STR("ab")) && !str_equal(STR("ab"), STR("aB")));
    ck_assert(!str_equal(STR("ab"), STR("abc")) && str_equal(none, STR("")));
    ck_assert(str_equal_nocase(STR("aB-z"), STR("Ab-Z")) && !str_equal_nocase(STR("a"), STR("b")));
    ck_assert(!str_equal_nocase(STR("@"), STR("`")) && !str_equal_nocase(STR("["), STR("{")));
    ck_assert_int_lt(str_compare(STR("a"), STR("b")), 0);
    ck_assert_int_lt(str_compare(STR("a"), STR("ab")), 0);
    ck_assert_int_gt(str_compare(STR("\xff"), STR("a")), 0);
    ck_assert_int_eq(str_compare(none, STR("")), 0);
    ck_assert(str_starts_with(STR("abc"), STR("ab")) && !str_starts_with(STR("a"), STR("ab")));
    ck_assert(str_ends_with(STR("abc"), STR("bc")) && !str_ends_with(STR("c"), STR("bc")));
    ck_assert(str_starts_with(none, none) && str_ends_with(STR("a"), none));
}
END_TEST

START_TEST(a_str_may_be_made_of_nothing)
{
    ck_assert_uint_eq(str_from(NULL).len, 0);
    ck_assert_uint_eq(str_slice(none, 0, 0).len, 0);
    ck_assert_uint_eq(str_trim(none).len, 0);
    ck_assert_uint_eq(str_find_char(none, 'a', 0), 0);
    ck_assert_uint_eq(str_find(none, none), 0);
}
END_TEST

START_TEST(searching_gives_the_length_where_there_is_nothing)
{
    ck_assert_uint_eq(str_find_char(STR("abcabc"), 'b', 0), 1);
    ck_assert_uint_eq(str_find_char(STR("abcabc"), 'b', 2), 4);
    ck_assert_uint_eq(str_find_char(STR("abcabc"), 'd', 0), 6);
    ck_assert_uint_eq(str_find_char(STR("abc"), 'a', 9), 3);
    ck_assert_uint_eq(str_find(STR("abcabd"), STR("abd")), 3);
    ck_assert_uint_eq(str_find(STR("abc"), STR("abcd")), 3);
    ck_assert_uint_eq(str_find(STR("abc"), STR("")), 0);
}
END_TEST

START_TEST(trimming_takes_spaces_and_tabs_only)
{
    ck_assert_str_eq_len(str_trim(STR(" \ta b\t ")), "a b");
    ck_assert_str_eq_len(str_trim(STR(" \t ")), "");
    ck_assert_str_eq_len(str_trim(STR("\na\r")), "\na\r");
}
END_TEST

START_TEST(numbers_are_digits_up_to_a_limit)
{
    uint64_t value = 9;
    ck_assert(str_to_u64(STR("0"), 0, &value) && value == 0);
    ck_assert(str_to_u64(STR("007"), 10, &value) && value == 7);
    ck_assert(str_to_u64(STR("65535"), 65535, &value) && value == 65535);
    ck_assert(str_to_u64(STR("18446744073709551615"), UINT64_MAX, &value) && value == UINT64_MAX);
    static const char *const bad[] = {"", "-1", "+1", " 1", "1 ", "0x1", "1.0", "1_0", "\xd9\xa5"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert(!str_to_u64(str_from(bad[i]), UINT64_MAX, &value));
    ck_assert(!str_to_u64(STR("18446744073709551616"), UINT64_MAX, &value));
    ck_assert(!str_to_u64(STR("99999999999999999999999"), UINT64_MAX, &value));
    ck_assert(!str_to_u64(STR("65536"), 65535, &value) && !str_to_u64(STR("5"), 4, &value));
    ck_assert(value == UINT64_MAX);
}
END_TEST

TEST_MAIN("str", strs_are_compared_by_bytes, a_str_may_be_made_of_nothing,
          searching_gives_the_length_where_there_is_nothing, trimming_takes_spaces_and_tabs_only,
          numbers_are_digits_up_to_a_limit)
