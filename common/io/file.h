/* Whole files, read and written at once. Blocks; any thread, one writer for each path. */
#ifndef COMMON_IO_FILE_H
#define COMMON_IO_FILE_H

#include "common/base/buf.h"
#include "common/base/err.h"

/* Appends the file's bytes to buf, whose limit is the limit. 0, or ERR_NOT_FOUND, ERR_TOO_LARGE or
 * ERR_IO (also for what is no regular file) with a sentence that names file and reason. */
int file_read(const char *path, struct buf *buf, struct errmsg *msg) MUST_CHECK;
/* Replaces the file so that after a crash there is the old or the new one, whole: writes a
 * temporary file beside it (mode 0600, never one that was there), flushes it to the disk, renames
 * it. Not must_last: does not wait for the disk; readers still see the old or the new one, whole.
 * ERR_IO. */
int file_replace(const char *path, struct str bytes, bool must_last, struct errmsg *msg) MUST_CHECK;

#endif
