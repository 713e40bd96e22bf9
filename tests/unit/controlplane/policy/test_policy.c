#include "tests/support/test.h"

#include "common/pbjson/pbjson.h"
#include "controlplane/model/store.h"
#include "controlplane/policy/api_key.h"
#include "controlplane/policy/headers.h"
#include "controlplane/policy/policy.h"

#include <envoy/config/common/mutation_rules/v3/mutation_rules.pb-c.h>
#include <envoy/extensions/filters/http/api_key_auth/v3/api_key_auth.pb-c.h>

typedef Envoy__Config__Common__MutationRules__V3__HeaderMutation HeaderMutation;

/* The sentence about a policy document, or "" where it is fine. */
static const char *check(const char *json)
{
    static struct errmsg msg;
    struct arena arena;
    ProtobufCMessage *message;
    msg.text[0] = '\0';
    arena_init(&arena, 1024);
    int err =
        pbjson_parse(&weir__v1__policy__descriptor, str_from(json), NULL, &arena, &message, &msg);
    ck_assert_int_eq(err, 0);
    err = policy_check((Weir__V1__Policy *)message, &msg);
    ck_assert_int_eq(err == 0, msg.text[0] == '\0');
    arena_done(&arena);
    return msg.text;
}

START_TEST(sentences_begin_with_the_kind_of_policy)
{
    ck_assert_str_eq(check("{}"), "one kind of policy is required: api_key or headers");
    ck_assert_str_eq(check("{\"api_key\":{}}"), "");
    ck_assert_str_eq(check("{\"api_key\":{\"header\":\"x y\"}}"),
                     "api_key.header: \"x y\" is no name of a header");
    ck_assert_str_eq(check("{\"headers\":{\"request\":{\"set\":{\"Connection\":\"x\"}}}}"),
                     "headers.request.set: the header connection cannot be changed");
    ck_assert_str_eq(check("{\"headers\":{\"response\":{\"remove\":[\":status\"]}}}"),
                     "headers.response.remove[0]: \":status\" is no name of a header");
}
END_TEST

/* --- sums ------------------------------------------------------------------------------------- */

static struct model *make_model(struct model_store *store, const char *const (*objects)[2],
                                size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct model_change change = {
            .key = str_from(objects[i][0]), .value = str_from(objects[i][1]), .revision = 1};
        model_store_apply(store, &change, 1, false);
    }
    return model_store_build(store, 1);
}

START_TEST(policies_add_up_in_the_order_they_are_named)
{
    static const char *const objects[][2] = {
        {"policies/a", "{\"headers\":{\"request\":{\"set\":{\"z\":\"1\",\"y\":\"50%\"}}}}"},
        {"policies/b", "{\"headers\":{\"request\":{\"remove\":[\"X-Gone\"]}}}"},
        {"policies/k1", "{\"api_key\":{}}"},
        {"policies/k2", "{\"api_key\":{}}"},
    };
    char *names[] = {(char *)"b", (char *)"k2", (char *)"a", (char *)"k1"};
    struct model_store *store = model_store_new(policy_check);
    struct model *model = make_model(store, objects, 4);
    struct arena arena;
    struct policy_sum sum;
    arena_init(&arena, 4096);
    policy_sum_init(&sum, &arena);
    policy_sum_add(&sum, model, names, 4);
    ck_assert(!sum.has_missing);
    ck_assert_str_eq_len(sum.api_key->name, "k2");
    ck_assert_uint_eq(sum.request_mutations.len, 3);
    const HeaderMutation *first = sum.request_mutations.items[0];
    const HeaderMutation *second = sum.request_mutations.items[1];
    ck_assert_str_eq(first->remove, "x-gone");
    ck_assert_str_eq(second->append->header->key, "y");
    ck_assert_str_eq(second->append->header->value, "50%%");
    ck_assert_uint_eq(sum.response_mutations.len, 0);
    policy_sum_done(&sum);
    arena_done(&arena);
    model_free(model);
    model_store_free(store);
}
END_TEST

START_TEST(a_missing_policy_is_noted)
{
    char *names[] = {(char *)"none"};
    struct model_store *store = model_store_new(policy_check);
    struct model *model = make_model(store, NULL, 0);
    struct arena arena;
    struct policy_sum sum;
    arena_init(&arena, 1024);
    policy_sum_init(&sum, &arena);
    policy_sum_add(&sum, model, names, 1);
    ck_assert(sum.has_missing);
    ck_assert_ptr_null(headers_route_config(&sum));
    policy_sum_done(&sum);
    arena_done(&arena);
    model_free(model);
    model_store_free(store);
}
END_TEST

/* --- keys ------------------------------------------------------------------------------------- */

/* The settings that a policy makes, unpacked; in arena. */
static const Envoy__Extensions__Filters__Http__ApiKeyAuth__V3__ApiKeyAuthPerRoute *
api_key_config(struct arena *arena, const struct model *model, const char *policy)
{
    const Google__Protobuf__Any *any =
        api_key_route_config(arena, model, model_find(model, MODEL_POLICY, str_from(policy)));
    ProtobufCMessage *message = pbjson_unpack(
        &envoy__extensions__filters__http__api_key_auth__v3__api_key_auth_per_route__descriptor,
        (struct str){.data = (const char *)any->value.data, .len = any->value.len}, arena);
    ck_assert_ptr_nonnull(message);
    return (const void *)message;
}

START_TEST(a_policy_that_admits_nobody_does_not_admit_everybody)
{
    static const char *const objects[][2] = {
        {"consumers/alice", "{\"api_keys\":[{\"key\":\"a\"}]}"},
        {"policies/all", "{\"api_key\":{}}"},
        {"policies/gone", "{\"api_key\":{\"consumers\":[\"bob\"],\"groups\":[\"none\"]}}"},
        {"policies/some", "{\"api_key\":{\"consumers\":[\"alice\",\"bob\"]}}"},
    };
    struct model_store *store = model_store_new(policy_check);
    struct model *model = make_model(store, objects, 4);
    struct arena arena;
    arena_init(&arena, 4096);
    ck_assert_uint_eq(api_key_config(&arena, model, "all")->n_allowed_clients, 0);
    ck_assert_uint_eq(api_key_config(&arena, model, "some")->n_allowed_clients, 1);
    ck_assert_uint_eq(api_key_config(&arena, model, "gone")->n_allowed_clients, 1);
    ck_assert_ptr_null(
        model_find(model, MODEL_CONSUMER,
                   str_from(api_key_config(&arena, model, "gone")->allowed_clients[0])));
    arena_done(&arena);
    model_free(model);
    model_store_free(store);
}
END_TEST

START_TEST(each_place_for_a_key_is_looked_at_in_its_order)
{
    static const char *const objects[][2] = {
        {"policies/a", "{\"api_key\":{\"cookie\":\"C\",\"query\":\"q\",\"header\":\"H\"}}"},
        {"policies/b", "{\"api_key\":{\"forward_key\":true}}"},
    };
    struct model_store *store = model_store_new(policy_check);
    struct model *model = make_model(store, objects, 2);
    struct arena arena;
    arena_init(&arena, 4096);
    const Envoy__Extensions__Filters__Http__ApiKeyAuth__V3__ApiKeyAuthPerRoute *config =
        api_key_config(&arena, model, "a");
    ck_assert_uint_eq(config->n_key_sources, 3);
    ck_assert_str_eq(config->key_sources[0]->header, "h");
    ck_assert_str_eq(config->key_sources[1]->query, "q");
    ck_assert_str_eq(config->key_sources[2]->cookie, "C");
    ck_assert(config->forwarding->hide_credentials);
    ck_assert_str_eq(config->forwarding->header, "x-weir-consumer");
    config = api_key_config(&arena, model, "b");
    ck_assert_uint_eq(config->n_key_sources, 1);
    ck_assert_str_eq(config->key_sources[0]->header, "x-api-key");
    ck_assert(!config->forwarding->hide_credentials);
    arena_done(&arena);
    model_free(model);
    model_store_free(store);
}
END_TEST

TEST_MAIN("policy", sentences_begin_with_the_kind_of_policy,
          policies_add_up_in_the_order_they_are_named, a_missing_policy_is_noted,
          a_policy_that_admits_nobody_does_not_admit_everybody,
          each_place_for_a_key_is_looked_at_in_its_order)
