#include "controlplane/source/last_good.h"

#include "common/base/mem.h"
#include "common/io/checked_file.h"

#include <endian.h>
#include <pthread.h>

enum { FLAG_OVERSIZED = 1, FLAG_YAML = 2 };

static void put_u64(struct buf *buf, uint64_t value)
{
    uint64_t wire = htole64(value);
    buf_append(buf, &wire, sizeof wire);
}

static void put_str(struct buf *buf, struct str s)
{
    put_u64(buf, s.len);
    buf_append_str(buf, s);
}

void last_good_encode(struct buf *buf, const struct source_store *store, struct str prefix,
                      uint64_t cluster_id)
{
    put_str(buf, prefix);
    put_u64(buf, cluster_id);
    put_u64(buf, (uint64_t)store->revision);
    put_u64(buf, store->objects.len);
    struct source_entry *entries = source_store_sorted(store);
    for (size_t i = 0; i < store->objects.len; i++) {
        const struct source_entry *entry = &entries[i];
        put_u64(buf, (entry->is_oversized ? FLAG_OVERSIZED : 0) | (entry->is_yaml ? FLAG_YAML : 0));
        put_u64(buf, (uint64_t)entry->mod_revision);
        put_u64(buf, entry->value_bytes);
        put_str(buf, entry->key);
        put_str(buf, entry->value);
    }
    mem_free(entries);
}

/* Reads from the front of *rest; false where it is too short. */
static bool take_u64(struct str *rest, uint64_t *ret_value)
{
    uint64_t wire;
    if (rest->len < sizeof wire)
        return false;
    memcpy(&wire, rest->data, sizeof wire);
    *rest = str_slice(*rest, sizeof wire, rest->len);
    *ret_value = le64toh(wire);
    return true;
}

static bool take_str(struct str *rest, struct str *ret_value)
{
    uint64_t len;
    if (!take_u64(rest, &len) || len > rest->len)
        return false;
    *ret_value = str_slice(*rest, 0, (size_t)len);
    *rest = str_slice(*rest, (size_t)len, rest->len);
    return true;
}

static bool take_entry(struct str *rest, struct source_entry *ret_entry)
{
    uint64_t flags, mod_revision, value_bytes;
    struct source_entry entry = {0};
    if (!take_u64(rest, &flags) || !take_u64(rest, &mod_revision) ||
        !take_u64(rest, &value_bytes) || !take_str(rest, &entry.key) ||
        !take_str(rest, &entry.value))
        return false;
    entry.mod_revision = (int64_t)mod_revision;
    entry.value_bytes = (size_t)value_bytes;
    entry.is_oversized = (flags & FLAG_OVERSIZED) != 0;
    entry.is_yaml = (flags & FLAG_YAML) != 0;
    *ret_entry = entry;
    return true;
}

int last_good_decode(struct str bytes, struct str prefix, struct source_store *store,
                     uint64_t *ret_cluster_id, struct errmsg *msg)
{
    struct str rest = bytes;
    struct str own_prefix;
    uint64_t revision, count, cluster_id;
    if (!take_str(&rest, &own_prefix) || !take_u64(&rest, &cluster_id) ||
        !take_u64(&rest, &revision) || !take_u64(&rest, &count))
        return errmsg_set(msg, ERR_INVALID, "its header is too short");
    if (!str_equal(own_prefix, prefix))
        return errmsg_set(msg, ERR_INVALID, "it is a copy of prefix %.*s",
                          own_prefix.len < 200 ? (int)own_prefix.len : 200, own_prefix.data);
    for (uint64_t i = 0; i < count; i++) {
        struct source_entry entry;
        if (!take_entry(&rest, &entry)) {
            source_store_done(store);
            return errmsg_set(msg, ERR_INVALID, "it ends before its last entry");
        }
        source_store_put(store, &entry);
    }
    if (rest.len > 0) {
        source_store_done(store);
        return errmsg_set(msg, ERR_INVALID, "it goes on after its last entry");
    }
    store->revision = (int64_t)revision;
    *ret_cluster_id = cluster_id;
    return 0;
}

/* --- writer ----------------------------------------------------------------------------------- */

struct last_good_job {
    struct loop_post post;
    struct last_good_writer *writer; /* NULL: it does not wait for this any more */
    char *path;
    struct buf bytes;
    int err;
    struct errmsg msg;
    pthread_t thread;
    bool is_joined;
};

static void on_job_posted(struct loop_post *post)
{
    struct last_good_job *job = CONTAINER_OF(post, struct last_good_job, post);
    if (!job->is_joined)
        pthread_join(job->thread, NULL);
    struct last_good_writer *writer = job->writer;
    if (writer) {
        writer->job = NULL;
        writer->on_written(writer, job->err, job->msg.text);
    }
    buf_done(&job->bytes);
    mem_free(job->path);
    mem_free(job);
}

static void *write_copy(void *arg)
{
    struct last_good_job *job = arg;
    struct loop *loop = job->writer->loop;
    job->err = checked_file_write(job->path, LAST_GOOD_KIND, &job->bytes, &job->msg);
    loop_post(loop, &job->post, on_job_posted);
    return NULL;
}

void last_good_writer_init(struct last_good_writer *writer, struct loop *loop, const char *path,
                           last_good_written_fn *on_written)
{
    *writer = (struct last_good_writer){
        .loop = loop, .path = mem_copy_string(path, strlen(path)), .on_written = on_written};
}

void last_good_writer_write(struct last_good_writer *writer, struct buf *bytes)
{
    ASSERT(!writer->job);
    struct last_good_job *job = MEM_NEW(struct last_good_job);
    job->writer = writer;
    job->path = mem_copy_string(writer->path, strlen(writer->path));
    job->bytes = *bytes;
    buf_init(bytes, bytes->max);
    writer->job = job;
    int failed = pthread_create(&job->thread, NULL, write_copy, job);
    ASSERT(!failed);
}

void last_good_writer_wait(struct last_good_writer *writer)
{
    struct last_good_job *job = writer->job;
    if (!job)
        return;
    pthread_join(job->thread, NULL); /* it has posted, and the post frees it */
    job->is_joined = true;
    job->writer = NULL;
    writer->job = NULL;
}

void last_good_writer_done(struct last_good_writer *writer)
{
    last_good_writer_wait(writer);
    mem_free(writer->path);
}
