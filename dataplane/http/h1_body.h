/*
 * HTTP/1 bodies: where payload lies in what was read, without copying it, and where the message
 * ends, to the byte. And the framing of chunks we send. No I/O; any thread, one body each.
 *
 *     while (len && !h1_body_is_done(&body)) {
 *         err = h1_body_decode(&body, data, len, &consumed, &run);
 *         if (err) … close the connection
 *         if (run.len) … payload, a slice of data
 *         data += consumed, len -= consumed;
 *     }
 *
 * Strict by RFC 9112 7.1: chunk sizes are 1 to 16 hexadecimal digits, every line ends in CRLF,
 * extensions are checked for control characters, skipped, and limited over the whole body; trailers
 * are checked like headers, limited and dropped. Errors
 * (for a request's body: 400 http1.invalid_chunk and http1.invalid_trailer, 413
 * http1.chunk_extensions_too_large, 431 http1.trailers_too_large and http1.too_many_headers) mean
 * that nobody knows where the message ends: the connection must be closed.
 */
#ifndef DATAPLANE_HTTP_H1_BODY_H
#define DATAPLANE_HTTP_H1_BODY_H

#include "dataplane/http/h1_parse.h"

enum h1_body_state {
    H1_BODY_DATA,       /* left bytes of a body with a length, or of a chunk */
    H1_BODY_REST,       /* until close */
    H1_BODY_SIZE,       /* in the digits of a chunk size */
    H1_BODY_SIZE_SPACE, /* in blanks behind it, before an extension */
    H1_BODY_EXTENSION,
    H1_BODY_SIZE_LF, /* CR of the size line was seen */
    H1_BODY_DATA_CR, /* behind the data of a chunk */
    H1_BODY_DATA_LF,
    H1_BODY_LAST,    /* behind the last chunk's line: a trailer or the end */
    H1_BODY_LAST_LF, /* CR of the final empty line was seen */
    H1_BODY_TRAILER,
    H1_BODY_DONE,
};

struct h1_body {
    enum h1_body_state state;
    bool is_chunked;
    uint8_t size_digits;
    uint32_t extension_bytes; /* so far, in all chunks */
    uint64_t left;            /* of the body or of this chunk */
    uint64_t payload_bytes;   /* handed out so far */
    const struct h1_limits *limits;
    struct arena *arena;
    char *trailer_data; /* the trailer section as far as it has come; NULL until there is one */
    uint32_t trailer_len;
};

/* The body that follows a parsed head: at once done for BODY_NONE. Borrows limits; arena is used
 * for trailers only, which need trailer_bytes_max bytes where a message has any. */
void h1_body_init(struct h1_body *body, enum body_kind kind, uint64_t content_length,
                  const struct h1_limits *limits, struct arena *arena);

/* Takes the next bytes (not done yet, len > 0). Returns 0: consumed bytes were used (> 0), of which
 * run (may be empty) is payload; call again with the rest until it is used up or the body is done.
 * Or ERR_INVALID or ERR_TOO_LARGE with ret_error; for the body of a response only its details
 * count. After an error the body must not be decoded further. */
int h1_body_decode(struct h1_body *body, const char *data, size_t len, size_t *ret_consumed,
                   struct str *ret_run, struct h1_error *ret_error) MUST_CHECK;

/* Tells that the peer closed. Returns 0 where that ends the body or it had ended, otherwise
 * ERR_CLOSED: the message is incomplete. */
int h1_body_close(struct h1_body *body) MUST_CHECK;

static inline bool h1_body_is_done(const struct h1_body *body)
{
    return body->state == H1_BODY_DONE;
}

/* Payload still to come where it is known, else UINT64_MAX. */
uint64_t h1_body_left(const struct h1_body *body);

/* The line before len (> 0) bytes of chunk data, into memory; returns its length. Behind the data
 * goes STR("\r\n"), at the end of the body H1_LAST_CHUNK. */
enum { H1_CHUNK_SIZE_LINE_MAX = 18 };
size_t h1_write_chunk_size(char memory[H1_CHUNK_SIZE_LINE_MAX], uint64_t len);
#define H1_LAST_CHUNK STR("0\r\n\r\n")

#endif
