/*
 * Header mutations: what a route, a virtual host, the early_header_mutation extension or the
 * header_mutation filter does to a head. Compiled from HeaderValueOption and HeaderMutation
 * messages; values may hold substitution operators (format.h).
 */
#ifndef DATAPLANE_HTTP_HEADER_MUTATIONS_H
#define DATAPLANE_HTTP_HEADER_MUTATIONS_H

#include "common/base/arena.h"
#include "common/base/err.h"
#include "dataplane/http/header.h"

#include <envoy/config/common/mutation_rules/v3/mutation_rules.pb-c.h>
#include <envoy/config/core/v3/base.pb-c.h>

struct header_mutations;
struct http_stream;

/* Bytes of one value after substitution; a longer one is cut. */
enum { HEADER_MUTATION_VALUE_MAX = 16 * 1024 };

/* A compiled list in arena, for header_value_options to be added and names to be removed (route
 * level:
 * *_headers_to_add, *_headers_to_remove). *ret is NULL where there is nothing to do. parent (may be
 * NULL) runs after it: a route's before its virtual host's before its table's, as in Envoy. 0, or
 * ERR_* with a sentence that names the header. */
int header_mutations_new(struct arena *arena,
                         Envoy__Config__Core__V3__HeaderValueOption *const *add, size_t add_count,
                         char *const *remove, size_t remove_count,
                         const struct header_mutations *parent, const struct header_mutations **ret,
                         struct errmsg *msg) MUST_CHECK;
/* The same from HeaderMutation messages (header_mutation filter, early_header_mutation), which are
 * done one after the other. remove_on_match takes every pattern but a regex. */
int header_mutations_from_rules(
    struct arena *arena, Envoy__Config__Common__MutationRules__V3__HeaderMutation *const *rules,
    size_t count, const struct header_mutations **ret, struct errmsg *msg) MUST_CHECK;
/* One that does first and then second (either may be NULL); copies what it must. */
const struct header_mutations *header_mutations_chain(struct arena *arena,
                                                      const struct header_mutations *first,
                                                      const struct header_mutations *second);
/* Applies them to headers of stream (its request's or its response's); new values live in the
 * stream's arena. A value that would hold CR, LF or NUL is left out (threats S14). NULL is fine. */
void header_mutations_apply(const struct header_mutations *mutations, struct http_stream *stream,
                            struct header_list *headers);

#endif
