/* Growable bytes, born with the most they may become. For cold paths (JSON, admin pages, messages);
 * bytes of requests and bodies live in chunks (chunk.h). */
#ifndef COMMON_BASE_BUF_H
#define COMMON_BASE_BUF_H

#include "common/base/assert.h"
#include "common/base/str.h"

struct buf {
    char *data; /* NULL while empty */
    size_t len;
    size_t cap;
    size_t max;
    bool is_overflown; /* sticky: something did not fit and was left out */
};

/* An empty buffer that refuses to hold more than max bytes. */
void buf_init(struct buf *buf, size_t max);
void buf_done(struct buf *buf);
/* Empties it, keeps its memory, clears is_overflown. */
void buf_reset(struct buf *buf);
/* Each appends all or nothing; where it would exceed max it appends nothing and sets is_overflown,
 * to be looked at once, at the end. */
void buf_append(struct buf *buf, const void *data, size_t len);
void buf_append_str(struct buf *buf, struct str s);
void buf_append_char(struct buf *buf, char c);
void buf_printf(struct buf *buf, const char *format, ...) PRINTF_LIKE(2, 3);
/* Appends s as a JSON string, with its quotes; control characters, quotes, backslashes and bytes
 * that are not UTF-8 are escaped. */
void buf_append_json_string(struct buf *buf, struct str s);
/* Room for len more bytes, or NULL (and is_overflown) where they do not fit; the caller writes
 * there and adds to buf->len. */
char *buf_reserve(struct buf *buf, size_t len);
/* Its bytes, borrowed until the next change. */
struct str buf_str(const struct buf *buf);

#endif
