#include "common/base/map.h"
#include "common/base/mem.h"
#include "common/pbjson/pbjson_internal.h"

struct pbjson_registry {
    struct map descriptors; /* by full name */
};

struct pbjson_registry *pbjson_registry_new(void)
{
    return MEM_NEW(struct pbjson_registry);
}

void pbjson_registry_free(struct pbjson_registry *registry)
{
    if (!registry)
        return;
    map_done(&registry->descriptors);
    mem_free(registry);
}

void pbjson_registry_add(struct pbjson_registry *registry,
                         const ProtobufCMessageDescriptor *descriptor)
{
    map_put(&registry->descriptors, str_from(descriptor->name), (void *)descriptor);
}

const ProtobufCMessageDescriptor *pbjson_registry_find(const struct pbjson_registry *registry,
                                                       struct str type_url_or_name)
{
    struct str name = type_url_or_name;
    for (size_t i = name.len; i > 0; i--)
        if (name.data[i - 1] == '/') {
            name = str_slice(name, i, name.len);
            break;
        }
    const ProtobufCMessageDescriptor *descriptor = wkt_find_by_name(name);
    if (!descriptor && registry)
        descriptor = map_find(&registry->descriptors, name);
    return descriptor;
}
