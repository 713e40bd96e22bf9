/*
 * Statuses that are true only while this process is there to say so, under a lease: when it is
 * gone without a word they are, too, LEASE_S later. A copy of each is kept, so that they can be
 * written again where the lease was lost.
 */
#include "common/base/log.h"
#include "common/base/mem.h"
#include "controlplane/source/etcd_internal.h"

enum { LEASE_S = 30, KEEP_ALIVE_MS = LEASE_S * 1000 / 3, RETRY_MS = 2000 };
/* Copies kept; more are not written at all. Protects memory. */
enum { PASSING_MAX = 50 * 1000 };

static void queue_all(struct etcd_source *source)
{
    MAP_FOR_EACH(slot, &source->lease.passing) {
        const struct etcd_passing *passing = slot->value;
        etcd_statuses_put(source, passing->key, &passing->value, true);
    }
}

static void on_granted(struct etcd_source *source, struct str response)
{
    struct etcd_lease *lease = &source->lease;
    struct arena arena;
    arena_init(&arena, 1024);
    ProtobufCAllocator allocator = arena_protobuf_allocator(&arena);
    const Etcdserverpb__LeaseGrantResponse *granted = etcdserverpb__lease_grant_response__unpack(
        &allocator, response.len, (const uint8_t *)response.data);
    lease->id = granted ? granted->id : 0;
    arena_done(&arena);
    if (lease->id)
        queue_all(source);
}

static void on_kept_alive(struct etcd_source *source, struct str response)
{
    struct arena arena;
    arena_init(&arena, 1024);
    ProtobufCAllocator allocator = arena_protobuf_allocator(&arena);
    const Etcdserverpb__LeaseKeepAliveResponse *kept =
        etcdserverpb__lease_keep_alive_response__unpack(&allocator, response.len,
                                                        (const uint8_t *)response.data);
    bool is_lost = kept && kept->ttl <= 0;
    arena_done(&arena);
    if (is_lost)
        etcd_lease_lost(source);
}

static void on_answer(void *arg, enum rpc_status status, const char *text, struct str response)
{
    struct etcd_source *source = arg;
    struct etcd_lease *lease = &source->lease;
    bool was_granting = lease->id == 0;
    lease->call = NULL;
    etcd_session_check_token(source, status, text);
    if (status == RPC_STATUS_OK && was_granting)
        on_granted(source, response);
    else if (status == RPC_STATUS_OK)
        on_kept_alive(source, response);
    else if (status == RPC_STATUS_PERMISSION_DENIED && was_granting && !lease->is_refused) {
        log_warning("etcd_lease_refused text=\"%s\" hint=\"statuses of proxies may stay after a "
                    "crash\"",
                    text);
        lease->is_refused = true;
        queue_all(source);
    }
    if (!lease->call && !lease->is_refused)
        loop_timer_start(&lease->timer, status == RPC_STATUS_OK ? KEEP_ALIVE_MS : RETRY_MS);
}

/* A lease, or more time for the one there is. (Keeping alive is a stream in etcd's interface; one
 * question and one answer are a stream, too.) */
static void request(struct etcd_source *source)
{
    struct etcd_lease *lease = &source->lease;
    loop_timer_stop(&lease->timer);
    if (lease->call || lease->is_refused || source->session != SESSION_WATCHING ||
        lease->passing.len == 0)
        return;
    Etcdserverpb__LeaseGrantRequest grant = ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;
    Etcdserverpb__LeaseKeepAliveRequest keep = ETCDSERVERPB__LEASE_KEEP_ALIVE_REQUEST__INIT;
    grant.ttl = LEASE_S;
    keep.id = lease->id;
    lease->call = lease->id ? etcd_client_call(source->client, "/etcdserverpb.Lease/LeaseKeepAlive",
                                               &keep.base, on_answer, source)
                            : etcd_client_call(source->client, "/etcdserverpb.Lease/LeaseGrant",
                                               &grant.base, on_answer, source);
}

static void on_timer(struct loop_timer *timer)
{
    request(CONTAINER_OF(timer, struct etcd_source, lease.timer));
}

void etcd_lease_init(struct etcd_source *source)
{
    loop_timer_init(&source->lease.timer, source->loop, on_timer);
}

void etcd_lease_put(struct etcd_source *source, struct str key, struct str value)
{
    struct etcd_lease *lease = &source->lease;
    if (!source->status_prefix.data || source->is_stopped ||
        (lease->passing.len >= PASSING_MAX && !map_find(&lease->passing, key)))
        return;
    struct etcd_passing *passing = mem_alloc(sizeof *passing + key.len + value.len);
    memcpy(passing->data, key.data, key.len);
    if (value.len)
        memcpy(passing->data + key.len, value.data, value.len);
    passing->key = (struct str){.data = passing->data, .len = key.len};
    passing->value = (struct str){.data = passing->data + key.len, .len = value.len};
    mem_free(map_put(&lease->passing, passing->key, passing));
    if (lease->id || lease->is_refused)
        etcd_statuses_put(source, key, &value, true);
    if (!loop_timer_is_running(&lease->timer))
        request(source);
}

void etcd_lease_forget(struct etcd_source *source, struct str key)
{
    mem_free(map_remove(&source->lease.passing, key));
}

void etcd_lease_lost(struct etcd_source *source)
{
    log_info("etcd_lease_lost passing=%zu", source->lease.passing.len);
    source->lease.id = 0;
    request(source);
}

void etcd_lease_begin(struct etcd_source *source)
{
    request(source);
}

void etcd_lease_cancel(struct etcd_source *source)
{
    struct etcd_lease *lease = &source->lease;
    loop_timer_stop(&lease->timer);
    if (lease->call)
        rpc_call_cancel(lease->call);
    lease->call = NULL;
}

void etcd_lease_done(struct etcd_source *source)
{
    MAP_FOR_EACH(slot, &source->lease.passing)
        mem_free(slot->value);
    map_done(&source->lease.passing);
}
