/* Following status documents that other replicas write, too: all of them, then each change.
 * Whatever goes wrong, they are read anew a little later. */
#include "common/base/log.h"
#include "common/base/mem.h"
#include "controlplane/source/etcd_internal.h"

enum {
    /* Documents of proxies are a few hundred bytes; with many refusals up to 64 KiB. */
    PAGE_KEYS = 500,
    /* No page is read beyond these: bounds the memory that whoever may write there can make us use.
     */
    DOCUMENTS_MAX = 50 * 1000,
    BYTES_MAX = 256 * 1024 * 1024,
    AGAIN_MS = 2000,
};

static void drop_documents(struct etcd_follow *follow)
{
    follow->len = 0;
    arena_reset(&follow->arena);
}

static void try_again(struct etcd_source *source, const char *what, const char *text)
{
    log_info("etcd_follow_failed step=%s text=\"%s\"", what, text);
    etcd_follow_cancel(source);
    loop_timer_start(&source->follow.again, AGAIN_MS);
}

/* What is longer than any of ours says nothing. */
static struct str value_of(const Mvccpb__KeyValue *kv)
{
    if (kv->value.len == 0 || kv->value.len > SOURCE_STATUS_BYTES_MAX)
        return STR("");
    return (struct str){.data = (const char *)kv->value.data, .len = kv->value.len};
}

static void add(struct etcd_source *source, const Mvccpb__KeyValue *kv, bool is_deleted)
{
    struct etcd_follow *follow = &source->follow;
    struct str key = {.data = (const char *)kv->key.data, .len = kv->key.len};
    if (!str_starts_with(key, follow->prefix))
        return;
    if (follow->len == follow->cap) {
        follow->cap = follow->cap ? follow->cap * 2 : 64;
        follow->documents = mem_resize(follow->documents, follow->cap, sizeof *follow->documents);
    }
    struct source_status *document = &follow->documents[follow->len++];
    *document = (struct source_status){.key = str_slice(key, source->status_prefix.len, key.len)};
    if (!is_deleted)
        document->value = value_of(kv);
}

static void deliver(struct etcd_source *source, bool is_complete)
{
    struct etcd_follow *follow = &source->follow;
    const struct source_listener *listener = source->base.listener;
    if (listener->on_followed && (is_complete || follow->len))
        listener->on_followed(source->base.arg, follow->documents, follow->len, is_complete);
    drop_documents(follow);
}

/* --- each change
 * ----------------------------------------------------------------------------------- */

static void on_message(void *arg, struct rpc_stream *stream, struct str data)
{
    (void)stream;
    struct etcd_source *source = arg;
    ProtobufCAllocator allocator = arena_protobuf_allocator(&source->follow.arena);
    const Etcdserverpb__WatchResponse *response =
        etcdserverpb__watch_response__unpack(&allocator, data.len, (const uint8_t *)data.data);
    if (!response || response->canceled) {
        try_again(source, "watch", response ? response->cancel_reason : "cannot be read");
        return;
    }
    for (size_t i = 0; i < response->n_events; i++) {
        const Mvccpb__Event *event = response->events[i];
        if (event->kv)
            add(source, event->kv, event->type == MVCCPB__EVENT__EVENT_TYPE__DELETE);
    }
    deliver(source, false);
}

static void on_closed(void *arg, struct rpc_stream *stream, enum rpc_status status,
                      const char *text)
{
    (void)stream;
    struct etcd_source *source = arg;
    source->follow.watch = NULL;
    etcd_session_check_token(source, status, text);
    try_again(source, "watch", text);
}

static void watch(struct etcd_source *source, int64_t revision)
{
    static const struct rpc_stream_events events = {.on_message = on_message,
                                                    .on_closed = on_closed};
    struct etcd_follow *follow = &source->follow;
    Etcdserverpb__WatchCreateRequest create = ETCDSERVERPB__WATCH_CREATE_REQUEST__INIT;
    create.key = (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)follow->prefix.data,
                                       .len = follow->prefix.len};
    create.range_end = (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)follow->range_end.data,
                                             .len = follow->range_end.len};
    create.start_revision = revision;
    Etcdserverpb__WatchRequest request = ETCDSERVERPB__WATCH_REQUEST__INIT;
    request.request_union_case = ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST;
    request.create_request = &create;
    follow->watch = etcd_client_watch(source->client, &events, source);
    struct rpc_buf *bytes = rpc_buf_pack(&request.base);
    int err = rpc_stream_send_buf(follow->watch, bytes);
    rpc_buf_unref(bytes);
    if (err)
        try_again(source, "watch", err_text(err));
}

/* --- all of them
 * ----------------------------------------------------------------------------------- */

static void on_page(void *arg, enum rpc_status status, const char *text, struct str response);

/* Whether no more may be read; said where there is more. */
static bool is_full(const struct etcd_follow *follow)
{
    if (follow->len < DOCUMENTS_MAX && arena_bytes(&follow->arena) < BYTES_MAX)
        return false;
    log_warning(
        "etcd_follow_full prefix=%.*s read=%zu hint=\"statuses will not tell of all proxies "
        "of other weir-controls\"",
        STR_ARGS(follow->prefix), follow->len);
    return true;
}

static void take_page(struct etcd_source *source, struct str response)
{
    struct etcd_follow *follow = &source->follow;
    ProtobufCAllocator allocator = arena_protobuf_allocator(&follow->arena);
    const Etcdserverpb__RangeResponse *page = etcdserverpb__range_response__unpack(
        &allocator, response.len, (const uint8_t *)response.data);
    if (!page || !page->header) {
        try_again(source, "listing", "cannot be read");
        return;
    }
    for (size_t i = 0; i < page->n_kvs; i++)
        add(source, page->kvs[i], false);
    if (!etcd_listing_take_page(&follow->listing, page) && !is_full(follow)) {
        etcd_listing_request(source, &follow->listing, false, on_page);
        return;
    }
    deliver(source, true);
    watch(source, follow->listing.revision + 1);
}

static void on_page(void *arg, enum rpc_status status, const char *text, struct str response)
{
    struct etcd_source *source = arg;
    struct etcd_listing *listing = &source->follow.listing;
    listing->call = NULL;
    if (status == RPC_STATUS_OK) {
        take_page(source, response);
    } else if (status == RPC_STATUS_RESOURCE_EXHAUSTED && listing->page_keys > 1) {
        listing->page_keys /= 2; /* the page may have been over what we receive */
        etcd_listing_request(source, listing, false, on_page);
    } else if (status == RPC_STATUS_PERMISSION_DENIED) {
        log_warning("etcd_follow_refused prefix=%.*s text=\"%s\" hint=\"statuses will not tell of "
                    "proxies of other weir-controls\"",
                    STR_ARGS(source->follow.prefix), text);
    } else {
        etcd_session_check_token(source, status, text);
        try_again(source, "listing", text);
    }
}

static void on_again(struct loop_timer *timer)
{
    etcd_follow_begin(CONTAINER_OF(timer, struct etcd_source, follow.again));
}

/* --- life
 * ------------------------------------------------------------------------------------------ */

void etcd_follow_init(struct etcd_source *source, const char *followed)
{
    struct etcd_follow *follow = &source->follow;
    loop_timer_init(&follow->again, source->loop, on_again);
    arena_init(&follow->arena, 16 * 1024);
    etcd_listing_init(&follow->listing, PAGE_KEYS);
    if (!followed || !source->status_prefix.data)
        return;
    struct buf prefix;
    buf_init(&prefix, ETCD_KEY_BYTES_MAX);
    buf_append_str(&prefix, source->status_prefix);
    buf_append_str(&prefix, str_from(followed));
    follow->prefix =
        (struct str){.data = mem_copy_string(prefix.data, prefix.len), .len = prefix.len};
    follow->range_end = etcd_range_end(follow->prefix);
    buf_done(&prefix);
}

void etcd_follow_begin(struct etcd_source *source)
{
    struct etcd_follow *follow = &source->follow;
    if (!follow->prefix.data || source->session != SESSION_WATCHING || follow->listing.call ||
        follow->watch)
        return;
    loop_timer_stop(&follow->again);
    etcd_listing_restart(&follow->listing, follow->prefix, follow->range_end);
    etcd_listing_request(source, &follow->listing, false, on_page);
}

void etcd_follow_cancel(struct etcd_source *source)
{
    struct etcd_follow *follow = &source->follow;
    loop_timer_stop(&follow->again);
    if (follow->listing.call)
        rpc_call_cancel(follow->listing.call);
    follow->listing.call = NULL;
    if (follow->watch)
        rpc_stream_abandon(follow->watch);
    follow->watch = NULL;
    drop_documents(follow);
}

void etcd_follow_done(struct etcd_source *source)
{
    struct etcd_follow *follow = &source->follow;
    etcd_listing_done(&follow->listing);
    arena_done(&follow->arena);
    mem_free(follow->documents);
    mem_free((char *)(uintptr_t)follow->prefix.data);
    mem_free((char *)(uintptr_t)follow->range_end.data);
}
