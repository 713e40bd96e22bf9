/* Reading everything below the prefix, page by page, at one revision. */
#include "common/base/log.h"
#include "controlplane/source/etcd_internal.h"

/* Listings in a row that were compacted away under our hands before we give up for a while. */
enum { RESTARTS_MAX = 5 };

static void on_page(void *arg, enum rpc_status status, const char *text, struct str response);

void etcd_listing_init(struct etcd_listing *listing, int page_keys)
{
    buf_init(&listing->next_key, ETCD_KEY_BYTES_MAX);
    listing->page_keys = page_keys;
}

void etcd_listing_done(struct etcd_listing *listing)
{
    buf_done(&listing->next_key);
}

void etcd_listing_restart(struct etcd_listing *listing, struct str prefix, struct str range_end)
{
    listing->range_end = range_end;
    listing->revision = 0;
    listing->cluster_id = 0;
    buf_reset(&listing->next_key);
    buf_append_str(&listing->next_key, prefix);
}

void etcd_listing_request(struct etcd_source *source, struct etcd_listing *listing, bool keys_only,
                          rpc_call_done_fn *on_done)
{
    Etcdserverpb__RangeRequest request = ETCDSERVERPB__RANGE_REQUEST__INIT;
    request.key.data = (uint8_t *)listing->next_key.data;
    request.key.len = listing->next_key.len;
    request.range_end.data = (uint8_t *)(uintptr_t)listing->range_end.data;
    request.range_end.len = listing->range_end.len;
    request.limit = listing->page_keys;
    request.revision = listing->revision;
    request.sort_order = ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__ASCEND;
    request.keys_only = keys_only;
    listing->call =
        etcd_client_call(source->client, "/etcdserverpb.KV/Range", &request.base, on_done, source);
}

bool etcd_listing_take_page(struct etcd_listing *listing, const Etcdserverpb__RangeResponse *page)
{
    if (page->header && listing->revision == 0) {
        listing->revision = page->header->revision;
        listing->cluster_id = page->header->cluster_id;
    }
    if (!page->more || page->n_kvs == 0)
        return true;
    const ProtobufCBinaryData *last = &page->kvs[page->n_kvs - 1]->key;
    buf_reset(&listing->next_key);
    buf_append(&listing->next_key, last->data, last->len);
    buf_append_char(&listing->next_key, '\0'); /* the first key behind it */
    return false;
}

void etcd_list_begin(struct etcd_source *source)
{
    etcd_watch_cancel(source);
    etcd_reconcile_cancel(source);
    loop_timer_stop(&source->deadline);
    source->session = SESSION_LISTING;
    source_store_done(&source->staging);
    source->staging_allows_empty = false;
    etcd_listing_restart(&source->listing, source->prefix, source->range_end);
    etcd_listing_request(source, &source->listing, false, on_page);
}

void etcd_list_cancel(struct etcd_source *source)
{
    if (source->listing.call)
        rpc_call_cancel(source->listing.call);
    source->listing.call = NULL;
    source_store_done(&source->staging);
}

/* --- the end of a listing --------------------------------------------------------------------- */

static void note_other_past(const struct etcd_source *source)
{
    const struct etcd_listing *listing = &source->listing;
    if (source->cluster_id && source->cluster_id != listing->cluster_id)
        log_warning("etcd_other_cluster endpoint=%s was=%llx is=%llx revision=%lld",
                    etcd_client_endpoint(source->client), (unsigned long long)source->cluster_id,
                    (unsigned long long)listing->cluster_id, (long long)listing->revision);
    else if (listing->revision < source->base.store.revision)
        log_warning("etcd_revision_went_back endpoint=%s was=%lld is=%lld hint=\"restored from an "
                    "older backup?\"",
                    etcd_client_endpoint(source->client), (long long)source->base.store.revision,
                    (long long)listing->revision);
}

/* The listener gets what is on disk where etcd turns out to be empty at the start: it may have been
 * wiped while we were away. */
static void fall_back_to_copy(struct etcd_source *source)
{
    if (source->base.has_delivered || source->staging.objects.len > 0 ||
        source->last_good.objects.len < 2 || source->base.allows_empty)
        return;
    source_deliver_snapshot(&source->base, &source->last_good, true);
}

static void finish_listing(struct etcd_source *source)
{
    struct source *base = &source->base;
    note_other_past(source);
    source->cluster_id = source->listing.cluster_id;
    source->revision = source->listing.revision;
    source->staging.revision = source->listing.revision;
    source->listing.restarts = 0;
    base->allows_empty = source->staging_allows_empty;
    fall_back_to_copy(source);
    bool is_wipe = source_is_wipe(base, source->staging.objects.len);
    bool waits = base->is_held && !source->has_settled && !base->allows_empty;
    if (is_wipe || waits) {
        base->is_held = true;
        if (!is_wipe)
            loop_timer_start(&source->settle, (uint64_t)source->settle_ms);
        source_store_done(&source->staging);
    } else {
        source_deliver_snapshot(base, &source->staging, false);
        etcd_schedule_save(source);
    }
    source->has_settled = false;
    etcd_session_watch(source);
}

/* --- pages ------------------------------------------------------------------------------------ */

static void stage(struct etcd_source *source, const Etcdserverpb__RangeResponse *page)
{
    for (size_t i = 0; i < page->n_kvs; i++) {
        struct source_entry entry = etcd_entry_of(source, page->kvs[i]);
        if (str_equal(entry.key, STR(SOURCE_ALLOW_EMPTY_KEY))) {
            source->staging_allows_empty = true;
        } else if (entry.key.len > 0) {
            source_store_limit(&source->staging, &source->base.limits, &entry);
            source_store_put(&source->staging, &entry);
        } else {
            etcd_tell_nameless(source);
        }
    }
}

static void take_page(struct etcd_source *source, struct str response)
{
    struct arena arena;
    arena_init(&arena, 64 * 1024);
    ProtobufCAllocator allocator = arena_protobuf_allocator(&arena);
    Etcdserverpb__RangeResponse *page = etcdserverpb__range_response__unpack(
        &allocator, response.len, (const uint8_t *)response.data);
    if (!page || !page->header) {
        etcd_session_fail(source, "a page of the listing cannot be read");
    } else {
        stage(source, page);
        bool is_last = etcd_listing_take_page(&source->listing, page);
        if (source->staging.objects.len > source->base.limits.objects_max)
            etcd_session_fail(source, "there are more than %zu objects",
                              source->base.limits.objects_max);
        else if (!is_last)
            etcd_listing_request(source, &source->listing, false, on_page);
        else
            finish_listing(source);
    }
    arena_done(&arena);
}

static void on_page(void *arg, enum rpc_status status, const char *text, struct str response)
{
    struct etcd_source *source = arg;
    struct etcd_listing *listing = &source->listing;
    listing->call = NULL;
    if (status == RPC_STATUS_OK) {
        take_page(source, response);
    } else if (status == RPC_STATUS_OUT_OF_RANGE && ++listing->restarts <= RESTARTS_MAX) {
        log_info("etcd_listing_compacted revision=%lld", (long long)listing->revision);
        etcd_list_begin(source);
    } else if (status == RPC_STATUS_RESOURCE_EXHAUSTED && listing->page_keys > 1) {
        listing->page_keys /= 2; /* the page may have been over what we receive */
        etcd_listing_request(source, listing, false, on_page);
    } else {
        listing->restarts = 0;
        etcd_session_fail_call(source, "listing", status, text);
    }
}
