/*
 * HTTP/1 heads to bytes. Two steps, so that the caller can take exactly the memory needed:
 *
 *     err = h1_request_size(request, &size);   looks at everything once
 *     h1_write_request(request, memory);       memory has size bytes
 *
 * Framing is never copied from a list of headers: content-length, transfer-encoding, connection,
 * keep-alive, proxy-connection, host and upgrade lines of the list are skipped, and what the
 * message's own fields say is written instead. So nothing a filter or a peer put into the list can
 * make the receiver see another end of the message. Any thread.
 */
#ifndef DATAPLANE_HTTP_H1_WRITE_H
#define DATAPLANE_HTTP_H1_WRITE_H

#include "common/base/err.h"
#include "dataplane/http/message.h"

/* The bytes of a request head in origin form (authority form for CONNECT): request line, host,
 * headers, then
 *   upgrade and connection: upgrade   with is_upgrade, from the list's upgrade line
 *   connection: close                 where keep_alive is false
 *   content-length: n                 BODY_LENGTH; 0 for BODY_NONE where the list has the name
 *   transfer-encoding: chunked        BODY_CHUNKED
 * ERR_INVALID where a method, path, authority, name or value is not fit for the wire (CR, LF, NUL,
 * other controls, space in the path …); nothing may be sent then. */
int h1_request_size(const struct http_request *request, size_t *ret_size) MUST_CHECK;
/* Writes what h1_request_size measured; the request must be unchanged since. Returns the end. */
char *h1_write_request(const struct http_request *request, char *memory);

/* The bytes of a response head: "HTTP/1.1", status, standard reason phrase, headers, then
 *   upgrade and connection: upgrade   with status 101, from the list's upgrade line
 *   connection: close                 where keep_alive is false, and with BODY_UNTIL_CLOSE
 *   connection: keep-alive            where it is true and the client speaks HTTP/1.0
 *   content-length: n                 BODY_LENGTH; 0 for BODY_NONE, but not with 1xx, 204; the
 *                                     list's own value with 304 and with answers_head
 *   transfer-encoding: chunked        BODY_CHUNKED
 * ERR_INVALID as above, for a status outside 100-999, for a body with 1xx, 204, 304 or
 * answers_head, and for BODY_CHUNKED to an HTTP/1.0 client. */
int h1_response_size(const struct http_response *response, size_t *ret_size) MUST_CHECK;
char *h1_write_response(const struct http_response *response, char *memory);

#endif
