#include "dataplane/route/regex.h"
#include "tests/support/fake_stream.h"
#include "tests/support/test.h"

#include <pthread.h>

static struct fake_load load;

static const struct route_regex *compile(const char *pattern)
{
    const struct route_regex *regex = NULL;
    int err = route_regex_get(load.load.shared, &load.states, str_from(pattern), &regex, &load.msg);
    ck_assert_msg(err == 0, "%s", load.msg.text);
    return regex;
}

static bool matches(const char *pattern, const char *subject)
{
    return route_regex_match(compile(pattern), str_from(subject)) == ROUTE_REGEX_MATCH;
}

START_TEST(a_regex_must_match_the_whole_subject)
{
    fake_load_init(&load);
    ck_assert(matches("/a", "/a"));
    ck_assert(!matches("/a", "/ab"));
    ck_assert(!matches("/a", "x/a"));
    ck_assert(matches("a|ab", "ab"));
    ck_assert(matches("^/users/[^/]+$", "/users/1"));
    ck_assert(!matches("^/users/[^/]+$", "/users/1/x"));
    ck_assert(!matches("a$", "a\n"));
    ck_assert(matches("(?i)abc", "ABC"));
    ck_assert(matches("\\Q.*\\Ex?", ".*"));
    ck_assert(matches("[]a]+", "]a"));
    ck_assert(matches("a{2,3}", "aaa"));
    ck_assert(matches("a{,3}", "a{,3}"));
    ck_assert(matches(".", "\xe9"));
    ck_assert(!matches(".", "\xc3\xa9"));
    ck_assert(matches("", "x") == false);
    fake_load_done(&load);
}
END_TEST

START_TEST(what_re2_refuses_is_refused)
{
    fake_load_init(&load);
    const char *const bad[] = {"(a)\\1", "(?=a)", "a++", "(a", "\\v"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const struct route_regex *regex;
        int err =
            route_regex_get(load.load.shared, &load.states, str_from(bad[i]), &regex, &load.msg);
        ck_assert_msg(err == ERR_INVALID, "%s was taken", bad[i]);
    }
    ck_assert_str_eq(load.msg.text,
                     "regex \\v: the escape \\v has no meaning here (at position 1)");
    fake_load_done(&load);
}
END_TEST

START_TEST(equal_patterns_are_one)
{
    fake_load_init(&load);
    ck_assert_ptr_eq(compile("/a.*"), compile("/a.*"));
    ck_assert_ptr_ne(compile("/a.*"), compile("/b.*"));
    fake_load_done(&load);
}
END_TEST

START_TEST(literal_ends_are_those_of_the_pattern)
{
    fake_load_init(&load);
    const struct route_regex *regex = compile("/users/[^/]+/posts");
    ck_assert_str_eq_len(route_regex_literal_prefix(regex), "/users/");
    ck_assert_str_eq_len(route_regex_literal_suffix(regex), "/posts");
    fake_load_done(&load);
}
END_TEST

START_TEST(a_pattern_that_backtracks_without_end_is_decided_all_the_same)
{
    fake_load_init(&load);
    char subject[4096];
    memset(subject, 'a', sizeof subject);
    const struct route_regex *regex = compile("(a+)+b");
    struct str s = {.data = subject, .len = sizeof subject};
    ck_assert_int_eq(route_regex_match(regex, s), ROUTE_REGEX_NO_MATCH);
    subject[sizeof subject - 1] = 'b';
    ck_assert_int_eq(route_regex_match(regex, s), ROUTE_REGEX_MATCH);
    ck_assert_int_eq(route_regex_match(compile("(a|aa)+b"), s), ROUTE_REGEX_MATCH);
    fake_load_done(&load);
}
END_TEST

START_TEST(the_automaton_decides_what_backtracking_does_not_and_then_gives_up)
{
    fake_load_init(&load);
    char subject[8192];
    memset(subject, 'a', sizeof subject);
    struct str all = {.data = subject, .len = sizeof subject}, some = {.data = subject, .len = 100};
    const struct route_regex *regex = compile("(a|aa)+[bc]");
    ck_assert_int_eq(route_regex_match(regex, all), ROUTE_REGEX_NO_MATCH);
    subject[sizeof subject - 1] = 'c';
    ck_assert_int_eq(route_regex_match(regex, all), ROUTE_REGEX_MATCH);
    /* One state more with every byte: decided while they are few. */
    regex = compile("(a+)+[bc][bc]");
    ck_assert_int_eq(route_regex_match(regex, some), ROUTE_REGEX_NO_MATCH);
    ck_assert_int_eq(route_regex_match(regex, all), ROUTE_REGEX_GAVE_UP);
    fake_load_done(&load);
}
END_TEST

static struct str replace(const char *pattern, const char *substitution, const char *subject)
{
    Envoy__Type__Matcher__V3__RegexMatcher matcher = ENVOY__TYPE__MATCHER__V3__REGEX_MATCHER__INIT;
    Envoy__Type__Matcher__V3__RegexMatchAndSubstitute message =
        ENVOY__TYPE__MATCHER__V3__REGEX_MATCH_AND_SUBSTITUTE__INIT;
    matcher.regex = (char *)pattern;
    message.pattern = &matcher;
    message.substitution = (char *)substitution;
    const struct route_regex *regex;
    struct str result = STR("(error)");
    if (!route_regex_from_substitution(load.load.shared, &load.states, &message, &regex, &load.msg))
        (void)!route_regex_replace(regex, str_from(subject), str_from(substitution), &load.arena,
                                   64, &result);
    return result;
}

START_TEST(replacing_puts_groups_into_the_substitution)
{
    fake_load_init(&load);
    ck_assert_str_eq_len(replace("^/a/(.*)", "/b/\\1", "/a/x"), "/b/x");
    ck_assert_str_eq_len(replace("x", "y", "axbxc"), "aybyc");
    ck_assert_str_eq_len(replace("(a)(b)?", "[\\0\\2\\\\]", "a"), "[a\\]");
    ck_assert_str_eq_len(replace("none", "y", "abc"), "abc");
    ck_assert_str_eq_len(replace("", "-", "ab"), "(error)");
    ck_assert_str_eq_len(replace("q*", "-", "ab"), "-a-b-");
    ck_assert_str_eq_len(replace("(a)", "\\2", "a"), "(error)");
    ck_assert_str_eq_len(replace("a", "\\x", "a"), "(error)");
    ck_assert_str_eq_len(replace("a", "0123456789012345678901234567890123", "aa"), "(error)");
    fake_load_done(&load);
}
END_TEST

START_TEST(replacing_gives_up_where_it_would_take_long)
{
    fake_load_init(&load);
    char subject[8193];
    memset(subject, 'a', sizeof subject);
    subject[8192] = '\0';
    ck_assert_str_eq_len(replace("(a+)+[bc]", "x", subject), "(error)");
    ck_assert_str_eq_len(replace("(?:a|aa){1,9}[bc]", "x", subject), "(error)");
    ck_assert_str_eq_len(replace("^a*$", "x", subject), "x");
    fake_load_done(&load);
}
END_TEST

static void *match_in_thread(void *arg)
{
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(route_regex_match(arg, STR("/users/7")), ROUTE_REGEX_MATCH);
    return NULL;
}

START_TEST(threads_share_a_regex)
{
    fake_load_init(&load);
    pthread_t threads[4];
    void *regex = (void *)compile("/users/[0-9]+");
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, match_in_thread, regex);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    fake_load_done(&load);
}
END_TEST

TEST_MAIN("regex", a_regex_must_match_the_whole_subject, what_re2_refuses_is_refused,
          equal_patterns_are_one, literal_ends_are_those_of_the_pattern,
          a_pattern_that_backtracks_without_end_is_decided_all_the_same,
          the_automaton_decides_what_backtracking_does_not_and_then_gives_up,
          replacing_puts_groups_into_the_substitution, replacing_gives_up_where_it_would_take_long,
          threads_share_a_regex)
