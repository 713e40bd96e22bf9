/* Random: any host as likely as the others. As in Envoy, weights do not count. */
#include "common/base/mem.h"
#include "dataplane/upstream/load_balancer.h"

struct load_balancer {
    struct host **hosts;
    uint32_t count;
};

static struct load_balancer *create(const struct cluster_config *cluster)
{
    (void)cluster;
    return MEM_NEW(struct load_balancer);
}

static void destroy(struct load_balancer *balancer)
{
    mem_free(balancer->hosts);
    mem_free(balancer);
}

static void set_hosts(struct load_balancer *balancer, struct host *const *hosts,
                      const uint32_t *weights, uint32_t count, uint64_t seed)
{
    (void)weights;
    (void)seed;
    mem_free(balancer->hosts);
    balancer->hosts = load_balancer_copy_hosts(hosts, count);
    balancer->count = count;
}

static struct host *pick(struct load_balancer *balancer, const struct load_balancer_input *input)
{
    return balancer->count ? balancer->hosts[random_index(input->random, balancer->count)] : NULL;
}

const struct load_balancer_type random_balancer = {
    .name = "random",
    .create = create,
    .set_hosts = set_hosts,
    .pick = pick,
    .destroy = destroy,
};
