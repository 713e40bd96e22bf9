#include "common/base/mem.h"
#include "common/regex/byte_set.h"
#include "common/regex/regex.h"
#include "tests/support/test.h"

static struct regex regex;
static struct errmsg msg;

/* In memory that ends where the pattern does, so that the sanitizer sees a step beyond it. */
static int parse(struct str pattern)
{
    char *exact = mem_alloc(pattern.len ? pattern.len : 1);
    memcpy(exact, pattern.data, pattern.len);
    msg.text[0] = '\0';
    int err = regex_parse((struct str){.data = exact, .len = pattern.len}, &regex, &msg);
    mem_free(exact);
    ck_assert_int_eq(!err, msg.text[0] == '\0');
    return err;
}

static bool is_taken(const char *pattern)
{
    return parse(str_from(pattern)) == 0;
}

START_TEST(what_both_engines_have_is_taken)
{
    static const char *const patterns[] = {
        "",
        "/a",
        "^/a$",
        "/[0-9]+",
        "/(a|b|)c",
        "a||b",
        "/(?:a|b)*?",
        "(?i)/a",
        "/(?P<id>.+)",
        "(?<id>.+)",
        "()",
        "(?:)*",
        "/\\d\\w\\s",
        "/[^/\\]]+",
        "/a{2,5}?",
        "/a{b",
        "a{,3}",
        "a{2}{",
        "a{2}{3",
        "/[]a]",
        "[^]a]",
        "[a-c-e]",
        "[a-z0-9-_]",
        "[a-c--z]",
        "[a-c-\\d]",
        "[a-]",
        "[-a]",
        "/[[:alpha:]_-]",
        "[[:^alpha:]]",
        "[:/]",
        "/\\x41\\x{42}",
        "\\x{0041}\\xff",
        "/\\.\\-\\/\\_",
        "/a\\b",
        "/(?i:b)c",
        "/[a\\-z]",
        "\\Q.*\\Ex?",
        "\\Q(",
        "(?is-mU:a)b",
        "(?-i)a",
        "(?)a",
        "(?:a{500}){2}",
        "(?:a{300}){0}",
        "a{1,}?",
        "(?U)a+?",
        "\\Aa\\z",
        "[^\\x00-\\xff]",
        "\xc3\xa9[\xe9]",
    };
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
        ck_assert_msg(is_taken(patterns[i]), "%s: %s", patterns[i], msg.text);
}
END_TEST

START_TEST(what_re2_does_not_have_is_refused)
{
    static const char *const patterns[] = {
        "(a)\\1",
        "(?=a)",
        "(?!a)",
        "(?<=a)b",
        "(?<!a)b",
        "(?>a)",
        "a*+",
        "a++",
        "a?+",
        "a{2}+",
        "a{2}{3}",
        "x{2}{3}",
        "a**",
        "a???",
        "*a",
        "|*",
        "{2}",
        "(*a)",
        "(?#x)",
        "(?R)",
        "(?1)",
        "(?(1)a)",
        "(?C1)",
        "(?|a|b)",
        "(?x)a",
        "(?-)a",
        "(?i-)a",
        "(?--i)a",
        "(?P=n)",
        "(?P>n)",
        "(?'n'a)",
        "\\k<x>",
        "(*FAIL)",
        "(*UTF)a",
        "\\Z",
        "\\G",
        "\\Ga",
        "\\K",
        "\\Ka",
        "\\R",
        "\\h",
        "\\X",
        "\\Xa",
        "\\N",
        "\\E",
        "\\cA",
        "\\e",
        "\\Bad\\y",
        "\\x{100}",
        "\\x{",
        "\\x{}",
        "\\x{41",
        "\\x4",
        "\\xg",
        "\\xZ",
        "[[:foo:]]",
        "[[:alpha",
        "[\\b]",
        "[\\Z]",
        "[\\Qa\\E]",
        "a{1001}",
        "a{1,2000}",
        "a{5,2}",
        "a\\",
        "[a\\",
        "(a",
        "a)",
        "[a",
        "[]",
        "[^]",
        "[b-a]",
        "[a-\\d]",
        "a{99999999999999999999}",
        "(?:a{2}){501}",
        "((a{10}){10}b){11}",
        "(?P<a>x)(?P<a>y)",
        "(?P<a-b>x)",
        "(?P<>x)",
        "(?P<a",
        "\\\xc3\xa9",
    };
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
        ck_assert_msg(!is_taken(patterns[i]), "%s", patterns[i]);
}
END_TEST

START_TEST(what_the_engines_understand_differently_is_refused)
{
    static const char *const patterns[] = {
        "\\v",       "[\\v]",       "\\12",
        "\\0",       "a{01}",       "a{0,01}",
        "\\pL",      "\\p{Greek}",  "\\C",
        "a\\Q\\E",   "a\\Q\\E+",    "\\Q",
        "[[.a.]]",   "[[=a=]]",     "[[.hyphen.]]",
        "[!-[:a:]]", "[:alpha:]",   "[.a.]",
        "[[:alpha]", "(?i)\xe9",    "(?i)[\x80-\xff]",
        "(?i)\\xe9", "(a(?i)\xe9)", "[\\d-z]",
        "[\\w-.]",   "[\\d--z]",    "[[:digit:]-z]",
        "a(?i)*",    "(?P<1>x)",    "(?P<a23456789012345678901234567890123>x)",
    };
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
        ck_assert_msg(!is_taken(patterns[i]), "%s", patterns[i]);
}
END_TEST

START_TEST(flags_end_with_their_group)
{
    ck_assert(is_taken("(a(?i)b)\xe9"));
    ck_assert(is_taken("(?i)(?-i:\xe9)"));
    ck_assert(!is_taken("(?i)(a)\xe9"));
    ck_assert(is_taken("(?P<abc>x)(?P<ab>y)(?P<abcd>z)")); /* other names */
}
END_TEST

static void check_sentence(const char *pattern, const char *sentence)
{
    ck_assert(!is_taken(pattern));
    ck_assert_str_eq(msg.text, sentence);
}

START_TEST(the_sentence_says_what_and_where)
{
    check_sentence("/(a)\\1", "back-references and octal escapes are not taken (at position 5)");
    check_sentence("ab[c", "a [ without its ] (at position 3)");
    check_sentence("ab(c", "a ( without its ) (at position 5)");
    check_sentence("a)", "a ) without its ( (at position 2)");
    check_sentence("\\h", "the escape \\h has no meaning here (at position 1)");
    check_sentence("a*?*", "a quantifier after another (at position 4)");
}
END_TEST

START_TEST(there_are_limits)
{
    char pattern[REGEX_BYTES_MAX + 2];
    struct str s = {.data = pattern, .len = REGEX_BYTES_MAX};
    memset(pattern, 'a', sizeof pattern);
    ck_assert_int_eq(parse(s), 0);
    s.len++;
    ck_assert_int_eq(parse(s), ERR_TOO_LARGE);
    memset(pattern, '(', REGEX_DEPTH_MAX);
    memset(pattern + REGEX_DEPTH_MAX, ')', REGEX_DEPTH_MAX);
    s.len = (size_t)2 * REGEX_DEPTH_MAX;
    ck_assert_int_eq(parse(s), 0);
    memset(pattern, '(', REGEX_DEPTH_MAX + 1);
    memset(pattern + REGEX_DEPTH_MAX + 1, ')', REGEX_DEPTH_MAX + 1);
    s.len += 2;
    ck_assert_int_eq(parse(s), ERR_INVALID);
    for (size_t i = 0; i < 30; i++)
        memcpy(pattern + 7 * i, "a{1000}", 7);
    s.len = (size_t)7 * 20;
    ck_assert_int_eq(parse(s), ERR_TOO_LARGE);
    s.len = (size_t)7 * 19;
    ck_assert_int_eq(parse(s), 0);
}
END_TEST

START_TEST(the_size_is_never_less_than_re2s)
{
    /* Sizes as RE2 reports them for Latin-1. */
    static const struct {
        const char *pattern;
        unsigned size;
    } cases[] = {
        {"a", 5},
        {"", 4},
        {"|", 4},
        {"()", 6},
        {"a??", 6},
        {"^", 5},
        {"(?:^)*", 9},
        {"[[:^alpha:]]", 7},
        {"(?i)k", 5},
        {"a{2}{", 7},
        {"(?is-mU:a)b", 6},
        {"(?:a{500}){2}", 1004},
        {"(?:(?:^)*){2}", 14},
        {"((?:(?:(?:\\b))*){1})", 11},
        {"(?m:(?:(?:((?:\\d)?)){0,}){5})", 44},
        {"(?:((?:\\b)*)){5}", 39},
        {"([^\\].!-/.](?:$){0,}\xe9[^K]-)", 18},
        {"(?:(?m:(?m:(?:\\S)?)*?){2})*", 34},
        {"|(ab){2}|.|(?:(?:(?:(?m:\\S|)*?|(?:[ac])*){0,2})*)*?", 85},
        {"(?:(?:(?m:$|b*|ab|\\S)*)*?){2}", 48},
        {"[^\\x00-\\xff]", 1},
        {"(?P<a>x)(?P<b>y)", 10},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ck_assert_msg(is_taken(cases[i].pattern), "%s: %s", cases[i].pattern, msg.text);
        ck_assert_msg(regex.instruction_count >= cases[i].size, "%s", cases[i].pattern);
        ck_assert_msg(regex.instruction_count <= cases[i].size * 3 + 6, "%s", cases[i].pattern);
    }
}
END_TEST

START_TEST(groups_are_counted)
{
    ck_assert(is_taken("(a)(?:b)(?P<c>c)(?i)(?<d>[(]\\()"));
    ck_assert_uint_eq(regex.group_count, 3);
}
END_TEST

START_TEST(bytes_that_are_not_ascii_are_noticed)
{
    ck_assert(is_taken("/\\x7f[a-z]\\W[^a]."));
    ck_assert(regex.is_ascii);
    static const char *const patterns[] = {"\xc3\xa9", "\\x80", "[\xff]", "[a-\\xff]", "\\Q\xe9"};
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        ck_assert(is_taken(patterns[i]));
        ck_assert_msg(!regex.is_ascii, "%s", patterns[i]);
    }
}
END_TEST

static void check_ends(const char *pattern, const char *prefix, const char *suffix)
{
    ck_assert_msg(is_taken(pattern), "%s: %s", pattern, msg.text);
    ck_assert_str_eq_len(((struct str){regex.prefix, regex.prefix_len}), prefix);
    ck_assert_str_eq_len(((struct str){regex.suffix, regex.suffix_len}), suffix);
}

START_TEST(literal_ends_are_found)
{
    check_ends("^/users/[^/]+$", "/users/", "");
    check_ends("/users/[^/]+/posts", "/users/", "/posts");
    check_ends("/a\\.b/.*", "/a.b/", "");
    check_ends("/ab?c", "/a", "c");
    check_ends("/ab*", "/a", "");
    check_ends("/ab{0}c", "/a", "c");
    check_ends("/a|/b", "", "");
    check_ends("(?i)/a", "", "");
    check_ends("/x(a|b)y", "/x", "y");
    check_ends("/abc", "/abc", "/abc");
    check_ends("/a{2}b", "/", "b");
    check_ends("/a{b", "/a{b", "/a{b");
    check_ends("/a(b)", "/a", "");
    check_ends("\\A/a", "", "/a");
    check_ends("/a\\z", "/a", "/a");
    check_ends("/a^b$c", "/a", "c");
    check_ends("\\Q/a.*\\Eb", "/a.*b", "/a.*b");
    check_ends("/\\x41\\n", "/A\n", "/A\n");
}
END_TEST

START_TEST(literal_ends_are_cut_to_their_limits)
{
    char pattern[400], prefix[REGEX_PREFIX_MAX + 1] = "", suffix[REGEX_SUFFIX_MAX + 1] = "";
    for (size_t i = 0; i < sizeof pattern; i++)
        pattern[i] = (char)('a' + i % 26);
    pattern[sizeof pattern - 1] = '\0';
    memcpy(prefix, pattern, REGEX_PREFIX_MAX);
    memcpy(suffix, pattern + sizeof pattern - 1 - REGEX_SUFFIX_MAX, REGEX_SUFFIX_MAX);
    check_ends(pattern, prefix, suffix);
    pattern[REGEX_PREFIX_MAX] = '?'; /* the last byte of the prefix may be missing */
    prefix[REGEX_PREFIX_MAX - 1] = '\0';
    check_ends(pattern, prefix, suffix);
}
END_TEST

START_TEST(a_substitution_may_name_only_groups_that_there_are)
{
    ck_assert_int_eq(regex_check_substitution(STR("\\2\\0\\\\x"), 2, &msg), 0);
    ck_assert_int_eq(regex_check_substitution(STR("\\3"), 2, &msg), ERR_INVALID);
    ck_assert_str_eq(msg.text, "\\3, but the pattern has 2 groups");
    ck_assert_int_eq(regex_check_substitution(STR("\\n"), 2, &msg), ERR_INVALID);
    ck_assert_int_eq(regex_check_substitution(STR("x\\"), 2, &msg), ERR_INVALID);
}
END_TEST

START_TEST(a_set_counts_its_ranges)
{
    struct byte_set set = {0};
    ck_assert_uint_eq(byte_set_count_ranges(&set), 0);
    byte_set_negate(&set);
    ck_assert_uint_eq(byte_set_count_ranges(&set), 1);
    set = (struct byte_set){0};
    ck_assert(byte_set_add_escape(&set, 'w'));
    ck_assert_uint_eq(byte_set_count_ranges(&set), 4);
    ck_assert(byte_set_add_escape(&set, 'W'));
    ck_assert_uint_eq(byte_set_count_ranges(&set), 1);
    ck_assert(!byte_set_add_escape(&set, 'q'));
    set = (struct byte_set){0};
    byte_set_add_range(&set, 'x', 'z', true);
    ck_assert(set.has['Y'] && set.has['y'] && !set.has['W'] && !set.has['[']);
    ck_assert(byte_set_add_posix(&set, STR("cntrl"), false));
    ck_assert(set.has[0] && set.has[31] && set.has[127] && !set.has[' ']);
    ck_assert(!byte_set_add_posix(&set, STR(""), false));
    ck_assert(!byte_set_add_posix(&set, STR("^"), false));
}
END_TEST

TEST_MAIN("regex", what_both_engines_have_is_taken, what_re2_does_not_have_is_refused,
          what_the_engines_understand_differently_is_refused, flags_end_with_their_group,
          the_sentence_says_what_and_where, there_are_limits, the_size_is_never_less_than_re2s,
          groups_are_counted, bytes_that_are_not_ascii_are_noticed, literal_ends_are_found,
          literal_ends_are_cut_to_their_limits, a_substitution_may_name_only_groups_that_there_are,
          a_set_counts_its_ranges)
