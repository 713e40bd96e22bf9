#include "dataplane/config/stats.h"

#include "common/base/buf.h"
#include "common/base/mem.h"

/* Near one to the next (factor 1.5 to 2.5), from a local answer to a slow back end. */
const uint32_t stats_latency_bounds_us[STATS_LATENCY_BUCKETS - 1] = {
    100,    250,    500,    1000,    2500,    5000,    10000,    25000,    50000,    75000,
    100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000, 30000000, 60000000,
};

void stats_latency_add(struct stats_latency *latency, uint64_t duration_us)
{
    unsigned low = 0, high = STATS_LATENCY_BUCKETS - 1;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (duration_us <= stats_latency_bounds_us[middle])
            high = middle;
        else
            low = middle + 1;
    }
    stat_inc(&latency->counts[low]);
    stat_add(&latency->sum_us, duration_us);
}

/* What scope_init needs to know. */
struct scope_arguments {
    bool is_cluster;
    uint32_t workers;
};

static void scope_init(void *object, const void *arg)
{
    struct stats_scope *scope = object;
    const struct scope_arguments *arguments = arg;
    scope->workers = arguments->workers;
    scope->is_cluster = arguments->is_cluster;
    scope->blocks = mem_alloc_zero_aligned(arguments->workers, sizeof *scope->blocks,
                                           _Alignof(struct stats_block));
}

static void scope_done(void *object)
{
    struct stats_scope *scope = object;
    for (uint32_t i = 0; i < scope->workers; i++)
        mem_free(scope->blocks[i].latency);
    mem_free(scope->blocks);
}

struct shared_state *stats_scope_get(struct shared_registry *registry, bool is_cluster,
                                     struct str name, uint32_t workers)
{
    struct buf key;
    buf_init(&key, name.len + 16);
    buf_printf(&key, "%s/%.*s", is_cluster ? "cluster" : "http", STR_ARGS(name));
    struct scope_arguments arguments = {.is_cluster = is_cluster, .workers = workers};
    struct shared_state *state = shared_state_get(
        registry, buf_str(&key), sizeof(struct stats_scope), scope_init, &arguments, scope_done);
    buf_done(&key);
    return state;
}
