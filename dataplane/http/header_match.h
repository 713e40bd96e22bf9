/*
 * HeaderMatcher: conditions on the headers of a request, in routes, access log filters, local reply
 * mappers and rate limits. Immutable; any thread.
 */
#ifndef DATAPLANE_HTTP_HEADER_MATCH_H
#define DATAPLANE_HTTP_HEADER_MATCH_H

#include "dataplane/http/message.h"
#include "dataplane/http/string_match.h"

#include <envoy/config/route/v3/route_components.pb-c.h>

struct header_match;

/* Compiles count messages into an array in load->arena. 0, or ERR_* with a sentence that names the
 * header. A field that is not known here is an error: a condition must not be lost. */
int header_match_new(struct filter_load *load,
                     Envoy__Config__Route__V3__HeaderMatcher *const *messages, size_t count,
                     const struct header_match **ret_matches, struct errmsg *msg) MUST_CHECK;
/* Whether all count conditions hold. As in Envoy 1.40, where a name has several lines (which were
 * not joined by header_list_join_lines) it is enough that one of them matches. ":method", ":path",
 * ":authority" ("host") and ":scheme" are names too. is_tls: what :scheme is where the client did
 * not say. */
enum match_result header_match_all(const struct header_match *matches, size_t count,
                                   const struct http_request *request, bool is_tls);

/* The value of a (pseudo) header, of its first line; data NULL where there is none. */
struct str header_match_value(const struct http_request *request, enum header_id id,
                              struct str name, bool is_tls);

#endif
