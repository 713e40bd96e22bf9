/* The wheel against the obvious model: an unsorted array of expiry times. */
#include "common/io/timer_wheel.h"

#include "tests/support/test.h"

enum { ENTRIES = 200 };

struct model {
    struct timer_wheel_entry entry;
    uint64_t expires_ms; /* 0: does not run */
};

static void expect_same_expiries(struct timer_wheel *wheel, struct model *models, uint64_t now)
{
    struct list expired;
    list_init(&expired);
    timer_wheel_advance(wheel, now, &expired);
    while (!list_is_empty(&expired)) {
        struct timer_wheel_entry *entry = LIST_ENTRY(expired.next, struct timer_wheel_entry, link);
        list_remove(&entry->link);
        struct model *model = CONTAINER_OF(entry, struct model, entry);
        ck_assert_uint_ne(model->expires_ms, 0);
        ck_assert_uint_le(model->expires_ms, now);
        ck_assert(!entry->is_running);
        model->expires_ms = 0;
    }
    for (int i = 0; i < ENTRIES; i++)
        ck_assert(models[i].expires_ms == 0 || models[i].expires_ms > now);
}

static void run_against_model(unsigned seed, uint64_t now)
{
    struct timer_wheel wheel;
    static struct model models[ENTRIES];
    timer_wheel_init(&wheel, now);
    srandom(seed);
    for (int i = 0; i < ENTRIES; i++) {
        models[i] = (struct model){0};
        list_init(&models[i].entry.link);
    }
    for (int step = 0; step < 2000; step++) {
        struct model *model = &models[random() % ENTRIES];
        if (random() % 4 == 0) {
            timer_wheel_stop(&wheel, &model->entry);
            model->expires_ms = 0;
        } else {
            uint64_t delay = (uint64_t)random() >> (random() % 31);
            timer_wheel_start(&wheel, &model->entry, now + delay);
            model->expires_ms = delay ? now + delay : now + 1;
        }
        ck_assert_uint_gt(timer_wheel_next_ms(&wheel), now);
        now += (uint64_t)random() >> (12 + random() % 19);
        expect_same_expiries(&wheel, models, now);
    }
}

START_TEST(entries_expire_when_their_time_has_come_and_not_before)
{
    for (unsigned seed = 1; seed <= 20; seed++)
        run_against_model(seed, seed * 12345678901u);
}
END_TEST

START_TEST(the_next_time_is_exact_for_near_entries)
{
    struct timer_wheel wheel;
    struct timer_wheel_entry entry = {0};
    list_init(&entry.link);
    timer_wheel_init(&wheel, 1000);
    ck_assert_uint_eq(timer_wheel_next_ms(&wheel), UINT64_MAX);
    timer_wheel_start(&wheel, &entry, 1007);
    ck_assert_uint_eq(timer_wheel_next_ms(&wheel), 1007);
    timer_wheel_stop(&wheel, &entry);
    timer_wheel_stop(&wheel, &entry);
    ck_assert_uint_eq(timer_wheel_next_ms(&wheel), UINT64_MAX);
}
END_TEST

TEST_MAIN("timer_wheel", entries_expire_when_their_time_has_come_and_not_before,
          the_next_time_is_exact_for_near_entries)
