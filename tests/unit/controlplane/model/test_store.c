#include "tests/support/test.h"

#include "common/base/mem.h"
#include "controlplane/model/store.h"
#include "controlplane/policy/policy.h"

#include <stdio.h>

static struct model_change put(const char *key, const char *value, int64_t revision)
{
    return (struct model_change){
        .key = str_from(key), .value = str_from(value), .revision = revision};
}

static void apply_put(struct model_store *store, const char *key, const char *value,
                      int64_t revision)
{
    struct model_change change = put(key, value, revision);
    model_store_apply(store, &change, 1, false);
}

static void apply_delete(struct model_store *store, const char *key)
{
    struct model_change change = {.key = str_from(key), .is_deleted = true};
    model_store_apply(store, &change, 1, false);
}

/* The last verdict told of a key. */
struct told {
    const char *key;
    unsigned count;
    bool is_accepted, is_deleted, is_using_last_good;
    char message[1024];
    char warning[1024];
    size_t warning_count;
    int64_t revision;
};

static void note(const struct model_verdict *verdict, void *arg)
{
    struct told *told = arg;
    if (!str_equal(verdict->key, str_from(told->key)))
        return;
    told->count++;
    told->is_accepted = verdict->is_accepted;
    told->is_deleted = verdict->is_deleted;
    told->is_using_last_good = verdict->is_using_last_good;
    told->warning_count = verdict->warning_count;
    told->revision = verdict->revision;
    snprintf(told->message, sizeof told->message, "%s", verdict->message);
    snprintf(told->warning, sizeof told->warning, "%s",
             verdict->warning_count ? verdict->warnings[0] : "");
}

static struct told take(struct model_store *store, const char *key)
{
    struct told told = {.key = key};
    model_free(model_store_build(store, 1));
    model_store_take_verdicts(store, note, &told);
    return told;
}

#define SERVICE "{\"endpoints\":[{\"address\":\"10.0.0.1:80\"}]}"
#define LIMIT "{\"requests\":1,\"per\":\"1s\"}"

START_TEST(a_valid_object_is_in_the_model_under_its_name)
{
    struct model_store *store = model_store_new(policy_check);
    apply_put(store, "services/users", SERVICE, 7);
    struct model *model = model_store_build(store, 9);
    const struct model_object *service = model_find(model, MODEL_SERVICE, STR("users"));
    ck_assert_ptr_nonnull(service);
    ck_assert_str_eq_len(service->key, "services/users");
    ck_assert_int_eq(service->revision, 7);
    ck_assert_int_eq(model->revision, 9);
    ck_assert_str_eq(service->service->endpoints[0]->address, "10.0.0.1:80");
    ck_assert_ptr_null(model_find(model, MODEL_SERVICE, STR("user")));
    ck_assert_ptr_null(model_find(model, MODEL_LIMIT, STR("users")));
    model_free(model);
    model_store_free(store);
}
END_TEST

START_TEST(a_bad_version_leaves_the_last_good_one_in_use_and_is_told)
{
    struct model_store *store = model_store_new(policy_check);
    apply_put(store, "limits/l", LIMIT, 1);
    model_free(model_store_build(store, 1));
    apply_put(store, "limits/l", "{\"requests\":0,\"per\":\"1s\"}", 2);
    struct told told = take(store, "limits/l");
    ck_assert(!told.is_accepted && told.is_using_last_good);
    ck_assert_int_eq(told.revision, 2);
    ck_assert_str_eq(told.message,
                     "limits/l: requests: 0 is out of range: must be 1 to 1000000000");
    struct model *model = model_store_build(store, 2);
    ck_assert_uint_eq(model_find(model, MODEL_LIMIT, STR("l"))->limit->requests, 1);
    model_free(model);
    model_store_free(store);
}
END_TEST

START_TEST(a_mended_object_is_accepted_again)
{
    struct model_store *store = model_store_new(policy_check);
    apply_put(store, "limits/l", "{}", 1);
    ck_assert(!take(store, "limits/l").is_accepted);
    apply_put(store, "limits/l", LIMIT, 2);
    struct told told = take(store, "limits/l");
    ck_assert(told.is_accepted && !told.is_using_last_good);
    ck_assert_str_eq(told.message, "");
    model_store_free(store);
}
END_TEST

START_TEST(deleting_a_key_whose_newest_version_is_bad_deletes_the_last_good_one)
{
    struct model_store *store = model_store_new(policy_check);
    apply_put(store, "limits/l", LIMIT, 1);
    apply_put(store, "limits/l", "x", 2);
    take(store, "limits/l");
    apply_delete(store, "limits/l");
    struct told told = take(store, "limits/l");
    ck_assert(told.is_deleted);
    struct model *model = model_store_build(store, 3);
    ck_assert_uint_eq(model->lists[MODEL_LIMIT]->len, 0);
    model_free(model);
    ck_assert_uint_eq(take(store, "limits/l").count, 0);
    model_store_free(store);
}
END_TEST

START_TEST(a_key_that_comes_back_before_its_deletion_was_told_is_alive)
{
    struct model_store *store = model_store_new(policy_check);
    apply_put(store, "limits/l", LIMIT, 1);
    take(store, "limits/l");
    apply_delete(store, "limits/l");
    apply_put(store, "limits/l", LIMIT, 3);
    struct told told = take(store, "limits/l");
    ck_assert(told.is_accepted && !told.is_deleted);
    struct model *model = model_store_build(store, 3);
    ck_assert_ptr_nonnull(model_find(model, MODEL_LIMIT, STR("l")));
    model_free(model);
    model_store_free(store);
}
END_TEST

START_TEST(a_verdict_is_told_once_until_it_changes)
{
    struct model_store *store = model_store_new(policy_check);
    apply_put(store, "limits/l", LIMIT, 1);
    ck_assert_uint_eq(take(store, "limits/l").count, 1);
    ck_assert_uint_eq(take(store, "limits/l").count, 0);
    apply_put(store, "limits/l", LIMIT, 1);
    ck_assert_uint_eq(take(store, "limits/l").count, 0);
    apply_put(store, "limits/l", LIMIT, 2);
    ck_assert_uint_eq(take(store, "limits/l").count, 1);
    model_store_free(store);
}
END_TEST

START_TEST(what_did_not_change_is_the_same_object_and_the_same_list)
{
    struct model_store *store = model_store_new(policy_check);
    apply_put(store, "limits/a", LIMIT, 1);
    apply_put(store, "limits/b", LIMIT, 1);
    apply_put(store, "services/s", SERVICE, 1);
    struct model *before = model_store_build(store, 1);
    apply_put(store, "limits/a", "{\"requests\":2,\"per\":\"1s\"}", 2);
    apply_put(store, "limits/b", LIMIT, 2);
    struct model *after = model_store_build(store, 2);
    ck_assert_ptr_eq(before->lists[MODEL_SERVICE], after->lists[MODEL_SERVICE]);
    ck_assert_ptr_ne(before->lists[MODEL_LIMIT], after->lists[MODEL_LIMIT]);
    ck_assert_ptr_eq(model_find(before, MODEL_LIMIT, STR("b")),
                     model_find(after, MODEL_LIMIT, STR("b")));
    ck_assert_uint_eq(model_find(before, MODEL_LIMIT, STR("a"))->limit->requests, 1);
    ck_assert_uint_eq(model_find(after, MODEL_LIMIT, STR("a"))->limit->requests, 2);
    model_free(before);
    model_free(after);
    model_store_free(store);
}
END_TEST

START_TEST(a_complete_list_deletes_what_is_not_in_it)
{
    struct model_store *store = model_store_new(policy_check);
    apply_put(store, "limits/a", LIMIT, 1);
    apply_put(store, "limits/b", LIMIT, 1);
    take(store, "");
    struct model_change all[] = {put("limits/b", LIMIT, 1), put("limits/c", LIMIT, 2)};
    model_store_apply(store, all, 2, true);
    struct told told = take(store, "limits/a");
    ck_assert(told.is_deleted);
    struct model *model = model_store_build(store, 2);
    ck_assert_uint_eq(model->lists[MODEL_LIMIT]->len, 2);
    model_free(model);
    model_store_free(store);
}
END_TEST

START_TEST(an_oversize_value_is_refused_and_the_old_one_stays)
{
    struct model_store *store = model_store_new(policy_check);
    apply_put(store, "limits/l", LIMIT, 1);
    struct model_change change = {.key = STR("limits/l"), .revision = 2, .is_oversize = true};
    model_store_apply(store, &change, 1, false);
    struct told told = take(store, "limits/l");
    ck_assert(!told.is_accepted && told.is_using_last_good);
    ck_assert_str_eq(told.message, "limits/l: the value has more than 262144 bytes");
    char *big = mem_alloc(MODEL_VALUE_BYTES_MAX + 1);
    memset(big, ' ', MODEL_VALUE_BYTES_MAX + 1);
    change = (struct model_change){.key = STR("limits/m"),
                                   .value = {.data = big, .len = MODEL_VALUE_BYTES_MAX + 1}};
    model_store_apply(store, &change, 1, false);
    ck_assert(!take(store, "limits/m").is_accepted);
    mem_free(big);
    model_store_free(store);
}
END_TEST

START_TEST(keys_of_unknown_kinds_are_told_but_only_so_many)
{
    struct model_store *store = model_store_new(policy_check);
    char key[64];
    for (int i = 0; i < MODEL_UNKNOWN_KEYS_MAX + 5; i++) {
        snprintf(key, sizeof key, "plans/p%d", i);
        apply_put(store, key, "{}", 1);
    }
    ck_assert_uint_eq(take(store, "plans/p1003").count, 0);
    apply_delete(store, "plans/p0");
    ck_assert(take(store, "plans/p0").is_deleted);
    apply_put(store, "plans/p1003", "{}", 1);
    struct told told = take(store, "plans/p1003");
    ck_assert(!told.is_accepted);
    ck_assert_str_eq(told.message,
                     "plans/p1003: unknown kind; known are consumers, endpoints, gateways, limits, "
                     "policies, routes and services");
    model_store_free(store);
}
END_TEST

START_TEST(a_missing_service_is_a_warning_that_goes_when_the_service_comes)
{
    struct model_store *store = model_store_new(policy_check);
    apply_put(store, "gateways/public", "{\"listeners\":[{\"name\":\"http\",\"port\":80}]}", 1);
    apply_put(store, "routes/r", "{\"gateways\":[\"public\"],\"backends\":[{\"service\":\"s\"}]}",
              1);
    struct told told = take(store, "routes/r");
    ck_assert(told.is_accepted);
    ck_assert_str_eq(told.warning, "backends[0].service: \"s\" does not exist; its share of "
                                   "requests is answered 503");
    apply_put(store, "services/s", SERVICE, 2);
    told = take(store, "routes/r");
    ck_assert_uint_eq(told.count, 1);
    ck_assert_uint_eq(told.warning_count, 0);
    apply_delete(store, "services/s");
    ck_assert_uint_eq(take(store, "routes/r").warning_count, 1);
    model_store_free(store);
}
END_TEST

START_TEST(a_registered_endpoint_ends_the_warning_of_its_service)
{
    struct model_store *store = model_store_new(policy_check);
    apply_put(store, "services/s", "{}", 1);
    apply_put(store, "endpoints/s-2/i", "{\"address\":\"10.0.0.1:80\"}", 1);
    ck_assert_uint_eq(take(store, "services/s").warning_count, 1);
    apply_put(store, "endpoints/s/i", "{\"address\":\"10.0.0.1:80\"}", 2);
    struct told told = take(store, "services/s");
    ck_assert_uint_eq(told.count, 1);
    ck_assert_uint_eq(told.warning_count, 0);
    apply_delete(store, "endpoints/s/i");
    ck_assert_uint_eq(take(store, "services/s").warning_count, 1);
    model_store_free(store);
}
END_TEST

START_TEST(endpoints_of_a_service_are_found_and_no_others)
{
    struct model_store *store = model_store_new(policy_check);
    const char *keys[] = {"endpoints/a/1", "endpoints/a-b/1", "endpoints/a/2", "endpoints/aa/1",
                          "endpoints/a.b/1"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        apply_put(store, keys[i], "{\"address\":\"10.0.0.1:80\"}", 1);
    struct model *model = model_store_build(store, 1);
    size_t count;
    struct model_object *const *endpoints = model_endpoints_of(model, STR("a"), &count);
    ck_assert_uint_eq(count, 2);
    ck_assert_str_eq_len(endpoints[0]->name, "a/1");
    ck_assert_str_eq_len(endpoints[1]->name, "a/2");
    model_endpoints_of(model, STR("b"), &count);
    ck_assert_uint_eq(count, 0);
    model_free(model);
    model_store_free(store);
}
END_TEST

/* --- claims ----------------------------------------------------------------------------------- */

enum { CONSUMERS = 6 };

/* Consumers of which several want the same keys, at revisions of their own. */
static const struct {
    const char *key;
    const char *value;
    int64_t revision;
} claims[CONSUMERS] = {
    {"consumers/a", "{\"api_keys\":[{\"key\":\"1\"},{\"key\":\"2\"}]}", 5},
    {"consumers/b", "{\"api_keys\":[{\"key\":\"2\"},{\"key\":\"3\"}]}", 4},
    {"consumers/c", "{\"api_keys\":[{\"key\":\"3\"}]}", 6},
    {"consumers/d", "{\"api_keys\":[{\"key\":\"4\"}]}", 6},
    {"consumers/e", "{\"api_keys\":[{\"key\":\"4\"},{\"key\":\"1\"}]}", 6},
    {"consumers/f", "{\"api_keys\":[{\"key\":\"5\"}]}", 1},
};

START_TEST(the_older_of_two_versions_has_the_key_in_whatever_order_they_come)
{
    unsigned seed = 11;
    for (int round = 0; round < 200; round++) {
        struct model_store *store = model_store_new(policy_check);
        int order[CONSUMERS] = {5, 1, 0, 2, 3, 4}; /* as they were written */
        bool is_watched = round == 0;              /* one by one; otherwise all at once */
        for (int i = CONSUMERS - 1; i > 0 && !is_watched; i--) {
            int j = (int)(((seed = seed * 1103515245 + 12345) >> 16) % (unsigned)(i + 1));
            int swapped = order[i];
            order[i] = order[j];
            order[j] = swapped;
        }
        for (int i = 0; i < CONSUMERS; i++) {
            apply_put(store, claims[order[i]].key, claims[order[i]].value,
                      claims[order[i]].revision);
            if (is_watched)
                model_free(model_store_build(store, 1));
        }
        struct model *model = model_store_build(store, 1);
        /* b is older than a and c; d and e are of one age, so the name decides, and so on. */
        ck_assert_ptr_nonnull(model_find(model, MODEL_CONSUMER, STR("b")));
        ck_assert_ptr_null(model_find(model, MODEL_CONSUMER, STR("a")));
        ck_assert_ptr_null(model_find(model, MODEL_CONSUMER, STR("c")));
        ck_assert_ptr_nonnull(model_find(model, MODEL_CONSUMER, STR("d")));
        ck_assert_ptr_null(model_find(model, MODEL_CONSUMER, STR("e")));
        ck_assert_ptr_nonnull(model_find(model, MODEL_CONSUMER, STR("f")));
        model_free(model);
        model_store_free(store);
    }
}
END_TEST

START_TEST(a_refused_claim_takes_effect_when_the_key_is_given_up)
{
    struct model_store *store = model_store_new(policy_check);
    apply_put(store, "consumers/a", "{\"api_keys\":[{\"key\":\"k\"}]}", 1);
    apply_put(store, "consumers/b", "{\"api_keys\":[{\"key\":\"old\"}]}", 2);
    take(store, "");
    apply_put(store, "consumers/b", "{\"api_keys\":[{\"key\":\"k\"}]}", 3);
    struct told told = take(store, "consumers/b");
    ck_assert(!told.is_accepted && told.is_using_last_good);
    ck_assert_str_eq(told.message, "consumers/b: api_keys[0].key: is a key of consumer \"a\" too");
    apply_delete(store, "consumers/a");
    told = take(store, "consumers/b");
    ck_assert(told.is_accepted && !told.is_using_last_good);
    model_store_free(store);
}
END_TEST

/* --- bounds and secrets ----------------------------------------------------------------------- */

#define GATEWAY "{\"listeners\":[{\"name\":\"http\",\"port\":80}]}"
enum { GATEWAYS_MAX = 1000 };

static void count(const struct model_verdict *verdict, void *arg)
{
    (void)verdict;
    ++*(size_t *)arg;
}

START_TEST(keys_beyond_the_most_of_a_kind_are_told_but_only_so_many_and_fit_when_put_again)
{
    struct model_store *store = model_store_new(policy_check);
    char key[64];
    for (int i = 0; i < GATEWAYS_MAX + MODEL_SURPLUS_KEYS_MAX + 10; i++) {
        snprintf(key, sizeof key, "gateways/g%d", i);
        apply_put(store, key, GATEWAY, i);
    }
    size_t verdicts = 0;
    model_free(model_store_build(store, 1));
    model_store_take_verdicts(store, count, &verdicts);
    ck_assert_uint_eq(verdicts, GATEWAYS_MAX + MODEL_SURPLUS_KEYS_MAX);
    for (int i = 1; i < GATEWAYS_MAX + MODEL_SURPLUS_KEYS_MAX; i++) {
        snprintf(key, sizeof key, "gateways/g%d", i);
        if (i != GATEWAYS_MAX)
            apply_delete(store, key);
    }
    take(store, "");
    apply_put(store, "gateways/g1000", GATEWAY, 9000);
    struct told told = take(store, "gateways/g1000");
    ck_assert_msg(told.is_accepted, "%s", told.message);
    model_store_free(store);
}
END_TEST

START_TEST(the_same_text_in_another_format_is_read_anew)
{
    struct model_store *store = model_store_new(policy_check);
    apply_put(store, "limits/l", "requests: 1\nper: 1s", 1);
    ck_assert(!take(store, "limits/l").is_accepted);
    struct model_change change = put("limits/l", "requests: 1\nper: 1s", 2);
    change.format = MODEL_YAML;
    model_store_apply(store, &change, 1, false);
    ck_assert(take(store, "limits/l").is_accepted);
    model_store_free(store);
}
END_TEST

START_TEST(no_sentence_about_a_consumer_shows_anything_of_what_was_written)
{
    static const char *const documents[] = {
        "{\"api_keys\":[{\"key\":s3cret}]}",
        "{\"api_keys\":[{\"key\":\"a\" \"s3cret\"}]}",
        "{\"api_keys\":[{\"key\":\"s3cret}]}",
        "{\"api_keys\":[{\"key\":\"\\ud800s3cret\"}]}",
        "{\"api_keys\":[\"s3cret\"]}",
        "{\"api_keys\":[{\"s3cret\":\"x\"}]}",
        "{\"s3cret\":1}",
        "{\"s3cret\":1,\"s3cret\":2}",
        "{\"groups\":[\"s3cret!\"]}",
        "{\"groups\":[\"s3cret\",\"s3cret\"]}",
        "{\"api_keys\":\"s3cret\"}",
        "\"s3cret\"",
        "s3cret",
        "{\"api_keys\":[{\"key\":\"s3cret\"},{\"key\":\"s3cret\"}]}",
        "{\"api_keys\":[{\"key\":\"s3cret \"}]}",
        "s3cret: 1",
        "- *s3cret",
        "!s3cret x",
        "%s3cret",
        "s3cret: 1\ns3cret: 2",
        "\"s3cret",
        "&s3cret [",
    };
    for (size_t i = 0; i < 2 * (sizeof documents / sizeof *documents); i++) {
        struct model_store *store = model_store_new(policy_check);
        struct model_change change = put("consumers/c", documents[i / 2], 1);
        change.format = i % 2 ? MODEL_YAML : MODEL_JSON;
        model_store_apply(store, &change, 1, false);
        struct told told = take(store, "consumers/c");
        ck_assert_msg(change.format == MODEL_YAML ||
                          strncmp(told.message, "consumers/c: ", 13) == 0,
                      "%s: %s", documents[i / 2], told.message);
        ck_assert_msg(!strstr(told.message, "s3cret"), "%s", told.message);
        model_store_free(store);
    }
}
END_TEST

START_TEST(a_limit_by_consumer_on_a_gateway_that_asks_nobody_is_a_warning)
{
    struct model_store *store = model_store_new(policy_check);
    apply_put(store, "limits/l", "{\"key\":[\"consumer\"],\"requests\":1,\"per\":\"1s\"}", 1);
    apply_put(store, "policies/keys", "{\"api_key\":{}}", 1);
    apply_put(store, "gateways/g",
              "{\"listeners\":[{\"name\":\"h\",\"port\":80}],\"limits\":[\"l\"]}", 1);
    ck_assert_str_eq(
        take(store, "gateways/g").warning,
        "limits[0]: \"l\" counts by consumer, and the gateway has no api_key policy; it "
        "limits only requests of routes that have one of their own");
    apply_put(store, "gateways/g",
              "{\"listeners\":[{\"name\":\"h\",\"port\":80}],\"limits\":[\"l\"],"
              "\"policies\":[\"keys\"]}",
              2);
    ck_assert_uint_eq(take(store, "gateways/g").warning_count, 0);
    apply_put(store, "policies/keys", "{\"headers\":{}}", 3);
    ck_assert_uint_eq(take(store, "gateways/g").warning_count, 1);
    model_store_free(store);
}
END_TEST

/* Each kind of object, and what its warning goes away with. */
START_TEST(a_warning_comes_and_goes_with_what_it_is_about)
{
    static const struct {
        const char *key, *value, *other, *other_value;
    } rows[] = {
        {"policies/p", "{\"api_key\":{\"consumers\":[\"c\"]}}", "consumers/c", "{}"},
        {"policies/p", "{\"api_key\":{\"groups\":[\"g\"]}}", "consumers/c", "{\"groups\":[\"g\"]}"},
        {"endpoints/s/i", "{\"address\":\"10.0.0.1:80\"}", "services/s", "{}"},
        {"gateways/g", "{\"listeners\":[{\"name\":\"h\",\"port\":80}],\"limits\":[\"l\"]}",
         "limits/l", LIMIT},
        {"gateways/g", "{\"listeners\":[{\"name\":\"h\",\"port\":80}],\"policies\":[\"p\"]}",
         "policies/p", "{\"headers\":{}}"},
        {"routes/r", "{\"gateways\":[\"g\"],\"direct_response\":{\"status\":200}}", "gateways/g",
         GATEWAY},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct model_store *store = model_store_new(policy_check);
        apply_put(store, rows[i].key, rows[i].value, 1);
        ck_assert_uint_eq(take(store, rows[i].key).warning_count, 1);
        apply_put(store, rows[i].other, rows[i].other_value, 2);
        ck_assert_uint_eq(take(store, rows[i].key).warning_count, 0);
        apply_delete(store, rows[i].other);
        ck_assert_uint_eq(take(store, rows[i].key).warning_count, 1);
        model_store_free(store);
    }
}
END_TEST

TEST_MAIN("store", keys_beyond_the_most_of_a_kind_are_told_but_only_so_many_and_fit_when_put_again,
          the_same_text_in_another_format_is_read_anew,
          no_sentence_about_a_consumer_shows_anything_of_what_was_written,
          a_limit_by_consumer_on_a_gateway_that_asks_nobody_is_a_warning,
          a_warning_comes_and_goes_with_what_it_is_about,
          a_valid_object_is_in_the_model_under_its_name,
          a_bad_version_leaves_the_last_good_one_in_use_and_is_told,
          a_mended_object_is_accepted_again,
          deleting_a_key_whose_newest_version_is_bad_deletes_the_last_good_one,
          a_key_that_comes_back_before_its_deletion_was_told_is_alive,
          a_verdict_is_told_once_until_it_changes,
          what_did_not_change_is_the_same_object_and_the_same_list,
          a_complete_list_deletes_what_is_not_in_it,
          an_oversize_value_is_refused_and_the_old_one_stays,
          keys_of_unknown_kinds_are_told_but_only_so_many,
          a_missing_service_is_a_warning_that_goes_when_the_service_comes,
          a_registered_endpoint_ends_the_warning_of_its_service,
          endpoints_of_a_service_are_found_and_no_others,
          the_older_of_two_versions_has_the_key_in_whatever_order_they_come,
          a_refused_claim_takes_effect_when_the_key_is_given_up)
