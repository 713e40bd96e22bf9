#include "dataplane/xds/last_good.h"

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/io/checked_file.h"

/* The content: for each resource its type (1 byte), the lengths of name, version and bytes (4 each,
 * little-endian), and these three. What is referred to by name comes behind what refers to it (enum
 * xds_type). */
#define KIND "weir-proxy 2"
enum { RECORD_HEAD_BYTES = 13 };
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

static void write_copy(const struct last_good *copy)
{
    struct buf file;
    struct errmsg msg;
    buf_init(&file, FILE_BYTES_MAX);
    checked_file_begin(&file);
    for (enum xds_type type = 0; type < XDS_TYPE_COUNT; type++)
        store_visit(copy->store, type, append_record, &file);
    if (checked_file_write(copy->path, KIND, &file, &msg) != 0)
        log_error("last_good_not_written reason=\"%s\"", msg.text);
    buf_done(&file);
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

static bool are_records(struct str content)
{
    struct record record;
    while (content.len)
        if (!read_record(&content, &record))
            return false;
    return true;
}

static size_t put_records(struct store *store, struct str content)
{
    size_t count = 0;
    struct record record;
    while (content.len && read_record(&content, &record)) {
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
    struct str content;
    int err = checked_file_read(path, KIND, &file, &content, msg);
    if (!err && !are_records(content))
        err = errmsg_set(msg, ERR_INVALID, "%s is damaged: a record is cut off", path);
    if (!err) {
        *ret_count = put_records(store, content);
        store_type_received(store, XDS_LISTENER);
        store_type_received(store, XDS_CLUSTER);
        store_end_init(store);
    }
    buf_done(&file);
    return err;
}
