/* The life of a stream, and what its client says: who it is, what it asks for, its answers. */
#include "controlplane/server/stream.h"

#include "common/base/log.h"
#include "common/base/mem.h"
#include "controlplane/server/request.h"
#include "controlplane/server/stream_internal.h"

#include <inttypes.h>

void stream_context_init(struct stream_context *context, struct ledger *ledger)
{
    *context = (struct stream_context){.ledger = ledger};
    context->nothing = snapshot_new_empty(0);
    response_init(&context->response);
    arena_init(&context->arena, 16 * 1024);
}

void stream_context_done(struct stream_context *context)
{
    diff_cache_clear(&context->diffs);
    bridge_cache_clear(&context->bridges);
    keep_cache_clear(&context->kept);
    response_done(&context->response);
    arena_done(&context->arena);
    snapshot_unref(context->nothing);
    world_free(context->world);
}

static struct str copy(struct str s)
{
    return (struct str){.data = mem_copy_string(s.data, s.len), .len = s.len};
}

void stream_init(struct stream *stream, struct stream_context *context,
                 const struct stream_transport *transport, uint64_t id, bool is_delta,
                 enum resource_type only, struct str address)
{
    *stream = (struct stream){
        .context = context,
        .transport = *transport,
        .id = id,
        .is_delta = is_delta,
        .only = only,
        .address = copy(address),
        .deadline_ms = UINT64_MAX,
    };
}

void stream_done(struct stream *stream)
{
    for (int type = 0; type < RESOURCE_TYPE_COUNT; type++) {
        if (!stream->subscriptions[type])
            continue;
        subscription_done(stream->subscriptions[type]);
        mem_free(stream->subscriptions[type]);
    }
    stream->context->subscription_bytes -= stream->counted_bytes;
    plan_done(&stream->plan);
    snapshot_unref(stream->unknown_since);
    ledger_disconnect(stream->client);
    mem_free((char *)stream->address.data);
    mem_free((char *)stream->node_id.data);
    mem_free((char *)stream->gateway.data);
    mem_free((char *)stream->user_agent.data);
}

static void finish(struct stream *stream, enum rpc_status status, const char *text)
{
    if (stream->is_finished)
        return;
    stream->is_finished = true;
    stream->deadline_ms = UINT64_MAX;
    stream->context->counters.bad_requests++;
    log_warning("xds_stream_refused stream=%" PRIu64 " node=%.*s peer=%.*s status=%s text=\"%s\"",
                stream->id, STR_ARGS(stream->node_id), STR_ARGS(stream->address),
                rpc_status_name(status), text);
    stream->transport.finish(stream->transport.arg, status, text);
}

/* --- requests
 * ------------------------------------------------------------------------------------- */

static enum client_kind kind_of(const struct request_node *node)
{
    return str_starts_with(node->user_agent_name, STR("gRPC")) ? CLIENT_GRPC : CLIENT_ENVOY;
}

static struct str user_agent_of(const struct request_node *node)
{
    struct buf buf;
    buf_init(&buf, STREAM_NODE_BYTES_MAX * 3);
    buf_append_str(&buf, node->user_agent_name);
    if (node->user_agent_version.len && node->user_agent_name.len)
        buf_append_char(&buf, ' ');
    buf_append_str(&buf, node->user_agent_version);
    struct str copied = copy(buf_str(&buf));
    buf_done(&buf);
    return copied;
}

static bool is_node_too_long(const struct request_node *node)
{
    return node->id.len > STREAM_NODE_BYTES_MAX || node->cluster.len > STREAM_NODE_BYTES_MAX ||
           node->user_agent_name.len > STREAM_NODE_BYTES_MAX ||
           node->user_agent_version.len > STREAM_NODE_BYTES_MAX;
}

void stream_check_gateway(struct stream *stream)
{
    bool is_known;
    stream_newest(stream, &is_known);
    if (!is_known && stream->is_gateway_known)
        log_warning("xds_gateway_gone stream=%" PRIu64 " node=%.*s gateway=%.*s", stream->id,
                    STR_ARGS(stream->node_id), STR_ARGS(stream->gateway));
    stream->is_gateway_known = is_known;
    if (stream->client)
        ledger_set_gateway_known(stream->client, is_known);
}

static void join_ledger(struct stream *stream, uint64_t now_us)
{
    if (!stream->context->ledger)
        return;
    stream->client =
        ledger_connect(stream->context->ledger, &(struct ledger_client){
                                                    .stream_id = stream->id,
                                                    .node_id = stream->node_id,
                                                    .gateway = stream->gateway,
                                                    .user_agent = stream->user_agent,
                                                    .address = stream->address,
                                                    .since_us = now_us,
                                                    .is_gateway_known = stream->is_gateway_known,
                                                });
}

static void take_node(struct stream *stream, const struct request_node *node, uint64_t now_ms,
                      uint64_t now_us)
{
    stream->has_node = true;
    stream->node_id = copy(node->id);
    stream->gateway = copy(node->cluster);
    stream->user_agent = user_agent_of(node);
    stream->kind = kind_of(node);
    stream->is_weir_proxy = str_starts_with(node->user_agent_name, STR("weir-proxy"));
    stream_check_gateway(stream);
    stream_start_plan(stream, now_ms);
    join_ledger(stream, now_us);
    log_info("xds_stream_opened stream=%" PRIu64 " node=%.*s gateway=%.*s agent=\"%.*s\" "
             "peer=%.*s form=%s",
             stream->id, STR_ARGS(stream->node_id), STR_ARGS(stream->gateway),
             STR_ARGS(stream->user_agent), STR_ARGS(stream->address),
             stream->is_delta ? "delta" : "sotw");
    if (!stream->is_gateway_known)
        log_warning("xds_gateway_unknown stream=%" PRIu64
                    " node=%.*s gateway=%.*s: its node.cluster "
                    "names no gateway; it is served as soon as there is one",
                    stream->id, STR_ARGS(stream->node_id), STR_ARGS(stream->gateway));
}

/* Who a stream is for does not change while it is open. Told once: every request may say it. */
static void tell_changed_node(struct stream *stream, const struct request_node *node)
{
    if (stream->node_change_is_told ||
        (str_equal(node->id, stream->node_id) && str_equal(node->cluster, stream->gateway)))
        return;
    stream->node_change_is_told = true;
    log_warning("xds_node_changed stream=%" PRIu64 " node=%.*s ignored=%.*s", stream->id,
                STR_ARGS(stream->node_id), STR_ARGS(node->id));
}

/* False where the stream is finished over it. */
static bool check_node(struct stream *stream, const struct request *request, uint64_t now_ms,
                       uint64_t now_us)
{
    if (!stream->has_node && !request->has_node) {
        finish(stream, RPC_STATUS_INVALID_ARGUMENT,
               "the first request of a stream must have a node");
        return false;
    }
    if (!stream->has_node && is_node_too_long(&request->node)) {
        finish(stream, RPC_STATUS_INVALID_ARGUMENT, "node: a field is too long");
        return false;
    }
    if (!stream->has_node)
        take_node(stream, &request->node, now_ms, now_us);
    else if (request->has_node)
        tell_changed_node(stream, &request->node);
    return true;
}

/* The type asked for; RESOURCE_TYPE_COUNT where there is nothing to answer. */
static enum resource_type type_of(struct stream *stream, struct str url)
{
    enum resource_type type = resource_type_from_url(url);
    if (stream->only != RESOURCE_TYPE_COUNT && url.len && type != stream->only) {
        finish(stream, RPC_STATUS_INVALID_ARGUMENT, "type_url is not that of this service");
        return RESOURCE_TYPE_COUNT;
    }
    if (stream->only != RESOURCE_TYPE_COUNT)
        return stream->only;
    if (url.len == 0)
        finish(stream, RPC_STATUS_INVALID_ARGUMENT, "type_url is missing");
    else if (type == RESOURCE_TYPE_COUNT)
        log_debug("xds_type_unknown stream=%" PRIu64 " type_url=%.*s", stream->id, STR_ARGS(url));
    stream->context->counters.unknown_types += type == RESOURCE_TYPE_COUNT;
    return type;
}

static struct subscription *ensure_subscription(struct stream *stream, enum resource_type type)
{
    struct subscription **sub = &stream->subscriptions[type];
    if (*sub)
        return *sub;
    *sub = MEM_NEW(struct subscription);
    subscription_init(
        *sub, type,
        &(struct subscription_options){
            .is_delta = stream->is_delta,
            .trusts_versions = stream->is_weir_proxy,
            .retries_refused = stream->is_weir_proxy && type == RESOURCE_LISTENER,
            .response_bytes_max = stream->kind == CLIENT_GRPC ? STREAM_GRPC_RESPONSE_BYTES_MAX : 0,
        },
        plan_target(&stream->plan, type, stream_newest(stream, NULL), &stream->context->bridges));
    subscription_set_hold(*sub, stream_hold_of(stream, type));
    return *sub;
}

void stream_count_bytes(struct stream *stream)
{
    size_t bytes = 0;
    for (int type = 0; type < RESOURCE_TYPE_COUNT; type++)
        bytes += stream->subscriptions[type] ? stream->subscriptions[type]->bytes : 0;
    stream->context->subscription_bytes += bytes - stream->counted_bytes;
    stream->counted_bytes = bytes;
}

struct refusal_context {
    struct stream *stream;
    enum resource_type type;
    struct str text;
    uint64_t now_us;
};

static void on_refused(void *arg, struct str name, const struct resource *content)
{
    const struct refusal_context *refusal = arg;
    struct content_hash none = {""};
    if (refusal->stream->client)
        ledger_refuse(refusal->stream->client, refusal->type, name,
                      content ? &content->version : &none, refusal->text, refusal->now_us);
}

static void count(struct stream *stream, enum resource_type type, enum subscription_outcome outcome,
                  struct str error)
{
    struct stream_counters *counters = &stream->context->counters;
    counters->acks[type] += outcome == SUBSCRIPTION_ACK;
    counters->nacks[type] += outcome == SUBSCRIPTION_NACK;
    if (outcome == SUBSCRIPTION_NACK)
        log_warning("xds_nack stream=%" PRIu64 " node=%.*s gateway=%.*s type=%s text=\"%.*s\"",
                    stream->id, STR_ARGS(stream->node_id), STR_ARGS(stream->gateway),
                    resource_type_short_name(type), (int)(error.len < 1024 ? error.len : 1024),
                    error.data);
}

static void take_request(struct stream *stream, enum resource_type type,
                         const struct subscription_request *request, uint64_t now_us)
{
    struct subscription *sub = ensure_subscription(stream, type);
    struct refusal_context refusal = {
        .stream = stream, .type = type, .text = request->error, .now_us = now_us};
    enum subscription_outcome outcome;
    struct errmsg msg;
    int err = subscription_request(sub, request, on_refused, &refusal, &outcome, &msg);
    stream_count_bytes(stream);
    if (err)
        finish(stream,
               err == ERR_INVALID ? RPC_STATUS_INVALID_ARGUMENT : RPC_STATUS_RESOURCE_EXHAUSTED,
               msg.text);
    else if (stream->context->subscription_bytes > STREAM_SUBSCRIPTION_BYTES_MAX)
        finish(stream, RPC_STATUS_RESOURCE_EXHAUSTED, "too many resource names on this server");
    else
        count(stream, type, outcome, request->error);
}

void stream_message(struct stream *stream, struct str bytes, uint64_t now_ms, uint64_t now_us)
{
    if (stream->is_finished)
        return;
    struct request request;
    arena_reset(&stream->context->arena);
    stream->context->counters.requests++;
    if (!request_decode(bytes, stream->is_delta, &stream->context->arena, &request)) {
        finish(stream, RPC_STATUS_INVALID_ARGUMENT, "the request cannot be decoded");
        return;
    }
    if (!check_node(stream, &request, now_ms, now_us))
        return;
    enum resource_type type = type_of(stream, request.type_url);
    if (type == RESOURCE_TYPE_COUNT)
        return;
    take_request(stream, type, &request.subscription, now_us);
    if (stream->is_finished)
        return;
    if (stream->subscriptions[type]->is_outdated) {
        stream->subscriptions[type]->is_outdated = false;
        stream_resume(stream, now_ms);
    }
    stream_go_on(stream, now_ms);
}
