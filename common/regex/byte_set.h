/* A set of bytes: what a character class stands for. Value type; any thread. */
#ifndef COMMON_REGEX_BYTE_SET_H
#define COMMON_REGEX_BYTE_SET_H

#include "common/base/str.h"

struct byte_set {
    bool has[256];
};

/* Bytes first to last, first <= last; with folds_case both cases of each ASCII letter. */
void byte_set_add_range(struct byte_set *set, unsigned first, unsigned last, bool folds_case);
/* What \d, \s, \w, \D, \S or \W stands for; false where letter is none of these. */
bool byte_set_add_escape(struct byte_set *set, char letter);
/* What [:name:] or [:^name:] stands for in a class; false where name (without colons) is none. */
bool byte_set_add_posix(struct byte_set *set, struct str name, bool folds_case);
void byte_set_negate(struct byte_set *set);
/* How many runs of bytes it has. */
unsigned byte_set_count_ranges(const struct byte_set *set);

#endif
