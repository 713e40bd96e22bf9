/* Reading the status documents that are there, once after the start: statuses of objects that were
 * deleted while nobody was there to notice must not stay for ever. */
#include "common/base/log.h"
#include "common/base/mem.h"
#include "controlplane/source/etcd_internal.h"

enum {
    /* Documents of an object are a few hundred bytes; with long lists up to 64 KiB. */
    PAGE_KEYS = 500,
    /* More are left alone: bounds the memory that whoever may write there can make us use. */
    DOCUMENTS_MAX = 300 * 1000,
    BYTES_MAX = 512 * 1024 * 1024,
};

static void request_page(struct etcd_source *source);

static void finish(struct etcd_source *source, bool is_known)
{
    struct etcd_status_list *list = &source->statuses.list;
    struct source *base = &source->base;
    list->is_done = true;
    if (base->listener->on_statuses)
        base->listener->on_statuses(base->arg, list->documents, is_known ? list->len : 0);
    etcd_status_list_cancel(source);
}

static void add(struct etcd_source *source, const Mvccpb__KeyValue *kv)
{
    struct etcd_status_list *list = &source->statuses.list;
    struct str key = {.data = (const char *)kv->key.data, .len = kv->key.len};
    if (list->len == list->cap) {
        list->cap = list->cap ? list->cap * 2 : PAGE_KEYS;
        list->documents = mem_resize(list->documents, list->cap, sizeof *list->documents);
    }
    list->documents[list->len++] = (struct source_status){
        .key = str_slice(key, source->status_prefix.len, key.len),
        .value = {.data = (const char *)kv->value.data, .len = kv->value.len},
    };
    list->bytes += key.len + kv->value.len;
}

static bool take_page(struct etcd_source *source, struct str response)
{
    struct etcd_status_list *list = &source->statuses.list;
    ProtobufCAllocator allocator = arena_protobuf_allocator(&list->arena);
    const Etcdserverpb__RangeResponse *page = etcdserverpb__range_response__unpack(
        &allocator, response.len, (const uint8_t *)response.data);
    for (size_t i = 0; page && i < page->n_kvs; i++)
        add(source, page->kvs[i]);
    return page && page->more && page->n_kvs && list->len < DOCUMENTS_MAX &&
           list->bytes < BYTES_MAX;
}

static void on_page(void *arg, enum rpc_status status, const char *text, struct str response)
{
    struct etcd_source *source = arg;
    struct etcd_status_list *list = &source->statuses.list;
    list->call = NULL;
    if (status == RPC_STATUS_OK) {
        if (take_page(source, response))
            request_page(source);
        else
            finish(source, true);
    } else if (status == RPC_STATUS_RESOURCE_EXHAUSTED && list->page_keys > 1) {
        list->page_keys /= 2; /* the page may have been over what we receive */
        request_page(source);
    } else if (status == RPC_STATUS_PERMISSION_DENIED) {
        log_warning("etcd_statuses_unreadable text=\"%s\" hint=\"documents of objects that are "
                    "gone may stay\"",
                    text);
        finish(source, false);
    } else {
        etcd_status_list_cancel(source); /* the next session tries again */
    }
}

static void request_page(struct etcd_source *source)
{
    struct etcd_status_list *list = &source->statuses.list;
    struct str prefix = source->status_prefix;
    struct buf begin, end;
    buf_init(&begin, ETCD_KEY_BYTES_MAX);
    buf_init(&end, ETCD_KEY_BYTES_MAX);
    buf_append_str(&begin, prefix);
    if (list->len) {
        buf_append_str(&begin, list->documents[list->len - 1].key);
        buf_append_char(&begin, '\0'); /* the first key behind it */
    }
    buf_append_str(&end, str_slice(prefix, 0, prefix.len - 1));
    buf_append_char(&end, '/' + 1);
    Etcdserverpb__RangeRequest request = ETCDSERVERPB__RANGE_REQUEST__INIT;
    request.key = (ProtobufCBinaryData){.data = (uint8_t *)begin.data, .len = begin.len};
    request.range_end = (ProtobufCBinaryData){.data = (uint8_t *)end.data, .len = end.len};
    request.limit = list->page_keys;
    request.sort_order = ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__ASCEND;
    list->call =
        etcd_client_call(source->client, "/etcdserverpb.KV/Range", &request.base, on_page, source);
    buf_done(&begin);
    buf_done(&end);
}

void etcd_status_list_begin(struct etcd_source *source)
{
    struct etcd_status_list *list = &source->statuses.list;
    if (list->is_done || list->call || !source->status_prefix.data || !source->base.has_delivered)
        return;
    arena_init(&list->arena, 64 * 1024);
    list->has_arena = true;
    list->page_keys = PAGE_KEYS;
    request_page(source);
}

void etcd_status_list_cancel(struct etcd_source *source)
{
    struct etcd_status_list *list = &source->statuses.list;
    if (list->call)
        rpc_call_cancel(list->call);
    if (list->has_arena)
        arena_done(&list->arena);
    mem_free(list->documents);
    *list = (struct etcd_status_list){.is_done = list->is_done};
}
