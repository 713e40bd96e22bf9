#include "dataplane/config/shared_state.h"

#include "tests/support/test.h"

struct counter {
    int start;
    int *ends;
};

static void counter_init(void *object, const void *arg)
{
    struct counter *counter = object;
    *counter = *(const struct counter *)arg;
}

static void counter_done(void *object)
{
    const struct counter *counter = object;
    ++*counter->ends;
}

static void count_visits(struct str key, void *object, void *arg)
{
    (void)key, (void)object;
    ++*(int *)arg;
}

START_TEST(an_object_is_found_again_by_its_key_as_long_as_somebody_holds_it)
{
    int ends = 0;
    struct counter first = {.start = 1, .ends = &ends}, second = {.start = 2, .ends = &ends};
    struct shared_registry *registry = shared_registry_new();
    struct shared_state *state =
        shared_state_get(registry, STR("k/a"), sizeof first, counter_init, &first, counter_done);
    struct shared_state *again =
        shared_state_get(registry, STR("k/a"), sizeof first, counter_init, &second, counter_done);
    ck_assert_ptr_eq(state, again);
    ck_assert_int_eq(((struct counter *)shared_state_object(state))->start, 1);
    shared_state_unref(state);
    ck_assert_int_eq(ends, 0);
    shared_state_unref(again);
    ck_assert_int_eq(ends, 1);
    state =
        shared_state_get(registry, STR("k/a"), sizeof first, counter_init, &second, counter_done);
    ck_assert_int_eq(((struct counter *)shared_state_object(state))->start, 2);
    shared_state_unref(state);
    shared_state_unref(NULL);
    shared_registry_free(registry);
}
END_TEST

START_TEST(objects_have_cache_lines_of_their_own)
{
    struct shared_registry *registry = shared_registry_new();
    struct shared_state *states[4];
    static const char *const keys[] = {"a", "b", "c", "d"};
    for (int i = 0; i < 4; i++) {
        states[i] = shared_state_get(registry, str_from(keys[i]), 3, NULL, NULL, NULL);
        ck_assert_uint_eq((uintptr_t)shared_state_object(states[i]) % 64, 0);
    }
    for (int i = 0; i < 4; i++)
        shared_state_unref(states[i]);
    shared_registry_free(registry);
}
END_TEST

START_TEST(a_visit_sees_the_keys_with_a_prefix)
{
    struct shared_registry *registry = shared_registry_new();
    struct shared_state *a = shared_state_get(registry, STR("http/a"), 1, NULL, NULL, NULL);
    struct shared_state *b = shared_state_get(registry, STR("http/b"), 1, NULL, NULL, NULL);
    struct shared_state *c = shared_state_get(registry, STR("cluster/a"), 1, NULL, NULL, NULL);
    int visits = 0;
    shared_registry_visit(registry, STR("http/"), count_visits, &visits);
    ck_assert_int_eq(visits, 2);
    shared_state_unref(a);
    shared_state_unref(b);
    shared_state_unref(c);
    shared_registry_free(registry);
}
END_TEST

TEST_MAIN("shared_state", an_object_is_found_again_by_its_key_as_long_as_somebody_holds_it,
          objects_have_cache_lines_of_their_own, a_visit_sees_the_keys_with_a_prefix)
