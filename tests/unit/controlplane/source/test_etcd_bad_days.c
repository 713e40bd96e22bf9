/* The etcd source against an etcd that misbehaves on purpose. */
#include "controlplane/source/source.h"
#include "tests/support/fake_etcd.h"
#include "tests/support/loop_until.h"
#include "tests/support/source_log.h"
#include "tests/support/test.h"

struct world {
    struct loop *loop;
    struct rpc_runtime *runtime;
    struct fake_etcd etcd;
    struct source_log log;
    struct source *source;
    struct source_etcd_options options;
    const char *endpoints[1];
};

static void world_init(struct world *world)
{
    *world = (struct world){.loop = loop_new()};
    world->runtime = rpc_runtime_new(world->loop);
    world->log.loop = world->loop;
    fake_etcd_start(&world->etcd, world->runtime);
    world->endpoints[0] = world->etcd.endpoint;
    world->options = (struct source_etcd_options){.endpoints = world->endpoints,
                                                  .endpoint_count = 1,
                                                  .prefix = "/w/",
                                                  .settle_ms = 200,
                                                  .reconnect_max_ms = 100};
    world->etcd.keys[0] = (struct fake_etcd_key){"/w/routes/a", "1", 3};
    world->etcd.keys[1] = (struct fake_etcd_key){"/w/routes/b", "1", 4};
    world->etcd.keys[2] = (struct fake_etcd_key){"/w/routes/c", "1", 5};
}

static void start(struct world *world)
{
    struct errmsg msg = {""};
    world->source =
        source_etcd_new(world->runtime, &world->options, &source_log_listener, &world->log, &msg);
    ck_assert_msg(world->source != NULL, "%s", msg.text);
    source_start(world->source);
}

static void start_synced(struct world *world)
{
    start(world);
    source_log_wait_state(&world->log, SOURCE_SYNCED, 5000);
    ck_assert_uint_eq(world->log.objects.len, 3);
}

static void world_done(struct world *world)
{
    source_stop(world->source);
    source_free(world->source);
    source_log_done(&world->log);
    fake_etcd_free(&world->etcd);
    rpc_runtime_free(world->runtime);
    loop_free(world->loop);
}

static enum rpc_status compacted_at_second_page(struct fake_etcd *fake, bool is_keys_only,
                                                int64_t revision, int64_t limit)
{
    (void)is_keys_only, (void)limit;
    if (revision != 10)
        return RPC_STATUS_OK;
    fake->revision = 20;
    return RPC_STATUS_OUT_OF_RANGE;
}

START_TEST(a_compaction_between_two_pages_starts_the_listing_anew)
{
    struct world world;
    world_init(&world);
    world.options.page_keys = 1;
    world.etcd.on_range = compacted_at_second_page;
    start_synced(&world);
    ck_assert_uint_eq(world.etcd.listings, 2);
    ck_assert_uint_eq(world.log.snapshots, 1);
    ck_assert_int_eq(world.log.revision, 20);
    ck_assert_int_eq(world.etcd.start_revision, 21);
    world_done(&world);
}
END_TEST

static enum rpc_status always_compacted(struct fake_etcd *fake, bool is_keys_only, int64_t revision,
                                        int64_t limit)
{
    (void)fake, (void)is_keys_only, (void)limit;
    return revision ? RPC_STATUS_OUT_OF_RANGE : RPC_STATUS_OK;
}

START_TEST(a_listing_that_is_compacted_away_each_time_is_given_up_for_a_while)
{
    struct world world;
    world_init(&world);
    world.options.page_keys = 1;
    world.etcd.on_range = always_compacted;
    start(&world);
    source_log_wait_state(&world.log, SOURCE_CONNECTING, 5000);
    ck_assert_ptr_nonnull(strstr(world.log.detail, "listing failed"));
    ck_assert_uint_eq(world.etcd.listings, 6);
    world.etcd.on_range = NULL;
    source_log_wait_state(&world.log, SOURCE_SYNCED, 5000);
    world_done(&world);
}
END_TEST

static enum rpc_status refuses_large_pages(struct fake_etcd *fake, bool is_keys_only,
                                           int64_t revision, int64_t limit)
{
    (void)fake, (void)is_keys_only, (void)revision;
    return limit > 2 ? RPC_STATUS_RESOURCE_EXHAUSTED : RPC_STATUS_OK;
}

START_TEST(pages_that_are_too_large_are_asked_for_in_halves)
{
    struct world world;
    world_init(&world);
    world.etcd.on_range = refuses_large_pages;
    start_synced(&world);
    world_done(&world);
}
END_TEST

START_TEST(fragments_are_joined_to_one_call)
{
    struct world world;
    world_init(&world);
    start_synced(&world);
    struct fake_etcd_key puts[] = {{"/w/routes/a", "2", 11}, {"/w/routes/d", "2", 11}};
    world.etcd.revision = 11;
    fake_etcd_send_puts(&world.etcd, &puts[0], 1, true);
    loop_for(world.loop, 50);
    ck_assert_uint_eq(world.log.changes, 0);
    fake_etcd_send_puts(&world.etcd, &puts[1], 1, false);
    source_log_wait_value(&world.log, "routes/d", "2");
    ck_assert_uint_eq(world.log.changes, 1);
    ck_assert_uint_eq(world.log.last_change_count, 2);
    world_done(&world);
}
END_TEST

START_TEST(fragments_that_end_with_the_stream_leave_nothing_behind)
{
    struct world world;
    world_init(&world);
    start_synced(&world);
    struct fake_etcd_key puts[] = {{"/w/routes/a", "2", 11}, {"/w/routes/d", "2", 11}};
    world.etcd.revision = 11;
    fake_etcd_send_puts(&world.etcd, &puts[0], 1, true);
    loop_for(world.loop, 50);
    rpc_stream_cancel(world.etcd.watch, RPC_STATUS_UNAVAILABLE, "gone");
    source_log_wait_state(&world.log, SOURCE_DISCONNECTED, 5000);
    source_log_wait_state(&world.log, SOURCE_SYNCED, 5000);
    ck_assert_int_eq(world.etcd.start_revision, 11);
    fake_etcd_send_puts(&world.etcd, puts, 2, false);
    source_log_wait_value(&world.log, "routes/d", "2");
    ck_assert_uint_eq(world.log.changes, 1);
    ck_assert_uint_eq(world.log.last_change_count, 2);
    ck_assert_uint_eq(world.log.snapshots, 1);
    world_done(&world);
}
END_TEST

START_TEST(a_lost_delete_is_found_by_comparing)
{
    struct world world;
    world_init(&world);
    world.options.reconcile_ms = 100;
    start_synced(&world);
    world.etcd.revision = 12;
    world.etcd.keys[1].key = NULL; /* without an event */
    source_log_wait_value(&world.log, "routes/b", NULL);
    ck_assert_uint_eq(world.log.snapshots, 2);
    ck_assert_uint_eq(world.log.objects.len, 2);
    ck_assert_uint_eq(world.etcd.listings, 2);
    ck_assert_uint_eq(world.log.states_seen & (1u << SOURCE_DISCONNECTED), 0);
    world_done(&world);
}
END_TEST

START_TEST(a_change_whose_event_is_on_its_way_is_no_reason_to_read_everything)
{
    struct world world;
    world_init(&world);
    world.options.reconcile_ms = 100;
    start_synced(&world);
    world.etcd.revision = 12;
    world.etcd.keys[1] = (struct fake_etcd_key){"/w/routes/b", "2", 12};
    loop_for(world.loop, 400); /* the first look is over */
    ck_assert_uint_ge(world.etcd.comparisons, 1);
    fake_etcd_send_puts(&world.etcd, &world.etcd.keys[1], 1, false);
    source_log_wait_value(&world.log, "routes/b", "2");
    loop_for(world.loop, 1200);
    ck_assert_uint_eq(world.etcd.listings, 1);
    ck_assert_uint_ge(world.etcd.comparisons, 3);
    world_done(&world);
}
END_TEST

START_TEST(an_etcd_with_an_older_revision_is_read_anew)
{
    struct world world;
    world_init(&world);
    start_synced(&world);
    world.etcd.revision = 6;
    world.etcd.keys[2].key = NULL;
    rpc_stream_cancel(world.etcd.watch, RPC_STATUS_UNAVAILABLE, "restored");
    source_log_wait_snapshots(&world.log, 2);
    ck_assert_uint_eq(world.log.objects.len, 2);
    ck_assert_int_eq(world.log.revision, 6);
    source_log_wait_state(&world.log, SOURCE_SYNCED, 5000);
    ck_assert_int_eq(world.etcd.start_revision, 7);
    world_done(&world);
}
END_TEST

START_TEST(another_cluster_is_read_anew)
{
    struct world world;
    world_init(&world);
    start_synced(&world);
    world.etcd.cluster_id = 2;
    world.etcd.revision = 1000;
    rpc_stream_cancel(world.etcd.watch, RPC_STATUS_UNAVAILABLE, "replaced");
    source_log_wait_snapshots(&world.log, 2);
    ck_assert_int_eq(world.log.revision, 1000);
    world_done(&world);
}
END_TEST

START_TEST(a_watch_that_is_cancelled_is_opened_again)
{
    struct world world;
    world_init(&world);
    start_synced(&world);
    fake_etcd_cancel_watch(&world.etcd, 0);
    source_log_wait_state(&world.log, SOURCE_DISCONNECTED, 5000);
    ck_assert_ptr_nonnull(strstr(world.log.detail, "cancelled the watch: no"));
    source_log_wait_state(&world.log, SOURCE_SYNCED, 5000);
    ck_assert_uint_eq(world.log.snapshots, 1);
    fake_etcd_cancel_watch(&world.etcd, 9);
    source_log_wait_snapshots(&world.log, 2);
    world_done(&world);
}
END_TEST

START_TEST(a_watch_that_is_not_answered_is_given_up)
{
    struct world world;
    world_init(&world);
    world.options.request_timeout_ms = 300;
    world.etcd.is_watch_silent = true;
    start(&world);
    source_log_wait_state(&world.log, SOURCE_DISCONNECTED, 5000);
    ck_assert_ptr_nonnull(strstr(world.log.detail, "not answered"));
    world.etcd.is_watch_silent = false;
    source_log_wait_state(&world.log, SOURCE_SYNCED, 5000);
    world_done(&world);
}
END_TEST

START_TEST(progress_moves_the_revision_to_resume_from)
{
    struct world world;
    world_init(&world);
    start_synced(&world);
    world.etcd.revision = 50;
    fake_etcd_send_puts(&world.etcd, NULL, 0, false);
    loop_for(world.loop, 500);
    rpc_stream_cancel(world.etcd.watch, RPC_STATUS_UNAVAILABLE, "gone");
    source_log_wait_state(&world.log, SOURCE_DISCONNECTED, 5000);
    source_log_wait_state(&world.log, SOURCE_SYNCED, 5000);
    ck_assert_int_eq(world.etcd.start_revision, 51);
    ck_assert_uint_eq(world.log.snapshots, 1);
    ck_assert_uint_eq(world.log.changes, 0);
    world_done(&world);
}
END_TEST

START_TEST(answers_that_cannot_be_read_change_nothing)
{
    struct world world;
    world_init(&world);
    start_synced(&world);
    world.etcd.sends_garbage = true;
    fake_etcd_cancel_watch(&world.etcd, 0);
    source_log_wait_state(&world.log, SOURCE_DISCONNECTED, 5000);
    loop_for(world.loop, 300);
    ck_assert_uint_eq(world.log.objects.len, 3);
    world.etcd.sends_garbage = false;
    source_log_wait_state(&world.log, SOURCE_SYNCED, 5000);
    ck_assert_uint_eq(world.log.objects.len, 3);
    world_done(&world);
}
END_TEST

static enum rpc_status denies(struct fake_etcd *fake, bool is_keys_only, int64_t revision,
                              int64_t limit)
{
    (void)fake, (void)is_keys_only, (void)revision, (void)limit;
    return RPC_STATUS_PERMISSION_DENIED;
}

START_TEST(a_refused_listing_is_told_and_tried_again)
{
    struct world world;
    world_init(&world);
    world.etcd.on_range = denies;
    start(&world);
    source_log_wait_state(&world.log, SOURCE_CONNECTING, 5000);
    ck_assert_ptr_nonnull(strstr(world.log.detail, "PERMISSION_DENIED"));
    ck_assert_uint_eq(world.log.snapshots, 0);
    world.etcd.on_range = NULL;
    source_log_wait_state(&world.log, SOURCE_SYNCED, 5000);
    world_done(&world);
}
END_TEST

START_TEST(more_objects_than_allowed_keep_the_last_state)
{
    struct world world;
    world_init(&world);
    world.options.limits.objects_max = 3;
    start_synced(&world);
    world.etcd.keys[3] = (struct fake_etcd_key){"/w/routes/d", "1", 11};
    world.etcd.revision = 11;
    fake_etcd_send_puts(&world.etcd, &world.etcd.keys[3], 1, false);
    source_log_wait_state(&world.log, SOURCE_DISCONNECTED, 5000);
    loop_for(world.loop, 300);
    ck_assert_ptr_nonnull(strstr(world.log.detail, "more than 3 objects"));
    ck_assert_uint_eq(world.log.objects.len, 3);
    world.etcd.keys[3].key = NULL;
    source_log_wait_state(&world.log, SOURCE_SYNCED, 5000);
    world_done(&world);
}
END_TEST

START_TEST(it_can_be_stopped_at_any_moment)
{
    for (int i = 0; i < 30; i++) {
        struct world world;
        world_init(&world);
        world.options.reconcile_ms = 3;
        start(&world);
        source_put_status(world.source, STR("routes/a"), STR("dropped"));
        loop_for(world.loop, i);
        world_done(&world);
    }
}
END_TEST

TEST_MAIN("etcd source on bad days", a_compaction_between_two_pages_starts_the_listing_anew,
          a_listing_that_is_compacted_away_each_time_is_given_up_for_a_while,
          pages_that_are_too_large_are_asked_for_in_halves, fragments_are_joined_to_one_call,
          fragments_that_end_with_the_stream_leave_nothing_behind,
          a_lost_delete_is_found_by_comparing,
          a_change_whose_event_is_on_its_way_is_no_reason_to_read_everything,
          an_etcd_with_an_older_revision_is_read_anew, another_cluster_is_read_anew,
          a_watch_that_is_cancelled_is_opened_again, a_watch_that_is_not_answered_is_given_up,
          progress_moves_the_revision_to_resume_from, answers_that_cannot_be_read_change_nothing,
          a_refused_listing_is_told_and_tried_again, more_objects_than_allowed_keep_the_last_state,
          it_can_be_stopped_at_any_moment)
