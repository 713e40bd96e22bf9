#include "tests/support/test.h"

#include "controlplane/model/path_template.h"
#include "controlplane/model/regex.h"

#include <string.h>

static bool is_taken(const char *pattern)
{
    struct errmsg msg;
    return regex_check("f", pattern, NULL, &msg) == 0;
}

START_TEST(what_all_clients_understand_is_taken)
{
    ck_assert(is_taken("/a"));
    ck_assert(is_taken("/(?P<id>[^/]+)\\x41"));
}
END_TEST

START_TEST(what_some_clients_refuse_or_read_differently_is_refused)
{
    static const char *const patterns[] = {"",         "(a)\\1", "(?=a)",       "\t",
                                           "\xc3\xa9", "\\x9f",  "[a-\\x{ff}]", "(a"};
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
        ck_assert_msg(!is_taken(patterns[i]), "%s", patterns[i]);
}
END_TEST

START_TEST(the_sentence_names_the_field_and_the_position)
{
    struct errmsg msg;
    ck_assert_int_eq(regex_check("match.path.regex", "/(a)\\1", NULL, &msg), ERR_INVALID);
    ck_assert_str_eq(msg.text, "match.path.regex: back-references and octal escapes are not taken "
                               "(at position 5)");
}
END_TEST

START_TEST(a_pattern_too_big_for_envoy_is_refused)
{
    ck_assert(is_taken("/[a-z]{94}"));
    ck_assert(!is_taken("/[a-z]{96}"));
    ck_assert(!is_taken("/.{50}"));
    ck_assert(!is_taken("/(?:(?:ab){10}){10}"));
    ck_assert(!is_taken("/(?:(?:){100}){100}"));
    ck_assert(!is_taken("(?i)[a-z]{60}"));
}
END_TEST

START_TEST(a_pattern_has_a_limit_and_its_groups_are_counted)
{
    struct errmsg msg;
    unsigned groups;
    char pattern[2050];
    memset(pattern, '(', sizeof pattern);
    pattern[2049] = '\0';
    ck_assert_int_eq(regex_check("f", pattern, NULL, &msg), ERR_TOO_LARGE);
    ck_assert_int_eq(regex_check("f", "(a)(?:b)(?P<c>c)", &groups, &msg), 0);
    ck_assert_uint_eq(groups, 2);
}
END_TEST

START_TEST(a_template_becomes_a_regex_for_the_whole_path)
{
    struct arena arena;
    arena_init(&arena, 1024);
    ck_assert_str_eq(path_template_regex(&arena, "/users/{id}"), "/users/[^/]+");
    ck_assert_str_eq(path_template_regex(&arena, "/a.b/{x}+{y}.json"),
                     "/a\\.b/[^/]+\\+[^/]+\\.json");
    ck_assert_str_eq(regex_quote(&arena, "/a(b)*$"), "/a\\(b\\)\\*\\$");
    arena_done(&arena);
}
END_TEST

START_TEST(a_template_with_broken_braces_is_refused)
{
    struct errmsg msg;
    unsigned literals;
    ck_assert_int_eq(path_template_check("f", "/a/{id}/b", &literals, &msg), 0);
    ck_assert_uint_eq(literals, 5);
    ck_assert_int_eq(path_template_check("f", "/{", &literals, &msg), ERR_INVALID);
    ck_assert_int_eq(path_template_check("f", "/}", &literals, &msg), ERR_INVALID);
    ck_assert_int_eq(path_template_check("f", "/{}", &literals, &msg), ERR_INVALID);
    ck_assert_int_eq(path_template_check("f", "/{a/b}", &literals, &msg), ERR_INVALID);
    ck_assert_int_eq(path_template_check("f", "/{a}{b}", &literals, &msg), ERR_INVALID);
}
END_TEST

TEST_MAIN("regex", what_all_clients_understand_is_taken,
          what_some_clients_refuse_or_read_differently_is_refused,
          the_sentence_names_the_field_and_the_position, a_pattern_too_big_for_envoy_is_refused,
          a_pattern_has_a_limit_and_its_groups_are_counted,
          a_template_becomes_a_regex_for_the_whole_path, a_template_with_broken_braces_is_refused)
