/* Statuses on their way to etcd: coalesced per key, some at a time in one transaction, retried. */
#include "common/base/log.h"
#include "common/base/mem.h"
#include "controlplane/source/etcd_internal.h"

/* etcd's defaults allow 128 operations and 1.5 MiB per transaction. */
enum { OPS_MAX = 100, TXN_BYTES_MAX = 1024 * 1024, COALESCE_MS = 100, PAUSE_MAX_MS = 30000 };
/* Keys that may wait; more are dropped. Protects memory while etcd is away. */
enum { PENDING_MAX = 200 * 1000 };

struct status_item {
    struct str key, value; /* in data */
    bool is_deleted;
    bool is_passing; /* under the lease */
    char data[];
};

void etcd_statuses_put(struct etcd_source *source, struct str key, const struct str *value,
                       bool is_passing)
{
    struct etcd_statuses *statuses = &source->statuses;
    if (!source->status_prefix.data || source->is_stopped)
        return;
    if (statuses->pending.len >= PENDING_MAX && !map_find(&statuses->pending, key))
        return;
    size_t value_len = value ? value->len : 0;
    struct status_item *item =
        mem_alloc(sizeof *item + source->status_prefix.len + key.len + value_len);
    char *at = item->data;
    memcpy(at, source->status_prefix.data, source->status_prefix.len);
    at += source->status_prefix.len;
    memcpy(at, key.data, key.len);
    at += key.len;
    if (value_len)
        memcpy(at, value->data, value_len);
    item->key = (struct str){.data = item->data, .len = source->status_prefix.len + key.len};
    item->value = (struct str){.data = at, .len = value_len};
    item->is_deleted = !value;
    item->is_passing = is_passing;
    mem_free(map_put(&statuses->pending, item->key, item));
    if (!statuses->call && !loop_timer_is_running(&statuses->timer))
        loop_timer_start(&statuses->timer, COALESCE_MS);
}

static void free_flying(struct etcd_statuses *statuses)
{
    for (size_t i = 0; i < statuses->flying.len; i++)
        mem_free(statuses->flying.items[i]);
    statuses->flying.len = 0;
}

/* Those that did not arrive wait again, unless there is something newer for the key. */
static void take_back(struct etcd_statuses *statuses)
{
    for (size_t i = 0; i < statuses->flying.len; i++) {
        struct status_item *item = statuses->flying.items[i];
        if (map_find(&statuses->pending, item->key))
            mem_free(item);
        else
            map_put(&statuses->pending, item->key, item);
    }
    statuses->flying.len = 0;
}

static void on_written(void *arg, enum rpc_status status, const char *text, struct str response)
{
    (void)response;
    struct etcd_source *source = arg;
    struct etcd_statuses *statuses = &source->statuses;
    statuses->call = NULL;
    uint64_t pause_ms = 0;
    if (status == RPC_STATUS_OK) {
        statuses->failures = 0;
        free_flying(statuses);
    } else {
        if (statuses->failures++ == 0)
            log_warning("etcd_status_not_written count=%zu status=%s text=\"%s\"",
                        statuses->flying.len, rpc_status_name(status), text);
        take_back(statuses);
        etcd_session_check_token(source, status, text);
        if (status == RPC_STATUS_NOT_FOUND) /* nothing else in the transaction can be missing */
            etcd_lease_lost(source);
        pause_ms =
            statuses->failures < 6 ? (uint64_t)1000 << (statuses->failures - 1) : PAUSE_MAX_MS;
    }
    if (statuses->pending.len > 0)
        loop_timer_start(&statuses->timer, pause_ms);
}

/* Moves as many as fit into one transaction from pending to flying. What has lost its lease waits
 * for the next one: without any it would outlive us. */
static void choose(struct etcd_statuses *statuses, bool may_pass)
{
    size_t bytes = 0;
    MAP_FOR_EACH(slot, &statuses->pending) {
        struct status_item *item = slot->value;
        if (item->is_passing && !may_pass)
            continue;
        bytes += item->key.len + item->value.len + 16;
        if (statuses->flying.len == OPS_MAX || (bytes > TXN_BYTES_MAX && statuses->flying.len > 0))
            break;
        vec_append(&statuses->flying, item);
    }
    for (size_t i = 0; i < statuses->flying.len; i++) {
        struct status_item *item = statuses->flying.items[i];
        map_remove(&statuses->pending, item->key);
    }
}

static Etcdserverpb__RequestOp *op_of(struct arena *arena, const struct status_item *item,
                                      int64_t lease)
{
    ProtobufCBinaryData key = {.data = (uint8_t *)(uintptr_t)item->key.data, .len = item->key.len};
    Etcdserverpb__RequestOp *op = ARENA_NEW(arena, Etcdserverpb__RequestOp);
    etcdserverpb__request_op__init(op);
    if (item->is_deleted) {
        Etcdserverpb__DeleteRangeRequest *erase =
            ARENA_NEW(arena, Etcdserverpb__DeleteRangeRequest);
        etcdserverpb__delete_range_request__init(erase);
        erase->key = key;
        op->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE;
        op->request_delete_range = erase;
    } else {
        Etcdserverpb__PutRequest *put = ARENA_NEW(arena, Etcdserverpb__PutRequest);
        etcdserverpb__put_request__init(put);
        put->key = key;
        put->lease = item->is_passing ? lease : 0;
        put->value = (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)item->value.data,
                                           .len = item->value.len};
        op->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
        op->request_put = put;
    }
    return op;
}

static void on_timer(struct loop_timer *timer)
{
    struct etcd_source *source = CONTAINER_OF(timer, struct etcd_source, statuses.timer);
    struct etcd_statuses *statuses = &source->statuses;
    if (source->session != SESSION_WATCHING || statuses->call || statuses->pending.len == 0)
        return; /* the session starts the timer when it is there */
    choose(statuses, source->lease.id || source->lease.is_refused);
    if (statuses->flying.len == 0)
        return; /* the lease starts the timer when it is there */
    struct arena arena;
    arena_init(&arena, 16 * 1024);
    Etcdserverpb__TxnRequest request = ETCDSERVERPB__TXN_REQUEST__INIT;
    request.success = arena_alloc_array(&arena, statuses->flying.len, sizeof *request.success);
    request.n_success = statuses->flying.len;
    for (size_t i = 0; i < statuses->flying.len; i++)
        request.success[i] = op_of(&arena, statuses->flying.items[i], source->lease.id);
    statuses->call =
        etcd_client_call(source->client, "/etcdserverpb.KV/Txn", &request.base, on_written, source);
    arena_done(&arena);
}

void etcd_statuses_retry(struct etcd_source *source)
{
    struct etcd_statuses *statuses = &source->statuses;
    if (statuses->failures == 1 && loop_timer_is_running(&statuses->timer))
        loop_timer_start(&statuses->timer, 0);
}

void etcd_statuses_init(struct etcd_source *source)
{
    loop_timer_init(&source->statuses.timer, source->loop, on_timer);
}

void etcd_statuses_cancel(struct etcd_source *source)
{
    struct etcd_statuses *statuses = &source->statuses;
    loop_timer_stop(&statuses->timer);
    if (statuses->call)
        rpc_call_cancel(statuses->call);
    statuses->call = NULL;
    etcd_status_list_cancel(source);
    take_back(statuses);
}

void etcd_statuses_done(struct etcd_source *source)
{
    struct etcd_statuses *statuses = &source->statuses;
    free_flying(statuses);
    vec_done(&statuses->flying);
    MAP_FOR_EACH(slot, &statuses->pending)
        mem_free(slot->value);
    map_done(&statuses->pending);
}
