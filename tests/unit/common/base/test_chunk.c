/* Chunks and the queue of slices, the queue against a plain buffer of bytes. */
#include "common/base/chunk.h"

#include "tests/support/test.h"

START_TEST(a_chunk_goes_back_with_its_last_reference)
{
    struct chunk_pool pool;
    chunk_pool_init(&pool, 1);
    struct chunk *a = chunk_new(&pool, 10), *b = chunk_new(&pool, CHUNK_BYTES);
    struct chunk *large = chunk_new(&pool, CHUNK_BYTES + 1);
    ck_assert_uint_eq(a->cap, CHUNK_BYTES);
    ck_assert_uint_eq(large->cap, CHUNK_BYTES + 1);
    ck_assert_uint_eq(pool.live_count, 3);
    ck_assert_ptr_eq(chunk_ref(a), a);
    chunk_unref(a);
    ck_assert_uint_eq(pool.live_count, 3);
    chunk_unref(a);
    chunk_unref(b);
    chunk_unref(large);
    chunk_unref(NULL);
    ck_assert_uint_eq(pool.live_count, 0);
    ck_assert_uint_eq(pool.idle_count, 1); /* idle_max; the large one is never kept */
    ck_assert_ptr_eq(chunk_new(&pool, 1), a);
    ck_assert_uint_eq(a->len, 0);
    chunk_unref(a);
    chunk_pool_done(&pool);
}
END_TEST

enum { MODEL_MAX = 1 << 20 };
static char model[MODEL_MAX];

/* The queue's bytes must be those of the model from `from` to `to`. */
static void expect_same(const struct slice_queue *queue, size_t from, size_t to)
{
    static struct iovec vectors[4096];
    int count = slice_queue_iovec(queue, vectors, 4096);
    ck_assert_uint_eq(queue->bytes, to - from);
    for (int i = 0; i < count; i++) {
        ck_assert_int_eq(memcmp(vectors[i].iov_base, model + from, vectors[i].iov_len), 0);
        from += vectors[i].iov_len;
    }
    ck_assert_uint_eq(from, to);
}

/* A slice of the next len bytes of the model: in the chunk that is being filled, or static. */
static struct slice next_slice(struct chunk_pool *pool, struct chunk **current, size_t to,
                               size_t len)
{
    if (random() % 4 == 0)
        return (struct slice){.data = model + to, .len = len};
    if (!*current || (*current)->cap - (*current)->len < len || random() % 8 == 0) {
        chunk_unref(*current);
        *current = chunk_new(pool, len);
    }
    struct chunk *chunk = *current;
    char *data = chunk->data + chunk->len;
    memcpy(data, model + to, len);
    chunk->len += (uint32_t)len;
    return (struct slice){.chunk = chunk_ref(chunk), .data = data, .len = len};
}

START_TEST(a_queue_gives_back_the_bytes_put_in)
{
    struct chunk_pool pool;
    struct slice_queue queue = {0};
    struct chunk *current = NULL;
    size_t from = 0, to = 0;
    chunk_pool_init(&pool, 4);
    srandom(9);
    for (size_t i = 0; i < MODEL_MAX; i++)
        model[i] = (char)random();
    while (to < MODEL_MAX - 2000) {
        if (random() % 2) {
            size_t len = (size_t)random() % 2000;
            slice_queue_append(&queue, next_slice(&pool, &current, to, len));
            to += len;
        } else {
            size_t len = (size_t)random() % (to - from + 1);
            slice_queue_drop(&queue, random() % 4 ? len / 2 : to - from);
            from = to - queue.bytes;
        }
        expect_same(&queue, from, to);
    }
    slice_queue_done(&queue);
    chunk_unref(current);
    ck_assert_uint_eq(pool.live_count, 0);
    chunk_pool_done(&pool);
}
END_TEST

START_TEST(neighbours_in_a_chunk_become_one_slice)
{
    struct chunk_pool pool;
    struct slice_queue queue = {0};
    chunk_pool_init(&pool, 0);
    struct chunk *chunk = chunk_new(&pool, 100);
    for (size_t i = 0; i < 10; i++)
        slice_queue_append(&queue, (struct slice){chunk_ref(chunk), chunk->data + i * 10, 10});
    ck_assert_uint_eq(queue.count, 1);
    ck_assert_uint_eq(chunk->refs, 2);
    slice_queue_append(&queue, (struct slice){chunk_ref(chunk), chunk->data, 0}); /* dropped */
    ck_assert_uint_eq(queue.count, 1);
    ck_assert_uint_eq(chunk->refs, 2);
    chunk_unref(chunk);
    slice_queue_drop(&queue, 100);
    ck_assert_uint_eq(pool.live_count, 0);
    slice_queue_done(&queue);
    chunk_pool_done(&pool);
}
END_TEST

START_TEST(moving_a_queue_empties_it)
{
    struct slice_queue a = {0}, b = {0};
    for (size_t i = 0; i < 20; i++) {
        model[2 * i] = (char)('a' + i); /* every second byte: slices that are no neighbours */
        slice_queue_append(i < 5 ? &a : &b, (struct slice){NULL, &model[2 * i], 1});
    }
    slice_queue_move(&a, &b);
    ck_assert_uint_eq(a.bytes, 20);
    ck_assert_uint_eq(b.bytes, 0);
    ck_assert_uint_eq(b.count, 0);
    struct iovec vectors[32];
    ck_assert_int_eq(slice_queue_iovec(&a, vectors, 7), 7);
    ck_assert_int_eq(slice_queue_iovec(&a, vectors, 32), 20);
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(*(char *)vectors[i].iov_base, 'a' + i);
    slice_queue_done(&a);
    slice_queue_done(&b);
}
END_TEST

/* Each piece comes in a chunk of its own, as where other connections fill the rest of it. */
START_TEST(small_pieces_that_wait_keep_few_chunks)
{
    static const size_t lens[] = {1, 100, 5000, 8192};
    for (size_t i = 0; i < MODEL_MAX; i++)
        model[i] = (char)(i * 31 >> 3);
    for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
        struct chunk_pool pool;
        struct slice_queue queue = {0};
        chunk_pool_init(&pool, 4);
        size_t to = 0;
        for (; to + lens[i] + 2 < MODEL_MAX && to < 1000 * lens[i];) {
            struct chunk *chunk = chunk_new(&pool, CHUNK_BYTES);
            memcpy(chunk->data + 7, model + to, lens[i]);
            chunk->len = 7 + (uint32_t)lens[i];
            slice_queue_append(
                &queue, (struct slice){.chunk = chunk, .data = chunk->data + 7, .len = lens[i]});
            slice_queue_append(&queue, (struct slice){.data = model + to + lens[i], .len = 2});
            to += lens[i] + 2;
        }
        ck_assert_uint_le(pool.live_count, 16 + 2 * (to / CHUNK_BYTES + 1));
        ck_assert_uint_le(queue.count, 32 + 4 * (to / CHUNK_BYTES + 1));
        size_t from = to / 3;
        slice_queue_drop(&queue, from);
        expect_same(&queue, from, to);
        slice_queue_done(&queue);
        chunk_pool_done(&pool);
    }
}
END_TEST

TEST_MAIN("chunk", a_chunk_goes_back_with_its_last_reference, a_queue_gives_back_the_bytes_put_in,
          neighbours_in_a_chunk_become_one_slice, moving_a_queue_empties_it,
          small_pieces_that_wait_keep_few_chunks)
