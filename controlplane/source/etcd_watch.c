/* The watch: joining fragments, applying one batch at a time, noticing wipes and compactions. */
#include "common/base/log.h"
#include "common/base/mem.h"
#include "controlplane/source/etcd_internal.h"

static void on_message(void *arg, struct rpc_stream *stream, struct str data);
static void on_closed(void *arg, struct rpc_stream *stream, enum rpc_status status,
                      const char *text);

static const struct rpc_stream_events watch_events = {.on_message = on_message,
                                                      .on_closed = on_closed};

static void drop_batch(struct etcd_source *source)
{
    source->events.len = 0;
    source->batch_bytes = 0;
    arena_reset(&source->batch);
}

void etcd_watch_begin(struct etcd_source *source)
{
    Etcdserverpb__WatchCreateRequest create = ETCDSERVERPB__WATCH_CREATE_REQUEST__INIT;
    create.key.data = (uint8_t *)(uintptr_t)source->prefix.data;
    create.key.len = source->prefix.len;
    create.range_end.data = (uint8_t *)(uintptr_t)source->range_end.data;
    create.range_end.len = source->range_end.len;
    create.start_revision = source->revision + 1;
    create.progress_notify = true;
    create.fragment = true;
    Etcdserverpb__WatchRequest request = ETCDSERVERPB__WATCH_REQUEST__INIT;
    request.request_union_case = ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST;
    request.create_request = &create;
    drop_batch(source);
    source->watch = etcd_client_watch(source->client, &watch_events, source);
    struct rpc_buf *bytes = rpc_buf_pack(&request.base);
    int err = rpc_stream_send_buf(source->watch, bytes);
    rpc_buf_unref(bytes);
    if (err)
        etcd_session_fail(source, "the watch cannot be asked for: %s", err_text(err));
}

void etcd_watch_cancel(struct etcd_source *source)
{
    if (source->watch)
        rpc_stream_abandon(source->watch);
    source->watch = NULL;
    drop_batch(source);
}

static void on_closed(void *arg, struct rpc_stream *stream, enum rpc_status status,
                      const char *text)
{
    (void)stream;
    struct etcd_source *source = arg;
    source->watch = NULL;
    etcd_session_fail_call(source, "the watch", status, text);
}

/* --- batches ---------------------------------------------------------------------------------- */

/* How many objects there will be after changes. */
static size_t count_after(const struct etcd_source *source, const struct source_change *changes,
                          size_t count)
{
    struct map last = {0}; /* key -> its last change */
    for (size_t i = 0; i < count; i++)
        map_put(&last, changes[i].entry.key, (void *)(uintptr_t)&changes[i]);
    size_t after = source->base.store.objects.len;
    MAP_FOR_EACH(slot, &last) {
        const struct source_change *change = slot->value;
        bool is_known = source_store_find(&source->base.store, slot->key) != NULL;
        if (change->is_deleted && is_known)
            after--;
        else if (!change->is_deleted && !is_known)
            after++;
    }
    map_done(&last);
    return after;
}

/* The events as changes, in the batch's arena; notes what happens to the allow-empty key. */
static struct source_change *changes_of(struct etcd_source *source, size_t *ret_count,
                                        bool *ret_allows_empty)
{
    struct source_change *changes =
        arena_alloc_array(&source->batch, source->events.len, sizeof *changes);
    size_t count = 0;
    for (size_t i = 0; i < source->events.len; i++) {
        const Mvccpb__Event *event = source->events.items[i];
        struct source_change change = {
            .entry = etcd_entry_of(source, event->kv),
            .is_deleted = event->type == MVCCPB__EVENT__EVENT_TYPE__DELETE,
        };
        if (str_equal(change.entry.key, STR(SOURCE_ALLOW_EMPTY_KEY))) {
            *ret_allows_empty = !change.is_deleted;
        } else if (change.entry.key.len > 0) {
            source_store_limit(&source->base.store, &source->base.limits, &change.entry);
            changes[count++] = change;
        } else if (!change.is_deleted) {
            etcd_tell_nameless(source);
        }
    }
    *ret_count = count;
    return changes;
}

/* While an emptiness is held back: nothing is delivered until it is confirmed, or over. */
static void take_held(struct etcd_source *source, const struct source_change *changes, size_t count)
{
    bool has_put = false;
    for (size_t i = 0; i < count; i++)
        has_put |= !changes[i].is_deleted;
    if (source->base.allows_empty)
        etcd_list_begin(source);
    else if (has_put)
        loop_timer_start(&source->settle, (uint64_t)source->settle_ms);
}

static void hold(struct etcd_source *source)
{
    log_error("etcd_emptied prefix=%.*s objects=%zu action=\"the last state is kept\"",
              STR_ARGS(source->prefix), source->base.store.objects.len);
    source->base.is_held = true;
    etcd_session_synced(source);
}

static void apply_batch(struct etcd_source *source)
{
    size_t count;
    /* A key put before the batch counts, so that one `del --prefix` may take it along. */
    bool allowed_before = source->base.allows_empty, allows_after = allowed_before;
    const struct source_change *changes = changes_of(source, &count, &allows_after);
    const Mvccpb__Event *last = source->events.items[source->events.len - 1];
    source->revision = last->kv->mod_revision;
    source->base.allows_empty = allowed_before || allows_after;
    size_t after = count_after(source, changes, count);
    if (source->base.is_held) {
        take_held(source, changes, count);
    } else if (count > 0 && source_is_wipe(&source->base, after)) {
        hold(source);
    } else if (after > source->base.limits.objects_max) {
        source->revision = 0; /* so that it is read anew */
        etcd_session_fail(source, "there are more than %zu objects",
                          source->base.limits.objects_max);
    } else {
        source_deliver_changes(&source->base, changes, count, source->revision);
        if (count > 0)
            etcd_schedule_save(source);
    }
    source->base.allows_empty = allows_after;
}

/* --- responses -------------------------------------------------------------------------------- */

static void take_created(struct etcd_source *source, const Etcdserverpb__WatchResponse *response)
{
    const Etcdserverpb__ResponseHeader *header = response->header;
    if (header->cluster_id != source->cluster_id || header->revision < source->revision) {
        log_info("etcd_cannot_resume endpoint=%s revision=%lld its_revision=%lld",
                 etcd_client_endpoint(source->client), (long long)source->revision,
                 (long long)header->revision);
        etcd_list_begin(source);
        return;
    }
    etcd_session_synced(source);
}

static void take_cancelled(struct etcd_source *source, const Etcdserverpb__WatchResponse *response)
{
    if (response->compact_revision == 0) {
        etcd_session_fail(source, "etcd cancelled the watch: %s", response->cancel_reason);
        return;
    }
    log_info("etcd_compacted revision=%lld compacted=%lld action=\"reading everything anew\"",
             (long long)source->revision, (long long)response->compact_revision);
    etcd_list_begin(source);
}

static void take_events(struct etcd_source *source, const Etcdserverpb__WatchResponse *response)
{
    for (size_t i = 0; i < response->n_events; i++)
        if (response->events[i]->kv && response->events[i]->kv->mod_revision > source->revision)
            vec_append(&source->events, response->events[i]);
    if (response->fragment)
        return;
    if (source->events.len > 0)
        apply_batch(source);
    else if (response->header->revision > source->revision)
        source->revision = response->header->revision; /* progress */
}

/* Fragments are gathered up to all that may be known, and some for keys and frames. */
static size_t batch_bytes_max(const struct etcd_source *source)
{
    return source->base.limits.total_bytes_max + 64 * 1024 * 1024;
}

static void on_message(void *arg, struct rpc_stream *stream, struct str data)
{
    (void)stream;
    struct etcd_source *source = arg;
    source->batch_bytes += data.len;
    ProtobufCAllocator allocator = arena_protobuf_allocator(&source->batch);
    const Etcdserverpb__WatchResponse *response =
        etcdserverpb__watch_response__unpack(&allocator, data.len, (const uint8_t *)data.data);
    bool is_whole = !response || !response->fragment;
    if (!response || !response->header)
        etcd_session_fail(source, "a watch response cannot be read");
    else if (source->batch_bytes > batch_bytes_max(source))
        etcd_session_fail(source, "one watch response is over %zu bytes", batch_bytes_max(source));
    else if (response->canceled)
        take_cancelled(source, response);
    else if (response->created)
        take_created(source, response);
    else
        take_events(source, response);
    if (is_whole)
        drop_batch(source);
}
