#include "common/io/file.h"

#include "common/base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static int read_all(int fd, const char *path, struct buf *buf, struct errmsg *msg)
{
    char piece[16 * 1024];
    for (;;) {
        ssize_t got = read(fd, piece, sizeof piece);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return errmsg_set(msg, ERR_IO, "%s cannot be read: %s", path, strerror(errno));
        if (got == 0)
            return 0;
        buf_append(buf, piece, (size_t)got);
        if (buf->is_overflown)
            return errmsg_set(msg, ERR_TOO_LARGE, "%s is over %zu bytes", path, buf->max);
    }
}

int file_read(const char *path, struct buf *buf, struct errmsg *msg)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return errmsg_set(msg, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "%s cannot be opened: %s",
                          path, strerror(errno));
    struct stat status;
    int err = 0;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
        err = errmsg_set(msg, ERR_IO, "%s is not a file", path);
    else
        err = read_all(fd, path, buf, msg);
    close(fd);
    return err;
}

static bool write_all(int fd, struct str bytes, bool must_last)
{
    while (bytes.len > 0) {
        ssize_t done = write(fd, bytes.data, bytes.len);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return false;
        bytes = str_slice(bytes, (size_t)done, bytes.len);
    }
    return !must_last || fsync(fd) == 0;
}

/* The rename itself is on the disk once the directory is. */
static void flush_directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash && slash > path ? mem_copy_string(path, (size_t)(slash - path))
                                         : mem_copy_string(slash ? "/" : ".", 1);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    mem_free(folder);
    if (fd < 0)
        return;
    (void)fsync(fd);
    close(fd);
}

int file_replace(const char *path, struct str bytes, bool must_last, struct errmsg *msg)
{
    size_t size = strlen(path) + 32;
    char *temporary = mem_alloc(size);
    snprintf(temporary, size, "%s.%ld.tmp", path, (long)getpid());
    /* One that a crash has left may be readable for others, or lead elsewhere. */
    unlink(temporary);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool is_written = fd >= 0 && write_all(fd, bytes, must_last);
    int failure = errno;
    if (fd >= 0)
        close(fd);
    if (is_written && rename(temporary, path) != 0) {
        failure = errno;
        is_written = false;
    }
    if (!is_written)
        unlink(temporary);
    else if (must_last)
        flush_directory_of(path);
    mem_free(temporary);
    if (!is_written)
        return errmsg_set(msg, ERR_IO, "%s cannot be written: %s", path, strerror(failure));
    return 0;
}
