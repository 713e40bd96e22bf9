#include "dataplane/route/regex_syntax.h"

/* RE2's bound on counts in {n,m}. */
enum { REPEAT_MAX = 1000, DEPTH_MAX = 64 };

struct scan {
    struct str pattern;
    size_t at;
    uint32_t depth;
    bool can_repeat;     /* the token before is one that a quantifier may follow */
    bool is_quantified;  /* the token before was a quantifier */
    bool prefix_is_open; /* everything so far was literal */
    bool has_no_ends;    /* alternatives or flags: nothing is known of prefix and suffix */
    struct regex_literals *literals;
    struct errmsg *msg;
};

static int refuse(struct scan *scan, const char *what)
{
    return errmsg_set(scan->msg, ERR_INVALID, "regex %.*s: %s (at byte %zu)",
                      STR_ARGS(scan->pattern), what, scan->at);
}

static int peek(const struct scan *scan, size_t ahead)
{
    size_t at = scan->at + ahead;
    return at < scan->pattern.len ? (unsigned char)scan->pattern.data[at] : -1;
}

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

/* One of chars, and not the end of the pattern. */
static bool is_one_of(int c, const char *chars)
{
    return c > 0 && strchr(chars, c);
}

static bool is_letter_or_digit(int c)
{
    return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

/* A byte that stands for itself. */
static void see_literal(struct scan *scan, char c)
{
    struct regex_literals *literals = scan->literals;
    scan->can_repeat = true;
    scan->is_quantified = false;
    if (scan->depth)
        return;
    if (scan->prefix_is_open && literals->prefix_len < REGEX_PREFIX_MAX)
        literals->prefix[literals->prefix_len++] = c;
    else
        scan->prefix_is_open = false;
    if (literals->suffix_len == REGEX_SUFFIX_MAX) {
        memmove(literals->suffix, literals->suffix + 1, REGEX_SUFFIX_MAX - 1);
        literals->suffix_len--;
    }
    literals->suffix[literals->suffix_len++] = c;
}

/* Anything that is not a literal byte. */
static void see_other(struct scan *scan, bool can_repeat)
{
    scan->can_repeat = can_repeat;
    scan->is_quantified = false;
    scan->prefix_is_open = false;
    scan->literals->suffix_len = 0;
}

static bool is_hex_digit(int c)
{
    return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

/* \x7f or \x{7f}; scan->at is at the x. */
static int skip_hex(struct scan *scan)
{
    size_t end = str_find_char(scan->pattern, '}', scan->at);
    bool is_short = peek(scan, 1) != '{';
    if (is_short && !(is_hex_digit(peek(scan, 1)) && is_hex_digit(peek(scan, 2))))
        return refuse(scan, "\\x without two digits");
    if (is_short)
        scan->at += 2;
    else if (end == scan->pattern.len)
        return refuse(scan, "\\x{ without }");
    else
        scan->at = end;
    return 0;
}

/* \pL or \p{Greek}; scan->at is at the p. */
static int skip_property(struct scan *scan)
{
    size_t end = str_find_char(scan->pattern, '}', scan->at);
    if (peek(scan, 1) != '{')
        scan->at++;
    else if (end == scan->pattern.len)
        return refuse(scan, "\\p{ without }");
    else
        scan->at = end;
    return 0;
}

/* A backslash and what belongs to it; scan->at is at the backslash before and behind it after. */
static int scan_escape(struct scan *scan, bool in_class)
{
    int c = peek(scan, 1);
    if (c < 0)
        return refuse(scan, "ends in a backslash");
    scan->at++;
    if (!is_letter_or_digit(c) && c < 0x80) {
        scan->at++;
        if (!in_class)
            see_literal(scan, (char)c);
        return 0;
    }
    if (c >= '1' && c <= '9')
        return refuse(scan, "back-references are not supported");
    if (!is_one_of(c, in_class ? "afnrtvdDsSwWpPx0" : "afnrtvdDsSwWpPx0AbBzQ"))
        return refuse(scan, "this escape is not part of RE2");
    int err = 0;
    if (c == 'x')
        err = skip_hex(scan);
    else if (c == 'p' || c == 'P')
        err = skip_property(scan);
    else if (c == 'Q')
        scan->at += str_find(str_slice(scan->pattern, scan->at, scan->pattern.len), STR("\\E"));
    scan->at += c == 'Q' && scan->at < scan->pattern.len ? 2 : 1;
    if (scan->at > scan->pattern.len)
        scan->at = scan->pattern.len;
    if (c == '0')
        while (peek(scan, 0) >= '0' && peek(scan, 0) <= '7')
            scan->at++;
    if (!in_class && c != 'z')
        see_other(scan, !is_one_of(c, "AbB"));
    return err;
}

/* […]; scan->at is at the opening bracket. */
static int scan_class(struct scan *scan)
{
    scan->at++;
    if (peek(scan, 0) == '^')
        scan->at++;
    for (bool is_first = true;; is_first = false) {
        int c = peek(scan, 0);
        if (c < 0)
            return refuse(scan, "[ without ]");
        if (c == ']' && !is_first)
            break;
        if (c == '\\') {
            int err = scan_escape(scan, true);
            if (err)
                return err;
        } else if (c == '[' && peek(scan, 1) == ':') {
            size_t rest =
                str_find(str_slice(scan->pattern, scan->at, scan->pattern.len), STR(":]"));
            scan->at += rest;
            if (scan->at < scan->pattern.len)
                scan->at += 2;
        } else if (c == '[' && (peek(scan, 1) == '.' || peek(scan, 1) == '=')) {
            return refuse(scan, "collating elements are not supported");
        } else {
            scan->at++;
        }
    }
    scan->at++;
    see_other(scan, true);
    return 0;
}

/* What may stand behind "(?": flags, or a group with or without a name. scan->at is at the "?". */
static int scan_group_options(struct scan *scan)
{
    bool is_p_name = peek(scan, 1) == 'P' && peek(scan, 2) == '<';
    int after_angle = peek(scan, 1) == '<' ? peek(scan, 2) : -1;
    if (is_p_name || (after_angle > 0 && !is_one_of(after_angle, "=!"))) {
        scan->at = str_find_char(scan->pattern, '>', scan->at);
        if (scan->at == scan->pattern.len)
            return refuse(scan, "a group's name without >");
        scan->at++;
        return 0;
    }
    scan->at++;
    while (is_one_of(peek(scan, 0), "imsU-")) {
        scan->has_no_ends |= peek(scan, 0) == 'i';
        scan->at++;
    }
    int c = peek(scan, 0);
    if (c != ':' && c != ')')
        return refuse(scan, "look-around and other extended groups are not supported");
    scan->at++;
    if (c == ')')
        scan->depth--;
    return 0;
}

static int scan_open(struct scan *scan)
{
    see_other(scan, false);
    if (scan->depth++ == DEPTH_MAX)
        return refuse(scan, "too many groups inside each other");
    scan->at++;
    if (peek(scan, 0) == '*')
        return refuse(scan, "verbs are not supported");
    return peek(scan, 0) == '?' ? scan_group_options(scan) : 0;
}

/* The length of a {n}, {n,} or {n,m} at scan->at; 0 where the brace is a literal. */
static int scan_braces(struct scan *scan, size_t *ret_len)
{
    uint64_t bounds[2] = {0};
    size_t at = 1;
    bool has_comma = false;
    for (int c; (c = peek(scan, at)) != '}'; at++) {
        if (c == ',' && !has_comma && at > 1)
            has_comma = true;
        else if (is_digit(c) && bounds[has_comma] <= REPEAT_MAX)
            bounds[has_comma] = bounds[has_comma] * 10 + (uint64_t)(c - '0');
        else if (is_digit(c))
            break;
        else
            at = 0;
        if (!at)
            break;
    }
    *ret_len = at > 1 ? at + 1 : 0;
    if (*ret_len && (bounds[0] > REPEAT_MAX || bounds[1] > REPEAT_MAX))
        return refuse(scan, "a count over 1000");
    return 0;
}

/* A quantifier of len bytes. */
static int see_quantifier(struct scan *scan, size_t len)
{
    if (scan->is_quantified)
        return refuse(scan, "a quantifier behind a quantifier");
    if (!scan->can_repeat)
        return refuse(scan, "a quantifier with nothing to repeat");
    if (scan->prefix_is_open && scan->literals->prefix_len && !scan->depth)
        scan->literals->prefix_len--;
    scan->at += len;
    if (peek(scan, 0) == '+')
        return refuse(scan, "possessive quantifiers are not supported");
    if (peek(scan, 0) == '?')
        scan->at++;
    see_other(scan, true);
    scan->is_quantified = true;
    return 0;
}

static int scan_brace_or_literal(struct scan *scan)
{
    size_t len = 0;
    int err = scan_braces(scan, &len);
    if (err)
        return err;
    if (len)
        return see_quantifier(scan, len);
    see_literal(scan, '{');
    scan->at++;
    return 0;
}

static int scan_close(struct scan *scan)
{
    if (scan->depth == 0)
        return refuse(scan, ") without (");
    scan->depth--;
    see_other(scan, true);
    scan->at++;
    return 0;
}

static void see_anchor(struct scan *scan, char c)
{
    bool is_at_start = c == '^' && scan->at == 0;
    bool is_at_end = c == '$' && scan->at + 1 == scan->pattern.len;
    if (!is_at_start && !is_at_end)
        see_other(scan, false);
    scan->can_repeat = false;
    scan->at++;
}

static int scan_token(struct scan *scan)
{
    char c = scan->pattern.data[scan->at];
    switch (c) {
    case '\\':
        return scan_escape(scan, false);
    case '[':
        return scan_class(scan);
    case '(':
        return scan_open(scan);
    case ')':
        return scan_close(scan);
    case '*':
    case '+':
    case '?':
        return see_quantifier(scan, 1);
    case '{':
        return scan_brace_or_literal(scan);
    case '|':
        scan->has_no_ends |= scan->depth == 0;
        see_other(scan, false);
        break;
    case '.':
        see_other(scan, true);
        break;
    case '^':
    case '$':
        see_anchor(scan, c);
        return 0;
    default:
        see_literal(scan, c);
        break;
    }
    scan->at++;
    return 0;
}

int regex_syntax_check(struct str pattern, struct regex_literals *ret_literals, struct errmsg *msg)
{
    struct regex_literals literals = {0};
    struct scan scan = {
        .pattern = pattern, .prefix_is_open = true, .literals = &literals, .msg = msg};
    while (scan.at < pattern.len) {
        int err = scan_token(&scan);
        if (err)
            return err;
    }
    if (scan.depth)
        return refuse(&scan, "( without )");
    if (scan.has_no_ends)
        literals.prefix_len = literals.suffix_len = 0;
    *ret_literals = literals;
    return 0;
}
