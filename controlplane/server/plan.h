/*
 * The ordered plan of one stream: how it goes from the snapshot it is at to the next one without
 * naming, at any moment, what the client does not have.
 *
 *     PLAN_CLUSTERS    new and changed clusters and their endpoints; nothing is removed yet
 *     PLAN_LISTENERS   listeners, and routes under new names
 *     PLAN_ROUTES      routes
 *     PLAN_REMOVALS    clusters and endpoints that nothing names any more
 *
 * A refusal ends no plan: it goes on with the next step, and whatever names a refused cluster is
 * answered 503 by the proxy. Only what older routes name that the client goes on using is kept from
 * PLAN_REMOVALS (keep.h): the client is then at `live`, which is the goal and what was kept.
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
    struct snapshot *live;    /* what the client is at, or was when the plan began */
    struct snapshot *goal;    /* NULL while idle */
    struct snapshot *bridge;  /* NULL while idle */
    struct snapshot *settled; /* at PLAN_REMOVALS: goal, and what is kept; else NULL */
    struct snapshot *reached; /* the last goal: what live is unless something is kept */
};

void plan_done(struct plan *plan);
/* While idle: goes to goal. At once, without steps, where it is the first one or where no more than
 * endpoints differ. */
void plan_start(struct plan *plan, struct snapshot *goal, struct bridge_cache *bridges);
/* While idle: takes the steps to where it is. For a client that comes back with older content: what
 * it has is not known here, but what it may be sent at which step is the same. */
void plan_resume(struct plan *plan);
/* The next step; from PLAN_REMOVALS it becomes idle, and settled live. Not at PLAN_ROUTES. */
void plan_advance(struct plan *plan);
/* From PLAN_ROUTES to PLAN_REMOVALS; takes a reference of its own on settled. */
void plan_begin_removals(struct plan *plan, struct snapshot *settled);
/* While idle: the client has what it should not need any more. */
bool plan_keeps(const struct plan *plan);
/* What the client should have of that type now. newest is what is published by now: new endpoints
 * need not wait. Borrowed until the next call. */
struct resource_set *plan_target(const struct plan *plan, enum resource_type type,
                                 struct snapshot *newest, struct bridge_cache *bridges);

#endif
