/*
 * The ordered plan of one stream: how it goes from the snapshot it is at to the next one without
 * naming, at any moment, what the client does not have.
 *
 *     PLAN_CLUSTERS    new and changed clusters and their endpoints; nothing is removed yet
 *     PLAN_LISTENERS   listeners, and routes under new names
 *     PLAN_ROUTES      routes
 *     PLAN_REMOVALS    clusters and endpoints that nothing names any more
 *
 * Who is at which step, and which set each type has for its target; when a step is done is the
 * stream's business (stream.h). No I/O, no clock.
 *
 * Everything here belongs to the control plane's loop thread.
 */
#ifndef CONTROLPLANE_SERVER_PLAN_H
#define CONTROLPLANE_SERVER_PLAN_H

#include "controlplane/snapshot/bridge.h"

enum plan_step {
    PLAN_IDLE,
    PLAN_CLUSTERS,
    PLAN_LISTENERS,
    PLAN_ROUTES,
    PLAN_REMOVALS,
};

/* A zeroed plan is one without a snapshot. */
struct plan {
    enum plan_step step;
    struct snapshot *live;   /* what the client is at, or was when the plan began */
    struct snapshot *goal;   /* NULL while idle */
    struct snapshot *bridge; /* NULL while idle */
};

void plan_done(struct plan *plan);
/* While idle: goes to goal. At once, without steps, where it is the first one or where no more than
 * endpoints differ. */
void plan_start(struct plan *plan, struct snapshot *goal, struct bridge_cache *bridges);
/* The next step; after the last one live is goal and the plan idle. */
void plan_advance(struct plan *plan);
/* Ends here: the client does not take what leads on. It is at the bridge: what was live still is.
 */
void plan_abandon(struct plan *plan);
/* What the client should have of that type now. newest is what is published by now: new endpoints
 * need not wait. Borrowed until the next call. */
struct resource_set *plan_target(const struct plan *plan, enum resource_type type,
                                 struct snapshot *newest, struct bridge_cache *bridges);

#endif
