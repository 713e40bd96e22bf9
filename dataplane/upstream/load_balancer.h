/*
 * Load balancers: one file each (lb_<name>.c), picked by the cluster's lb_policy. A balancer works
 * for one cluster on one worker; it is rebuilt when the set of hosts that may be picked changes
 * (endpoints, health, ejection), so that picking is cheap.
 */
#ifndef DATAPLANE_UPSTREAM_LOAD_BALANCER_H
#define DATAPLANE_UPSTREAM_LOAD_BALANCER_H

#include <stdint.h>

struct host;
struct load_balancer; /* a balancer's own */

/* What a balancer may look at to pick a host. */
struct load_balancer_input {
    uint64_t random;
};

struct load_balancer_type {
    const char *name;
    struct load_balancer *(*create)(void);
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

#endif
