#include "common/base/err.h"

#include "common/base/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *err_name(int err)
{
    switch (err) {
#define ERR_NAME(name, number, text)                                                               \
    case name:                                                                                     \
        return #name;
        ERR_LIST(ERR_NAME)
#undef ERR_NAME
    }
    return err == 0 ? "OK" : "ERR_UNKNOWN";
}

const char *err_text(int err)
{
    switch (err) {
#define ERR_TEXT(name, number, text)                                                               \
    case name:                                                                                     \
        return text;
        ERR_LIST(ERR_TEXT)
#undef ERR_TEXT
    }
    return err == 0 ? "no error" : "unknown error";
}

/* What is no UTF-8, such as half a character where a text was cut, becomes '?': a peer may refuse a
 * whole message for it. */
static void mend_utf8(struct errmsg *msg)
{
    struct str left = str_from(msg->text);
    while (left.len) {
        size_t len = str_utf8_length(left);
        if (len == 0)
            msg->text[left.data - msg->text] = '?';
        left = str_slice(left, len ? len : 1, left.len);
    }
}

int errmsg_set(struct errmsg *msg, int err, const char *format, ...)
{
    if (msg) {
        va_list args;
        va_start(args, format);
        vsnprintf(msg->text, sizeof msg->text, format, args);
        va_end(args);
        mend_utf8(msg);
    }
    return err;
}

void errmsg_prefix(struct errmsg *msg, const char *format, ...)
{
    if (!msg)
        return;
    char rest[sizeof msg->text];
    memcpy(rest, msg->text, sizeof rest);
    va_list args;
    va_start(args, format);
    int len = vsnprintf(msg->text, sizeof msg->text, format, args);
    va_end(args);
    if (len >= 0 && (size_t)len < sizeof msg->text)
        snprintf(msg->text + len, sizeof msg->text - (size_t)len, "%s", rest);
    mend_utf8(msg);
}
