/*
 * Which routes a request to a host can meet, in the order in which they are tried.
 *
 * To Envoy a request belongs to one virtual host, and only its routes are looked at. An operator
 * means that a route for "*" is there for every host. So each virtual host has, behind its own
 * routes, those of all less specific hosts.
 *
 * No state; the results live in the arena. Thread: the control plane's loop.
 */
#ifndef CONTROLPLANE_TRANSLATE_VIRTUAL_HOSTS_H
#define CONTROLPLANE_TRANSLATE_VIRTUAL_HOSTS_H

#include "common/base/arena.h"
#include "common/base/err.h"
#include "common/base/vec.h"
#include "controlplane/model/model.h"

/* Bounds what hosts times routes may come to in one gateway: 50,000 routes for "*" and 50,000 hosts
 * would be more than any data plane can hold. */
enum { VIRTUAL_HOST_ROUTES_MAX = 200000 };

struct virtual_host {
    struct str host;
    /* Indexes into the routes given, most specific first. */
    uint32_t *routes;
    size_t route_count;
};

struct virtual_hosts {
    struct virtual_host *items; /* sorted by host, but "*" comes last */
    size_t len;
};

/* routes: those of one gateway, sorted (most specific first). listener_hosts: the hosts of the
 * listener, none for all. Routes that share no host with the listener are left out. ERR_TOO_LARGE
 * where it comes to too much. */
int virtual_hosts_plan(struct arena *arena, const struct model_object *const *routes, size_t count,
                       char *const *listener_hosts, size_t listener_host_count,
                       struct virtual_hosts *ret_hosts) MUST_CHECK;

#endif
