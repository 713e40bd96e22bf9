/*
 * Limits counted within this proxy, by all workers together and exactly (token_bucket.h). Which
 * buckets a request takes from, and which of them shows in x-ratelimit-*, is as in Envoy 1.40: the
 * buckets of all descriptors that match, the slowest first, until one refuses; then the default
 * bucket. Shown is the one that refused, otherwise the slowest.
 *
 * Differences: buckets with open values are bounded for the process and not by
 * max_dynamic_descriptors, whose eviction would forget offenders (keyed_buckets.h); and a refusal
 * says retry-after.
 *
 * Buckets outlive a configuration as long as the settings that made them stay the same.
 */
#include "dataplane/filters/local_ratelimit.h"

#include "common/base/hash.h"
#include "common/base/mem.h"
#include "dataplane/config/stats.h"
#include "dataplane/filters/keyed_buckets.h"
#include "dataplane/filters/ratelimit_actions.h"
#include "dataplane/filters/token_bucket.h"
#include "dataplane/http/header_mutations.h"
#include "dataplane/listener/worker.h"

#include <envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit.pb-c.h>

typedef Envoy__Extensions__Filters__Http__LocalRatelimit__V3__LocalRateLimit filter_message;
typedef Envoy__Extensions__Common__Ratelimit__V3__LocalRateLimitDescriptor descriptor_message;
typedef Envoy__Config__Core__V3__RuntimeFractionalPercent fraction_message;

enum { DESCRIPTORS_MAX = 100000, FILL_INTERVAL_NS_MIN = 50 * 1000 * 1000 };

/* A share of the requests. */
struct fraction {
    uint32_t numerator, denominator; /* numerator 0: none */
};

/* A bucket of its own on cache lines of its own. */
struct cell {
    _Alignas(64) uint64_t full_at;
};

/* A configured descriptor: requests with these entries take from its bucket. */
struct limit {
    struct token_rate rate;
    const struct ratelimit_entry *entries; /* value.len 0: any value, each with a bucket */
    uint32_t count;
    bool is_shadow; /* counts, and never refuses */
    bool has_wildcard;
    uint64_t tag;      /* of its entries; of a wildcard: a number of its own */
    struct cell *cell; /* NULL where has_wildcard */
};

struct limit_settings {
    bool has_default;
    struct limit by_default;
    struct limit *limits;
    uint32_t limit_count;
    uint32_t *by_tag;      /* places in limits of those without wildcards, open addressing; +1 */
    uint32_t by_tag_slots; /* a power of two, 0: none */
    uint32_t *wildcards;   /* places of the others */
    uint32_t wildcard_count;
    struct keyed_buckets *keyed;
    const struct ratelimit_actions **actions;
    uint32_t action_count;
    struct fraction enabled, enforced;
    bool always_takes_default;
    bool shows_headers;
    bool is_resource_exhausted;
    unsigned status;
    const struct header_mutations *response_headers; /* of refusals */
    const struct header_mutations *request_headers;  /* of refusals that are not enforced */
};

/* What the response hook must know. */
struct limit_state {
    const struct limit *shown;
    const uint64_t *full_at;
    bool is_refused;
};

/* --- loading --- */

static int load_fraction(const fraction_message *message, struct fraction *ret, struct errmsg *msg)
{
    static const uint32_t denominators[] = {100, 10000, 1000000};
    *ret = (struct fraction){.denominator = 100};
    if (!message)
        return 0;
    if (!message->default_value ||
        (unsigned)message->default_value->denominator >= sizeof denominators / sizeof(uint32_t))
        return errmsg_set(msg, ERR_INVALID, "filter_enabled, filter_enforced: no usable default");
    ret->numerator = message->default_value->numerator;
    ret->denominator = denominators[message->default_value->denominator];
    return 0;
}

static int load_rate(const Envoy__Type__V3__TokenBucket *message, struct token_rate *ret,
                     struct errmsg *msg)
{
    const Google__Protobuf__Duration *interval = message ? message->fill_interval : NULL;
    uint64_t per_fill = message && message->tokens_per_fill ? message->tokens_per_fill->value : 1;
    if (!interval || !message->max_tokens || !per_fill)
        return errmsg_set(msg, ERR_INVALID,
                          "token_bucket: max_tokens, tokens_per_fill and fill_interval must be "
                          "greater than 0");
    if (interval->seconds < 0 || interval->nanos < 0 || interval->seconds > 366ll * 86400)
        return errmsg_set(msg, ERR_INVALID, "token_bucket: fill_interval must be within a year");
    uint64_t ns = (uint64_t)interval->seconds * 1000000000 + (uint64_t)interval->nanos;
    if (ns < FILL_INTERVAL_NS_MIN || ns > TOKEN_INTERVAL_NS_MAX)
        return errmsg_set(msg, ERR_INVALID,
                          "token_bucket: fill_interval must be from 50 ms to a year");
    *ret = token_rate_of(message->max_tokens, per_fill, ns);
    return 0;
}

/* The hash of entries so far and one more. */
static uint64_t mix(uint64_t tag, struct str text)
{
    uint64_t parts[2] = {tag, hash_keyed(text)};
    return hash_keyed((struct str){.data = (const char *)parts, .len = sizeof parts});
}

static uint64_t tag_of(const struct ratelimit_entry *entries, uint32_t count, uint64_t seed)
{
    uint64_t tag = seed;
    for (uint32_t i = 0; i < count; i++)
        tag = mix(mix(tag, entries[i].key), entries[i].value);
    return tag;
}

static int load_limit(struct filter_load *load, const descriptor_message *message,
                      struct limit *limit, struct errmsg *msg)
{
    size_t count = message->n_entries;
    if (count < 1 || count > RATELIMIT_ENTRIES_MAX)
        return errmsg_set(msg, ERR_INVALID, "must have 1 to %d entries", RATELIMIT_ENTRIES_MAX);
    struct ratelimit_entry *entries = arena_alloc_array(load->arena, count, sizeof *entries);
    for (size_t i = 0; i < count; i++) {
        entries[i].key = str_from(arena_copy_string(load->arena, message->entries[i]->key));
        entries[i].value = str_from(arena_copy_string(load->arena, message->entries[i]->value));
        limit->has_wildcard |= entries[i].value.len == 0;
    }
    limit->entries = entries;
    limit->count = (uint32_t)count;
    limit->is_shadow = message->shadow_mode;
    return load_rate(message->token_bucket, &limit->rate, msg);
}

static void index_limit(struct limit_settings *settings, uint32_t place)
{
    struct limit *limit = &settings->limits[place];
    if (limit->has_wildcard) {
        settings->wildcards[settings->wildcard_count++] = place;
        return;
    }
    uint32_t mask = settings->by_tag_slots - 1;
    uint32_t at = (uint32_t)limit->tag & mask;
    while (settings->by_tag[at])
        at = (at + 1) & mask;
    settings->by_tag[at] = place + 1;
}

static int load_limits(struct filter_load *load, const filter_message *message,
                       struct limit_settings *settings, struct errmsg *msg)
{
    size_t count = message->n_descriptors;
    if (!count)
        return 0;
    if (count > DESCRIPTORS_MAX)
        return errmsg_set(msg, ERR_TOO_LARGE, "descriptors: more than %d", DESCRIPTORS_MAX);
    for (settings->by_tag_slots = 4; settings->by_tag_slots < count * 2;)
        settings->by_tag_slots *= 2;
    settings->limit_count = (uint32_t)count;
    settings->limits = arena_alloc_array(load->arena, count, sizeof *settings->limits);
    settings->by_tag =
        arena_alloc_array(load->arena, settings->by_tag_slots, sizeof *settings->by_tag);
    settings->wildcards = arena_alloc_array(load->arena, count, sizeof *settings->wildcards);
    for (size_t i = 0; i < count; i++) {
        struct limit *limit = &settings->limits[i];
        int err = load_limit(load, message->descriptors[i], limit, msg);
        if (err) {
            errmsg_prefix(msg, "descriptor %zu: ", i);
            return err;
        }
        limit->tag = tag_of(limit->entries, limit->count, 0);
        index_limit(settings, (uint32_t)i);
    }
    return 0;
}

static int load_actions(struct filter_load *load, const filter_message *message,
                        struct limit_settings *settings, struct errmsg *msg)
{
    size_t count = message->n_rate_limits;
    if (count > RATELIMIT_LIMITS_MAX)
        return errmsg_set(msg, ERR_TOO_LARGE, "rate_limits: more than %d", RATELIMIT_LIMITS_MAX);
    settings->action_count = (uint32_t)count;
    settings->actions =
        arena_alloc_array(load->arena, count ? count : 1, sizeof *settings->actions);
    for (size_t i = 0; i < count; i++) {
        int err = ratelimit_actions_new(load, message->rate_limits[i], &settings->actions[i], msg);
        if (err)
            return err;
    }
    return 0;
}

/* The content hash of the message: what a bucket belongs to besides its place. */
static struct content_hash message_hash(const filter_message *message)
{
    size_t size = protobuf_c_message_get_packed_size(&message->base);
    uint8_t *bytes = mem_alloc(size + 1);
    protobuf_c_message_pack(&message->base, bytes);
    struct content_hash hash =
        content_hash_of((struct str){.data = (const char *)bytes, .len = size});
    mem_free(bytes);
    return hash;
}

/* Takes the buckets of these settings, those that there are already where nothing changed. */
static void take_buckets(struct filter_load *load, const filter_message *message,
                         struct limit_settings *settings)
{
    struct content_hash hash = message_hash(message);
    const char *key =
        arena_printf(load->arena, "ratelimit/%.*s/%s", STR_ARGS(load->scope), hash.hex);
    struct shared_state *state =
        shared_state_get(load->shared, str_from(key),
                         (settings->limit_count + 1) * sizeof(struct cell), NULL, NULL, NULL);
    vec_append(load->states, state);
    struct cell *cells = shared_state_object(state);
    settings->by_default.cell = &cells[0];
    for (uint32_t i = 0; i < settings->limit_count; i++)
        settings->limits[i].cell = &cells[i + 1];
    if (!settings->wildcard_count)
        return;
    struct shared_state *keyed = keyed_buckets_get(load->shared);
    vec_append(load->states, keyed);
    settings->keyed = shared_state_object(keyed);
    for (uint32_t i = 0; i < settings->wildcard_count; i++) {
        struct limit *limit = &settings->limits[settings->wildcards[i]];
        limit->cell = NULL;
        limit->tag = mix(settings->wildcards[i], str_from(key));
    }
}

static int refuse_unsupported(const filter_message *message, struct errmsg *msg)
{
    const char *what = message->local_rate_limit_per_downstream_connection
                           ? "local_rate_limit_per_downstream_connection"
                       : message->local_cluster_rate_limit ? "local_cluster_rate_limit"
                       : message->stage                    ? "stage"
                       : message->n_descriptors && !message->n_rate_limits
                           ? "descriptors without rate_limits"
                       : (unsigned)message->enable_x_ratelimit_headers > 1
                           ? "this value of enable_x_ratelimit_headers"
                       : message->base.n_unknown_fields ? "a field that is not known here"
                                                        : NULL;
    return what ? errmsg_set(msg, ERR_UNSUPPORTED, "%s is not supported", what) : 0;
}

static void load_switches(const filter_message *message, struct limit_settings *settings)
{
    settings->always_takes_default = !message->always_consume_default_token_bucket ||
                                     message->always_consume_default_token_bucket->value;
    settings->shows_headers = message->enable_x_ratelimit_headers != 0;
    settings->is_resource_exhausted = message->rate_limited_as_resource_exhausted;
    unsigned code = message->status ? (unsigned)message->status->code : 0;
    settings->status = code >= 400 && code <= 599 ? code : 429;
}

static int load_parts(struct filter_load *load, const filter_message *message,
                      struct limit_settings *settings, struct errmsg *msg)
{
    int err = refuse_unsupported(message, msg);
    if (!err)
        err = load_fraction(message->filter_enabled, &settings->enabled, msg);
    if (!err)
        err = load_fraction(message->filter_enforced, &settings->enforced, msg);
    settings->has_default = message->token_bucket != NULL;
    if (!err && settings->has_default)
        err = load_rate(message->token_bucket, &settings->by_default.rate, msg);
    if (!err)
        err = load_limits(load, message, settings, msg);
    if (!err)
        err = load_actions(load, message, settings, msg);
    if (!err)
        err = header_mutations_new(load->arena, message->response_headers_to_add,
                                   message->n_response_headers_to_add, NULL, 0, NULL,
                                   &settings->response_headers, msg);
    if (!err)
        err = header_mutations_new(load->arena, message->request_headers_to_add_when_not_enforced,
                                   message->n_request_headers_to_add_when_not_enforced, NULL, 0,
                                   NULL, &settings->request_headers, msg);
    return err;
}

static int load(struct filter_load *load, const ProtobufCMessage *message, const void **ret_config,
                struct errmsg *msg)
{
    const filter_message *typed = (const filter_message *)message;
    struct limit_settings *settings = ARENA_NEW(load->arena, struct limit_settings);
    int err = load_parts(load, typed, settings, msg);
    if (err) {
        errmsg_prefix(msg, "local_ratelimit: ");
        return err;
    }
    load_switches(typed, settings);
    if (settings->has_default || settings->limit_count)
        take_buckets(load, typed, settings);
    *ret_config = settings;
    return 0;
}

/* --- which buckets --- */

/* A bucket that a request takes from. */
struct hit {
    const struct limit *limit;
    uint64_t *full_at;
    uint64_t count;
};

static bool entries_fit(const struct limit *limit, const struct ratelimit_descriptor *descriptor)
{
    if (limit->count != descriptor->count)
        return false;
    for (uint32_t i = 0; i < limit->count; i++) {
        const struct ratelimit_entry *wanted = &limit->entries[i], *got = &descriptor->entries[i];
        if (!str_equal(wanted->key, got->key) ||
            (wanted->value.len && !str_equal(wanted->value, got->value)))
            return false;
    }
    return true;
}

static const struct limit *find_exact(const struct limit_settings *settings,
                                      const struct ratelimit_descriptor *descriptor, uint64_t tag)
{
    uint32_t mask = settings->by_tag_slots - 1;
    for (uint32_t at = (uint32_t)tag & mask; settings->by_tag[at]; at = (at + 1) & mask) {
        const struct limit *limit = &settings->limits[settings->by_tag[at] - 1];
        if (limit->tag == tag && entries_fit(limit, descriptor))
            return limit;
    }
    return NULL;
}

/* The bucket for a descriptor: of an exact limit, otherwise of the first open one that fits. */
static bool find_hit(const struct limit_settings *settings,
                     const struct ratelimit_descriptor *descriptor, uint64_t now_ns,
                     struct hit *ret_hit)
{
    if (!settings->limit_count)
        return false;
    uint64_t tag = tag_of(descriptor->entries, descriptor->count, 0);
    const struct limit *limit = find_exact(settings, descriptor, tag);
    if (limit) {
        *ret_hit = (struct hit){limit, &limit->cell->full_at, descriptor->hits};
        return true;
    }
    for (uint32_t i = 0; i < settings->wildcard_count; i++) {
        limit = &settings->limits[settings->wildcards[i]];
        if (!entries_fit(limit, descriptor))
            continue;
        tag = tag_of(descriptor->entries, descriptor->count, limit->tag);
        uint64_t empty = token_bucket_empty(&limit->rate, now_ns);
        *ret_hit =
            (struct hit){limit, keyed_bucket_find(settings->keyed, tag, empty), descriptor->hits};
        return true;
    }
    return false;
}

/* Puts hit behind those that are as slow or slower. */
static void insert_hit(struct hit *hits, uint32_t count, const struct hit *hit)
{
    uint32_t at = count;
    for (; at > 0 && hits[at - 1].limit->rate.cost < hit->limit->rate.cost; at--)
        hits[at] = hits[at - 1];
    hits[at] = *hit;
}

static uint32_t find_hits(const struct limit_settings *settings, struct http_stream *stream,
                          struct hit *hits)
{
    uint32_t count = 0;
    struct ratelimit_descriptor descriptor;
    struct hit hit;
    for (uint32_t i = 0; i < settings->action_count; i++)
        if (ratelimit_actions_apply(settings->actions[i], stream, &descriptor) &&
            find_hit(settings, &descriptor, stream->worker->now_ns, &hit))
            insert_hit(hits, count++, &hit);
    return count;
}

/* Takes from every bucket; false where one refuses, which is then the one shown. */
static bool take_all(const struct limit_settings *settings, struct http_stream *stream,
                     struct limit_state *state)
{
    struct hit hits[RATELIMIT_LIMITS_MAX];
    uint64_t now_ns = stream->worker->now_ns;
    uint32_t count = find_hits(settings, stream, hits);
    for (uint32_t i = 0; i < count; i++) {
        const struct limit *limit = hits[i].limit;
        if (token_bucket_take(hits[i].full_at, &limit->rate, now_ns, hits[i].count) ||
            limit->is_shadow)
            continue;
        state->shown = limit;
        state->full_at = hits[i].full_at;
        return false;
    }
    if (count) {
        state->shown = hits[0].limit;
        state->full_at = hits[0].full_at;
    }
    if (!settings->has_default || (count && !settings->always_takes_default))
        return true;
    const struct limit *by_default = &settings->by_default;
    bool is_taken = token_bucket_take(&by_default->cell->full_at, &by_default->rate, now_ns, 1);
    if (!is_taken || !count) {
        state->shown = by_default;
        state->full_at = &by_default->cell->full_at;
    }
    return is_taken;
}

/* --- hooks --- */

static bool is_in(const struct fraction *fraction, struct http_stream *stream)
{
    if (fraction->numerator >= fraction->denominator)
        return true;
    return fraction->numerator &&
           worker_random(stream->worker) % fraction->denominator < fraction->numerator;
}

static enum filter_status refuse(const struct limit_settings *settings, struct http_stream *stream,
                                 struct limit_state *state)
{
    struct header_list headers;
    header_list_init(&headers, &stream->arena);
    header_mutations_apply(settings->response_headers, stream, &headers);
    uint64_t reset_s =
        token_bucket_reset_s(state->full_at, &state->shown->rate, stream->worker->now_ns);
    if (!header_list_has(&headers, HEADER_RETRY_AFTER))
        header_list_add(&headers, HEADER_RETRY_AFTER,
                        arena_decimal(&stream->arena, reset_s ? reset_s : 1));
    state->is_refused = true;
    stream->flags |= FLAG_RATE_LIMITED;
    stat_inc(&stream->stats->rate_limited);
    http_stream_reply(stream, settings->status, STR("local_rate_limited"), "local_rate_limited",
                      &headers);
    return FILTER_REPLIED;
}

static const struct limit_settings *settings_of(const struct http_filter *filter)
{
    return filter->route_config ? filter->route_config : filter->config;
}

static enum filter_status on_request_headers(struct http_filter *filter, struct http_stream *stream,
                                             bool is_end)
{
    (void)is_end;
    const struct limit_settings *settings = settings_of(filter);
    if (!settings->has_default && !settings->limit_count)
        return FILTER_CONTINUE;
    if (!is_in(&settings->enabled, stream))
        return FILTER_CONTINUE;
    struct limit_state *state = ARENA_NEW(&stream->arena, struct limit_state);
    filter->state = state;
    if (take_all(settings, stream, state))
        return FILTER_CONTINUE;
    if (is_in(&settings->enforced, stream))
        return refuse(settings, stream, state);
    header_mutations_apply(settings->request_headers, stream, &stream->request.headers);
    return FILTER_CONTINUE;
}

static void show_limit(struct http_stream *stream, const struct limit_state *state)
{
    struct header_list *headers = &stream->response.headers;
    const struct token_rate *rate = &state->shown->rate;
    uint64_t now_ns = stream->worker->now_ns;
    header_list_add_name(headers, STR("x-ratelimit-limit"),
                         arena_decimal(&stream->arena, rate->max_tokens));
    header_list_add_name(
        headers, STR("x-ratelimit-remaining"),
        arena_decimal(&stream->arena, token_bucket_tokens(state->full_at, rate, now_ns)));
    header_list_add_name(
        headers, STR("x-ratelimit-reset"),
        arena_decimal(&stream->arena, token_bucket_reset_s(state->full_at, rate, now_ns)));
}

static void on_response_headers(struct http_filter *filter, struct http_stream *stream)
{
    const struct limit_settings *settings = settings_of(filter);
    const struct limit_state *state = filter->state;
    if (!state)
        return;
    if (settings->shows_headers && state->shown)
        show_limit(stream, state);
    /* 8 is RESOURCE_EXHAUSTED; otherwise a gRPC client takes the refusal for UNAVAILABLE, which it
     * tries again. */
    if (state->is_refused && settings->is_resource_exhausted &&
        header_list_has(&stream->response.headers, HEADER_GRPC_STATUS))
        header_list_set(&stream->response.headers, HEADER_GRPC_STATUS, STR("8"));
}

const struct http_filter_type local_ratelimit_filter = {
    .name = "envoy.filters.http.local_ratelimit",
    .config_descriptor =
        &envoy__extensions__filters__http__local_ratelimit__v3__local_rate_limit__descriptor,
    .route_descriptor =
        &envoy__extensions__filters__http__local_ratelimit__v3__local_rate_limit__descriptor,
    .load = load,
    .load_route = load,
    .on_request_headers = on_request_headers,
    .on_response_headers = on_response_headers,
};
