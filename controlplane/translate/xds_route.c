#include "controlplane/translate/xds_route.h"

#include "controlplane/policy/build.h"
#include "controlplane/snapshot/wire.h"
#include "controlplane/translate/filters.h"

#include <envoy/config/route/v3/route.pb-c.h>
#include <stdio.h>

enum { ARENA_BLOCK_BYTES = 64 * 1024 };

/* Field numbers of VirtualHost, which is put together by hand. */
enum { VIRTUAL_HOST_NAME = 1, VIRTUAL_HOST_DOMAINS = 2, VIRTUAL_HOST_ROUTES = 3 };
enum { ROUTE_CONFIGURATION_VIRTUAL_HOSTS = 2 };

typedef Envoy__Config__Route__V3__RouteConfiguration RouteConfiguration;

/* The domains of a virtual host: the host, and the host with each port. */
static struct str *build_domains(struct arena *arena, const struct route_table_source *source,
                                 struct str host, size_t *ret_count)
{
    struct str *domains = arena_alloc_array(arena, source->port_count + 1, sizeof *domains);
    size_t count = 0;
    domains[count++] = host;
    bool is_any = host.len == 1 && host.data[0] == '*';
    for (size_t i = 0; !is_any && i < source->port_count; i++)
        domains[count++] =
            str_from(arena_printf(arena, "%.*s:%u", STR_ARGS(host), source->ports[i]));
    *ret_count = count;
    return domains;
}

static size_t routes_len(const struct route_table_source *source, const struct virtual_host *host)
{
    size_t len = 0;
    for (size_t i = 0; i < host->route_count; i++) {
        struct str route = source->routes[host->routes[i]];
        if (route.data)
            len += wire_field_len(route.len);
    }
    return len;
}

/* A VirtualHost as an unknown field of the route configuration: protobuf-c writes those as they
 * are. Length included, as it wants it. */
static void encode_host(struct arena *arena, const struct route_table_source *source,
                        const struct virtual_host *host, ProtobufCMessageUnknownField *ret_field)
{
    size_t domain_count, len = wire_field_len(host->host.len) + routes_len(source, host);
    const struct str *domains = build_domains(arena, source, host->host, &domain_count);
    for (size_t i = 0; i < domain_count; i++)
        len += wire_field_len(domains[i].len);
    size_t field_len = wire_varint_len(len) + len;
    char *bytes = arena_alloc(arena, field_len);
    char *to = wire_put_varint(bytes, len);
    to = wire_put_field(to, VIRTUAL_HOST_NAME, host->host);
    for (size_t i = 0; i < domain_count; i++)
        to = wire_put_field(to, VIRTUAL_HOST_DOMAINS, domains[i]);
    for (size_t i = 0; i < host->route_count; i++) {
        struct str route = source->routes[host->routes[i]];
        if (route.data)
            to = wire_put_field(to, VIRTUAL_HOST_ROUTES, route);
    }
    ASSERT(to == bytes + field_len);
    *ret_field = (ProtobufCMessageUnknownField){
        .tag = ROUTE_CONFIGURATION_VIRTUAL_HOSTS,
        .wire_type = PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED,
        .len = field_len,
        .data = (uint8_t *)bytes,
    };
}

static void set_auth(struct arena *arena, RouteConfiguration *message, Google__Protobuf__Any *auth)
{
    if (!auth)
        return;
    Envoy__Config__Route__V3__RouteConfiguration__TypedPerFilterConfigEntry *entry = build_message(
        arena,
        &envoy__config__route__v3__route_configuration__typed_per_filter_config_entry__descriptor);
    entry->key = build_text(arena, FILTER_API_KEY);
    entry->value = auth;
    message->typed_per_filter_config = build_list(arena, 1);
    message->typed_per_filter_config[0] = entry;
    message->n_typed_per_filter_config = 1;
}

size_t route_table_len(const struct route_table_source *source)
{
    size_t len = source->auth ? source->auth->value.len : 0;
    for (size_t i = 0; i < source->hosts->len; i++)
        len += routes_len(source, &source->hosts->items[i]);
    return len;
}

struct resource *translate_route_table(const struct route_table_source *source)
{
    struct arena arena;
    arena_init(&arena, ARENA_BLOCK_BYTES);
    RouteConfiguration *message =
        build_message(&arena, &envoy__config__route__v3__route_configuration__descriptor);
    message->name = (char *)arena_copy_str(&arena, source->name).data;
    message->ignore_port_in_host_matching = source->port_count == 0;
    set_auth(&arena, message, source->auth);
    message->base.unknown_fields =
        arena_alloc_array(&arena, source->hosts->len + 1, sizeof *message->base.unknown_fields);
    for (size_t i = 0; i < source->hosts->len; i++)
        encode_host(&arena, source, &source->hosts->items[i], &message->base.unknown_fields[i]);
    message->base.n_unknown_fields = (unsigned)source->hosts->len;
    struct resource *resource = resource_new(RESOURCE_ROUTES, source->name, &message->base);
    arena_done(&arena);
    return resource;
}
