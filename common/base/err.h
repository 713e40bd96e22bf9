/*
 * Error numbers and error sentences.
 *
 * A function that can fail returns 0 or a negative enum err. Where the failure is the operator's to
 * mend (configuration), it also fills the caller's struct errmsg with a sentence that names the
 * object and the field and says what to do; that sentence becomes the NACK or the status text.
 */
#ifndef COMMON_BASE_ERR_H
#define COMMON_BASE_ERR_H

#include "common/base/assert.h"

/* name, number, text */
#define ERR_LIST(X)                                                                                \
    X(ERR_AGAIN, -1, "more input is needed")                                                       \
    X(ERR_INVALID, -2, "invalid input")                                                            \
    X(ERR_TOO_LARGE, -3, "a limit is exceeded")                                                    \
    X(ERR_NOT_FOUND, -4, "not found")                                                              \
    X(ERR_EXISTS, -5, "exists already")                                                            \
    X(ERR_IO, -6, "input or output failed")                                                        \
    X(ERR_CLOSED, -7, "closed by the peer")                                                        \
    X(ERR_TIMEOUT, -8, "timed out")                                                                \
    X(ERR_UNAVAILABLE, -9, "unavailable at the moment")                                            \
    X(ERR_DENIED, -10, "permission denied")                                                        \
    X(ERR_UNSUPPORTED, -11, "not supported")                                                       \
    X(ERR_CANCELLED, -12, "cancelled")

enum err {
#define ERR_ENUM(name, number, text) name = number,
    ERR_LIST(ERR_ENUM)
#undef ERR_ENUM
};

/* "ERR_AGAIN" and the like; "OK" for 0. Static storage. */
const char *err_name(int err);
/* The text of the list above; static storage. */
const char *err_text(int err);

/* A sentence for a person, always UTF-8. 1 KiB, because it travels in NACKs and status documents.
 */
struct errmsg {
    char text[1024];
};

/* Formats into msg (truncates, never fails) and returns err, so that a failing function can end in
 * `return errmsg_set(msg, ERR_INVALID, …)`. msg may be NULL. */
int errmsg_set(struct errmsg *msg, int err, const char *format, ...) PRINTF_LIKE(3, 4);
/* Puts a formatted prefix before what msg says already. msg may be NULL. */
void errmsg_prefix(struct errmsg *msg, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
