/* StringMatcher: one condition on a string. Immutable; any thread. */
#ifndef DATAPLANE_HTTP_STRING_MATCH_H
#define DATAPLANE_HTTP_STRING_MATCH_H

#include "dataplane/http/filter.h"
#include "dataplane/route/regex.h"

#include <envoy/type/matcher/v3/string.pb-c.h>

enum string_match_kind {
    STRING_MATCH_ANY, /* matches everything */
    STRING_MATCH_EXACT,
    STRING_MATCH_PREFIX,
    STRING_MATCH_SUFFIX,
    STRING_MATCH_CONTAINS,
    STRING_MATCH_REGEX,
};

struct string_match {
    enum string_match_kind kind;
    bool ignores_case; /* text is lower case then */
    struct str text;
    const struct route_regex *regex;
};

/* yes, no, or a regular expression that gave up: whoever asks must take neither branch. */
enum match_result { MATCH_NO, MATCH_YES, MATCH_GAVE_UP };

/* Compiles message into load->arena. 0, or ERR_* with a sentence; custom matchers are refused. */
int string_match_new(struct filter_load *load,
                     const Envoy__Type__Matcher__V3__StringMatcher *message,
                     struct string_match *ret_match, struct errmsg *msg) MUST_CHECK;
/* One made of a kind and its text (copied). */
struct string_match string_match_of(struct filter_load *load, enum string_match_kind kind,
                                    const char *text, bool ignores_case);
enum match_result string_match_test(const struct string_match *match, struct str value);

#endif
