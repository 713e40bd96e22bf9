/*
 * The copy of the last state on disk, for starts without etcd: a checked file
 * (common/io/checked_file.h) with a header and the entries in order of their keys. It holds secrets
 * as etcd does: mode 0600.
 */
#ifndef CONTROLPLANE_SOURCE_LAST_GOOD_H
#define CONTROLPLANE_SOURCE_LAST_GOOD_H

#include "common/base/buf.h"
#include "controlplane/source/source_internal.h"

/* The kind of the file; the number is the version of what encode appends. */
#define LAST_GOOD_KIND "weir-control 2"

/* Appends the content of the copy of store to buf. prefix is the one that its keys are below. */
void last_good_encode(struct buf *buf, const struct source_store *store, struct str prefix,
                      uint64_t cluster_id);
/* Fills store (empty before; also after a failure) and *ret_cluster_id. ERR_INVALID with a sentence
 * for content that is cut off or of another prefix. */
int last_good_decode(struct str bytes, struct str prefix, struct source_store *store,
                     uint64_t *ret_cluster_id, struct errmsg *msg) MUST_CHECK;

/* Writes copies on a thread of its own, one at a time, so that the loop does not wait for a disk.
 */
struct last_good_job;
struct last_good_writer;
/* The copy has been written (err 0) or not; from the loop. */
typedef void last_good_written_fn(struct last_good_writer *writer, int err, const char *reason);
struct last_good_writer {
    struct loop *loop;
    char *path;
    last_good_written_fn *on_written;
    struct last_good_job *job; /* NULL: idle */
};

/* path is copied. */
void last_good_writer_init(struct last_good_writer *writer, struct loop *loop, const char *path,
                           last_good_written_fn *on_written);
/* Starts writing bytes, begun with checked_file_begin (takes them and leaves an empty buf). Only
 * while idle. */
void last_good_writer_write(struct last_good_writer *writer, struct buf *bytes);
/* Waits for the copy being written, if any; on_written is not called for it. */
void last_good_writer_wait(struct last_good_writer *writer);
/* The same, and frees what the writer holds. */
void last_good_writer_done(struct last_good_writer *writer);

#endif
