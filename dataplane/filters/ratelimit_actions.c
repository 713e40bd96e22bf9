#include "dataplane/filters/ratelimit_actions.h"

#include "dataplane/filters/query.h"
#include "dataplane/http/header_match.h"
#include "dataplane/route/route.h"

#include <arpa/inet.h>

typedef Envoy__Config__Route__V3__RateLimit limit_message;
typedef Envoy__Config__Route__V3__RateLimit__Action action_message;

enum action_kind {
    ACTION_REQUEST_HEADER,
    ACTION_REMOTE_ADDRESS,
    ACTION_MASKED_REMOTE_ADDRESS,
    ACTION_GENERIC_KEY,
    ACTION_HEADER_VALUE_MATCH,
    ACTION_QUERY_PARAMETER,
    ACTION_DESTINATION_CLUSTER,
};

struct action {
    enum action_kind kind;
    struct str key;
    struct str value;  /* fixed value */
    struct str source; /* header in lower case, query parameter */
    enum header_id source_id;
    bool skips_if_absent;
    bool wants_match; /* of ACTION_HEADER_VALUE_MATCH */
    const struct header_match *headers;
    size_t header_count;
    unsigned v4_bits, v6_bits;
};

struct ratelimit_actions {
    struct action *actions;
    uint32_t count;
    uint64_t hits;
};

/* --- compiling --- */

static struct str copy_or(struct filter_load *load, const char *text, const char *other)
{
    return str_from(arena_copy_string(load->arena, *text ? text : other));
}

static int
set_request_header(struct filter_load *load, struct action *action,
                   const Envoy__Config__Route__V3__RateLimit__Action__RequestHeaders *message,
                   struct errmsg *msg)
{
    char *name = arena_copy_string(load->arena, message->header_name);
    for (char *c = name; *c; c++)
        *c = ascii_lower(*c);
    action->kind = ACTION_REQUEST_HEADER;
    action->key = copy_or(load, message->descriptor_key, "");
    action->source = str_from(name);
    action->source_id = header_id_of(action->source);
    action->skips_if_absent = message->skip_if_absent;
    if (!action->source.len || !action->key.len)
        return errmsg_set(msg, ERR_INVALID,
                          "request_headers: header_name or descriptor_key is missing");
    return 0;
}

static int
set_header_value_match(struct filter_load *load, struct action *action,
                       const Envoy__Config__Route__V3__RateLimit__Action__HeaderValueMatch *message,
                       struct errmsg *msg)
{
    action->kind = ACTION_HEADER_VALUE_MATCH;
    action->key = copy_or(load, message->descriptor_key, "header_match");
    action->value = copy_or(load, message->descriptor_value, "");
    action->wants_match = !message->expect_match || message->expect_match->value;
    action->header_count = message->n_headers;
    if (!action->value.len || !message->n_headers || *message->default_value)
        return errmsg_set(msg, ERR_INVALID,
                          "header_value_match: needs descriptor_value and headers, and takes no "
                          "default_value");
    return header_match_new(load, message->headers, message->n_headers, &action->headers, msg);
}

static int set_generic_key(struct filter_load *load, struct action *action,
                           const Envoy__Config__Route__V3__RateLimit__Action__GenericKey *message,
                           struct errmsg *msg)
{
    action->kind = ACTION_GENERIC_KEY;
    action->key = copy_or(load, message->descriptor_key, "generic_key");
    action->value = copy_or(load, message->descriptor_value, message->default_value);
    if (!action->value.len)
        return errmsg_set(msg, ERR_INVALID, "generic_key: descriptor_value is missing");
    return 0;
}

static int
set_masked_address(struct action *action,
                   const Envoy__Config__Route__V3__RateLimit__Action__MaskedRemoteAddress *message,
                   struct errmsg *msg)
{
    action->kind = ACTION_MASKED_REMOTE_ADDRESS;
    action->key = STR("masked_remote_address");
    action->v4_bits = message->v4_prefix_mask_len ? message->v4_prefix_mask_len->value : 32;
    action->v6_bits = message->v6_prefix_mask_len ? message->v6_prefix_mask_len->value : 128;
    if (action->v4_bits > 32 || action->v6_bits > 128)
        return errmsg_set(msg, ERR_INVALID, "masked_remote_address: prefix too long");
    return 0;
}

static int
set_query_parameter(struct filter_load *load, struct action *action,
                    const Envoy__Config__Route__V3__RateLimit__Action__QueryParameters *message,
                    struct errmsg *msg)
{
    action->kind = ACTION_QUERY_PARAMETER;
    action->key = copy_or(load, message->descriptor_key, "");
    action->source = copy_or(load, message->query_parameter_name, "");
    action->skips_if_absent = message->skip_if_absent;
    if (!action->source.len || !action->key.len)
        return errmsg_set(msg, ERR_INVALID,
                          "query_parameters: query_parameter_name or descriptor_key is missing");
    return 0;
}

static int action_init(struct filter_load *load, struct action *action,
                       const action_message *message, struct errmsg *msg)
{
    const char *what = "this action";
    switch (message->action_specifier_case) {
    case ENVOY__CONFIG__ROUTE__V3__RATE_LIMIT__ACTION__ACTION_SPECIFIER_REQUEST_HEADERS:
        return set_request_header(load, action, message->request_headers, msg);
    case ENVOY__CONFIG__ROUTE__V3__RATE_LIMIT__ACTION__ACTION_SPECIFIER_REMOTE_ADDRESS:
        action->kind = ACTION_REMOTE_ADDRESS;
        action->key = STR("remote_address");
        return 0;
    case ENVOY__CONFIG__ROUTE__V3__RATE_LIMIT__ACTION__ACTION_SPECIFIER_GENERIC_KEY:
        return set_generic_key(load, action, message->generic_key, msg);
    case ENVOY__CONFIG__ROUTE__V3__RATE_LIMIT__ACTION__ACTION_SPECIFIER_HEADER_VALUE_MATCH:
        return set_header_value_match(load, action, message->header_value_match, msg);
    case ENVOY__CONFIG__ROUTE__V3__RATE_LIMIT__ACTION__ACTION_SPECIFIER_MASKED_REMOTE_ADDRESS:
        return set_masked_address(action, message->masked_remote_address, msg);
    case ENVOY__CONFIG__ROUTE__V3__RATE_LIMIT__ACTION__ACTION_SPECIFIER_QUERY_PARAMETERS:
        return set_query_parameter(load, action, message->query_parameters, msg);
    case ENVOY__CONFIG__ROUTE__V3__RATE_LIMIT__ACTION__ACTION_SPECIFIER_DESTINATION_CLUSTER:
        action->kind = ACTION_DESTINATION_CLUSTER;
        action->key = STR("destination_cluster");
        return 0;
    case ENVOY__CONFIG__ROUTE__V3__RATE_LIMIT__ACTION__ACTION_SPECIFIER_SOURCE_CLUSTER:
        what = "source_cluster";
        break;
    case ENVOY__CONFIG__ROUTE__V3__RATE_LIMIT__ACTION__ACTION_SPECIFIER_DYNAMIC_METADATA:
    case ENVOY__CONFIG__ROUTE__V3__RATE_LIMIT__ACTION__ACTION_SPECIFIER_METADATA:
        what = "metadata";
        break;
    case ENVOY__CONFIG__ROUTE__V3__RATE_LIMIT__ACTION__ACTION_SPECIFIER_EXTENSION:
        what = "extension";
        break;
    case ENVOY__CONFIG__ROUTE__V3__RATE_LIMIT__ACTION__ACTION_SPECIFIER_QUERY_PARAMETER_VALUE_MATCH:
        what = "query_parameter_value_match";
        break;
    case ENVOY__CONFIG__ROUTE__V3__RATE_LIMIT__ACTION__ACTION_SPECIFIER_REMOTE_ADDRESS_MATCH:
        what = "remote_address_match";
        break;
    case ENVOY__CONFIG__ROUTE__V3__RATE_LIMIT__ACTION__ACTION_SPECIFIER__NOT_SET:
    case _ENVOY__CONFIG__ROUTE__V3__RATE_LIMIT__ACTION__ACTION_SPECIFIER__CASE_IS_INT_SIZE:
        break;
    }
    return errmsg_set(msg, ERR_UNSUPPORTED, "rate limit action: %s is not supported", what);
}

static int check_limit(const limit_message *message, struct errmsg *msg)
{
    if (message->n_actions < 1 || message->n_actions > RATELIMIT_ENTRIES_MAX)
        return errmsg_set(msg, ERR_INVALID, "rate limit: must have 1 to %d actions",
                          RATELIMIT_ENTRIES_MAX);
    const char *what = (message->stage && message->stage->value) ? "stage"
                       : *message->disable_key                   ? "disable_key"
                       : message->limit                          ? "limit"
                       : message->apply_on_stream_done           ? "apply_on_stream_done"
                       : message->x_ratelimit_option             ? "x_ratelimit_option"
                       : message->base.n_unknown_fields          ? "a field that is not known here"
                                                                 : NULL;
    return what ? errmsg_set(msg, ERR_UNSUPPORTED, "rate limit: %s is not supported", what) : 0;
}

static int set_hits(struct ratelimit_actions *actions,
                    const Envoy__Config__Route__V3__RateLimit__HitsAddend *message,
                    struct errmsg *msg)
{
    actions->hits = 1;
    if (!message)
        return 0;
    if (*message->format || message->is_negative_hits)
        return errmsg_set(msg, ERR_UNSUPPORTED, "hits_addend: only number is supported");
    if (message->number)
        actions->hits = message->number->value;
    if (actions->hits > 1000000000)
        return errmsg_set(msg, ERR_INVALID, "hits_addend: over 1000000000");
    return 0;
}

int ratelimit_actions_new(struct filter_load *load, const limit_message *message,
                          const struct ratelimit_actions **ret_actions, struct errmsg *msg)
{
    struct ratelimit_actions *actions = ARENA_NEW(load->arena, struct ratelimit_actions);
    int err = check_limit(message, msg);
    if (!err)
        err = set_hits(actions, message->hits_addend, msg);
    if (err)
        return err;
    actions->count = (uint32_t)message->n_actions;
    actions->actions = arena_alloc_array(load->arena, message->n_actions, sizeof *actions->actions);
    for (size_t i = 0; i < message->n_actions && !err; i++)
        err = action_init(load, &actions->actions[i], message->actions[i], msg);
    if (!err)
        *ret_actions = actions;
    return err;
}

/* --- applying --- */

/* "192.0.2.0/24": the network that the client is in. */
static struct str masked_address(const struct action *action, struct http_stream *stream)
{
    char text[INET6_ADDRSTRLEN + 1] = "";
    unsigned char bytes[16] = {0};
    struct str client = stream->client_ip;
    if (client.len >= sizeof text)
        return (struct str){0};
    memcpy(text, client.data, client.len);
    bool is_v6 = strchr(text, ':') != NULL;
    int family = is_v6 ? AF_INET6 : AF_INET;
    if (inet_pton(family, text, bytes) != 1)
        return (struct str){0};
    unsigned bits = is_v6 ? action->v6_bits : action->v4_bits;
    for (unsigned i = 0; i < sizeof bytes; i++) {
        unsigned kept = bits > i * 8 ? bits - i * 8 : 0;
        if (kept < 8)
            bytes[i] = (unsigned char)(bytes[i] & (0xff00u >> kept));
    }
    inet_ntop(family, bytes, text, sizeof text);
    return str_from(arena_printf(&stream->arena, "%s/%u", text, bits));
}

/* A weighted route counts as its first cluster: which one it will be is not known yet. */
static struct str destination_cluster(const struct http_stream *stream)
{
    const struct route *route = stream->route;
    bool is_forward = route && route->kind == ROUTE_FORWARD;
    if (is_forward && route->forward.arm_count)
        return route->forward.arms[0].cluster;
    if (is_forward && route->forward.cluster_header.len) {
        const struct header *header =
            header_list_find_name(&stream->request.headers, route->forward.cluster_header);
        return header ? header->value : (struct str){0};
    }
    return (struct str){0};
}

static struct str value_of(const struct action *action, struct http_stream *stream)
{
    switch (action->kind) {
    case ACTION_REQUEST_HEADER:
        return header_match_value(&stream->request, action->source_id, action->source, false);
    case ACTION_REMOTE_ADDRESS:
        return stream->client_ip;
    case ACTION_MASKED_REMOTE_ADDRESS:
        return masked_address(action, stream);
    case ACTION_GENERIC_KEY:
        return action->value;
    case ACTION_HEADER_VALUE_MATCH: {
        enum match_result result =
            header_match_all(action->headers, action->header_count, &stream->request, false);
        /* Undecided counts as the case that is limited. */
        bool is_limited = result == MATCH_GAVE_UP || (result == MATCH_YES) == action->wants_match;
        return is_limited ? action->value : (struct str){0};
    }
    case ACTION_QUERY_PARAMETER:
        return query_value(&stream->arena, stream->request.path, action->source);
    case ACTION_DESTINATION_CLUSTER:
        return destination_cluster(stream);
    }
    return (struct str){0};
}

bool ratelimit_actions_apply(const struct ratelimit_actions *actions, struct http_stream *stream,
                             struct ratelimit_descriptor *ret_descriptor)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < actions->count; i++) {
        const struct action *action = &actions->actions[i];
        struct str value = value_of(action, stream);
        if (!value.data && !action->skips_if_absent)
            return false;
        if (value.data)
            ret_descriptor->entries[count++] =
                (struct ratelimit_entry){.key = action->key, .value = value};
    }
    ret_descriptor->count = count;
    ret_descriptor->hits = actions->hits;
    return count > 0;
}
