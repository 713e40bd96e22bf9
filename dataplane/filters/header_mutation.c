/*
 * Changes to headers, of the listener and of the route. As in Envoy every level's changes are made:
 * by default the route's first, then its virtual host's, then the table's, then the listener's, so
 * that the least specific one has the last word; most_specific_header_mutations_wins turns it
 * round.
 */
#include "dataplane/filters/header_mutation.h"

#include "dataplane/http/header_mutations.h"

#include <envoy/extensions/filters/http/header_mutation/v3/header_mutation.pb-c.h>

typedef Envoy__Extensions__Filters__Http__HeaderMutation__V3__Mutations mutations_message;
typedef Envoy__Extensions__Filters__Http__HeaderMutation__V3__HeaderMutation filter_message;
typedef Envoy__Extensions__Filters__Http__HeaderMutation__V3__HeaderMutationPerRoute route_message;

/* The changes of one level, and of the levels above. */
struct level {
    const struct header_mutations *request, *response;
    const struct level *above;
};

struct filter_settings {
    struct level own;
    bool most_specific_wins;
};

enum { LEVELS_MAX = 4 }; /* listener, table, virtual host, route */

static int level_init(struct filter_load *load, const mutations_message *message,
                      struct level *level, struct errmsg *msg)
{
    if (!message)
        return 0;
    if (message->n_query_parameter_mutations || message->n_response_trailers_mutations ||
        message->n_request_trailers_mutations)
        return errmsg_set(msg, ERR_UNSUPPORTED,
                          "header_mutation: only request_mutations and response_mutations are "
                          "supported");
    int err = header_mutations_from_rules(load->arena, message->request_mutations,
                                          message->n_request_mutations, &level->request, msg);
    if (err)
        return err;
    return header_mutations_from_rules(load->arena, message->response_mutations,
                                       message->n_response_mutations, &level->response, msg);
}

static int load(struct filter_load *load, const ProtobufCMessage *message, const void **ret_config,
                struct errmsg *msg)
{
    const filter_message *typed = (const filter_message *)message;
    struct filter_settings *settings = ARENA_NEW(load->arena, struct filter_settings);
    settings->most_specific_wins = typed->most_specific_header_mutations_wins;
    *ret_config = settings;
    return level_init(load, typed->mutations, &settings->own, msg);
}

static int load_route(struct filter_load *load, const ProtobufCMessage *message,
                      const void **ret_config, struct errmsg *msg)
{
    const route_message *typed = (const route_message *)message;
    struct level *level = ARENA_NEW(load->arena, struct level);
    level->above = load->inherited;
    *ret_config = level;
    return level_init(load, typed->mutations, level, msg);
}

/* The levels in the order in which they are to be done; returns how many. */
static int collect(const struct http_filter *filter, const struct level *levels[LEVELS_MAX])
{
    const struct filter_settings *settings = filter->config;
    int count = 0;
    levels[count++] = &settings->own;
    for (const struct level *level = filter->route_config; level && count < LEVELS_MAX;
         level = level->above)
        levels[count++] = level;
    for (int i = 1, k = count - 1; settings->most_specific_wins && i < k; i++, k--) {
        const struct level *swapped = levels[i];
        levels[i] = levels[k];
        levels[k] = swapped;
    }
    return count;
}

static enum filter_status on_request_headers(struct http_filter *filter, struct http_stream *stream,
                                             bool is_end)
{
    (void)is_end;
    const struct level *levels[LEVELS_MAX];
    int count = collect(filter, levels);
    for (int i = 0; i < count; i++)
        header_mutations_apply(levels[i]->request, stream, &stream->request.headers);
    return FILTER_CONTINUE;
}

static void on_response_headers(struct http_filter *filter, struct http_stream *stream)
{
    const struct level *levels[LEVELS_MAX];
    int count = collect(filter, levels);
    for (int i = 0; i < count; i++)
        header_mutations_apply(levels[i]->response, stream, &stream->response.headers);
}

const struct http_filter_type header_mutation_filter = {
    .name = "envoy.filters.http.header_mutation",
    .config_descriptor =
        &envoy__extensions__filters__http__header_mutation__v3__header_mutation__descriptor,
    .route_descriptor =
        &envoy__extensions__filters__http__header_mutation__v3__header_mutation_per_route__descriptor,
    .load = load,
    .load_route = load_route,
    .on_request_headers = on_request_headers,
    .on_response_headers = on_response_headers,
};
