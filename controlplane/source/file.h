/* Whole files, read and written at once. Blocks. */
#ifndef CONTROLPLANE_SOURCE_FILE_H
#define CONTROLPLANE_SOURCE_FILE_H

#include "common/base/buf.h"
#include "common/base/err.h"

/* Appends the file's bytes to buf, whose limit is the limit. ERR_NOT_FOUND, ERR_TOO_LARGE, ERR_IO
 * (msg names file and reason). */
int file_read(const char *path, struct buf *buf, struct errmsg *msg) MUST_CHECK;
/* Replaces the file so that after a crash there is the old or the new one, whole: writes a
 * temporary file beside it (mode 0600), flushes it to the disk, renames it. Not must_last: does not
 * wait for the disk; readers still see the old or the new one, whole. ERR_IO. */
int file_replace(const char *path, struct str bytes, bool must_last, struct errmsg *msg) MUST_CHECK;

#endif
