#include "tests/support/test.h"

#include "controlplane/model/path_template.h"
#include "controlplane/model/regex.h"

#include <string.h>

static bool is_taken(const char *pattern)
{
    struct errmsg msg;
    return regex_check("f", pattern, NULL, &msg) == 0;
}

START_TEST(what_both_engines_have_is_taken)
{
    static const char *const patterns[] = {
        "/a",     "^/a$",        "/[0-9]+",        "/(a|b|)c",      "/(?:a|b)*?",
        "(?i)/a", "/(?P<id>.+)", "/\\d\\w\\s",     "/[^/\\]]+",     "/a{2,5}?",
        "/a{b",   "/[]a]",       "/[[:alpha:]_-]", "/\\x41\\x{42}", "/\\.\\-\\/",
        "/a\\b",  "/(?i:b)c",    "/[a\\-z]",
    };
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
        ck_assert_msg(is_taken(patterns[i]), "%s", patterns[i]);
}
END_TEST

START_TEST(what_re2_does_not_have_is_refused)
{
    static const char *const patterns[] = {
        "",        "(a)\\1",  "(?=a)",   "(?!a)",   "(?<=a)b", "(?<!a)b",  "(?>a)", "a*+",
        "a++",     "a?+",     "a{2}{3}", "a**",     "*a",      "|*",       "(?#x)", "(?R)",
        "(?1)",    "(*FAIL)", "\\Z",     "\\G",     "\\K",     "\\R",      "\\h",   "\\X",
        "\\N",     "\\Qa\\E", "\\cA",    "\\e",     "\\p{L}",  "\\x{100}", "\\x9f", "\\xg",
        "[[.a.]]", "[[=a=]]", "[\\b]",   "a{1001}", "a{5,2}",  "a\\",      "(a",    "a)",
        "[a",      "[b-a]",   "(?x)a",   "(?P=n)",  "(?'n'a)", "(?<n>a)",  "\t",    "\xc3\xa9",
    };
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
        ck_assert_msg(!is_taken(patterns[i]), "%s", patterns[i]);
}
END_TEST

START_TEST(the_sentence_names_the_field_and_the_position)
{
    struct errmsg msg;
    ck_assert_int_eq(regex_check("match.path.regex", "/(a)\\1", NULL, &msg), ERR_INVALID);
    ck_assert_str_eq(msg.text, "match.path.regex: a back-reference or octal escape (at position 5) "
                               "cannot be used: only what RE2 has");
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

START_TEST(groups_inside_groups_have_a_limit)
{
    char pattern[2 * REGEX_DEPTH_MAX + 2];
    memset(pattern, '(', REGEX_DEPTH_MAX);
    memset(pattern + REGEX_DEPTH_MAX, ')', REGEX_DEPTH_MAX);
    pattern[2 * REGEX_DEPTH_MAX] = '\0';
    ck_assert(!is_taken(pattern));
}
END_TEST

START_TEST(a_substitution_may_name_only_groups_that_there_are)
{
    struct errmsg msg;
    unsigned groups;
    ck_assert_int_eq(regex_check("f", "(a)(?:b)(?P<c>c)", &groups, &msg), 0);
    ck_assert_uint_eq(groups, 2);
    ck_assert_int_eq(regex_check_substitution("f", "\\2\\0\\\\x", groups, &msg), 0);
    ck_assert_int_eq(regex_check_substitution("f", "\\3", groups, &msg), ERR_INVALID);
    ck_assert_str_eq(msg.text, "f: \\3, but the pattern has 2 groups");
    ck_assert_int_eq(regex_check_substitution("f", "\\n", groups, &msg), ERR_INVALID);
    ck_assert_int_eq(regex_check_substitution("f", "x\\", groups, &msg), ERR_INVALID);
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

TEST_MAIN("regex", what_both_engines_have_is_taken, what_re2_does_not_have_is_refused,
          the_sentence_names_the_field_and_the_position, a_pattern_too_big_for_envoy_is_refused,
          groups_inside_groups_have_a_limit, a_substitution_may_name_only_groups_that_there_are,
          a_template_becomes_a_regex_for_the_whole_path, a_template_with_broken_braces_is_refused)
