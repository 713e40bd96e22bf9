#include "dataplane/upstream/outlier.h"

#include "common/base/buf.h"
#include "common/base/map.h"
#include "common/base/mem.h"

#include <pthread.h>

struct outlier {
    _Alignas(64) _Atomic uint64_t changes;
    _Alignas(64) pthread_mutex_t mutex; /* of what follows and of the hosts' cold part */
    struct map hosts;                   /* by address */
};

static void outlier_init(void *object, const void *arg)
{
    (void)arg;
    struct outlier *table = object;
    pthread_mutex_init(&table->mutex, NULL);
}

static void outlier_done(void *object)
{
    struct outlier *table = object;
    ASSERT(table->hosts.len == 0);
    map_done(&table->hosts);
    pthread_mutex_destroy(&table->mutex);
}

struct shared_state *outlier_get(struct shared_registry *registry, struct str cluster_name)
{
    struct buf key;
    buf_init(&key, cluster_name.len + 16);
    buf_printf(&key, "outlier/%.*s", STR_ARGS(cluster_name));
    struct shared_state *state = shared_state_get(registry, buf_str(&key), sizeof(struct outlier),
                                                  outlier_init, NULL, outlier_done);
    buf_done(&key);
    return state;
}

struct outlier_host *outlier_host_ref(struct outlier *table, struct str address)
{
    pthread_mutex_lock(&table->mutex);
    struct outlier_host *host = map_find(&table->hosts, address);
    if (!host) {
        host = mem_alloc_zero_aligned(1, sizeof *host, 64);
        host->table = table;
        host->address.data = mem_copy_string(address.data, address.len);
        host->address.len = address.len;
        map_put(&table->hosts, host->address, host);
    }
    host->refs++;
    pthread_mutex_unlock(&table->mutex);
    return host;
}

void outlier_host_unref(struct outlier_host *host)
{
    if (!host)
        return;
    struct outlier *table = host->table;
    pthread_mutex_lock(&table->mutex);
    bool is_last = --host->refs == 0;
    if (is_last)
        map_remove(&table->hosts, host->address);
    pthread_mutex_unlock(&table->mutex);
    if (!is_last)
        return;
    mem_free((char *)host->address.data);
    mem_free(host);
}

uint64_t outlier_changes(const struct outlier *table)
{
    return atomic_load_explicit(&table->changes, memory_order_acquire);
}

uint64_t outlier_host_ejected_until_ms(const struct outlier_host *host)
{
    return atomic_load_explicit(&host->ejected_until_ms, memory_order_acquire);
}

bool outlier_host_is_ejected(const struct outlier_host *host, uint64_t now_ms)
{
    return now_ms < outlier_host_ejected_until_ms(host);
}

uint64_t outlier_ejection_ms(const struct outlier_config *config, uint32_t *backoff,
                             uint64_t healthy_ms)
{
    uint64_t interval_ms = config->interval_ms ? config->interval_ms : 1;
    uint64_t recovered = healthy_ms / interval_ms;
    *backoff = recovered >= *backoff ? 0 : *backoff - (uint32_t)recovered;
    uint64_t max_ms = config->max_ejection_time_ms > config->base_ejection_time_ms
                          ? config->max_ejection_time_ms
                          : config->base_ejection_time_ms;
    uint64_t ejection_ms;
    if (__builtin_mul_overflow(config->base_ejection_time_ms, (uint64_t)*backoff + 1, &ejection_ms))
        ejection_ms = max_ms;
    if (ejection_ms >= max_ms)
        return max_ms;
    ++*backoff;
    return ejection_ms;
}

static uint32_t count_ejected(const struct outlier *table, uint64_t now_ms)
{
    uint32_t count = 0;
    MAP_FOR_EACH(entry, &table->hosts) {
        count += outlier_host_is_ejected(entry->value, now_ms);
    }
    return count;
}

/* Whether one more host of host_count may be left out, as Envoy decides it. */
static bool may_eject(const struct outlier_config *config, uint32_t ejected, uint32_t host_count)
{
    if (config->always_eject_one_host && ejected == 0)
        return true;
    return (uint64_t)(ejected + 1) * 100 <= (uint64_t)config->max_ejection_percent * host_count;
}

static bool eject(struct outlier_host *host, const struct outlier_config *config,
                  uint32_t host_count, uint64_t now_ms)
{
    struct outlier *table = host->table;
    bool is_ejected = false;
    pthread_mutex_lock(&table->mutex);
    if (!outlier_host_is_ejected(host, now_ms) &&
        may_eject(config, count_ejected(table, now_ms), host_count)) {
        uint64_t returned_ms = outlier_host_ejected_until_ms(host);
        uint64_t ejection_ms = outlier_ejection_ms(config, &host->backoff, now_ms - returned_ms);
        atomic_store_explicit(&host->ejected_until_ms, now_ms + ejection_ms, memory_order_release);
        atomic_fetch_add_explicit(&table->changes, 1, memory_order_acq_rel);
        host->ejections++;
        is_ejected = true;
    }
    pthread_mutex_unlock(&table->mutex);
    return is_ejected;
}

/* Counts one more in a row, or none; true where that reaches the threshold and the dice say so. */
static bool count(_Atomic uint32_t *counter, bool has_failed, uint32_t threshold,
                  uint32_t enforcing_percent, uint64_t random)
{
    if (!has_failed) {
        if (atomic_load_explicit(counter, memory_order_relaxed))
            atomic_store_explicit(counter, 0, memory_order_relaxed);
        return false;
    }
    if (!threshold)
        return false;
    uint32_t in_a_row = atomic_fetch_add_explicit(counter, 1, memory_order_relaxed) + 1;
    if (in_a_row < threshold) /* over it: it was lowered meanwhile */
        return false;
    atomic_store_explicit(counter, 0, memory_order_relaxed);
    return random % 100 < enforcing_percent;
}

bool outlier_report(struct outlier_host *host, const struct outlier_config *config, unsigned status,
                    uint32_t host_count, uint64_t random, uint64_t now_ms)
{
    bool by_5xx = count(&host->consecutive_5xx, status >= 500, config->consecutive_5xx,
                        config->enforcing_consecutive_5xx_percent, random);
    bool by_gateway = count(&host->consecutive_gateway_failure, status >= 502 && status <= 504,
                            config->consecutive_gateway_failure,
                            config->enforcing_consecutive_gateway_failure_percent, random / 100);
    return (by_5xx || by_gateway) && eject(host, config, host_count, now_ms);
}
