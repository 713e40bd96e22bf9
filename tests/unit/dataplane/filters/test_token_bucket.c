#include "common/base/hash.h"
#include "dataplane/filters/keyed_buckets.h"
#include "dataplane/filters/token_bucket.h"
#include "tests/support/fake_stream.h"
#include "tests/support/test.h"

#include <pthread.h>

static const uint64_t second = 1000000000, day = 86400ull * 1000000000;

START_TEST(a_new_bucket_is_full_and_refills_continuously)
{
    struct token_rate rate = token_rate_of(3, 3, 60 * second);
    uint64_t bucket = 0;
    ck_assert_uint_eq(token_bucket_tokens(&bucket, &rate, day), 3);
    ck_assert_uint_eq(token_bucket_reset_s(&bucket, &rate, day), 0);
    for (int i = 0; i < 3; i++)
        ck_assert(token_bucket_take(&bucket, &rate, day, 1));
    ck_assert(!token_bucket_take(&bucket, &rate, day, 1));
    ck_assert_uint_eq(token_bucket_tokens(&bucket, &rate, day), 0);
    ck_assert_uint_eq(token_bucket_reset_s(&bucket, &rate, day), 20);
    ck_assert(!token_bucket_take(&bucket, &rate, day + 20 * second - 1, 1));
    ck_assert_uint_eq(token_bucket_reset_s(&bucket, &rate, day + 19 * second), 1);
    ck_assert(token_bucket_take(&bucket, &rate, day + 20 * second, 1));
    ck_assert_uint_eq(token_bucket_tokens(&bucket, &rate, day + 100 * second), 3);
}
END_TEST

START_TEST(several_tokens_are_taken_together_or_not_at_all)
{
    struct token_rate rate = token_rate_of(10, 1, second);
    uint64_t bucket = 0;
    ck_assert(!token_bucket_take(&bucket, &rate, day, 11));
    ck_assert(token_bucket_take(&bucket, &rate, day, 6));
    ck_assert(!token_bucket_take(&bucket, &rate, day, 5));
    ck_assert(token_bucket_take(&bucket, &rate, day, 4));
    ck_assert(token_bucket_take(&bucket, &rate, day, 0));
    ck_assert(!token_bucket_take(&bucket, &rate, day, UINT64_MAX));
}
END_TEST

START_TEST(extreme_rates_neither_overflow_nor_stick)
{
    struct token_rate slow = token_rate_of(UINT32_MAX, 1, 366 * day);
    uint64_t bucket = 0;
    ck_assert(token_bucket_take(&bucket, &slow, day, 1));
    ck_assert_uint_gt(token_bucket_tokens(&bucket, &slow, day), 0);
    struct token_rate fast = token_rate_of(UINT32_MAX, UINT32_MAX, second / 20);
    bucket = 0;
    for (int i = 0; i < 1000; i++)
        ck_assert(token_bucket_take(&bucket, &fast, day, 1));
    ck_assert_uint_eq(token_bucket_tokens(&bucket, &fast, day + second), UINT32_MAX);
}
END_TEST

/* Whatever the steps of time, no window lets more through than bucket and rate together. */
START_TEST(the_rate_is_never_exceeded)
{
    srand(7);
    for (int round = 0; round < 50; round++) {
        uint64_t max = 1 + (uint64_t)rand() % 20, per_fill = 1 + (uint64_t)rand() % 7;
        uint64_t interval = (50 + (uint64_t)rand() % 5000) * 1000000;
        struct token_rate rate = token_rate_of(max, per_fill, interval);
        uint64_t bucket = 0, now = day, taken = 0;
        for (int i = 0; i < 5000; i++) {
            now += (uint64_t)rand() % (interval / 2);
            taken += token_bucket_take(&bucket, &rate, now, 1);
            ck_assert_uint_le((taken - max) * (taken > max), (now - day) * per_fill / interval);
        }
        ck_assert_uint_gt(taken, max);
    }
}
END_TEST

enum { THREADS = 8, TRIES = 20000 };

struct taker {
    uint64_t *bucket;
    struct keyed_buckets *keyed;
    struct token_rate rate;
    uint64_t taken;
};

static void *take_many(void *arg)
{
    struct taker *taker = arg;
    for (uint64_t i = 0; i < TRIES; i++)
        taker->taken += token_bucket_take(taker->bucket, &taker->rate, day + i, 1);
    return NULL;
}

START_TEST(threads_together_take_no_more_than_there_is)
{
    uint64_t bucket = 0, taken = 0;
    struct taker takers[THREADS];
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        takers[i] = (struct taker){.bucket = &bucket, .rate = token_rate_of(1000, 1, 60 * second)};
        pthread_create(&threads[i], NULL, take_many, &takers[i]);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        taken += takers[i].taken;
    }
    ck_assert_uint_eq(taken, 1000);
}
END_TEST

static uint64_t tag_of(uint64_t key)
{
    return hash_keyed((struct str){.data = (const char *)&key, .len = sizeof key});
}

static void *take_keyed(void *arg)
{
    struct taker *taker = arg;
    for (uint64_t i = 0; i < TRIES; i++) {
        uint64_t *bucket = keyed_bucket_find(taker->keyed, tag_of(i % 1000), UINT64_MAX);
        taker->taken += token_bucket_take(bucket, &taker->rate, day, 1);
    }
    return NULL;
}

START_TEST(threads_that_meet_new_keys_at_once_give_each_key_one_bucket)
{
    struct fake_load load;
    fake_load_init(&load);
    struct shared_state *state = keyed_buckets_get(load.load.shared);
    struct taker takers[THREADS];
    pthread_t threads[THREADS];
    uint64_t taken = 0;
    for (int i = 0; i < THREADS; i++) {
        takers[i] = (struct taker){.keyed = shared_state_object(state),
                                   .rate = token_rate_of(5, 1, 3600 * second)};
        pthread_create(&threads[i], NULL, take_keyed, &takers[i]);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        taken += takers[i].taken;
    }
    ck_assert_uint_eq(taken, 5 * 1000);
    shared_state_unref(state);
    fake_load_done(&load);
}
END_TEST

/* S55: a flood of keys must not give an offender a fresh bucket. */
START_TEST(a_flood_of_keys_does_not_forgive_an_offender)
{
    struct fake_load load;
    fake_load_init(&load);
    struct shared_state *state = keyed_buckets_get(load.load.shared);
    struct keyed_buckets *keyed = shared_state_object(state);
    struct token_rate rate = token_rate_of(10, 10, 3600 * second);
    uint64_t offender = tag_of(UINT64_MAX), empty = token_bucket_empty(&rate, day);
    while (token_bucket_take(keyed_bucket_find(keyed, offender, empty), &rate, day, 1))
        ;
    unsigned forgiven = 0, refused = 0;
    for (uint64_t i = 0; i < 4ull * KEYED_BUCKETS_MAX; i++) {
        refused += !token_bucket_take(keyed_bucket_find(keyed, tag_of(i), empty), &rate, day, 1);
        if (i % 4096 == 0)
            forgiven += token_bucket_take(keyed_bucket_find(keyed, offender, empty), &rate, day, 1);
    }
    ck_assert_uint_eq(forgiven, 0);
    /* Four times as many keys as buckets, all within the hour: some are refused for others. */
    ck_assert_uint_lt(refused, KEYED_BUCKETS_MAX);
    /* When all is full again, so is the offender's bucket, and a new key starts full. */
    uint64_t *bucket = keyed_bucket_find(keyed, tag_of(UINT64_MAX - 1), empty);
    ck_assert_uint_eq(token_bucket_tokens(bucket, &rate, day + 3600 * second), 10);
    shared_state_unref(state);
    fake_load_done(&load);
}
END_TEST

/* Tags of one group, as many as it has slots, and one more. */
START_TEST(a_limit_per_second_does_not_wait_for_what_a_limit_per_day_has_used_up)
{
    enum { GROUP_SLOTS = 8, GROUPS = KEYED_BUCKETS_MAX / GROUP_SLOTS };
    struct fake_load load;
    fake_load_init(&load);
    struct shared_state *state = keyed_buckets_get(load.load.shared);
    struct keyed_buckets *keyed = shared_state_object(state);
    struct token_rate per_day = token_rate_of(10, 10, day),
                      per_second = token_rate_of(10, 10, second);
    uint64_t empty_day = token_bucket_empty(&per_day, day), tag = GROUPS + 1;
    for (int i = 0; i < GROUP_SLOTS; i++, tag += GROUPS)
        while (token_bucket_take(keyed_bucket_find(keyed, tag, empty_day), &per_day, day, 1))
            ;
    uint64_t now = day;
    uint64_t *bucket = keyed_bucket_find(keyed, tag, token_bucket_empty(&per_second, now));
    ck_assert(!token_bucket_take(bucket, &per_second, now, 1));
    now += second / 10;
    bucket = keyed_bucket_find(keyed, tag, token_bucket_empty(&per_second, now));
    ck_assert(token_bucket_take(bucket, &per_second, now, 1));
    ck_assert(!token_bucket_take(bucket, &per_second, now, 1));
    shared_state_unref(state);
    fake_load_done(&load);
}
END_TEST

TEST_MAIN("token_bucket", a_new_bucket_is_full_and_refills_continuously,
          several_tokens_are_taken_together_or_not_at_all, extreme_rates_neither_overflow_nor_stick,
          the_rate_is_never_exceeded, threads_together_take_no_more_than_there_is,
          threads_that_meet_new_keys_at_once_give_each_key_one_bucket,
          a_flood_of_keys_does_not_forgive_an_offender,
          a_limit_per_second_does_not_wait_for_what_a_limit_per_day_has_used_up)
