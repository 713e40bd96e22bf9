#include "dataplane/upstream/load_balancer.h"

#include "common/base/mem.h"

#include <string.h>

bool load_balancer_weights_are_equal(const uint32_t *weights, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++)
        if (weights[i] != weights[0])
            return false;
    return true;
}

struct host **load_balancer_copy_hosts(struct host *const *hosts, uint32_t count)
{
    if (!count)
        return NULL;
    struct host **copy = mem_alloc_zero(count, sizeof(struct host *));
    memcpy(copy, hosts, count * sizeof(struct host *));
    return copy;
}
