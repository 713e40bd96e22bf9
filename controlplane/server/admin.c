#include "controlplane/server/admin.h"

#include "common/base/log.h"
#include "common/base/mem.h"
#include "controlplane/server/config_dump.h"

#include <inttypes.h>

#define JSON "application/json"

struct admin {
    const struct pipeline *pipeline;
    const struct ads_server *ads;
    struct pbjson_registry *registry;
    bool is_draining;
};

/* --- /ready
 * ------------------------------------------------------------------------------------------ */

static void on_ready(const struct admin_request *request, struct admin_reply *reply, void *arg)
{
    const struct admin *admin = arg;
    struct pipeline_stats stats = pipeline_stats(admin->pipeline);
    const char *state = source_state_name(stats.source_state);
    (void)request;
    if (admin->is_draining || !stats.is_published)
        reply->status = 503;
    if (admin->is_draining)
        buf_printf(&reply->body, "draining\n");
    else if (!stats.is_published)
        buf_printf(&reply->body, "nothing to serve yet: source %s: %s\n", state,
                   stats.source_detail);
    else
        buf_printf(&reply->body, "ready: revision %" PRId64 "%s, source %s: %s\n", stats.revision,
                   stats.is_stale ? " (stale, from the copy on disk)" : "", state,
                   stats.source_detail);
}

/* --- /metrics
 * ---------------------------------------------------------------------------------------- */

static void metric_head(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void metric(struct buf *out, const char *name, const char *type, const char *help,
                   uint64_t value)
{
    metric_head(out, name, type, help);
    buf_printf(out, "%s %" PRIu64 "\n", name, value);
}

static void metric_by_type(struct buf *out, const char *name, const char *help,
                           const uint64_t values[RESOURCE_TYPE_COUNT])
{
    metric_head(out, name, "counter", help);
    for (int type = 0; type < RESOURCE_TYPE_COUNT; type++)
        buf_printf(out, "%s{type=\"%s\"} %" PRIu64 "\n", name,
                   resource_type_short_name((enum resource_type)type), values[type]);
}

static void print_source_metrics(const struct pipeline_stats *stats, struct buf *out)
{
    metric(out, "weir_control_revision", "gauge", "Revision of the policy that is served.",
           (uint64_t)stats->revision);
    metric(out, "weir_control_stale", "gauge", "1 while what is served came from the copy on disk.",
           stats->is_stale);
    metric_head(out, "weir_control_source_state", "gauge", "1 for the state the source is in.");
    for (int state = SOURCE_CONNECTING; state <= SOURCE_EMPTIED; state++)
        buf_printf(out, "weir_control_source_state{state=\"%s\"} %d\n",
                   source_state_name((enum source_state)state), state == (int)stats->source_state);
    metric(out, "weir_control_source_changes_total", "counter", "Objects put or deleted.",
           stats->changes);
    metric(out, "weir_control_source_snapshots_total", "counter",
           "Times that all objects were read.", stats->snapshots);
    metric(out, "weir_control_gateways_not_translated", "gauge",
           "Gateways that keep what they had because they cannot be translated.", stats->problems);
    histogram_print(&stats->build_seconds, "weir_control_model_seconds", "Time to build the model.",
                    out);
    histogram_print(&stats->translate_seconds, "weir_control_translate_seconds",
                    "Time to translate it.", out);
}

static void print_object_metrics(const struct status_counts *counts, struct buf *out)
{
    metric_head(out, "weir_control_objects", "gauge", "Objects by kind and verdict.");
    for (int kind = 0; kind < MODEL_KIND_COUNT; kind++) {
        const char *name = model_kind_name((enum model_kind)kind);
        buf_printf(out, "weir_control_objects{kind=\"%s\",verdict=\"accepted\"} %zu\n", name,
                   counts->accepted[kind]);
        buf_printf(out, "weir_control_objects{kind=\"%s\",verdict=\"refused\"} %zu\n", name,
                   counts->refused[kind]);
    }
    buf_printf(out, "weir_control_objects{kind=\"unknown\",verdict=\"refused\"} %zu\n",
               counts->unknown_kinds);
    metric(out, "weir_control_statuses_waiting", "gauge", "Status documents to be written.",
           counts->waiting);
    metric(out, "weir_control_statuses_written_total", "counter", "Status documents written.",
           counts->written);
}

static void print_stream_metrics(const struct ads_stats *stats, struct buf *out)
{
    const struct stream_counters *counters = &stats->counters;
    metric(out, "weir_control_streams", "gauge", "Open xDS streams.", stats->streams);
    metric(out, "weir_control_streams_total", "counter", "xDS streams accepted.",
           stats->streams_accepted);
    metric(out, "weir_control_streams_unavailable_total", "counter",
           "xDS streams refused because nothing was loaded yet.", stats->streams_unavailable);
    metric(out, "weir_control_streams_to_visit", "gauge",
           "Streams that the publication under way has not reached yet.", stats->streams_to_visit);
    metric(out, "weir_control_subscription_bytes", "gauge",
           "Memory held by names of subscriptions.", stats->subscription_bytes);
    metric(out, "weir_control_publications_total", "counter", "Worlds published.",
           stats->publications);
    metric(out, "weir_control_requests_total", "counter", "xDS requests.", counters->requests);
    metric_by_type(out, "weir_control_responses_total", "xDS responses.", counters->responses);
    metric_by_type(out, "weir_control_acks_total", "Responses accepted.", counters->acks);
    metric_by_type(out, "weir_control_nacks_total", "Responses refused.", counters->nacks);
    metric(out, "weir_control_response_bytes_total", "counter", "Bytes of xDS responses.",
           counters->response_bytes);
    metric(out, "weir_control_response_resources_total", "counter", "Resources in xDS responses.",
           counters->response_resources);
    metric(out, "weir_control_bad_requests_total", "counter",
           "Streams ended because of what the client sent.", counters->bad_requests);
    metric(out, "weir_control_unknown_types_total", "counter",
           "Requests for types that are not served.", counters->unknown_types);
    metric(out, "weir_control_step_timeouts_total", "counter",
           "Plans that went on without the client's answer.", counters->step_timeouts);
    metric(out, "weir_control_removals_kept_total", "counter",
           "Plans that kept clusters for routes or listeners whose newer version was refused.",
           counters->removals_kept);
    histogram_print(&stats->publish_seconds, "weir_control_publish_seconds",
                    "Time from a publication to the last stream it reaches.", out);
}

static void on_metrics(const struct admin_request *request, struct admin_reply *reply, void *arg)
{
    const struct admin *admin = arg;
    (void)request;
    struct pipeline_stats pipeline = pipeline_stats(admin->pipeline);
    struct status_counts objects = pipeline_status_counts(admin->pipeline);
    struct ads_stats ads = ads_stats(admin->ads);
    reply->content_type = "text/plain; version=0.0.4; charset=utf-8";
    print_source_metrics(&pipeline, &reply->body);
    print_object_metrics(&objects, &reply->body);
    print_stream_metrics(&ads, &reply->body);
}

/* --- /clients
 * ---------------------------------------------------------------------------------------- */

static void print_text(struct buf *out, const char *name, struct str text)
{
    buf_printf(out, ",\"%s\":", name);
    buf_append_json_string(out, text);
}

static const char *state_of(const struct subscription *sub)
{
    return sub->out.nonce                  ? "sent"
           : subscription_has_refused(sub) ? "refused"
           : subscription_is_settled(sub)  ? "acked"
                                           : "waiting";
}

static void print_subscription(const struct subscription *sub, struct buf *out)
{
    buf_printf(out,
               "{\"type\":\"%s\",\"wildcard\":%s,\"names\":%zu,\"state\":\"%s\","
               "\"version\":\"%s\"}",
               resource_type_short_name(sub->type), sub->is_wildcard ? "true" : "false",
               sub->is_covering ? sub->base->len : sub->named_count, state_of(sub),
               sub->target->version.hex);
}

static void print_refusals(const struct ledger_client *client, struct buf *out)
{
    bool is_first = true;
    buf_append_str(out, STR(",\"refused\":["));
    LIST_FOR_EACH(link, &client->refusals) {
        const struct ledger_refusal *refusal = LIST_ENTRY(link, struct ledger_refusal, link);
        buf_printf(out, "%s{\"type\":\"%s\",\"since_us\":%" PRIu64 ",\"version\":\"%s\"",
                   is_first ? "" : ",", resource_type_short_name(refusal->type), refusal->since_us,
                   refusal->version.hex);
        print_text(out, "name", refusal->name);
        print_text(out, "message", str_from(refusal->text));
        buf_append_char(out, '}');
        is_first = false;
    }
    buf_append_char(out, ']');
}

static void print_stream(void *arg, const struct stream *stream)
{
    struct buf *out = arg;
    bool is_first = true;
    buf_printf(out, "%s\n{\"stream\":%" PRIu64 ",\"form\":\"%s\"",
               out->data[out->len - 1] == '[' ? "" : ",", stream->id,
               stream->is_delta ? "delta" : "sotw");
    print_text(out, "node", stream->node_id);
    print_text(out, "gateway", stream->gateway);
    print_text(out, "user_agent", stream->user_agent);
    print_text(out, "address", stream->address);
    buf_printf(out,
               ",\"kind\":\"%s\",\"gateway_known\":%s,\"in_sync\":%s,\"revision\":%" PRId64
               ",\"subscriptions\":[",
               stream->kind == CLIENT_GRPC ? "grpc" : "envoy",
               stream->is_gateway_known ? "true" : "false",
               stream_is_in_sync(stream) ? "true" : "false",
               stream->client ? stream->client->progress.revision : 0);
    for (int type = 0; type < RESOURCE_TYPE_COUNT; type++) {
        if (!stream->subscriptions[type])
            continue;
        buf_append_str(out, is_first ? STR("") : STR(","));
        is_first = false;
        print_subscription(stream->subscriptions[type], out);
    }
    buf_append_char(out, ']');
    if (stream->client)
        print_refusals(stream->client, out);
    buf_append_char(out, '}');
}

static void on_clients(const struct admin_request *request, struct admin_reply *reply, void *arg)
{
    const struct admin *admin = arg;
    (void)request;
    reply->content_type = JSON;
    buf_append_str(&reply->body, STR("{\"streams\":["));
    ads_visit_streams(admin->ads, print_stream, &reply->body);
    buf_append_str(&reply->body, STR("]}\n"));
}

/* --- /config_dump, /logging
 * -------------------------------------------------------------------------- */

static enum resource_type type_by_name(const char *name)
{
    for (int type = 0; type < RESOURCE_TYPE_COUNT; type++)
        if (strcmp(name, resource_type_short_name((enum resource_type)type)) == 0)
            return (enum resource_type)type;
    return RESOURCE_TYPE_COUNT;
}

static void on_config_dump(const struct admin_request *request, struct admin_reply *reply,
                           void *arg)
{
    const struct admin *admin = arg;
    const char *type = admin_request_query(request, "type");
    struct config_dump_filter filter = {
        .gateway = admin_request_query(request, "gateway"),
        .type = type ? type_by_name(type) : RESOURCE_TYPE_COUNT,
    };
    if (type && filter.type == RESOURCE_TYPE_COUNT) {
        reply->status = 400;
        buf_printf(&reply->body, "type must be one of CDS, EDS, LDS, RDS\n");
        return;
    }
    reply->content_type = JSON;
    config_dump_print(ads_world(admin->ads), &filter, admin->registry, &reply->body);
}

static void on_logging(const struct admin_request *request, struct admin_reply *reply, void *arg)
{
    (void)arg;
    const char *level = admin_request_query(request, "level");
    if (level && log_set_level(level)) {
        buf_printf(&reply->body, "ok\n");
        return;
    }
    reply->status = 400;
    buf_printf(&reply->body,
               "level must be one of trace, debug, info, warning, error, critical, off\n");
}

struct admin *admin_new(struct admin_server *server, const struct pipeline *pipeline,
                        const struct ads_server *ads)
{
    struct admin *admin = MEM_NEW(struct admin);
    admin->pipeline = pipeline;
    admin->ads = ads;
    admin->registry = config_dump_registry_new();
    admin_server_route(server, ADMIN_GET, "/ready", on_ready, admin);
    admin_server_route(server, ADMIN_GET, "/metrics", on_metrics, admin);
    admin_server_route(server, ADMIN_GET, "/clients", on_clients, admin);
    admin_server_route(server, ADMIN_GET, "/config_dump", on_config_dump, admin);
    admin_server_route(server, ADMIN_POST, "/logging", on_logging, admin);
    return admin;
}

void admin_free(struct admin *admin)
{
    if (!admin)
        return;
    pbjson_registry_free(admin->registry);
    mem_free(admin);
}

void admin_set_draining(struct admin *admin)
{
    admin->is_draining = true;
}
