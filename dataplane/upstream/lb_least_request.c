/*
 * Least request, as in Envoy. Equal weights: of a few hosts picked by chance (choice_count, 2 by
 * default) the one with the fewest requests under way. Different weights: earliest deadline first,
 * where the weight of a host shrinks with its load: weight / (requests under way + 1).
 *
 * Requests are those of this worker: workers need not agree for the load to spread.
 */
#include "common/base/mem.h"
#include "dataplane/upstream/edf.h"
#include "dataplane/upstream/load_balancer.h"
#include "dataplane/upstream/upstream_internal.h"

struct load_balancer {
    uint32_t choice_count;
    struct host **hosts; /* where weights are equal; in any order */
    uint32_t count;
    struct edf edf; /* where they differ */
};

static struct load_balancer *create(const struct cluster_config *cluster)
{
    ASSERT(cluster->lb_choice_count >= 1);
    struct load_balancer *balancer = MEM_NEW(struct load_balancer);
    balancer->choice_count = cluster->lb_choice_count;
    return balancer;
}

static void forget_hosts(struct load_balancer *balancer)
{
    edf_done(&balancer->edf);
    mem_free(balancer->hosts);
    balancer->hosts = NULL;
    balancer->count = 0;
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
    } else {
        balancer->hosts = load_balancer_copy_hosts(hosts, count);
        balancer->count = count;
    }
}

static struct host *pick_weighted(struct load_balancer *balancer)
{
    const struct edf_entry *first = edf_first(&balancer->edf);
    struct host *host = first->host;
    edf_turn(&balancer->edf, first->weight / (host->request_count + 1.0));
    return host;
}

/* The chosen ones are moved to the front, so that none is compared with itself: of two hosts the
 * less loaded one always wins. */
static struct host *pick_of_few(struct load_balancer *balancer, uint64_t random)
{
    struct host **hosts = balancer->hosts, *best = NULL;
    uint32_t choices =
        balancer->choice_count < balancer->count ? balancer->choice_count : balancer->count;
    for (uint32_t i = 0; i < choices; i++) {
        uint32_t chosen = i + random_index(random, balancer->count - i);
        struct host *host = hosts[chosen];
        hosts[chosen] = hosts[i];
        hosts[i] = host;
        if (!best || host->request_count < best->request_count)
            best = host;
        random = random * 0x5851f42d4c957f2du + 0x14057b7ef767814fu;
    }
    return best;
}

static struct host *pick(struct load_balancer *balancer, const struct load_balancer_input *input)
{
    return balancer->edf.count ? pick_weighted(balancer) : pick_of_few(balancer, input->random);
}

const struct load_balancer_type least_request_balancer = {
    .name = "least_request",
    .create = create,
    .set_hosts = set_hosts,
    .pick = pick,
    .destroy = destroy,
};
