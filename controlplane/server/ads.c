#include "controlplane/server/ads.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"

#include <inttypes.h>

enum { TICK_MS = 200 };

struct method {
    const char *name;
    bool is_delta;
    enum resource_type only; /* RESOURCE_TYPE_COUNT: aggregated */
};

static const struct method methods[] = {
    {"/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources", false,
     RESOURCE_TYPE_COUNT},
    {"/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources", true,
     RESOURCE_TYPE_COUNT},
    {"/envoy.service.cluster.v3.ClusterDiscoveryService/StreamClusters", false, RESOURCE_CLUSTER},
    {"/envoy.service.cluster.v3.ClusterDiscoveryService/DeltaClusters", true, RESOURCE_CLUSTER},
    {"/envoy.service.endpoint.v3.EndpointDiscoveryService/StreamEndpoints", false,
     RESOURCE_ENDPOINTS},
    {"/envoy.service.endpoint.v3.EndpointDiscoveryService/DeltaEndpoints", true,
     RESOURCE_ENDPOINTS},
    {"/envoy.service.listener.v3.ListenerDiscoveryService/StreamListeners", false,
     RESOURCE_LISTENER},
    {"/envoy.service.listener.v3.ListenerDiscoveryService/DeltaListeners", true, RESOURCE_LISTENER},
    {"/envoy.service.route.v3.RouteDiscoveryService/StreamRoutes", false, RESOURCE_ROUTES},
    {"/envoy.service.route.v3.RouteDiscoveryService/DeltaRoutes", true, RESOURCE_ROUTES},
};
enum { METHOD_COUNT = sizeof methods / sizeof *methods };

/* What a method's streams are accepted with. */
struct route {
    struct ads_server *server;
    const struct method *method;
};

struct ads_server {
    struct loop *loop;
    struct rpc_server *rpc;
    struct stream_context context;
    struct list streams;  /* struct ads_stream: at the world that is published */
    struct list to_visit; /* struct ads_stream: not told of it yet */
    size_t stream_count;
    size_t to_visit_count;
    bool is_visiting; /* visit is posted */
    bool is_freed;    /* goes with the last stream */
    uint64_t last_stream_id;
    uint64_t published_ns;
    struct loop_post visit;
    struct loop_timer tick;
    struct ads_stats stats;
    struct route routes[METHOD_COUNT];
};

struct ads_stream {
    struct list link;
    struct ads_server *server;
    struct rpc_stream *rpc;
    bool is_to_visit;
    struct stream stream;
};

/* --- one stream
 * ------------------------------------------------------------------------------------ */

static void watch_deadline(const struct ads_stream *ads)
{
    if (ads->stream.deadline_ms != UINT64_MAX && !loop_timer_is_running(&ads->server->tick))
        loop_timer_start(&ads->server->tick, TICK_MS);
}

static void on_send(void *arg, const struct response *response)
{
    struct ads_stream *ads = arg;
    int err = rpc_stream_send(ads->rpc, response->parts, response->len, buf_str(&response->tail));
    if (err == ERR_AGAIN) /* cannot be: there is one response per type */
        rpc_stream_cancel(ads->rpc, RPC_STATUS_RESOURCE_EXHAUSTED, "the stream does not drain");
}

static void on_finish(void *arg, enum rpc_status status, const char *text)
{
    struct ads_stream *ads = arg;
    rpc_stream_finish(ads->rpc, status, text);
}

static void on_stream_message(void *arg, struct rpc_stream *rpc, struct str data)
{
    struct ads_stream *ads = arg;
    (void)rpc;
    stream_message(&ads->stream, data, clock_monotonic_ms(), clock_wall_us());
    watch_deadline(ads);
}

static void on_stream_half_close(void *arg, struct rpc_stream *rpc)
{
    (void)arg;
    /* Without further answers nothing further can be sent. */
    rpc_stream_finish(rpc, RPC_STATUS_OK, "");
}

static void destroy(struct ads_server *server)
{
    loop_timer_stop(&server->tick);
    stream_context_done(&server->context);
    mem_free(server);
}

static void on_stream_closed(void *arg, struct rpc_stream *rpc, enum rpc_status status,
                             const char *text)
{
    struct ads_stream *ads = arg;
    struct ads_server *server = ads->server;
    (void)rpc;
    log_info("xds_stream_closed stream=%" PRIu64 " node=%.*s status=%s text=\"%s\"", ads->stream.id,
             STR_ARGS(ads->stream.node_id), rpc_status_name(status), text);
    list_remove(&ads->link);
    server->stream_count--;
    server->to_visit_count -= ads->is_to_visit;
    stream_done(&ads->stream);
    mem_free(ads);
    if (server->is_freed && server->stream_count == 0 && !server->is_visiting)
        destroy(server);
}

static const struct rpc_stream_events stream_events = {
    .on_message = on_stream_message,
    .on_half_close = on_stream_half_close,
    .on_closed = on_stream_closed,
};

static void on_stream_accept(void *arg, struct rpc_stream *rpc)
{
    struct route *route = arg;
    struct ads_server *server = route->server;
    if (!server->context.world || server->is_freed) {
        server->stats.streams_unavailable++;
        rpc_stream_finish(rpc, RPC_STATUS_UNAVAILABLE, "the configuration is not loaded yet");
        return;
    }
    struct ads_stream *ads = MEM_NEW(struct ads_stream);
    struct stream_transport transport = {.send = on_send, .finish = on_finish, .arg = ads};
    ads->server = server;
    ads->rpc = rpc;
    stream_init(&ads->stream, &server->context, &transport, ++server->last_stream_id,
                route->method->is_delta, route->method->only, rpc_stream_peer(rpc)->address);
    list_append(&server->streams, &ads->link);
    server->stream_count++;
    server->stats.streams_accepted++;
    rpc_stream_set_user(rpc, &stream_events, ads);
}

/* --- publication
 * ------------------------------------------------------------------------------------ */

static void visit_one(struct ads_server *server, uint64_t now_ms)
{
    struct ads_stream *ads = LIST_ENTRY(server->to_visit.next, struct ads_stream, link);
    list_remove(&ads->link);
    list_append(&server->streams, &ads->link);
    ads->is_to_visit = false;
    server->to_visit_count--;
    stream_publish(&ads->stream, now_ms);
    watch_deadline(ads);
}

static void on_visit(struct loop_post *post)
{
    struct ads_server *server = CONTAINER_OF(post, struct ads_server, visit);
    server->is_visiting = false;
    if (server->is_freed && server->stream_count == 0) {
        destroy(server);
        return;
    }
    uint64_t now_ms = clock_monotonic_ms();
    for (int i = 0; i < ADS_STREAMS_PER_SLICE && !list_is_empty(&server->to_visit); i++)
        visit_one(server, now_ms);
    if (!list_is_empty(&server->to_visit)) {
        server->is_visiting = true;
        loop_post(server->loop, &server->visit, on_visit);
        return;
    }
    /* What they hold belongs to worlds that may be gone soon. */
    diff_cache_clear(&server->context.diffs);
    bridge_cache_clear(&server->context.bridges);
    keep_cache_clear(&server->context.kept);
    histogram_add(&server->stats.publish_seconds, clock_monotonic_ns() - server->published_ns);
}

void ads_publish(struct ads_server *server, struct world *world)
{
    struct world *before = server->context.world;
    if (server->context.ledger)
        ledger_begin_publication(server->context.ledger);
    world_share(world, before);
    server->context.world = world;
    world_free(before);
    server->stats.publications++;
    server->published_ns = clock_monotonic_ns();
    while (!list_is_empty(&server->streams)) {
        struct ads_stream *ads = LIST_ENTRY(server->streams.next, struct ads_stream, link);
        list_remove(&ads->link);
        list_append(&server->to_visit, &ads->link);
        ads->is_to_visit = true;
        server->to_visit_count++;
    }
    if (!server->is_visiting) {
        server->is_visiting = true;
        loop_post(server->loop, &server->visit, on_visit);
    }
}

static bool tick_list(struct list *list, uint64_t now_ms)
{
    bool is_anyone_waiting = false;
    LIST_FOR_EACH(link, list) {
        struct ads_stream *ads = LIST_ENTRY(link, struct ads_stream, link);
        stream_tick(&ads->stream, now_ms);
        is_anyone_waiting |= ads->stream.deadline_ms != UINT64_MAX;
    }
    return is_anyone_waiting;
}

static void on_tick(struct loop_timer *timer)
{
    struct ads_server *server = CONTAINER_OF(timer, struct ads_server, tick);
    uint64_t now_ms = clock_monotonic_ms();
    bool is_anyone_waiting = tick_list(&server->streams, now_ms);
    is_anyone_waiting |= tick_list(&server->to_visit, now_ms);
    if (is_anyone_waiting)
        loop_timer_start(&server->tick, TICK_MS);
}

/* --- the server
 * -------------------------------------------------------------------------------------- */

struct ads_server *ads_new(struct rpc_runtime *runtime, struct ledger *ledger)
{
    struct ads_server *server = MEM_NEW(struct ads_server);
    server->loop = rpc_runtime_loop(runtime);
    list_init(&server->streams);
    list_init(&server->to_visit);
    loop_timer_init(&server->tick, server->loop, on_tick);
    stream_context_init(&server->context, ledger);
    server->rpc = rpc_server_new(runtime, &(struct rpc_server_options){
                                              .receive_bytes_max = ADS_REQUEST_BYTES_MAX,
                                              .connection_streams_max = ADS_CONNECTION_STREAMS_MAX,
                                              .streams_max = ADS_STREAMS_MAX,
                                          });
    for (size_t i = 0; i < METHOD_COUNT; i++) {
        server->routes[i] = (struct route){.server = server, .method = &methods[i]};
        rpc_server_route(server->rpc, methods[i].name, on_stream_accept, &server->routes[i]);
    }
    return server;
}

static bool is_on_this_host(const char *address)
{
    static const char *const prefixes[] = {"127.", "[::1]:", "localhost:", "unix:"};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (str_starts_with(str_from(address), str_from(prefixes[i])))
            return true;
    return false;
}

static int listen_in_clear(struct ads_server *server, const char *address, uint16_t *ret_port,
                           struct errmsg *ret_msg)
{
    struct rpc_credentials *credentials = rpc_credentials_new_insecure();
    int err = rpc_server_listen(server->rpc, address, credentials, ret_port, ret_msg);
    rpc_credentials_unref(credentials);
    if (!err && !is_on_this_host(address))
        log_warning("xds_in_clear address=%s text=\"consumers' API keys are sent to proxies in "
                    "clear, to whoever asks: use --xds-cert, --xds-key and --xds-client-ca\"",
                    address);
    return err;
}

int ads_listen(struct ads_server *server, const char *address, struct rpc_credentials *credentials,
               uint16_t *ret_port, struct errmsg *ret_msg)
{
    return credentials ? rpc_server_listen(server->rpc, address, credentials, ret_port, ret_msg)
                       : listen_in_clear(server, address, ret_port, ret_msg);
}

void ads_start(struct ads_server *server)
{
    rpc_server_start(server->rpc);
}

const struct world *ads_world(const struct ads_server *server)
{
    return server->context.world;
}

void ads_stop(struct ads_server *server, int grace_ms, rpc_server_stopped_fn *on_stopped, void *arg)
{
    rpc_server_stop(server->rpc, grace_ms, on_stopped, arg);
}

void ads_free(struct ads_server *server)
{
    if (!server)
        return;
    server->is_freed = true;
    loop_timer_stop(&server->tick);
    rpc_server_free(server->rpc);
    if (server->stream_count == 0 && !server->is_visiting)
        destroy(server);
}

struct ads_stats ads_stats(const struct ads_server *server)
{
    struct ads_stats stats = server->stats;
    stats.streams = server->stream_count;
    stats.streams_to_visit = server->to_visit_count;
    stats.subscription_bytes = server->context.subscription_bytes;
    stats.counters = server->context.counters;
    return stats;
}

void ads_visit_streams(const struct ads_server *server, ads_visit_fn *visit, void *arg)
{
    const struct list *lists[] = {&server->streams, &server->to_visit};
    for (size_t i = 0; i < 2; i++)
        LIST_FOR_EACH(link, lists[i])
            visit(arg, &LIST_ENTRY(link, struct ads_stream, link)->stream);
}
