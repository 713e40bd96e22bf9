#include "dataplane/upstream/cluster.h"

#include "common/base/mem.h"
#include "dataplane/upstream/upstream_internal.h"

/* Envoy's over-provisioning: a priority counts as fully healthy with 100 / 1.4 % of its hosts. */
enum { OVER_PROVISIONING_PERCENT = 140 };

static uint64_t now_ms(const struct cluster *cluster)
{
    return cluster->worker->now_ns / 1000000;
}

/* --- hosts ----------------------------------------------------------------------------------- */

static void on_free_host(struct loop_free *item)
{
    struct host *host = CONTAINER_OF(item, struct host, deferred);
    mem_free((char *)host->address.text.data);
    mem_free(host);
}

void host_release(struct host *host)
{
    if (!host->is_removed || host->is_freed || host->connection_count || host->request_count)
        return;
    struct cluster *cluster = host->cluster;
    host->is_freed = true;
    list_remove(&host->removed_link);
    outlier_host_unref(host->outlier);
    host->outlier = NULL;
    loop_defer(cluster->worker->loop, &host->deferred, on_free_host);
    cluster_release(cluster);
}

static struct host *host_new(struct cluster *cluster, const struct host_config *config)
{
    struct host *host = MEM_NEW(struct host);
    host->cluster = cluster;
    host->worker = cluster->worker;
    host->address = config->address;
    host->address.text.data = mem_copy_string(config->address.text.data, config->address.text.len);
    list_init(&host->removed_link);
    list_init(&host->connecting);
    list_init(&host->idle);
    list_init(&host->busy);
    list_init(&host->waiting);
    if (cluster->outlier)
        host->outlier = outlier_host_ref(cluster->outlier, host->address.text);
    map_put(&cluster->hosts_by_address, host->address.text, host);
    return host;
}

/* Its requests under way may end, its idle connections go now. */
static void remove_host(struct cluster *cluster, struct host *host)
{
    map_remove(&cluster->hosts_by_address, host->address.text);
    host->is_removed = true;
    list_append(&cluster->removed_hosts, &host->removed_link);
    host->request_count++; /* keeps the host over what follows */
    pool_close_idle(host);
    host->request_count--;
    host_release(host);
}

static void set_endpoints(struct cluster *cluster, const struct endpoints_config *endpoints)
{
    uint32_t old_count = cluster->host_count, count = endpoints ? endpoints->host_count : 0;
    struct host **old = cluster->hosts;
    cluster->hosts = count ? mem_alloc_zero(count, sizeof(struct host *)) : NULL;
    cluster->host_count = 0;
    cluster->endpoints = endpoints;
    uint64_t generation = ++cluster->hosts_generation;
    for (uint32_t i = 0; i < count; i++) {
        const struct host_config *config = &endpoints->hosts[i];
        struct host *host = map_find(&cluster->hosts_by_address, config->address.text);
        if (host && host->generation == generation)
            continue; /* named twice */
        if (!host)
            host = host_new(cluster, config);
        host->generation = generation;
        host->weight = config->weight ? config->weight : 1;
        host->priority = config->priority;
        host->is_healthy = config->is_healthy;
        cluster->hosts[cluster->host_count++] = host;
    }
    for (uint32_t i = 0; i < old_count; i++)
        if (old[i]->generation != generation)
            remove_host(cluster, old[i]);
    mem_free(old);
    cluster->balancer_is_stale = true;
}

/* --- who may be picked ----------------------------------------------------------------------- */

/* What is known of one priority. */
struct level {
    uint32_t hosts, available;
};

static bool is_available(const struct host *host, uint64_t at_ms)
{
    return host->is_healthy && (!host->outlier || !outlier_host_is_ejected(host->outlier, at_ms));
}

static struct level count_level(const struct cluster *cluster, uint32_t priority, uint64_t at_ms)
{
    struct level level = {0};
    for (uint32_t i = 0; i < cluster->host_count; i++) {
        if (cluster->hosts[i]->priority != priority)
            continue;
        level.hosts++;
        level.available += is_available(cluster->hosts[i], at_ms);
    }
    return level;
}

static uint32_t priorities_of(const struct cluster *cluster)
{
    uint32_t max = 0;
    for (uint32_t i = 0; i < cluster->host_count; i++)
        if (cluster->hosts[i]->priority > max)
            max = cluster->hosts[i]->priority;
    return max + 1;
}

/* The first priority with a host that may be picked, and whether its other hosts are to be used
 * too: Envoy's panic, when so few are left that they would only be overrun. */
static uint32_t choose_priority(const struct cluster *cluster, uint64_t at_ms, bool *ret_panics)
{
    uint32_t count = priorities_of(cluster), chosen = UINT32_MAX, first = UINT32_MAX;
    uint64_t total_health = 0;
    for (uint32_t priority = 0; priority < count; priority++) {
        struct level level = count_level(cluster, priority, at_ms);
        uint64_t health =
            level.hosts ? (uint64_t)level.available * OVER_PROVISIONING_PERCENT / level.hosts : 0;
        total_health += health > 100 ? 100 : health;
        if (chosen == UINT32_MAX && level.available)
            chosen = priority;
        if (first == UINT32_MAX && level.hosts)
            first = priority;
    }
    if (chosen == UINT32_MAX)
        chosen = first;
    struct level level = count_level(cluster, chosen, at_ms);
    *ret_panics = total_health < 100 &&
                  (uint64_t)level.available * 100 <
                      (uint64_t)cluster->config->healthy_panic_threshold_percent * level.hosts;
    return chosen;
}

static void note_returns(struct cluster *cluster, uint64_t at_ms)
{
    cluster->next_return_ms = UINT64_MAX;
    for (uint32_t i = 0; i < cluster->host_count; i++) {
        const struct outlier_host *outlier = cluster->hosts[i]->outlier;
        uint64_t until_ms = outlier ? outlier_host_ejected_until_ms(outlier) : 0;
        if (until_ms > at_ms && until_ms < cluster->next_return_ms)
            cluster->next_return_ms = until_ms;
    }
}

static void rebuild_balancer(struct cluster *cluster)
{
    uint64_t at_ms = now_ms(cluster);
    cluster->balancer_is_stale = false;
    cluster->outlier_changes = cluster->outlier ? outlier_changes(cluster->outlier) : 0;
    note_returns(cluster, at_ms);
    bool panics;
    uint32_t priority = choose_priority(cluster, at_ms, &panics), count = 0;
    struct host **hosts = mem_alloc_zero(cluster->host_count + 1, sizeof(struct host *));
    uint32_t *weights = mem_alloc_zero(cluster->host_count + 1, sizeof *weights);
    for (uint32_t i = 0; i < cluster->host_count; i++) {
        struct host *host = cluster->hosts[i];
        if (host->priority != priority || !(panics || is_available(host, at_ms)))
            continue;
        weights[count] = host->weight;
        hosts[count++] = host;
    }
    cluster->balancer_type->set_hosts(cluster->balancer, hosts, weights, count,
                                      worker_random(cluster->worker));
    mem_free(hosts);
    mem_free(weights);
}

struct host *cluster_pick_host(struct cluster *cluster)
{
    if (cluster->outlier && (outlier_changes(cluster->outlier) != cluster->outlier_changes ||
                             now_ms(cluster) >= cluster->next_return_ms))
        cluster->balancer_is_stale = true;
    if (cluster->balancer_is_stale)
        rebuild_balancer(cluster);
    struct load_balancer_input input = {.random = worker_random(cluster->worker)};
    return cluster->balancer_type->pick(cluster->balancer, &input);
}

/* --- life ------------------------------------------------------------------------------------ */

static void on_free_cluster(struct loop_free *item)
{
    struct cluster *cluster = CONTAINER_OF(item, struct cluster, deferred);
    config_lease_unref(cluster->lease);
    mem_free(cluster);
}

void cluster_release(struct cluster *cluster)
{
    if (!cluster->is_removed || cluster->is_freed || cluster->requests ||
        !list_is_empty(&cluster->removed_hosts))
        return;
    cluster->is_freed = true;
    list_remove(&cluster->removed_link);
    map_done(&cluster->hosts_by_address);
    cluster->balancer_type->destroy(cluster->balancer);
    loop_defer(cluster->worker->loop, &cluster->deferred, on_free_cluster);
}

/* Gets its hosts when it is used. */
static void set_balancer(struct cluster *cluster, const struct cluster_config *config)
{
    if (cluster->balancer)
        cluster->balancer_type->destroy(cluster->balancer);
    cluster->balancer_type = config->load_balancer;
    cluster->balancer = config->load_balancer->create(config);
    cluster->balancer_is_stale = true;
}

/* Hosts keep their state as long as the table stays the same. */
static void set_outlier(struct cluster *cluster, struct outlier *outlier)
{
    if (cluster->outlier == outlier)
        return;
    cluster->outlier = outlier;
    for (uint32_t i = 0; i < cluster->host_count; i++) {
        struct host *host = cluster->hosts[i];
        outlier_host_unref(host->outlier);
        host->outlier = outlier ? outlier_host_ref(outlier, host->address.text) : NULL;
    }
    LIST_FOR_EACH(link, &cluster->removed_hosts) {
        struct host *host = LIST_ENTRY(link, struct host, removed_link);
        outlier_host_unref(host->outlier);
        host->outlier = NULL;
    }
}

/* Results for the one before are not reported any more (request.c), so its trials end here: the
 * same settings may come back while somebody still holds it. */
static void set_breaker(struct cluster *cluster, struct breaker *breaker)
{
    if (cluster->breaker && cluster->breaker != breaker)
        breaker_forget_trials(cluster->breaker);
    cluster->breaker = breaker;
}

static void set_config(struct cluster *cluster, const struct cluster_config *config)
{
    uint32_t index = cluster->worker->index;
    struct stats_scope *stats = shared_state_object(config->stats);
    bool has_breaker = config->breaker.is_enabled && config->breaker_state;
    bool has_outlier = !has_breaker && config->outlier.is_enabled && config->outlier_state;
    cluster->config = config;
    map_put(&cluster->worker->clusters_by_name, config->name, cluster);
    cluster->stats = &stats->blocks[index].cluster;
    cluster->limits = shared_state_object(config->limits);
    set_breaker(cluster, has_breaker ? shared_state_object(config->breaker_state) : NULL);
    set_outlier(cluster, has_outlier ? shared_state_object(config->outlier_state) : NULL);
    set_balancer(cluster, config);
}

static struct cluster *cluster_new(struct worker *worker)
{
    struct cluster *cluster = MEM_NEW(struct cluster);
    cluster->worker = worker;
    cluster->next_return_ms = UINT64_MAX;
    list_init(&cluster->removed_link);
    list_init(&cluster->removed_hosts);
    return cluster;
}

static void remove_cluster(struct worker *worker, struct cluster *cluster)
{
    cluster->is_removed = true;
    if (map_find(&worker->clusters_by_name, cluster->config->name) == cluster)
        map_remove(&worker->clusters_by_name, cluster->config->name);
    cluster->lease = config_lease_ref(worker->lease);
    list_append(&worker->removed_clusters, &cluster->removed_link);
    cluster->requests++; /* keeps the cluster over what follows */
    set_endpoints(cluster, NULL);
    cluster->requests--;
    cluster_release(cluster);
}

static void grow_slots(struct worker *worker, const struct config *config)
{
    uint32_t slots = worker->cluster_slots;
    for (uint32_t i = 0; i < config->cluster_count; i++)
        if (config->clusters[i].cluster->slot >= slots)
            slots = config->clusters[i].cluster->slot + 1;
    if (slots == worker->cluster_slots)
        return;
    worker->clusters = mem_resize(worker->clusters, slots, sizeof(struct cluster *));
    memset(worker->clusters + worker->cluster_slots, 0,
           (slots - worker->cluster_slots) * sizeof(struct cluster *));
    worker->cluster_slots = slots;
}

static void apply_cluster(struct worker *worker, const struct config_cluster *entry)
{
    struct cluster **slot = &worker->clusters[entry->cluster->slot];
    if (*slot && !str_equal((*slot)->config->name, entry->cluster->name)) {
        remove_cluster(worker, *slot); /* the number has a new owner */
        *slot = NULL;
    }
    if (!*slot)
        *slot = cluster_new(worker);
    struct cluster *cluster = *slot;
    const struct endpoints_config *endpoints =
        entry->endpoints ? entry->endpoints : entry->cluster->endpoints;
    cluster->generation = worker->clusters_generation;
    if (cluster->config != entry->cluster)
        set_config(cluster, entry->cluster);
    if (cluster->endpoints != endpoints)
        set_endpoints(cluster, endpoints);
}

void clusters_apply(struct worker *worker, const struct config *config)
{
    worker->clusters_generation++;
    grow_slots(worker, config);
    for (uint32_t i = 0; i < config->cluster_count; i++)
        apply_cluster(worker, &config->clusters[i]);
    for (uint32_t slot = 0; slot < worker->cluster_slots; slot++) {
        struct cluster *cluster = worker->clusters[slot];
        if (!cluster || cluster->generation == worker->clusters_generation)
            continue;
        worker->clusters[slot] = NULL;
        remove_cluster(worker, cluster);
    }
}

static void close_connecting(struct cluster *cluster)
{
    LIST_FOR_EACH(host_link, &cluster->removed_hosts) {
        struct host *host = LIST_ENTRY(host_link, struct host, removed_link);
        LIST_FOR_EACH(link, &host->connecting)
            upstream_connection_close(LIST_ENTRY(link, struct upstream_connection, link));
    }
}

void clusters_done(struct worker *worker)
{
    for (uint32_t slot = 0; slot < worker->cluster_slots; slot++)
        if (worker->clusters[slot])
            remove_cluster(worker, worker->clusters[slot]);
    LIST_FOR_EACH(link, &worker->removed_clusters)
        close_connecting(LIST_ENTRY(link, struct cluster, removed_link));
    map_done(&worker->clusters_by_name);
    mem_free(worker->clusters);
    worker->clusters = NULL;
    worker->cluster_slots = 0;
}

/* --- what others want to know ---------------------------------------------------------------- */

uint32_t cluster_retry_after_s(const struct cluster *cluster)
{
    uint64_t wait_ms = cluster->breaker ? breaker_wait_ms(cluster->breaker, now_ms(cluster)) : 0;
    uint64_t wait_s = (wait_ms + 999) / 1000;
    return wait_s < 1 ? 1 : wait_s > UINT32_MAX ? UINT32_MAX : (uint32_t)wait_s;
}

struct cluster *cluster_find(const struct worker *worker, struct str name)
{
    return map_find(&worker->clusters_by_name, name);
}

const struct cluster_config *cluster_get_config(const struct cluster *cluster)
{
    return cluster->config;
}

static void view_hosts(const struct cluster *cluster, cluster_view_fn *view, void *arg)
{
    for (uint32_t i = 0; i < cluster->host_count; i++) {
        const struct host *host = cluster->hosts[i];
        struct host_view host_view = {
            .address = host->address.text,
            .connections_active = host->connection_count,
            .requests_active = host->request_count,
            .weight = host->weight,
            .priority = host->priority,
            .requests_total = host->requests_total,
            .requests_error = host->requests_error,
            .connects_failed = host->connects_failed,
            .is_healthy_by_eds = host->is_healthy,
            .is_ejected = host->outlier && outlier_host_is_ejected(host->outlier, now_ms(cluster)),
        };
        view(cluster, &host_view, arg);
    }
}

void clusters_view(struct worker *worker, uint32_t from_slot, uint32_t to_slot,
                   cluster_view_fn *view, void *arg)
{
    worker_update_clock(worker);
    for (uint32_t slot = from_slot; slot < to_slot && slot < worker->cluster_slots; slot++)
        if (worker->clusters[slot])
            view_hosts(worker->clusters[slot], view, arg);
}
