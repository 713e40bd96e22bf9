#include "dataplane/config/name_slots.h"

#include "tests/support/test.h"

#include <stdio.h>

START_TEST(equal_names_share_a_number)
{
    struct name_slots *slots = name_slots_new();
    uint32_t users = name_slots_acquire(slots, STR("users"));
    ck_assert_uint_eq(name_slots_acquire(slots, STR("users")), users);
    ck_assert_uint_ne(name_slots_acquire(slots, STR("orders")), users);
    ck_assert_uint_eq(name_slots_find(slots, STR("users")), users);
    ck_assert_uint_eq(name_slots_find(slots, STR("nobody")), NAME_SLOT_NONE);
    ck_assert_uint_eq(name_slots_count(slots), 2);
    name_slots_free(slots);
}
END_TEST

START_TEST(a_number_is_used_again_once_nobody_holds_it)
{
    struct name_slots *slots = name_slots_new();
    uint32_t first = name_slots_acquire(slots, STR("a"));
    name_slots_acquire(slots, STR("a"));
    name_slots_release(slots, first);
    ck_assert_uint_eq(name_slots_find(slots, STR("a")), first);
    name_slots_release(slots, first);
    ck_assert_uint_eq(name_slots_find(slots, STR("a")), NAME_SLOT_NONE);
    ck_assert_uint_eq(name_slots_acquire(slots, STR("b")), first);
    name_slots_release(slots, NAME_SLOT_NONE);
    name_slots_free(slots);
}
END_TEST

START_TEST(many_names_keep_their_numbers)
{
    enum { NAMES = 1000 };
    struct name_slots *slots = name_slots_new();
    char name[32];
    for (unsigned i = 0; i < NAMES; i++) {
        snprintf(name, sizeof name, "cluster-%u", i);
        ck_assert_uint_eq(name_slots_acquire(slots, str_from(name)), i);
    }
    for (unsigned i = 0; i < NAMES; i += 2)
        name_slots_release(slots, i);
    for (unsigned i = 1; i < NAMES; i += 2) {
        snprintf(name, sizeof name, "cluster-%u", i);
        ck_assert_uint_eq(name_slots_find(slots, str_from(name)), i);
    }
    ck_assert_uint_eq(name_slots_count(slots), NAMES);
    name_slots_free(slots);
}
END_TEST

TEST_MAIN("name_slots", equal_names_share_a_number, a_number_is_used_again_once_nobody_holds_it,
          many_names_keep_their_numbers)
