#include "dataplane/http/message.h"

#include "tests/support/test.h"

START_TEST(methods_have_ids)
{
    ck_assert_uint_eq(http_method_of(STR("GET")), HTTP_GET);
    ck_assert_uint_eq(http_method_of(STR("TRACE")), HTTP_TRACE);
    ck_assert_uint_eq(http_method_of(STR("get")), HTTP_OTHER);
    ck_assert_uint_eq(http_method_of(STR("")), HTTP_OTHER);
    ck_assert(http_method_is_common(STR("PURGE")) && http_method_is_common(STR("PATCH")));
    ck_assert(!http_method_is_common(STR("FOO")) && !http_method_is_common(STR("")));
}
END_TEST

START_TEST(authorities_are_hosts_with_or_without_a_port)
{
    static const char *const good[] = {"a",     "A.b-c_d~e", "127.0.0.1", "a:0",         "a:65535",
                                       "[::1]", "[::1]:80",  "a%20b",     "a!$&'()*+;=", "a."};
    static const char *const bad[] = {"",       ":80",  "a:",   "a:65536", "a:1x",      "a:000001",
                                      "a,b",    "a@b",  "[::1", "[]",      "[a]",       "[::1]80",
                                      "[::1]:", "::1",  "a b",  "a/",      "a?",        "a#",
                                      "a%2",    "a%zz", "a%",   "a\\b",    "[1.2.3.4]", "a\x80"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        ck_assert_msg(http_authority_is_valid(str_from(good[i])), "%s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(!http_authority_is_valid(str_from(bad[i])), "%s", bad[i]);
    ck_assert(!http_authority_is_valid((struct str){"a\0", 2}));
    ck_assert(!http_authority_is_valid((struct str){"[::1\0]", 6}));
}
END_TEST

START_TEST(statuses_have_phrases)
{
    ck_assert_str_eq_len(http_reason_of(200), "OK");
    ck_assert_str_eq_len(http_reason_of(431), "Request Header Fields Too Large");
    ck_assert_str_eq_len(http_reason_of(299), "Unknown");
}
END_TEST

TEST_MAIN("message", methods_have_ids, authorities_are_hosts_with_or_without_a_port,
          statuses_have_phrases)
