#include "common/base/chunk.h"

#include "common/base/assert.h"
#include "common/base/mem.h"

enum {
    SLICES_BEFORE_GATHERING = 16,         /* more than an ordinary message waits as */
    GATHERED_BYTES_MAX = CHUNK_BYTES / 2, /* what is larger uses its chunk well enough */
};

void chunk_pool_init(struct chunk_pool *pool, size_t idle_max)
{
    *pool = (struct chunk_pool){.idle_max = idle_max};
}

void chunk_pool_done(struct chunk_pool *pool)
{
    chunk_unref(pool->filling);
    pool->filling = NULL;
    ASSERT(pool->live_count == 0);
    while (pool->idle) {
        struct chunk *chunk = pool->idle;
        pool->idle = chunk->next_idle;
        mem_free(chunk);
    }
    pool->idle_count = 0;
}

struct chunk *chunk_new(struct chunk_pool *pool, size_t size)
{
    struct chunk *chunk = pool->idle;
    if (size <= CHUNK_BYTES && chunk) {
        pool->idle = chunk->next_idle;
        pool->idle_count--;
    } else {
        size_t cap = size > CHUNK_BYTES ? size : CHUNK_BYTES;
        ASSERT(cap < UINT32_MAX);
        chunk = mem_alloc(sizeof *chunk + cap);
        chunk->pool = pool;
        chunk->cap = (uint32_t)cap;
    }
    chunk->refs = 1;
    chunk->len = 0;
    pool->live_count++;
    return chunk;
}

struct chunk *chunk_pool_room(struct chunk_pool *pool, size_t size)
{
    struct chunk *chunk = pool->filling;
    ASSERT(size <= CHUNK_BYTES);
    if (chunk && chunk->refs == 1)
        chunk->len = 0; /* nobody but the pool refers to it any more */
    if (!chunk || chunk->cap - chunk->len < size) {
        chunk_unref(chunk);
        chunk = pool->filling = chunk_new(pool, CHUNK_BYTES);
    }
    return chunk;
}

struct chunk *chunk_ref(struct chunk *chunk)
{
    chunk->refs++;
    return chunk;
}

void chunk_unref(struct chunk *chunk)
{
    if (!chunk)
        return;
    ASSERT(chunk->refs > 0);
    if (--chunk->refs > 0)
        return;
    struct chunk_pool *pool = chunk->pool;
    pool->live_count--;
    if (chunk->cap != CHUNK_BYTES || pool->idle_count >= pool->idle_max) {
        mem_free(chunk);
        return;
    }
    chunk->next_idle = pool->idle;
    pool->idle = chunk;
    pool->idle_count++;
}

static struct slice *slice_at(const struct slice_queue *queue, uint32_t index)
{
    return &queue->slices[(queue->head + index) & (queue->cap - 1)];
}

void slice_queue_done(struct slice_queue *queue)
{
    slice_queue_drop(queue, queue->bytes);
    mem_free(queue->slices);
    *queue = (struct slice_queue){0};
}

static void grow(struct slice_queue *queue)
{
    uint32_t cap = queue->cap ? queue->cap * 2 : 8;
    struct slice *slices = mem_alloc(cap * sizeof *slices);
    for (uint32_t i = 0; i < queue->count; i++)
        slices[i] = *slice_at(queue, i);
    mem_free(queue->slices);
    queue->slices = slices;
    queue->cap = cap;
    queue->head = 0;
}

/* Copies slice behind the last one, where nobody else has an eye on that chunk and it has room. */
static bool copy_behind(struct slice *last, const struct slice *slice)
{
    struct chunk *chunk = last->chunk;
    if (!chunk || chunk->refs > 1 || last->data + last->len != chunk->data + chunk->len ||
        chunk->cap - chunk->len < slice->len)
        return false;
    memcpy(chunk->data + chunk->len, slice->data, slice->len);
    chunk->len += (uint32_t)slice->len;
    last->len += slice->len;
    return true;
}

/* Where much waits, small pieces are put together. Each would keep the whole chunk that it lies in,
 * among bytes of others: a peer that takes nothing while the other side sends a little at a time
 * would cost many times the memory that `bytes` counts. Returns whether slice was taken. */
static bool gather(struct slice_queue *queue, struct slice *slice)
{
    if (queue->count < SLICES_BEFORE_GATHERING || slice->len > GATHERED_BYTES_MAX)
        return false;
    struct slice *last = slice_at(queue, queue->count - 1);
    if (copy_behind(last, slice)) {
        chunk_unref(slice->chunk);
        return true;
    }
    if (slice->chunk) {
        struct slice copy = {.chunk = chunk_new(slice->chunk->pool, slice->len), .len = slice->len};
        copy.data = memcpy(copy.chunk->data, slice->data, slice->len);
        copy.chunk->len = (uint32_t)slice->len;
        chunk_unref(slice->chunk);
        *slice = copy;
    }
    return false;
}

void slice_queue_append(struct slice_queue *queue, struct slice slice)
{
    if (!slice.len) {
        chunk_unref(slice.chunk);
        return;
    }
    queue->bytes += slice.len;
    struct slice *last = queue->count ? slice_at(queue, queue->count - 1) : NULL;
    if (last && last->chunk == slice.chunk && last->data + last->len == slice.data) {
        last->len += slice.len;
        chunk_unref(slice.chunk); /* the neighbour holds one already */
        return;
    }
    if (gather(queue, &slice))
        return;
    if (queue->count == queue->cap)
        grow(queue);
    *slice_at(queue, queue->count++) = slice;
}

void slice_queue_move(struct slice_queue *queue, struct slice_queue *from)
{
    for (; from->count; from->count--) {
        slice_queue_append(queue, *slice_at(from, 0));
        from->head = (from->head + 1) & (from->cap - 1);
    }
    from->bytes = 0;
}

int slice_queue_iovec(const struct slice_queue *queue, struct iovec *iovec, int max)
{
    int count = 0;
    for (; count < max && (uint32_t)count < queue->count; count++) {
        const struct slice *slice = slice_at(queue, (uint32_t)count);
        iovec[count] = (struct iovec){.iov_base = (void *)slice->data, .iov_len = slice->len};
    }
    return count;
}

void slice_queue_drop(struct slice_queue *queue, size_t len)
{
    ASSERT(len <= queue->bytes);
    queue->bytes -= len;
    while (len) {
        struct slice *first = slice_at(queue, 0);
        if (first->len > len) {
            first->data += len;
            first->len -= len;
            return;
        }
        len -= first->len;
        chunk_unref(first->chunk);
        queue->head = (queue->head + 1) & (queue->cap - 1);
        queue->count--;
    }
}
