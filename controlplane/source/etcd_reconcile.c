/*
 * Comparing keys and revisions with etcd's now and then, because etcd has lost delete events around
 * compactions. What differs is looked at again a moment later: the event may have been on its way.
 * Where the same key still differs, everything is read anew.
 */
#include "common/base/log.h"
#include "controlplane/source/etcd_internal.h"

enum { SECOND_LOOK_MS = 1000, RECONCILE_PAGE_KEYS = 10000 };

static void on_page(void *arg, enum rpc_status status, const char *text, struct str response);

static void begin(struct etcd_source *source)
{
    struct etcd_reconcile *reconcile = &source->reconcile;
    if (source->session != SESSION_WATCHING || source->base.is_held) {
        etcd_reconcile_schedule(source);
        return;
    }
    reconcile->round++;
    reconcile->seen_count = 0;
    buf_reset(&reconcile->suspect);
    etcd_listing_restart(&reconcile->listing, source->prefix, source->range_end);
    etcd_listing_request(source, &reconcile->listing, true, on_page);
}

static void on_timer(struct loop_timer *timer)
{
    begin(CONTAINER_OF(timer, struct etcd_source, reconcile.timer));
}

static void suspect(struct etcd_reconcile *reconcile, struct str key)
{
    if (reconcile->suspect.len == 0)
        buf_append_str(&reconcile->suspect, key);
}

static void compare_page(struct etcd_source *source, const Etcdserverpb__RangeResponse *page)
{
    struct etcd_reconcile *reconcile = &source->reconcile;
    for (size_t i = 0; i < page->n_kvs; i++) {
        struct source_entry entry = etcd_entry_of(source, page->kvs[i]);
        if (entry.key.len == 0 || str_equal(entry.key, STR(SOURCE_ALLOW_EMPTY_KEY)))
            continue;
        struct source_store_object *object = source_store_find(&source->base.store, entry.key);
        if (!object || object->entry.mod_revision != entry.mod_revision) {
            suspect(reconcile, entry.key);
            continue;
        }
        object->round = reconcile->round;
        reconcile->seen_count++;
    }
}

/* A key that we have and etcd has not. */
static void find_ghost(struct etcd_source *source)
{
    struct etcd_reconcile *reconcile = &source->reconcile;
    MAP_FOR_EACH(slot, &source->base.store.objects) {
        const struct source_store_object *object = slot->value;
        if (object->round != reconcile->round)
            suspect(reconcile, object->entry.key);
    }
}

static void conclude(struct etcd_source *source)
{
    struct etcd_reconcile *reconcile = &source->reconcile;
    if (reconcile->suspect.len == 0 && reconcile->seen_count < source->base.store.objects.len)
        find_ghost(source);
    if (reconcile->suspect.len == 0) {
        etcd_reconcile_schedule(source);
        return;
    }
    struct str key = buf_str(&reconcile->suspect);
    if (reconcile->is_confirming && str_equal(key, buf_str(&reconcile->was))) {
        log_warning("etcd_watch_missed_change key=%.*s action=\"reading everything anew\"",
                    STR_ARGS(key));
        etcd_list_begin(source);
        return;
    }
    reconcile->is_confirming = true;
    buf_reset(&reconcile->was);
    buf_append_str(&reconcile->was, key);
    loop_timer_start(&reconcile->timer, SECOND_LOOK_MS);
}

static void take_page(struct etcd_source *source, struct str response)
{
    struct etcd_reconcile *reconcile = &source->reconcile;
    struct arena arena;
    arena_init(&arena, 64 * 1024);
    ProtobufCAllocator allocator = arena_protobuf_allocator(&arena);
    Etcdserverpb__RangeResponse *page = etcdserverpb__range_response__unpack(
        &allocator, response.len, (const uint8_t *)response.data);
    if (page && page->header) {
        compare_page(source, page);
        if (etcd_listing_take_page(&reconcile->listing, page))
            conclude(source);
        else
            etcd_listing_request(source, &reconcile->listing, true, on_page);
    } else {
        etcd_reconcile_schedule(source);
    }
    arena_done(&arena);
}

static void on_page(void *arg, enum rpc_status status, const char *text, struct str response)
{
    struct etcd_source *source = arg;
    source->reconcile.listing.call = NULL;
    if (status == RPC_STATUS_OK) {
        take_page(source, response);
        return;
    }
    log_debug("etcd_reconcile_failed status=%s text=\"%s\"", rpc_status_name(status), text);
    etcd_session_check_token(source, status, text);
    etcd_reconcile_schedule(source);
}

void etcd_reconcile_init(struct etcd_source *source)
{
    struct etcd_reconcile *reconcile = &source->reconcile;
    loop_timer_init(&reconcile->timer, source->loop, on_timer);
    etcd_listing_init(&reconcile->listing, RECONCILE_PAGE_KEYS);
    buf_init(&reconcile->suspect, ETCD_KEY_BYTES_MAX);
    buf_init(&reconcile->was, ETCD_KEY_BYTES_MAX);
}

void etcd_reconcile_schedule(struct etcd_source *source)
{
    source->reconcile.is_confirming = false;
    if (source->reconcile_ms > 0)
        loop_timer_start(&source->reconcile.timer, (uint64_t)source->reconcile_ms);
}

void etcd_reconcile_cancel(struct etcd_source *source)
{
    struct etcd_reconcile *reconcile = &source->reconcile;
    loop_timer_stop(&reconcile->timer);
    if (reconcile->listing.call)
        rpc_call_cancel(reconcile->listing.call);
    reconcile->listing.call = NULL;
}

void etcd_reconcile_done(struct etcd_source *source)
{
    etcd_listing_done(&source->reconcile.listing);
    buf_done(&source->reconcile.suspect);
    buf_done(&source->reconcile.was);
}
