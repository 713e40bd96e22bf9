/*
 * Regular expressions of the configuration: RE2's language (what Envoy takes), run by PCRE2 with
 * JIT. What is taken is common/regex's decision. Bytes, not UTF-8: the same decision for every
 * encoding of a value.
 *
 * No pattern can hold up a worker: backtracking is bounded, and a match that reaches the bound is
 * decided by PCRE2's automaton, which does not backtrack and is bounded too.
 *
 * Compiled on the main thread; used by any thread, without allocation but for a few KiB the first
 * time a thread gets there.
 */
#ifndef DATAPLANE_ROUTE_REGEX_H
#define DATAPLANE_ROUTE_REGEX_H

#include "common/base/arena.h"
#include "common/base/err.h"
#include "common/base/vec.h"
#include "dataplane/config/shared_state.h"

#include <envoy/type/matcher/v3/regex.pb-c.h>

struct route_regex;

enum route_regex_result {
    ROUTE_REGEX_NO_MATCH,
    ROUTE_REGEX_MATCH,
    /* The bound of the automaton too; whoever asks must not take it for "no". */
    ROUTE_REGEX_GAVE_UP,
};

/* The compiled pattern, shared with everybody who uses an equal one; appended to states, so it goes
 * with the part of the configuration. 0, or ERR_INVALID with a sentence. */
int route_regex_get(struct shared_registry *shared, struct vec *states, struct str pattern,
                    const struct route_regex **ret_regex, struct errmsg *msg) MUST_CHECK;
/* The same from a message; ERR_INVALID where it is NULL. */
int route_regex_from_message(struct shared_registry *shared, struct vec *states,
                             const Envoy__Type__Matcher__V3__RegexMatcher *message,
                             const struct route_regex **ret_regex, struct errmsg *msg) MUST_CHECK;

/* The pattern of a rewrite; its substitution is checked too. Goes with route_regex_replace only. */
int route_regex_from_substitution(struct shared_registry *shared, struct vec *states,
                                  const Envoy__Type__Matcher__V3__RegexMatchAndSubstitute *message,
                                  const struct route_regex **ret_regex,
                                  struct errmsg *msg) MUST_CHECK;

/* Whether all of subject matches (RE2's FullMatch). */
enum route_regex_result route_regex_match(const struct route_regex *regex, struct str subject);

/* Replaces every match in subject; \1 to \9 and \0 in substitution are groups. 0 and the result (in
 * arena, or subject itself), or ERR_TOO_LARGE where matching gave up or the result would have more
 * than max bytes. */
int route_regex_replace(const struct route_regex *regex, struct str subject,
                        struct str substitution, struct arena *arena, size_t max,
                        struct str *ret_result) MUST_CHECK;
/* Bytes that every subject that matches begins with; may be empty. */
struct str route_regex_literal_prefix(const struct route_regex *regex);
/* Bytes that every subject that matches ends with; may be empty. */
struct str route_regex_literal_suffix(const struct route_regex *regex);

#endif
