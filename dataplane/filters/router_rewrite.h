/* Rewritten paths, hosts and the Location of a redirect, as Envoy builds them. Results are in the
 * stream's arena or borrowed from the request and the route. Used by router.c. */
#ifndef DATAPLANE_FILTERS_ROUTER_REWRITE_H
#define DATAPLANE_FILTERS_ROUTER_REWRITE_H

#include "dataplane/http/stream.h"
#include "dataplane/route/route.h"

/* Bytes of a rewritten path; a substitution must not blow up what a client sent. */
enum { ROUTER_PATH_BYTES_MAX = 64 * 1024 };

/* Applies the route's path and host rewrites to stream->request. 0, or ERR_TOO_LARGE. */
int router_rewrite_request(struct http_stream *stream, const struct route *route) MUST_CHECK;
/* The Location of a redirect. 0, or ERR_TOO_LARGE. */
int router_redirect_location(struct http_stream *stream, const struct route *route,
                             struct str *ret_location) MUST_CHECK;

/* The URL of the request as the client meant it, in the stream's arena. */
struct str router_request_url(struct http_stream *stream);

#endif
