/*
 * Load balancers: one file each (lb_<name>.c), picked by the cluster's lb_policy
 * (xds/decode_load_balancer.c has the table). A balancer works for one cluster on one worker; it is
 * rebuilt when the set of hosts that may be picked changes (endpoints, health, ejection), so that
 * picking is cheap.
 */
#ifndef DATAPLANE_UPSTREAM_LOAD_BALANCER_H
#define DATAPLANE_UPSTREAM_LOAD_BALANCER_H

#include <stdbool.h>
#include <stdint.h>

struct cluster_config;
struct host;
struct load_balancer; /* a balancer's own */

/* What a balancer may look at to pick a host. */
struct load_balancer_input {
    uint64_t random;
};

struct load_balancer_type {
    const char *name;
    /* Copies what it needs of the settings. */
    struct load_balancer *(*create)(const struct cluster_config *cluster);
    /* The hosts to pick from, with their weights (1 or more); copies what it needs. seed: so that
     * workers and proxies do not all begin with the same host. */
    void (*set_hosts)(struct load_balancer *balancer, struct host *const *hosts,
                      const uint32_t *weights, uint32_t count, uint64_t seed);
    /* NULL where there is no host. */
    struct host *(*pick)(struct load_balancer *balancer, const struct load_balancer_input *input);
    void (*destroy)(struct load_balancer *balancer);
};

/* Each host in turn, as often as its weight says (lb_round_robin.c). */
extern const struct load_balancer_type round_robin_balancer;
/* The one with fewer requests under way, of a few picked by chance (lb_least_request.c). */
extern const struct load_balancer_type least_request_balancer;
/* By chance, weights aside (lb_random.c). */
extern const struct load_balancer_type random_balancer;

/* --- for the balancers --- */

bool load_balancer_weights_are_equal(const uint32_t *weights, uint32_t count);
/* A copy of the array, for mem_free; NULL where it is empty. */
struct host **load_balancer_copy_hosts(struct host *const *hosts, uint32_t count);
/* 0 to count - 1 from the upper bits of random, each as likely. */
static inline uint32_t random_index(uint64_t random, uint32_t count)
{
    return (uint32_t)((random >> 32) * count >> 32);
}

#endif
