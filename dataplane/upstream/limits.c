#include "dataplane/upstream/limits.h"

#include "common/base/buf.h"

struct shared_state *cluster_limits_get(struct shared_registry *registry, struct str cluster_name)
{
    struct buf key;
    buf_init(&key, cluster_name.len + 16);
    buf_printf(&key, "limits/%.*s", STR_ARGS(cluster_name));
    struct shared_state *state =
        shared_state_get(registry, buf_str(&key), sizeof(struct cluster_limits), NULL, NULL, NULL);
    buf_done(&key);
    return state;
}
