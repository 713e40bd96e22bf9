#include "common/base/arena.h"

#include "tests/support/test.h"

START_TEST(allocations_are_aligned_and_do_not_overlap)
{
    struct arena arena;
    unsigned char *pieces[500];
    size_t sizes[500];
    arena_init(&arena, 100);
    srandom(1);
    for (size_t i = 0; i < 500; i++) {
        sizes[i] = (size_t)random() % (i % 10 ? 40 : 400);
        pieces[i] = arena_alloc(&arena, sizes[i]);
        ck_assert_ptr_nonnull(pieces[i]);
        ck_assert(sizes[i] == 0 || (uintptr_t)pieces[i] % 16 == 0);
        memset(pieces[i], (int)(i & 255), sizes[i]);
    }
    for (size_t i = 0; i < 500; i++)
        for (size_t j = 0; j < sizes[i]; j++)
            ck_assert_uint_eq(pieces[i][j], i & 255);
    arena_done(&arena);
}
END_TEST

START_TEST(nothing_is_allocated_before_it_is_needed)
{
    struct arena arena;
    arena_init(&arena, 1000);
    ck_assert_ptr_nonnull(arena_alloc(&arena, 0));
    ck_assert_ptr_nonnull(arena_alloc_zero(&arena, 0));
    ck_assert_uint_eq(arena_bytes(&arena), 0);
    arena_alloc(&arena, 1);
    ck_assert_uint_ge(arena_bytes(&arena), 1000);
    arena_done(&arena);
    ck_assert_uint_eq(arena_bytes(&arena), 0);
    ck_assert_ptr_nonnull(arena_alloc(&arena, 10)); /* usable again */
    arena_done(&arena);
}
END_TEST

START_TEST(a_reset_keeps_the_first_block_only)
{
    struct arena arena;
    arena_init(&arena, 256);
    arena_reset(&arena);
    char *first = arena_alloc(&arena, 256);
    for (int i = 0; i < 10; i++)
        arena_alloc(&arena, 200);
    arena_reset(&arena);
    ck_assert_uint_eq(arena_bytes(&arena), 256);
    ck_assert_ptr_eq(arena_alloc(&arena, 256), first);
    ck_assert_uint_eq(arena_bytes(&arena), 256);
    arena_done(&arena);
}
END_TEST

START_TEST(copies_have_a_nul_behind_them)
{
    struct arena arena;
    arena_init(&arena, 64);
    struct str copy = arena_copy_str(&arena, str_slice(STR("hello"), 1, 3));
    ck_assert_str_eq(copy.data, "el");
    ck_assert_uint_eq(copy.len, 2);
    ck_assert_str_eq(arena_copy_str(&arena, (struct str){0}).data, "");
    ck_assert_str_eq(arena_copy_string(&arena, "abc"), "abc");
    char *text = arena_printf(&arena, "%s-%0100d", "x", 5);
    ck_assert_uint_eq(strlen(text), 102);
    int *zeros = arena_alloc_array(&arena, 30, sizeof *zeros);
    for (int i = 0; i < 30; i++)
        ck_assert_int_eq(zeros[i], 0);
    arena_done(&arena);
}
END_TEST

START_TEST(a_number_is_written_in_decimal)
{
    struct arena arena;
    arena_init(&arena, 64);
    ck_assert_str_eq_len(arena_decimal(&arena, 0), "0");
    ck_assert_str_eq_len(arena_decimal(&arena, 1234567890), "1234567890");
    ck_assert_str_eq_len(arena_decimal(&arena, UINT64_MAX), "18446744073709551615");
    arena_done(&arena);
}
END_TEST

TEST_MAIN("arena", a_number_is_written_in_decimal, allocations_are_aligned_and_do_not_overlap,
          nothing_is_allocated_before_it_is_needed, a_reset_keeps_the_first_block_only,
          copies_have_a_nul_behind_them)
