#include "controlplane/policy/api_key.h"

#include "common/base/map.h"
#include "controlplane/model/check.h"
#include "controlplane/policy/build.h"

#include <envoy/extensions/filters/http/api_key_auth/v3/api_key_auth.pb-c.h>

enum { ADMITTED_MAX = 1000, QUERY_BYTES_MAX = 256 };

typedef Envoy__Extensions__Filters__Http__ApiKeyAuth__V3__ApiKeyAuthPerRoute RouteConfig;
typedef Envoy__Extensions__Filters__Http__ApiKeyAuth__V3__Credential Credential;
typedef Envoy__Extensions__Filters__Http__ApiKeyAuth__V3__KeySource KeySource;

/* A client that no consumer is: their names begin with a letter or digit. */
static char nobody[] = "-nobody-";
static char default_header[] = "x-api-key";
static char consumer_header[] = CONSUMER_HEADER;

static int validate(Weir__V1__Policy *policy, struct errmsg *msg)
{
    const Weir__V1__ApiKeyPolicy *api_key = policy->api_key;
    int err = 0;
    if (*api_key->header)
        err = check_header_name("header", api_key->header, msg);
    if (err == 0 && *api_key->cookie)
        err = check_cookie_name("cookie", api_key->cookie, msg);
    if (err == 0)
        err = check_text("query", api_key->query, QUERY_BYTES_MAX, msg);
    if (err == 0)
        err = check_names("consumers", api_key->consumers, api_key->n_consumers, ADMITTED_MAX, msg);
    if (err == 0)
        err = check_names("groups", api_key->groups, api_key->n_groups, ADMITTED_MAX, msg);
    return err;
}

static void add(struct policy_sum *sum, const struct model_object *policy)
{
    if (!sum->api_key)
        sum->api_key = policy;
}

/* --- the filter's settings -------------------------------------------------------------------- */

static void build_credentials(struct arena *arena, const struct model *model, RouteConfig *config)
{
    const struct model_list *consumers = model->lists[MODEL_CONSUMER];
    size_t count = 0;
    for (size_t i = 0; i < consumers->len; i++)
        count += consumers->items[i]->consumer->n_api_keys;
    config->credentials = build_list(arena, count);
    for (size_t i = 0; i < consumers->len; i++) {
        const Weir__V1__Consumer *consumer = consumers->items[i]->consumer;
        for (size_t j = 0; j < consumer->n_api_keys; j++) {
            Credential *credential = build_message(
                arena, &envoy__extensions__filters__http__api_key_auth__v3__credential__descriptor);
            credential->key = consumer->api_keys[j]->key;
            credential->client = (char *)consumers->items[i]->name.data;
            config->credentials[config->n_credentials++] = credential;
        }
    }
}

static KeySource *add_source(struct arena *arena, RouteConfig *config)
{
    KeySource *source = build_message(
        arena, &envoy__extensions__filters__http__api_key_auth__v3__key_source__descriptor);
    config->key_sources[config->n_key_sources++] = source;
    return source;
}

static void build_sources(struct arena *arena, const Weir__V1__ApiKeyPolicy *api_key,
                          RouteConfig *config)
{
    config->key_sources = build_list(arena, 3);
    if (*api_key->header)
        add_source(arena, config)->header = api_key->header;
    if (*api_key->query)
        add_source(arena, config)->query = api_key->query;
    if (*api_key->cookie)
        add_source(arena, config)->cookie = api_key->cookie;
    if (config->n_key_sources == 0)
        add_source(arena, config)->header = default_header;
}

/* Consumers and groups that a policy admits, by name. */
struct admission {
    struct map consumers, groups;
};

static void add_names(struct map *map, char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        map_put(map, str_from(names[i]), names[i]);
}

static bool is_admitted(const struct admission *admission, const struct model_object *consumer)
{
    if (map_find(&admission->consumers, consumer->name))
        return true;
    for (size_t i = 0; i < consumer->consumer->n_groups; i++) {
        if (map_find(&admission->groups, str_from(consumer->consumer->groups[i])))
            return true;
    }
    return false;
}

/* Who may come in. To Envoy an empty list is everybody: where the policy admits only some and none
 * of them exists, the list has a client that is nobody. */
static void build_allowed(struct arena *arena, const struct model *model,
                          const Weir__V1__ApiKeyPolicy *api_key, RouteConfig *config)
{
    const struct model_list *consumers = model->lists[MODEL_CONSUMER];
    if (api_key->n_consumers == 0 && api_key->n_groups == 0)
        return;
    struct admission admission = {0};
    add_names(&admission.consumers, api_key->consumers, api_key->n_consumers);
    add_names(&admission.groups, api_key->groups, api_key->n_groups);
    config->allowed_clients = build_list(arena, consumers->len + 1);
    for (size_t i = 0; i < consumers->len; i++) {
        if (is_admitted(&admission, consumers->items[i]))
            config->allowed_clients[config->n_allowed_clients++] =
                (char *)consumers->items[i]->name.data;
    }
    map_done(&admission.consumers);
    map_done(&admission.groups);
    if (config->n_allowed_clients == 0)
        config->allowed_clients[config->n_allowed_clients++] = nobody;
}

Google__Protobuf__Any *api_key_route_config(struct arena *arena, const struct model *model,
                                            const struct model_object *policy)
{
    const Weir__V1__ApiKeyPolicy *api_key = policy->policy->api_key;
    RouteConfig *config = build_message(
        arena,
        &envoy__extensions__filters__http__api_key_auth__v3__api_key_auth_per_route__descriptor);
    build_credentials(arena, model, config);
    build_sources(arena, api_key, config);
    build_allowed(arena, model, api_key, config);
    /* What is left out here is not taken from the listener: a consumer header forged by the client
     * would pass. */
    config->forwarding = build_message(
        arena, &envoy__extensions__filters__http__api_key_auth__v3__forwarding__descriptor);
    config->forwarding->header = consumer_header;
    config->forwarding->hide_credentials = !api_key->forward_key;
    return build_any(arena, &config->base);
}

Google__Protobuf__Any *api_key_listener_config(struct arena *arena)
{
    Envoy__Extensions__Filters__Http__ApiKeyAuth__V3__ApiKeyAuth *config = build_message(
        arena, &envoy__extensions__filters__http__api_key_auth__v3__api_key_auth__descriptor);
    return build_any(arena, &config->base);
}

const struct policy_kind api_key_policy = {
    .name = "api_key",
    .kind_case = WEIR__V1__POLICY__KIND_API_KEY,
    .validate = validate,
    .add = add,
};
