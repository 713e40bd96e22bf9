/* Path templates: "/users/{id}", where {name} stands for one or more characters other than '/'.
 * No state, any thread. */
#ifndef CONTROLPLANE_MODEL_PATH_TEMPLATE_H
#define CONTROLPLANE_MODEL_PATH_TEMPLATE_H

#include "common/base/arena.h"
#include "common/base/err.h"

/* 0, or ERR_INVALID with a sentence "field: ..."; *ret_literals is how many of its characters stand
 * for themselves. */
int path_template_check(const char *field, const char *text, unsigned *ret_literals,
                        struct errmsg *msg) MUST_CHECK;
/* The regular expression (of RE2 and PCRE2, for the whole path) that a valid template stands for;
 * in arena. */
char *path_template_regex(struct arena *arena, const char *text);
/* text as a regular expression that matches just it, for RE2 and PCRE2; in arena. */
char *regex_quote(struct arena *arena, const char *text);

#endif
