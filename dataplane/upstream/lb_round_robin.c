/* Round robin. Equal weights: one after the other. Different weights: earliest deadline first. */
#include "common/base/mem.h"
#include "dataplane/upstream/edf.h"
#include "dataplane/upstream/load_balancer.h"

struct load_balancer {
    struct host **hosts; /* where weights are equal */
    uint32_t count;
    uint32_t next;
    struct edf edf; /* where they differ */
};

static struct load_balancer *create(const struct cluster_config *cluster)
{
    (void)cluster;
    return MEM_NEW(struct load_balancer);
}

static void forget_hosts(struct load_balancer *balancer)
{
    edf_done(&balancer->edf);
    mem_free(balancer->hosts);
    *balancer = (struct load_balancer){.count = 0};
}

static void destroy(struct load_balancer *balancer)
{
    forget_hosts(balancer);
    mem_free(balancer);
}

static void set_hosts(struct load_balancer *balancer, struct host *const *hosts,
                      const uint32_t *weights, uint32_t count, uint64_t seed)
{
    forget_hosts(balancer);
    if (!load_balancer_weights_are_equal(weights, count)) {
        edf_set_hosts(&balancer->edf, hosts, weights, count, seed);
    } else if (count) {
        balancer->hosts = load_balancer_copy_hosts(hosts, count);
        balancer->count = count;
        balancer->next = (uint32_t)(seed % count);
    }
}

static struct host *pick(struct load_balancer *balancer, const struct load_balancer_input *input)
{
    (void)input;
    if (balancer->edf.count) {
        const struct edf_entry *first = edf_first(&balancer->edf);
        struct host *host = first->host;
        edf_turn(&balancer->edf, first->weight);
        return host;
    }
    if (!balancer->count)
        return NULL;
    struct host *host = balancer->hosts[balancer->next];
    balancer->next = balancer->next + 1 == balancer->count ? 0 : balancer->next + 1;
    return host;
}

const struct load_balancer_type round_robin_balancer = {
    .name = "round_robin",
    .create = create,
    .set_hosts = set_hosts,
    .pick = pick,
    .destroy = destroy,
};
