/* Round robin. Equal weights: one after the other. Different weights: earliest deadline first, a
 * heap in which a host's next turn is 1 / weight later than its last, so turns of a heavy host lie
 * evenly between those of the others. */
#include "dataplane/upstream/load_balancer.h"

#include "common/base/assert.h"
#include "common/base/mem.h"

#include <stdbool.h>

struct entry {
    struct host *host;
    double step; /* 1 / weight */
    double due;
};

struct load_balancer {
    struct entry *entries; /* a heap by due where weights differ */
    uint32_t count;
    uint32_t next; /* where weights are equal */
    bool is_weighted;
};

static struct load_balancer *create(void)
{
    return MEM_NEW(struct load_balancer);
}

static void destroy(struct load_balancer *balancer)
{
    mem_free(balancer->entries);
    mem_free(balancer);
}

/* Moves the entry at `at` down to its place. */
static void sink(struct load_balancer *balancer, uint32_t at)
{
    struct entry *entries = balancer->entries, moved = entries[at];
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= balancer->count)
            break;
        if (child + 1 < balancer->count && entries[child + 1].due < entries[child].due)
            child++;
        if (entries[child].due >= moved.due)
            break;
        entries[at] = entries[child];
        at = child;
    }
    entries[at] = moved;
}

/* 0 to 1 from a hash of seed and i. */
static double fraction(uint64_t seed, uint32_t i)
{
    uint64_t x = (seed + i) * 0x9e3779b97f4a7c15u;
    x ^= x >> 32;
    return (double)(x * 0xd6e8feb86659fd93u >> 11) / (double)(1ull << 53);
}

static void set_hosts(struct load_balancer *balancer, struct host *const *hosts,
                      const uint32_t *weights, uint32_t count, uint64_t seed)
{
    mem_free(balancer->entries);
    balancer->entries = count ? mem_alloc_zero(count, sizeof *balancer->entries) : NULL;
    balancer->count = count;
    balancer->next = count ? (uint32_t)(seed % count) : 0;
    balancer->is_weighted = false;
    for (uint32_t i = 0; i < count; i++) {
        ASSERT(weights[i] > 0);
        double step = 1.0 / weights[i];
        balancer->entries[i] = (struct entry){
            .host = hosts[i], .step = step, .due = step * (1 - fraction(seed, i) / 2)};
        balancer->is_weighted |= weights[i] != weights[0];
    }
    for (uint32_t i = balancer->is_weighted ? count / 2 : 0; i-- > 0;)
        sink(balancer, i);
}

static struct host *pick(struct load_balancer *balancer, const struct load_balancer_input *input)
{
    (void)input;
    if (!balancer->count)
        return NULL;
    if (!balancer->is_weighted) {
        struct host *host = balancer->entries[balancer->next].host;
        balancer->next = balancer->next + 1 == balancer->count ? 0 : balancer->next + 1;
        return host;
    }
    struct host *host = balancer->entries[0].host;
    balancer->entries[0].due += balancer->entries[0].step;
    sink(balancer, 0);
    return host;
}

const struct load_balancer_type round_robin_balancer = {
    .name = "round_robin",
    .create = create,
    .set_hosts = set_hosts,
    .pick = pick,
    .destroy = destroy,
};
