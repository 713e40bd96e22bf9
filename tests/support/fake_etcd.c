#include "tests/support/fake_etcd.h"

#include "tests/support/test.h"

#include <etcd/rpc.pb-c.h>
#include <stdio.h>

static ProtobufCBinaryData binary(const char *text)
{
    return (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)text, .len = strlen(text)};
}

static Etcdserverpb__ResponseHeader header_of(const struct fake_etcd *fake)
{
    Etcdserverpb__ResponseHeader header = ETCDSERVERPB__RESPONSE_HEADER__INIT;
    header.cluster_id = fake->cluster_id;
    header.revision = fake->revision;
    return header;
}

static void send(struct fake_etcd *fake, struct rpc_stream *stream, const ProtobufCMessage *message)
{
    struct rpc_buf *bytes =
        fake->sends_garbage ? rpc_buf_copy(STR("\xff\xff garbage")) : rpc_buf_pack(message);
    ck_assert_int_eq(rpc_stream_send_buf(stream, bytes), 0);
    rpc_buf_unref(bytes);
}

/* --- Range ------------------------------------------------------------------------------------ */

static struct str str_of(ProtobufCBinaryData data)
{
    return (struct str){.data = (const char *)data.data, .len = data.len};
}

static void answer_range(struct fake_etcd *fake, struct rpc_stream *stream,
                         const Etcdserverpb__RangeRequest *request)
{
    Mvccpb__KeyValue values[FAKE_ETCD_KEYS_MAX], *pointers[FAKE_ETCD_KEYS_MAX];
    Etcdserverpb__ResponseHeader header = header_of(fake);
    Etcdserverpb__RangeResponse response = ETCDSERVERPB__RANGE_RESPONSE__INIT;
    response.header = &header;
    response.kvs = pointers;
    for (size_t i = 0; i < FAKE_ETCD_KEYS_MAX; i++) {
        const struct fake_etcd_key *key = &fake->keys[i];
        if (!key->key || str_compare(str_from(key->key), str_of(request->key)) < 0)
            continue;
        if (request->limit && response.n_kvs == (size_t)request->limit) {
            response.more = true;
            break;
        }
        Mvccpb__KeyValue *value = &values[response.n_kvs];
        mvccpb__key_value__init(value);
        value->key = binary(key->key);
        value->mod_revision = key->mod_revision;
        if (!request->keys_only)
            value->value = binary(key->value);
        pointers[response.n_kvs++] = value;
    }
    send(fake, stream, &response.base);
}

static void on_range(void *arg, struct rpc_stream *stream, struct str data)
{
    struct fake_etcd *fake = arg;
    Etcdserverpb__RangeRequest *request =
        etcdserverpb__range_request__unpack(NULL, data.len, (const uint8_t *)data.data);
    ck_assert_ptr_nonnull(request);
    if (request->revision == 0 && request->keys_only)
        fake->comparisons++;
    else if (request->revision == 0)
        fake->listings++;
    enum rpc_status status = RPC_STATUS_OK;
    if (fake->on_range)
        status = fake->on_range(fake, request->keys_only, request->revision, request->limit);
    if (status == RPC_STATUS_OK)
        answer_range(fake, stream, request);
    rpc_stream_finish(stream, status, status == RPC_STATUS_OK ? "" : "as the test says");
    etcdserverpb__range_request__free_unpacked(request, NULL);
}

static void on_range_closed(void *arg, struct rpc_stream *stream, enum rpc_status status,
                            const char *text)
{
    (void)arg, (void)stream, (void)status, (void)text;
}

static const struct rpc_stream_events range_events = {.on_message = on_range,
                                                      .on_closed = on_range_closed};

static void on_range_accept(void *arg, struct rpc_stream *stream)
{
    rpc_stream_set_user(stream, &range_events, arg);
}

/* --- Watch ------------------------------------------------------------------------------------ */

static void on_watch(void *arg, struct rpc_stream *stream, struct str data)
{
    struct fake_etcd *fake = arg;
    Etcdserverpb__WatchRequest *request =
        etcdserverpb__watch_request__unpack(NULL, data.len, (const uint8_t *)data.data);
    ck_assert_ptr_nonnull(request);
    ck_assert_int_eq(request->request_union_case,
                     ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST);
    fake->watches++;
    fake->start_revision = request->create_request->start_revision;
    etcdserverpb__watch_request__free_unpacked(request, NULL);
    struct str leader;
    ck_assert(rpc_stream_header(stream, "hasleader", &leader));
    if (fake->is_watch_silent)
        return;
    Etcdserverpb__ResponseHeader header = header_of(fake);
    Etcdserverpb__WatchResponse response = ETCDSERVERPB__WATCH_RESPONSE__INIT;
    response.header = &header;
    response.created = true;
    send(fake, stream, &response.base);
}

static void on_watch_closed(void *arg, struct rpc_stream *stream, enum rpc_status status,
                            const char *text)
{
    (void)status, (void)text;
    struct fake_etcd *fake = arg;
    if (fake->watch == stream)
        fake->watch = NULL;
}

static const struct rpc_stream_events watch_events = {.on_message = on_watch,
                                                      .on_closed = on_watch_closed};

static void on_watch_accept(void *arg, struct rpc_stream *stream)
{
    struct fake_etcd *fake = arg;
    fake->watch = stream;
    rpc_stream_set_user(stream, &watch_events, fake);
}

void fake_etcd_send_puts(struct fake_etcd *fake, const struct fake_etcd_key *keys, size_t count,
                         bool is_fragment)
{
    Mvccpb__KeyValue values[FAKE_ETCD_KEYS_MAX];
    Mvccpb__Event events[FAKE_ETCD_KEYS_MAX], *pointers[FAKE_ETCD_KEYS_MAX];
    Etcdserverpb__ResponseHeader header = header_of(fake);
    Etcdserverpb__WatchResponse response = ETCDSERVERPB__WATCH_RESPONSE__INIT;
    response.header = &header;
    response.fragment = is_fragment;
    response.events = pointers;
    response.n_events = count;
    for (size_t i = 0; i < count; i++) {
        mvccpb__key_value__init(&values[i]);
        mvccpb__event__init(&events[i]);
        values[i].key = binary(keys[i].key);
        values[i].value = binary(keys[i].value);
        values[i].mod_revision = keys[i].mod_revision;
        events[i].kv = &values[i];
        pointers[i] = &events[i];
    }
    ck_assert_ptr_nonnull(fake->watch);
    send(fake, fake->watch, &response.base);
}

void fake_etcd_cancel_watch(struct fake_etcd *fake, int64_t compact_revision)
{
    Etcdserverpb__ResponseHeader header = header_of(fake);
    Etcdserverpb__WatchResponse response = ETCDSERVERPB__WATCH_RESPONSE__INIT;
    response.header = &header;
    header.revision = 0; /* as etcd does */
    response.canceled = true;
    response.compact_revision = compact_revision;
    if (!compact_revision)
        response.cancel_reason = (char *)(uintptr_t) "no";
    ck_assert_ptr_nonnull(fake->watch);
    send(fake, fake->watch, &response.base);
}

/* ---------------------------------------------------------------------------------------------- */

void fake_etcd_start(struct fake_etcd *fake, struct rpc_runtime *runtime)
{
    struct rpc_server_options options = {0};
    struct errmsg msg = {""};
    uint16_t port;
    *fake = (struct fake_etcd){.cluster_id = 1, .revision = 10};
    fake->server = rpc_server_new(runtime, &options);
    rpc_server_route(fake->server, "/etcdserverpb.KV/Range", on_range_accept, fake);
    rpc_server_route(fake->server, "/etcdserverpb.Watch/Watch", on_watch_accept, fake);
    struct rpc_credentials *credentials = rpc_credentials_new_insecure();
    int err = rpc_server_listen(fake->server, "127.0.0.1:0", credentials, &port, &msg);
    rpc_credentials_unref(credentials);
    ck_assert_msg(!err, "%s", msg.text);
    rpc_server_start(fake->server);
    snprintf(fake->endpoint, sizeof fake->endpoint, "127.0.0.1:%u", port);
}

void fake_etcd_free(struct fake_etcd *fake)
{
    rpc_server_free(fake->server);
}
