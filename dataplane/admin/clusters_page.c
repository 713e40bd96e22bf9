/*
 * /clusters: limits, breakers and hosts. Hosts belong to the workers: each is asked by a post to
 * its loop, a part of its clusters at a time so that requests are not held up, and the answers are
 * added up by cluster and address.
 */
#include "common/base/clock.h"
#include "common/base/map.h"
#include "common/base/mem.h"
#include "dataplane/admin/admin_internal.h"
#include "dataplane/upstream/breaker.h"
#include "dataplane/upstream/cluster.h"

#include <pthread.h>
#include <time.h>

enum { SLOTS_PER_POST = 128 };

/* A host of one worker, with copies of its strings. */
struct row {
    struct str cluster;
    struct str key; /* cluster, NUL, address */
    struct host_view view;
};

/* What one worker is asked, and what it said. */
struct asking {
    struct loop_post post;
    struct collection *collection;
    struct worker *worker;
    uint32_t next_slot;
    struct arena arena; /* of rows and their strings */
    struct row *rows;
    size_t row_count, row_cap;
    bool is_done; /* under collection->mutex */
};

/* Shared by the page and the workers; freed by whoever lets go last. */
struct collection {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    uint32_t refs, pending;
    uint32_t asking_count;
    struct asking *askings;
};

/* Unlocks the mutex. */
static void collection_unref_locked(struct collection *collection)
{
    bool is_last = --collection->refs == 0;
    pthread_mutex_unlock(&collection->mutex);
    if (!is_last)
        return;
    for (uint32_t i = 0; i < collection->asking_count; i++) {
        mem_free(collection->askings[i].rows);
        arena_done(&collection->askings[i].arena);
    }
    mem_free(collection->askings);
    pthread_cond_destroy(&collection->changed);
    pthread_mutex_destroy(&collection->mutex);
    mem_free(collection);
}

/* --- on the worker's thread --- */

static void on_host(const struct cluster *cluster, const struct host_view *host, void *arg)
{
    struct asking *asking = arg;
    if (asking->row_count == asking->row_cap) {
        asking->row_cap = asking->row_cap ? asking->row_cap * 2 : 64;
        asking->rows = mem_resize(asking->rows, asking->row_cap, sizeof *asking->rows);
    }
    struct str name = cluster_get_config(cluster)->name;
    size_t len = name.len + 1 + host->address.len;
    char *key = arena_alloc(&asking->arena, len);
    memcpy(key, name.data, name.len);
    key[name.len] = '\0';
    if (host->address.len)
        memcpy(key + name.len + 1, host->address.data, host->address.len);
    struct row *row = &asking->rows[asking->row_count++];
    row->key = (struct str){.data = key, .len = len};
    row->cluster = str_slice(row->key, 0, name.len);
    row->view = *host;
    row->view.address = str_slice(row->key, name.len + 1, len);
}

static void on_post_ask(struct loop_post *post)
{
    struct asking *asking = CONTAINER_OF(post, struct asking, post);
    uint32_t from = asking->next_slot;
    clusters_view(asking->worker, from, from + SLOTS_PER_POST, on_host, asking);
    asking->next_slot = from + SLOTS_PER_POST;
    if (asking->next_slot < asking->worker->cluster_slots) {
        loop_post(asking->worker->loop, post, on_post_ask);
        return;
    }
    struct collection *collection = asking->collection;
    pthread_mutex_lock(&collection->mutex);
    asking->is_done = true;
    collection->pending--;
    pthread_cond_signal(&collection->changed);
    collection_unref_locked(collection);
}

/* --- on the main thread --- */

static struct collection *collection_new(struct worker_pool *workers)
{
    struct collection *collection = MEM_NEW(struct collection);
    uint32_t count = worker_pool_size(workers);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&collection->mutex, NULL);
    pthread_cond_init(&collection->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    collection->refs = count + 1;
    collection->pending = collection->asking_count = count;
    collection->askings = mem_alloc_zero(count, sizeof *collection->askings);
    for (uint32_t i = 0; i < count; i++) {
        struct asking *asking = &collection->askings[i];
        asking->collection = collection;
        asking->worker = worker_pool_worker(workers, i);
        arena_init(&asking->arena, 16 * 1024);
        loop_post(asking->worker->loop, &asking->post, on_post_ask);
    }
    return collection;
}

/* Waits for the workers; returns with the mutex held. */
static void collection_wait(struct collection *collection)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += ADMIN_WORKER_WAIT_MS % 1000 * 1000000l;
    until.tv_sec += ADMIN_WORKER_WAIT_MS / 1000 + until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    int err = 0;
    pthread_mutex_lock(&collection->mutex);
    while (collection->pending && !err)
        err = pthread_cond_timedwait(&collection->changed, &collection->mutex, &until);
}

static void add_row(struct map *hosts, struct row *row)
{
    struct row *sum = map_find(hosts, row->key);
    if (!sum) {
        map_put(hosts, row->key, row);
        return;
    }
    sum->view.connections_active += row->view.connections_active;
    sum->view.requests_active += row->view.requests_active;
    sum->view.requests_total += row->view.requests_total;
    sum->view.requests_error += row->view.requests_error;
    sum->view.connects_failed += row->view.connects_failed;
    sum->view.is_ejected |= row->view.is_ejected;
}

/* Adds up what came back; keys and values stay the collection's. */
static void add_rows(struct map *hosts, const struct collection *collection)
{
    for (uint32_t i = 0; i < collection->asking_count; i++) {
        const struct asking *asking = &collection->askings[i];
        for (size_t k = 0; asking->is_done && k < asking->row_count; k++)
            add_row(hosts, &asking->rows[k]);
    }
}

/* --- the text --- */

static void line_begin(struct buf *out, struct str cluster, struct str address)
{
    admin_append_name(out, cluster);
    buf_append_str(out, STR("::"));
    if (address.len) {
        admin_append_name(out, address);
        buf_append_str(out, STR("::"));
    }
}

static void put_number(struct buf *out, struct str cluster, struct str address, const char *name,
                       uint64_t value)
{
    line_begin(out, cluster, address);
    buf_printf(out, "%s::%llu\n", name, (unsigned long long)value);
}

static void put_text(struct buf *out, struct str cluster, struct str address, const char *name,
                     const char *value)
{
    line_begin(out, cluster, address);
    buf_printf(out, "%s::%s\n", name, value);
}

static void put_cluster(struct buf *out, const struct cluster_config *cluster, uint64_t now_ms)
{
    const struct cluster_thresholds *limits = &cluster->thresholds;
    struct str name = cluster->name, none = {0};
    line_begin(out, name, none);
    buf_append_str(out, STR("observability_name::"));
    admin_append_name(out, name);
    buf_append_char(out, '\n');
    put_number(out, name, none, "default_priority::max_connections", limits->connections_max);
    put_number(out, name, none, "default_priority::max_pending_requests",
               limits->pending_requests_max);
    put_number(out, name, none, "default_priority::max_requests", limits->requests_max);
    put_number(out, name, none, "default_priority::max_retries", limits->retries_max);
    if (!cluster->breaker_state)
        return;
    const struct breaker *breaker = shared_state_object(cluster->breaker_state);
    enum breaker_state state = breaker_state_at(breaker, now_ms);
    put_text(out, name, none, "breaker::state", breaker_state_name(state));
    put_number(out, name, none, "breaker::retry_in_ms", breaker_wait_ms(breaker, now_ms));
}

static const char *health_flags(const struct host_view *host)
{
    if (host->is_healthy_by_eds)
        return host->is_ejected ? "/failed_outlier_check" : "healthy";
    return host->is_ejected ? "/failed_outlier_check/failed_eds_health" : "/failed_eds_health";
}

static void put_host(struct buf *out, struct str cluster, const struct host_view *host)
{
    struct str address = host->address;
    put_number(out, cluster, address, "cx_active", host->connections_active);
    put_number(out, cluster, address, "cx_connect_fail", host->connects_failed);
    put_number(out, cluster, address, "rq_active", host->requests_active);
    put_number(out, cluster, address, "rq_error", host->requests_error);
    put_number(out, cluster, address, "rq_total", host->requests_total);
    put_text(out, cluster, address, "health_flags", health_flags(host));
    put_number(out, cluster, address, "weight", host->weight);
    put_number(out, cluster, address, "priority", host->priority);
}

/* A host that no worker has used yet, as it is configured. */
static struct host_view view_of_config(const struct host_config *host)
{
    return (struct host_view){.address = host->address.text,
                              .weight = host->weight,
                              .priority = host->priority,
                              .is_healthy_by_eds = host->is_healthy};
}

static void put_hosts(struct buf *out, const struct config_cluster *cluster,
                      const struct map *hosts, struct buf *key)
{
    struct str name = cluster->cluster->name;
    for (uint32_t i = 0; cluster->endpoints && i < cluster->endpoints->host_count; i++) {
        const struct host_config *host = &cluster->endpoints->hosts[i];
        buf_reset(key);
        buf_append_str(key, name);
        buf_append_char(key, '\0');
        buf_append_str(key, host->address.text);
        const struct row *row = map_find(hosts, buf_str(key));
        struct host_view configured = view_of_config(host);
        put_host(out, name, row ? &row->view : &configured);
    }
}

void clusters_page(const struct admin_request *request, struct admin_reply *reply, void *arg)
{
    (void)request;
    struct admin *admin = arg;
    const struct config *config = admin_config(admin);
    struct worker_pool *workers = admin->options.workers;
    if (!config)
        return;
    uint64_t now_ms = clock_monotonic_ms();
    struct map hosts = {0};
    struct collection *collection = workers ? collection_new(workers) : NULL;
    if (collection) {
        collection_wait(collection);
        add_rows(&hosts, collection);
        if (collection->pending)
            buf_printf(&reply->body, "# %u of %u workers did not answer\n", collection->pending,
                       collection->asking_count);
        pthread_mutex_unlock(&collection->mutex);
    }
    struct buf key;
    buf_init(&key, 64 * 1024);
    for (uint32_t i = 0; i < config->cluster_count; i++) {
        put_cluster(&reply->body, config->clusters[i].cluster, now_ms);
        put_hosts(&reply->body, &config->clusters[i], &hosts, &key);
    }
    buf_done(&key);
    map_done(&hosts);
    if (collection) {
        pthread_mutex_lock(&collection->mutex);
        collection_unref_locked(collection);
    }
}
