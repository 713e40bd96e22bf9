/* Base64 (RFC 4648). No state, any thread. */
#ifndef COMMON_PBJSON_BASE64_H
#define COMMON_PBJSON_BASE64_H

#include "common/base/buf.h"
#include "common/base/str.h"

/* Appends bytes in the standard alphabet, padded, without quotes. */
void base64_append(struct buf *out, struct str bytes);
/* The most bytes that text_len characters stand for. */
size_t base64_decoded_max(size_t text_len);
/* Decodes the standard or the URL-safe alphabet, with or without padding, into out, which has room
 * for base64_decoded_max(text.len) bytes. False where text is not base64; out is then undefined. */
bool base64_decode(struct str text, uint8_t *out, size_t *ret_len);

#endif
