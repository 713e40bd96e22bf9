#include "dataplane/config/config.h"

#include "common/base/mem.h"

/* Small parts come by the ten thousand: their blocks are sized for one of them. */
enum { LISTENER_ARENA_BLOCK = 8192, CLUSTER_ARENA_BLOCK = 512, ENDPOINTS_ARENA_BLOCK = 512 };

struct listener_config *listener_config_new(void)
{
    struct listener_config *listener = MEM_NEW(struct listener_config);
    listener->refs = 1;
    arena_init(&listener->arena, LISTENER_ARENA_BLOCK);
    return listener;
}

struct cluster_config *cluster_config_new(void)
{
    struct cluster_config *cluster = MEM_NEW(struct cluster_config);
    cluster->refs = 1;
    cluster->slot = NAME_SLOT_NONE;
    arena_init(&cluster->arena, CLUSTER_ARENA_BLOCK);
    return cluster;
}

struct endpoints_config *endpoints_config_new(void)
{
    struct endpoints_config *endpoints = MEM_NEW(struct endpoints_config);
    endpoints->refs = 1;
    arena_init(&endpoints->arena, ENDPOINTS_ARENA_BLOCK);
    return endpoints;
}

struct config *config_new(uint32_t listener_count, uint32_t cluster_count)
{
    struct config *config = MEM_NEW(struct config);
    config->refs = 1;
    config->listeners = mem_alloc_zero(listener_count, sizeof *config->listeners);
    config->listener_count = listener_count;
    config->clusters = mem_alloc_zero(cluster_count, sizeof *config->clusters);
    config->cluster_count = cluster_count;
    return config;
}

struct listener_config *listener_config_ref(struct listener_config *listener)
{
    listener->refs++;
    return listener;
}

void listener_config_unref(struct listener_config *listener)
{
    if (!listener || --listener->refs > 0)
        return;
    route_table_unref(listener->inline_routes);
    for (uint32_t i = 0; i < listener->filter_count; i++)
        name_slots_release(listener->slots, listener->filters[i].name_slot);
    for (size_t i = 0; i < listener->states.len; i++)
        shared_state_unref(listener->states.items[i]);
    vec_done(&listener->states);
    shared_state_unref(listener->stats);
    arena_done(&listener->arena);
    mem_free(listener);
}

struct cluster_config *cluster_config_ref(struct cluster_config *cluster)
{
    cluster->refs++;
    return cluster;
}

void cluster_config_unref(struct cluster_config *cluster)
{
    if (!cluster || --cluster->refs > 0)
        return;
    endpoints_config_unref(cluster->endpoints);
    if (cluster->slot != NAME_SLOT_NONE)
        name_slots_release(cluster->slots, cluster->slot);
    shared_state_unref(cluster->stats);
    shared_state_unref(cluster->limits);
    shared_state_unref(cluster->breaker_state);
    shared_state_unref(cluster->outlier_state);
    arena_done(&cluster->arena);
    mem_free(cluster);
}

struct endpoints_config *endpoints_config_ref(struct endpoints_config *endpoints)
{
    endpoints->refs++;
    return endpoints;
}

void endpoints_config_unref(struct endpoints_config *endpoints)
{
    if (!endpoints || --endpoints->refs > 0)
        return;
    arena_done(&endpoints->arena);
    mem_free(endpoints);
}

struct config *config_ref(struct config *config)
{
    config->refs++;
    return config;
}

void config_unref(struct config *config)
{
    if (!config || --config->refs > 0)
        return;
    for (uint32_t i = 0; i < config->listener_count; i++) {
        listener_config_unref(config->listeners[i].listener);
        route_table_unref(config->listeners[i].routes);
    }
    for (uint32_t i = 0; i < config->cluster_count; i++) {
        cluster_config_unref(config->clusters[i].cluster);
        endpoints_config_unref(config->clusters[i].endpoints);
    }
    mem_free(config->listeners);
    mem_free(config->clusters);
    mem_free(config);
}
