/*
 * A scanner for what RE2 and PCRE2 have in common. Whatever is not known to be in both is refused;
 * what is left is compiled with PCRE2, which finds the rest (unbalanced parentheses, bad ranges).
 *
 * On the way it estimates how many instructions RE2 makes of the pattern: never too few, mostly a
 * few too many.
 */
#include "controlplane/model/regex.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

/* What RE2 adds to every program. */
enum { PROGRAM_OVERHEAD = 5, COST_MAX = 1000000 };

/* A group, or the whole pattern: alternatives of items in a row. */
struct group {
    unsigned before; /* cost of the items before the last one, and of earlier alternatives */
    unsigned last;   /* cost of the last item, which a quantifier multiplies */
    bool is_capture;
};

struct scanner {
    const char *field;
    const char *pattern;
    const char *at;
    unsigned case_factor; /* 2 where letters may stand for both cases: one range becomes two */
    bool may_repeat;      /* the last item can take a quantifier */
    bool was_repeated;    /* the last item is a quantifier */
    struct group groups[REGEX_DEPTH_MAX];
    unsigned depth;
    struct errmsg *msg;
};

static int refuse(const struct scanner *scanner, const char *what)
{
    return errmsg_set(scanner->msg, ERR_INVALID,
                      "%s: %s (at position %zu) cannot be used: only what RE2 has", scanner->field,
                      what, (size_t)(scanner->at - scanner->pattern) + 1);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_hex_digit(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* --- cost ------------------------------------------------------------------------------------- */

static unsigned limited(size_t cost)
{
    return cost < COST_MAX ? (unsigned)cost : COST_MAX;
}

/* A new item behind the last one. */
static void add_item(struct scanner *scanner, unsigned cost, bool may_repeat)
{
    struct group *group = &scanner->groups[scanner->depth];
    group->before = limited((size_t)group->before + group->last);
    group->last = cost;
    scanner->may_repeat = may_repeat;
    scanner->was_repeated = false;
}

/* min copies, and more that can each be left out; or, with max UINT_MAX, a loop. */
static void repeat_item(struct scanner *scanner, size_t min, size_t max)
{
    struct group *group = &scanner->groups[scanner->depth];
    size_t cost = group->last ? group->last : 1;
    size_t optional = max == UINT_MAX ? 1 : max - min;
    group->last = limited(cost * min + (cost + 2) * optional);
}

/* --- escapes ---------------------------------------------------------------------------------- */

/* \x41 and \x{41}: where it ends, or NULL where it is none or no ASCII character. */
static const char *scan_hex(const char *at)
{
    bool has_braces = *at == '{';
    const char *digits = at + has_braces;
    if (!is_hex_digit(digits[0]) || !is_hex_digit(digits[1]) || digits[0] > '7')
        return NULL;
    if (has_braces && digits[2] != '}')
        return NULL;
    return digits + 2 + has_braces;
}

/* How many ranges of characters the escape stands for. */
static unsigned escape_ranges(char c)
{
    switch (c) {
    case 'D':
        return 2;
    case 's':
        return 3;
    case 'S':
    case 'w':
        return 4;
    case 'W':
        return 5;
    }
    return 1;
}

/* A backslash and what belongs to it; *ret_cost is how many ranges of characters it stands for. */
static int scan_escape(struct scanner *scanner, bool is_in_class, unsigned *ret_cost)
{
    char c = scanner->at[1];
    const char *allowed = is_in_class ? "dDsSwWafnrtx" : "dDsSwWafnrtxbBAz";
    *ret_cost = escape_ranges(c) * scanner->case_factor;
    if (is_digit(c))
        return refuse(scanner, "a back-reference or octal escape");
    if (c == '\0')
        return refuse(scanner, "a backslash at the end");
    if (is_letter(c) && !strchr(allowed, c)) {
        const char what[] = {'t', 'h', 'e', ' ', 'e', 's', 'c', 'a', 'p', 'e', ' ', '\\', c, '\0'};
        return refuse(scanner, what);
    }
    const char *end = c == 'x' ? scan_hex(scanner->at + 2) : scanner->at + 2;
    if (!end)
        return refuse(scanner, "an escape that is not \\x00 to \\x7f");
    scanner->at = end;
    return 0;
}

/* --- classes ---------------------------------------------------------------------------------- */

/* "[:alpha:]" and the like inside a class: where it ends, or NULL. */
static const char *scan_posix_class(const char *at)
{
    static const char *const names[] = {"alnum", "alpha", "ascii", "blank", "cntrl",
                                        "digit", "graph", "lower", "print", "punct",
                                        "space", "upper", "word",  "xdigit"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t len = strlen(names[i]);
        if (strncmp(at + 2, names[i], len) == 0 && strncmp(at + 2 + len, ":]", 2) == 0)
            return at + len + 4;
    }
    return NULL;
}

/* One member of a class, or a range of them; *cost is counted up by how many ranges it may be. */
static int scan_member(struct scanner *scanner, unsigned *cost)
{
    enum { POSIX_RANGES_MAX = 4 };
    const char *at = scanner->at;
    unsigned ranges = scanner->case_factor;
    int err = 0;
    if (at[0] == '[' && (at[1] == ':' || at[1] == '.' || at[1] == '=')) {
        const char *end = at[1] == ':' ? scan_posix_class(at) : NULL;
        if (!end)
            return refuse(scanner, "a class of this kind");
        scanner->at = end;
        *cost += POSIX_RANGES_MAX * scanner->case_factor;
        return 0;
    }
    if (*at == '\\')
        err = scan_escape(scanner, true, &ranges);
    else
        scanner->at++;
    *cost += ranges;
    if (err || scanner->at[0] != '-' || scanner->at[1] == ']' || scanner->at[1] == '\0')
        return err;
    scanner->at++; /* a range: its end costs nothing more */
    if (*scanner->at == '\\')
        return scan_escape(scanner, true, &ranges);
    scanner->at++;
    return 0;
}

/* From "[" to "]". A "]" right behind "[" or "[^" is a member. */
static int scan_class(struct scanner *scanner)
{
    unsigned cost = 0;
    scanner->at++;
    if (*scanner->at == '^') {
        scanner->at++;
        cost++;
    }
    if (*scanner->at == ']') {
        scanner->at++;
        cost++;
    }
    while (*scanner->at && *scanner->at != ']') {
        int err = scan_member(scanner, &cost);
        if (err)
            return err;
    }
    if (*scanner->at)
        scanner->at++;
    add_item(scanner, limited(cost), true);
    return 0;
}

/* --- groups ----------------------------------------------------------------------------------- */

/* Behind "(": where its content begins, or NULL for a group of a kind we do not have. "(?i)" has
 * none: *ret_has_content is false then. */
static const char *scan_group_head(const char *at, bool *ret_is_capture, bool *ret_has_content)
{
    *ret_is_capture = true;
    *ret_has_content = true;
    if (at[0] == '*')
        return NULL;
    if (at[0] != '?')
        return at;
    if (at[1] == 'P' && at[2] == '<' && is_letter(at[3]))
        return at + 3;
    at++;
    while (*at == 'i' || *at == 'm' || *at == 's' || *at == 'U' || *at == '-')
        at++;
    *ret_is_capture = false;
    *ret_has_content = *at == ':';
    return *at == ':' || *at == ')' ? at + 1 : NULL;
}

static int open_group(struct scanner *scanner)
{
    bool is_capture, has_content;
    const char *content = scan_group_head(scanner->at + 1, &is_capture, &has_content);
    if (!content)
        return refuse(scanner, "a group of this kind (look-around, verb, comment …)");
    if (scanner->depth + 1 == REGEX_DEPTH_MAX)
        return refuse(scanner, "a group this deep inside others");
    scanner->at = content;
    if (!has_content) {
        add_item(scanner, 0, false);
        return 0;
    }
    /* The name of a named group costs nothing, but it is simpler to count it. */
    scanner->groups[++scanner->depth] = (struct group){.is_capture = is_capture};
    scanner->may_repeat = scanner->was_repeated = false;
    return 0;
}

static void close_group(struct scanner *scanner)
{
    scanner->at++;
    if (scanner->depth == 0)
        return; /* PCRE2 will say so */
    struct group group = scanner->groups[scanner->depth--];
    add_item(scanner, limited((size_t)group.before + group.last + (group.is_capture ? 2 : 0)),
             true);
}

static void next_alternative(struct scanner *scanner)
{
    scanner->at++;
    add_item(scanner, 1, false);
}

/* --- quantifiers ------------------------------------------------------------------------------ */

/* Whether at is "{n}", "{n,}" or "{n,m}"; any other brace is a character. */
static bool is_repetition(const char *at, const char **ret_end, unsigned long *ret_min,
                          unsigned long *ret_max)
{
    char *end;
    if (!is_digit(at[1]))
        return false;
    *ret_min = *ret_max = strtoul(at + 1, &end, 10);
    if (*end == ',' && is_digit(end[1])) {
        *ret_max = strtoul(end + 1, &end, 10);
    } else if (*end == ',') {
        *ret_max = UINT_MAX;
        end++;
    }
    *ret_end = end + 1;
    return *end == '}';
}

static int scan_quantifier(struct scanner *scanner, const char *end, unsigned long min,
                           unsigned long max)
{
    if (scanner->was_repeated)
        return refuse(scanner, "a quantifier after another");
    if (!scanner->may_repeat)
        return refuse(scanner, "a quantifier that repeats nothing");
    if (min > REGEX_REPEAT_MAX || (max > REGEX_REPEAT_MAX && max != UINT_MAX))
        return refuse(scanner, "a repetition of more than 1000");
    if (max < min)
        return refuse(scanner, "a repetition that ends before it begins");
    repeat_item(scanner, min, max);
    scanner->at = *end == '?' ? end + 1 : end;
    scanner->was_repeated = true;
    return 0;
}

/* --- all of it -------------------------------------------------------------------------------- */

static int scan_step(struct scanner *scanner)
{
    const char *end;
    unsigned long min, max;
    unsigned cost;
    int err;
    char c = *scanner->at;
    switch (c) {
    case '\\':
        end = scanner->at + 1;
        err = scan_escape(scanner, false, &cost);
        if (err == 0)
            add_item(scanner, cost, !strchr("bBAz", *end));
        return err;
    case '(':
        return open_group(scanner);
    case ')':
        close_group(scanner);
        return 0;
    case '[':
        return scan_class(scanner);
    case '|':
        next_alternative(scanner);
        return 0;
    case '*':
        return scan_quantifier(scanner, scanner->at + 1, 0, UINT_MAX);
    case '+':
        return scan_quantifier(scanner, scanner->at + 1, 1, UINT_MAX);
    case '?':
        return scan_quantifier(scanner, scanner->at + 1, 0, 1);
    case '{':
        if (is_repetition(scanner->at, &end, &min, &max))
            return scan_quantifier(scanner, end, min, max);
        break;
    }
    scanner->at++;
    add_item(scanner, c == '.' ? 2 : 1, c != '^' && c != '$');
    return 0;
}

/* Neither engine is asked to know what a character is: RE2 looks at bytes here. */
static int check_ascii(const char *field, const char *pattern, struct errmsg *msg)
{
    for (size_t i = 0; pattern[i]; i++) {
        if (pattern[i] < ' ' || pattern[i] > '~')
            return errmsg_set(msg, ERR_INVALID,
                              "%s: has a character at position %zu that is not printable ASCII; in "
                              "a path it is written %%-encoded",
                              field, i + 1);
    }
    return 0;
}

static int compile(const char *field, const char *pattern, unsigned *ret_groups, struct errmsg *msg)
{
    int code;
    PCRE2_SIZE offset;
    uint32_t groups = 0;
    pcre2_code *regex =
        pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
                      PCRE2_NEVER_UTF | PCRE2_NEVER_BACKSLASH_C, &code, &offset, NULL);
    if (!regex) {
        char text[128] = "";
        pcre2_get_error_message(code, (PCRE2_UCHAR *)text, sizeof text);
        return errmsg_set(msg, ERR_INVALID, "%s: %s (at position %zu)", field, text, offset + 1);
    }
    pcre2_pattern_info(regex, PCRE2_INFO_CAPTURECOUNT, &groups);
    pcre2_code_free(regex);
    if (ret_groups)
        *ret_groups = groups;
    return 0;
}

static int check_cost(const struct scanner *scanner)
{
    const struct group *all = &scanner->groups[0];
    size_t cost = (size_t)all->before + all->last + PROGRAM_OVERHEAD;
    if (cost <= REGEX_PROGRAM_MAX)
        return 0;
    return errmsg_set(scanner->msg, ERR_TOO_LARGE,
                      "%s: is too big: it makes about %zu instructions, and Envoy takes %d "
                      "(characters and ranges count one each, repetitions as often as they repeat)",
                      scanner->field, cost, REGEX_PROGRAM_MAX);
}

int regex_check(const char *field, const char *pattern, unsigned *ret_groups, struct errmsg *msg)
{
    struct scanner scanner = {.field = field, .pattern = pattern, .at = pattern, .msg = msg};
    scanner.case_factor = strstr(pattern, "(?") && strchr(pattern, 'i') ? 2 : 1;
    if (*pattern == '\0')
        return errmsg_set(msg, ERR_INVALID, "%s: is empty", field);
    if (strlen(pattern) > REGEX_BYTES_MAX)
        return errmsg_set(msg, ERR_TOO_LARGE, "%s: has more than %d characters", field,
                          REGEX_BYTES_MAX);
    int err = check_ascii(field, pattern, msg);
    while (err == 0 && *scanner.at)
        err = scan_step(&scanner);
    if (err == 0)
        err = compile(field, pattern, ret_groups, msg);
    return err ? err : check_cost(&scanner);
}

int regex_check_substitution(const char *field, const char *substitution, unsigned groups,
                             struct errmsg *msg)
{
    for (const char *c = substitution; *c; c++) {
        if (*c != '\\')
            continue;
        c++;
        if (!is_digit(*c) && *c != '\\')
            return errmsg_set(msg, ERR_INVALID,
                              "%s: a backslash must be followed by a digit or a backslash", field);
        if (is_digit(*c) && (unsigned)(*c - '0') > groups)
            return errmsg_set(msg, ERR_INVALID, "%s: \\%c, but the pattern has %u group%s", field,
                              *c, groups, groups == 1 ? "" : "s");
    }
    return 0;
}
