/* How a stream follows the plan: what is sent at which step, when the next one begins, and what the
 * ledger is told of it. */
#include "controlplane/server/stream_internal.h"

#include "common/base/log.h"

#include <inttypes.h>

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

enum subscription_hold stream_hold_of(const struct stream *stream, enum resource_type type)
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
        subscription_set_hold(sub, stream_hold_of(stream, type));
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

void stream_start_plan(struct stream *stream, uint64_t now_ms)
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
                                       .version = stream->client->progress.version,
                                       .is_in_sync = stream_is_in_sync(stream)};
    if (has_answered_all(stream)) {
        progress.revision = stream->plan.reached->revision;
        progress.publication = stream->goal_publication;
        progress.version = stream->plan.reached->version;
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

void stream_go_on(struct stream *stream, uint64_t now_ms)
{
    if (may_remove_more(stream))
        stream_start_plan(stream, now_ms);
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
            stream_start_plan(stream, now_ms);
        else
            start_step(stream, now_ms);
        send_all(stream);
    }
    stream->deadline_ms = stream->plan.step == PLAN_IDLE || stream->is_finished
                              ? UINT64_MAX
                              : stream->step_since_ms + step_timeout_ms(stream);
    stream_count_bytes(stream);
    tell_ledger(stream);
}

/* --- what makes it go on
 * ------------------------------------------------------------------------ */

void stream_resume(struct stream *stream, uint64_t now_ms)
{
    if (stream->is_resuming || stream->plan.step == PLAN_REMOVALS)
        return;
    stream->is_resuming = true;
    if (stream->plan.step == PLAN_IDLE)
        stream_start_plan(stream, now_ms);
    else
        set_targets(stream);
}

void stream_publish(struct stream *stream, uint64_t now_ms)
{
    if (!stream->has_node || stream->is_finished)
        return;
    stream_check_gateway(stream);
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
        stream_start_plan(stream, now_ms);
    else
        set_targets(stream); /* newer endpoints do not wait for the plan */
    stream_go_on(stream, now_ms);
}

void stream_tick(struct stream *stream, uint64_t now_ms)
{
    if (stream->has_node && !stream->is_finished && now_ms >= stream->deadline_ms)
        stream_go_on(stream, now_ms);
}
