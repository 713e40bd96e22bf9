#include "dataplane/xds/decode_internal.h"

#include "common/base/buf.h"
#include "dataplane/upstream/load_balancer.h"

#include <envoy/config/cluster/v3/cluster.pb-c.h>
#include <envoy/extensions/load_balancing_policies/least_request/v3/least_request.pb-c.h>
#include <envoy/extensions/load_balancing_policies/random/v3/random.pb-c.h>
#include <envoy/extensions/load_balancing_policies/round_robin/v3/round_robin.pb-c.h>

enum { CHOICE_COUNT = 2, CHOICE_COUNT_MIN = 2, SUPPORTED_BYTES_MAX = 1000 };

#define LB_POLICY(name) ENVOY__CONFIG__CLUSTER__V3__CLUSTER__LB_POLICY__##name
#define LB_TYPE(name) envoy__extensions__load_balancing_policies__##name##__descriptor

/* The load balancers by both of their names in a Cluster. */
static const struct balancer_row {
    int lb_policy;
    const ProtobufCMessageDescriptor *message;
    const struct load_balancer_type *type;
} rows[] = {
    {LB_POLICY(ROUND_ROBIN), &LB_TYPE(round_robin__v3__round_robin), &round_robin_balancer},
    {LB_POLICY(LEAST_REQUEST), &LB_TYPE(least_request__v3__least_request), &least_request_balancer},
    {LB_POLICY(RANDOM), &LB_TYPE(random__v3__random), &random_balancer},
};

enum { ROWS = sizeof rows / sizeof *rows };

static const char *policy_name(int lb_policy)
{
    const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(
        &envoy__config__cluster__v3__cluster__lb_policy__descriptor, lb_policy);
    return value ? value->name : "a value without a name";
}

static int refuse(const char *field, const char *name, bool by_policy, struct errmsg *msg)
{
    struct buf supported;
    buf_init(&supported, SUPPORTED_BYTES_MAX);
    for (size_t i = 0; i < ROWS; i++)
        buf_printf(&supported, "%s%s", i ? ", " : "",
                   by_policy ? policy_name(rows[i].lb_policy) : rows[i].message->name);
    int err = errmsg_set(msg, ERR_UNSUPPORTED, "%s %s is not supported; supported: %.*s", field,
                         name, STR_ARGS(buf_str(&supported)));
    buf_done(&supported);
    return err;
}

static int read_choice_count(const Google__Protobuf__UInt32Value *value, const char *path,
                             struct cluster_config *cluster, struct errmsg *msg)
{
    cluster->lb_choice_count = read_uint32(value, CHOICE_COUNT);
    if (cluster->lb_choice_count < CHOICE_COUNT_MIN)
        return errmsg_set(msg, ERR_INVALID, "%s.choice_count: must be at least %d", path,
                          CHOICE_COUNT_MIN);
    return 0;
}

static int read_typed(const struct balancer_row *row, const Google__Protobuf__Any *config,
                      struct arena *scratch, struct cluster_config *cluster, struct errmsg *msg)
{
    static const char path[] = "load_balancing_policy";
    cluster->load_balancer = row->type;
    if (row->type != &least_request_balancer)
        return 0;
    ProtobufCMessage *unpacked;
    int err = any_unpack(config, row->message, path, scratch, &unpacked, msg);
    if (err)
        return err;
    const Envoy__Extensions__LoadBalancingPolicies__LeastRequest__V3__LeastRequest *message =
        (const Envoy__Extensions__LoadBalancingPolicies__LeastRequest__V3__LeastRequest *)unpacked;
    return read_choice_count(message->choice_count, path, cluster, msg);
}

/* The first of the list that is known here counts, as in Envoy. */
static int read_policy_list(const Envoy__Config__Cluster__V3__LoadBalancingPolicy *list,
                            struct arena *scratch, struct cluster_config *cluster,
                            struct errmsg *msg)
{
    const char *first = "";
    for (size_t i = 0; i < list->n_policies; i++) {
        const Envoy__Config__Core__V3__TypedExtensionConfig *policy =
            list->policies[i]->typed_extension_config;
        const Google__Protobuf__Any *config = policy ? policy->typed_config : NULL;
        for (size_t row = 0; row < ROWS; row++)
            if (any_is(config, rows[row].message))
                return read_typed(&rows[row], config, scratch, cluster, msg);
        if (!first[0])
            first = any_type(config);
    }
    return refuse("load_balancing_policy: type", first, false, msg);
}

int read_load_balancer(const Envoy__Config__Cluster__V3__Cluster *message, struct arena *scratch,
                       struct cluster_config *cluster, struct errmsg *msg)
{
    cluster->lb_choice_count = CHOICE_COUNT;
    if (message->load_balancing_policy)
        return read_policy_list(message->load_balancing_policy, scratch, cluster, msg);
    for (size_t i = 0; i < ROWS; i++) {
        if (rows[i].lb_policy != (int)message->lb_policy)
            continue;
        cluster->load_balancer = rows[i].type;
        if (message->lb_config_case ==
            ENVOY__CONFIG__CLUSTER__V3__CLUSTER__LB_CONFIG_LEAST_REQUEST_LB_CONFIG)
            return read_choice_count(message->least_request_lb_config->choice_count,
                                     "least_request_lb_config", cluster, msg);
        return 0;
    }
    return refuse("lb_policy:", policy_name((int)message->lb_policy), true, msg);
}
