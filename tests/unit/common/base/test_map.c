/* The map against the obvious model: a value per possible key. */
#include "common/base/map.h"

#include "common/base/vec.h"
#include "tests/support/test.h"

#include <stdio.h>

enum { KEYS = 300 };

static char keys[KEYS][16];
static int values[1000];

static struct str key_at(size_t i)
{
    return str_from(keys[i]);
}

static void expect_same(const struct map *map, void *const *model)
{
    size_t len = 0, walked = 0;
    for (size_t i = 0; i < KEYS; i++) {
        ck_assert_ptr_eq(map_find(map, key_at(i)), model[i]);
        len += model[i] != NULL;
    }
    ck_assert_uint_eq(map->len, len);
    MAP_FOR_EACH(entry, map) {
        ck_assert_ptr_eq(map_find(map, entry->key), entry->value);
        walked++;
    }
    ck_assert_uint_eq(walked, len);
}

START_TEST(a_map_behaves_like_an_array_of_values)
{
    struct map map = {0};
    void *model[KEYS] = {0};
    srandom(4);
    for (int i = 0; i < KEYS; i++)
        snprintf(keys[i], sizeof keys[i], "k%d", i);
    for (int step = 0; step < 20000; step++) {
        size_t key = (size_t)random() % KEYS;
        /* Mostly puts for a while, then mostly removals. */
        if (random() % 4 < (step / 2000 % 2 ? 3 : 1)) {
            ck_assert_ptr_eq(map_remove(&map, key_at(key)), model[key]);
            model[key] = NULL;
        } else {
            void *value = &values[random() % 1000];
            ck_assert_ptr_eq(map_put(&map, key_at(key), value), model[key]);
            model[key] = value;
        }
        if (step % 100 == 0)
            expect_same(&map, model);
    }
    expect_same(&map, model);
    map_done(&map);
}
END_TEST

START_TEST(an_empty_map_has_nothing)
{
    struct map map = {0};
    ck_assert_ptr_null(map_find(&map, STR("a")));
    ck_assert_ptr_null(map_remove(&map, STR("a")));
    MAP_FOR_EACH(entry, &map)
        ck_abort();
    map_done(&map);
}
END_TEST

START_TEST(an_empty_string_is_a_key_and_keys_are_bytes)
{
    struct map map = {0};
    map_put(&map, STR(""), &values[0]);
    map_put(&map, (struct str){"a\0b", 3}, &values[1]);
    ck_assert_ptr_eq(map_find(&map, STR("")), &values[0]);
    ck_assert_ptr_eq(map_find(&map, (struct str){"a\0b", 3}), &values[1]);
    ck_assert_ptr_null(map_find(&map, STR("a")));
    map_done(&map);
}
END_TEST

START_TEST(a_vec_keeps_what_was_appended)
{
    struct vec vec = {0};
    for (size_t i = 0; i < 1000; i++)
        vec_append(&vec, &values[i]);
    ck_assert_uint_eq(vec.len, 1000);
    for (size_t i = 0; i < 1000; i++)
        ck_assert_ptr_eq(vec.items[i], &values[i]);
    vec_done(&vec);
    ck_assert_uint_eq(vec.len, 0);
}
END_TEST

TEST_MAIN("map", a_map_behaves_like_an_array_of_values, an_empty_map_has_nothing,
          an_empty_string_is_a_key_and_keys_are_bytes, a_vec_keeps_what_was_appended)
