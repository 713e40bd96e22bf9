/* Statuses of before, and those that go with us, against a real etcd. */
#include "common/base/mem.h"
#include "controlplane/source/source_internal.h"
#include "tests/support/etcd.h"
#include "tests/support/loop_until.h"
#include "tests/support/test.h"

#include <etcd/rpc.pb-c.h>
#include <stdio.h>

static struct etcd_server etcd;
static struct loop *loop;
static struct rpc_runtime *runtime;
static struct etcd_access etcd_client;
static struct source *source;
static char told[4096]; /* "key=value;" of each status document */
static size_t told_count, told_times;
static bool is_told;

static void on_snapshot(void *arg, const struct source_entry *entries, size_t count,
                        int64_t revision, bool is_stale)
{
    (void)arg, (void)entries, (void)count, (void)revision, (void)is_stale;
}

static void on_changes(void *arg, const struct source_change *changes, size_t count,
                       int64_t revision)
{
    (void)arg, (void)changes, (void)count, (void)revision;
}

static void on_state(void *arg, enum source_state state, const char *detail)
{
    (void)arg, (void)state, (void)detail;
}

static void on_statuses(void *arg, const struct source_status *documents, size_t count)
{
    (void)arg;
    is_told = true;
    told_times++;
    told_count = count;
    for (size_t i = 0, len = 0; i < count && count < 10; i++, len = strlen(told))
        snprintf(told + len, sizeof told - len, "%.*s=%.*s;", STR_ARGS(documents[i].key),
                 STR_ARGS(documents[i].value));
}

static char followed[4096]; /* "all:" or "", then "key=value;" or "-key;" of each document */

static void on_followed(void *arg, const struct source_status *documents, size_t count,
                        bool is_complete)
{
    (void)arg;
    size_t len = strlen(followed);
    if (is_complete)
        len += (size_t)snprintf(followed + len, sizeof followed - len, "all:");
    for (size_t i = 0; i < count; i++) {
        const struct source_status *document = &documents[i];
        bool is_deleted = !document->value.data;
        len += (size_t)snprintf(followed + len, sizeof followed - len, "%s%.*s%s%.*s;",
                                is_deleted ? "-" : "", STR_ARGS(document->key),
                                is_deleted ? "" : "=", STR_ARGS(document->value));
    }
}

static bool is_followed(void *arg)
{
    return strcmp(followed, arg) == 0;
}

static void expect_followed(const char *text)
{
    ck_assert_msg(loop_until(loop, 30000, is_followed, (void *)(uintptr_t)text), "%s", followed);
    followed[0] = '\0';
}

static void begin(void)
{
    etcd_server_start(&etcd, NULL);
    loop = loop_new();
    runtime = rpc_runtime_new(loop);
    etcd_access_init(&etcd_client, runtime, &etcd);
}

static void start(void)
{
    static const struct source_listener listener = {.on_snapshot = on_snapshot,
                                                    .on_changes = on_changes,
                                                    .on_state = on_state,
                                                    .on_statuses = on_statuses,
                                                    .on_followed = on_followed};
    const char *endpoints[] = {etcd.endpoint};
    struct errmsg msg = {""};
    source = source_etcd_new(runtime,
                             &(struct source_etcd_options){.endpoints = endpoints,
                                                           .endpoint_count = 1,
                                                           .status_prefix = "/weir/status/v1/",
                                                           .followed = "proxies/"},
                             &listener, NULL, &msg);
    ck_assert_msg(source != NULL, "%s", msg.text);
    source_start(source);
}

static void end(void)
{
    source_stop(source);
    source_free(source);
    etcd_access_done(&etcd_client);
    rpc_runtime_free(runtime);
    loop_free(loop);
    etcd_server_stop(&etcd);
}

/* The lease that the key hangs on; -1: there is no such key. */
static int64_t lease_of(const char *key)
{
    struct buf answer;
    buf_init(&answer, 64 * 1024);
    Etcdserverpb__RangeRequest request = ETCDSERVERPB__RANGE_REQUEST__INIT;
    request.key = (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)key, .len = strlen(key)};
    etcd_request(&etcd_client, "KV/Range", &request.base, &answer);
    Etcdserverpb__RangeResponse *response =
        etcdserverpb__range_response__unpack(NULL, answer.len, (const uint8_t *)answer.data);
    ck_assert_ptr_nonnull(response);
    int64_t lease = response->n_kvs ? response->kvs[0]->lease : -1;
    etcdserverpb__range_response__free_unpacked(response, NULL);
    buf_done(&answer);
    return lease;
}

static int64_t wait_for_lease(const char *key, int64_t other_than)
{
    for (int i = 0; i < 200; i++) {
        int64_t lease = lease_of(key);
        if (lease > 0 && lease != other_than)
            return lease;
        loop_for(loop, 50);
    }
    ck_abort_msg("%s hangs on no lease", key);
    return 0;
}

START_TEST(the_documents_that_are_there_are_told_once)
{
    begin();
    etcd_put(&etcd_client, "/weir/status/v1/routes/a", STR("1"));
    etcd_put(&etcd_client, "/weir/status/v1/proxies/p", STR("2"));
    etcd_put(&etcd_client, "/weir/status/v10/other", STR("3"));
    start();
    ck_assert(loop_until_flag(loop, 15000, &is_told));
    ck_assert_str_eq(told, "proxies/p=2;routes/a=1;");
    is_told = false;
    etcd_server_kill(&etcd);
    etcd_server_restart(&etcd);
    ck_assert(!loop_until_flag(loop, 3000, &is_told));
    end();
}
END_TEST

START_TEST(many_documents_come_in_pages_and_are_told_together)
{
    begin();
    for (int i = 0; i < 11; i++) {
        char prefix[64];
        snprintf(prefix, sizeof prefix, "/weir/status/v1/routes/%d-", i);
        etcd_put_many(&etcd_client, prefix, 100, STR("x"));
    }
    start();
    ck_assert(loop_until_flag(loop, 15000, &is_told));
    ck_assert_uint_eq(told_count, 1100);
    ck_assert_uint_eq(told_times, 1);
    end();
}
END_TEST

START_TEST(passing_statuses_hang_on_a_lease_and_come_back_when_it_is_lost)
{
    begin();
    start();
    source_put_passing_status(source, STR("proxies/p"), STR("1"));
    source_put_status(source, STR("routes/a"), STR("1"));
    int64_t lease = wait_for_lease("/weir/status/v1/proxies/p", 0);
    ck_assert_int_eq(lease_of("/weir/status/v1/routes/a"), 0);
    Etcdserverpb__LeaseRevokeRequest revoke = ETCDSERVERPB__LEASE_REVOKE_REQUEST__INIT;
    revoke.id = lease;
    etcd_request(&etcd_client, "Lease/LeaseRevoke", &revoke.base, NULL);
    ck_assert_int_eq(lease_of("/weir/status/v1/proxies/p"), -1);
    source_put_passing_status(source, STR("proxies/q"), STR("1")); /* notices */
    wait_for_lease("/weir/status/v1/proxies/p", lease);
    wait_for_lease("/weir/status/v1/proxies/q", lease);
    source_delete_status(source, STR("proxies/p"));
    for (int i = 0; i < 100 && lease_of("/weir/status/v1/proxies/p") >= 0; i++)
        loop_for(loop, 50);
    ck_assert_int_eq(lease_of("/weir/status/v1/proxies/p"), -1);
    end();
}
END_TEST

START_TEST(what_others_write_is_followed_and_read_anew_when_something_was_missed)
{
    begin();
    etcd_put(&etcd_client, "/weir/status/v1/proxies/p", STR("1"));
    etcd_put(&etcd_client, "/weir/status/v1/routes/a", STR("1"));
    etcd_put(&etcd_client, "/weir/status/v1/proxies0", STR("1"));
    start();
    expect_followed("all:proxies/p=1;");
    etcd_put(&etcd_client, "/weir/status/v1/proxies/q", STR("2"));
    expect_followed("proxies/q=2;");
    etcd_put(&etcd_client, "/weir/status/v1/proxies/q", STR(""));
    expect_followed("proxies/q=;");
    etcd_delete(&etcd_client, "/weir/status/v1/proxies/p");
    expect_followed("-proxies/p;");
    etcd_server_kill(&etcd);
    etcd_server_restart(&etcd);
    expect_followed("all:proxies/q=;");
    etcd_put(&etcd_client, "/weir/status/v1/proxies/r", STR("3"));
    expect_followed("proxies/r=3;");
    end();
}
END_TEST

START_TEST(a_document_longer_than_any_of_ours_is_followed_as_an_empty_one)
{
    size_t len = SOURCE_STATUS_BYTES_MAX + 1;
    char *value = mem_alloc_zero(1, len);
    memset(value, 'x', len);
    begin();
    etcd_put(&etcd_client, "/weir/status/v1/proxies/p", (struct str){.data = value, .len = len});
    start();
    expect_followed("all:proxies/p=;");
    etcd_put(&etcd_client, "/weir/status/v1/proxies/q", (struct str){.data = value, .len = len});
    expect_followed("proxies/q=;");
    end();
    mem_free(value);
}
END_TEST

TEST_MAIN("etcd statuses", the_documents_that_are_there_are_told_once,
          many_documents_come_in_pages_and_are_told_together,
          passing_statuses_hang_on_a_lease_and_come_back_when_it_is_lost,
          what_others_write_is_followed_and_read_anew_when_something_was_missed,
          a_document_longer_than_any_of_ours_is_followed_as_an_empty_one)
