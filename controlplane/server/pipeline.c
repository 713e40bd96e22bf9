#include "controlplane/server/pipeline.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/map.h"
#include "common/base/mem.h"
#include "controlplane/policy/policy.h"
#include "controlplane/translate/translate.h"

#include <inttypes.h>
#include <stdio.h>

struct pipeline {
    struct loop *loop;
    struct ads_server *ads;
    struct source *source;
    struct model_store *store;
    struct translator *translator;
    struct model *model; /* what is published */
    struct status *status;
    struct pipeline_stats stats;
    struct map problems; /* key of a gateway -> sentence, owned, which begins with the key */
    char source_detail[512];
    int64_t revision; /* of what the store has */
    bool is_stale;
    bool is_scheduled; /* publish is posted, or pause runs */
    bool is_freed;     /* goes when publish, which is posted, is run */
    uint64_t published_ms;
    struct loop_post publish;
    struct loop_timer pause;
};

/* --- publication
 * ------------------------------------------------------------------------------------ */

static void on_problem(struct str gateway, const char *sentence, void *arg)
{
    struct pipeline *pipeline = arg;
    pipeline->stats.problems++;
    log_error("gateway_not_translated gateway=%.*s reason=\"%s\"", STR_ARGS(gateway), sentence);
    struct errmsg text;
    errmsg_set(&text, ERR_INVALID, "gateways/%.*s: %s", STR_ARGS(gateway), sentence);
    char *copy = mem_copy_string(text.text, strlen(text.text));
    struct str key = {.data = copy, .len = strlen("gateways/") + gateway.len};
    mem_free(map_put(&pipeline->problems, key, copy));
}

static void tell_problems(struct pipeline *pipeline)
{
    const struct model_list *gateways = pipeline->model->lists[MODEL_GATEWAY];
    for (size_t i = 0; i < gateways->len; i++) {
        struct str key = gateways->items[i]->key;
        status_note_problem(pipeline->status, key, map_find(&pipeline->problems, key));
    }
    MAP_FOR_EACH(entry, &pipeline->problems)
        mem_free(entry->value);
    map_done(&pipeline->problems);
    pipeline->problems = (struct map){0};
}

static void on_verdict(const struct model_verdict *verdict, void *arg)
{
    if (!verdict->is_deleted && !verdict->is_accepted)
        log_warning("object_refused key=%.*s revision=%" PRId64 " last_good=%s reason=\"%s\"",
                    STR_ARGS(verdict->key), verdict->revision,
                    verdict->is_using_last_good ? "in_use" : "none", verdict->message);
    status_take_verdict(verdict, arg);
}

static void publish(struct pipeline *pipeline)
{
    uint64_t begin_ns = clock_monotonic_ns();
    struct model *before = pipeline->model;
    pipeline->model = model_store_build(pipeline->store, pipeline->revision);
    uint64_t built_ns = clock_monotonic_ns();
    pipeline->stats.problems = 0;
    struct world *world =
        translator_run(pipeline->translator, pipeline->model, on_problem, pipeline);
    world_check(world, ads_world(pipeline->ads), on_problem, pipeline);
    uint64_t translated_ns = clock_monotonic_ns();
    ads_publish(pipeline->ads, world);
    for (size_t i = 0; i < world->len; i++)
        status_note_version(pipeline->status, &world->entries[i].snapshot->version);
    model_store_take_verdicts(pipeline->store, on_verdict, pipeline->status);
    tell_problems(pipeline);
    model_free(before);
    histogram_add(&pipeline->stats.build_seconds, built_ns - begin_ns);
    histogram_add(&pipeline->stats.translate_seconds, translated_ns - built_ns);
    pipeline->stats.is_published = true;
    pipeline->stats.is_stale = pipeline->is_stale;
    pipeline->stats.revision = pipeline->revision;
    pipeline->published_ms = clock_monotonic_ms();
    log_info("published revision=%" PRId64 " stale=%s model_us=%" PRIu64 " translate_us=%" PRIu64,
             pipeline->revision, pipeline->is_stale ? "yes" : "no", (built_ns - begin_ns) / 1000,
             (translated_ns - built_ns) / 1000);
}

static void on_publish(struct loop_post *post)
{
    struct pipeline *pipeline = CONTAINER_OF(post, struct pipeline, publish);
    if (pipeline->is_freed) {
        mem_free(pipeline);
        return;
    }
    pipeline->is_scheduled = false;
    publish(pipeline);
}

static void on_pause_over(struct loop_timer *timer)
{
    struct pipeline *pipeline = CONTAINER_OF(timer, struct pipeline, pause);
    pipeline->is_scheduled = false;
    publish(pipeline);
}

static void schedule(struct pipeline *pipeline)
{
    if (pipeline->is_scheduled)
        return;
    pipeline->is_scheduled = true;
    uint64_t since_ms = clock_monotonic_ms() - pipeline->published_ms;
    if (since_ms >= PIPELINE_PAUSE_MS)
        loop_post(pipeline->loop, &pipeline->publish, on_publish);
    else
        loop_timer_start(&pipeline->pause, PIPELINE_PAUSE_MS - since_ms);
}

/* --- the source
 * ------------------------------------------------------------------------------------- */

static struct model_change change_of(const struct source_entry *entry, bool is_deleted)
{
    return (struct model_change){
        .key = entry->key,
        .value = entry->value,
        .revision = entry->mod_revision,
        .format = entry->is_yaml ? MODEL_YAML : MODEL_JSON,
        .is_deleted = is_deleted,
        .is_oversize = entry->is_oversized,
    };
}

static void on_source_snapshot(void *arg, const struct source_entry *entries, size_t count,
                               int64_t revision, bool is_stale)
{
    struct pipeline *pipeline = arg;
    struct model_change *changes = mem_alloc_zero(count + 1, sizeof *changes);
    for (size_t i = 0; i < count; i++)
        changes[i] = change_of(&entries[i], false);
    model_store_apply(pipeline->store, changes, count, true);
    mem_free(changes);
    pipeline->stats.snapshots++;
    pipeline->revision = revision;
    pipeline->is_stale = is_stale;
    log_info("source_snapshot objects=%zu revision=%" PRId64 " stale=%s", count, revision,
             is_stale ? "yes" : "no");
    schedule(pipeline);
}

static void on_source_changes(void *arg, const struct source_change *sources, size_t count,
                              int64_t revision)
{
    struct pipeline *pipeline = arg;
    struct model_change *changes = mem_alloc_zero(count + 1, sizeof *changes);
    for (size_t i = 0; i < count; i++)
        changes[i] = change_of(&sources[i].entry, sources[i].is_deleted);
    model_store_apply(pipeline->store, changes, count, false);
    mem_free(changes);
    pipeline->stats.changes += count;
    pipeline->revision = revision;
    schedule(pipeline);
}

static void on_source_state(void *arg, enum source_state state, const char *detail)
{
    struct pipeline *pipeline = arg;
    pipeline->stats.source_state = state;
    snprintf(pipeline->source_detail, sizeof pipeline->source_detail, "%s", detail);
    if (state == SOURCE_SYNCED)
        log_info("source_state state=%s detail=\"%s\"", source_state_name(state), detail);
    else
        log_warning("source_state state=%s detail=\"%s\"", source_state_name(state), detail);
}

/* --- statuses
 * --------------------------------------------------------------------------------------- */

static void put_status(void *arg, struct str key, struct str value)
{
    const struct pipeline *pipeline = arg;
    if (!pipeline->source)
        return;
    if (str_starts_with(key, STR(STATUS_PROXIES)))
        source_put_passing_status(pipeline->source, key, value);
    else
        source_put_status(pipeline->source, key, value);
}

static void erase_status(void *arg, struct str key)
{
    const struct pipeline *pipeline = arg;
    if (pipeline->source)
        source_delete_status(pipeline->source, key);
}

static void objects_of(void *arg, struct str gateway, enum resource_type type, struct str resource,
                       status_object_fn *on_object, void *object_arg)
{
    const struct pipeline *pipeline = arg;
    if (pipeline->model)
        translate_objects_of(pipeline->model, gateway, type, resource, on_object, object_arg);
}

/* Everything that its listeners, its routes and the clusters that these name were made from. */
static void members_of(void *arg, struct str gateway, status_object_fn *on_object, void *object_arg)
{
    const struct pipeline *pipeline = arg;
    const struct snapshot *snapshot = world_find(ads_world(pipeline->ads), gateway, CLIENT_ENVOY);
    if (!snapshot || !pipeline->model)
        return;
    const struct resource_set *clusters = snapshot->sets[RESOURCE_CLUSTER];
    objects_of(arg, gateway, RESOURCE_LISTENER, STR(""), on_object, object_arg);
    objects_of(arg, gateway, RESOURCE_ROUTES, STR(""), on_object, object_arg);
    for (size_t i = 0; i < clusters->len; i++)
        objects_of(arg, gateway, RESOURCE_ENDPOINTS, clusters->items[i]->name, on_object,
                   object_arg);
}

/* For mem_free. */
static struct status_written *written_of(const struct source_status *documents, size_t count)
{
    struct status_written *written = mem_alloc_zero(count + 1, sizeof *written);
    for (size_t i = 0; i < count; i++)
        written[i] = (struct status_written){.key = documents[i].key, .value = documents[i].value};
    return written;
}

static void on_source_statuses(void *arg, const struct source_status *documents, size_t count)
{
    struct pipeline *pipeline = arg;
    if (!pipeline->stats.is_published || pipeline->is_scheduled)
        publish(pipeline); /* the verdicts that they are compared with */
    struct status_written *written = written_of(documents, count);
    status_take_written(pipeline->status, written, count);
    mem_free(written);
    log_info("statuses_read count=%zu", count);
}

static void on_source_followed(void *arg, const struct source_status *documents, size_t count,
                               bool is_complete)
{
    const struct pipeline *pipeline = arg;
    struct status_written *written = written_of(documents, count);
    status_take_proxies(pipeline->status, written, count, is_complete);
    mem_free(written);
}

const struct source_listener *pipeline_listener(void)
{
    static const struct source_listener listener = {
        .on_snapshot = on_source_snapshot,
        .on_changes = on_source_changes,
        .on_state = on_source_state,
        .on_statuses = on_source_statuses,
        .on_followed = on_source_followed,
    };
    return &listener;
}

/* --- life
 * -------------------------------------------------------------------------------------------- */

struct pipeline *pipeline_new(struct loop *loop, struct ads_server *ads, struct ledger *ledger,
                              const char *served_by)
{
    struct pipeline *pipeline = MEM_NEW(struct pipeline);
    pipeline->loop = loop;
    pipeline->ads = ads;
    pipeline->store = model_store_new(policy_check);
    pipeline->translator = translator_new();
    loop_timer_init(&pipeline->pause, loop, on_pause_over);
    pipeline->status = status_new(loop, ledger,
                                  &(struct status_options){
                                      .sink = {put_status, erase_status, pipeline},
                                      .served_by = served_by,
                                      .objects_of = objects_of,
                                      .members_of = members_of,
                                      .objects_arg = pipeline,
                                      .expects_written = true,
                                  });
    return pipeline;
}

void pipeline_free(struct pipeline *pipeline)
{
    if (!pipeline)
        return;
    bool is_posted = pipeline->is_scheduled && !loop_timer_is_running(&pipeline->pause);
    loop_timer_stop(&pipeline->pause);
    status_free(pipeline->status);
    model_free(pipeline->model);
    translator_free(pipeline->translator);
    model_store_free(pipeline->store);
    pipeline->is_freed = true;
    if (!is_posted)
        mem_free(pipeline);
}

void pipeline_set_source(struct pipeline *pipeline, struct source *source)
{
    pipeline->source = source;
}

void pipeline_close_statuses(struct pipeline *pipeline)
{
    status_close(pipeline->status);
}

void pipeline_flush_statuses(struct pipeline *pipeline)
{
    status_flush(pipeline->status);
}

struct pipeline_stats pipeline_stats(const struct pipeline *pipeline)
{
    struct pipeline_stats stats = pipeline->stats;
    stats.source_detail = pipeline->source_detail;
    return stats;
}

struct status_counts pipeline_status_counts(const struct pipeline *pipeline)
{
    return status_counts(pipeline->status);
}
