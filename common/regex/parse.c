/* One pass over the pattern, token by token, with a stack of groups and no recursion. */
#include "common/regex/byte_set.h"
#include "common/regex/regex.h"

#include <limits.h>

enum {
    /* Instructions that RE2 adds to every program. */
    PROGRAM_OVERHEAD = 5,
    COST_MAX = 1000000,
    NAME_BYTES_MAX = 32, /* PCRE2's */
    UNLIMITED = UINT_MAX,
};

/* A group, or the whole pattern: alternatives of items in a row. Costs are in instructions. */
struct group {
    unsigned cost_before; /* of the items before the last one, and of earlier alternatives */
    unsigned cost_last;   /* of the last item, which a quantifier multiplies */
    /* The greatest product of counts inside each other, of the same. */
    unsigned repeat_before, repeat_last;
    /* Whether what matches may be empty: the last item, those before it in its alternative, one of
     * the earlier alternatives. */
    bool last_may_be_empty, row_may_be_empty, other_may_be_empty;
    bool is_capture;
    bool folds_case, dot_is_any; /* flags that are set at this point */
};

static const struct group empty_group = {
    .repeat_before = 1, .repeat_last = 1, .last_may_be_empty = true, .row_may_be_empty = true};

struct parser {
    struct str pattern;
    size_t at;
    struct group groups[REGEX_DEPTH_MAX + 1];
    unsigned depth;
    bool may_repeat;     /* the last item can take a quantifier */
    bool was_repeated;   /* the last item is a quantifier */
    bool prefix_is_open; /* everything so far was literal */
    bool has_no_ends;    /* alternatives or (?i): nothing is known of prefix and suffix */
    struct regex *regex;
    struct errmsg *msg;
};

static int refuse(const struct parser *parser, const char *what)
{
    return errmsg_set(parser->msg, ERR_INVALID, "%s (at position %zu)", what, parser->at + 1);
}

static bool is_in(int c, int first, int last)
{
    return c >= first && c <= last;
}

static bool is_digit(int c)
{
    return is_in(c, '0', '9');
}

static bool is_letter(int c)
{
    return is_in(c | 0x20, 'a', 'z');
}

/* One of chars, and not the end of the pattern. */
static bool is_one_of(int c, const char *chars)
{
    return c > 0 && strchr(chars, c);
}

/* The byte so far ahead, or -1. */
static int peek(const struct parser *parser, size_t ahead)
{
    size_t at = parser->at + ahead;
    return at < parser->pattern.len ? (unsigned char)parser->pattern.data[at] : -1;
}

static bool looks_at(const struct parser *parser, struct str text)
{
    return str_starts_with(str_slice(parser->pattern, parser->at, parser->pattern.len), text);
}

static struct group *innermost(struct parser *parser)
{
    return &parser->groups[parser->depth];
}

/* --- what the items add up to ----------------------------------------------------------------- */

static unsigned limited(size_t cost)
{
    return cost < COST_MAX ? (unsigned)cost : COST_MAX;
}

static unsigned larger(unsigned a, unsigned b)
{
    return a > b ? a : b;
}

/* A new item behind the last one. */
static void add_item(struct parser *parser, unsigned cost, unsigned repeat, bool may_repeat)
{
    struct group *group = innermost(parser);
    group->cost_before = limited((size_t)group->cost_before + group->cost_last);
    group->repeat_before = larger(group->repeat_before, group->repeat_last);
    group->cost_last = cost;
    group->repeat_last = repeat;
    group->row_may_be_empty &= group->last_may_be_empty;
    group->last_may_be_empty = !may_repeat; /* assertions, flags */
    parser->may_repeat = may_repeat;
    parser->was_repeated = false;
}

static bool may_be_empty(const struct group *group)
{
    return group->other_may_be_empty || (group->row_may_be_empty && group->last_may_be_empty);
}

/* Anything that is not a literal byte. */
static void add_other(struct parser *parser, unsigned cost, bool may_repeat)
{
    add_item(parser, cost, 1, may_repeat);
    parser->prefix_is_open = false;
    parser->regex->suffix_len = 0;
}

/* A byte that stands for itself. */
static int add_literal(struct parser *parser, int c)
{
    struct regex *regex = parser->regex;
    if (c > 0x7f && innermost(parser)->folds_case)
        return refuse(parser, "characters that are not ASCII have no other case here: (?i)");
    regex->is_ascii &= c <= 0x7f;
    add_item(parser, 1, 1, true);
    if (parser->depth)
        return 0;
    if (parser->prefix_is_open && regex->prefix_len < REGEX_PREFIX_MAX)
        regex->prefix[regex->prefix_len++] = (char)c;
    else
        parser->prefix_is_open = false;
    if (regex->suffix_len == REGEX_SUFFIX_MAX) {
        memmove(regex->suffix, regex->suffix + 1, REGEX_SUFFIX_MAX - 1);
        regex->suffix_len--;
    }
    regex->suffix[regex->suffix_len++] = (char)c;
    return 0;
}

/* --- escapes ---------------------------------------------------------------------------------- */

static int hex_value(int c)
{
    if (is_digit(c))
        return c - '0';
    return is_in(c | 0x20, 'a', 'f') ? (c | 0x20) - 'a' + 10 : -1;
}

/* \x7f or \x{7f}; at the backslash before and behind it after. */
static int parse_hex(struct parser *parser, int *ret_byte)
{
    bool has_braces = peek(parser, 2) == '{';
    size_t len = has_braces ? 3 : 2;
    size_t end = has_braces ? parser->pattern.len : len + 2;
    int value = 0, digit = 0;
    for (; len < end && value <= 0xff && (digit = hex_value(peek(parser, len))) >= 0; len++)
        value = value * 16 + digit;
    bool is_complete = has_braces ? len > 3 && peek(parser, len) == '}' : len == end;
    if (!is_complete || value > 0xff)
        return refuse(parser, "a \\x that is not \\x00 to \\xff");
    parser->at += len + has_braces;
    *ret_byte = value;
    return 0;
}

/* An escape that stands for one byte; at the backslash before and behind it after. */
static int parse_escaped_byte(struct parser *parser, int *ret_byte)
{
    static const char letters[] = "afnrt", bytes[] = "\a\f\n\r\t";
    int c = peek(parser, 1);
    if (c < 0)
        return refuse(parser, "a backslash at the end");
    if (c == 'x')
        return parse_hex(parser, ret_byte);
    if (is_digit(c))
        return refuse(parser, "back-references and octal escapes are not taken");
    if (c > 0x7f)
        return refuse(parser, "a backslash before a character that is not ASCII");
    const char *letter = is_letter(c) ? strchr(letters, c) : NULL;
    if (is_letter(c) && !letter)
        return errmsg_set(parser->msg, ERR_INVALID,
                          "the escape \\%c has no meaning here (at position %zu)", c,
                          parser->at + 1);
    *ret_byte = letter ? bytes[letter - letters] : c;
    parser->at += 2;
    return 0;
}

/* \Q…\E or \Q… to the end: literal bytes. */
static int parse_quoted(struct parser *parser)
{
    parser->at += 2;
    if (parser->at == parser->pattern.len || looks_at(parser, STR("\\E")))
        return refuse(parser, "a \\Q that quotes nothing");
    while (parser->at < parser->pattern.len && !looks_at(parser, STR("\\E"))) {
        int err = add_literal(parser, peek(parser, 0));
        if (err)
            return err;
        parser->at++;
    }
    parser->at += parser->at < parser->pattern.len ? 2 : 0;
    return 0;
}

/* A backslash and what belongs to it, outside classes. */
static int parse_escape(struct parser *parser)
{
    struct byte_set set = {0};
    int c = peek(parser, 1);
    if (c == 'Q')
        return parse_quoted(parser);
    if (c == 'z') { /* changes nothing about the end of what matches as a whole */
        add_item(parser, 1, 1, false);
        parser->at += 2;
        return 0;
    }
    if (is_one_of(c, "AbB")) {
        add_other(parser, 1, false);
        parser->at += 2;
        return 0;
    }
    if (c > 0 && byte_set_add_escape(&set, (char)c)) {
        add_other(parser, byte_set_count_ranges(&set), true);
        parser->at += 2;
        return 0;
    }
    int byte = 0;
    size_t at = parser->at;
    int err = parse_escaped_byte(parser, &byte);
    if (err)
        return err;
    size_t end = parser->at;
    parser->at = at; /* for the sentence */
    err = add_literal(parser, byte);
    parser->at = end;
    return err;
}

/* --- classes ---------------------------------------------------------------------------------- */

/* "[:alpha:]" and the like inside a class. */
static int parse_posix(struct parser *parser, struct byte_set *set)
{
    struct str rest = str_slice(parser->pattern, parser->at, parser->pattern.len);
    size_t len = str_find(rest, STR(":]"));
    bool is_known = peek(parser, 1) == ':' && len > 2 && len < rest.len &&
                    byte_set_add_posix(set, str_slice(rest, 2, len), innermost(parser)->folds_case);
    if (!is_known)
        return refuse(parser, "a class of this kind; a [ before : . or = is written \\[");
    parser->at += len + 2;
    return 0;
}

static bool is_at_posix(const struct parser *parser)
{
    return peek(parser, 0) == '[' && is_one_of(peek(parser, 1), ":.=");
}

/* One byte in a class, written as itself or as an escape. */
static int parse_class_byte(struct parser *parser, int *ret_byte)
{
    *ret_byte = peek(parser, 0);
    if (*ret_byte == '\\')
        return parse_escaped_byte(parser, ret_byte);
    parser->at++;
    return 0;
}

/* Behind a class in a class, "-" may only be the last: RE2 takes it for itself elsewhere too, PCRE2
 * for an error. */
static int check_no_hyphen(const struct parser *parser)
{
    if (peek(parser, 0) == '-' && peek(parser, 1) != ']')
        return refuse(parser, "a hyphen behind a class; it is written \\- here");
    return 0;
}

/* One member of a class, or a range of them. */
static int parse_member(struct parser *parser, struct byte_set *set)
{
    bool folds_case = innermost(parser)->folds_case;
    int err = 0, first = 0, last;
    if (is_at_posix(parser)) {
        err = parse_posix(parser, set);
        return err ? err : check_no_hyphen(parser);
    }
    if (peek(parser, 0) == '\\' && peek(parser, 1) > 0 &&
        byte_set_add_escape(set, (char)peek(parser, 1))) {
        parser->at += 2;
        return check_no_hyphen(parser);
    }
    err = parse_class_byte(parser, &first);
    bool is_range =
        err == 0 && peek(parser, 0) == '-' && peek(parser, 1) >= 0 && peek(parser, 1) != ']';
    last = first;
    if (is_range) {
        parser->at++;
        err = is_at_posix(parser) ? refuse(parser, "a range that ends in a class")
                                  : parse_class_byte(parser, &last);
    }
    if (err)
        return err;
    if (last < first)
        return refuse(parser, "a range that ends before it begins");
    if (last > 0x7f && folds_case)
        return refuse(parser, "characters that are not ASCII have no other case here: (?i)");
    parser->regex->is_ascii &= last <= 0x7f;
    byte_set_add_range(set, (unsigned)first, (unsigned)last, folds_case);
    return 0;
}

/* Whether the class from start to here, at its "]", is what PCRE2 takes for a misplaced [:name:].
 */
static bool is_posix_like(const struct parser *parser, size_t start)
{
    const char *class = parser->pattern.data + start;
    size_t len = parser->at - start;
    return len > 2 && is_one_of(class[1], ":.=") && class[len - 1] == class[1];
}

/* From "[" to "]". A "]" right behind "[" or "[^" is a member. */
static int parse_class(struct parser *parser)
{
    struct byte_set set = {0};
    size_t start = parser->at;
    bool is_negated = peek(parser, 1) == '^';
    parser->at += is_negated ? 2 : 1;
    for (bool is_first = true; is_first || peek(parser, 0) != ']'; is_first = false) {
        if (peek(parser, 0) < 0) {
            parser->at = start;
            return refuse(parser, "a [ without its ]");
        }
        int err = parse_member(parser, &set);
        if (err)
            return err;
    }
    if (is_posix_like(parser, start)) {
        parser->at = start;
        return refuse(parser, "a class that begins and ends like [:name:]");
    }
    parser->at++;
    if (is_negated)
        byte_set_negate(&set);
    add_other(parser, larger(byte_set_count_ranges(&set), 1), true);
    return 0;
}

/* --- groups ----------------------------------------------------------------------------------- */

/* Whether a group before this one is called the same. */
static bool is_name_taken(const struct parser *parser, struct str name_and_angle)
{
    struct str before = str_slice(parser->pattern, 0, parser->at);
    for (size_t at = 0; at < before.len;) {
        at += str_find(str_slice(before, at, before.len), STR("(?"));
        struct str rest = str_slice(before, at, before.len);
        size_t open = str_starts_with(rest, STR("(?P<")) ? 4 : 3;
        if (rest.len > open && rest.data[open - 1] == '<' &&
            str_starts_with(str_slice(rest, open, rest.len), name_and_angle))
            return true;
        at += rest.len ? 1 : 0;
    }
    return false;
}

/* "name>"; behind it after. */
static int parse_name(struct parser *parser)
{
    size_t len = 0;
    while (is_letter(peek(parser, len)) || peek(parser, len) == '_' ||
           (len && is_digit(peek(parser, len))))
        len++;
    if (len == 0 || len > NAME_BYTES_MAX || peek(parser, len) != '>')
        return refuse(parser, "a group's name has 1 to 32 letters, digits and _, no digit first");
    if (is_name_taken(parser, str_slice(parser->pattern, parser->at, parser->at + len + 1)))
        return refuse(parser, "a second group of this name");
    parser->at += len + 1;
    return 0;
}

/* Flags such as "i" and "s-i", which it sets in *group. */
static int parse_flags(struct parser *parser, struct group *group)
{
    bool is_on = true, is_missing = false;
    for (int c; is_one_of(c = peek(parser, 0), "imsU-"); parser->at++) {
        if (c == '-' && !is_on)
            break;
        is_missing = c == '-';
        if (c == '-')
            is_on = false;
        else if (c == 'i')
            group->folds_case = is_on;
        else if (c == 's')
            group->dot_is_any = is_on;
    }
    parser->has_no_ends |= group->folds_case;
    if (is_missing || !is_one_of(peek(parser, 0), ":)"))
        return refuse(parser, "look-around and other extended groups are not taken");
    return 0;
}

/* What may stand behind "(?". *ret_has_content is false for "(?i)", which is no group. */
static int parse_group_kind(struct parser *parser, struct group *group, bool *ret_has_content)
{
    size_t name_at = looks_at(parser, STR("P<")) ? 2 : peek(parser, 0) == '<' ? 1 : 0;
    bool is_look_behind = name_at == 1 && is_one_of(peek(parser, 1), "=!");
    *ret_has_content = true;
    if (name_at && !is_look_behind) {
        parser->at += name_at;
        return parse_name(parser);
    }
    group->is_capture = false;
    int err = parse_flags(parser, group);
    if (err)
        return err;
    *ret_has_content = peek(parser, 0) == ':';
    parser->at++;
    return 0;
}

static int open_group(struct parser *parser)
{
    struct group *outer = innermost(parser);
    struct group group = empty_group;
    group.is_capture = true;
    group.folds_case = outer->folds_case;
    group.dot_is_any = outer->dot_is_any;
    bool has_content = true;
    if (parser->depth == REGEX_DEPTH_MAX)
        return refuse(parser, "too many groups inside each other");
    parser->at++;
    if (peek(parser, 0) == '*')
        return refuse(parser, "verbs are not taken");
    if (peek(parser, 0) == '?') {
        parser->at++;
        int err = parse_group_kind(parser, &group, &has_content);
        if (err)
            return err;
    }
    if (has_content) {
        parser->groups[++parser->depth] = group;
        parser->regex->group_count += group.is_capture;
        parser->may_repeat = parser->was_repeated = parser->prefix_is_open = false;
    } else {
        outer->folds_case = group.folds_case;
        outer->dot_is_any = group.dot_is_any;
        add_other(parser, 0, false);
    }
    return 0;
}

static int close_group(struct parser *parser)
{
    if (parser->depth == 0)
        return refuse(parser, "a ) without its (");
    struct group group = parser->groups[parser->depth--];
    unsigned cost =
        limited((size_t)group.cost_before + group.cost_last + (group.is_capture ? 2 : 0));
    add_other(parser, cost, true);
    innermost(parser)->repeat_last = larger(group.repeat_before, group.repeat_last);
    innermost(parser)->last_may_be_empty = may_be_empty(&group);
    parser->at++;
    return 0;
}

/* --- quantifiers ------------------------------------------------------------------------------ */

/* The quantifier of len bytes here. min copies of the last item, and more that can each be left
 * out; or, without a limit, a loop. */
static int repeat(struct parser *parser, size_t len, unsigned min, unsigned max)
{
    struct group *group = innermost(parser);
    struct regex *regex = parser->regex;
    if (parser->was_repeated)
        return refuse(parser, "a quantifier after another");
    if (!parser->may_repeat)
        return refuse(parser, "a quantifier that repeats nothing");
    size_t cost = larger(group->cost_last, 1);
    size_t optional = max == UNLIMITED ? 1 : max - min;
    /* In a loop over what may be empty, RE2 writes down more than once what can come next. */
    bool is_doubled = max == UNLIMITED && group->last_may_be_empty;
    group->cost_last = limited(cost * min + (cost + 2) * optional * (is_doubled ? 2 : 1));
    group->last_may_be_empty |= min == 0;
    group->repeat_last *= larger(max == UNLIMITED ? min : max, 1);
    if (group->repeat_last > REGEX_REPEAT_MAX)
        return refuse(parser, "more than 1000 repetitions, those inside each other multiplied");
    if (parser->prefix_is_open && regex->prefix_len && !parser->depth)
        regex->prefix_len--;
    parser->prefix_is_open = false;
    regex->suffix_len = 0;
    parser->was_repeated = true;
    parser->at += len;
    if (peek(parser, 0) == '?')
        parser->at++;
    return 0;
}

/* Digits *len bytes ahead, which it steps over. A value over the limit stays just over it. */
static bool parse_count(const struct parser *parser, size_t *len, unsigned *ret_value)
{
    size_t start = *len;
    *ret_value = 0;
    for (; is_digit(peek(parser, *len)); ++*len)
        if (*ret_value <= REGEX_REPEAT_MAX)
            *ret_value = *ret_value * 10 + (unsigned)(peek(parser, *len) - '0');
    return *len > start;
}

static bool begins_with_zero(const struct parser *parser, size_t ahead)
{
    return peek(parser, ahead) == '0' && is_digit(peek(parser, ahead + 1));
}

/* {n}, {n,} or {n,m}; any other brace is a literal. */
static int parse_brace(struct parser *parser)
{
    size_t len = 1, second = 0;
    unsigned min, max;
    bool is_count = parse_count(parser, &len, &min);
    max = min;
    if (is_count && peek(parser, len) == ',') {
        second = ++len;
        if (!parse_count(parser, &len, &max))
            max = UNLIMITED;
    }
    if (!is_count || peek(parser, len) != '}') {
        int err = add_literal(parser, '{');
        parser->at++;
        return err;
    }
    if (begins_with_zero(parser, 1) || (second && begins_with_zero(parser, second)))
        return refuse(parser, "a count that begins with 0");
    if (min > REGEX_REPEAT_MAX || (max > REGEX_REPEAT_MAX && max != UNLIMITED))
        return refuse(parser, "a count of more than 1000");
    if (max < min)
        return refuse(parser, "a count that ends before it begins");
    return repeat(parser, len + 1, min, max);
}

/* --- all of it -------------------------------------------------------------------------------- */

static void add_anchor(struct parser *parser, int c)
{
    bool is_at_start = c == '^' && parser->at == 0;
    bool is_at_end = c == '$' && parser->at + 1 == parser->pattern.len;
    if (is_at_start || is_at_end) /* changes nothing about what matches as a whole */
        add_item(parser, 1, 1, false);
    else
        add_other(parser, 1, false);
}

static void next_alternative(struct parser *parser)
{
    struct group *group = innermost(parser);
    parser->has_no_ends |= parser->depth == 0;
    group->other_may_be_empty = may_be_empty(group);
    add_other(parser, 1, false);
    group->row_may_be_empty = true;
}

static int parse_token(struct parser *parser)
{
    int err = 0, c = peek(parser, 0);
    switch (c) {
    case '\\':
        return parse_escape(parser);
    case '[':
        return parse_class(parser);
    case '(':
        return open_group(parser);
    case ')':
        return close_group(parser);
    case '*':
        return repeat(parser, 1, 0, UNLIMITED);
    case '+':
        return repeat(parser, 1, 1, UNLIMITED);
    case '?':
        return repeat(parser, 1, 0, 1);
    case '{':
        return parse_brace(parser);
    case '|':
        next_alternative(parser);
        break;
    case '.':
        add_other(parser, innermost(parser)->dot_is_any ? 1 : 2, true);
        break;
    case '^':
    case '$':
        add_anchor(parser, c);
        break;
    default:
        err = add_literal(parser, c);
        break;
    }
    parser->at++;
    return err;
}

static int finish(struct parser *parser)
{
    struct regex *regex = parser->regex;
    const struct group *all = innermost(parser);
    if (parser->depth)
        return refuse(parser, "a ( without its )");
    regex->instruction_count =
        limited((size_t)all->cost_before + all->cost_last + PROGRAM_OVERHEAD);
    if (parser->has_no_ends)
        regex->prefix_len = regex->suffix_len = 0;
    if (regex->instruction_count <= REGEX_PROGRAM_MAX)
        return 0;
    return errmsg_set(parser->msg, ERR_TOO_LARGE,
                      "is too big: it makes about %u instructions; %d are taken",
                      regex->instruction_count, REGEX_PROGRAM_MAX);
}

int regex_parse(struct str pattern, struct regex *ret_regex, struct errmsg *msg)
{
    struct parser parser = {
        .pattern = pattern, .prefix_is_open = true, .regex = ret_regex, .msg = msg};
    parser.groups[0] = empty_group;
    ret_regex->is_ascii = true;
    ret_regex->group_count = ret_regex->prefix_len = ret_regex->suffix_len = 0;
    if (pattern.len > REGEX_BYTES_MAX)
        return errmsg_set(msg, ERR_TOO_LARGE, "has more than %d bytes", REGEX_BYTES_MAX);
    int err = 0;
    while (err == 0 && parser.at < pattern.len)
        err = parse_token(&parser);
    return err ? err : finish(&parser);
}

int regex_check_substitution(struct str substitution, unsigned group_count, struct errmsg *msg)
{
    for (size_t i = 0; i < substitution.len; i++) {
        if (substitution.data[i] != '\\')
            continue;
        i++;
        char c = i < substitution.len ? substitution.data[i] : '\0';
        if (!is_digit(c) && c != '\\')
            return errmsg_set(msg, ERR_INVALID,
                              "a backslash must be followed by a digit or a backslash");
        if (is_digit(c) && (unsigned)(c - '0') > group_count)
            return errmsg_set(msg, ERR_INVALID, "\\%c, but the pattern has %u group%s", c,
                              group_count, group_count == 1 ? "" : "s");
    }
    return 0;
}
