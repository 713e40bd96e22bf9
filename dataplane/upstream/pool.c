/* The connections of one host and the requests that wait for one, as in Envoy's HTTP/1 pool: a
 * request takes the connection used last, or waits while a new one is opened for it, and gets
 * whichever comes free first. */
#include "dataplane/upstream/upstream_internal.h"

#include <errno.h>

static bool wait_for_connection(struct upstream_request *request, bool is_first)
{
    struct cluster *cluster = request->cluster;
    struct cluster_limits *limits = cluster->limits;
    if (is_first) {
        limit_force(&limits->pending);
        list_prepend(&request->host->waiting, &request->waiting_link);
    } else {
        if (!limit_take(&limits->pending, cluster->config->thresholds.pending_requests_max)) {
            stat_inc(&cluster->stats->upstream_rq_pending_overflow);
            return false;
        }
        list_append(&request->host->waiting, &request->waiting_link);
    }
    stat_inc(&cluster->stats->upstream_rq_pending_total);
    stat_inc(&cluster->stats->upstream_rq_pending_active);
    return true;
}

void pool_forget(struct upstream_request *request)
{
    if (list_is_empty(&request->waiting_link))
        return;
    list_remove(&request->waiting_link);
    limit_give(&request->cluster->limits->pending);
    stat_dec(&request->cluster->stats->upstream_rq_pending_active);
}

static uint32_t count_links(const struct list *list, uint32_t max)
{
    uint32_t count = 0;
    for (const struct list *link = list->next; link != list && count < max; link = link->next)
        count++;
    return count;
}

/* Counts request among those under way, once; false where there are as many as may be. */
static bool count_request(struct upstream_request *request)
{
    struct cluster *cluster = request->cluster;
    if (request->is_counted)
        return true;
    if (!limit_take(&cluster->limits->requests, cluster->config->thresholds.requests_max)) {
        stat_inc(&cluster->stats->upstream_rq_pending_overflow);
        return false;
    }
    stat_inc(&cluster->stats->upstream_rq_total);
    stat_inc(&cluster->stats->upstream_rq_active);
    request->is_counted = true;
    return true;
}

/* False: over the threshold, and conn is as it was. */
static bool attach(struct upstream_connection *conn, struct upstream_request *request)
{
    if (!count_request(request))
        return false;
    upstream_connection_attach(conn, request);
    return true;
}

/* Opens a connection for somebody who waits. A host without any connection may always have one.
 * ERR_AGAIN: the threshold says to wait for one that there is; ERR_IO: connecting fails at once. */
static int open_connection(struct host *host)
{
    struct cluster *cluster = host->cluster;
    _Atomic uint32_t *count = &cluster->limits->connections;
    if (!limit_take(count, cluster->config->thresholds.connections_max)) {
        stat_inc(&cluster->stats->upstream_cx_overflow);
        if (host->connection_count)
            return ERR_AGAIN;
        limit_force(count);
    }
    if (upstream_connection_new(host))
        return 0;
    limit_give(count);
    host->connects_failed++;
    return ERR_IO;
}

/* Takes a pooled connection. A request that cannot be sent again gets one that was just looked at.
 */
static struct upstream_connection *take_idle(const struct upstream_request *request)
{
    struct host *host = request->host;
    bool is_careful = request->has_body || request->was_retried ||
                      request->options.request->method_id == HTTP_POST ||
                      request->options.request->method_id == HTTP_PATCH ||
                      request->options.request->method_id == HTTP_OTHER;
    while (!list_is_empty(&host->idle)) {
        struct upstream_connection *conn =
            LIST_ENTRY(host->idle.next, struct upstream_connection, link);
        if (!conn->is_broken && (!is_careful || socket_is_idle(conn->fd)))
            return conn;
        upstream_connection_close(conn);
    }
    return NULL;
}

/* Why connecting failed at once, by errno. What this process lacks is no failure of the server's:
 * it must not open its breaker or eject it (threats S45). */
static enum upstream_failure failure_to_open(void)
{
    bool is_ours = errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM ||
                   errno == EADDRNOTAVAIL; /* no local port is free */
    return is_ours ? UPSTREAM_OVERFLOW : UPSTREAM_CONNECT_FAILURE;
}

bool pool_start(struct upstream_request *request, enum upstream_failure *ret_failure)
{
    struct upstream_connection *conn = take_idle(request);
    *ret_failure = UPSTREAM_OVERFLOW;
    if (conn)
        return attach(conn, request);
    if (!wait_for_connection(request, false))
        return false;
    if (open_connection(request->host) != ERR_IO)
        return true;
    *ret_failure = failure_to_open();
    pool_forget(request);
    return false;
}

bool pool_retry(struct upstream_request *request, enum upstream_failure *ret_failure)
{
    if (request->host->is_removed)
        return false;
    int err = open_connection(request->host);
    if (err == ERR_AGAIN) {
        struct upstream_connection *idle = take_idle(request);
        if (idle)
            return attach(idle, request);
        if (!request->host->connection_count) /* the pooled ones were gone as well */
            err = open_connection(request->host);
    }
    if (err != ERR_IO) {
        wait_for_connection(request, true);
        return true;
    }
    *ret_failure = failure_to_open();
    return false;
}

void pool_connection_is_free(struct upstream_connection *conn)
{
    struct host *host = conn->host;
    while (!list_is_empty(&host->waiting)) {
        struct upstream_request *request =
            LIST_ENTRY(host->waiting.next, struct upstream_request, waiting_link);
        pool_forget(request);
        if (attach(conn, request))
            return;
        upstream_request_fail(request, UPSTREAM_OVERFLOW);
    }
    if (host->is_removed)
        upstream_connection_close(conn);
    else
        upstream_connection_rest(conn);
}

/* Those who wait now, not those who come meanwhile. */
static void fail_waiting(struct host *host, enum upstream_failure failure)
{
    for (uint32_t left = count_links(&host->waiting, UINT32_MAX);
         left > 0 && !list_is_empty(&host->waiting); left--) {
        struct upstream_request *request =
            LIST_ENTRY(host->waiting.next, struct upstream_request, waiting_link);
        pool_forget(request);
        stat_inc(&host->cluster->stats->upstream_rq_pending_failure_eject);
        upstream_request_fail(request, failure);
    }
}

void pool_connect_failed(struct upstream_connection *conn, enum upstream_failure failure)
{
    struct host *host = conn->host;
    host->connects_failed++;
    fail_waiting(host, failure);
    upstream_connection_close(conn);
}

void pool_connection_closed(struct host *host)
{
    if (list_is_empty(&host->waiting))
        return;
    uint32_t connecting = count_links(&host->connecting, UINT32_MAX);
    if (connecting >= count_links(&host->waiting, connecting + 1))
        return;
    if (open_connection(host) == ERR_IO && !host->connection_count)
        fail_waiting(host, failure_to_open());
}

void pool_close_idle(struct host *host)
{
    LIST_FOR_EACH(link, &host->idle)
        upstream_connection_close(LIST_ENTRY(link, struct upstream_connection, link));
}
