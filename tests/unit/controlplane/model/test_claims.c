/* Who has an API key that several consumers claim. */
#include "tests/support/test.h"

#include "controlplane/model/store.h"
#include "controlplane/policy/policy.h"

#include <stdio.h>

enum { CONSUMERS = 7, KEYS = 6 };

/* Puts consumer "<name>" with the keys that are listed, one character each. */
static void put(struct model_store *store, const char *name, const char *keys, int64_t revision)
{
    char key[64], value[512] = "{\"api_keys\":[";
    size_t len = strlen(value);
    snprintf(key, sizeof key, "consumers/%s", name);
    for (const char *c = keys; *c; c++)
        len += (size_t)snprintf(value + len, sizeof value - len, "%s{\"key\":\"%c\"}",
                                c == keys ? "" : ",", *c);
    snprintf(value + len, sizeof value - len, "]}");
    struct model_change change = {
        .key = str_from(key), .value = str_from(value), .revision = revision};
    model_store_apply(store, &change, 1, false);
}

static void delete (struct model_store *store, const char *name)
{
    char key[64];
    snprintf(key, sizeof key, "consumers/%s", name);
    struct model_change change = {.key = str_from(key), .is_deleted = true};
    model_store_apply(store, &change, 1, false);
}

static void on_verdict(const struct model_verdict *verdict, void *arg)
{
    (void)verdict, (void)arg;
}

static struct model *build(struct model_store *store)
{
    struct model *model = model_store_build(store, 1);
    model_store_take_verdicts(store, on_verdict, NULL);
    return model;
}

/* The keys in use of a consumer, "" for none, "-" where it is not in use. */
static const char *keys_of(const struct model *model, const char *name, char text[KEYS + 1])
{
    const struct model_object *object = model_find(model, MODEL_CONSUMER, str_from(name));
    if (!object)
        return "-";
    size_t count = object->consumer->n_api_keys;
    for (size_t i = 0; i < count; i++)
        text[i] = object->consumer->api_keys[i]->key[0];
    text[count] = '\0';
    return text;
}

static void expect(struct model_store *store, const char *a, const char *b, const char *c)
{
    char text[KEYS + 1];
    struct model *model = build(store);
    ck_assert_str_eq(keys_of(model, "a", text), a);
    ck_assert_str_eq(keys_of(model, "b", text), b);
    ck_assert_str_eq(keys_of(model, "c", text), c);
    model_free(model);
}

START_TEST(a_rewritten_consumer_keeps_its_key_from_one_that_was_refused_before)
{
    struct model_store *store = model_store_new(policy_check);
    put(store, "a", "1", 1);
    expect(store, "1", "-", "-");
    put(store, "b", "1", 2);
    expect(store, "1", "-", "-");
    put(store, "a", "12", 3);
    expect(store, "12", "-", "-");
    put(store, "a", "2", 4);
    expect(store, "2", "1", "-");
    model_store_free(store);
}
END_TEST

START_TEST(a_refused_version_does_not_cost_the_last_good_one_its_keys)
{
    struct model_store *store = model_store_new(policy_check);
    put(store, "a", "1", 1);
    put(store, "c", "3", 1);
    expect(store, "1", "-", "3");
    put(store, "b", "1", 2); /* would have it if a could go on to 2 */
    put(store, "a", "23", 3);
    expect(store, "1", "-", "3");
    delete (store, "c");
    expect(store, "23", "1", "-");
    model_store_free(store);
}
END_TEST

START_TEST(two_consumers_can_swap_their_keys)
{
    struct model_store *store = model_store_new(policy_check);
    put(store, "a", "1", 1);
    put(store, "b", "2", 1);
    expect(store, "1", "2", "-");
    put(store, "a", "2", 2);
    expect(store, "1", "2", "-"); /* until b lets go of it */
    put(store, "b", "1", 3);
    expect(store, "2", "1", "-");
    model_store_free(store);
}
END_TEST

START_TEST(a_version_put_again_is_as_old_as_the_last_put)
{
    struct model_store *store = model_store_new(policy_check);
    put(store, "a", "1", 1);
    put(store, "b", "1", 2);
    put(store, "c", "1", 3);
    expect(store, "1", "-", "-");
    put(store, "b", "1", 4);
    delete (store, "a");
    expect(store, "-", "-", "1");
    model_store_free(store);
}
END_TEST

/* --- whatever happens ------------------------------------------------------------------------- */

struct world {
    struct model_store *store;
    char newest[CONSUMERS][KEYS + 1]; /* "-": not there */
    char in_use[CONSUMERS][KEYS + 1];
    unsigned seed;
    int64_t revision;
};

static unsigned draw(struct world *world, unsigned below)
{
    world->seed = world->seed * 1103515245 + 12345;
    return (world->seed >> 16) % below;
}

static void change_something(struct world *world)
{
    unsigned who = draw(world, CONSUMERS);
    char name[2] = {(char)('a' + who), '\0'}, *newest = world->newest[who];
    if (draw(world, 5) == 0) {
        delete (world->store, name);
        snprintf(newest, KEYS + 1, "-");
        snprintf(world->in_use[who], KEYS + 1, "-");
        return;
    }
    size_t len = 0;
    for (unsigned key = 0; key < KEYS; key++)
        if (draw(world, 3) == 0)
            newest[len++] = (char)('0' + key);
    newest[len] = '\0';
    put(world->store, name, newest, ++world->revision);
}

static void check(struct world *world)
{
    char text[KEYS + 1], owner_of['0' + KEYS] = {0};
    struct model *model = build(world->store);
    for (unsigned i = 0; i < CONSUMERS; i++) {
        char name[2] = {(char)('a' + i), '\0'};
        const char *keys = keys_of(model, name, text), *was = world->in_use[i];
        bool is_there = strcmp(world->newest[i], "-") != 0;
        ck_assert(is_there || strcmp(keys, "-") == 0);
        /* Nobody who is there goes out of use, or loses a key that it goes on to want. */
        ck_assert(!is_there || strcmp(was, "-") == 0 || strcmp(keys, "-") != 0);
        for (const char *c = was; is_there && *c && *c != '-'; c++)
            ck_assert(!strchr(world->newest[i], *c) || strchr(keys, *c));
        for (const char *c = keys; *c && *c != '-'; c++) {
            ck_assert_msg(!owner_of[(unsigned)*c], "two have key %c", *c);
            owner_of[(unsigned)*c] = 1;
        }
        memmove(world->in_use[i], keys, strlen(keys) + 1);
    }
    model_free(model);
}

START_TEST(whatever_happens_no_key_has_two_owners_and_no_live_owner_loses_one)
{
    for (unsigned round = 0; round < 300; round++) {
        struct world world = {.store = model_store_new(policy_check), .seed = round};
        for (unsigned i = 0; i < CONSUMERS; i++)
            world.newest[i][0] = world.in_use[i][0] = '-';
        for (unsigned step = 0; step < 60; step++) {
            for (unsigned i = draw(&world, 4); i > 0; i--)
                change_something(&world);
            check(&world);
        }
        model_store_free(world.store);
    }
}
END_TEST

TEST_MAIN("claims", a_rewritten_consumer_keeps_its_key_from_one_that_was_refused_before,
          a_refused_version_does_not_cost_the_last_good_one_its_keys,
          two_consumers_can_swap_their_keys, a_version_put_again_is_as_old_as_the_last_put,
          whatever_happens_no_key_has_two_owners_and_no_live_owner_loses_one)
