#include "dataplane/xds/decode_internal.h"

#include "common/base/map.h"
#include "common/pbjson/wire.h"

#include <stdio.h>

enum {
    HOSTS_MAX = 65536, /* of one cluster: each worker keeps state for each */
    PRIORITY_MAX = 128,
    WEIGHT_MAX = 1000000, /* so that the sum of all fits 64 bits with room to spare */
    SCRATCH_BLOCK = 8192,
};

typedef Envoy__Config__Endpoint__V3__ClusterLoadAssignment load_assignment;
typedef Envoy__Config__Endpoint__V3__LocalityLbEndpoints locality_endpoints;
typedef Envoy__Config__Endpoint__V3__LbEndpoint lb_endpoint;

/* One reading of a ClusterLoadAssignment. */
struct reader {
    const char *path;
    struct endpoints_config *endpoints;
    struct dns_targets *targets;
    struct map seen; /* addresses that are in already: an address that is given twice counts once */
    struct errmsg *msg;
};

static bool is_healthy(Envoy__Config__Core__V3__HealthStatus status)
{
    switch (status) {
    case ENVOY__CONFIG__CORE__V3__HEALTH_STATUS__UNHEALTHY:
    case ENVOY__CONFIG__CORE__V3__HEALTH_STATUS__DRAINING:
    case ENVOY__CONFIG__CORE__V3__HEALTH_STATUS__TIMEOUT:
        return false;
    case ENVOY__CONFIG__CORE__V3__HEALTH_STATUS__UNKNOWN:
    case ENVOY__CONFIG__CORE__V3__HEALTH_STATUS__HEALTHY:
    case ENVOY__CONFIG__CORE__V3__HEALTH_STATUS__DEGRADED:
    default:
        return true;
    }
}

static int add_target(struct reader *reader, const char *path, const struct read_address *address,
                      const struct host_config *host)
{
    if (!reader->targets)
        return errmsg_set(reader->msg, ERR_INVALID,
                          "%s.socket_address.address: \"%.*s\" is not an IP address (only clusters "
                          "of type STRICT_DNS or LOGICAL_DNS take host names)",
                          path, STR_ARGS(address->host));
    if (address->host.len > 253)
        return errmsg_set(reader->msg, ERR_INVALID,
                          "%s.socket_address.address: is no host name (over 253 bytes)", path);
    reader->targets->items[reader->targets->count++] =
        (struct dns_target){.host = arena_copy_str(reader->targets->arena, address->host),
                            .port = address->port,
                            .weight = host->weight,
                            .priority = host->priority,
                            .is_healthy = host->is_healthy};
    return 0;
}

static int read_lb_endpoint(struct reader *reader, const lb_endpoint *message, const char *path,
                            uint32_t priority)
{
    char field[320];
    snprintf(field, sizeof field, "%s.endpoint.address", path);
    if (message->host_identifier_case !=
        ENVOY__CONFIG__ENDPOINT__V3__LB_ENDPOINT__HOST_IDENTIFIER_ENDPOINT)
        return errmsg_set(reader->msg, ERR_UNSUPPORTED, "%s: must have an endpoint", path);
    struct host_config host = {.weight = read_uint32(message->load_balancing_weight, 1),
                               .priority = priority,
                               .is_healthy = is_healthy(message->health_status)};
    if (host.weight == 0 || host.weight > WEIGHT_MAX)
        return errmsg_set(reader->msg, ERR_INVALID,
                          "%s.load_balancing_weight: must be between 1 and %u", path, WEIGHT_MAX);
    struct read_address address;
    int err = read_address(message->endpoint->address, field, &reader->endpoints->arena, &address,
                           reader->msg);
    if (err)
        return err;
    if (address.address.len == 0)
        return add_target(reader, field, &address, &host);
    host.address = address.address;
    if (map_find(&reader->seen, host.address.text))
        return 0;
    reader->endpoints->hosts[reader->endpoints->host_count++] = host;
    map_put(&reader->seen, host.address.text, reader);
    return 0;
}

static int read_locality(struct reader *reader, const locality_endpoints *message, size_t index)
{
    char path[256];
    snprintf(path, sizeof path, "%sendpoints[%zu]", reader->path, index);
    if (message->lb_config_case !=
        ENVOY__CONFIG__ENDPOINT__V3__LOCALITY_LB_ENDPOINTS__LB_CONFIG__NOT_SET)
        return errmsg_set(reader->msg, ERR_UNSUPPORTED,
                          "%s: load_balancer_endpoints and leds_cluster_locality_config are not "
                          "supported; use lb_endpoints",
                          path);
    if (message->priority > PRIORITY_MAX)
        return errmsg_set(reader->msg, ERR_INVALID, "%s.priority: must be at most %d", path,
                          PRIORITY_MAX);
    for (size_t i = 0; i < message->n_lb_endpoints; i++) {
        char field[300];
        snprintf(field, sizeof field, "%s.lb_endpoints[%zu]", path, i);
        int err = read_lb_endpoint(reader, message->lb_endpoints[i], field, message->priority);
        if (err)
            return err;
    }
    return 0;
}

static size_t count_endpoints(const load_assignment *message)
{
    size_t count = 0;
    for (size_t i = 0; i < message->n_endpoints; i++)
        count += message->endpoints[i]->n_lb_endpoints;
    return count;
}

int read_endpoints(const load_assignment *message, const char *path, struct dns_targets *targets,
                   struct endpoints_config **ret_endpoints, struct errmsg *msg)
{
    size_t count = count_endpoints(message);
    if (count > HOSTS_MAX)
        return errmsg_set(msg, ERR_TOO_LARGE, "%sendpoints: %zu endpoints are more than %d", path,
                          count, HOSTS_MAX);
    if (message->policy && message->policy->n_drop_overloads)
        return errmsg_set(msg, ERR_UNSUPPORTED, "%spolicy.drop_overloads: is not supported", path);
    struct endpoints_config *endpoints = endpoints_config_new();
    endpoints->hosts = arena_alloc_array(&endpoints->arena, count, sizeof *endpoints->hosts);
    endpoints->name = arena_copy_str(&endpoints->arena, str_from(message->cluster_name));
    if (targets)
        targets->items = arena_alloc_array(targets->arena, count, sizeof *targets->items);
    struct reader reader = {.path = path, .endpoints = endpoints, .targets = targets, .msg = msg};
    int err = 0;
    for (size_t i = 0; !err && i < message->n_endpoints; i++)
        err = read_locality(&reader, message->endpoints[i], i);
    map_done(&reader.seen);
    if (err)
        endpoints_config_unref(endpoints);
    else
        *ret_endpoints = endpoints;
    return err;
}

static int load(const struct decode_context *context, struct str name, struct str bytes,
                struct arena *scratch, struct endpoints_config **ret_endpoints, struct errmsg *msg)
{
    ProtobufCMessage *message;
    int err = wire_unpack(&envoy__config__endpoint__v3__cluster_load_assignment__descriptor, bytes,
                          context->types, scratch, &message, msg);
    if (err)
        return err;
    const load_assignment *assignment = (const load_assignment *)message;
    if (!str_equal(str_from(assignment->cluster_name), name))
        return errmsg_set(msg, ERR_INVALID, "cluster_name: is \"%s\"", assignment->cluster_name);
    err = read_endpoints(assignment, "", NULL, ret_endpoints, msg);
    if (!err)
        decode_note_ignored(context, XDS_ENDPOINTS, name, message);
    return err;
}

int decode_endpoints(const struct decode_context *context, struct str name, struct str bytes,
                     struct endpoints_config **ret_endpoints, struct errmsg *msg)
{
    struct arena scratch;
    arena_init(&scratch, SCRATCH_BLOCK);
    int err = load(context, name, bytes, &scratch, ret_endpoints, msg);
    arena_done(&scratch);
    if (err)
        errmsg_prefix(msg, "endpoints %.*s: ", STR_ARGS(name));
    return err;
}
