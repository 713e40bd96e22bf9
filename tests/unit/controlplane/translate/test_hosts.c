#include "tests/support/test.h"

#include "controlplane/translate/hosts.h"

START_TEST(a_pattern_covers_itself_and_what_is_below_it)
{
    ck_assert(host_covers(STR("*"), STR("*")) && host_covers(STR("*"), STR("a.com")));
    ck_assert(host_covers(STR("*"), STR("*.com")));
    ck_assert(host_covers(STR("*.com"), STR("a.com")) && host_covers(STR("*.com"), STR("b.a.com")));
    ck_assert(host_covers(STR("*.com"), STR("*.a.com")));
    ck_assert(host_covers(STR("*.com"), STR("*.com")));
    ck_assert(host_covers(STR("a.com"), STR("a.com")));
    ck_assert(!host_covers(STR("*.a.com"), STR("a.com")));
    ck_assert(!host_covers(STR("*.a.com"), STR("xa.com")));
    ck_assert(!host_covers(STR("a.com"), STR("*")) && !host_covers(STR("*.com"), STR("*")));
    ck_assert(!host_covers(STR("a.com"), STR("b.com")));
}
END_TEST

START_TEST(two_patterns_meet_in_the_more_specific_one)
{
    ck_assert_str_eq_len(host_meet(STR("*"), STR("a.com")), "a.com");
    ck_assert_str_eq_len(host_meet(STR("a.com"), STR("*.com")), "a.com");
    ck_assert_str_eq_len(host_meet(STR("*.com"), STR("*.a.com")), "*.a.com");
    ck_assert_ptr_null(host_meet(STR("*.a.com"), STR("*.b.com")).data);
    ck_assert_ptr_null(host_meet(STR("a.com"), STR("b.com")).data);
}
END_TEST

START_TEST(parents_lead_up_to_the_pattern_for_everything)
{
    char buffer[256];
    struct str at = STR("a.b.example.com");
    static const char *const steps[] = {"*.b.example.com", "*.example.com", "*.com", "*"};
    for (size_t i = 0; i < 4; i++) {
        at = host_parent(at, buffer);
        ck_assert_str_eq_len(at, steps[i]);
    }
    ck_assert_ptr_null(host_parent(at, buffer).data);
    ck_assert_str_eq_len(host_parent(STR("[::1]"), buffer), "*");
    ck_assert_str_eq_len(host_parent(STR("localhost"), buffer), "*");
}
END_TEST

START_TEST(each_parent_covers_its_child)
{
    static const char *const hosts[] = {"a.b.c", "*.b.c", "127.0.0.1", "[::1]", "x", "*.x"};
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        char buffer[256];
        struct str parent = host_parent(str_from(hosts[i]), buffer);
        ck_assert_msg(host_covers(parent, str_from(hosts[i])), "%s", hosts[i]);
    }
}
END_TEST

TEST_MAIN("hosts", a_pattern_covers_itself_and_what_is_below_it,
          two_patterns_meet_in_the_more_specific_one, parents_lead_up_to_the_pattern_for_everything,
          each_parent_covers_its_child)
