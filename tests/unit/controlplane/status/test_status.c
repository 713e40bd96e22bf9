/* What is told of objects and proxies. One file: every test drives the same status by the same few
 * steps, and reads the documents that come out. */
#include "tests/support/test.h"

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/io/loop.h"
#include "controlplane/status/documents.h"
#include "controlplane/status/status.h"
#include "controlplane/status/status_internal.h"
#include "controlplane/status/text_names.h"

#include <stdio.h>

static struct loop *loop;
static struct ledger *ledger;
static struct status *status;
static char written[64 * 1024]; /* "put key value\n", "erase key\n" */
static int objects_per_resource = 1;

static void on_put(void *arg, struct str key, struct str value)
{
    (void)arg;
    /* Without the time, which is the last field. */
    size_t len = strlen(written), end = str_find(value, STR(",\"updated\":"));
    ck_assert_uint_lt(end, value.len);
    snprintf(written + len, sizeof written - len, "put %.*s %.*s}\n", STR_ARGS(key), (int)end,
             value.data);
}

static void on_erase(void *arg, struct str key)
{
    (void)arg;
    size_t len = strlen(written);
    snprintf(written + len, sizeof written - len, "erase %.*s\n", STR_ARGS(key));
}

static void objects_of(void *arg, struct str gateway, enum resource_type type, struct str resource,
                       status_object_fn *on_object, void *object_arg)
{
    (void)arg, (void)gateway, (void)type, (void)resource;
    for (int i = 0; i < objects_per_resource; i++) {
        char key[32];
        snprintf(key, sizeof key, "routes/r%d", i);
        on_object(str_from(key), object_arg);
    }
}

/* Gateway "public" has routes/r0 and on, each told twice; all gateways have services/s. */
static int routes_of_public = 2;

static void members_of(void *arg, struct str gateway, status_object_fn *on_object, void *object_arg)
{
    (void)arg;
    for (int i = 0; str_equal(gateway, STR("public")) && i < 2 * routes_of_public; i++) {
        char key[32];
        snprintf(key, sizeof key, "routes/r%d", i / 2);
        on_object(str_from(key), object_arg);
    }
    on_object(STR("services/s"), object_arg);
}

static void begin(void)
{
    loop = loop_new();
    ledger = ledger_new();
    status = status_new(loop, ledger,
                        &(struct status_options){
                            .sink = {.put = on_put, .erase = on_erase},
                            .served_by = "me",
                            .objects_of = objects_of,
                            .members_of = members_of,
                        });
    written[0] = '\0';
}

static void end(void)
{
    status_free(status);
    ledger_free(ledger);
    loop_free(loop);
}

static void verdict(const char *key, bool is_accepted, int64_t revision, const char *message)
{
    static const char *const warnings[] = {"one warning"};
    status_take_verdict(&(struct model_verdict){.key = str_from(key),
                                                .is_accepted = is_accepted,
                                                .revision = revision,
                                                .message = message,
                                                .warnings = warnings,
                                                .warning_count = is_accepted ? 0 : 1},
                        status);
}

static void flush(void)
{
    status_view(status);
    status_flush(status);
}

static struct ledger_client *connect_to(const char *id, const char *gateway)
{
    return ledger_connect(ledger, &(struct ledger_client){.node_id = str_from(id),
                                                          .gateway = str_from(gateway),
                                                          .is_gateway_known = true,
                                                          .user_agent = STR("envoy 1.40.0"),
                                                          .address = STR("ipv4:1.2.3.4:5"),
                                                          .since_us = 1000000});
}

static struct ledger_client *connect_node(const char *id)
{
    return connect_to(id, "public");
}

/* It has all of the newest publication, but for what it refused. */
static void progress(struct ledger_client *client)
{
    ledger_note_progress(client,
                         &(struct ledger_progress){.publication = ledger_publication(ledger)});
}

/* A turn as it comes when objects may be told about again. */
static void turn(void)
{
    uint64_t now_ms = clock_monotonic_ms();
    status->turn_ms = now_ms - 1000 / STATUS_TURNS_PER_S;
    status->view_after_ms = 0;
    MAP_FOR_EACH(entry, &status->records) {
        struct record *record = entry->value;
        record->written_ms = now_ms - STATUS_LIVE_PAUSE_MS;
    }
    status_timer_fired(&status->timer);
}

static void forget_written(void)
{
    flush();
    turn();
    written[0] = '\0';
}

#define expect_written(text)                                                                       \
    do {                                                                                           \
        flush();                                                                                   \
        ck_assert_str_eq(written, text);                                                           \
        written[0] = '\0';                                                                         \
    } while (0)

/* The document of an object in use; more: further fields. */
#define OK(key, revision, more)                                                                    \
    "put " key " {\"accepted\":true,\"is_using_last_good\":false,\"revision\":\"" revision         \
    "\"" more "}\n"

START_TEST(verdicts_are_written_once_and_when_they_change)
{
    begin();
    verdict("routes/users", true, 7, "");
    expect_written(OK("routes/users", "7", ""));
    verdict("routes/users", true, 7, "");
    expect_written("");
    verdict("routes/users", false, 8, "routes/users: wrong");
    expect_written("put routes/users {\"accepted\":false,\"message\":\"routes/users: wrong\","
                   "\"is_using_last_good\":false,\"revision\":\"8\","
                   "\"warnings\":[\"one warning\"]}\n");
    end();
}
END_TEST

START_TEST(statuses_of_vanished_objects_are_deleted)
{
    begin();
    verdict("routes/users", true, 7, "");
    expect_written(OK("routes/users", "7", ""));
    status_take_verdict(&(struct model_verdict){.key = STR("routes/users"), .is_deleted = true},
                        status);
    expect_written("erase routes/users\n");
    end();
}
END_TEST

START_TEST(objects_are_counted_by_kind_and_verdict)
{
    begin();
    verdict("routes/a", true, 1, "");
    verdict("routes/b", false, 1, "no");
    verdict("services/c", true, 1, "");
    verdict("nonsense/d", false, 1, "unknown kind");
    struct status_counts counts = status_counts(status);
    ck_assert_uint_eq(counts.accepted[MODEL_ROUTE], 1);
    ck_assert_uint_eq(counts.refused[MODEL_ROUTE], 1);
    ck_assert_uint_eq(counts.accepted[MODEL_SERVICE], 1);
    ck_assert_uint_eq(counts.unknown_kinds, 1);
    ck_assert_uint_eq(counts.waiting, 4);
    end();
}
END_TEST

START_TEST(a_proxy_has_a_document_while_it_is_connected)
{
    begin();
    struct ledger_client *client = connect_node("edge/1");
    flush();
    ck_assert_msg(strncmp(written, "put proxies/edge%2F1 {\"node_id\":\"edge/1\"", 40) == 0, "%s",
                  written);
    ck_assert_ptr_nonnull(strstr(written, "\"served_by\":\"me\""));
    ck_assert_ptr_nonnull(strstr(written, "\"in_sync\":false"));
    written[0] = '\0';
    ledger_note_progress(client, &(struct ledger_progress){.revision = 12, .is_in_sync = true});
    flush();
    ck_assert_ptr_nonnull(strstr(written, "\"in_sync\":true,\"revision\":\"12\""));
    written[0] = '\0';
    ledger_note_progress(client, &(struct ledger_progress){.revision = 12, .is_in_sync = true});
    expect_written("");
    ledger_disconnect(client);
    expect_written("erase proxies/edge%2F1\n");
    end();
}
END_TEST

START_TEST(a_proxy_that_reconnects_before_its_old_stream_ends_keeps_its_document)
{
    begin();
    struct ledger_client *old = connect_node("p");
    flush();
    struct ledger_client *new = connect_node("p");
    flush();
    written[0] = '\0';
    ledger_disconnect(old);
    flush();
    ck_assert_ptr_null(strstr(written, "erase"));
    ledger_disconnect(new);
    end();
}
END_TEST

START_TEST(a_refusal_is_told_at_the_proxy_and_at_the_object_until_it_is_cleared)
{
    struct content_hash version = {"v"};
    begin();
    verdict("routes/r0", true, 7, "");
    struct ledger_client *client = connect_node("p");
    flush();
    written[0] = '\0';
    ledger_refuse(client, RESOURCE_ROUTES, STR("public"), &version, STR("it is bad"), 5);
    flush();
    ck_assert_ptr_nonnull(strstr(written,
                                 "\"refused_by\":[{\"proxy\":\"p\",\"resource\":\"RDS public\","
                                 "\"message\":\"it is bad\"}],\"refused_by_count\":1}"));
    ck_assert_ptr_nonnull(strstr(written, "put proxies/p "));
    written[0] = '\0';
    ledger_disconnect(client);
    flush();
    ck_assert_ptr_nonnull(strstr(written, OK("routes/r0", "7", "")));
    end();
}
END_TEST

START_TEST(a_refusal_is_blamed_on_the_object_that_the_text_names)
{
    struct content_hash version = {"v"};
    begin();
    objects_per_resource = 3;
    verdict("routes/r0", true, 1, ""), verdict("routes/r1", true, 1, "");
    struct ledger_client *client = connect_node("");
    flush();
    written[0] = '\0';
    ledger_refuse(client, RESOURCE_ROUTES, STR("public"), &version, STR("route r1: bad"), 5);
    flush();
    ck_assert_ptr_null(strstr(written, "routes/r0"));
    ck_assert_ptr_nonnull(strstr(written, "put routes/r1 "));
    ledger_disconnect(client);
    end();
}
END_TEST

START_TEST(a_refusal_that_could_be_of_too_many_objects_is_blamed_on_the_gateway)
{
    struct content_hash version = {"v"};
    begin();
    objects_per_resource = STATUS_BLAMED_MAX + 1;
    verdict("routes/r0", true, 1, ""), verdict("gateways/public", true, 1, "");
    struct ledger_client *client = connect_node("");
    flush();
    written[0] = '\0';
    ledger_refuse(client, RESOURCE_ROUTES, STR("public"), &version, STR("bad"), 5);
    flush();
    ck_assert_ptr_null(strstr(written, "routes/r0"));
    ck_assert_ptr_nonnull(strstr(written, "put gateways/public "));
    ledger_disconnect(client);
    end();
}
END_TEST

START_TEST(a_proxy_that_refuses_everything_costs_bounded_memory)
{
    struct content_hash version = {"v"};
    begin();
    struct ledger_client *client = connect_node("p");
    char text[2 * LEDGER_TEXT_BYTES_MAX];
    memset(text, 'x', sizeof text);
    for (int i = 0; i < LEDGER_REFUSALS_MAX + 10; i++) {
        char name[16];
        snprintf(name, sizeof name, "n%d", i);
        ledger_refuse(client, RESOURCE_CLUSTER, str_from(name), &version,
                      (struct str){.data = text, .len = sizeof text}, 1);
    }
    ck_assert_uint_eq(client->refusal_count, LEDGER_REFUSALS_MAX);
    flush(); /* a document of bounded size */
    ck_assert_ptr_nonnull(strstr(written, "put proxies/p "));
    ledger_disconnect(client);
    end();
}
END_TEST

/* An operator wrote /weir/v1/proxies/p: an object of an unknown kind. */
START_TEST(a_proxys_words_are_cut_between_characters)
{
    struct content_hash version = {"v"};
    char text[LEDGER_TEXT_BYTES_MAX + 8];
    begin();
    struct ledger_client *client = connect_node("p");
    memset(text, 'x', sizeof text);
    memcpy(text + LEDGER_TEXT_BYTES_MAX - 2, "\xe2\x82\xac", 3); /* the euro sign */
    ledger_refuse(client, RESOURCE_ROUTES, STR("public"), &version,
                  (struct str){.data = text, .len = sizeof text}, 5);
    flush();
    ck_assert_ptr_nonnull(strstr(written, "xxx\"}]"));
    ledger_disconnect(client);
    end();
}
END_TEST

START_TEST(an_object_called_like_a_proxy_does_not_touch_its_document)
{
    begin();
    verdict("proxies/p", false, 3, "proxies/p: unknown kind");
    flush();
    ck_assert_str_eq(written, "");
    struct ledger_client *client = connect_node("p");
    flush();
    ck_assert_ptr_nonnull(strstr(written, "put proxies/p {\"node_id\":\"p\""));
    written[0] = '\0';
    status_take_verdict(&(struct model_verdict){.key = STR("proxies/p"), .is_deleted = true},
                        status);
    flush();
    ck_assert_str_eq(written, "");
    ledger_disconnect(client);
    ck_assert_str_eq(written, "erase proxies/p\n");
    end();
}
END_TEST

START_TEST(a_node_cannot_name_another_key)
{
    struct buf key;
    buf_init(&key, 1024);
    document_key_of_proxy(STR("../routes/users"), &key);
    ck_assert_str_eq_len(buf_str(&key), "proxies/%2E.%2Froutes%2Fusers");
    buf_done(&key);
}
END_TEST

START_TEST(a_text_names_whole_words_only)
{
    struct str text = STR("Error adding/updating cluster(s) users: bad; api.example.com, x.");
    ck_assert(text_names(text, STR("users")));
    ck_assert(text_names(text, STR("api.example.com")));
    ck_assert(text_names(text, STR("x")));
    ck_assert(!text_names(text, STR("user")));
    ck_assert(!text_names(text, STR("example.com")));
    ck_assert(!text_names(text, STR("api")));
    ck_assert(!text_names(text, STR("updating")));
    ck_assert(!text_names(text, STR("")));
    ck_assert(!text_names(STR(""), STR("a")));
}
END_TEST

static size_t count_written(const char *what)
{
    size_t count = 0;
    for (const char *at = written; (at = strstr(at, what)); at++)
        count++;
    return count;
}

START_TEST(an_object_is_live_on_the_proxies_of_its_gateways_that_have_come_as_far)
{
    begin();
    ledger_begin_publication(ledger);
    verdict("routes/r0", true, 7, ""), verdict("services/s", true, 8, "");
    verdict("routes/elsewhere", true, 9, ""), verdict("routes/r1", false, 9, "wrong");
    struct ledger_client *b = connect_node("b"), *a = connect_node("a");
    struct ledger_client *other = connect_to("c", "partner");
    progress(b), progress(other);
    forget_written();
    ledger_begin_publication(ledger);
    progress(a);
    turn();
    ck_assert_ptr_nonnull(
        strstr(written, OK("routes/r0", "7", ",\"live_on\":[\"a\",\"b\"],\"live_on_count\":2")));
    ck_assert_ptr_nonnull(strstr(
        written, OK("services/s", "8", ",\"live_on\":[\"a\",\"b\",\"c\"],\"live_on_count\":3")));
    ck_assert_uint_eq(count_written("put "), 2);
    written[0] = '\0';
    verdict("routes/r0", true, 10, ""); /* b does not have it yet */
    expect_written(OK("routes/r0", "10", ",\"live_on\":[\"a\"],\"live_on_count\":1"));
    progress(b);
    turn();
    ck_assert_str_eq(written,
                     OK("routes/r0", "10", ",\"live_on\":[\"a\",\"b\"],\"live_on_count\":2"));
    ledger_disconnect(a), ledger_disconnect(b), ledger_disconnect(other);
    end();
}
END_TEST

static void others(bool is_complete, const char *key, const char *document)
{
    struct status_written told = {.key = str_from(key)};
    if (document)
        told.value = str_from(document);
    status_take_proxies(status, &told, key[0] ? 1 : 0, is_complete);
    turn();
}

#define PROXY(id, by, version, more)                                                               \
    "{\"node_id\":\"" id "\",\"gateway\":\"public\",\"served_by\":\"" by                           \
    "\",\"version\":\"" version "\"" more "}"

/* A publication in which the gateway's content has this hash. */
static void publish_version(const char *version)
{
    struct content_hash hash = {""};
    memcpy(hash.hex, version, strlen(version));
    ledger_begin_publication(ledger);
    status_note_version(status, &hash);
}

START_TEST(an_object_is_live_on_proxies_of_other_replicas_that_run_what_we_published)
{
    begin();
    publish_version("v1");
    verdict("routes/r0", true, 7, "");
    struct ledger_client *client = connect_node("p");
    progress(client);
    forget_written();
    others(false, "proxies/q", PROXY("q", "you", "v1", ""));
    ck_assert_str_eq(written,
                     OK("routes/r0", "7", ",\"live_on\":[\"p\",\"q\"],\"live_on_count\":2"));
    /* Ahead of us, it has what it had; about our own proxies we know more than the documents. */
    written[0] = '\0';
    others(false, "proxies/q", PROXY("q", "you", "v2", ""));
    others(false, "proxies/p", PROXY("p", "you", "v1", ""));
    others(false, "proxies/o", PROXY("o", "me", "v1", ""));
    others(false, "proxies/x", "garbage");
    ck_assert_str_eq(written, "");
    publish_version("v2");
    verdict("routes/r0", true, 9, "");
    turn();
    ck_assert_str_eq(written, OK("routes/r0", "9", ",\"live_on\":[\"q\"],\"live_on_count\":1"));
    written[0] = '\0';
    others(false, "proxies/q", NULL);
    ck_assert_str_eq(written, OK("routes/r0", "9", ""));
    /* A proxy that leaves us for another replica. */
    ledger_disconnect(client);
    written[0] = '\0';
    others(false, "proxies/p", PROXY("p", "you", "v2", ""));
    ck_assert_str_eq(written, OK("routes/r0", "9", ",\"live_on\":[\"p\"],\"live_on_count\":1"));
    written[0] = '\0';
    others(true, "", NULL);
    ck_assert_str_eq(written, OK("routes/r0", "9", ""));
    end();
}
END_TEST

START_TEST(what_a_proxy_of_another_replica_refuses_is_told_at_the_object)
{
    begin();
    publish_version("v1");
    verdict("routes/r0", true, 7, "");
    publish_version("v2");
    verdict("routes/r0", true, 8, "");
    forget_written();
    others(true, "proxies/q",
           PROXY("q", "you", "v2",
                 ",\"refused\":[{\"proxy\":\"q\",\"resource\":\"RDS public\",\"message\":\"no\","
                 "\"ran\":\"v1\"},{\"resource\":\"XDS public\"},{\"resource\":\"\"}]"));
    ck_assert_str_eq(written, OK("routes/r0", "8",
                                 ",\"refused_by\":[{\"proxy\":\"q\",\"resource\":\"RDS public\","
                                 "\"message\":\"no\"}],\"refused_by_count\":1"));
    written[0] = '\0';
    others(false, "proxies/q", PROXY("q", "you", "v2", ""));
    ck_assert_str_eq(written, OK("routes/r0", "8", ",\"live_on\":[\"q\"],\"live_on_count\":1"));
    end();
}
END_TEST

START_TEST(the_last_good_version_of_an_object_stays_live)
{
    begin();
    ledger_begin_publication(ledger);
    verdict("routes/r0", true, 7, "");
    struct ledger_client *client = connect_node("p");
    progress(client);
    forget_written();
    ledger_begin_publication(ledger);
    status_take_verdict(
        &(struct model_verdict){
            .key = STR("routes/r0"), .is_using_last_good = true, .revision = 8, .message = "no"},
        status);
    flush();
    ck_assert_ptr_nonnull(strstr(written, "\"is_using_last_good\":true,\"revision\":\"8\","
                                          "\"live_on\":[\"p\"],\"live_on_count\":1}"));
    ledger_disconnect(client);
    end();
}
END_TEST

START_TEST(what_a_proxy_refused_is_not_live_on_it_but_what_it_had_before_is)
{
    struct content_hash version = {"v"};
    begin();
    objects_per_resource = 2;
    ledger_begin_publication(ledger);
    verdict("routes/r0", true, 1, ""), verdict("routes/r1", true, 2, "");
    struct ledger_client *good = connect_node("good"), *bad = connect_node("bad");
    progress(good), progress(bad);
    forget_written();
    ledger_begin_publication(ledger);
    verdict("routes/r1", true, 3, "");
    ledger_refuse(bad, RESOURCE_ROUTES, STR("public"), &version, STR("route r1: bad"), 5);
    progress(good), progress(bad);
    flush();
    ck_assert_ptr_nonnull(
        strstr(written, OK("routes/r1", "3",
                           ",\"live_on\":[\"good\"],\"live_on_count\":1,\"refused_by\":[{\"proxy\":"
                           "\"bad\",\"resource\":\"RDS public\",\"message\":\"route r1: bad\"}],"
                           "\"refused_by_count\":1")));
    ck_assert_ptr_null(strstr(written, "put routes/r0"));
    ledger_disconnect(good), ledger_disconnect(bad);
    end();
}
END_TEST

START_TEST(where_objects_are_live_is_told_newest_first_and_not_all_at_once)
{
    enum { COUNT = 500, PER_TURN = STATUS_LIVE_WRITES_PER_S / STATUS_TURNS_PER_S };
    char key[32];
    begin();
    routes_of_public = COUNT;
    ledger_begin_publication(ledger);
    for (int i = 0; i < COUNT; i++) {
        snprintf(key, sizeof key, "routes/r%d", i);
        verdict(key, true, i + 1, "");
    }
    forget_written();
    struct ledger_client *client = connect_node("p");
    progress(client);
    turn();
    ck_assert_uint_eq(count_written("put routes/"), PER_TURN);
    ck_assert_ptr_nonnull(strstr(written, "put routes/r499 "));
    ck_assert_ptr_null(strstr(written, "put routes/r10 "));
    for (int i = PER_TURN; i < COUNT; i += PER_TURN)
        turn();
    ck_assert_uint_eq(count_written("put routes/"), COUNT);
    turn();
    ck_assert_uint_eq(count_written("put routes/"), COUNT);
    ledger_disconnect(client);
    end();
}
END_TEST

START_TEST(at_most_a_hundred_proxies_are_listed_and_all_counted)
{
    enum { COUNT = STATUS_LIVE_ON_MAX + 20 };
    struct ledger_client *clients[COUNT];
    begin();
    ledger_begin_publication(ledger);
    for (int i = 0; i < COUNT; i++) {
        char id[16];
        snprintf(id, sizeof id, "p%03d", i);
        clients[i] = connect_node(id);
        progress(clients[i]);
    }
    forget_written();
    verdict("routes/r0", true, 1, "");
    flush();
    ck_assert_ptr_nonnull(strstr(written, "\"p099\"],\"live_on_count\":120}"));
    for (int i = 0; i < COUNT; i++)
        ledger_disconnect(clients[i]);
    end();
}
END_TEST

START_TEST(nothing_is_told_about_proxies_that_leave_while_we_stop)
{
    begin();
    ledger_begin_publication(ledger);
    verdict("routes/r0", true, 1, "");
    struct ledger_client *client = connect_node("p");
    progress(client);
    forget_written();
    status_close(status);
    ledger_disconnect(client);
    turn();
    status_flush(status);
    ck_assert_str_eq(written, "erase proxies/p\n");
    end();
}
END_TEST

START_TEST(a_document_that_the_replica_which_the_proxy_has_left_deletes_is_written_again)
{
    begin();
    struct ledger_client *client = connect_node("p");
    turn();
    ck_assert_uint_eq(count_written("put proxies/p "), 1);
    written[0] = '\0';
    others(false, "proxies/p", PROXY("p", "you", "v1", "")); /* it has not noticed yet */
    others(false, "proxies/q", NULL);
    ck_assert_str_eq(written, "");
    others(false, "proxies/p", NULL);
    ck_assert_uint_eq(count_written("put proxies/p "), 1);
    turn();
    ck_assert_uint_eq(count_written("put proxies/p "), 1);
    others(true, "", NULL);
    ck_assert_uint_eq(count_written("put proxies/p "), 2);
    others(true, "proxies/p", PROXY("p", "me", "", ""));
    ck_assert_uint_eq(count_written("put proxies/p "), 2);
    ledger_disconnect(client);
    end();
}
END_TEST

START_TEST(documents_of_others_in_the_wrong_place_are_about_nobody)
{
    begin();
    publish_version("v1");
    verdict("routes/r0", true, 7, "");
    forget_written();
    others(false, "proxies/q", PROXY("q", "you", "v1", ""));
    written[0] = '\0';
    others(false, "proxies/x", PROXY("q", "you", "v1", ""));
    others(false, "proxies/", PROXY("", "you", "v1", ""));
    ck_assert_str_eq(written, "");
    end();
}
END_TEST

START_TEST(documents_of_others_cost_bounded_memory)
{
    enum { REFUSALS = 10 * 1000 };
    char *document = mem_alloc(REFUSALS * 3 + 256);
    begin();
    char *at = document + snprintf(document, 256, "%s",
                                   "{\"node_id\":\"q\",\"served_by\":\"you\",\"refused\":[");
    for (int i = 0; i < REFUSALS; i++)
        at += snprintf(at, 4, "%s{}", i ? "," : "");
    snprintf(at, 3, "]}");
    others(false, "proxies/q", document);
    ck_assert_uint_eq(status->others.len, 1);
    ck_assert_uint_lt(status->others_bytes, 4096);
    size_t one = status->others_bytes;
    status->others_bytes += 256 * 1024 * 1024; /* as if there were many */
    others(false, "proxies/r", PROXY("r", "you", "v1", ""));
    ck_assert_uint_eq(status->others.len, 1);
    status->others_bytes = one;
    others(false, "proxies/q", NULL);
    ck_assert_uint_eq(status->others_bytes, 0);
    mem_free(document);
    end();
}
END_TEST

START_TEST(refusals_are_listed_in_one_order_whoever_came_first)
{
    struct content_hash version = {"v"};
    struct ledger_client *clients[3];
    static const char *const ids[] = {"b", "c", "a"};
    begin();
    publish_version("v1");
    verdict("routes/r0", true, 1, "");
    for (int i = 0; i < 3; i++) {
        clients[i] = connect_node(ids[i]);
        ledger_refuse(clients[i], RESOURCE_ROUTES, STR("public"), &version, STR("no"), 5);
        ledger_refuse(clients[i], RESOURCE_LISTENER, STR("public/http"), &version, STR("no"), 5);
    }
    flush();
    const char *at = strstr(written, "put routes/r0 ");
    ck_assert_ptr_nonnull(at);
    for (int i = 0; i < 6; i++) {
        char expected[64];
        snprintf(expected, sizeof expected, "{\"proxy\":\"%c\",\"resource\":\"%s", 'a' + i % 3,
                 i < 3 ? "LDS public/http" : "RDS public");
        at = strstr(at, "{\"proxy\"");
        ck_assert_ptr_nonnull(at);
        ck_assert_msg(strncmp(at, expected, strlen(expected)) == 0, "%s", written);
        at++;
    }
    for (int i = 0; i < 3; i++)
        ledger_disconnect(clients[i]);
    end();
}
END_TEST

/* --- documents of before
 * --------------------------------------------------------------------------- */

#define BEFORE(key_text, value_text)                                                               \
    {                                                                                              \
        .key = STR(key_text), .value = STR(value_text)                                             \
    }

START_TEST(documents_of_before_are_kept_where_they_are_true_and_deleted_where_they_are_not)
{
    static const struct status_written before[] = {
        BEFORE("proxies/mine", "{\"node_id\":\"mine\",\"served_by\":\"me\"}"),
        BEFORE("proxies/theirs", "{\"node_id\":\"theirs\",\"served_by\":\"another\"}"),
        BEFORE("routes/gone", "{\"accepted\":true,\"revision\":\"1\"}"),
        BEFORE("routes/nonsense", "what is this"),
        BEFORE("routes/old", "{\"accepted\":true,\"revision\":\"6\"}"),
        BEFORE("routes/same", "{\"accepted\":true,\"revision\":\"7\","
                              "\"updated\":\"2026-01-01T00:00:00Z\",\"later\":1}"),
    };
    begin();
    verdict("routes/same", true, 7, ""), verdict("routes/old", true, 7, "");
    verdict("routes/nonsense", true, 7, "");
    status_take_written(status, before, 6);
    flush();
    ck_assert_ptr_nonnull(strstr(written, "erase proxies/mine\n"));
    ck_assert_ptr_nonnull(strstr(written, "erase routes/gone\n"));
    ck_assert_ptr_nonnull(strstr(written, OK("routes/old", "7", "")));
    ck_assert_ptr_nonnull(strstr(written, OK("routes/nonsense", "7", "")));
    ck_assert_ptr_null(strstr(written, "routes/same"));
    ck_assert_ptr_null(strstr(written, "theirs"));
    end();
}
END_TEST

START_TEST(after_a_start_objects_are_not_told_to_be_live_nowhere_before_proxies_had_time)
{
    static const struct status_written before[] = {
        BEFORE("routes/r0", "{\"accepted\":true,\"revision\":\"7\",\"live_on\":[\"p\"],"
                            "\"live_on_count\":1}"),
        BEFORE("routes/r1", "{\"accepted\":true,\"revision\":\"7\",\"live_on\":[\"q\"],"
                            "\"live_on_count\":1}"),
    };
    begin();
    ledger_begin_publication(ledger);
    verdict("routes/r0", true, 7, ""), verdict("routes/r1", true, 7, "");
    status_take_written(status, before, 2);
    flush();
    turn();
    ck_assert_str_eq(written, "");
    struct ledger_client *client = connect_node("p");
    progress(client);
    forget_written();
    status->start_ms -= STATUS_LIVE_GRACE_MS;
    turn();
    ck_assert_str_eq(written, OK("routes/r1", "7", ",\"live_on\":[\"p\"],\"live_on_count\":1"));
    ledger_disconnect(client);
    end();
}
END_TEST

START_TEST(nothing_is_written_before_the_documents_of_before_are_known_unless_that_takes_long)
{
    begin();
    status->write_after_ms = clock_monotonic_ms() + STATUS_WRITTEN_WAIT_MS;
    verdict("routes/r0", true, 7, "");
    turn();
    ck_assert_str_eq(written, "");
    status->write_after_ms = clock_monotonic_ms();
    turn();
    ck_assert_str_eq(written, OK("routes/r0", "7", ""));
    end();
}
END_TEST

TEST_MAIN("status", verdicts_are_written_once_and_when_they_change,
          statuses_of_vanished_objects_are_deleted, objects_are_counted_by_kind_and_verdict,
          a_proxy_has_a_document_while_it_is_connected,
          a_proxy_that_reconnects_before_its_old_stream_ends_keeps_its_document,
          a_refusal_is_told_at_the_proxy_and_at_the_object_until_it_is_cleared,
          a_refusal_is_blamed_on_the_object_that_the_text_names,
          a_refusal_that_could_be_of_too_many_objects_is_blamed_on_the_gateway,
          a_proxy_that_refuses_everything_costs_bounded_memory,
          a_proxys_words_are_cut_between_characters,
          an_object_called_like_a_proxy_does_not_touch_its_document, a_node_cannot_name_another_key,
          a_text_names_whole_words_only,
          an_object_is_live_on_the_proxies_of_its_gateways_that_have_come_as_far,
          an_object_is_live_on_proxies_of_other_replicas_that_run_what_we_published,
          what_a_proxy_of_another_replica_refuses_is_told_at_the_object,
          the_last_good_version_of_an_object_stays_live,
          what_a_proxy_refused_is_not_live_on_it_but_what_it_had_before_is,
          where_objects_are_live_is_told_newest_first_and_not_all_at_once,
          at_most_a_hundred_proxies_are_listed_and_all_counted,
          nothing_is_told_about_proxies_that_leave_while_we_stop,
          a_document_that_the_replica_which_the_proxy_has_left_deletes_is_written_again,
          documents_of_others_in_the_wrong_place_are_about_nobody,
          documents_of_others_cost_bounded_memory,
          refusals_are_listed_in_one_order_whoever_came_first,
          documents_of_before_are_kept_where_they_are_true_and_deleted_where_they_are_not,
          after_a_start_objects_are_not_told_to_be_live_nowhere_before_proxies_had_time,
          nothing_is_written_before_the_documents_of_before_are_known_unless_that_takes_long)
