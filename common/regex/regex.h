/*
 * The regular expressions of the configuration: RE2's language, over bytes (RE2's Latin-1), because
 * Envoy takes the same feed and runs RE2. Reads a pattern without compiling it: whether RE2 takes
 * it, how big RE2's program becomes, and what literal bytes its matches begin and end with. Not for
 * matching; weir-proxy does that with PCRE2 (dataplane/route/regex.h), so what PCRE2 would
 * understand differently is refused as well.
 *
 * Refused though RE2 has them: octal escapes, \v, \p, \C, an empty \Q\E, names of groups over 32
 * bytes or beginning with a digit, counts beginning with 0, bytes over 0x7f under (?i), a hyphen
 * in a class behind another, as in [\w-.].
 *
 * No state; any thread.
 */
#ifndef COMMON_REGEX_REGEX_H
#define COMMON_REGEX_REGEX_H

#include "common/base/err.h"
#include "common/base/str.h"

enum {
    REGEX_BYTES_MAX = 4096,    /* of a pattern */
    REGEX_DEPTH_MAX = 64,      /* groups inside each other */
    REGEX_REPEAT_MAX = 1000,   /* in {n,m}, those inside each other multiplied; RE2's own bound */
    REGEX_PROGRAM_MAX = 20000, /* instructions; RE2 stops at about 87,000 */
    REGEX_PREFIX_MAX = 200,
    REGEX_SUFFIX_MAX = 48,
};

struct regex {
    unsigned group_count; /* without \0 */
    /* Of RE2's program: never too few, mostly a few too many. */
    unsigned instruction_count;
    /* Names no byte over 0x7f, neither as itself nor as an escape. (An RE2 that is told to read
     * UTF-8 takes such a byte for a character.) */
    bool is_ascii;
    /* Bytes that every subject which matches as a whole begins and ends with; may be empty. Cut to
     * the limits above, which is harmless: a shorter one is true too. */
    unsigned prefix_len, suffix_len;
    char prefix[REGEX_PREFIX_MAX];
    char suffix[REGEX_SUFFIX_MAX];
};

/* 0, or ERR_INVALID or ERR_TOO_LARGE with a sentence that says what is wrong and at which byte,
 * counted from 1. */
int regex_parse(struct str pattern, struct regex *ret_regex, struct errmsg *msg) MUST_CHECK;

/* Checks what a match is replaced by: \0 to \9, where the pattern has so many groups, and \\. 0, or
 * ERR_INVALID with a sentence. */
int regex_check_substitution(struct str substitution, unsigned group_count,
                             struct errmsg *msg) MUST_CHECK;

#endif
