#include "controlplane/model/regex.h"

#include "common/regex/regex.h"

enum {
    PATTERN_BYTES_MAX = 2048,
    /* Envoy refuses a whole route configuration for one expression whose RE2 program has more
     * instructions than this (runtime key re2.max_program_size.error_level). */
    INSTRUCTIONS_MAX = 100,
};

/* Characters that a client may or may not take for one: nothing is asked of it that differs. */
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

static int check_parsed(const char *field, const struct regex *regex, struct errmsg *msg)
{
    if (!regex->is_ascii)
        return errmsg_set(msg, ERR_INVALID,
                          "%s: has an escape over \\x7f; in a path it is written %%-encoded",
                          field);
    if (regex->instruction_count > INSTRUCTIONS_MAX)
        return errmsg_set(msg, ERR_TOO_LARGE,
                          "%s: is too big: it makes about %u instructions, and Envoy takes %d "
                          "(characters and ranges count one each, repetitions as often as they "
                          "repeat)",
                          field, regex->instruction_count, INSTRUCTIONS_MAX);
    return 0;
}

int regex_check(const char *field, const char *pattern, unsigned *ret_groups, struct errmsg *msg)
{
    struct str text = str_from(pattern);
    struct regex regex;
    if (text.len == 0)
        return errmsg_set(msg, ERR_INVALID, "%s: is empty", field);
    if (text.len > PATTERN_BYTES_MAX)
        return errmsg_set(msg, ERR_TOO_LARGE, "%s: has more than %d characters", field,
                          PATTERN_BYTES_MAX);
    int err = check_ascii(field, pattern, msg);
    if (err)
        return err;
    err = regex_parse(text, &regex, msg);
    if (err) {
        errmsg_prefix(msg, "%s: ", field);
        return err;
    }
    if (ret_groups)
        *ret_groups = regex.group_count;
    return check_parsed(field, &regex, msg);
}
