/*
 * What our own answers look like: LocalReplyConfig of an HttpConnectionManager. Mappers change
 * status, body, format and headers of the replies that their filter picks; the first that matches
 * counts; otherwise the common body format is used.
 */
#ifndef DATAPLANE_HTTP_LOCAL_REPLY_H
#define DATAPLANE_HTTP_LOCAL_REPLY_H

#include "dataplane/http/filter.h"

#include <envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb-c.h>

struct local_reply_config;

/* Body bytes of one of our own answers: a format must not blow up what a peer sent. */
enum { LOCAL_REPLY_BODY_BYTES_MAX = 64 * 1024 };

/* Compiles message in load->arena. 0, or ERR_* with a sentence that names the field. */
int local_reply_config_new(
    struct filter_load *load,
    const Envoy__Extensions__Filters__Network__HttpConnectionManager__V3__LocalReplyConfig *message,
    const struct local_reply_config **ret_config, struct errmsg *msg) MUST_CHECK;

/* Called by http_stream_reply once stream->details, stream->flags, stream->response.status and the
 * reply's own headers (in stream->response.headers) are set, and before content-type and
 * content-length are. In: *status and *body as the caller of http_stream_reply gave them. Out:
 * status (also put into stream->response.status), body (in the stream's arena, or as it was),
 * content type (never empty; to be sent where the body is not empty). Adds the mapper's headers to
 * stream->response.headers. config may be NULL: then only the content type is told. */
void local_reply_apply(const struct local_reply_config *config, struct http_stream *stream,
                       unsigned *status, struct str *body, struct str *ret_content_type);

#endif
