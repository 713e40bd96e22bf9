/* What the files of the translator share; not for others. */
#ifndef CONTROLPLANE_TRANSLATE_TRANSLATE_INTERNAL_H
#define CONTROLPLANE_TRANSLATE_TRANSLATE_INTERNAL_H

#include "common/base/map.h"
#include "common/base/vec.h"
#include "controlplane/translate/translate.h"

/* --- services (service_cache.c)
 * ------------------------------------------------------------------- A service's two resources,
 * shared by all gateways that have routes to it. */

struct service_cache {
    struct map services; /* of struct service_resources, by name */
    uint64_t service_list_id, endpoint_list_id;
    uint64_t round;
};

struct service_resources {
    struct str name;
    uint64_t service_id;     /* of the object cluster was made from */
    uint64_t endpoints_hash; /* of the ids of those that endpoints was made from */
    uint64_t round;          /* when it was last asked for */
    struct resource *cluster;
    struct resource *endpoints;
};

void service_cache_done(struct service_cache *cache);
/* Before and after all calls of service_cache_get for a model. forget: what was not asked for in
 * between is dropped. */
void service_cache_begin(struct service_cache *cache);
void service_cache_end(struct service_cache *cache, const struct model *model, bool forget);
/* Whether no service and no endpoint differs between model and what was there last. */
bool service_cache_is_current(const struct service_cache *cache, const struct model *model);
/* The resources of a service that exists; borrowed until service_cache_end. */
const struct service_resources *service_cache_get(struct service_cache *cache,
                                                  const struct model *model,
                                                  const struct model_object *service);

/* --- routes (route_cache.c)
 * ------------------------------------------------------------------------ The encoded form of each
 * route of a gateway, for each kind of client. */

struct encoded_route {
    uint64_t serial; /* differs for any two encodings */
    uint64_t round;
    uint64_t *inputs; /* ids of all that it was made from */
    size_t input_count;
    struct str name;                     /* of the route */
    struct str bytes[CLIENT_KIND_COUNT]; /* .data NULL: that kind has no such route */
};

struct route_cache {
    struct map routes; /* of struct encoded_route, by name */
    uint64_t round;
};

/* How the routes of a gateway say who may call: worked out for all of them together, because keys
 * are long. */
struct auth_plan {
    const struct model_object *gateway_policy; /* or NULL */
    const struct model_object *shared;         /* said once in the route configuration, or NULL */
    bool gateway_is_shut;
};

struct auth_plan auth_plan_make(const struct model *model, const struct model_object *gateway,
                                const struct model_object *const *routes, size_t count);
void route_cache_done(struct route_cache *cache);
void route_cache_begin(struct route_cache *cache);
void route_cache_end(struct route_cache *cache);
/* Borrowed until route_cache_end. last_serial counts encodings. */
const struct encoded_route *route_cache_get(struct route_cache *cache, const struct model *model,
                                            const struct model_object *route,
                                            const struct auth_plan *plan, uint64_t *last_serial);

/* --- gateways (gateway_cache.c) --------------------------------------------------------------- */

/* What a gateway's clients have. */
struct gateway_cache {
    struct str name;
    uint64_t round;
    struct route_cache routes;
    uint64_t *inputs; /* of the resources below: ids and serials */
    size_t input_count;
    struct vec listeners[CLIENT_KIND_COUNT];    /* of struct resource *, sorted by name */
    struct vec route_tables[CLIENT_KIND_COUNT]; /* of struct resource *, sorted by name */
    struct vec service_names; /* of char *: those its routes go to, each once, sorted */
    bool is_changed;          /* the above differ from what the snapshots have */
    struct snapshot *snapshots[CLIENT_KIND_COUNT];
    struct errmsg problem; /* why the above is not of the last model, or "" */
};

struct gateway_cache *gateway_cache_new(struct str name);
void gateway_cache_free(struct gateway_cache *gateway);
/* Brings listeners and route tables up to date. routes: those of the gateway, most specific first.
 */
void gateway_cache_update(struct gateway_cache *gateway, const struct model *model,
                          const struct model_object *object,
                          const struct model_object *const *routes, size_t count,
                          uint64_t *last_serial);

#endif
