#include "tests/support/test.h"

#include "common/io/loop.h"
#include "controlplane/status/documents.h"
#include "controlplane/status/status.h"
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
    size_t len = strlen(written);
    snprintf(written + len, sizeof written - len, "put %.*s %.*s\n", STR_ARGS(key),
             STR_ARGS(value));
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

static void begin(void)
{
    loop = loop_new();
    ledger = ledger_new();
    status = status_new(loop, ledger,
                        &(struct status_options){
                            .sink = {.put = on_put, .erase = on_erase},
                            .served_by = "me",
                            .objects_of = objects_of,
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

static struct ledger_client *connect_node(const char *id)
{
    return ledger_connect(ledger, &(struct ledger_client){.node_id = str_from(id),
                                                          .gateway = STR("public"),
                                                          .user_agent = STR("envoy 1.40.0"),
                                                          .address = STR("ipv4:1.2.3.4:5"),
                                                          .since_us = 1000000});
}

#define expect_written(text)                                                                       \
    do {                                                                                           \
        status_flush(status);                                                                      \
        ck_assert_str_eq(written, text);                                                           \
        written[0] = '\0';                                                                         \
    } while (0)

START_TEST(verdicts_are_written_once_and_when_they_change)
{
    begin();
    verdict("routes/users", true, 7, "");
    expect_written("put routes/users {\"accepted\":true,\"revision\":\"7\"}\n");
    verdict("routes/users", true, 7, "");
    expect_written("");
    verdict("routes/users", false, 8, "routes/users: wrong");
    expect_written("put routes/users {\"message\":\"routes/users: wrong\",\"revision\":\"8\","
                   "\"warnings\":[\"one warning\"]}\n");
    end();
}
END_TEST

START_TEST(statuses_of_vanished_objects_are_deleted)
{
    begin();
    verdict("routes/users", true, 7, "");
    expect_written("put routes/users {\"accepted\":true,\"revision\":\"7\"}\n");
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
    status_flush(status);
    ck_assert_msg(strncmp(written, "put proxies/edge%2F1 {\"node_id\":\"edge/1\"", 40) == 0, "%s",
                  written);
    ck_assert_ptr_nonnull(strstr(written, "\"served_by\":\"me\""));
    ck_assert_ptr_null(strstr(written, "in_sync"));
    written[0] = '\0';
    ledger_progress(client, 12, true);
    status_flush(status);
    ck_assert_ptr_nonnull(strstr(written, "\"in_sync\":true,\"revision\":\"12\""));
    written[0] = '\0';
    ledger_progress(client, 12, true);
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
    status_flush(status);
    struct ledger_client *new = connect_node("p");
    status_flush(status);
    written[0] = '\0';
    ledger_disconnect(old);
    status_flush(status);
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
    status_flush(status);
    written[0] = '\0';
    ledger_refuse(client, RESOURCE_ROUTES, STR("public"), &version, STR("it is bad"), 5);
    status_flush(status);
    ck_assert_ptr_nonnull(strstr(written,
                                 "\"refused_by\":[{\"proxy\":\"p\",\"resource\":\"RDS public\","
                                 "\"message\":\"it is bad\"}],\"refused_by_count\":1}"));
    ck_assert_ptr_nonnull(strstr(written, "put proxies/p "));
    written[0] = '\0';
    ledger_disconnect(client);
    status_flush(status);
    ck_assert_ptr_nonnull(
        strstr(written, "put routes/r0 {\"accepted\":true,\"revision\":\"7\"}\n"));
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
    status_flush(status);
    written[0] = '\0';
    ledger_refuse(client, RESOURCE_ROUTES, STR("public"), &version, STR("route r1: bad"), 5);
    status_flush(status);
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
    status_flush(status);
    written[0] = '\0';
    ledger_refuse(client, RESOURCE_ROUTES, STR("public"), &version, STR("bad"), 5);
    status_flush(status);
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
    status_flush(status); /* a document of bounded size */
    ck_assert_ptr_nonnull(strstr(written, "put proxies/p "));
    ledger_disconnect(client);
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

TEST_MAIN("status", verdicts_are_written_once_and_when_they_change,
          statuses_of_vanished_objects_are_deleted, objects_are_counted_by_kind_and_verdict,
          a_proxy_has_a_document_while_it_is_connected,
          a_proxy_that_reconnects_before_its_old_stream_ends_keeps_its_document,
          a_refusal_is_told_at_the_proxy_and_at_the_object_until_it_is_cleared,
          a_refusal_is_blamed_on_the_object_that_the_text_names,
          a_refusal_that_could_be_of_too_many_objects_is_blamed_on_the_gateway,
          a_proxy_that_refuses_everything_costs_bounded_memory, a_node_cannot_name_another_key,
          a_text_names_whole_words_only)
