#include "dataplane/filters/query.h"

#include "dataplane/http/path.h"
#include "tests/support/test.h"

static struct arena arena;

static struct str value(const char *path, const char *name)
{
    return query_value(&arena, str_from(path), str_from(name));
}

START_TEST(a_value_is_found_however_it_is_spelled)
{
    arena_init(&arena, 1024);
    ck_assert_str_eq_len(value("/p?a=1&b=2", "b"), "2");
    ck_assert_str_eq_len(value("/p?x=y&%62=%61%62c", "b"), "abc");
    ck_assert_str_eq_len(value("/p?b=first&b=second", "b"), "first");
    ck_assert_str_eq_len(value("/p?b=a%26b", "b"), "a&b");
    ck_assert_str_eq_len(value("/p?b=100%&c=%4", "b"), "100%");
    ck_assert_str_eq_len(value("/p?b=100%&c=%4", "c"), "%4");
    ck_assert_str_eq_len(value("/p?b=x=y", "b"), "x=y");
    arena_done(&arena);
}
END_TEST

START_TEST(an_empty_value_is_there_and_a_missing_one_is_not)
{
    arena_init(&arena, 1024);
    static const char *const with[] = {"/p?b", "/p?b=", "/p?a&b&c", "/p?&&b=&"};
    static const char *const without[] = {"/p", "/p?", "/b", "/p?a=b", "/p?bb=1", "", "/p?&"};
    for (size_t i = 0; i < sizeof with / sizeof *with; i++) {
        ck_assert_ptr_nonnull(value(with[i], "b").data);
        ck_assert_uint_eq(value(with[i], "b").len, 0);
    }
    for (size_t i = 0; i < sizeof without / sizeof *without; i++)
        ck_assert_ptr_null(value(without[i], "b").data);
    arena_done(&arena);
}
END_TEST

START_TEST(pairs_come_in_their_order_as_they_stand)
{
    static const char *const texts[] = {"a=%31", "", "b", "c=d"};
    struct str path = STR("/p?a=%31&&b&c=d&");
    struct query_pair pair;
    size_t count = 0;
    for (size_t at = path_query_at(path); query_next(path, &at, &pair); count++)
        ck_assert_str_eq_len(pair.text, texts[count]);
    ck_assert_uint_eq(count, 4);
}
END_TEST

TEST_MAIN("query", a_value_is_found_however_it_is_spelled,
          an_empty_value_is_there_and_a_missing_one_is_not, pairs_come_in_their_order_as_they_stand)
