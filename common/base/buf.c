#include "common/base/buf.h"

#include "common/base/mem.h"

#include <stdarg.h>
#include <stdio.h>

void buf_init(struct buf *buf, size_t max)
{
    *buf = (struct buf){.max = max};
}

void buf_done(struct buf *buf)
{
    mem_free(buf->data);
    buf_init(buf, buf->max);
}

void buf_reset(struct buf *buf)
{
    buf->len = 0;
    buf->is_overflown = false;
}

static void make_room(struct buf *buf, size_t len)
{
    if (buf->data && buf->cap - buf->len >= len)
        return;
    size_t cap = buf->cap ? buf->cap : 256;
    while (cap - buf->len < len)
        cap *= 2;
    buf->data = mem_resize(buf->data, cap, 1);
    buf->cap = cap;
}

char *buf_reserve(struct buf *buf, size_t len)
{
    if (len > buf->max - buf->len) {
        buf->is_overflown = true;
        return NULL;
    }
    make_room(buf, len);
    return buf->data + buf->len;
}

void buf_append(struct buf *buf, const void *data, size_t len)
{
    char *room = len ? buf_reserve(buf, len) : NULL;
    if (!room)
        return;
    memcpy(room, data, len);
    buf->len += len;
}

void buf_append_str(struct buf *buf, struct str s)
{
    buf_append(buf, s.data, s.len);
}

void buf_append_char(struct buf *buf, char c)
{
    buf_append(buf, &c, 1);
}

void buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    /* vsnprintf needs a byte for its NUL, which is not part of the text. */
    bool fits = len >= 0 && (size_t)len <= buf->max - buf->len;
    buf->is_overflown |= !fits;
    if (fits) {
        make_room(buf, (size_t)len + 1);
        vsnprintf(buf->data + buf->len, (size_t)len + 1, format, again);
        buf->len += (size_t)len;
    }
    va_end(again);
}

static void append_json_string(struct buf *buf, struct str s)
{
    buf_append_char(buf, '"');
    while (s.len) {
        unsigned char c = (unsigned char)s.data[0];
        size_t len = str_utf8_length(s);
        if (c == '"' || c == '\\')
            buf_printf(buf, "\\%c", c);
        else if (c == '\n')
            buf_append_str(buf, STR("\\n"));
        else if (len == 0 || c < 0x20 || c == 0x7f)
            buf_printf(buf, "\\u%04x", c);
        else
            buf_append(buf, s.data, len);
        s = str_slice(s, len ? len : 1, s.len);
    }
    buf_append_char(buf, '"');
}

void buf_append_json_string(struct buf *buf, struct str s)
{
    size_t len = buf->len;
    bool was_overflown = buf->is_overflown;
    buf->is_overflown = false;
    append_json_string(buf, s);
    if (buf->is_overflown)
        buf->len = len; /* all or nothing */
    buf->is_overflown |= was_overflown;
}

struct str buf_str(const struct buf *buf)
{
    return (struct str){.data = buf->data ? buf->data : "", .len = buf->len};
}
