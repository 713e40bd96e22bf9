#include "controlplane/server/config_dump.h"

#include <envoy/config/cluster/v3/cluster.pb-c.h>
#include <envoy/config/endpoint/v3/endpoint.pb-c.h>
#include <envoy/config/listener/v3/listener.pb-c.h>
#include <envoy/config/route/v3/route.pb-c.h>
#include <envoy/extensions/access_loggers/file/v3/file.pb-c.h>
#include <envoy/extensions/access_loggers/stream/v3/stream.pb-c.h>
#include <envoy/extensions/filters/http/api_key_auth/v3/api_key_auth.pb-c.h>
#include <envoy/extensions/filters/http/header_mutation/v3/header_mutation.pb-c.h>
#include <envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit.pb-c.h>
#include <envoy/extensions/filters/http/router/v3/router.pb-c.h>
#include <envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb-c.h>
#include <envoy/extensions/http/early_header_mutation/header_mutation/v3/header_mutation.pb-c.h>
#include <envoy/extensions/load_balancing_policies/least_request/v3/least_request.pb-c.h>
#include <envoy/extensions/load_balancing_policies/maglev/v3/maglev.pb-c.h>
#include <envoy/extensions/load_balancing_policies/random/v3/random.pb-c.h>
#include <envoy/extensions/load_balancing_policies/ring_hash/v3/ring_hash.pb-c.h>
#include <envoy/extensions/load_balancing_policies/round_robin/v3/round_robin.pb-c.h>
#include <envoy/extensions/request_id/uuid/v3/uuid.pb-c.h>
#include <envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer.pb-c.h>
#include <envoy/extensions/transport_sockets/tls/v3/tls.pb-c.h>
#include <envoy/extensions/upstreams/http/v3/http_protocol_options.pb-c.h>
#include <inttypes.h>
#include <weir/v1/extension.pb-c.h>

static const ProtobufCMessageDescriptor *const resource_descriptors[RESOURCE_TYPE_COUNT] = {
    [RESOURCE_CLUSTER] = &envoy__config__cluster__v3__cluster__descriptor,
    [RESOURCE_ENDPOINTS] = &envoy__config__endpoint__v3__cluster_load_assignment__descriptor,
    [RESOURCE_LISTENER] = &envoy__config__listener__v3__listener__descriptor,
    [RESOURCE_ROUTES] = &envoy__config__route__v3__route_configuration__descriptor,
};

#define HTTP_FILTERS(name) envoy__extensions__filters__http__##name##__descriptor
#define LB_POLICIES(name) envoy__extensions__load_balancing_policies__##name##__descriptor

static const ProtobufCMessageDescriptor *const any_descriptors[] = {
    &envoy__extensions__access_loggers__file__v3__file_access_log__descriptor,
    &envoy__extensions__access_loggers__stream__v3__stdout_access_log__descriptor,
    &envoy__extensions__access_loggers__stream__v3__stderr_access_log__descriptor,
    &HTTP_FILTERS(api_key_auth__v3__api_key_auth),
    &HTTP_FILTERS(api_key_auth__v3__api_key_auth_per_route),
    &HTTP_FILTERS(header_mutation__v3__header_mutation),
    &HTTP_FILTERS(header_mutation__v3__header_mutation_per_route),
    &HTTP_FILTERS(local_ratelimit__v3__local_rate_limit),
    &HTTP_FILTERS(router__v3__router),
    &envoy__config__route__v3__filter_config__descriptor,
    &envoy__extensions__filters__network__http_connection_manager__v3__http_connection_manager__descriptor,
    &envoy__extensions__http__early_header_mutation__header_mutation__v3__header_mutation__descriptor,
    &LB_POLICIES(least_request__v3__least_request),
    &LB_POLICIES(maglev__v3__maglev),
    &LB_POLICIES(random__v3__random),
    &LB_POLICIES(ring_hash__v3__ring_hash),
    &LB_POLICIES(round_robin__v3__round_robin),
    &envoy__extensions__request_id__uuid__v3__uuid_request_id_config__descriptor,
    &envoy__extensions__transport_sockets__raw_buffer__v3__raw_buffer__descriptor,
    &envoy__extensions__transport_sockets__tls__v3__upstream_tls_context__descriptor,
    &envoy__extensions__transport_sockets__tls__v3__downstream_tls_context__descriptor,
    &envoy__extensions__upstreams__http__v3__http_protocol_options__descriptor,
    &weir__v1__cluster_extension__descriptor,
};

struct pbjson_registry *config_dump_registry_new(void)
{
    struct pbjson_registry *registry = pbjson_registry_new();
    for (size_t i = 0; i < sizeof any_descriptors / sizeof *any_descriptors; i++)
        pbjson_registry_add(registry, any_descriptors[i]);
    return registry;
}

/* Message, field. What is not known is not shown either. */
static const struct {
    const char *message;
    const char *field;
} secrets[] = {
    {"envoy.extensions.filters.http.api_key_auth.v3.Credential", "key"},
    {"envoy.extensions.transport_sockets.tls.v3.TlsCertificate", "private_key"},
    {"envoy.extensions.transport_sockets.tls.v3.TlsCertificate", "password"},
    {"envoy.extensions.transport_sockets.tls.v3.TlsCertificate", "pkcs12"},
    {"envoy.extensions.transport_sockets.tls.v3.TlsSessionTicketKeys", "keys"},
    {"google.protobuf.Any", "value"},
};

static bool is_secret(const ProtobufCMessageDescriptor *message,
                      const ProtobufCFieldDescriptor *field)
{
    for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++)
        if (strcmp(message->name, secrets[i].message) == 0 &&
            strcmp(field->name, secrets[i].field) == 0)
            return true;
    return false;
}

static void print_resource(const struct resource *resource, const struct pbjson_registry *registry,
                           struct buf *out)
{
    struct pbjson_options options = {.registry = registry, .redact = is_secret};
    struct arena arena;
    arena_init(&arena, 64 * 1024);
    buf_append_str(out, STR("{\"name\":"));
    buf_append_json_string(out, resource->name);
    buf_printf(out, ",\"version\":\"%s\",\"resource\":", resource->version.hex);
    const ProtobufCMessage *message = pbjson_unpack(resource_descriptors[resource->type],
                                                    resource_message_bytes(resource), &arena);
    size_t before = out->len;
    if (!message || pbjson_print(message, &options, out) != 0) {
        if (!out->is_overflown)
            out->len = before;
        buf_append_str(out, STR("null"));
    }
    buf_append_char(out, '}');
    arena_done(&arena);
}

static void print_set(const struct resource_set *set, const struct pbjson_registry *registry,
                      struct buf *out)
{
    buf_printf(out, "\"%s\":{\"version\":\"%s\",\"resources\":[",
               resource_type_short_name(set->type), set->version.hex);
    for (size_t i = 0; i < set->len && !out->is_overflown; i++) {
        buf_append_str(out, i ? STR(",\n") : STR("\n"));
        print_resource(set->items[i], registry, out);
    }
    buf_append_str(out, STR("]}"));
}

static void print_entry(const struct world_entry *entry, enum resource_type type,
                        const struct pbjson_registry *registry, struct buf *out)
{
    buf_append_str(out, STR("{\"gateway\":"));
    buf_append_json_string(out, entry->gateway);
    buf_printf(out, ",\"client\":\"%s\",\"revision\":%" PRId64,
               entry->kind == CLIENT_GRPC ? "grpc" : "envoy", entry->snapshot->revision);
    for (int i = 0; i < RESOURCE_TYPE_COUNT; i++) {
        if (type != RESOURCE_TYPE_COUNT && (int)type != i)
            continue;
        buf_append_str(out, STR(",\n"));
        print_set(entry->snapshot->sets[i], registry, out);
    }
    buf_append_char(out, '}');
}

void config_dump_print(const struct world *world, const struct config_dump_filter *filter,
                       const struct pbjson_registry *registry, struct buf *out)
{
    bool is_first = true;
    buf_printf(out, "{\"revision\":%" PRId64 ",\"gateways\":[", world ? world->revision : 0);
    for (size_t i = 0; world && i < world->len && !out->is_overflown; i++) {
        const struct world_entry *entry = &world->entries[i];
        if (filter->gateway && !str_equal(entry->gateway, str_from(filter->gateway)))
            continue;
        buf_append_str(out, is_first ? STR("\n") : STR(",\n"));
        is_first = false;
        print_entry(entry, filter->type, registry, out);
    }
    buf_append_str(out, STR("]}\n"));
}
