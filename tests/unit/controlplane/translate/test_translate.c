#include "tests/support/test.h"

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/pbjson/pbjson.h"
#include "controlplane/model/store.h"
#include "controlplane/policy/policy.h"
#include "controlplane/translate/translate.h"

#include <envoy/config/endpoint/v3/endpoint.pb-c.h>
#include <stdio.h>

/* A store and a translator, and what they made last. */
struct fixture {
    struct model_store *store;
    struct translator *translator;
    struct model *model;
    struct world *world;
    int64_t revision;
};

static void put(struct fixture *fixture, const char *key, const char *value)
{
    struct model_change change = {
        .key = str_from(key), .value = str_from(value), .revision = ++fixture->revision};
    model_store_apply(fixture->store, &change, 1, false);
}

static void remove_key(struct fixture *fixture, const char *key)
{
    struct model_change change = {
        .key = str_from(key), .revision = ++fixture->revision, .is_deleted = true};
    model_store_apply(fixture->store, &change, 1, false);
}

static void run(struct fixture *fixture)
{
    model_free(fixture->model);
    world_free(fixture->world);
    fixture->model = model_store_build(fixture->store, fixture->revision);
    fixture->world = translator_run(fixture->translator, fixture->model, NULL, NULL);
}

static const struct snapshot *snapshot_of(const struct fixture *fixture, enum client_kind kind)
{
    return world_find(fixture->world, STR("public"), kind);
}

#define GATEWAY "{\"listeners\":[{\"name\":\"http\",\"port\":80}]}"
#define ROUTE(path, service)                                                                       \
    "{\"gateways\":[\"public\"],\"match\":{\"path\":{\"prefix\":\"" path                           \
    "\"}},\"backends\":[{\"service\":\"" service "\"}]}"
#define SERVICE "{\"endpoints\":[{\"address\":\"10.0.0.1:80\"}]}"

static void setup(struct fixture *fixture)
{
    *fixture = (struct fixture){
        .store = model_store_new(policy_check),
        .translator = translator_new(),
    };
    put(fixture, "gateways/public", GATEWAY);
    put(fixture, "services/a", SERVICE);
    put(fixture, "services/b", SERVICE);
    put(fixture, "routes/a", ROUTE("/a", "a"));
    put(fixture, "routes/b", ROUTE("/b", "b"));
    run(fixture);
}

static void teardown(struct fixture *fixture)
{
    world_free(fixture->world);
    model_free(fixture->model);
    translator_free(fixture->translator);
    model_store_free(fixture->store);
}

START_TEST(a_changed_endpoint_changes_its_resource_and_nothing_else)
{
    struct fixture fixture;
    setup(&fixture);
    struct snapshot *before = snapshot_ref(world_find(fixture.world, STR("public"), CLIENT_ENVOY));
    put(&fixture, "endpoints/a/i-1", "{\"address\":\"10.0.0.2:80\"}");
    run(&fixture);
    const struct snapshot *after = snapshot_of(&fixture, CLIENT_ENVOY);
    ck_assert_ptr_ne(before, after);
    ck_assert_ptr_eq(before->sets[RESOURCE_CLUSTER], after->sets[RESOURCE_CLUSTER]);
    ck_assert_ptr_eq(before->sets[RESOURCE_LISTENER], after->sets[RESOURCE_LISTENER]);
    ck_assert_ptr_eq(before->sets[RESOURCE_ROUTES], after->sets[RESOURCE_ROUTES]);
    ck_assert_ptr_ne(resource_set_find(before->sets[RESOURCE_ENDPOINTS], STR("a")),
                     resource_set_find(after->sets[RESOURCE_ENDPOINTS], STR("a")));
    ck_assert_ptr_eq(resource_set_find(before->sets[RESOURCE_ENDPOINTS], STR("b")),
                     resource_set_find(after->sets[RESOURCE_ENDPOINTS], STR("b")));
    snapshot_unref(before);
    teardown(&fixture);
}
END_TEST

static void check_changed_route(enum client_kind kind)
{
    struct fixture fixture;
    setup(&fixture);
    struct snapshot *before = snapshot_ref(world_find(fixture.world, STR("public"), kind));
    put(&fixture, "routes/a", ROUTE("/a2", "a"));
    run(&fixture);
    const struct snapshot *after = snapshot_of(&fixture, kind);
    ck_assert_ptr_eq(before->sets[RESOURCE_CLUSTER], after->sets[RESOURCE_CLUSTER]);
    ck_assert_ptr_eq(before->sets[RESOURCE_ENDPOINTS], after->sets[RESOURCE_ENDPOINTS]);
    ck_assert_ptr_eq(before->sets[RESOURCE_LISTENER], after->sets[RESOURCE_LISTENER]);
    ck_assert_ptr_ne(before->sets[RESOURCE_ROUTES], after->sets[RESOURCE_ROUTES]);
    snapshot_unref(before);
    teardown(&fixture);
}

START_TEST(a_changed_route_changes_the_route_table_and_nothing_else)
{
    check_changed_route(CLIENT_ENVOY);
    check_changed_route(CLIENT_GRPC);
}
END_TEST

/* The addresses of a service's endpoints, joined. */
static void endpoint_addresses(const struct fixture *fixture, const char *service, char text[256])
{
    struct arena arena;
    arena_init(&arena, 4096);
    const struct resource *resource = resource_set_find(
        snapshot_of(fixture, CLIENT_ENVOY)->sets[RESOURCE_ENDPOINTS], str_from(service));
    const Envoy__Config__Endpoint__V3__ClusterLoadAssignment *assignment =
        (const Envoy__Config__Endpoint__V3__ClusterLoadAssignment *)pbjson_unpack(
            &envoy__config__endpoint__v3__cluster_load_assignment__descriptor,
            resource_message_bytes(resource), &arena);
    size_t len = 0;
    for (size_t i = 0; i < assignment->endpoints[0]->n_lb_endpoints; i++)
        len += (size_t)snprintf(
            text + len, 256 - len, "%s ",
            assignment->endpoints[0]->lb_endpoints[i]->endpoint->address->socket_address->address);
    arena_done(&arena);
}

START_TEST(an_address_in_two_spellings_is_one_endpoint)
{
    struct fixture fixture;
    char text[256];
    setup(&fixture);
    put(&fixture, "services/a",
        "{\"endpoints\":[{\"address\":\"[::1]:80\"},{\"address\":\"[0:0::1]:80\"},"
        "{\"address\":\"10.0.0.1:80\"}]}");
    put(&fixture, "endpoints/a/i-1", "{\"address\":\"[0::0:1]:80\"}");
    run(&fixture);
    endpoint_addresses(&fixture, "a", text);
    ck_assert_str_eq(text, "10.0.0.1 ::1 ");
    teardown(&fixture);
}
END_TEST

START_TEST(a_change_that_says_the_same_leaves_the_snapshot)
{
    struct fixture fixture;
    setup(&fixture);
    struct snapshot *before = snapshot_ref(world_find(fixture.world, STR("public"), CLIENT_ENVOY));
    put(&fixture, "routes/a", " " ROUTE("/a", "a"));
    put(&fixture, "services/a", " " SERVICE);
    put(&fixture, "gateways/public", " " GATEWAY);
    put(&fixture, "limits/unused", "{\"requests\":1,\"per\":\"1s\"}");
    run(&fixture);
    ck_assert_ptr_eq(before, snapshot_of(&fixture, CLIENT_ENVOY));
    snapshot_unref(before);
    teardown(&fixture);
}
END_TEST

START_TEST(a_change_of_one_gateway_leaves_the_others)
{
    struct fixture fixture;
    setup(&fixture);
    put(&fixture, "gateways/other", GATEWAY);
    run(&fixture);
    struct snapshot *before = snapshot_ref(world_find(fixture.world, STR("public"), CLIENT_ENVOY));
    put(&fixture, "gateways/other", "{\"listeners\":[{\"name\":\"http\",\"port\":81}]}");
    run(&fixture);
    ck_assert_ptr_eq(before, snapshot_of(&fixture, CLIENT_ENVOY));
    remove_key(&fixture, "gateways/other");
    run(&fixture);
    ck_assert_ptr_null(world_find(fixture.world, STR("other"), CLIENT_ENVOY));
    ck_assert_ptr_eq(before, snapshot_of(&fixture, CLIENT_ENVOY));
    snapshot_unref(before);
    teardown(&fixture);
}
END_TEST

START_TEST(a_gateway_has_only_the_clusters_that_its_routes_name)
{
    struct fixture fixture;
    setup(&fixture);
    put(&fixture, "services/unused", SERVICE);
    put(&fixture, "routes/b", ROUTE("/b", "gone"));
    run(&fixture);
    const struct snapshot *snapshot = snapshot_of(&fixture, CLIENT_ENVOY);
    ck_assert_uint_eq(snapshot->sets[RESOURCE_CLUSTER]->len, 1);
    ck_assert_ptr_nonnull(resource_set_find(snapshot->sets[RESOURCE_CLUSTER], STR("a")));
    put(&fixture, "services/gone", SERVICE);
    run(&fixture);
    ck_assert_ptr_nonnull(resource_set_find(
        snapshot_of(&fixture, CLIENT_ENVOY)->sets[RESOURCE_CLUSTER], STR("gone")));
    teardown(&fixture);
}
END_TEST

/* --- problems --------------------------------------------------------------------------------- */

static void note_problem(struct str gateway, const char *sentence, void *arg)
{
    char *text = arg;
    snprintf(text, 512, "%.*s: %s", STR_ARGS(gateway), sentence);
}

static void run_and_note(struct fixture *fixture, char problem[512])
{
    model_free(fixture->model);
    world_free(fixture->world);
    fixture->model = model_store_build(fixture->store, 9);
    fixture->world = translator_run(fixture->translator, fixture->model, note_problem, problem);
}

START_TEST(a_gateway_with_too_many_pairs_keeps_what_it_had_and_says_so)
{
    struct fixture fixture;
    char key[64], value[256], problem[512] = "";
    setup(&fixture);
    struct snapshot *before = snapshot_ref(world_find(fixture.world, STR("public"), CLIENT_ENVOY));
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof key, "routes/r%d", i);
        snprintf(value, sizeof value,
                 "{\"gateways\":[\"public\"],\"hosts\":[\"%s%d.com\"],\"backends\":[{\"service\":"
                 "\"a\"}]}",
                 i % 2 ? "h" : "*.h", i);
        put(&fixture, key, i % 2 ? value : ROUTE("/x", "a"));
    }
    run_and_note(&fixture, problem);
    ck_assert_str_eq(problem,
                     "public: its routes and their hosts make more than 200000 pairs; what "
                     "was there before stays");
    ck_assert_ptr_eq(before, snapshot_of(&fixture, CLIENT_ENVOY));
    snapshot_unref(before);
    teardown(&fixture);
}
END_TEST

/* Consumers whose keys make a few MiB, and two policies that routes have by turns: the keys are in
 * half of the routes. */
static void put_keys(struct fixture *fixture, int consumers)
{
    enum { KEYS = 100 };
    char key[64], *value = mem_alloc(KEYS * 512);
    for (int i = 0; i < consumers; i++) {
        size_t len = 0;
        for (int j = 0; j < KEYS; j++)
            len += (size_t)snprintf(value + len, KEYS * 512 - len, "%s{\"key\":\"%0400d\"}",
                                    j ? "," : "{\"api_keys\":[", i * KEYS + j);
        snprintf(value + len, KEYS * 512 - len, "]}");
        snprintf(key, sizeof key, "consumers/c%d", i);
        put(fixture, key, value);
    }
    mem_free(value);
    put(fixture, "policies/p0", "{\"api_key\":{}}");
    put(fixture, "policies/p1", "{\"api_key\":{\"header\":\"x-other\"}}");
}

static void put_guarded_route(struct fixture *fixture, int number, const char *hosts)
{
    char key[64], value[512];
    snprintf(key, sizeof key, "routes/r%d", number);
    snprintf(value, sizeof value,
             "{\"gateways\":[\"public\"],\"hosts\":[%s],\"backends\":[{\"service\":\"a\"}],"
             "\"policies\":[\"p%d\"]}",
             hosts, number % 2);
    put(fixture, key, value);
}

#define TOO_LONG                                                                                   \
    "public: its routes make more than 60 MiB (each with another api_key policy than most has "    \
    "the "                                                                                         \
    "keys of all consumers in it); what was there before stays"

START_TEST(routes_that_no_proxy_could_take_in_one_message_are_not_made_and_it_is_said)
{
    struct fixture fixture;
    char problem[512] = "";
    setup(&fixture);
    put_keys(&fixture, 100); /* 4 MB */
    struct snapshot *before = snapshot_ref(world_find(fixture.world, STR("public"), CLIENT_ENVOY));
    for (int i = 0; i < 34; i++)
        put_guarded_route(&fixture, i, "");
    run_and_note(&fixture, problem);
    ck_assert_str_eq(problem, TOO_LONG);
    ck_assert_ptr_eq(before, snapshot_of(&fixture, CLIENT_ENVOY));
    /* Few routes, with many hosts each. */
    for (int i = 8; i < 34; i++) {
        char key[32];
        snprintf(key, sizeof key, "routes/r%d", i);
        remove_key(&fixture, key);
    }
    for (int i = 0; i < 8; i++)
        put_guarded_route(&fixture, i, "\"a.com\",\"b.com\",\"c.com\",\"d.com\",\"e.com\"");
    problem[0] = '\0';
    run_and_note(&fixture, problem);
    ck_assert_str_eq(problem, TOO_LONG);
    ck_assert_ptr_eq(before, snapshot_of(&fixture, CLIENT_ENVOY));
    for (int i = 0; i < 8; i++)
        put_guarded_route(&fixture, i, "");
    problem[0] = '\0';
    run_and_note(&fixture, problem);
    ck_assert_str_eq(problem, "");
    ck_assert_ptr_ne(before, snapshot_of(&fixture, CLIENT_ENVOY));
    snapshot_unref(before);
    teardown(&fixture);
}
END_TEST

/* --- from resources to objects ------------------------------------------------------------------
 */

static void note_object(struct str key, void *arg)
{
    struct buf *text = arg;
    buf_append_str(text, key);
    buf_append_char(text, ' ');
}

static void check_objects(const struct fixture *fixture, enum resource_type type, const char *name,
                          const char *expected)
{
    struct buf text;
    buf_init(&text, 4096);
    translate_objects_of(fixture->model, STR("public"), type, str_from(name), note_object, &text);
    ck_assert_str_eq_len(buf_str(&text), expected);
    buf_done(&text);
}

START_TEST(a_resource_leads_back_to_the_objects_it_was_made_from)
{
    struct fixture fixture;
    setup(&fixture);
    put(&fixture, "endpoints/a/i", "{\"address\":\"10.0.0.2:80\"}");
    put(&fixture, "policies/p", "{\"api_key\":{}}");
    put(&fixture, "consumers/c", "{\"api_keys\":[{\"key\":\"k\"}]}");
    put(&fixture, "limits/l", "{\"requests\":1,\"per\":\"1s\"}");
    put(&fixture, "gateways/public",
        "{\"listeners\":[{\"name\":\"http\",\"port\":80}],\"limits\":[\"l\"]}");
    put(&fixture, "routes/b",
        "{\"gateways\":[\"public\"],\"policies\":[\"p\"],\"backends\":[{\"service\":\"b\"}]}");
    put(&fixture, "routes/c", "{\"gateways\":[\"other\"],\"backends\":[{\"service\":\"b\"}]}");
    run(&fixture);
    check_objects(&fixture, RESOURCE_CLUSTER, "a", "services/a ");
    check_objects(&fixture, RESOURCE_ENDPOINTS, "a", "services/a endpoints/a/i ");
    check_objects(&fixture, RESOURCE_LISTENER, "public/http", "gateways/public limits/l ");
    check_objects(&fixture, RESOURCE_ROUTES, "public", "routes/a routes/b policies/p consumers/c ");
    check_objects(&fixture, RESOURCE_CLUSTER, "none", "");
    teardown(&fixture);
}
END_TEST

/* --- against translation from scratch -----------------------------------------------------------
 */

static unsigned random_below(unsigned *seed, unsigned bound)
{
    *seed = *seed * 1103515245 + 12345;
    return (*seed >> 16) % bound;
}

/* Things that may be written, several versions of each; "" deletes. */
static const struct {
    const char *key;
    const char *values[4];
} choices[] = {
    {"gateways/public",
     {GATEWAY, "{\"listeners\":[{\"name\":\"http\",\"port\":81}],\"policies\":[\"keys\"]}",
      "{\"listeners\":[{\"name\":\"http\",\"port\":81,\"hosts\":[\"*.com\"]},{\"name\":\"b\","
      "\"port\":82}],\"limits\":[\"l\"]}",
      "{\"listeners\":[{\"name\":\"http\",\"port\":80}],\"policies\":[\"heads\",\"gone\"]}"}},
    {"gateways/other", {"", GATEWAY, "{}", ""}},
    {"services/a",
     {"", SERVICE, "{\"circuit_breaker\":{\"consecutive_failures\":1}}", "{\"x\":1}"}},
    {"services/b", {SERVICE, "{}", "", SERVICE}},
    {"endpoints/a/1", {"", "{\"address\":\"10.0.0.3:1\"}", "{\"address\":\"10.0.0.4:1\"}", "{}"}},
    {"endpoints/b/1", {"", "{\"address\":\"10.0.0.3:1\"}", "", "{}"}},
    {"policies/keys",
     {"", "{\"api_key\":{}}", "{\"api_key\":{\"groups\":[\"g\"]}}", "{\"headers\":{}}"}},
    {"policies/heads", {"", "{\"headers\":{\"response\":{\"set\":{\"a\":\"b\"}}}}", "{}", ""}},
    {"limits/l",
     {"", "{\"requests\":1,\"per\":\"1s\"}", "{\"requests\":2,\"per\":\"1s\"}",
      "{\"key\":[\"consumer\"],\"requests\":1,\"per\":\"1s\"}"}},
    {"consumers/c",
     {"", "{\"api_keys\":[{\"key\":\"1\"}]}", "{\"api_keys\":[{\"key\":\"2\"}],\"groups\":[\"g\"]}",
      "{\"api_keys\":[{\"key\":\"3\"}]}"}},
    {"consumers/d", {"", "{\"api_keys\":[{\"key\":\"1\"}]}", "{\"groups\":[\"g\"]}", ""}},
    {"routes/a",
     {"", ROUTE("/a", "a"),
      "{\"gateways\":[\"public\",\"other\"],\"policies\":[\"keys\"],\"limits\":[\"l\"],"
      "\"backends\":[{\"service\":\"a\"},{\"service\":\"b\"}]}",
      "{\"gateways\":[\"other\"],\"hosts\":[\"x.com\"],\"redirect\":{\"path\":\"/\"}}"}},
    {"routes/b",
     {"",
      "{\"gateways\":[\"public\"],\"policies\":[\"keys\",\"heads\"],\"backends\":[{\"service\":"
      "\"b\"}]}",
      "{\"gateways\":[\"public\"],\"open\":true,\"hosts\":[\"y.com\",\"*\"],\"direct_response\":{"
      "\"status\":404}}",
      "{\"gateways\":[\"public\"],\"policies\":[\"keys\"],\"match\":{\"path\":{\"exact\":\"/x\"}},"
      "\"backends\":[{\"service\":\"b\"}]}"}},
    {"routes/c",
     {"", ROUTE("/c", "b"),
      "{\"gateways\":[\"public\"],\"policies\":[\"keys\"],\"backends\":[{\"service\":\"a\"}]}",
      ""}},
};
enum { CHOICES = sizeof choices / sizeof *choices };

static void check_same_as_from_scratch(const struct fixture *fixture)
{
    struct translator *translator = translator_new();
    struct world *world = translator_run(translator, fixture->model, NULL, NULL);
    ck_assert_uint_eq(world->len, fixture->world->len);
    for (size_t i = 0; i < world->len; i++) {
        struct errmsg msg;
        ck_assert_int_eq(snapshot_check(world->entries[i].snapshot, &msg), 0);
        for (int type = 0; type < RESOURCE_TYPE_COUNT; type++)
            ck_assert_str_eq(world->entries[i].snapshot->sets[type]->version.hex,
                             fixture->world->entries[i].snapshot->sets[type]->version.hex);
    }
    world_free(world);
    translator_free(translator);
}

START_TEST(what_is_remembered_never_shows_in_the_result)
{
    struct fixture fixture;
    unsigned seed = 5;
    setup(&fixture);
    for (int round = 0; round < 600; round++) {
        unsigned changes = 1 + random_below(&seed, 3);
        for (unsigned i = 0; i < changes; i++) {
            unsigned choice = random_below(&seed, CHOICES);
            const char *value = choices[choice].values[random_below(&seed, 4)];
            if (*value)
                put(&fixture, choices[choice].key, value);
            else
                remove_key(&fixture, choices[choice].key);
        }
        run(&fixture);
        check_same_as_from_scratch(&fixture);
    }
    teardown(&fixture);
}
END_TEST

TEST_MAIN("translate", an_address_in_two_spellings_is_one_endpoint,
          a_changed_endpoint_changes_its_resource_and_nothing_else,
          a_changed_route_changes_the_route_table_and_nothing_else,
          a_change_that_says_the_same_leaves_the_snapshot,
          a_change_of_one_gateway_leaves_the_others,
          a_gateway_has_only_the_clusters_that_its_routes_name,
          a_gateway_with_too_many_pairs_keeps_what_it_had_and_says_so,
          routes_that_no_proxy_could_take_in_one_message_are_not_made_and_it_is_said,
          a_resource_leads_back_to_the_objects_it_was_made_from,
          what_is_remembered_never_shows_in_the_result)
