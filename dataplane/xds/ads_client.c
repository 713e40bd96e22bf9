#include "dataplane/xds/ads_client.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/map.h"
#include "common/base/mem.h"
#include "common/pbjson/wire.h"

#include <envoy/service/discovery/v3/discovery.pb-c.h>
#include <stdio.h>
#include <sys/random.h>

#define METHOD "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"

enum { SCRATCH_BLOCK = 64 * 1024, BACKOFF_SHIFT_MAX = 6 };

typedef Envoy__Service__Discovery__V3__DeltaDiscoveryRequest delta_request;
typedef Envoy__Service__Discovery__V3__DeltaDiscoveryResponse delta_response;
typedef Envoy__Service__Discovery__V3__DeltaDiscoveryRequest__InitialResourceVersionsEntry
    version_entry;

/* What is to be said about one type on the stream. */
struct subscription {
    bool is_started;      /* its first request is out */
    struct map subscribe; /* names to be sent: key and value are one piece of own memory */
    struct map unsubscribe;
};

struct ads_client {
    struct rpc_runtime *runtime;
    struct rpc_channel *channel;
    struct rpc_stream *stream; /* NULL while there is none */
    struct store *store;
    struct rpc_metadata *metadata; /* key and value are own memory */
    size_t metadata_count;
    struct arena arena; /* metadata and node */
    Envoy__Config__Core__V3__Node *node;
    bool node_is_sent; /* on this stream */
    struct subscription subscriptions[XDS_TYPE_COUNT];
    bool skips[XDS_TYPE_COUNT];

    struct rpc_buf **waiting; /* requests that the stream's queue had no room for */
    size_t waiting_count, waiting_cap;

    struct loop_timer flush; /* sends changed subscriptions */
    struct loop_timer reopen;
    unsigned failures;        /* in a row */
    uint64_t connected_at_ms; /* the transport took our first request; 0: not yet */
    bool has_message;         /* on this stream */
    struct ads_status status;
    char last_error[256];
    char control_plane[128];
};

/* --- names that wait -------------------------------------------------------------------------- */

static void names_add(struct map *names, struct str name)
{
    if (map_find(names, name))
        return;
    char *copy = mem_copy_string(name.data, name.len);
    map_put(names, (struct str){.data = copy, .len = name.len}, copy);
}

/* True where it was there. */
static bool names_drop(struct map *names, struct str name)
{
    char *copy = map_remove(names, name);
    mem_free(copy);
    return copy != NULL;
}

static void names_clear(struct map *names)
{
    MAP_FOR_EACH(entry, names)
        mem_free(entry->value);
    map_done(names);
}

/* --- sending ---------------------------------------------------------------------------------- */

static void keep_waiting(struct ads_client *client, struct rpc_buf *buf)
{
    if (client->waiting_count == client->waiting_cap) {
        client->waiting_cap = client->waiting_cap ? client->waiting_cap * 2 : 16;
        client->waiting = mem_resize(client->waiting, client->waiting_cap, sizeof *client->waiting);
    }
    client->waiting[client->waiting_count++] = buf;
    /* Nothing more is read until the server reads what we have to say: this bounds the list. */
    rpc_stream_pause(client->stream);
}

static void send_request(struct ads_client *client, delta_request *request)
{
    if (!client->stream)
        return;
    request->node = client->node_is_sent ? NULL : client->node;
    client->node_is_sent = true;
    struct rpc_buf *buf = rpc_buf_pack(&request->base);
    int err = client->waiting_count ? ERR_AGAIN : rpc_stream_send_buf(client->stream, buf);
    if (err == ERR_AGAIN)
        keep_waiting(client, buf);
    else
        rpc_buf_unref(buf); /* sent; or the stream is broken, which on_closed tells */
}

static void drop_waiting(struct ads_client *client)
{
    for (size_t i = 0; i < client->waiting_count; i++)
        rpc_buf_unref(client->waiting[i]);
    client->waiting_count = 0;
}

static void send_waiting(struct ads_client *client)
{
    if (client->waiting_count == 0)
        return;
    size_t sent = 0;
    while (sent < client->waiting_count &&
           rpc_stream_send_buf(client->stream, client->waiting[sent]) != ERR_AGAIN)
        rpc_buf_unref(client->waiting[sent++]);
    client->waiting_count -= sent;
    memmove(client->waiting, client->waiting + sent,
            client->waiting_count * sizeof *client->waiting);
    if (client->waiting_count == 0)
        rpc_stream_resume(client->stream);
}

/* --- subscribing ------------------------------------------------------------------------------ */

/* The first request of a type on a stream: all names, and what of it is here already. */
struct first_request {
    struct arena *arena;
    enum xds_type type;
    char **names;
    size_t name_count;
    version_entry **versions;
    size_t version_count;
    size_t cap;
};

static char *copy_text(struct arena *arena, struct str s)
{
    return (char *)arena_copy_str(arena, s).data;
}

static void collect(const struct store_view *view, void *arg)
{
    struct first_request *first = arg;
    if (view->is_static)
        return;
    bool is_wildcard = xds_type_is_wildcard(first->type);
    if (!is_wildcard && !view->is_subscribed)
        return;
    if (first->name_count == first->cap || first->version_count == first->cap)
        return; /* the store's count was taken before */
    if (!is_wildcard)
        first->names[first->name_count++] = copy_text(first->arena, view->name);
    /* Without a port it is not in use: the server may as well send it again. */
    if (view->version.len == 0 || view->waits_for_port)
        return;
    version_entry *entry = ARENA_NEW(first->arena, version_entry);
    *entry = (version_entry)
        ENVOY__SERVICE__DISCOVERY__V3__DELTA_DISCOVERY_REQUEST__INITIAL_RESOURCE_VERSIONS_ENTRY__INIT;
    entry->key = copy_text(first->arena, view->name);
    entry->value = copy_text(first->arena, view->version);
    first->versions[first->version_count++] = entry;
}

static void count_view(const struct store_view *view, void *arg)
{
    (void)view;
    ++*(size_t *)arg;
}

static void start_subscription(struct ads_client *client, enum xds_type type)
{
    static char wildcard[] = "*";
    if (client->skips[type])
        return;
    struct arena arena;
    arena_init(&arena, SCRATCH_BLOCK);
    struct first_request first = {.arena = &arena, .type = type};
    store_visit(client->store, type, count_view, &first.cap);
    first.names = arena_alloc_array(&arena, first.cap + 1, sizeof *first.names);
    first.versions = arena_alloc_array(&arena, first.cap, sizeof(version_entry *));
    store_visit(client->store, type, collect, &first);
    if (xds_type_is_wildcard(type))
        first.names[first.name_count++] = wildcard;
    if (first.name_count) {
        delta_request request = ENVOY__SERVICE__DISCOVERY__V3__DELTA_DISCOVERY_REQUEST__INIT;
        request.type_url = (char *)xds_type_url(type).data;
        request.resource_names_subscribe = first.names;
        request.n_resource_names_subscribe = first.name_count;
        request.initial_resource_versions = first.versions;
        request.n_initial_resource_versions = first.version_count;
        send_request(client, &request);
        client->subscriptions[type].is_started = true;
    }
    names_clear(&client->subscriptions[type].subscribe);
    names_clear(&client->subscriptions[type].unsubscribe);
    arena_done(&arena);
}

static char **name_list(const struct map *names, struct arena *arena)
{
    char **list = arena_alloc_array(arena, names->len, sizeof *list);
    size_t count = 0;
    MAP_FOR_EACH(entry, names)
        list[count++] = entry->value;
    return list;
}

/* Unsubscriptions go first and by themselves: a name that left and came back in between must end up
 * subscribed, and is sent again. */
static void update_subscription(struct ads_client *client, enum xds_type type)
{
    struct subscription *subscription = &client->subscriptions[type];
    struct arena arena;
    arena_init(&arena, SCRATCH_BLOCK);
    if (subscription->unsubscribe.len) {
        delta_request request = ENVOY__SERVICE__DISCOVERY__V3__DELTA_DISCOVERY_REQUEST__INIT;
        request.type_url = (char *)xds_type_url(type).data;
        request.resource_names_unsubscribe = name_list(&subscription->unsubscribe, &arena);
        request.n_resource_names_unsubscribe = subscription->unsubscribe.len;
        send_request(client, &request);
    }
    if (subscription->subscribe.len) {
        delta_request request = ENVOY__SERVICE__DISCOVERY__V3__DELTA_DISCOVERY_REQUEST__INIT;
        request.type_url = (char *)xds_type_url(type).data;
        request.resource_names_subscribe = name_list(&subscription->subscribe, &arena);
        request.n_resource_names_subscribe = subscription->subscribe.len;
        send_request(client, &request);
    }
    names_clear(&subscription->subscribe);
    names_clear(&subscription->unsubscribe);
    arena_done(&arena);
}

static void on_flush(struct loop_timer *timer)
{
    struct ads_client *client = CONTAINER_OF(timer, struct ads_client, flush);
    if (!client->stream)
        return;
    for (enum xds_type type = 0; type < XDS_TYPE_COUNT; type++) {
        struct subscription *subscription = &client->subscriptions[type];
        if (subscription->is_started)
            update_subscription(client, type);
        else
            start_subscription(client, type);
    }
}

void ads_client_subscribe(struct ads_client *client, enum xds_type type, struct str name)
{
    names_add(&client->subscriptions[type].subscribe, name);
    loop_timer_start(&client->flush, 0);
}

void ads_client_unsubscribe(struct ads_client *client, enum xds_type type, struct str name)
{
    struct subscription *subscription = &client->subscriptions[type];
    if (!names_drop(&subscription->subscribe, name))
        names_add(&subscription->unsubscribe, name);
    loop_timer_start(&client->flush, 0);
}

/* --- receiving -------------------------------------------------------------------------------- */

/* What one response came to. */
struct outcome {
    struct buf sentences;
    size_t refused;
    struct map seen; /* names in this response */
};

static void refuse(struct outcome *outcome, const char *sentence)
{
    if (outcome->refused++)
        buf_append_str(&outcome->sentences, STR("\n"));
    buf_append_str(&outcome->sentences, str_from(sentence));
}

/* The announced name, or, where a server leaves it out, the one inside. */
static int name_of(const Envoy__Service__Discovery__V3__Resource *resource, enum xds_type type,
                   struct str *ret_name, struct errmsg *msg)
{
    if (!resource->name[0] && resource->resource_name)
        *ret_name = str_from(resource->resource_name->name);
    else
        *ret_name = str_from(resource->name);
    if (ret_name->len == 0)
        return errmsg_set(msg, ERR_INVALID, "%s: a resource has no name", xds_type_noun(type));
    return 0;
}

static void take_resource(struct ads_client *client, enum xds_type type,
                          const Envoy__Service__Discovery__V3__Resource *resource,
                          struct outcome *outcome)
{
    struct errmsg msg;
    struct str name;
    int err = name_of(resource, type, &name, &msg);
    if (!err && !resource->resource)
        return; /* a heartbeat */
    if (!err && map_find(&outcome->seen, name))
        err = errmsg_set(&msg, ERR_INVALID, "%s %.*s: is in the response twice",
                         xds_type_noun(type), STR_ARGS(name));
    if (!err && !str_equal(str_from(resource->resource->type_url), xds_type_url(type)))
        err = errmsg_set(&msg, ERR_INVALID, "%s %.*s: has the type %s", xds_type_noun(type),
                         STR_ARGS(name), resource->resource->type_url);
    if (!err) {
        map_put(&outcome->seen, name, client);
        struct str bytes = {.data = (const char *)resource->resource->value.data,
                            .len = resource->resource->value.len};
        err = store_put(client->store, type, name, str_from(resource->version), bytes, false, &msg);
    }
    if (err) {
        log_warning("resource_refused reason=\"%s\"", msg.text);
        refuse(outcome, msg.text);
    }
}

static void acknowledge(struct ads_client *client, enum xds_type type,
                        const delta_response *response, const struct outcome *outcome)
{
    Google__Rpc__Status error = GOOGLE__RPC__STATUS__INIT;
    delta_request request = ENVOY__SERVICE__DISCOVERY__V3__DELTA_DISCOVERY_REQUEST__INIT;
    request.type_url = response->type_url;
    request.response_nonce = response->nonce;
    char text[ADS_NACK_BYTES_MAX + 128];
    if (outcome->refused) {
        snprintf(text, sizeof text, "%zu of %zu resources refused: %.*s%s", outcome->refused,
                 response->n_resources, STR_ARGS(buf_str(&outcome->sentences)),
                 outcome->sentences.is_overflown ? " (and more)" : "");
        error.code = RPC_STATUS_INVALID_ARGUMENT;
        error.message = text;
        request.error_detail = &error;
        client->status.rejected[type]++;
    } else {
        client->status.accepted[type]++;
    }
    send_request(client, &request);
}

/* What the server says it does not have, or took away. */
static void take_removals(struct ads_client *client, enum xds_type type,
                          const delta_response *response)
{
    for (size_t i = 0; i < response->n_removed_resources; i++)
        store_remove(client->store, type, str_from(response->removed_resources[i]));
    for (size_t i = 0; i < response->n_removed_resource_names; i++)
        store_remove(client->store, type, str_from(response->removed_resource_names[i]->name));
    for (size_t i = 0; i < response->n_resource_errors; i++) {
        const Envoy__Service__Discovery__V3__ResourceError *error = response->resource_errors[i];
        const char *name = error->resource_name ? error->resource_name->name : "";
        log_warning("resource_error type=%s name=\"%s\" reason=\"%s\"", xds_type_noun(type), name,
                    error->error_detail ? error->error_detail->message : "");
        if (!xds_type_is_wildcard(type))
            store_remove(client->store, type, str_from(name));
    }
}

static void take_response(struct ads_client *client, const delta_response *response)
{
    enum xds_type type = xds_type_from_url(str_from(response->type_url));
    if (type == XDS_TYPE_COUNT) {
        log_warning("xds_response_ignored type=\"%s\"", response->type_url);
        return;
    }
    client->failures = 0;
    client->has_message = client->status.has_answered = true;
    if (response->control_plane)
        snprintf(client->control_plane, sizeof client->control_plane, "%s",
                 response->control_plane->identifier);
    struct outcome outcome = {.refused = 0};
    buf_init(&outcome.sentences, ADS_NACK_BYTES_MAX);
    /* Removals first: a new listener may have the address of the one that goes. */
    take_removals(client, type, response);
    for (size_t i = 0; i < response->n_resources; i++)
        take_resource(client, type, response->resources[i], &outcome);
    store_type_received(client->store, type);
    log_info("xds_update type=%s resources=%zu removed=%zu refused=%zu nonce=\"%s\"",
             xds_type_noun(type), response->n_resources, response->n_removed_resources,
             outcome.refused, response->nonce);
    acknowledge(client, type, response, &outcome);
    map_done(&outcome.seen);
    buf_done(&outcome.sentences);
}

static void on_message(void *arg, struct rpc_stream *stream, struct str data)
{
    struct ads_client *client = arg;
    struct arena scratch;
    struct errmsg msg;
    arena_init(&scratch, SCRATCH_BLOCK);
    ProtobufCMessage *message;
    int err = wire_unpack(&envoy__service__discovery__v3__delta_discovery_response__descriptor,
                          data, NULL, &scratch, &message, &msg);
    if (err) { /* there is no nonce that could be refused */
        log_warning("xds_response_unreadable reason=\"%s\"", msg.text);
        rpc_stream_cancel(stream, RPC_STATUS_INVALID_ARGUMENT, "the response cannot be read");
    } else {
        take_response(client, (const delta_response *)message);
    }
    arena_done(&scratch);
}

/* --- the stream ------------------------------------------------------------------------------- */

uint64_t ads_backoff_ms(unsigned failures, uint64_t random)
{
    unsigned shift = failures < BACKOFF_SHIFT_MAX ? failures : BACKOFF_SHIFT_MAX;
    uint64_t longest = (uint64_t)ADS_BACKOFF_MIN_MS << (shift + 1);
    if (longest > ADS_BACKOFF_MAX_MS)
        longest = ADS_BACKOFF_MAX_MS;
    return ADS_BACKOFF_MIN_MS + random % (longest - ADS_BACKOFF_MIN_MS + 1);
}

static uint64_t random_bits(void)
{
    uint64_t bits = 0;
    ssize_t got = getrandom(&bits, sizeof bits, 0);
    (void)got;
    return bits;
}

static void forget_stream(struct ads_client *client)
{
    client->stream = NULL;
    client->connected_at_ms = 0;
    client->has_message = false;
    drop_waiting(client);
    loop_timer_stop(&client->flush);
    for (enum xds_type type = 0; type < XDS_TYPE_COUNT; type++)
        client->subscriptions[type].is_started = false;
}

static void on_closed(void *arg, struct rpc_stream *stream, enum rpc_status status,
                      const char *text)
{
    struct ads_client *client = arg;
    (void)stream;
    snprintf(client->last_error, sizeof client->last_error, "%s: %s", rpc_status_name(status),
             text);
    if (ads_client_status(client).is_current)
        client->status.lost_at_ms = clock_monotonic_ms();
    forget_stream(client);
    uint64_t delay_ms = ads_backoff_ms(client->failures++, random_bits());
    log_warning("xds_stream_closed status=%s reason=\"%s\" retry_ms=%llu", rpc_status_name(status),
                text, (unsigned long long)delay_ms);
    loop_timer_start(&client->reopen, delay_ms);
}

static void on_writable(void *arg, struct rpc_stream *stream)
{
    struct ads_client *client = arg;
    (void)stream;
    if (!client->connected_at_ms) {
        client->connected_at_ms = clock_monotonic_ms();
        log_info("xds_stream_open");
        store_forget_refused(client->store); /* they were not in our first request */
    }
    send_waiting(client);
}

static const struct rpc_stream_events stream_events = {
    .on_message = on_message, .on_writable = on_writable, .on_closed = on_closed};

static void open_stream(struct ads_client *client)
{
    client->node_is_sent = false;
    client->status.connects_total++;
    client->stream = rpc_stream_open(client->channel, METHOD, client->metadata,
                                     client->metadata_count, &stream_events, client);
    on_flush(&client->flush);
}

static void on_reopen(struct loop_timer *timer)
{
    open_stream(CONTAINER_OF(timer, struct ads_client, reopen));
}

void ads_client_restart(struct ads_client *client)
{
    if (client->stream)
        rpc_stream_abandon(client->stream);
    forget_stream(client);
    loop_timer_stop(&client->reopen);
    open_stream(client);
}

/* --- life ------------------------------------------------------------------------------------- */

static void copy_metadata(struct ads_client *client, const struct ads_client_options *options)
{
    client->metadata =
        arena_alloc_array(&client->arena, options->metadata_count, sizeof *client->metadata);
    client->metadata_count = options->metadata_count;
    for (size_t i = 0; i < options->metadata_count; i++)
        client->metadata[i] = (struct rpc_metadata){
            .key = arena_copy_string(&client->arena, options->metadata[i].key),
            .value = arena_copy_str(&client->arena, options->metadata[i].value)};
}

/* A copy of node, by way of its encoding. */
static void copy_node(struct ads_client *client, const Envoy__Config__Core__V3__Node *node)
{
    size_t len = envoy__config__core__v3__node__get_packed_size(node);
    uint8_t *bytes = arena_alloc(&client->arena, len);
    envoy__config__core__v3__node__pack(node, bytes);
    ProtobufCAllocator allocator = arena_protobuf_allocator(&client->arena);
    client->node = envoy__config__core__v3__node__unpack(&allocator, len, bytes);
    ASSERT(client->node);
}

struct ads_client *ads_client_new(const struct ads_client_options *options)
{
    struct ads_client *client = MEM_NEW(struct ads_client);
    struct loop *loop = rpc_runtime_loop(options->runtime);
    client->runtime = options->runtime;
    client->store = options->store;
    arena_init(&client->arena, 2048);
    copy_metadata(client, options);
    copy_node(client, options->node);
    loop_timer_init(&client->flush, loop, on_flush);
    loop_timer_init(&client->reopen, loop, on_reopen);
    client->status.lost_at_ms = clock_monotonic_ms();
    client->skips[XDS_LISTENER] = options->skips_listeners;
    client->skips[XDS_CLUSTER] = options->skips_clusters;
    struct rpc_channel_options channel = {.tls_server_name = options->tls_server_name};
    client->channel =
        rpc_channel_new(options->runtime, options->target, options->credentials, &channel);
    open_stream(client);
    return client;
}

void ads_client_free(struct ads_client *client)
{
    if (!client)
        return;
    if (client->stream)
        rpc_stream_abandon(client->stream);
    forget_stream(client);
    loop_timer_stop(&client->reopen);
    rpc_channel_free(client->channel);
    for (enum xds_type type = 0; type < XDS_TYPE_COUNT; type++) {
        names_clear(&client->subscriptions[type].subscribe);
        names_clear(&client->subscriptions[type].unsubscribe);
    }
    mem_free(client->waiting);
    arena_done(&client->arena);
    mem_free(client);
}

struct ads_status ads_client_status(const struct ads_client *client)
{
    struct ads_status status = client->status;
    status.is_connected = client->connected_at_ms != 0;
    status.is_current =
        client->has_message || (client->connected_at_ms &&
                                clock_monotonic_ms() >= client->connected_at_ms + ADS_SILENCE_MS);
    if (status.is_current)
        status.lost_at_ms = 0;
    status.last_error = client->last_error;
    status.control_plane = client->control_plane;
    return status;
}
