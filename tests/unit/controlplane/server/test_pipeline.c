/* The line from the source to a publication: when it runs, and when it does not any more. */
#include "tests/support/loop_until.h"
#include "tests/support/test.h"

#include "common/io/loop.h"
#include "controlplane/server/pipeline.h"

static struct loop *loop;
static struct rpc_runtime *runtime;
static struct ledger *ledger;
static struct ads_server *ads;
static struct pipeline *pipeline;

static void begin(void)
{
    loop = loop_new();
    runtime = rpc_runtime_new(loop);
    ledger = ledger_new();
    ads = ads_new(runtime, ledger);
    pipeline = pipeline_new(loop, ads, ledger, "me");
}

/* In the order in which the daemon ends. */
static void end(void)
{
    ads_free(ads);
    rpc_runtime_free(runtime);
    pipeline_free(pipeline);
    loop_free(loop);
    ledger_free(ledger);
}

static void tell_snapshot(void)
{
    pipeline_listener()->on_snapshot(pipeline, NULL, 0, 7, false);
}

static bool is_published(void *arg)
{
    (void)arg;
    return pipeline_stats(pipeline).is_published;
}

START_TEST(a_snapshot_is_published_on_the_next_turn)
{
    begin();
    tell_snapshot();
    ck_assert(!is_published(NULL));
    ck_assert(loop_until(loop, 10000, is_published, NULL));
    ck_assert_int_eq(pipeline_stats(pipeline).revision, 7);
    end();
}
END_TEST

START_TEST(what_was_to_be_published_when_the_daemon_ends_is_not)
{
    begin();
    tell_snapshot(); /* posted */
    end();
    begin();
    tell_snapshot();
    ck_assert(loop_until(loop, 10000, is_published, NULL));
    tell_snapshot(); /* after a pause */
    end();
}
END_TEST

TEST_MAIN("pipeline", a_snapshot_is_published_on_the_next_turn,
          what_was_to_be_published_when_the_daemon_ends_is_not)
