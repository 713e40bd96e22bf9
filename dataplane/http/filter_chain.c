#include "dataplane/http/filter_chain.h"

#include "dataplane/route/route.h"

static void apply_route(struct http_filter *filter, uint32_t name_slot, const struct route *route)
{
    for (uint32_t i = 0; i < route->filter_config_count; i++) {
        const struct filter_route_config *settings = &route->filter_configs[i];
        if (settings->name_slot != name_slot)
            continue;
        filter->route_config = settings->type == filter->type ? settings->config : NULL;
        filter->is_disabled = settings->is_disabled;
        return;
    }
}

void filter_chain_set_up(struct http_stream *stream)
{
    const struct listener_config *listener = stream->listener;
    ASSERT(!stream->filters);
    stream->filters = arena_alloc(&stream->arena, listener->filter_count * sizeof *stream->filters);
    stream->filter_count = listener->filter_count;
    for (uint32_t i = 0; i < listener->filter_count; i++) {
        const struct filter_config *config = &listener->filters[i];
        stream->filters[i] = (struct http_filter){
            .type = config->type, .config = config->config, .is_disabled = config->is_disabled};
        if (stream->route)
            apply_route(&stream->filters[i], config->name_slot, stream->route);
    }
}

enum filter_status filter_chain_run_request(struct http_stream *stream)
{
    while (stream->request_filter < stream->filter_count) {
        struct http_filter *filter = &stream->filters[stream->request_filter++];
        if (filter->is_disabled || !filter->type->on_request_headers)
            continue;
        enum filter_status status =
            filter->type->on_request_headers(filter, stream, stream->head_was_end);
        if (status != FILTER_CONTINUE)
            return status;
    }
    return FILTER_CONTINUE;
}

void filter_chain_run_response(struct http_stream *stream)
{
    for (uint32_t i = stream->filter_count; i-- > 0;) {
        struct http_filter *filter = &stream->filters[i];
        if (!filter->is_disabled && filter->type->on_response_headers)
            filter->type->on_response_headers(filter, stream);
    }
}

void filter_chain_destroy(struct http_stream *stream)
{
    for (uint32_t i = 0; i < stream->filter_count; i++) {
        struct http_filter *filter = &stream->filters[i];
        if (filter->type->on_destroy)
            filter->type->on_destroy(filter, stream);
    }
    stream->filter_count = 0;
}
