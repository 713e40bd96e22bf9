/*
 * Chunks: refcounted pieces of memory that hold what was read from a socket, until the last slice
 * of it has been written to another. Heads are parsed in place and bodies are forwarded without a
 * copy. A pool belongs to one worker and so do its chunks: no atomics, no locks.
 */
#ifndef COMMON_BASE_CHUNK_H
#define COMMON_BASE_CHUNK_H

#include "common/base/str.h"

#include <sys/uio.h>

/* Room for data in a pooled chunk: a body segment of a fast peer, and four small heads. */
enum { CHUNK_BYTES = 16 * 1024 };

struct chunk_pool {
    struct chunk *idle;
    size_t idle_count;
    size_t idle_max;       /* more than this many unused chunks go back to the heap */
    size_t live_count;     /* chunks handed out and not yet returned */
    struct chunk *filling; /* the one that chunk_pool_room shares out; NULL at first */
};

struct chunk {
    struct chunk_pool *pool;
    struct chunk *next_idle;
    uint32_t refs;
    uint32_t cap;
    uint32_t len; /* bytes filled; only ever grows while there are slices */
    char data[];
};

void chunk_pool_init(struct chunk_pool *pool, size_t idle_max);
/* All chunks must have come back. */
void chunk_pool_done(struct chunk_pool *pool);
/* A chunk with room for at least size bytes (CHUNK_BYTES where it is less), with one reference. */
struct chunk *chunk_new(struct chunk_pool *pool, size_t size);
/* The pool's common chunk, with room for at least size (at most CHUNK_BYTES) more bytes behind its
 * len: small things that come together lie together, which keeps the memory that a worker touches
 * small. Borrowed: who fills some of it adds to len and takes a reference. */
struct chunk *chunk_pool_room(struct chunk_pool *pool, size_t size);
struct chunk *chunk_ref(struct chunk *chunk);
/* NULL is fine. */
void chunk_unref(struct chunk *chunk);

/* A run of bytes to be written: inside a chunk it holds a reference on, or, with chunk NULL, in
 * memory that outlives the queue's use of it (static, or an arena of the same lifetime). */
struct slice {
    struct chunk *chunk;
    const char *data;
    size_t len;
};

/* Bytes waiting to be written, in order. Whoever fills it looks at `bytes` and stops reading from
 * the source while it is over a high watermark. */
struct slice_queue {
    struct slice *slices; /* ring */
    uint32_t cap;         /* a power of two, or 0 */
    uint32_t head;
    uint32_t count;
    size_t bytes;
};

/* A zeroed queue is an empty one. */
void slice_queue_done(struct slice_queue *queue);
/* Takes slice's reference on its chunk. An empty slice is dropped. In a long queue small slices are
 * copied together, so that the memory kept is of the order of `bytes`. */
void slice_queue_append(struct slice_queue *queue, struct slice slice);
/* Appends everything in from to queue; from is empty then. */
void slice_queue_move(struct slice_queue *queue, struct slice_queue *from);
/* Fills at most max entries and returns how many. */
int slice_queue_iovec(const struct slice_queue *queue, struct iovec *iovec, int max);
/* Takes the first len bytes out (they were written). len <= queue->bytes. */
void slice_queue_drop(struct slice_queue *queue, size_t len);

#endif
