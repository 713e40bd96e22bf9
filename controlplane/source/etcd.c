/* The etcd source's life: options, sessions, failures, and the copy on disk. */
#include "common/base/hash.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/io/checked_file.h"
#include "controlplane/source/etcd_internal.h"

#include <stdarg.h>
#include <stdio.h>

/* A copy on disk is not larger than the limit on all values, plus keys and heads. */
static size_t copy_bytes_max(const struct etcd_source *source)
{
    return source->base.limits.total_bytes_max + 256 * 1024 * 1024;
}

static struct str key_below_prefix(const struct etcd_source *source, ProtobufCBinaryData key)
{
    struct str whole = {.data = (const char *)key.data, .len = key.len};
    if (!str_starts_with(whole, source->prefix))
        return (struct str){0};
    return str_slice(whole, source->prefix.len, whole.len);
}

/* JSON objects begin with a brace; what does not is read as YAML, of which JSON is a part. */
static bool is_yaml(ProtobufCBinaryData value)
{
    size_t at = 0;
    while (at < value.len && strchr(" \t\r\n", value.data[at]) && value.data[at])
        at++;
    return at < value.len && value.data[at] != '{';
}

struct source_entry etcd_entry_of(const struct etcd_source *source, const Mvccpb__KeyValue *kv)
{
    return (struct source_entry){
        .key = key_below_prefix(source, kv->key),
        .value = {.data = (const char *)kv->value.data, .len = kv->value.len},
        .value_bytes = kv->value.len,
        .mod_revision = kv->mod_revision,
        .is_yaml = is_yaml(kv->value),
    };
}

void etcd_tell_nameless(const struct etcd_source *source)
{
    log_warning("etcd_key_ignored key=%.*s reason=\"it must have a kind and a name behind it\"",
                STR_ARGS(source->prefix));
}

/* --- session ---------------------------------------------------------------------------------- */

static void end_calls(struct etcd_source *source)
{
    if (source->auth_call)
        rpc_call_cancel(source->auth_call);
    source->auth_call = NULL;
    loop_timer_stop(&source->deadline);
    etcd_list_cancel(source);
    etcd_watch_cancel(source);
    etcd_reconcile_cancel(source);
    etcd_statuses_cancel(source);
    etcd_lease_cancel(source);
    etcd_follow_cancel(source);
    source->session = SESSION_PAUSED;
}

/* Quickly through the other endpoints, then with growing pauses, spread so that many control planes
 * do not come back at the same moment. */
static uint64_t pause_ms(const struct etcd_source *source)
{
    size_t endpoints = etcd_client_endpoint_count(source->client);
    if (source->failures < endpoints)
        return 20;
    size_t round = source->failures - endpoints;
    uint64_t pause = round < 6 ? (uint64_t)200 << round : UINT64_MAX;
    if (pause > (uint64_t)source->reconnect_max_ms)
        pause = (uint64_t)source->reconnect_max_ms;
    struct str seed = {.data = (const char *)&source->failures, .len = sizeof source->failures};
    return pause - pause / 5 + hash_keyed(seed) % (pause / 5 * 2 + 1);
}

static void session_fail(struct etcd_source *source, const char *reason)
{
    char endpoint[128];
    snprintf(endpoint, sizeof endpoint, "%s", etcd_client_endpoint(source->client));
    end_calls(source);
    source->failures++;
    etcd_client_advance(source->client);
    loop_timer_start(&source->retry, pause_ms(source));
    if (!source->base.has_delivered)
        source_report(&source->base, SOURCE_CONNECTING, "etcd %s: %s", endpoint, reason);
    else
        source_report(&source->base, SOURCE_DISCONNECTED, "etcd %s: %s; serving revision %lld",
                      endpoint, reason, (long long)source->base.store.revision);
}

void etcd_session_fail(struct etcd_source *source, const char *format, ...)
{
    char reason[384];
    va_list args;
    va_start(args, format);
    vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    session_fail(source, reason);
}

void etcd_session_fail_call(struct etcd_source *source, const char *what, enum rpc_status status,
                            const char *text)
{
    etcd_session_fail(source, "%s failed: %s (%s)", what, text, rpc_status_name(status));
}

static void proceed(struct etcd_source *source)
{
    if (source->revision > 0)
        etcd_session_watch(source);
    else
        etcd_list_begin(source);
}

/* A new token is there in the middle of a session. */
static void retry_refused(struct etcd_source *source)
{
    etcd_statuses_retry(source);
    if (source->lease.id == 0)
        etcd_lease_begin(source);
}

static void on_authenticated(void *arg, enum rpc_status status, const char *text,
                             struct str response)
{
    struct etcd_source *source = arg;
    source->auth_call = NULL;
    if (status != RPC_STATUS_OK) {
        etcd_session_fail_call(source, "authentication", status, text);
        return;
    }
    struct arena arena;
    arena_init(&arena, 1024);
    ProtobufCAllocator allocator = arena_protobuf_allocator(&arena);
    Etcdserverpb__AuthenticateResponse *answer = etcdserverpb__authenticate_response__unpack(
        &allocator, response.len, (const uint8_t *)response.data);
    if (answer)
        etcd_client_set_token(source->client, answer->token);
    arena_done(&arena);
    if (!answer)
        etcd_session_fail(source, "the answer to the authentication cannot be read");
    else if (source->session == SESSION_AUTHENTICATING)
        proceed(source);
    else
        retry_refused(source);
}

void etcd_session_check_token(struct etcd_source *source, enum rpc_status status, const char *text)
{
    /* Expired, or given before the last change of users and roles, which shares its status with
     * other failures. */
    bool is_refused =
        status == RPC_STATUS_UNAUTHENTICATED ||
        (status == RPC_STATUS_INVALID_ARGUMENT && strstr(text, "revision of auth store is old"));
    if (is_refused && !source->auth_call)
        source->auth_call = etcd_client_authenticate(source->client, on_authenticated, source);
}

static void session_begin(struct etcd_source *source)
{
    struct errmsg msg;
    if (etcd_client_connect(source->client, &msg) != 0) {
        session_fail(source, msg.text);
    } else if (etcd_client_needs_token(source->client)) {
        source->session = SESSION_AUTHENTICATING;
        source->auth_call = etcd_client_authenticate(source->client, on_authenticated, source);
    } else {
        proceed(source);
    }
}

void etcd_session_watch(struct etcd_source *source)
{
    source->session = SESSION_OPENING;
    loop_timer_start(&source->deadline, (uint64_t)source->request_timeout_ms);
    etcd_watch_begin(source);
}

void etcd_session_synced(struct etcd_source *source)
{
    source->session = SESSION_WATCHING;
    source->failures = 0;
    loop_timer_stop(&source->deadline);
    loop_timer_stop(&source->last_good_delay);
    source_store_done(&source->last_good);
    if (source->base.is_held && source->has_settled) {
        etcd_list_begin(source);
        return;
    }
    etcd_reconcile_schedule(source);
    char where[192];
    snprintf(where, sizeof where, "etcd %s", etcd_client_endpoint(source->client));
    source_report_synced(&source->base, where);
    etcd_status_list_begin(source);
    etcd_lease_begin(source);
    etcd_follow_begin(source);
    if (source->statuses.pending.len > 0 && !source->statuses.call)
        loop_timer_start(&source->statuses.timer, 0);
}

static void on_retry(struct loop_timer *timer)
{
    session_begin(CONTAINER_OF(timer, struct etcd_source, retry));
}

static void on_deadline(struct loop_timer *timer)
{
    struct etcd_source *source = CONTAINER_OF(timer, struct etcd_source, deadline);
    etcd_session_fail(source, "the watch was not answered in %d ms", source->request_timeout_ms);
}

/* What came back after an emptiness has been quiet for a while: take it as it is. */
static void on_settled(struct loop_timer *timer)
{
    struct etcd_source *source = CONTAINER_OF(timer, struct etcd_source, settle);
    source->has_settled = true;
    if (source->session == SESSION_WATCHING)
        etcd_list_begin(source);
}

/* --- the copy on disk ------------------------------------------------------------------------- */

static void note_copy(struct etcd_source *source, int err, const char *reason)
{
    if (err && !source->is_copy_failing)
        log_warning("last_good_not_written reason=\"%s\"", reason);
    if (err)
        source->is_dirty = true;
    source->is_copy_failing = err != 0;
}

static void on_copy_written(struct last_good_writer *writer, int err, const char *reason)
{
    struct etcd_source *source = CONTAINER_OF(writer, struct etcd_source, writer);
    note_copy(source, err, reason);
    if (source->is_dirty)
        loop_timer_start(&source->save, err ? 10000 : 1000);
}

static void encode(struct etcd_source *source, struct buf *ret_bytes)
{
    buf_init(ret_bytes, copy_bytes_max(source));
    checked_file_begin(ret_bytes);
    last_good_encode(ret_bytes, &source->base.store, source->prefix, source->cluster_id);
    source->is_dirty = false;
}

static void on_save(struct loop_timer *timer)
{
    struct etcd_source *source = CONTAINER_OF(timer, struct etcd_source, save);
    if (source->writer.job)
        return; /* on_copy_written sees that there is more */
    struct buf bytes;
    encode(source, &bytes);
    last_good_writer_write(&source->writer, &bytes);
}

void etcd_schedule_save(struct etcd_source *source)
{
    if (!source->writer.path)
        return;
    source->is_dirty = true;
    if (!loop_timer_is_running(&source->save) && !source->writer.job)
        loop_timer_start(&source->save, 1000);
}

static void save_now(struct etcd_source *source)
{
    last_good_writer_wait(&source->writer);
    if (!source->is_dirty)
        return;
    struct buf bytes;
    struct errmsg msg;
    encode(source, &bytes);
    int err = checked_file_write(source->writer.path, LAST_GOOD_KIND, &bytes, &msg);
    note_copy(source, err, msg.text);
    buf_done(&bytes);
}

/* Reads the copy; what is wrong with it is said, and then there is none. */
static void load_copy(struct etcd_source *source)
{
    struct buf bytes;
    struct str content;
    struct errmsg msg;
    buf_init(&bytes, copy_bytes_max(source));
    int err = checked_file_read(source->writer.path, LAST_GOOD_KIND, &bytes, &content, &msg);
    if (!err)
        err = last_good_decode(content, source->prefix, &source->last_good, &source->cluster_id,
                               &msg);
    buf_done(&bytes);
    if (err && err != ERR_NOT_FOUND)
        log_error("last_good_refused path=%s reason=\"%s\"", source->writer.path, msg.text);
}

static void on_last_good_delay(struct loop_timer *timer)
{
    struct etcd_source *source = CONTAINER_OF(timer, struct etcd_source, last_good_delay);
    if (source->base.has_delivered || source->last_good.objects.len == 0)
        return;
    log_warning("last_good_used path=%s revision=%lld objects=%zu", source->writer.path,
                (long long)source->last_good.revision, source->last_good.objects.len);
    source_deliver_snapshot(&source->base, &source->last_good, true);
    source_report(&source->base, SOURCE_DISCONNECTED,
                  "etcd could not be read yet; serving the copy on disk, revision %lld",
                  (long long)source->base.store.revision);
}

/* --- life ------------------------------------------------------------------------------------- */

static void start(struct source *base)
{
    struct etcd_source *source = CONTAINER_OF(base, struct etcd_source, base);
    source->is_started = true;
    if (source->writer.path) {
        load_copy(source);
        loop_timer_start(&source->last_good_delay, (uint64_t)source->last_good_after_ms);
    }
    loop_timer_start(&source->retry, 0);
}

static void stop(struct source *base)
{
    struct etcd_source *source = CONTAINER_OF(base, struct etcd_source, base);
    if (source->is_stopped)
        return;
    source->is_stopped = true;
    end_calls(source);
    struct loop_timer *timers[] = {
        &source->retry, &source->deadline,       &source->settle,         &source->last_good_delay,
        &source->save,  &source->statuses.timer, &source->reconcile.timer};
    for (size_t i = 0; i < sizeof timers / sizeof *timers; i++)
        loop_timer_stop(timers[i]);
    if (source->writer.path)
        save_now(source);
}

static void destroy(struct source *base)
{
    struct etcd_source *source = CONTAINER_OF(base, struct etcd_source, base);
    ASSERT(source->is_stopped || !source->is_started);
    etcd_client_free(source->client);
    etcd_listing_done(&source->listing);
    etcd_reconcile_done(source);
    etcd_statuses_done(source);
    etcd_lease_done(source);
    etcd_follow_done(source);
    source_store_done(&source->staging);
    source_store_done(&source->last_good);
    arena_done(&source->batch);
    vec_done(&source->events);
    last_good_writer_done(&source->writer);
    mem_free((char *)(uintptr_t)source->prefix.data);
    mem_free((char *)(uintptr_t)source->range_end.data);
    mem_free((char *)(uintptr_t)source->status_prefix.data);
    source_done(base);
    mem_free(source);
}

static void put_status(struct source *base, struct str key, struct str value)
{
    struct etcd_source *source = CONTAINER_OF(base, struct etcd_source, base);
    etcd_lease_forget(source, key);
    etcd_statuses_put(source, key, &value, false);
}

static void put_passing_status(struct source *base, struct str key, struct str value)
{
    etcd_lease_put(CONTAINER_OF(base, struct etcd_source, base), key, value);
}

static void delete_status(struct source *base, struct str key)
{
    struct etcd_source *source = CONTAINER_OF(base, struct etcd_source, base);
    etcd_lease_forget(source, key);
    etcd_statuses_put(source, key, NULL, false);
}

static const struct source_type etcd_type = {.start = start,
                                             .stop = stop,
                                             .destroy = destroy,
                                             .put_status = put_status,
                                             .put_passing_status = put_passing_status,
                                             .delete_status = delete_status};

/* A copy that ends with one slash. */
static struct str copy_prefix(const char *prefix)
{
    size_t len = strlen(prefix);
    char *copy = mem_copy_string(prefix, len + 1);
    if (len == 0 || prefix[len - 1] != '/')
        copy[len++] = '/';
    return (struct str){.data = copy, .len = len};
}

struct str etcd_range_end(struct str prefix)
{
    char *end = mem_copy_string(prefix.data, prefix.len);
    end[prefix.len - 1]++; /* '/' becomes '0' */
    return (struct str){.data = end, .len = prefix.len};
}

static int or_default(int value, int fallback)
{
    return value ? value : fallback;
}

static void init_timers(struct etcd_source *source)
{
    loop_timer_init(&source->retry, source->loop, on_retry);
    loop_timer_init(&source->deadline, source->loop, on_deadline);
    loop_timer_init(&source->settle, source->loop, on_settled);
    loop_timer_init(&source->save, source->loop, on_save);
    loop_timer_init(&source->last_good_delay, source->loop, on_last_good_delay);
}

static void init_options(struct etcd_source *source, const struct source_etcd_options *options)
{
    source->prefix = copy_prefix(options->prefix ? options->prefix : "/weir/v1/");
    source->range_end = etcd_range_end(source->prefix);
    if (options->status_prefix)
        source->status_prefix = copy_prefix(options->status_prefix);
    source->request_timeout_ms = or_default(options->request_timeout_ms, 10000);
    source->reconnect_max_ms = or_default(options->reconnect_max_ms, 5000);
    source->reconcile_ms = or_default(options->reconcile_ms, 60000);
    source->settle_ms = or_default(options->settle_ms, 5000);
    source->last_good_after_ms = or_default(options->last_good_after_ms, 2000);
}

struct source *source_etcd_new(struct rpc_runtime *runtime,
                               const struct source_etcd_options *options,
                               const struct source_listener *listener, void *arg,
                               struct errmsg *msg)
{
    struct etcd_client *client = etcd_client_new(runtime, options, msg);
    if (!client)
        return NULL;
    struct etcd_source *source = MEM_NEW(struct etcd_source);
    source_init(&source->base, &etcd_type, &options->limits, listener, arg);
    source->loop = rpc_runtime_loop(runtime);
    source->client = client;
    init_options(source, options);
    init_timers(source);
    arena_init(&source->batch, 16 * 1024);
    etcd_listing_init(&source->listing, or_default(options->page_keys, 1000));
    etcd_reconcile_init(source);
    etcd_statuses_init(source);
    etcd_lease_init(source);
    etcd_follow_init(source, options->followed);
    if (options->last_good_path)
        last_good_writer_init(&source->writer, source->loop, options->last_good_path,
                              on_copy_written);
    return &source->base;
}
