/* The etcd source against a real etcd. */
#include "common/base/mem.h"
#include "common/io/file.h"
#include "controlplane/source/source.h"
#include "tests/support/etcd.h"
#include "tests/support/loop_until.h"
#include "tests/support/pki.h"
#include "tests/support/source_log.h"
#include "tests/support/temp_folder.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

struct world {
    struct etcd_server etcd;
    struct loop *loop;
    struct rpc_runtime *runtime;
    struct etcd_access access;
    struct source_log log;
    struct source *source;
    struct source_etcd_options options;
    const char *endpoints[2];
    char copy_path[128];
};

static void world_init_gateway(struct world *world)
{
    world->loop = loop_new();
    world->runtime = rpc_runtime_new(world->loop);
    world->log.loop = world->loop;
    world->endpoints[0] = world->etcd.endpoint;
    world->options = (struct source_etcd_options){.endpoints = world->endpoints,
                                                  .endpoint_count = 1,
                                                  .prefix = "/weir/v1",
                                                  .status_prefix = "/weir/status/v1/",
                                                  .settle_ms = 300};
    snprintf(world->copy_path, sizeof world->copy_path, "%s/copy", world->etcd.directory);
}

/* An etcd, and a client of the test's own. */
static void world_init(struct world *world, const char *const *etcd_args)
{
    *world = (struct world){0};
    etcd_server_start(&world->etcd, etcd_args);
    world_init_gateway(world);
    etcd_access_init(&world->access, world->runtime, &world->etcd);
}

static void start_source(struct world *world)
{
    struct errmsg msg = {""};
    world->source =
        source_etcd_new(world->runtime, &world->options, &source_log_listener, &world->log, &msg);
    ck_assert_msg(world->source != NULL, "%s", msg.text);
    source_start(world->source);
}

static void stop_source(struct world *world)
{
    source_stop(world->source);
    source_free(world->source);
    source_log_done(&world->log);
    world->source = NULL;
    world->log = (struct source_log){.loop = world->loop};
}

static void world_done(struct world *world)
{
    if (world->source)
        stop_source(world);
    if (world->access.channel)
        etcd_access_done(&world->access);
    rpc_runtime_free(world->runtime);
    loop_free(world->loop);
    etcd_server_stop(&world->etcd);
}

static void put(struct world *world, const char *key, const char *value)
{
    char path[128];
    snprintf(path, sizeof path, "/weir/v1/%s", key);
    etcd_put(&world->access, path, str_from(value));
}

static void start_synced(struct world *world)
{
    start_source(world);
    source_log_wait_state(&world->log, SOURCE_SYNCED, 15000);
}

START_TEST(what_is_there_is_delivered_and_then_what_changes)
{
    struct world world;
    world_init(&world, NULL);
    put(&world, "routes/users", "{\"a\":1}");
    put(&world, "endpoints/users/1", "{}");
    etcd_put(&world.access, "/weir/v10/other", STR("no"));
    start_synced(&world);
    ck_assert_uint_eq(world.log.snapshots, 1);
    ck_assert(!world.log.is_stale);
    ck_assert_uint_eq(world.log.objects.len, 2);
    ck_assert_str_eq(source_log_find(&world.log, "routes/users")->value, "{\"a\":1}");
    ck_assert_str_eq(source_log_find(&world.log, "endpoints/users/1")->value, "{}");

    put(&world, "routes/users", "{\"a\":2}");
    source_log_wait_value(&world.log, "routes/users", "{\"a\":2}");
    int64_t revision = etcd_delete(&world.access, "/weir/v1/endpoints/users/1");
    source_log_wait_value(&world.log, "endpoints/users/1", NULL);
    ck_assert_int_eq(world.log.revision, revision);
    ck_assert_uint_eq(world.log.changes, 2);
    ck_assert_uint_eq(world.log.snapshots, 1);
    world_done(&world);
}
END_TEST

START_TEST(many_objects_are_read_in_pages)
{
    struct world world;
    world_init(&world, NULL);
    for (int i = 0; i < 10; i++) {
        char prefix[64];
        snprintf(prefix, sizeof prefix, "/weir/v1/routes/r%d-", i);
        etcd_put_many(&world.access, prefix, 100, STR("{}"));
    }
    world.options.page_keys = 7;
    start_synced(&world);
    ck_assert_uint_eq(world.log.objects.len, 1000);
    ck_assert_uint_eq(world.log.snapshots, 1);
    world_done(&world);
}
END_TEST

START_TEST(a_transaction_is_one_call)
{
    struct world world;
    world_init(&world, NULL);
    start_synced(&world);
    int64_t revision = etcd_put_many(&world.access, "/weir/v1/routes/r", 100, STR("{}"));
    source_log_wait_value(&world.log, "routes/r99", "{}");
    ck_assert_uint_eq(world.log.changes, 1);
    ck_assert_uint_eq(world.log.last_change_count, 100);
    ck_assert_int_eq(world.log.revision, revision);
    ck_assert_int_eq(source_log_find(&world.log, "routes/r5")->mod_revision, revision);
    world_done(&world);
}
END_TEST

START_TEST(after_a_restart_of_etcd_it_goes_on_where_it_was)
{
    struct world world;
    world_init(&world, NULL);
    put(&world, "routes/a", "1");
    start_synced(&world);
    etcd_server_kill(&world.etcd);
    source_log_wait_state(&world.log, SOURCE_DISCONNECTED, 10000);
    ck_assert_ptr_nonnull(strstr(world.log.detail, "serving revision"));
    loop_for(world.loop, 1500);
    etcd_server_restart(&world.etcd);
    /* More than fits into one watch response, so that it comes in fragments. */
    static char value[300 * 1024];
    memset(value, 'v', sizeof value);
    for (int i = 0; i < 10; i++) {
        char key[64];
        snprintf(key, sizeof key, "/weir/v1/routes/big%d", i);
        etcd_put(&world.access, key, (struct str){.data = value, .len = sizeof value});
    }
    put(&world, "routes/a", "2");
    source_log_wait_value(&world.log, "routes/a", "2");
    source_log_wait_state(&world.log, SOURCE_SYNCED, 10000);
    ck_assert_uint_eq(world.log.objects.len, 11);
    ck_assert_uint_eq(source_log_find(&world.log, "routes/big9")->len, sizeof value);
    ck_assert_uint_eq(world.log.snapshots, 1);
    world_done(&world);
}
END_TEST

START_TEST(what_was_compacted_away_while_it_was_gone_is_read_anew)
{
    struct world world;
    world_init(&world, NULL);
    put(&world, "routes/stays", "1");
    put(&world, "routes/goes", "1");
    start_synced(&world);
    etcd_server_kill(&world.etcd);
    source_log_wait_state(&world.log, SOURCE_DISCONNECTED, 10000);
    loop_for(world.loop, 1500);
    etcd_server_restart(&world.etcd);
    etcd_delete(&world.access, "/weir/v1/routes/goes");
    put(&world, "routes/comes", "1");
    for (int i = 0; i < 5; i++)
        etcd_put(&world.access, "/elsewhere", STR("x"));
    etcd_compact(&world.access, etcd_put(&world.access, "/elsewhere", STR("y")));
    source_log_wait_value(&world.log, "routes/comes", "1");
    ck_assert_ptr_null(source_log_find(&world.log, "routes/goes"));
    ck_assert_ptr_nonnull(source_log_find(&world.log, "routes/stays"));
    world_done(&world);
}
END_TEST

START_TEST(an_etcd_that_has_stopped_answering_is_noticed)
{
    struct world world;
    world_init(&world, NULL);
    put(&world, "routes/a", "1");
    world.options.keepalive_ms = 6000;
    world.options.keepalive_timeout_ms = 1500;
    start_synced(&world);
    etcd_server_pause(&world.etcd);
    source_log_wait_state(&world.log, SOURCE_DISCONNECTED, 12000);
    ck_assert_ptr_nonnull(source_log_find(&world.log, "routes/a"));
    etcd_server_resume(&world.etcd);
    put(&world, "routes/a", "2");
    source_log_wait_value(&world.log, "routes/a", "2");
    source_log_wait_state(&world.log, SOURCE_SYNCED, 10000);
    world_done(&world);
}
END_TEST

START_TEST(deleting_everything_at_once_is_held_back_until_confirmed)
{
    struct world world;
    world_init(&world, NULL);
    put(&world, "routes/a", "1");
    put(&world, "routes/b", "1");
    start_synced(&world);
    etcd_delete_prefix(&world.access, "/weir/v1/");
    source_log_wait_state(&world.log, SOURCE_EMPTIED, 10000);
    ck_assert_ptr_nonnull(strstr(world.log.detail, "allow-empty"));
    ck_assert_uint_eq(world.log.objects.len, 2);
    ck_assert_uint_eq(world.log.changes, 0);
    put(&world, "allow-empty", "yes");
    source_log_wait_value(&world.log, "routes/a", NULL);
    ck_assert_uint_eq(world.log.objects.len, 0);
    source_log_wait_state(&world.log, SOURCE_SYNCED, 10000);
    world_done(&world);
}
END_TEST

START_TEST(deleting_everything_with_permission_is_honoured_and_takes_the_permission_along)
{
    struct world world;
    world_init(&world, NULL);
    put(&world, "routes/a", "1");
    put(&world, "routes/b", "1");
    start_synced(&world);
    put(&world, "allow-empty", "yes");
    etcd_delete_prefix(&world.access, "/weir/v1/");
    source_log_wait_value(&world.log, "routes/a", NULL);
    ck_assert_uint_eq(world.log.changes, 1);
    put(&world, "routes/a", "2");
    put(&world, "routes/b", "2");
    source_log_wait_value(&world.log, "routes/b", "2");
    etcd_delete_prefix(&world.access, "/weir/v1/");
    source_log_wait_state(&world.log, SOURCE_EMPTIED, 10000);
    world_done(&world);
}
END_TEST

START_TEST(deleting_one_by_one_is_honoured_to_the_last)
{
    struct world world;
    world_init(&world, NULL);
    put(&world, "routes/a", "1");
    put(&world, "routes/b", "1");
    start_synced(&world);
    etcd_delete(&world.access, "/weir/v1/routes/a");
    source_log_wait_value(&world.log, "routes/a", NULL);
    etcd_delete(&world.access, "/weir/v1/routes/b");
    source_log_wait_value(&world.log, "routes/b", NULL);
    ck_assert_int_eq(world.log.state, SOURCE_SYNCED);
    world_done(&world);
}
END_TEST

START_TEST(an_etcd_that_lost_its_data_changes_nothing_until_it_is_filled_and_quiet)
{
    struct world world;
    world_init(&world, NULL);
    put(&world, "routes/a", "1");
    put(&world, "routes/b", "1");
    start_synced(&world);
    etcd_server_kill(&world.etcd);
    etcd_server_restart_empty(&world.etcd);
    source_log_wait_state(&world.log, SOURCE_EMPTIED, 15000);
    ck_assert_uint_eq(world.log.objects.len, 2);
    put(&world, "routes/c", "1");
    put(&world, "routes/d", "1");
    ck_assert_uint_eq(world.log.objects.len, 2);
    source_log_wait_value(&world.log, "routes/d", "1");
    ck_assert_uint_eq(world.log.objects.len, 2);
    ck_assert_ptr_null(source_log_find(&world.log, "routes/a"));
    source_log_wait_state(&world.log, SOURCE_SYNCED, 10000);
    world_done(&world);
}
END_TEST

static void put_big(struct world *world, const char *key, size_t len)
{
    char path[128];
    snprintf(path, sizeof path, "/weir/v1/%s", key);
    char *value = mem_alloc(len);
    memset(value, 'v', len);
    etcd_put(&world->access, path, (struct str){.data = value, .len = len});
    mem_free(value);
}

START_TEST(values_over_the_limit_are_named_and_take_nobody_with_them)
{
    struct world world;
    world_init(&world, (const char *const[]){"--max-request-bytes", "20000000", NULL});
    put(&world, "routes/a", "1");
    for (int i = 0; i < 3; i++) {
        char key[32];
        snprintf(key, sizeof key, "routes/big%d", i);
        put_big(&world, key, 10 * 1000 * 1000);
    }
    start_synced(&world);
    ck_assert_uint_eq(world.log.objects.len, 4);
    ck_assert(source_log_find(&world.log, "routes/big1")->is_oversized);
    ck_assert_uint_eq(source_log_find(&world.log, "routes/big1")->value_bytes, 10 * 1000 * 1000);
    ck_assert_uint_eq(source_log_find(&world.log, "routes/big1")->len, 0);
    ck_assert(!source_log_find(&world.log, "routes/a")->is_oversized);

    put_big(&world, "routes/a", 10 * 1000 * 1000);
    put(&world, "routes/b", "1");
    source_log_wait_value(&world.log, "routes/b", "1");
    ck_assert(source_log_find(&world.log, "routes/a")->is_oversized);
    put(&world, "routes/a", "2");
    source_log_wait_value(&world.log, "routes/a", "2");
    ck_assert(!source_log_find(&world.log, "routes/a")->is_oversized);
    ck_assert_uint_eq(world.log.snapshots, 1);
    world_done(&world);
}
END_TEST

START_TEST(what_exceeds_the_total_is_marked_too)
{
    struct world world;
    world_init(&world, NULL);
    world.options.limits.total_bytes_max = 10;
    put(&world, "routes/a", "12345678");
    put(&world, "routes/b", "12345678");
    start_synced(&world);
    ck_assert_str_eq(source_log_find(&world.log, "routes/a")->value, "12345678");
    ck_assert(source_log_find(&world.log, "routes/b")->is_oversized);
    put(&world, "routes/a", "1");
    put(&world, "routes/b", "123456789");
    source_log_wait_value(&world.log, "routes/b", "123456789");
    world_done(&world);
}
END_TEST

START_TEST(the_next_endpoint_is_tried_and_wrong_ones_are_refused)
{
    struct world world;
    world_init(&world, NULL);
    put(&world, "routes/a", "1");
    world.endpoints[0] = "127.0.0.1:1";
    world.endpoints[1] = world.etcd.endpoint;
    world.options.endpoint_count = 2;
    start_synced(&world);
    ck_assert_ptr_nonnull(source_log_find(&world.log, "routes/a"));
    stop_source(&world);

    const char *wrong[] = {"", "http://", "http://host:1/path", "ftp://host:1"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct errmsg msg;
        world.endpoints[0] = wrong[i];
        ck_assert_ptr_null(
            source_etcd_new(world.runtime, &world.options, &source_log_listener, &world.log, &msg));
        ck_assert_ptr_nonnull(strstr(msg.text, "endpoint"));
    }
    world_done(&world);
}
END_TEST

/* Tries for a while: where etcd has users, the token that etcdctl just got may have expired on a
 * slow machine. */
static void etcdctl(const struct world *world, const char *arguments)
{
    char line[400];
    snprintf(
        line, sizeof line,
        "export ETCDCTL_API=3; for i in 1 2 3 4 5; do etcdctl --command-timeout=40s "
        "--dial-timeout=20s --endpoints=%s %s >/dev/null 2>&1 && exit 0; sleep 0.3; done; exit 1",
        world->etcd.endpoint, arguments);
    ck_assert_int_eq(system(line), 0);
}

static void write_file(const struct world *world, const char *name, const char *text, char *path)
{
    struct errmsg msg;
    snprintf(path, 128, "%s/%s", world->etcd.directory, name);
    ck_assert_int_eq(file_replace(path, str_from(text), false, &msg), 0);
}

/* An etcd with authentication, whose tokens live for so long ("1s"); its users are made before
 * libgrpc starts, since etcdctl is a process. */
static void world_init_auth(struct world *world, const char *ttl)
{
    *world = (struct world){0};
    struct pki_pair pair;
    pki_make_ca(&pair, "tokens");
    char option[320], cert[64], key[64];
    snprintf(cert, sizeof cert, "%s/cert", temp_folder());
    snprintf(key, sizeof key, "%s/key", temp_folder());
    struct errmsg msg;
    ck_assert_int_eq(file_replace(cert, str_from(pair.cert_pem), false, &msg), 0);
    ck_assert_int_eq(file_replace(key, str_from(pair.key_pem), false, &msg), 0);
    pki_done(&pair);
    snprintf(option, sizeof option, "jwt,pub-key=%s,priv-key=%s,sign-method=ES256,ttl=%s", cert,
             key, ttl);
    etcd_server_start(&world->etcd, (const char *const[]){"--auth-token", option, NULL});
    etcdctl(world, "put /weir/v1/routes/a 1");
    etcdctl(world, "user add root:rootpw");
    etcdctl(world, "user grant-role root root");
    etcdctl(world, "role add gateway");
    etcdctl(world, "role grant-permission gateway --prefix=true readwrite /weir/");
    etcdctl(world, "user add gateway:secret");
    etcdctl(world, "user grant-role gateway gateway");
    etcdctl(world, "auth enable");
    world_init_gateway(world);
}

static bool is_authentication_refused(void *arg)
{
    const struct world *world = arg;
    return strstr(world->log.detail, "authentication failed") != NULL;
}

START_TEST(a_user_gets_in_and_its_token_is_renewed_when_it_has_expired)
{
    struct world world;
    world_init_auth(&world, "1s");
    world.options.user = "gateway";
    world.options.password = "wrong";
    start_source(&world);
    ck_assert(loop_until(world.loop, 30000, is_authentication_refused, &world));
    ck_assert_int_eq(world.log.state, SOURCE_CONNECTING);
    stop_source(&world);

    world.options.password = "secret";
    world.options.reconcile_ms = 500;
    start_synced(&world);
    ck_assert_ptr_nonnull(source_log_find(&world.log, "routes/a"));
    loop_for(world.loop, 2500);
    ck_assert_int_eq(world.log.state, SOURCE_SYNCED);
    ck_assert_uint_eq(world.log.snapshots, 1);
    source_put_status(world.source, STR("routes/a"), STR("fine"));
    loop_for(world.loop, 2500);
    stop_source(&world);
    rpc_runtime_free(world.runtime);
    loop_free(world.loop);
    etcdctl(&world,
            "--user root:rootpw get --print-value-only /weir/status/v1/routes/a | grep -q fine");
    etcd_server_stop(&world.etcd);
}
END_TEST

static void wait_for_status(struct world *world, const char *key, const char *value)
{
    char line[512];
    snprintf(line, sizeof line,
             "test \"$(ETCDCTL_API=3 etcdctl --endpoints=%s --user root:rootpw get "
             "--print-value-only /weir/status/v1/%s 2>/dev/null)\" = %s",
             world->etcd.endpoint, key, value);
    for (int i = 0; system(line) != 0; i++) {
        ck_assert_int_lt(i, 100);
        loop_for(world->loop, 300);
    }
}

/* Nothing but the lease is asked for after the token has expired. */
START_TEST(a_lease_refused_for_an_expired_token_is_asked_for_with_a_new_one)
{
    struct world world;
    world_init_auth(&world, "1s");
    world.options.user = "gateway";
    world.options.password = "secret";
    world.options.reconcile_ms = -1;
    start_synced(&world);
    loop_for(world.loop, 2500);
    source_put_passing_status(world.source, STR("proxies/p"), STR("here"));
    wait_for_status(&world, "proxies/p", "here");
    source_put_passing_status(world.source, STR("proxies/p"), STR("again"));
    wait_for_status(&world, "proxies/p", "again");
    ck_assert_int_eq(world.log.state, SOURCE_SYNCED);
    stop_source(&world);
    rpc_runtime_free(world.runtime);
    loop_free(world.loop);
    etcd_server_stop(&world.etcd);
}
END_TEST

/* etcd tells by another status that what it knew of users when it gave the token is out of date. */
START_TEST(a_change_of_rights_does_not_stop_statuses)
{
    struct world world;
    world_init_auth(&world, "300s");
    world.options.user = "gateway";
    world.options.password = "secret";
    world.options.reconcile_ms = -1;
    start_synced(&world);
    etcdctl(&world, "--user root:rootpw role add other");
    etcdctl(&world, "--user root:rootpw role grant-permission other readwrite /other --prefix");
    etcdctl(&world, "--user root:rootpw user grant-role gateway other");
    source_put_status(world.source, STR("routes/a"), STR("fine"));
    wait_for_status(&world, "routes/a", "fine");
    stop_source(&world);
    rpc_runtime_free(world.runtime);
    loop_free(world.loop);
    etcd_server_stop(&world.etcd);
}
END_TEST

START_TEST(etcd_over_mutual_tls)
{
    struct world world = {0};
    struct pki_pair ca, server, client;
    pki_make_ca(&ca, "etcd CA");
    pki_make_leaf(&server, &ca, "etcd", "IP:127.0.0.1,DNS:localhost");
    pki_make_leaf(&client, &ca, "gateway", "DNS:gateway.test");
    char paths[5][128];
    struct world files = {0};
    snprintf(files.etcd.directory, sizeof files.etcd.directory, "%s", temp_folder());
    write_file(&files, "ca", ca.cert_pem, paths[0]);
    write_file(&files, "server", server.cert_pem, paths[1]);
    write_file(&files, "server-key", server.key_pem, paths[2]);
    write_file(&files, "client", client.cert_pem, paths[3]);
    write_file(&files, "client-key", client.key_pem, paths[4]);
    etcd_server_start(&world.etcd, (const char *const[]){"--cert-file", paths[1], "--key-file",
                                                         paths[2], "--trusted-ca-file", paths[0],
                                                         "--client-cert-auth", NULL});
    world_init_gateway(&world);
    world.options.ca_file = paths[0];
    world.options.cert_file = paths[3];
    world.options.key_file = "/nowhere/key";
    struct errmsg msg;
    ck_assert_ptr_null(
        source_etcd_new(world.runtime, &world.options, &source_log_listener, &world.log, &msg));
    ck_assert_ptr_nonnull(strstr(msg.text, "/nowhere/key"));
    world.options.key_file = paths[4];
    start_synced(&world);
    world_done(&world);
    pki_done(&ca);
    pki_done(&server);
    pki_done(&client);
}
END_TEST

/* Waits until the status of key is this text; "": until there is none. */
static void wait_status(struct world *world, const char *key, const char *expected)
{
    char path[128];
    struct buf value;
    snprintf(path, sizeof path, "/weir/status/v1/%s", key);
    buf_init(&value, 1000);
    for (int i = 0; i < 200; i++) {
        buf_reset(&value);
        etcd_get(&world->access, path, &value);
        if (str_equal(buf_str(&value), str_from(expected)))
            break;
        loop_for(world->loop, 50);
    }
    ck_assert_str_eq_len(buf_str(&value), expected);
    buf_done(&value);
}

START_TEST(statuses_are_written_the_newest_per_key_and_again_after_a_failure)
{
    struct world world;
    world_init(&world, NULL);
    put(&world, "routes/a", "1");
    start_synced(&world);
    for (int i = 0; i < 300; i++) {
        char key[32], value[32];
        snprintf(key, sizeof key, "routes/r%d", i % 150);
        snprintf(value, sizeof value, "{\"n\":%d}", i);
        source_put_status(world.source, str_from(key), str_from(value));
    }
    wait_status(&world, "routes/r149", "{\"n\":299}");
    source_delete_status(world.source, STR("routes/r149"));
    wait_status(&world, "routes/r149", "");

    etcd_server_kill(&world.etcd);
    source_put_status(world.source, STR("routes/late"), STR("1"));
    source_log_wait_state(&world.log, SOURCE_DISCONNECTED, 10000);
    source_put_status(world.source, STR("routes/later"), STR("2"));
    etcd_server_restart(&world.etcd);
    source_log_wait_state(&world.log, SOURCE_SYNCED, 10000);
    wait_status(&world, "routes/late", "1");
    wait_status(&world, "routes/later", "2");
    world_done(&world);
}
END_TEST

START_TEST(without_etcd_the_copy_on_disk_is_served_and_replaced_later)
{
    struct world world;
    world_init(&world, NULL);
    put(&world, "routes/a", "1");
    put(&world, "routes/b", "1");
    world.options.last_good_path = world.copy_path;
    world.options.last_good_after_ms = 200;
    start_synced(&world);
    put(&world, "routes/a", "2");
    source_log_wait_value(&world.log, "routes/a", "2");
    int64_t revision = world.log.revision;
    stop_source(&world);
    struct stat status;
    ck_assert_int_eq(stat(world.copy_path, &status), 0);
    ck_assert_int_eq(status.st_mode & 0777, 0600);

    etcd_server_kill(&world.etcd);
    start_source(&world);
    source_log_wait_snapshots(&world.log, 1);
    ck_assert(world.log.is_stale);
    ck_assert_int_eq(world.log.revision, revision);
    ck_assert_str_eq(source_log_find(&world.log, "routes/a")->value, "2");
    ck_assert_int_eq(world.log.state, SOURCE_DISCONNECTED);

    etcd_server_restart(&world.etcd);
    source_log_wait_state(&world.log, SOURCE_SYNCED, 15000);
    ck_assert_uint_eq(world.log.snapshots, 2);
    ck_assert(!world.log.is_stale);
    world_done(&world);
}
END_TEST

START_TEST(the_copy_is_written_soon_after_a_change)
{
    struct world world;
    world_init(&world, NULL);
    world.options.last_good_path = world.copy_path;
    start_synced(&world);
    put(&world, "routes/a", "soon");
    struct buf bytes;
    struct errmsg msg;
    buf_init(&bytes, 10000);
    bool is_written = false;
    for (int i = 0; i < 200 && !is_written; i++) {
        loop_for(world.loop, 50);
        buf_reset(&bytes);
        is_written = file_read(world.copy_path, &bytes, &msg) == 0 &&
                     memmem(bytes.data, bytes.len, "soon", 4);
    }
    ck_assert(is_written);
    buf_done(&bytes);
    world_done(&world);
}
END_TEST

START_TEST(an_etcd_wiped_while_we_were_away_does_not_blank_what_the_copy_knows)
{
    struct world world;
    world_init(&world, NULL);
    put(&world, "routes/a", "1");
    put(&world, "routes/b", "1");
    world.options.last_good_path = world.copy_path;
    start_synced(&world);
    stop_source(&world);
    etcd_delete_prefix(&world.access, "/weir/v1/");
    start_source(&world);
    source_log_wait_state(&world.log, SOURCE_EMPTIED, 10000);
    ck_assert_uint_eq(world.log.objects.len, 2);
    ck_assert(world.log.is_stale);
    put(&world, "allow-empty", "yes");
    source_log_wait_state(&world.log, SOURCE_SYNCED, 10000);
    ck_assert_uint_eq(world.log.objects.len, 0);
    world_done(&world);
}
END_TEST

TEST_MAIN("etcd source", what_is_there_is_delivered_and_then_what_changes,
          many_objects_are_read_in_pages, a_transaction_is_one_call,
          after_a_restart_of_etcd_it_goes_on_where_it_was,
          what_was_compacted_away_while_it_was_gone_is_read_anew,
          an_etcd_that_has_stopped_answering_is_noticed,
          deleting_everything_at_once_is_held_back_until_confirmed,
          deleting_everything_with_permission_is_honoured_and_takes_the_permission_along,
          deleting_one_by_one_is_honoured_to_the_last,
          an_etcd_that_lost_its_data_changes_nothing_until_it_is_filled_and_quiet,
          values_over_the_limit_are_named_and_take_nobody_with_them,
          what_exceeds_the_total_is_marked_too,
          the_next_endpoint_is_tried_and_wrong_ones_are_refused,
          a_user_gets_in_and_its_token_is_renewed_when_it_has_expired,
          a_lease_refused_for_an_expired_token_is_asked_for_with_a_new_one,
          a_change_of_rights_does_not_stop_statuses, etcd_over_mutual_tls,
          statuses_are_written_the_newest_per_key_and_again_after_a_failure,
          without_etcd_the_copy_on_disk_is_served_and_replaced_later,
          the_copy_is_written_soon_after_a_change,
          an_etcd_wiped_while_we_were_away_does_not_blank_what_the_copy_knows)
