/*
 * The parameters of a request's query, as filters look at them: names and values with their percent
 * escapes decoded ("+" stays), so that no spelling of a value passes for another value. Pure; any
 * thread.
 */
#ifndef DATAPLANE_FILTERS_QUERY_H
#define DATAPLANE_FILTERS_QUERY_H

#include "common/base/arena.h"

/* "a=b" in a query, as it stands there. */
struct query_pair {
    struct str text, name, value; /* value without "=": empty */
};

/* The next pair of path ("/p?a=b&c"); *at is where the one before ended, at first the "?" or the
 * end of path (path_query_at). False where there is none. */
bool query_next(struct str path, size_t *at, struct query_pair *ret_pair);
/* text with its escapes decoded, in arena where there are any; what is no escape stays. */
struct str query_decode(struct arena *arena, struct str text);
/* The decoded value of the first parameter of this (decoded) name; data NULL: there is none. */
struct str query_value(struct arena *arena, struct str path, struct str name);

#endif
