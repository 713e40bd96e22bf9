#include "dataplane/filters/router.h"

#include "dataplane/config/stats.h"
#include "dataplane/filters/router_rewrite.h"
#include "dataplane/http/header_mutations.h"
#include "dataplane/route/route.h"
#include "dataplane/upstream/cluster.h"

#include <envoy/extensions/filters/http/router/v3/router.pb-c.h>

struct router_config {
    bool suppresses_envoy_headers;
};

/* One request on its way upstream; filter->state. */
struct router {
    struct http_stream *stream;
    struct cluster *cluster;
    const struct router_config *config;
    struct upstream_request *request; /* NULL once it has ended */
    uint64_t timeout_ms;
    bool request_is_paused;  /* the client's body waits for the upstream */
    bool response_is_paused; /* the upstream's body waits for the client */
};

static int router_load(struct filter_load *load, const ProtobufCMessage *message,
                       const void **ret_config, struct errmsg *msg)
{
    (void)msg;
    const Envoy__Extensions__Filters__Http__Router__V3__Router *router = (const void *)message;
    struct router_config *config = ARENA_NEW(load->arena, struct router_config);
    config->suppresses_envoy_headers = router->suppress_envoy_headers;
    *ret_config = config;
    return 0;
}

/* --- why there is no answer ------------------------------------------------------------------ */

struct failure_reply {
    unsigned status;
    uint32_t flag;
    const char *details_before, *details_after; /* the response's head */
};

#define RESET(reason)                                                                              \
    "upstream_reset_before_response_started{" reason "}",                                          \
        "upstream_reset_after_response_started{" reason "}"

static const struct failure_reply failure_replies[] = {
    [UPSTREAM_NO_HEALTHY_HOST] = {503, FLAG_NO_HEALTHY_UPSTREAM, "no_healthy_upstream",
                                  "no_healthy_upstream"},
    [UPSTREAM_BREAKER_OPEN] = {503, FLAG_NO_HEALTHY_UPSTREAM, "no_healthy_upstream",
                               "no_healthy_upstream"},
    [UPSTREAM_OVERFLOW] = {503, FLAG_UPSTREAM_OVERFLOW, RESET("overflow")},
    [UPSTREAM_CONNECT_FAILURE] = {503, FLAG_UPSTREAM_CONNECTION_FAILURE,
                                  RESET("remote_connection_failure")},
    [UPSTREAM_CONNECT_TIMEOUT] = {503, FLAG_UPSTREAM_CONNECTION_FAILURE,
                                  RESET("connection_timeout")},
    [UPSTREAM_CONNECTION_TERMINATION] = {503, FLAG_UPSTREAM_TERMINATION,
                                         RESET("connection_termination")},
    [UPSTREAM_PROTOCOL_ERROR] = {502, FLAG_UPSTREAM_PROTOCOL_ERROR, RESET("protocol_error")},
    [UPSTREAM_REQUEST_INVALID] = {500, FLAG_LOCAL_RESET, RESET("local_reset")},
};

static struct str failure_body(struct http_stream *stream, enum upstream_failure failure)
{
    const char *text = upstream_failure_text(failure);
    if (failure == UPSTREAM_NO_HEALTHY_HOST || failure == UPSTREAM_BREAKER_OPEN)
        return str_from(text);
    return str_from(arena_printf(
        &stream->arena,
        "upstream connect error or disconnect/reset before headers. reset reason: %s", text));
}

static void reply_failure(struct router *router, enum upstream_failure failure,
                          bool after_response_head)
{
    struct http_stream *stream = router->stream;
    const struct failure_reply *reply = &failure_replies[failure];
    struct header_list headers;
    header_list_init(&headers, &stream->arena);
    if (failure == UPSTREAM_OVERFLOW && !router->config->suppresses_envoy_headers)
        header_list_add(&headers, HEADER_X_ENVOY_OVERLOADED, STR("true"));
    if (failure == UPSTREAM_BREAKER_OPEN)
        header_list_add(&headers, HEADER_RETRY_AFTER,
                        arena_decimal(&stream->arena, cluster_retry_after_s(router->cluster)));
    stream->flags |= reply->flag;
    http_stream_reply(stream, reply->status, failure_body(stream, failure),
                      after_response_head ? reply->details_after : reply->details_before, &headers);
}

/* --- from the upstream ----------------------------------------------------------------------- */

static void on_response_head(void *arg, struct chunk *chunk, bool is_end)
{
    struct router *router = arg;
    struct http_stream *stream = router->stream;
    stream->response_chunk = chunk_ref(chunk);
    stream->upstream_first_byte_ns = stream->worker->now_ns;
    stream->details = "via_upstream";
    stream->upstream_local_address =
        arena_copy_str(&stream->arena, upstream_request_local_address(router->request));
    if (!router->config->suppresses_envoy_headers) {
        uint64_t since_ns = stream->request_end_ns ? stream->request_end_ns : stream->start_ns;
        header_list_set(
            &stream->response.headers, HEADER_X_ENVOY_UPSTREAM_SERVICE_TIME,
            arena_decimal(&stream->arena, (stream->worker->now_ns - since_ns) / 1000000));
    }
    if (is_end) {
        router->request = NULL;
        stream->upstream_last_byte_ns = stream->worker->now_ns;
    }
    http_stream_response_head(stream, is_end);
}

static void on_response_body(void *arg, struct slice_queue *data, bool is_end)
{
    struct router *router = arg;
    struct http_stream *stream = router->stream;
    if (is_end) {
        router->request = NULL;
        stream->upstream_last_byte_ns = stream->worker->now_ns;
    }
    size_t pending = http_stream_response_body(stream, data, is_end);
    if (router->request && !router->response_is_paused &&
        pending > stream->listener->connection_buffer_bytes) {
        router->response_is_paused = true;
        upstream_request_pause(router->request);
    }
}

static void on_interim_head(void *arg, const struct http_response *interim)
{
    struct router *router = arg;
    struct http_stream *stream = router->stream;
    ASSERT(interim == &stream->response);
    header_list_strip_hop_by_hop(&stream->response.headers);
    stream->codec->send_interim_head(stream, interim);
}

static void on_request_drained(void *arg)
{
    struct router *router = arg;
    if (!router->request_is_paused)
        return;
    router->request_is_paused = false;
    router->stream->codec->resume_request(router->stream);
}

static void on_failure(void *arg, enum upstream_failure failure, bool after_response_head)
{
    struct router *router = arg;
    router->request = NULL;
    reply_failure(router, failure, after_response_head);
}

static const struct upstream_request_ops request_ops = {
    .on_response_head = on_response_head,
    .on_response_body = on_response_body,
    .on_interim_head = on_interim_head,
    .on_request_drained = on_request_drained,
    .on_failure = on_failure,
};

/* --- from the client ------------------------------------------------------------------------- */

/* Counts from the end of the request, as in Envoy: a long upload is no slow answer. */
static void start_timeout(struct router *router)
{
    struct http_stream *stream = router->stream;
    if (!router->timeout_ms)
        return;
    stream->route_deadline_ms = stream->worker->now_ns / 1000000 + router->timeout_ms;
    http_stream_arm(stream);
}

static void on_request_body(void *upstream, struct slice_queue *data, bool is_end)
{
    struct router *router = upstream;
    struct http_stream *stream = router->stream;
    if (!router->request)
        return;
    size_t pending = upstream_request_body(router->request, data, is_end);
    if (is_end) {
        start_timeout(router);
    } else if (pending > cluster_get_config(router->cluster)->connection_buffer_bytes &&
               !router->request_is_paused) {
        router->request_is_paused = true;
        stream->codec->pause_request(stream);
    }
}

static void on_response_drained(void *upstream)
{
    struct router *router = upstream;
    if (!router->response_is_paused || !router->request)
        return;
    router->response_is_paused = false;
    upstream_request_resume(router->request);
}

static void on_timeout(void *upstream)
{
    struct router *router = upstream;
    struct http_stream *stream = router->stream;
    if (router->request)
        upstream_request_time_out(router->request);
    router->request = NULL;
    stream->flags |= FLAG_UPSTREAM_TIMEOUT;
    http_stream_reply(stream, 504, STR("upstream request timeout"), "response_timeout", NULL);
}

static void on_abort(void *upstream)
{
    struct router *router = upstream;
    if (router->request)
        upstream_request_cancel(router->request);
    router->request = NULL;
}

static const struct http_upstream_ops upstream_ops = {
    .on_request_body = on_request_body,
    .on_response_drained = on_response_drained,
    .on_timeout = on_timeout,
    .on_abort = on_abort,
};

/* --- what the route says --------------------------------------------------------------------- */

static enum filter_status redirect(struct http_stream *stream, const struct route *route)
{
    struct str location;
    struct header_list headers;
    header_list_init(&headers, &stream->arena);
    stat_inc(&stream->stats->rq_redirect);
    if (router_redirect_location(stream, route, &location)) {
        http_stream_reply(stream, 500, STR(""), "rewrite_failed", NULL);
        return FILTER_REPLIED;
    }
    header_list_add(&headers, HEADER_LOCATION, location);
    http_stream_reply(stream, route->redirect.status, STR(""), "direct_response", &headers);
    return FILTER_REPLIED;
}

static enum filter_status direct_response(struct http_stream *stream,
                                          const struct route_direct_response *direct)
{
    struct header_list headers;
    header_list_init(&headers, &stream->arena);
    stat_inc(&stream->stats->rq_direct_response);
    /* As in Envoy: what was created or is elsewhere is at the URL of the request (RFC 9110 10.2.2).
     */
    if (direct->status == 201 || direct->status / 100 == 3)
        header_list_add(&headers, HEADER_LOCATION, router_request_url(stream));
    http_stream_reply(stream, direct->status, direct->body, "direct_response", &headers);
    return FILTER_REPLIED;
}

static struct cluster *cluster_in(const struct worker *worker, uint32_t slot)
{
    return slot < worker->cluster_slots ? worker->clusters[slot] : NULL;
}

/* The cluster the route means for this request, or NULL; stream->upstream_cluster is its name. */
static struct cluster *find_cluster(struct http_stream *stream, const struct route_forward *forward)
{
    struct worker *worker = stream->worker;
    if (!forward->arm_count) {
        const struct header *header =
            header_list_find_name(&stream->request.headers, forward->cluster_header);
        stream->upstream_cluster = header ? header->value : (struct str){0};
        return header ? cluster_find(worker, header->value) : NULL;
    }
    const struct route_arm *arm = forward->arm_count == 1
                                      ? forward->arms
                                      : route_forward_pick(forward, worker_random(worker));
    stream->arm = arm;
    stream->upstream_cluster = arm->cluster;
    return cluster_in(worker, arm->cluster_slot);
}

/* Headers and rewrites in Envoy's order. */
static int prepare_request(struct http_stream *stream, const struct route *route,
                           const struct router_config *config)
{
    struct http_request *request = &stream->request;
    struct str path = request->path;
    if (!config->suppresses_envoy_headers && route->forward.timeout_ms)
        header_list_set(&request->headers, HEADER_X_ENVOY_EXPECTED_RQ_TIMEOUT_MS,
                        arena_decimal(&stream->arena, route->forward.timeout_ms));
    if (stream->arm)
        header_mutations_apply(stream->arm->request_mutations, stream, &request->headers);
    header_mutations_apply(route->request_mutations, stream, &request->headers);
    header_list_remove(&request->headers, HEADER_EXPECT);
    int err = router_rewrite_request(stream, route);
    if (!err && !config->suppresses_envoy_headers && request->path.data != path.data)
        header_list_set(&request->headers, HEADER_X_ENVOY_ORIGINAL_PATH, path);
    return err;
}

static enum filter_status forward(struct http_filter *filter, struct http_stream *stream,
                                  const struct route *route)
{
    struct cluster *cluster = find_cluster(stream, &route->forward);
    if (!cluster) {
        stream->flags |= FLAG_NO_CLUSTER;
        stat_inc(&stream->stats->no_cluster);
        http_stream_reply(stream, route->forward.cluster_not_found_status, STR(""),
                          "cluster_not_found", NULL);
        return FILTER_REPLIED;
    }
    if (prepare_request(stream, route, filter->config)) {
        http_stream_reply(stream, 500, STR(""), "rewrite_failed", NULL);
        return FILTER_REPLIED;
    }
    struct router *router = ARENA_NEW(&stream->arena, struct router);
    router->stream = stream;
    router->cluster = cluster;
    router->config = filter->config;
    router->timeout_ms = route->forward.timeout_ms;
    filter->state = router;
    struct upstream_request_options options = {
        .request = &stream->request,
        .response = &stream->response,
        .arena = &stream->arena,
        .is_end = stream->head_was_end,
        .ops = &request_ops,
        .arg = router,
    };
    enum upstream_failure failure;
    stream->attempts = 1;
    router->request = upstream_request_new(cluster, &options, &failure);
    if (!router->request) {
        reply_failure(router, failure, false);
        return FILTER_REPLIED;
    }
    stream->upstream_ops = &upstream_ops;
    stream->upstream = router;
    stream->upstream_host = arena_copy_str(&stream->arena, upstream_request_host(router->request));
    if (stream->head_was_end)
        start_timeout(router);
    else
        http_stream_continue(stream);
    return FILTER_REPLIED;
}

static enum filter_status router_on_request_headers(struct http_filter *filter,
                                                    struct http_stream *stream, bool is_end)
{
    (void)is_end;
    const struct route *route = stream->route;
    if (!route) {
        stream->flags |= FLAG_NO_ROUTE;
        stat_inc(&stream->stats->no_route);
        http_stream_reply(stream, 404, STR(""), "route_not_found", NULL);
        return FILTER_REPLIED;
    }
    switch (route->kind) {
    case ROUTE_REDIRECT:
        return redirect(stream, route);
    case ROUTE_DIRECT_RESPONSE:
        return direct_response(stream, &route->direct_response);
    case ROUTE_FORWARD:
        return forward(filter, stream, route);
    }
    return FILTER_REPLIED;
}

const struct http_filter_type router_filter = {
    .name = "envoy.filters.http.router",
    .config_descriptor = &envoy__extensions__filters__http__router__v3__router__descriptor,
    .load = router_load,
    .on_request_headers = router_on_request_headers,
};
