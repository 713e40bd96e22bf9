/* What every unit test includes: Check, and TEST_MAIN, which makes one file one binary.
 *
 *     START_TEST(an_empty_list_is_empty) { … } END_TEST
 *     TEST_MAIN("list", an_empty_list_is_empty, …)
 */
#ifndef TESTS_SUPPORT_TEST_H
#define TESTS_SUPPORT_TEST_H

#include "tests/support/threads.h"

#include <check.h>
#include <stdlib.h>

/* Check notes each assertion that holds by writing to a pipe, to name the last one before a crash.
 * A sanitizer's stack names the crash itself, and tests that assert by the million are many times
 * faster without. */
#define _mark_point(file, line) ((void)0)

#define ck_assert_str_eq_len(s, expected)                                                          \
    do {                                                                                           \
        ck_assert_uint_eq((s).len, strlen(expected));                                              \
        ck_assert_int_eq(memcmp((s).data, (expected), (s).len), 0);                                \
    } while (0)

/* A test that hangs is ended; nothing else may depend on how fast a machine is. */
enum { TEST_TIMEOUT_S = 240 };

/* A leak check follows. (Under TSan there is none, and a thread that never ends.) */
static inline void test_end(void)
{
#ifndef WEIR_TSAN
    threads_wait_until_alone();
#endif
}

#define TEST_MAIN(name, ...)                                                                       \
    int main(void)                                                                                 \
    {                                                                                              \
        const TTest *const tests[] = {__VA_ARGS__};                                                \
        Suite *suite = suite_create(name);                                                         \
        TCase *tcase = tcase_create(name);                                                         \
        tcase_set_timeout(tcase, TEST_TIMEOUT_S);                                                  \
        tcase_add_checked_fixture(tcase, NULL, test_end);                                          \
        for (size_t i = 0; i < sizeof tests / sizeof *tests; i++)                                  \
            tcase_add_test(tcase, tests[i]);                                                       \
        suite_add_tcase(suite, tcase);                                                             \
        SRunner *runner = srunner_create(suite);                                                   \
        srunner_run_all(runner, CK_ENV);                                                           \
        int failed = srunner_ntests_failed(runner);                                                \
        srunner_free(runner);                                                                      \
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;                                               \
    }

#endif
