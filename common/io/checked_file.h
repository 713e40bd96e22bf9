/*
 * A file that is read as it was written or not at all: a head with its kind, the length and the
 * SHA-256 of what follows, then the content. Writing replaces the old file at once (file.h) and
 * waits for the disk. Mode 0600. Blocks; any thread, one writer for each path.
 */
#ifndef COMMON_IO_CHECKED_FILE_H
#define COMMON_IO_CHECKED_FILE_H

#include "common/base/buf.h"
#include "common/base/err.h"

/* kind: what the content is and the version of its format, at most this long. */
enum { CHECKED_FILE_KIND_BYTES = 16, CHECKED_FILE_HEAD_BYTES = CHECKED_FILE_KIND_BYTES + 8 + 32 };

/* Makes room for the head in buf, which is empty; the content is appended behind it. Head and
 * content together have buf's limit. */
void checked_file_begin(struct buf *buf);
/* Fills in the head and writes buf to path. 0, or ERR_TOO_LARGE where buf is overflown, or ERR_IO,
 * with a sentence; the old file is still there then. */
int checked_file_write(const char *path, const char *kind, struct buf *buf,
                       struct errmsg *msg) MUST_CHECK;
/* Reads path into buf, which is empty and whose limit is the limit. 0 and the content, borrowed
 * from buf; or ERR_NOT_FOUND, ERR_IO, ERR_TOO_LARGE, or ERR_INVALID where the file is of another
 * kind, cut off or damaged, with a sentence that names the file. */
int checked_file_read(const char *path, const char *kind, struct buf *buf, struct str *ret_content,
                      struct errmsg *msg) MUST_CHECK;

#endif
