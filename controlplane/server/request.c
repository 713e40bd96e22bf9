#include "controlplane/server/request.h"

#include "common/pbjson/pbjson.h"

#include <envoy/service/discovery/v3/discovery.pb-c.h>

typedef Envoy__Config__Core__V3__Node node_message;
typedef Envoy__Service__Discovery__V3__DiscoveryRequest sotw_message;
typedef Envoy__Service__Discovery__V3__DeltaDiscoveryRequest delta_message;

static struct str version_of(const node_message *node, struct arena *arena)
{
    if (node->user_agent_version_type_case ==
        ENVOY__CONFIG__CORE__V3__NODE__USER_AGENT_VERSION_TYPE_USER_AGENT_VERSION)
        return str_from(node->user_agent_version);
    if (node->user_agent_version_type_case !=
            ENVOY__CONFIG__CORE__V3__NODE__USER_AGENT_VERSION_TYPE_USER_AGENT_BUILD_VERSION ||
        !node->user_agent_build_version->version)
        return (struct str){0};
    const Envoy__Type__V3__SemanticVersion *version = node->user_agent_build_version->version;
    return str_from(arena_printf(arena, "%u.%u.%u", version->major_number, version->minor_number,
                                 version->patch));
}

static void take_node(struct request *request, const node_message *node, struct arena *arena)
{
    request->has_node = node != NULL;
    if (!node)
        return;
    request->node = (struct request_node){
        .id = str_from(node->id),
        .cluster = str_from(node->cluster),
        .user_agent_name = str_from(node->user_agent_name),
        .user_agent_version = version_of(node, arena),
    };
}

static const struct str *to_strs(char *const *texts, size_t count, struct arena *arena)
{
    struct str *strs = arena_alloc_array(arena, count, sizeof *strs);
    for (size_t i = 0; i < count; i++)
        strs[i] = str_from(texts[i]);
    return strs;
}

/* The text of a refusal; an error without words is one, too. */
static struct str error_text(const Google__Rpc__Status *error)
{
    if (!error)
        return (struct str){0};
    return error->message && error->message[0] ? str_from(error->message)
                                               : STR("refused without a reason");
}

static bool decode_sotw(struct str bytes, struct arena *arena, struct request *request)
{
    const sotw_message *message = (const sotw_message *)pbjson_unpack(
        &envoy__service__discovery__v3__discovery_request__descriptor, bytes, arena);
    if (!message)
        return false;
    take_node(request, message->node, arena);
    request->type_url = str_from(message->type_url);
    request->subscription = (struct subscription_request){
        .nonce = str_from(message->response_nonce),
        .error = error_text(message->error_detail),
        .version_info = str_from(message->version_info),
        .subscribe = to_strs(message->resource_names, message->n_resource_names, arena),
        .subscribe_count = message->n_resource_names,
    };
    return true;
}

static const struct subscription_version *versions_of(const delta_message *message,
                                                      struct arena *arena)
{
    size_t count = message->n_initial_resource_versions;
    struct subscription_version *versions = arena_alloc_array(arena, count, sizeof *versions);
    for (size_t i = 0; i < count; i++)
        versions[i] = (struct subscription_version){
            .name = str_from(message->initial_resource_versions[i]->key),
            .version = str_from(message->initial_resource_versions[i]->value),
        };
    return versions;
}

static bool decode_delta(struct str bytes, struct arena *arena, struct request *request)
{
    const delta_message *message = (const delta_message *)pbjson_unpack(
        &envoy__service__discovery__v3__delta_discovery_request__descriptor, bytes, arena);
    if (!message)
        return false;
    take_node(request, message->node, arena);
    request->type_url = str_from(message->type_url);
    request->subscription = (struct subscription_request){
        .nonce = str_from(message->response_nonce),
        .error = error_text(message->error_detail),
        .subscribe =
            to_strs(message->resource_names_subscribe, message->n_resource_names_subscribe, arena),
        .subscribe_count = message->n_resource_names_subscribe,
        .unsubscribe = to_strs(message->resource_names_unsubscribe,
                               message->n_resource_names_unsubscribe, arena),
        .unsubscribe_count = message->n_resource_names_unsubscribe,
        .versions = versions_of(message, arena),
        .version_count = message->n_initial_resource_versions,
    };
    return true;
}

bool request_decode(struct str bytes, bool is_delta, struct arena *arena, struct request *ret)
{
    struct request request = {0};
    bool is_decoded =
        is_delta ? decode_delta(bytes, arena, &request) : decode_sotw(bytes, arena, &request);
    if (is_decoded)
        *ret = request;
    return is_decoded;
}
