/* From read bytes to payload slices: the step between a socket's chunk and h1_body, used by both
 * sides' connections. */
#ifndef DATAPLANE_HTTP_BODY_READER_H
#define DATAPLANE_HTTP_BODY_READER_H

#include "dataplane/config/worker.h"
#include "dataplane/http/h1_body.h"
#include "dataplane/http/input.h"

/* Decodes what is unread of input, until the body is done or the bytes are used up, and appends the
 * payload to queue. Payload is not copied, but for small chunks of a chunked
 * body: those are put together, because a slice for each byte would cost many times the memory that
 * watermarks count. 0, or the error of h1_body_decode. */
int body_reader_take(struct worker *worker, struct h1_body *body, struct input *input,
                     struct slice_queue *queue, struct h1_error *ret_error) MUST_CHECK;

#endif
