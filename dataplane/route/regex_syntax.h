/* Looks over a pattern before it is compiled: only what RE2 takes as well, and what literal bytes
 * its matches begin and end with. */
#ifndef DATAPLANE_ROUTE_REGEX_SYNTAX_H
#define DATAPLANE_ROUTE_REGEX_SYNTAX_H

#include "common/base/err.h"
#include "common/base/str.h"

enum { REGEX_PREFIX_MAX = 200, REGEX_SUFFIX_MAX = 48 };

/* Literal ends of a pattern; cut to the limits above, which is harmless: a shorter one is true too.
 */
struct regex_literals {
    uint32_t prefix_len, suffix_len;
    char prefix[REGEX_PREFIX_MAX];
    char suffix[REGEX_SUFFIX_MAX];
};

/* 0, or ERR_INVALID with a sentence where RE2 would refuse the pattern or read it differently. */
int regex_syntax_check(struct str pattern, struct regex_literals *ret_literals,
                       struct errmsg *msg) MUST_CHECK;

#endif
