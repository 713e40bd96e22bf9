/* The line from the source to a publication: when it runs, and when it does not any more. */
#include "tests/support/loop_until.h"
#include "tests/support/temp_folder.h"
#include "tests/support/test.h"

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/io/loop.h"
#include "controlplane/server/pipeline.h"

#include <stdio.h>
#include <stdlib.h>

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

/* --- a gateway that cannot be translated
 * ----------------------------------------------------------------- */

enum { ROUTES_MAX = 500, HOSTS = 100 };
static struct source_entry entries[ROUTES_MAX];
static char keys[ROUTES_MAX][32], *values[ROUTES_MAX];
static size_t entry_count;

static void add(const char *key, const char *value)
{
    size_t at = entry_count++;
    snprintf(keys[at], sizeof keys[at], "%s", key);
    values[at] = mem_copy_string(value, strlen(value));
    entries[at] = (struct source_entry){.key = str_from(keys[at]),
                                        .value = str_from(values[at]),
                                        .value_bytes = strlen(value),
                                        .mod_revision = 1};
}

static void add_route(size_t number, bool has_hosts)
{
    char key[32];
    struct buf value;
    buf_init(&value, 16 * 1024);
    buf_printf(&value,
               "{\"gateways\":[\"public\"],\"direct_response\":{\"status\":200},\"hosts\":[");
    for (int i = 0; has_hosts && i < HOSTS; i++)
        buf_printf(&value, "%s\"h%zu-%d.com\"", i ? "," : "", number, i);
    buf_printf(&value, "]}");
    buf_append_char(&value, '\0');
    snprintf(key, sizeof key, "routes/r%zu", number);
    add(key, value.data);
    buf_done(&value);
}

static const char *status_of_gateway(void)
{
    static char text[4096];
    char path[128];
    snprintf(path, sizeof path, "%s/gateways/public.json", temp_folder());
    text[0] = '\0';
    FILE *file = fopen(path, "r");
    if (file) {
        text[fread(text, 1, sizeof text - 1, file)] = '\0';
        fclose(file);
    }
    return text;
}

static bool is_told(void *arg)
{
    (void)arg;
    return strstr(status_of_gateway(),
                  "\"accepted\":false,\"message\":\"gateways/public: its routes "
                  "and their hosts make more than 200000 pairs; what was "
                  "there before stays\",\"is_using_last_good\":true") != NULL;
}

static bool is_over(void *arg)
{
    (void)arg;
    return strstr(status_of_gateway(), "\"accepted\":true,\"is_using_last_good\":false") != NULL;
}

START_TEST(why_a_gateway_keeps_what_it_had_stands_in_its_status)
{
    begin();
    struct source *source = source_directory_new(
        loop,
        &(struct source_directory_options){.path = temp_folder(), .status_path = temp_folder()},
        pipeline_listener(), pipeline);
    pipeline_set_source(pipeline, source);
    add("gateways/public", "{\"listeners\":[{\"name\":\"http\",\"port\":80}]}");
    for (size_t i = 0; i < 455; i++)
        add_route(i, i < 5);
    pipeline_listener()->on_snapshot(pipeline, entries, entry_count, 1, false);
    pipeline_listener()->on_statuses(pipeline, NULL, 0);
    ck_assert_msg(loop_until(loop, 20000, is_told, NULL), "%s", status_of_gateway());
    pipeline_listener()->on_snapshot(pipeline, entries, 1, 2, false);
    ck_assert_msg(loop_until(loop, 20000, is_over, NULL), "%s", status_of_gateway());
    pipeline_set_source(pipeline, NULL);
    source_free(source);
    end();
    for (size_t i = 0; i < entry_count; i++)
        mem_free(values[i]);
}
END_TEST

TEST_MAIN("pipeline", a_snapshot_is_published_on_the_next_turn,
          what_was_to_be_published_when_the_daemon_ends_is_not,
          why_a_gateway_keeps_what_it_had_stands_in_its_status)
