#include "common/base/mem.h"
#include "controlplane/translate/translate_internal.h"
#include "controlplane/translate/xds_cluster.h"
#include "controlplane/translate/xds_endpoints.h"

static void resources_free(struct service_resources *service)
{
    resource_unref(service->cluster);
    resource_unref(service->endpoints);
    mem_free((char *)service->name.data);
    mem_free(service);
}

void service_cache_done(struct service_cache *cache)
{
    MAP_FOR_EACH(entry, &cache->services)
        resources_free(entry->value);
    map_done(&cache->services);
}

void service_cache_begin(struct service_cache *cache)
{
    cache->round++;
}

static void forget_unused(struct service_cache *cache)
{
    struct vec gone = {0};
    MAP_FOR_EACH(entry, &cache->services) {
        const struct service_resources *service = entry->value;
        if (service->round != cache->round)
            vec_append(&gone, entry->value);
    }
    for (size_t i = 0; i < gone.len; i++) {
        struct service_resources *service = gone.items[i];
        map_remove(&cache->services, service->name);
        resources_free(service);
    }
    vec_done(&gone);
}

void service_cache_end(struct service_cache *cache, const struct model *model, bool forget)
{
    if (forget)
        forget_unused(cache);
    cache->service_list_id = model->lists[MODEL_SERVICE]->id;
    cache->endpoint_list_id = model->lists[MODEL_ENDPOINT]->id;
}

bool service_cache_is_current(const struct service_cache *cache, const struct model *model)
{
    return cache->service_list_id == model->lists[MODEL_SERVICE]->id &&
           cache->endpoint_list_id == model->lists[MODEL_ENDPOINT]->id;
}

/* Takes made; keeps the old resource where the two say the same. */
static void replace(struct resource **resource, struct resource *made)
{
    if (resource_is_same(*resource, made)) {
        resource_unref(made);
    } else {
        resource_unref(*resource);
        *resource = made;
    }
}

/* FNV-1a over ids: they are ours, and nobody chooses them. */
static uint64_t hash_ids(uint64_t hash, struct model_object *const *objects, size_t count)
{
    for (size_t i = 0; i < count; i++)
        hash = (hash ^ objects[i]->id) * 0x100000001b3u;
    return hash;
}

static void update(struct service_resources *resources, const struct model *model,
                   const struct model_object *service)
{
    size_t count;
    struct model_object *const *endpoints = model_endpoints_of(model, service->name, &count);
    uint64_t endpoints_hash = hash_ids(0xcbf29ce484222325u ^ count ^ service->id, endpoints, count);
    if (resources->service_id != service->id)
        replace(&resources->cluster, translate_cluster(service));
    if (resources->endpoints_hash != endpoints_hash || !resources->endpoints)
        replace(&resources->endpoints, translate_endpoints(service, endpoints, count));
    resources->service_id = service->id;
    resources->endpoints_hash = endpoints_hash;
}

const struct service_resources *service_cache_get(struct service_cache *cache,
                                                  const struct model *model,
                                                  const struct model_object *service)
{
    struct service_resources *resources = map_find(&cache->services, service->name);
    bool is_new = !resources;
    if (is_new) {
        resources = MEM_NEW(struct service_resources);
        resources->name = (struct str){
            .data = mem_copy_string(service->name.data, service->name.len),
            .len = service->name.len,
        };
        map_put(&cache->services, resources->name, resources);
    }
    if (resources->round != cache->round && (is_new || !service_cache_is_current(cache, model)))
        update(resources, model, service);
    resources->round = cache->round;
    return resources;
}
