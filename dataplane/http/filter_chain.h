/* The filters of one stream: setting them up by listener and route, and running their hooks. Used
 * by stream.c only. */
#ifndef DATAPLANE_HTTP_FILTER_CHAIN_H
#define DATAPLANE_HTTP_FILTER_CHAIN_H

#include "dataplane/http/filter.h"

/* Fills stream->filters from stream->listener and stream->route (which may be NULL). Once per
 * stream. */
void filter_chain_set_up(struct http_stream *stream);
/* Runs request hooks from stream->request_filter on, until one does not say FILTER_CONTINUE;
 * returns what the last one said. */
enum filter_status filter_chain_run_request(struct http_stream *stream);
/* Runs all response hooks, last filter first. */
void filter_chain_run_response(struct http_stream *stream);
void filter_chain_destroy(struct http_stream *stream);

#endif
