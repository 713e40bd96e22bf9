#include "controlplane/server/stream.h"

#include "common/base/log.h"
#include "common/base/mem.h"
#include "controlplane/server/request.h"

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
        stream->context->subscription_bytes -= stream->subscriptions[type]->bytes;
        subscription_done(stream->subscriptions[type]);
        mem_free(stream->subscriptions[type]);
    }
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

struct snapshot *stream_newest(const struct stream *stream, bool *ret_is_gateway_known)
{
    struct snapshot *found = world_find(stream->context->world, stream->gateway, stream->kind);
    if (ret_is_gateway_known)
        *ret_is_gateway_known = found != NULL;
    return found ? found : stream->context->nothing;
}

/* --- the plan
 * ------------------------------------------------------------------------------------- */

static struct subscription *sub_of(const struct stream *stream, enum resource_type type)
{
    return stream->subscriptions[type];
}

static bool is_settled(const struct stream *stream, enum resource_type type)
{
    const struct subscription *sub = sub_of(stream, type);
    return !sub || subscription_is_settled(sub);
}

static size_t refused_count(const struct stream *stream, enum resource_type type)
{
    const struct subscription *sub = sub_of(stream, type);
    return sub ? subscription_refused_count(sub) : 0;
}

/* Whether the client took a new cluster and is to get, or has, the endpoints of that name. */
static bool has_endpoints(const struct stream *stream, struct str name)
{
    const struct subscription *clusters = sub_of(stream, RESOURCE_CLUSTER);
    const struct subscription *endpoints = sub_of(stream, RESOURCE_ENDPOINTS);
    if (!subscription_covers(clusters, name) || subscription_is_refused(clusters, name))
        return true; /* it will not ask for them */
    return endpoints &&
           (subscription_has_current(endpoints, name) || subscription_is_refused(endpoints, name));
}

/* Whether the client has asked for, and taken, the endpoints of all clusters that are new to it.
 * Which these are is not known of one that comes back: it is to have them all. */
static bool has_all_endpoints(const struct stream *stream)
{
    const struct resource_set *nothing = stream->context->nothing->sets[RESOURCE_ENDPOINTS];
    const struct resource_set *before =
        stream->is_resuming ? nothing : stream->plan.live->sets[RESOURCE_ENDPOINTS];
    const struct resource_set *after = stream->plan.bridge->sets[RESOURCE_ENDPOINTS];
    const struct subscription *endpoints = sub_of(stream, RESOURCE_ENDPOINTS);
    if (!sub_of(stream, RESOURCE_CLUSTER) || before == after)
        return true;
    /* One that had clusters and never asked for endpoints gets them some other way. */
    if (!endpoints && before->len)
        return true;
    if (endpoints && subscription_is_at_target(endpoints) &&
        resource_set_is_same(endpoints->target, after))
        return true;
    for (size_t i = 0, j = 0; j < after->len; j++) {
        while (i < before->len && str_compare(before->items[i]->name, after->items[j]->name) < 0)
            i++;
        bool is_new = i == before->len || !str_equal(before->items[i]->name, after->items[j]->name);
        if (is_new && !has_endpoints(stream, after->items[j]->name))
            return false;
    }
    return true;
}

/* Whether the client has answered, one way or the other, all that belongs to the plan's step. */
static bool is_step_done(const struct stream *stream)
{
    switch (stream->plan.step) {
    case PLAN_IDLE:
        return false;
    case PLAN_CLUSTERS:
        return is_settled(stream, RESOURCE_CLUSTER) && is_settled(stream, RESOURCE_ENDPOINTS) &&
               has_all_endpoints(stream);
    case PLAN_LISTENERS:
        return is_settled(stream, RESOURCE_LISTENER);
    case PLAN_ROUTES:
        return is_settled(stream, RESOURCE_ROUTES);
    case PLAN_REMOVALS:
        break;
    }
    return is_settled(stream, RESOURCE_CLUSTER) && is_settled(stream, RESOURCE_ENDPOINTS);
}

/* What a client that came back with older content is not told at this step. */
static enum subscription_hold hold_of(const struct stream *stream, enum resource_type type)
{
    enum plan_step step = stream->plan.step;
    if (!stream->is_resuming)
        return HOLD_NOTHING;
    if (type == RESOURCE_CLUSTER || type == RESOURCE_ENDPOINTS)
        return HOLD_REMOVALS; /* until its routes are accepted, which ends the resuming */
    bool is_early = step == PLAN_CLUSTERS || (type == RESOURCE_ROUTES && step == PLAN_LISTENERS);
    return is_early ? HOLD_CHANGES : HOLD_NOTHING;
}

static void set_targets(struct stream *stream)
{
    struct snapshot *newest = stream_newest(stream, NULL);
    for (int i = 0; i < RESOURCE_TYPE_COUNT; i++) {
        enum resource_type type = (enum resource_type)i;
        struct subscription *sub = sub_of(stream, type);
        if (!sub)
            continue;
        subscription_set_hold(sub, hold_of(stream, type));
        subscription_set_target(
            sub, plan_target(&stream->plan, type, newest, &stream->context->bridges));
    }
}

static void start_step(struct stream *stream, uint64_t now_ms)
{
    stream->step_since_ms = now_ms;
    set_targets(stream);
}

static uint64_t publication_of(const struct stream *stream)
{
    return stream->context->ledger ? ledger_publication(stream->context->ledger) : 0;
}

/* To the newest; also where it is there already, step by step (plan_resume). */
static void start_plan(struct stream *stream, uint64_t now_ms)
{
    struct snapshot *newest = stream_newest(stream, NULL);
    if (newest == stream->plan.reached)
        plan_resume(&stream->plan);
    else
        plan_start(&stream->plan, newest, &stream->context->bridges);
    stream->goal_publication = publication_of(stream);
    start_step(stream, now_ms);
}

static void on_stale(void *arg, const struct resource *content)
{
    struct stale *stale = arg;
    if (content)
        vec_append(&stale->contents, (void *)(uintptr_t)content);
    else
        stale->is_any_unknown = true;
}

static bool is_claimed(const void *arg, struct str cluster)
{
    return subscription_is_claimed(arg, cluster);
}

static size_t count_refused_users(const struct stream *stream)
{
    return refused_count(stream, RESOURCE_LISTENER) + refused_count(stream, RESOURCE_ROUTES);
}

/* Listeners and routes have been answered: what nothing names any more goes. */
static void begin_removals(struct stream *stream)
{
    static const enum resource_type users[] = {RESOURCE_LISTENER, RESOURCE_ROUTES};
    struct plan *plan = &stream->plan;
    struct stale stale = {.is_claimed_arg = sub_of(stream, RESOURCE_CLUSTER)};
    if (stale.is_claimed_arg)
        stale.is_claimed = is_claimed;
    for (size_t i = 0; i < 2; i++)
        if (sub_of(stream, users[i]))
            subscription_visit_stale(sub_of(stream, users[i]), on_stale, &stale);
    if (stale.is_any_unknown && !stream->unknown_since) {
        stream->unknown_since = snapshot_ref(plan->live);
    } else if (!stale.is_any_unknown) {
        snapshot_unref(stream->unknown_since);
        stream->unknown_since = NULL;
        stream->is_resuming = false;
    }
    stale.unknown_since = stream->unknown_since;
    struct snapshot *settled =
        snapshot_keep(&stream->context->kept, plan->goal, plan->bridge, &stale);
    stream->context->counters.removals_kept += settled != plan->goal;
    stream->refused_count = count_refused_users(stream);
    plan_begin_removals(plan, settled);
    snapshot_unref(settled);
    vec_done(&stale.contents);
}

/* Something has been accepted, or is not asked for any more, for which other things were kept. */
static bool may_remove_more(const struct stream *stream)
{
    return stream->plan.step == PLAN_IDLE && (plan_keeps(&stream->plan) || stream->is_resuming) &&
           count_refused_users(stream) < stream->refused_count;
}

/* --- sending
 * -------------------------------------------------------------------------------------- */

static void on_cluster_update(void *arg, struct str name)
{
    struct stream *stream = arg;
    struct subscription *endpoints = sub_of(stream, RESOURCE_ENDPOINTS);
    if (endpoints)
        subscription_resend(endpoints, name);
}

static void send_next(struct stream *stream, enum resource_type type)
{
    struct stream_context *context = stream->context;
    struct response *response = &context->response;
    /* A cluster that changed waits for its endpoints although they did not change: Envoy drops what
     * it knew of them. */
    subscription_update_fn *on_update = type == RESOURCE_CLUSTER ? on_cluster_update : NULL;
    if (!subscription_next(stream->subscriptions[type], &context->diffs, stream->last_nonce + 1,
                           on_update, stream, response))
        return;
    stream->last_nonce++;
    context->counters.responses[type]++;
    context->counters.response_bytes += response->bytes;
    context->counters.response_resources += response->resource_count;
    if (stream->kind == CLIENT_GRPC && response->bytes > STREAM_GRPC_RESPONSE_BYTES_MAX)
        log_warning("xds_response_large stream=%" PRIu64 " node=%.*s type=%s bytes=%zu: gRPC "
                    "clients refuse messages over 4 MiB unless told otherwise",
                    stream->id, STR_ARGS(stream->node_id), resource_type_short_name(type),
                    response->bytes);
    log_debug("xds_response stream=%" PRIu64 " node=%.*s type=%s nonce=%" PRIu64
              " resources=%zu removed=%zu bytes=%zu",
              stream->id, STR_ARGS(stream->node_id), resource_type_short_name(type),
              stream->last_nonce, response->resource_count, response->removed_count,
              response->bytes);
    stream->transport.send(stream->transport.arg, response);
}

static void send_all(struct stream *stream)
{
    for (int type = 0; type < RESOURCE_TYPE_COUNT; type++)
        if (stream->subscriptions[type])
            send_next(stream, (enum resource_type)type);
}

/* Accepted or refused; nothing is on its way. */
static bool has_answered_all(const struct stream *stream)
{
    if (stream->plan.step != PLAN_IDLE || !stream->has_node || !stream->is_gateway_known)
        return false;
    bool has_any = false;
    for (int type = 0; type < RESOURCE_TYPE_COUNT; type++) {
        if (!is_settled(stream, (enum resource_type)type))
            return false;
        has_any |= stream->subscriptions[type] != NULL;
    }
    return has_any;
}

bool stream_is_in_sync(const struct stream *stream)
{
    for (int type = 0; type < RESOURCE_TYPE_COUNT; type++)
        if (refused_count(stream, (enum resource_type)type))
            return false;
    return has_answered_all(stream) && stream->plan.reached == stream_newest(stream, NULL);
}

/* Also while what is to replace it has not been accepted. */
static bool is_still_refused(const void *sub, struct str name)
{
    return subscription_is_refused(sub, name) ||
           (subscription_covers(sub, name) && !subscription_has_current(sub, name));
}

static void tell_ledger(struct stream *stream)
{
    if (!stream->client)
        return;
    for (int type = 0; type < RESOURCE_TYPE_COUNT && stream->client->refusal_count; type++)
        if (stream->subscriptions[type])
            ledger_review(stream->client, (enum resource_type)type, is_still_refused,
                          stream->subscriptions[type]);
    struct ledger_progress progress = {.revision = stream->client->progress.revision,
                                       .publication = stream->client->progress.publication,
                                       .is_in_sync = stream_is_in_sync(stream)};
    if (has_answered_all(stream)) {
        progress.revision = stream->plan.reached->revision;
        progress.publication = stream->goal_publication;
    }
    ledger_note_progress(stream->client, &progress);
}

/* How long to wait for the client at this step. */
static uint64_t step_timeout_ms(const struct stream *stream)
{
    bool waits_for_subscription = stream->plan.step == PLAN_CLUSTERS &&
                                  is_settled(stream, RESOURCE_CLUSTER) &&
                                  !sub_of(stream, RESOURCE_ENDPOINTS);
    return waits_for_subscription ? STREAM_NO_ENDPOINTS_TIMEOUT_MS : STREAM_STEP_TIMEOUT_MS;
}

/* Sends what can be sent, and goes on with the plan as far as the client's answers allow. */
static void go_on(struct stream *stream, uint64_t now_ms)
{
    if (may_remove_more(stream))
        start_plan(stream, now_ms);
    send_all(stream);
    while (stream->plan.step != PLAN_IDLE && !stream->is_finished) {
        bool is_done = is_step_done(stream);
        if (!is_done && now_ms < stream->step_since_ms + step_timeout_ms(stream))
            break;
        if (!is_done) {
            stream->context->counters.step_timeouts++;
            log_info("xds_step_timeout stream=%" PRIu64 " node=%.*s step=%d", stream->id,
                     STR_ARGS(stream->node_id), (int)stream->plan.step);
        }
        if (stream->plan.step == PLAN_ROUTES)
            begin_removals(stream);
        else
            plan_advance(&stream->plan);
        /* What was published meanwhile. */
        if (stream->plan.step == PLAN_IDLE && stream_newest(stream, NULL) != stream->plan.reached)
            start_plan(stream, now_ms);
        else
            start_step(stream, now_ms);
        send_all(stream);
    }
    stream->deadline_ms = stream->plan.step == PLAN_IDLE || stream->is_finished
                              ? UINT64_MAX
                              : stream->step_since_ms + step_timeout_ms(stream);
    tell_ledger(stream);
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

static void check_gateway(struct stream *stream)
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
    check_gateway(stream);
    start_plan(stream, now_ms);
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
    /* Who a stream is for does not change while it is open. */
    else if (request->has_node && (!str_equal(request->node.id, stream->node_id) ||
                                   !str_equal(request->node.cluster, stream->gateway)))
        log_warning("xds_node_changed stream=%" PRIu64 " node=%.*s ignored=%.*s", stream->id,
                    STR_ARGS(stream->node_id), STR_ARGS(request->node.id));
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
    subscription_set_hold(*sub, hold_of(stream, type));
    return *sub;
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
    stream->context->subscription_bytes -= sub->bytes;
    int err = subscription_request(sub, request, on_refused, &refusal, &outcome, &msg);
    stream->context->subscription_bytes += sub->bytes;
    if (err)
        finish(stream,
               err == ERR_INVALID ? RPC_STATUS_INVALID_ARGUMENT : RPC_STATUS_RESOURCE_EXHAUSTED,
               msg.text);
    else if (stream->context->subscription_bytes > STREAM_SUBSCRIPTION_BYTES_MAX)
        finish(stream, RPC_STATUS_RESOURCE_EXHAUSTED, "too many resource names on this server");
    else
        count(stream, type, outcome, request->error);
}

/* The client has come back with older content of that type. */
static void resume(struct stream *stream, enum resource_type type, uint64_t now_ms)
{
    stream->subscriptions[type]->is_outdated = false;
    if (stream->is_resuming || stream->plan.step == PLAN_REMOVALS)
        return;
    stream->is_resuming = true;
    if (stream->plan.step == PLAN_IDLE)
        start_plan(stream, now_ms);
    else
        set_targets(stream);
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
    if (stream->subscriptions[type]->is_outdated)
        resume(stream, type, now_ms);
    go_on(stream, now_ms);
}

void stream_publish(struct stream *stream, uint64_t now_ms)
{
    if (!stream->has_node || stream->is_finished)
        return;
    check_gateway(stream);
    const struct plan *plan = &stream->plan;
    bool is_idle = plan->step == PLAN_IDLE;
    bool is_newest = stream_newest(stream, NULL) == (is_idle ? plan->reached : plan->goal);
    if (is_newest)
        stream->goal_publication = publication_of(stream);
    if (is_newest && is_idle) {
        tell_ledger(stream);
        return;
    }
    if (is_idle)
        start_plan(stream, now_ms);
    else
        set_targets(stream); /* newer endpoints do not wait for the plan */
    go_on(stream, now_ms);
}

void stream_tick(struct stream *stream, uint64_t now_ms)
{
    if (stream->has_node && !stream->is_finished && now_ms >= stream->deadline_ms)
        go_on(stream, now_ms);
}
