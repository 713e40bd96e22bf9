#include "controlplane/translate/limits.h"

#include "controlplane/model/check.h"
#include "controlplane/model/limit.h"
#include "controlplane/policy/build.h"

#include <envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit.pb-c.h>
#include <inttypes.h>

enum { DYNAMIC_KEYS_DEFAULT = 10000 };

typedef Envoy__Extensions__Filters__Http__LocalRatelimit__V3__LocalRateLimit LocalRateLimit;
typedef Envoy__Config__Route__V3__RateLimit RateLimit;
typedef Envoy__Config__Route__V3__RateLimit__Action Action;
typedef Envoy__Extensions__Common__Ratelimit__V3__LocalRateLimitDescriptor Descriptor;
typedef Envoy__Extensions__Common__Ratelimit__V3__RateLimitDescriptor__Entry Entry;

static char stat_prefix[] = "weir_limits";
static char limit_key[] = "limit";
static char consumer_key[] = "consumer";
static char consumer_header[] = CONSUMER_HEADER;
static char method_key[] = "method";
static char method_header[] = ":method";
static char address_key[] = "masked_remote_address"; /* Envoy's; it cannot be chosen */

/* --- one limit
 * ------------------------------------------------------------------------------------ The request
 * side says how a request becomes a descriptor (actions), the bucket side which descriptor a bucket
 * is for (entries; an empty value stands for each value by itself). Both begin with the limit's own
 * name, so that two limits with equal keys are two buckets. */

static Action *header_action(struct arena *arena, char *header, char *key)
{
    Action *action =
        build_message(arena, &envoy__config__route__v3__rate_limit__action__descriptor);
    action->action_specifier_case =
        ENVOY__CONFIG__ROUTE__V3__RATE_LIMIT__ACTION__ACTION_SPECIFIER_REQUEST_HEADERS;
    action->request_headers = build_message(
        arena, &envoy__config__route__v3__rate_limit__action__request_headers__descriptor);
    action->request_headers->header_name = header;
    action->request_headers->descriptor_key = key;
    return action;
}

static Action *query_action(struct arena *arena, char *parameter, char *key)
{
    Action *action =
        build_message(arena, &envoy__config__route__v3__rate_limit__action__descriptor);
    action->action_specifier_case =
        ENVOY__CONFIG__ROUTE__V3__RATE_LIMIT__ACTION__ACTION_SPECIFIER_QUERY_PARAMETERS;
    action->query_parameters = build_message(
        arena, &envoy__config__route__v3__rate_limit__action__query_parameters__descriptor);
    action->query_parameters->query_parameter_name = parameter;
    action->query_parameters->descriptor_key = key;
    return action;
}

/* Whoever has an IPv6 address has 2^64 of them: they count as one. */
static Action *address_action(struct arena *arena)
{
    Action *action =
        build_message(arena, &envoy__config__route__v3__rate_limit__action__descriptor);
    action->action_specifier_case =
        ENVOY__CONFIG__ROUTE__V3__RATE_LIMIT__ACTION__ACTION_SPECIFIER_MASKED_REMOTE_ADDRESS;
    action->masked_remote_address = build_message(
        arena, &envoy__config__route__v3__rate_limit__action__masked_remote_address__descriptor);
    action->masked_remote_address->v4_prefix_mask_len = build_u32(arena, 32);
    action->masked_remote_address->v6_prefix_mask_len = build_u32(arena, 64);
    return action;
}

static Action *name_action(struct arena *arena, const struct model_object *limit)
{
    Action *action =
        build_message(arena, &envoy__config__route__v3__rate_limit__action__descriptor);
    action->action_specifier_case =
        ENVOY__CONFIG__ROUTE__V3__RATE_LIMIT__ACTION__ACTION_SPECIFIER_GENERIC_KEY;
    action->generic_key = build_message(
        arena, &envoy__config__route__v3__rate_limit__action__generic_key__descriptor);
    action->generic_key->descriptor_key = limit_key;
    action->generic_key->descriptor_value = (char *)limit->name.data;
    return action;
}

/* The action for one element of Limit.key, and the descriptor key it yields. */
static Action *key_action(struct arena *arena, char *text, char **ret_key)
{
    const char *name;
    *ret_key = text;
    switch (limit_key_of(text, &name)) {
    case LIMIT_KEY_CONSUMER:
        *ret_key = consumer_key;
        return header_action(arena, consumer_header, consumer_key);
    case LIMIT_KEY_METHOD:
        *ret_key = method_key;
        return header_action(arena, method_header, method_key);
    case LIMIT_KEY_HEADER:
        return header_action(arena, text + (name - text), text);
    case LIMIT_KEY_QUERY:
        return query_action(arena, text + (name - text), text);
    case LIMIT_KEY_CLIENT_ADDRESS:
    case LIMIT_KEY_UNKNOWN:
        break;
    }
    *ret_key = address_key;
    return address_action(arena);
}

static Entry *build_entry(struct arena *arena, char *key, const char *value)
{
    Entry *entry = build_message(
        arena, &envoy__extensions__common__ratelimit__v3__rate_limit_descriptor__entry__descriptor);
    entry->key = key;
    if (*value)
        entry->value = (char *)value;
    return entry;
}

static Envoy__Type__V3__TokenBucket *build_bucket(struct arena *arena, const Weir__V1__Limit *limit)
{
    Envoy__Type__V3__TokenBucket *bucket =
        build_message(arena, &envoy__type__v3__token_bucket__descriptor);
    bucket->max_tokens = limit->burst ? limit->burst->value : limit->requests;
    bucket->tokens_per_fill = build_u32(arena, limit->requests);
    bucket->fill_interval = limit->per;
    return bucket;
}

static void add_limit(struct arena *arena, const struct model_object *object,
                      LocalRateLimit *config)
{
    const Weir__V1__Limit *limit = object->limit;
    RateLimit *request = build_message(arena, &envoy__config__route__v3__rate_limit__descriptor);
    Descriptor *descriptor = build_message(
        arena, &envoy__extensions__common__ratelimit__v3__local_rate_limit_descriptor__descriptor);
    size_t count = limit->n_key + 1;
    request->actions = build_list(arena, count);
    descriptor->entries = build_list(arena, count);
    request->actions[0] = name_action(arena, object);
    descriptor->entries[0] = build_entry(arena, limit_key, object->name.data);
    for (size_t i = 1; i < count; i++) {
        char *key;
        request->actions[i] = key_action(arena, limit->key[i - 1], &key);
        descriptor->entries[i] = build_entry(arena, key, "");
    }
    request->n_actions = descriptor->n_entries = count;
    descriptor->token_bucket = build_bucket(arena, limit);
    config->rate_limits[config->n_rate_limits++] = request;
    config->descriptors[config->n_descriptors++] = descriptor;
}

/* --- the filter's settings -------------------------------------------------------------------- */

static LocalRateLimit *new_config(struct arena *arena)
{
    LocalRateLimit *config = build_message(
        arena,
        &envoy__extensions__filters__http__local_ratelimit__v3__local_rate_limit__descriptor);
    config->stat_prefix = stat_prefix;
    return config;
}

/* Envoy wants a bucket for requests that no descriptor is for. Ours holds more than can come, and
 * those for which there is a descriptor do not touch it. */
static void set_default_bucket(struct arena *arena, LocalRateLimit *config)
{
    enum { TOKENS = 1000000000, INTERVAL_MS = 1000 };
    config->token_bucket = build_message(arena, &envoy__type__v3__token_bucket__descriptor);
    config->token_bucket->max_tokens = TOKENS;
    config->token_bucket->tokens_per_fill = build_u32(arena, TOKENS);
    config->token_bucket->fill_interval = build_duration(arena, INTERVAL_MS);
    config->always_consume_default_token_bucket = build_bool(arena, false);
}

/* How long after a refusal the next request can pass: the time in which a bucket gains one. */
static uint64_t refill_s(const Weir__V1__Limit *limit)
{
    uint64_t per_ms = (uint64_t)duration_ms(limit->per, 0);
    uint64_t per_request_ms = (per_ms + limit->requests - 1) / limit->requests;
    return per_request_ms > 1000 ? (per_request_ms + 999) / 1000 : 1;
}

/* With several limits it is not known which one refuses: the slowest counts. */
static void set_retry_after(struct arena *arena, LocalRateLimit *config, uint64_t seconds)
{
    Envoy__Config__Core__V3__HeaderValueOption *option =
        build_message(arena, &envoy__config__core__v3__header_value_option__descriptor);
    option->header = build_message(arena, &envoy__config__core__v3__header_value__descriptor);
    option->header->key = build_text(arena, "retry-after");
    option->header->value = arena_printf(arena, "%" PRIu64, seconds);
    option->append_action =
        ENVOY__CONFIG__CORE__V3__HEADER_VALUE_OPTION__HEADER_APPEND_ACTION__OVERWRITE_IF_EXISTS_OR_ADD;
    config->response_headers_to_add = build_list(arena, 1);
    config->response_headers_to_add[0] = option;
    config->n_response_headers_to_add = 1;
}

static void note_dynamic_keys(const Weir__V1__Limit *limit, uint32_t *max_keys)
{
    uint32_t keys = limit->max_keys ? limit->max_keys->value : DYNAMIC_KEYS_DEFAULT;
    if (limit->n_key > 0 && keys > *max_keys)
        *max_keys = keys;
}

Google__Protobuf__Any *limits_config(struct arena *arena, const struct model *model,
                                     char *const *names, size_t count, bool needs_consumer)
{
    LocalRateLimit *config = new_config(arena);
    uint32_t max_keys = 0;
    uint64_t retry_after_s = 1;
    config->rate_limits = build_list(arena, count);
    config->descriptors = build_list(arena, count);
    for (size_t i = 0; i < count; i++) {
        const struct model_object *limit = model_find(model, MODEL_LIMIT, str_from(names[i]));
        if (!limit || limit_needs_consumer(limit->limit) != needs_consumer)
            continue;
        add_limit(arena, limit, config);
        note_dynamic_keys(limit->limit, &max_keys);
        if (refill_s(limit->limit) > retry_after_s)
            retry_after_s = refill_s(limit->limit);
    }
    if (config->n_descriptors == 0)
        return NULL;
    set_default_bucket(arena, config);
    config->filter_enabled = build_all_requests(arena);
    config->filter_enforced = build_all_requests(arena);
    config->enable_x_ratelimit_headers =
        ENVOY__EXTENSIONS__COMMON__RATELIMIT__V3__XRATE_LIMIT_HEADERS_RFCVERSION__DRAFT_VERSION_03;
    set_retry_after(arena, config, retry_after_s);
    if (max_keys > 0)
        config->max_dynamic_descriptors = build_u32(arena, max_keys);
    return build_any(arena, &config->base);
}

Google__Protobuf__Any *limits_empty_config(struct arena *arena)
{
    return build_any(arena, &new_config(arena)->base);
}
