/* Resources as a hostile control plane would send them: the first byte picks the type, the rest is
 * the encoded message; decoded into parts, which are freed again. Without crash, leak or hang. */
#include "common/base/log.h"
#include "dataplane/http/access_log.h"
#include "dataplane/xds/decode.h"
#include "dataplane/xds/ignored_fields.h"
#include "dataplane/xds/types.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct decode_context *context(void)
{
    static struct decode_context made;
    if (!made.types) {
        struct pbjson_registry *types = xds_types_registry_new();
        log_level_min = LOG_LEVEL_OFF;
        made = (struct decode_context){.cluster_slots = name_slots_new(),
                                       .filter_slots = name_slots_new(),
                                       .shared = shared_registry_new(),
                                       .types = types,
                                       .ignored = ignored_fields_new(types),
                                       .log_writer = access_log_writer_new(1),
                                       .workers = 1};
    }
    return &made;
}

/* The name is the first field of all four messages: with it, decoding goes on beyond the check that
 * the announced name is the one inside. */
static struct str name_inside(struct str bytes)
{
    bool has_name = bytes.len > 2 && bytes.data[0] == 0x0a && (uint8_t)bytes.data[1] < 0x80 &&
                    (size_t)bytes.data[1] <= bytes.len - 2;
    return has_name ? str_slice(bytes, 2, 2 + (size_t)bytes.data[1]) : STR("name");
}

static void decode(enum xds_type type, struct str bytes)
{
    struct errmsg msg;
    struct str name = name_inside(bytes);
    struct cluster_config *cluster = NULL;
    struct endpoints_config *endpoints = NULL;
    struct listener_config *listener = NULL;
    struct route_table *routes = NULL;
    int err = 0;
    if (type == XDS_CLUSTER)
        err = decode_cluster(context(), name, bytes, &cluster, &msg);
    else if (type == XDS_ENDPOINTS)
        err = decode_endpoints(context(), name, bytes, &endpoints, &msg);
    else if (type == XDS_LISTENER)
        err = decode_listener(context(), name, bytes, &listener, &msg);
    else
        err = decode_routes(context(), name, bytes, &routes, &msg);
    ASSERT((err != 0) == (!cluster && !endpoints && !listener && !routes));
    cluster_config_unref(cluster);
    endpoints_config_unref(endpoints);
    listener_config_unref(listener);
    route_table_unref(routes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char opens_files[] = "FileAccessLog";
    /* Whatever path the fuzzer makes up must not be created. */
    if (size == 0 || memmem(data, size, opens_files, sizeof opens_files - 1))
        return 0;
    struct str bytes = {.data = (const char *)data + 1, .len = size - 1};
    decode((enum xds_type)(data[0] % XDS_TYPE_COUNT), bytes);
    return 0;
}
