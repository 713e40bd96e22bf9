#include "controlplane/server/plan.h"

static void set_live(struct plan *plan, struct snapshot *live)
{
    struct snapshot *before = plan->live;
    plan->live = snapshot_ref(live);
    snapshot_unref(before);
}

static void become_idle(struct plan *plan)
{
    snapshot_unref(plan->goal);
    snapshot_unref(plan->bridge);
    plan->goal = plan->bridge = NULL;
    plan->step = PLAN_IDLE;
}

void plan_done(struct plan *plan)
{
    become_idle(plan);
    snapshot_unref(plan->live);
    plan->live = NULL;
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
        set_live(plan, goal);
        return;
    }
    plan->goal = snapshot_ref(goal);
    plan->bridge = snapshot_ref(bridge_cache_get(bridges, plan->live, goal));
    plan->step = PLAN_CLUSTERS;
}

void plan_advance(struct plan *plan)
{
    ASSERT(plan->step != PLAN_IDLE);
    if (plan->step != PLAN_REMOVALS) {
        plan->step++;
        return;
    }
    set_live(plan, plan->goal);
    become_idle(plan);
}

void plan_abandon(struct plan *plan)
{
    ASSERT(plan->step != PLAN_IDLE);
    set_live(plan, plan->bridge);
    become_idle(plan);
}

static struct resource_set *endpoints_of(const struct plan *plan, struct snapshot *newest,
                                         struct bridge_cache *bridges)
{
    struct snapshot *from = plan->step == PLAN_REMOVALS ? plan->goal : plan->live;
    struct snapshot *used = from == newest ? newest : bridge_cache_get(bridges, from, newest);
    return used->sets[RESOURCE_ENDPOINTS];
}

struct resource_set *plan_target(const struct plan *plan, enum resource_type type,
                                 struct snapshot *newest, struct bridge_cache *bridges)
{
    const struct snapshot *clusters = plan->step == PLAN_REMOVALS ? plan->goal : plan->bridge;
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
