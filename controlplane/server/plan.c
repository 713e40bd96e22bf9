#include "controlplane/server/plan.h"

static void set(struct snapshot **slot, struct snapshot *snapshot)
{
    struct snapshot *before = *slot;
    *slot = snapshot ? snapshot_ref(snapshot) : NULL;
    snapshot_unref(before);
}

void plan_done(struct plan *plan)
{
    set(&plan->live, NULL);
    set(&plan->goal, NULL);
    set(&plan->bridge, NULL);
    set(&plan->settled, NULL);
    set(&plan->reached, NULL);
    plan->step = PLAN_IDLE;
}

static bool differs_in_endpoints_at_most(const struct snapshot *a, const struct snapshot *b)
{
    for (int type = 0; type < RESOURCE_TYPE_COUNT; type++)
        if (type != RESOURCE_ENDPOINTS && !resource_set_is_same(a->sets[type], b->sets[type]))
            return false;
    return true;
}

void plan_start(struct plan *plan, struct snapshot *goal, struct bridge_cache *bridges)
{
    ASSERT(plan->step == PLAN_IDLE);
    if (!plan->live || differs_in_endpoints_at_most(plan->live, goal)) {
        set(&plan->live, goal);
        set(&plan->reached, goal);
        return;
    }
    set(&plan->goal, goal);
    set(&plan->bridge, bridge_cache_get(bridges, plan->live, goal));
    plan->step = PLAN_CLUSTERS;
}

void plan_resume(struct plan *plan)
{
    ASSERT(plan->step == PLAN_IDLE);
    set(&plan->goal, plan->reached);
    set(&plan->bridge, plan->live);
    plan->step = PLAN_CLUSTERS;
}

void plan_advance(struct plan *plan)
{
    ASSERT(plan->step != PLAN_IDLE && plan->step != PLAN_ROUTES);
    if (plan->step != PLAN_REMOVALS) {
        plan->step++;
        return;
    }
    set(&plan->live, plan->settled);
    set(&plan->reached, plan->goal);
    set(&plan->goal, NULL);
    set(&plan->bridge, NULL);
    set(&plan->settled, NULL);
    plan->step = PLAN_IDLE;
}

void plan_begin_removals(struct plan *plan, struct snapshot *settled)
{
    ASSERT(plan->step == PLAN_ROUTES);
    set(&plan->settled, settled);
    plan->step = PLAN_REMOVALS;
}

bool plan_keeps(const struct plan *plan)
{
    return plan->live != plan->reached;
}

/* Those of all clusters that the client has or is sent, each as it is by now. */
static struct resource_set *endpoints_of(const struct plan *plan, struct snapshot *newest,
                                         struct bridge_cache *bridges)
{
    struct snapshot *from = plan->step == PLAN_REMOVALS ? plan->settled : plan->bridge;
    struct snapshot *used = plan->goal == newest ? from : bridge_cache_get(bridges, from, newest);
    return used->sets[RESOURCE_ENDPOINTS];
}

struct resource_set *plan_target(const struct plan *plan, enum resource_type type,
                                 struct snapshot *newest, struct bridge_cache *bridges)
{
    const struct snapshot *clusters = plan->step == PLAN_REMOVALS ? plan->settled : plan->bridge;
    const struct snapshot *listeners = plan->step == PLAN_CLUSTERS ? plan->live : plan->goal;
    const struct snapshot *routes = plan->step == PLAN_CLUSTERS    ? plan->live
                                    : plan->step == PLAN_LISTENERS ? plan->bridge
                                                                   : plan->goal;
    if (plan->step == PLAN_IDLE)
        clusters = listeners = routes = plan->live;
    switch (type) {
    case RESOURCE_CLUSTER:
        return clusters->sets[type];
    case RESOURCE_ENDPOINTS:
        return plan->step == PLAN_IDLE ? plan->live->sets[type]
                                       : endpoints_of(plan, newest, bridges);
    case RESOURCE_LISTENER:
        return listeners->sets[type];
    case RESOURCE_ROUTES:
    case RESOURCE_TYPE_COUNT:
        break;
    }
    return routes->sets[RESOURCE_ROUTES];
}
