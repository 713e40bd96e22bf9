/* Servers: listening, handing new streams to their method's owner, stopping. */
#include "common/base/mem.h"
#include "common/rpc/rpc_internal.h"

#include <errno.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

struct route {
    rpc_accept_fn *on_accept;
    void *arg;
    char *method;
};

/* A request for one new stream that libgrpc holds. */
struct slot {
    struct rpc_op op;
    struct rpc_server *server;
    grpc_call *call;
    grpc_call_details details;
    grpc_metadata_array metadata;
};

/* Enough for the bursts of a fleet that reconnects; libgrpc queues the rest (new versions of it
 * refuse some of a longer queue). */
enum { SLOT_COUNT = 256 };

enum server_state { SERVER_NEW, SERVER_RUNNING, SERVER_STOPPING, SERVER_ABORTED };

struct rpc_server {
    struct list link; /* in rpc_runtime.servers */
    struct rpc_runtime *runtime;
    grpc_server *server;
    struct map routes;    /* method -> struct route */
    struct vec listeners; /* struct rpc_listener */
    struct list streams;
    size_t stream_count;
    size_t streams_max;
    struct slot *slots;
    size_t slots_pending;
    enum server_state state;
    bool is_shut_down; /* libgrpc said so */
    bool is_freed;     /* the owner has let go */
    bool is_settling;  /* on_stopped is on the stack */
    struct rpc_op shutdown_op;
    struct loop_timer grace;
    rpc_server_stopped_fn *on_stopped;
    void *stopped_arg;
};

struct rpc_server *rpc_server_of_link(struct list *link)
{
    return LIST_ENTRY(link, struct rpc_server, link);
}

static void listener_free(struct rpc_listener *listener)
{
    rpc_credentials_unref(listener->credentials);
    mem_free(listener);
}

static void destroy(struct rpc_server *server)
{
    list_remove(&server->link);
    loop_timer_stop(&server->grace);
    grpc_server_destroy(server->server);
    MAP_FOR_EACH(entry, &server->routes) {
        struct route *route = entry->value;
        mem_free(route->method);
        mem_free(route);
    }
    map_done(&server->routes);
    for (size_t i = 0; i < server->listeners.len; i++)
        listener_free(server->listeners.items[i]);
    vec_done(&server->listeners);
    mem_free(server->slots);
    mem_free(server);
}

/* libgrpc's shutdown notice is not the last thing that comes back: streams and slots may follow. */
static void settle(struct rpc_server *server)
{
    if (!server->is_shut_down || server->stream_count > 0 || server->slots_pending > 0)
        return;
    loop_timer_stop(&server->grace);
    rpc_server_stopped_fn *on_stopped = server->on_stopped;
    server->on_stopped = NULL;
    server->is_settling = true;
    if (on_stopped)
        on_stopped(server->stopped_arg);
    server->is_settling = false;
    if (server->is_freed)
        destroy(server);
}

void rpc_server_on_stream_gone(struct rpc_server *server, struct rpc_stream *stream)
{
    list_remove(&stream->server_link);
    server->stream_count--;
    settle(server);
}

/* --- accepting -------------------------------------------------------------------------------- */

static void on_accepted(struct rpc_op *op, bool ok);

static void request_stream(struct slot *slot)
{
    struct rpc_server *server = slot->server;
    grpc_call_details_init(&slot->details);
    grpc_metadata_array_init(&slot->metadata);
    rpc_op_begin(server->runtime, &slot->op, on_accepted);
    grpc_call_error error =
        grpc_server_request_call(server->server, &slot->call, &slot->details, &slot->metadata,
                                 server->runtime->cq, server->runtime->cq, &slot->op);
    ASSERT(error == GRPC_CALL_OK);
    server->slots_pending++;
}

static void on_accepted(struct rpc_op *op, bool ok)
{
    struct slot *slot = CONTAINER_OF(op, struct slot, op);
    struct rpc_server *server = slot->server;
    server->slots_pending--;
    if (!ok) {
        grpc_call_details_destroy(&slot->details);
        grpc_metadata_array_destroy(&slot->metadata);
        settle(server);
        return;
    }
    struct str method = {.data = (const char *)GRPC_SLICE_START_PTR(slot->details.method),
                         .len = GRPC_SLICE_LENGTH(slot->details.method)};
    struct route *route = map_find(&server->routes, method);
    struct rpc_stream *stream =
        rpc_stream_accept(server, server->runtime, slot->call, &slot->metadata);
    list_append(&server->streams, &stream->server_link);
    server->stream_count++;
    grpc_call_details_destroy(&slot->details);
    if (server->state == SERVER_RUNNING)
        request_stream(slot);

    if (server->state != SERVER_RUNNING)
        rpc_stream_finish(stream, RPC_STATUS_UNAVAILABLE, "the server is stopping");
    else if (!route)
        rpc_stream_finish(stream, RPC_STATUS_UNIMPLEMENTED, "no such method");
    else if (server->stream_count > server->streams_max)
        rpc_stream_finish(stream, RPC_STATUS_RESOURCE_EXHAUSTED, "too many open streams");
    else
        route->on_accept(route->arg, stream);
}

/* --- setting up ------------------------------------------------------------------------------- */

static grpc_server *create(const struct rpc_server_options *options)
{
    int ping_interval_ms = rpc_or_default(options->client_ping_interval_min_ms, 5000);
    grpc_arg args[16] = {
        rpc_int_arg(GRPC_ARG_ALLOW_REUSEPORT,
                    0), /* else two servers could share a port unnoticed */
        rpc_int_arg(GRPC_ARG_KEEPALIVE_TIME_MS, rpc_or_default(options->keepalive_ms, 30000)),
        rpc_int_arg(GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
                    rpc_or_default(options->keepalive_timeout_ms, 10000)),
        rpc_int_arg(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1),
        rpc_int_arg(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0),
        rpc_int_arg(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, ping_interval_ms),
        rpc_int_arg(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH,
                    rpc_or_default(options->receive_bytes_max, 32 * 1024 * 1024)),
        rpc_int_arg(GRPC_ARG_MAX_SEND_MESSAGE_LENGTH, -1),
        rpc_int_arg(GRPC_ARG_MAX_CONCURRENT_STREAMS,
                    rpc_or_default(options->connection_streams_max, 100)),
        rpc_int_arg("grpc.server.max_pending_requests", 1000000),
        RPC_ARGS_NO_COMPRESSION,
    };
    size_t count = 12;
    if (options->connection_age_max_ms)
        args[count++] = rpc_int_arg(GRPC_ARG_MAX_CONNECTION_AGE_MS, options->connection_age_max_ms);
    grpc_channel_args server_args = {.num_args = count, .args = args};
    return grpc_server_create(&server_args, NULL);
}

static void on_grace_over(struct loop_timer *timer);

struct rpc_server *rpc_server_new(struct rpc_runtime *runtime,
                                  const struct rpc_server_options *options)
{
    struct rpc_server *server = MEM_NEW(struct rpc_server);
    server->runtime = runtime;
    server->streams_max = (size_t)rpc_or_default(options->streams_max, 20000);
    server->server = create(options);
    grpc_server_register_completion_queue(server->server, runtime->cq, NULL);
    list_init(&server->streams);
    list_append(&runtime->servers, &server->link);
    loop_timer_init(&server->grace, runtime->loop, on_grace_over);
    return server;
}

void rpc_server_route(struct rpc_server *server, const char *method, rpc_accept_fn *on_accept,
                      void *arg)
{
    ASSERT(server->state == SERVER_NEW);
    struct route *route = MEM_NEW(struct route);
    *route = (struct route){
        .on_accept = on_accept, .arg = arg, .method = mem_copy_string(method, strlen(method))};
    void *old = map_put(&server->routes, str_from(route->method), route);
    ASSERT(!old);
}

/* Why a bind fails, from a try of our own: libgrpc keeps its reason to itself. */
static const char *bind_failure(const char *address)
{
    const char *colon = strrchr(address, ':');
    if (!colon || strncmp(address, "unix:", 5) == 0)
        return "the address cannot be used";
    size_t host_len = (size_t)(colon - address);
    bool is_bracketed = host_len >= 2 && address[0] == '[' && colon[-1] == ']';
    char *host = mem_copy_string(address + is_bracketed, host_len - 2 * (size_t)is_bracketed);
    struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    const char *reason = "it is no address of this host";
    if (getaddrinfo(*host ? host : NULL, colon + 1, &hints, &list) == 0) {
        int fd = socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int one = 1;
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        if (bind(fd, list->ai_addr, list->ai_addrlen) != 0 || listen(fd, 1) != 0)
            reason = strerror(errno);
        else
            reason = "the reason is not known";
        close(fd);
        freeaddrinfo(list);
    }
    mem_free(host);
    return reason;
}

int rpc_server_listen(struct rpc_server *server, const char *address,
                      struct rpc_credentials *credentials, uint16_t *ret_port, struct errmsg *msg)
{
    ASSERT(server->state == SERVER_NEW && credentials->is_for_servers);
    struct rpc_listener *listener = MEM_NEW(struct rpc_listener);
    grpc_server_credentials *server_credentials = rpc_listener_init(listener, credentials);
    /* Also after a failure: libgrpc may hold what refers to it until the server is gone. */
    vec_append(&server->listeners, listener);
    int port = grpc_server_add_http2_port(server->server, address, server_credentials);
    grpc_server_credentials_release(server_credentials);
    if (port == 0)
        return errmsg_set(msg, ERR_IO, "cannot listen on %s for gRPC: %s", address,
                          bind_failure(address));
    if (ret_port)
        *ret_port = (uint16_t)port;
    return 0;
}

void rpc_server_start(struct rpc_server *server)
{
    ASSERT(server->state == SERVER_NEW);
    server->state = SERVER_RUNNING;
    grpc_server_start(server->server);
    server->slots = mem_alloc_zero(SLOT_COUNT, sizeof *server->slots);
    for (size_t i = 0; i < SLOT_COUNT; i++) {
        server->slots[i].server = server;
        request_stream(&server->slots[i]);
    }
}

/* --- stopping --------------------------------------------------------------------------------- */

static void on_shut_down(struct rpc_op *op, bool ok)
{
    (void)ok;
    struct rpc_server *server = CONTAINER_OF(op, struct rpc_server, shutdown_op);
    server->is_shut_down = true;
    settle(server);
}

static void shut_down(struct rpc_server *server)
{
    rpc_op_begin(server->runtime, &server->shutdown_op, on_shut_down);
    grpc_server_shutdown_and_notify(server->server, server->runtime->cq, &server->shutdown_op);
}

static void on_grace_over(struct loop_timer *timer)
{
    rpc_server_abort(CONTAINER_OF(timer, struct rpc_server, grace));
}

void rpc_server_stop(struct rpc_server *server, int grace_ms, rpc_server_stopped_fn *on_stopped,
                     void *arg)
{
    ASSERT(server->state == SERVER_RUNNING);
    server->state = SERVER_STOPPING;
    server->on_stopped = on_stopped;
    server->stopped_arg = arg;
    LIST_FOR_EACH(link, &server->streams)
        rpc_stream_finish(LIST_ENTRY(link, struct rpc_stream, server_link), RPC_STATUS_UNAVAILABLE,
                          "the server is stopping");
    shut_down(server);
    loop_timer_start(&server->grace, (uint64_t)grace_ms);
}

void rpc_server_abort(struct rpc_server *server)
{
    if (server->state == SERVER_ABORTED)
        return;
    if (server->state != SERVER_STOPPING)
        shut_down(server);
    server->state = SERVER_ABORTED;
    LIST_FOR_EACH(link, &server->streams)
        rpc_stream_cancel(LIST_ENTRY(link, struct rpc_stream, server_link), RPC_STATUS_UNAVAILABLE,
                          "the server is stopping");
    grpc_server_cancel_all_calls(server->server);
}

void rpc_server_free(struct rpc_server *server)
{
    if (!server)
        return;
    server->is_freed = true;
    server->on_stopped = NULL;
    if (server->is_settling)
        return;
    bool is_stopped =
        server->is_shut_down && server->stream_count == 0 && server->slots_pending == 0;
    if (!is_stopped)
        rpc_server_abort(server);
    else
        destroy(server);
}
