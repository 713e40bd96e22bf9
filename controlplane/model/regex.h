/*
 * Regular expressions that both data planes take: Envoy runs them with RE2 (on bytes), weir-proxy
 * with PCRE2. No state, any thread.
 */
#ifndef CONTROLPLANE_MODEL_REGEX_H
#define CONTROLPLANE_MODEL_REGEX_H

#include "common/base/err.h"

enum {
    REGEX_BYTES_MAX = 2048,  /* of a pattern */
    REGEX_REPEAT_MAX = 1000, /* in {n,m}; RE2's own bound */
    REGEX_DEPTH_MAX = 50,    /* groups inside each other */
    /* Envoy refuses a whole route configuration for one expression whose RE2 program has more
     * instructions than this (runtime key re2.max_program_size.error_level). */
    REGEX_PROGRAM_MAX = 100,
};

/* 0, or an error with a sentence "field: ..." where RE2 or PCRE2 would refuse pattern, where the
 * two would understand it differently, or where it is too big for Envoy. ret_groups (may be NULL):
 * how many groups it has. */
int regex_check(const char *field, const char *pattern, unsigned *ret_groups,
                struct errmsg *msg) MUST_CHECK;

/* The same for what a match is replaced by: \0 to \9, where the pattern has so many groups, and \\.
 */
int regex_check_substitution(const char *field, const char *substitution, unsigned groups,
                             struct errmsg *msg) MUST_CHECK;

#endif
