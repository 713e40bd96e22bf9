/* What every request and response passing a listener gets, as Envoy's HttpConnectionManager does
 * it: client address, forwarded headers, request id, via, server, date. Used by stream.c only. */
#ifndef DATAPLANE_HTTP_FORWARDING_H
#define DATAPLANE_HTTP_FORWARDING_H

#include "dataplane/http/stream.h"

/* Removes or refuses header names with underscores, by the listener's policy. False: refuse. */
bool forwarding_check_underscores(struct http_stream *stream);
/* Port and trailing dot of the authority, by the listener's policy. */
void forwarding_normalise_host(struct http_stream *stream);
/* Sets stream->client_ip, takes away what a client must not say, and adds x-forwarded-for,
 * x-forwarded-proto, x-request-id, via. */
void forwarding_complete_request(struct http_stream *stream);
/* Adds via, x-request-id, server, date. */
void forwarding_complete_response(struct http_stream *stream);

#endif
