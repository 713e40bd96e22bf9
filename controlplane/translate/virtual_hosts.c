#include "controlplane/translate/virtual_hosts.h"

#include "common/base/map.h"
#include "common/base/mem.h"
#include "controlplane/translate/hosts.h"

#include <stdlib.h>

/* A host under construction: the routes that name it, as indexes. */
struct draft {
    struct str host;
    uint32_t *routes;
    size_t len, cap;
    size_t total; /* with those of less specific hosts */
};

struct plan {
    struct arena *arena;
    struct map drafts; /* by host */
    size_t pairs;
};

static struct draft *get_draft(struct plan *plan, struct str host)
{
    struct draft *draft = map_find(&plan->drafts, host);
    if (!draft) {
        draft = ARENA_NEW(plan->arena, struct draft);
        draft->host = host;
        map_put(&plan->drafts, host, draft);
    }
    return draft;
}

static void add_route(struct plan *plan, struct str host, uint32_t route)
{
    struct draft *draft = get_draft(plan, host);
    if (draft->len > 0 && draft->routes[draft->len - 1] == route)
        return; /* by another pair of hosts that meet in this one */
    if (draft->len == draft->cap) {
        draft->cap = draft->cap ? draft->cap * 2 : 4;
        draft->routes = mem_resize(draft->routes, draft->cap, sizeof *draft->routes);
    }
    draft->routes[draft->len++] = route;
    plan->pairs++;
}

/* One route for one of its hosts, as far as the listener has it. */
static void place_route(struct plan *plan, struct str host, uint32_t route,
                        char *const *listener_hosts, size_t listener_host_count)
{
    if (listener_host_count == 0)
        add_route(plan, host, route);
    for (size_t i = 0; i < listener_host_count; i++) {
        struct str both = host_meet(host, str_from(listener_hosts[i]));
        if (both.data)
            add_route(plan, both, route);
    }
}

static void place_routes(struct plan *plan, const struct model_object *const *routes, size_t count,
                         char *const *listener_hosts, size_t listener_host_count)
{
    for (uint32_t i = 0; i < count && plan->pairs <= VIRTUAL_HOST_ROUTES_MAX; i++) {
        const Weir__V1__Route *route = routes[i]->route;
        if (route->n_hosts == 0)
            place_route(plan, STR("*"), i, listener_hosts, listener_host_count);
        for (size_t j = 0; j < route->n_hosts; j++)
            place_route(plan, str_from(route->hosts[j]), i, listener_hosts, listener_host_count);
    }
}

/* --- less specific hosts ---------------------------------------------------------------------- */

/* Calls for each draft that covers draft's host, itself first, then less specific ones. */
static struct draft *next_cover(const struct plan *plan, struct str *at, char buffer[256])
{
    while ((*at = host_parent(*at, buffer)).data) {
        struct draft *cover = map_find(&plan->drafts, *at);
        if (cover)
            return cover;
    }
    return NULL;
}

/* How many routes each host has with those of the less specific ones (some may be the same). */
static bool count_all(struct plan *plan)
{
    size_t total = 0;
    MAP_FOR_EACH(entry, &plan->drafts) {
        struct draft *draft = entry->value, *cover;
        char buffer[256];
        struct str at = draft->host;
        draft->total = draft->len;
        while ((cover = next_cover(plan, &at, buffer)))
            draft->total += cover->len;
        total += draft->total;
        if (total > VIRTUAL_HOST_ROUTES_MAX)
            return false;
    }
    return true;
}

/* seen[route] is stamp where the route is in this host already. */
static void append_routes(struct virtual_host *to, const struct draft *from, uint32_t *seen,
                          uint32_t stamp)
{
    for (size_t i = 0; i < from->len; i++) {
        uint32_t route = from->routes[i];
        if (seen[route] == stamp)
            continue;
        seen[route] = stamp;
        to->routes[to->route_count++] = route;
    }
}

static void finish_host(const struct plan *plan, const struct draft *draft, uint32_t *seen,
                        uint32_t stamp, struct virtual_host *ret_host)
{
    const struct draft *cover;
    char buffer[256];
    struct str at = draft->host;
    *ret_host = (struct virtual_host){.host = draft->host};
    ret_host->routes = arena_alloc_array(plan->arena, draft->total, sizeof *ret_host->routes);
    append_routes(ret_host, draft, seen, stamp);
    while ((cover = next_cover(plan, &at, buffer)))
        append_routes(ret_host, cover, seen, stamp);
}

static int compare_hosts(const void *a, const void *b)
{
    const struct virtual_host *left = a, *right = b;
    bool left_is_any = left->host.len == 1 && left->host.data[0] == '*';
    bool right_is_any = right->host.len == 1 && right->host.data[0] == '*';
    if (left_is_any != right_is_any)
        return left_is_any ? 1 : -1;
    return str_compare(left->host, right->host);
}

static void finish(const struct plan *plan, size_t route_count, struct virtual_hosts *ret_hosts)
{
    uint32_t *seen = arena_alloc_array(plan->arena, route_count + 1, sizeof *seen);
    ret_hosts->items =
        arena_alloc_array(plan->arena, plan->drafts.len + 1, sizeof *ret_hosts->items);
    ret_hosts->len = 0;
    MAP_FOR_EACH(entry, &plan->drafts) {
        uint32_t stamp = (uint32_t)ret_hosts->len + 1;
        finish_host(plan, entry->value, seen, stamp, &ret_hosts->items[ret_hosts->len++]);
    }
    qsort(ret_hosts->items, ret_hosts->len, sizeof *ret_hosts->items, compare_hosts);
}

int virtual_hosts_plan(struct arena *arena, const struct model_object *const *routes, size_t count,
                       char *const *listener_hosts, size_t listener_host_count,
                       struct virtual_hosts *ret_hosts)
{
    struct plan plan = {.arena = arena};
    place_routes(&plan, routes, count, listener_hosts, listener_host_count);
    bool fits = plan.pairs <= VIRTUAL_HOST_ROUTES_MAX && count_all(&plan);
    if (fits)
        finish(&plan, count, ret_hosts);
    MAP_FOR_EACH(entry, &plan.drafts)
        mem_free(((struct draft *)entry->value)->routes);
    map_done(&plan.drafts);
    return fits ? 0 : ERR_TOO_LARGE;
}
