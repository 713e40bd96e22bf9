#include "common/base/log.h"
#include "dataplane/http/h1_write.h"
#include "dataplane/upstream/upstream_internal.h"

const char *upstream_failure_text(enum upstream_failure failure)
{
    static const char *const texts[] = {
#define UPSTREAM_FAILURE_TEXT(name, text, retryable) [name] = text,
        UPSTREAM_FAILURE_LIST(UPSTREAM_FAILURE_TEXT)
#undef UPSTREAM_FAILURE_TEXT
    };
    return texts[failure];
}

static uint64_t now_ms(const struct cluster *cluster)
{
    return cluster->worker->now_ns / 1000000;
}

/* --- verdicts -------------------------------------------------------------------------------- */

static void report_breaker(struct upstream_request *request, enum breaker_result result)
{
    struct cluster *cluster = request->cluster;
    if (!request->has_ticket)
        return;
    request->has_ticket = false;
    if (request->breaker != cluster->breaker)
        return; /* its settings were changed meanwhile: it started afresh */
    enum breaker_state state;
    if (breaker_report(cluster->breaker, &cluster->config->breaker, request->ticket, result,
                       now_ms(cluster), &state))
        log_info("breaker_changed cluster=%.*s state=%s", STR_ARGS(cluster->config->name),
                 breaker_state_name(state));
}

static void report_outlier(struct upstream_request *request, unsigned status)
{
    struct cluster *cluster = request->cluster;
    struct host *host = request->host;
    if (!host->outlier ||
        !outlier_report(host->outlier, &cluster->config->outlier, status, cluster->host_count,
                        worker_random(cluster->worker), now_ms(cluster)))
        return;
    stat_inc(&cluster->stats->outlier_detection_ejections_enforced_total);
    log_info("host_ejected cluster=%.*s host=%.*s", STR_ARGS(cluster->config->name),
             STR_ARGS(host->address.text));
}

static void count_status(struct cluster_stats *stats, unsigned status)
{
    if (status >= 500)
        stat_inc(&stats->upstream_rq_5xx);
    else if (status >= 400)
        stat_inc(&stats->upstream_rq_4xx);
    else if (status >= 300)
        stat_inc(&stats->upstream_rq_3xx);
    else
        stat_inc(&stats->upstream_rq_2xx);
}

/* --- ends ------------------------------------------------------------------------------------ */

/* Gives back everything the request was counted as. */
static void leave(struct upstream_request *request)
{
    struct cluster *cluster = request->cluster;
    ASSERT(request->state != REQUEST_DONE);
    request->state = REQUEST_DONE;
    slice_queue_done(&request->body);
    if (request->is_counted) {
        limit_give(&cluster->limits->requests);
        stat_dec(&cluster->stats->upstream_rq_active);
    }
    request->host->request_count--;
    cluster->requests--;
    host_release(request->host);
    cluster_release(cluster);
}

void upstream_request_has_head(struct upstream_request *request)
{
    unsigned status = request->options.response->status;
    count_status(request->cluster->stats, status);
    report_outlier(request, status);
    if (status >= 500) {
        request->host->requests_error++;
        report_breaker(request, BREAKER_FAILURE);
    } else if (request->ticket.is_trial) {
        /* An answer without end must not keep the others from trying. */
        report_breaker(request, BREAKER_SUCCESS);
    }
}

void upstream_request_done(struct upstream_request *request)
{
    report_breaker(request, BREAKER_SUCCESS);
    leave(request);
}

/* The host's fault. */
static void report_failure(struct upstream_request *request, enum upstream_failure failure)
{
    request->host->requests_error++;
    if (!request->has_response_head)
        report_outlier(request, failure == UPSTREAM_CONNECT_TIMEOUT ? 504 : 503);
    report_breaker(request, BREAKER_FAILURE);
}

void upstream_request_fail(struct upstream_request *request, enum upstream_failure failure)
{
    const struct upstream_request_options *options = &request->options;
    if (failure == UPSTREAM_OVERFLOW) {
        report_breaker(request, BREAKER_NO_VERDICT); /* the limit is ours */
    } else {
        stat_inc(&request->cluster->stats->upstream_rq_rx_reset);
        report_failure(request, failure);
    }
    leave(request);
    options->ops->on_failure(options->arg, failure, request->has_response_head);
}

static void cut(struct upstream_request *request)
{
    struct upstream_connection *conn = request->conn;
    pool_forget(request);
    if (conn) {
        conn->request = NULL;
        request->conn = NULL;
        upstream_connection_close(conn);
    }
    leave(request);
}

void upstream_request_cancel(struct upstream_request *request)
{
    if (request->state == REQUEST_DONE)
        return;
    stat_inc(&request->cluster->stats->upstream_rq_cancelled);
    stat_inc(&request->cluster->stats->upstream_rq_tx_reset);
    report_breaker(request, BREAKER_NO_VERDICT);
    cut(request);
}

void upstream_request_time_out(struct upstream_request *request)
{
    if (request->state == REQUEST_DONE)
        return;
    request->host->requests_error++;
    stat_inc(&request->cluster->stats->upstream_rq_timeout);
    stat_inc(&request->cluster->stats->upstream_rq_tx_reset);
    if (!request->has_response_head)
        report_outlier(request, 504);
    report_breaker(request, BREAKER_FAILURE);
    cut(request);
}

/* --- the beginning --------------------------------------------------------------------------- */

/* Makes the head fit for this side: our own framing, and no line that cannot be sent. */
static bool prepare_head(struct http_request *request, size_t *ret_size)
{
    request->keep_alive = true;
    request->is_upgrade = false;
    if (h1_request_size(request, ret_size) == 0)
        return true;
    struct header_list *headers = &request->headers;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < headers->len; i++) {
        const struct header *header = &headers->items[i];
        if (header_name_is_valid(header->name) && header_value_is_valid(header->value))
            headers->items[kept++] = *header;
    }
    headers->len = kept;
    return h1_request_size(request, ret_size) == 0;
}

/* Passes breaker and load balancer. */
static bool admit(struct upstream_request *request, enum upstream_failure *ret_failure)
{
    struct cluster *cluster = request->cluster;
    const struct cluster_config *config = cluster->config;
    if (cluster->breaker) {
        if (!breaker_admit(cluster->breaker, &config->breaker, now_ms(cluster), &request->ticket)) {
            stat_inc(&cluster->stats->breaker_rejected);
            *ret_failure = UPSTREAM_BREAKER_OPEN;
            return false;
        }
        request->has_ticket = true;
        request->breaker = cluster->breaker;
    }
    request->host = cluster_pick_host(cluster);
    if (!request->host) {
        stat_inc(&cluster->stats->upstream_cx_none_healthy);
        *ret_failure = UPSTREAM_NO_HEALTHY_HOST;
        return false;
    }
    return true;
}

struct upstream_request *upstream_request_new(struct cluster *cluster,
                                              const struct upstream_request_options *options,
                                              enum upstream_failure *ret_failure)
{
    struct upstream_request *request = arena_alloc(options->arena, sizeof *request);
    enum body_kind kind = options->request->body_kind;
    *request = (struct upstream_request){
        .options = *options,
        .cluster = cluster,
        .is_end = options->is_end,
        .has_body = kind != BODY_NONE,
        .is_chunked = kind == BODY_CHUNKED,
        .is_corked = !options->is_end,
    };
    list_init(&request->waiting_link);
    if (!prepare_head(options->request, &request->head_size)) {
        *ret_failure = UPSTREAM_REQUEST_INVALID;
        return NULL;
    }
    if (!admit(request, ret_failure)) {
        report_breaker(request, BREAKER_NO_VERDICT);
        return NULL;
    }
    struct host *host = request->host;
    host->requests_total++;
    host->request_count++;
    cluster->requests++;
    if (pool_start(request, ret_failure))
        return request;
    if (*ret_failure == UPSTREAM_CONNECT_FAILURE)
        report_failure(request, *ret_failure);
    report_breaker(request, BREAKER_NO_VERDICT);
    leave(request);
    return NULL;
}

/* --- the body -------------------------------------------------------------------------------- */

static void frame_body(struct upstream_request *request, struct slice_queue *out,
                       struct slice_queue *data, bool is_end)
{
    if (request->is_chunked && data->bytes) {
        char line[H1_CHUNK_SIZE_LINE_MAX];
        struct str size = {.data = line, .len = h1_write_chunk_size(line, data->bytes)};
        slice_queue_append(out, worker_copy(request->cluster->worker, size));
        slice_queue_move(out, data);
        slice_queue_append(out, (struct slice){.data = "\r\n", .len = 2});
    } else {
        slice_queue_move(out, data);
    }
    struct str last = H1_LAST_CHUNK;
    if (request->is_chunked && is_end)
        slice_queue_append(out, (struct slice){.data = last.data, .len = last.len});
}

size_t upstream_request_body(struct upstream_request *request, struct slice_queue *data,
                             bool is_end)
{
    if (request->state == REQUEST_DONE) {
        slice_queue_drop(data, data->bytes);
        return 0;
    }
    struct upstream_connection *conn = request->conn;
    struct slice_queue *out = conn ? &conn->out : &request->body;
    frame_body(request, out, data, is_end);
    request->is_end |= is_end;
    request->is_corked = false;
    if (conn)
        upstream_connection_flush(conn);
    if (out->bytes > request->cluster->config->connection_buffer_bytes)
        request->was_over_watermark = true;
    return out->bytes;
}

void upstream_request_pause(struct upstream_request *request)
{
    request->is_paused = true;
}

void upstream_request_resume(struct upstream_request *request)
{
    request->is_paused = false;
    if (request->conn)
        upstream_connection_resume(request->conn);
}

struct str upstream_request_host(const struct upstream_request *request)
{
    return request->host->address.text;
}

struct str upstream_request_local_address(const struct upstream_request *request)
{
    return request->local_address;
}
