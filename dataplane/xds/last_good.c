#include "dataplane/xds/last_good.h"

#include "common/base/hash.h"
#include "common/base/log.h"
#include "common/base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* The file: the magic, the checksum of what follows (32 hex digits), a newline, then for each
 * resource its type (1 byte), the lengths of name, version and bytes (4 each, little-endian), and
 * these three. What is referred to by name comes behind what refers to it (enum xds_type). */
#define MAGIC "weir last good 1\n"
enum { MAGIC_BYTES = sizeof MAGIC - 1, HEAD_BYTES = MAGIC_BYTES + 33, RECORD_HEAD_BYTES = 13 };
/* More than the store holds, names and heads included. */
#define FILE_BYTES_MAX ((size_t)STORE_BYTES_MAX + (size_t)STORE_BYTES_MAX / 2)

struct last_good {
    char *path;
    const struct store *store;
    struct loop_timer timer;
};

/* --- writing ---------------------------------------------------------------------------------- */

static void append_number(struct buf *out, size_t value)
{
    for (unsigned shift = 0; shift < 32; shift += 8)
        buf_append_char(out, (char)(value >> shift & 0xff));
}

static void append_record(const struct store_view *view, void *arg)
{
    struct buf *out = arg;
    if (view->is_static || view->bytes.len == 0 || view->version.len > STORE_NAME_BYTES_MAX)
        return;
    buf_append_char(out, (char)view->type);
    append_number(out, view->name.len);
    append_number(out, view->version.len);
    append_number(out, view->bytes.len);
    buf_append_str(out, view->name);
    buf_append_str(out, view->version);
    buf_append_str(out, view->bytes);
}

static bool write_all(int fd, struct str s)
{
    while (s.len) {
        ssize_t written = write(fd, s.data, s.len);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        s = str_slice(s, (size_t)written, s.len);
    }
    return true;
}

/* So that the new name is on the disk too. */
static void sync_folder(const char *path)
{
    char folder[PATH_MAX];
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder] = '\0';
    int fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    fsync(fd);
    close(fd);
}

static bool replace_file(const char *path, struct str head, struct str payload)
{
    char temporary[PATH_MAX];
    int len = snprintf(temporary, sizeof temporary, "%s.tmp", path);
    if (len < 0 || (size_t)len >= sizeof temporary) {
        errno = ENAMETOOLONG;
        return false;
    }
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    bool is_written = write_all(fd, head) && write_all(fd, payload) && fsync(fd) == 0;
    int error = errno;
    close(fd);
    errno = error;
    if (!is_written || rename(temporary, path) != 0) {
        error = errno;
        unlink(temporary);
        errno = error;
        return false;
    }
    sync_folder(path);
    return true;
}

static void write_copy(const struct last_good *copy)
{
    struct buf payload;
    buf_init(&payload, FILE_BYTES_MAX);
    for (enum xds_type type = 0; type < XDS_TYPE_COUNT; type++)
        store_visit(copy->store, type, append_record, &payload);
    char head[HEAD_BYTES + 1];
    struct content_hash hash = content_hash_of(buf_str(&payload));
    snprintf(head, sizeof head, MAGIC "%s\n", hash.hex);
    if (payload.is_overflown)
        log_error("last_good_not_written path=\"%s\" reason=\"it would be too large\"", copy->path);
    else if (!replace_file(copy->path, str_from(head), buf_str(&payload)))
        log_error("last_good_not_written path=\"%s\" reason=\"%s\"", copy->path, strerror(errno));
    buf_done(&payload);
}

static void on_timer(struct loop_timer *timer)
{
    write_copy(CONTAINER_OF(timer, struct last_good, timer));
}

struct last_good *last_good_new(struct loop *loop, const char *path, const struct store *store)
{
    struct last_good *copy = MEM_NEW(struct last_good);
    copy->path = mem_copy_string(path, strlen(path));
    copy->store = store;
    loop_timer_init(&copy->timer, loop, on_timer);
    return copy;
}

void last_good_free(struct last_good *copy)
{
    if (!copy)
        return;
    if (loop_timer_is_running(&copy->timer))
        write_copy(copy);
    loop_timer_stop(&copy->timer);
    mem_free(copy->path);
    mem_free(copy);
}

void last_good_note_change(struct last_good *copy)
{
    if (!loop_timer_is_running(&copy->timer))
        loop_timer_start(&copy->timer, LAST_GOOD_INTERVAL_MS);
}

/* --- reading ---------------------------------------------------------------------------------- */

struct record {
    enum xds_type type;
    struct str name, version, bytes;
};

static size_t read_number(const char *data)
{
    size_t value = 0;
    for (unsigned i = 0; i < 4; i++)
        value |= (size_t)(unsigned char)data[i] << 8 * i;
    return value;
}

/* Takes the next record off *left; false where it is cut off or of no type. */
static bool read_record(struct str *left, struct record *ret_record)
{
    if (left->len < RECORD_HEAD_BYTES)
        return false;
    const char *data = left->data;
    size_t name = read_number(data + 1), version = read_number(data + 5);
    size_t bytes = read_number(data + 9);
    ret_record->type = (enum xds_type)(unsigned char)data[0];
    if (ret_record->type >= XDS_TYPE_COUNT ||
        left->len - RECORD_HEAD_BYTES < name + version + bytes)
        return false;
    data += RECORD_HEAD_BYTES;
    ret_record->name = (struct str){.data = data, .len = name};
    ret_record->version = (struct str){.data = data + name, .len = version};
    ret_record->bytes = (struct str){.data = data + name + version, .len = bytes};
    *left = str_slice(*left, RECORD_HEAD_BYTES + name + version + bytes, left->len);
    return true;
}

static int read_file(const char *path, struct buf *out, struct errmsg *msg)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (fd < 0 && errno == ENOENT)
        return errmsg_set(msg, ERR_NOT_FOUND, "%s: does not exist", path);
    if (fd < 0 || fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) ||
        (uint64_t)status.st_size > FILE_BYTES_MAX) {
        int error = fd < 0 ? errno : EINVAL;
        if (fd >= 0)
            close(fd);
        return errmsg_set(msg, ERR_IO, "%s: %s", path, strerror(error));
    }
    size_t size = (size_t)status.st_size;
    char *room = buf_reserve(out, size);
    while (room && out->len < size) {
        ssize_t got = read(fd, out->data + out->len, size - out->len);
        if (got <= 0 && !(got < 0 && errno == EINTR))
            break;
        out->len += got > 0 ? (size_t)got : 0;
    }
    close(fd);
    return 0;
}

/* The records, once head and checksum have been found right. */
static int check_file(const char *path, struct str file, struct str *ret_payload,
                      struct errmsg *msg)
{
    if (file.len < HEAD_BYTES || !str_starts_with(file, STR(MAGIC)))
        return errmsg_set(msg, ERR_INVALID, "%s: is not a copy of a configuration", path);
    struct str payload = str_slice(file, HEAD_BYTES, file.len);
    struct content_hash hash = content_hash_of(payload);
    if (memcmp(hash.hex, file.data + MAGIC_BYTES, 32) != 0)
        return errmsg_set(msg, ERR_INVALID, "%s: is damaged (its checksum is wrong)", path);
    struct record record;
    for (struct str left = payload; left.len;)
        if (!read_record(&left, &record))
            return errmsg_set(msg, ERR_INVALID, "%s: is damaged (a record is cut off)", path);
    *ret_payload = payload;
    return 0;
}

static size_t put_records(struct store *store, struct str payload)
{
    size_t count = 0;
    struct record record;
    while (payload.len && read_record(&payload, &record)) {
        struct errmsg why;
        if (store_put(store, record.type, record.name, record.version, record.bytes, false, &why))
            log_warning("last_good_resource_refused reason=\"%s\"", why.text);
        else
            count++;
    }
    return count;
}

int last_good_load(const char *path, struct store *store, size_t *ret_count, struct errmsg *msg)
{
    struct buf file;
    buf_init(&file, FILE_BYTES_MAX);
    struct str payload;
    int err = read_file(path, &file, msg);
    if (!err)
        err = check_file(path, buf_str(&file), &payload, msg);
    if (!err) {
        *ret_count = put_records(store, payload);
        store_type_received(store, XDS_LISTENER);
        store_type_received(store, XDS_CLUSTER);
        store_end_init(store);
    }
    buf_done(&file);
    return err;
}
