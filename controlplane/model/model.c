#include "controlplane/model/model.h"

#include "common/base/mem.h"
#include "controlplane/model/model_internal.h"

void model_object_unref(struct model_object *object)
{
    if (!object || --object->refs > 0)
        return;
    arena_done(&object->arena);
    mem_free(object);
}

struct model_object *model_object_ref(struct model_object *object)
{
    object->refs++;
    return object;
}

void model_list_unref(struct model_list *list)
{
    if (!list || --list->refs > 0)
        return;
    for (size_t i = 0; i < list->len; i++)
        model_object_unref(list->items[i]);
    mem_free(list);
}

void model_free(struct model *model)
{
    if (!model)
        return;
    for (size_t i = 0; i < MODEL_KIND_COUNT; i++)
        model_list_unref(model->lists[i]);
    mem_free(model);
}

/* Index of the first object whose name is not before name. */
static size_t lower_bound(const struct model_list *list, struct str name)
{
    size_t low = 0, high = list->len;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (str_compare(list->items[middle]->name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct model_object *model_find(const struct model *model, enum model_kind kind,
                                      struct str name)
{
    const struct model_list *list = model->lists[kind];
    size_t i = lower_bound(list, name);
    return i < list->len && str_equal(list->items[i]->name, name) ? list->items[i] : NULL;
}

/* Whether an endpoint's name is "<service>/...". */
static bool is_endpoint_of(struct str name, struct str service)
{
    return name.len > service.len && name.data[service.len] == '/' &&
           str_starts_with(name, service);
}

struct model_object *const *model_endpoints_of(const struct model *model, struct str service,
                                               size_t *ret_count)
{
    const struct model_list *list = model->lists[MODEL_ENDPOINT];
    char prefix[MODEL_NAME_BYTES_MAX + 1];
    *ret_count = 0;
    if (service.len > MODEL_NAME_BYTES_MAX)
        return NULL;
    memcpy(prefix, service.data, service.len);
    prefix[service.len] = '/';
    size_t from = lower_bound(list, (struct str){.data = prefix, .len = service.len + 1});
    size_t to = from;
    while (to < list->len && is_endpoint_of(list->items[to]->name, service))
        to++;
    *ret_count = to - from;
    return list->items + from;
}

/* Where two unsigned differ, the larger first. */
static int larger_first(unsigned a, unsigned b)
{
    return (a < b) - (a > b);
}

int model_route_rank_compare(const struct model_route_rank *a, const struct model_route_rank *b)
{
    int order = -larger_first(a->path_class, b->path_class);
    if (order == 0)
        order = larger_first(a->path_length, b->path_length);
    if (order == 0)
        order = larger_first(a->has_methods, b->has_methods);
    if (order == 0)
        order = larger_first(a->header_matches, b->header_matches);
    if (order == 0)
        order = larger_first(a->query_matches, b->query_matches);
    return order;
}
