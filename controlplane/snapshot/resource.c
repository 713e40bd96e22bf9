#include "controlplane/snapshot/resource.h"

#include "common/base/mem.h"
#include "common/rpc/rpc.h"
#include "controlplane/snapshot/needs.h"
#include "controlplane/snapshot/wire.h"

/* Field numbers of google.protobuf.Any and envoy.service.discovery.v3. */
enum {
    ANY_TYPE_URL = 1,
    ANY_VALUE = 2,
    DELTA_RESOURCE_VERSION = 1,
    DELTA_RESOURCE_ANY = 2,
    DELTA_RESOURCE_NAME = 3,
    RESPONSE_RESOURCES = 2, /* the same number in both forms of response */
};
_Static_assert((int)DELTA_RESOURCE_ANY == (int)RESPONSE_RESOURCES,
               "sotw_field doubles as the Any of a delta resource");

static const struct {
    const char *url;
    const char *short_name;
    bool has_wildcard;
} types[RESOURCE_TYPE_COUNT] = {
    [RESOURCE_CLUSTER] = {"type.googleapis.com/envoy.config.cluster.v3.Cluster", "CDS", true},
    [RESOURCE_ENDPOINTS] = {"type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
                            "EDS", false},
    [RESOURCE_LISTENER] = {"type.googleapis.com/envoy.config.listener.v3.Listener", "LDS", true},
    [RESOURCE_ROUTES] = {"type.googleapis.com/envoy.config.route.v3.RouteConfiguration", "RDS",
                         false},
};

const char *resource_type_url(enum resource_type type)
{
    return types[type].url;
}

enum resource_type resource_type_from_url(struct str url)
{
    for (int type = 0; type < RESOURCE_TYPE_COUNT; type++)
        if (str_equal(url, str_from(types[type].url)))
            return (enum resource_type)type;
    return RESOURCE_TYPE_COUNT;
}

const char *resource_type_short_name(enum resource_type type)
{
    return types[type].short_name;
}

bool resource_type_has_wildcard(enum resource_type type)
{
    return types[type].has_wildcard;
}

/* The `resources` field of a DiscoveryResponse; the message comes last. */
static struct rpc_buf *encode_sotw_field(enum resource_type type, const ProtobufCMessage *message,
                                         size_t message_len)
{
    struct str url = str_from(types[type].url);
    size_t any_len = wire_field_len(url.len) + wire_field_len(message_len);
    char *to;
    struct rpc_buf *buf = rpc_buf_new(wire_field_len(any_len), &to);
    to = wire_put_field_head(to, RESPONSE_RESOURCES, any_len);
    to = wire_put_field(to, ANY_TYPE_URL, url);
    to = wire_put_field_head(to, ANY_VALUE, message_len);
    protobuf_c_message_pack(message, (uint8_t *)to);
    return buf;
}

/* The `resources` field of a DeltaDiscoveryResponse without its Any, which sotw_field is. */
static struct rpc_buf *encode_delta_head(const struct resource *resource)
{
    struct str version = str_from(resource->version.hex);
    size_t own_len = wire_field_len(version.len) + wire_field_len(resource->name.len);
    size_t resource_len = own_len + rpc_buf_str(resource->sotw_field).len;
    char *to;
    struct rpc_buf *buf = rpc_buf_new(1 + wire_varint_len(resource_len) + own_len, &to);
    to = wire_put_field_head(to, RESPONSE_RESOURCES, resource_len);
    to = wire_put_field(to, DELTA_RESOURCE_VERSION, version);
    wire_put_field(to, DELTA_RESOURCE_NAME, resource->name);
    return buf;
}

struct resource *resource_new(enum resource_type type, struct str name,
                              const ProtobufCMessage *message)
{
    struct resource *resource = mem_alloc_zero(1, sizeof *resource + name.len + 1);
    char *name_bytes = (char *)(resource + 1);
    if (name.len)
        memcpy(name_bytes, name.data, name.len);
    size_t message_len = protobuf_c_message_get_packed_size(message);
    ASSERT(message_len <= UINT32_MAX);
    resource->type = type;
    resource->refs = 1;
    resource->message_len = (uint32_t)message_len;
    resource->name = (struct str){.data = name_bytes, .len = name.len};
    resource->sotw_field = encode_sotw_field(type, message, message_len);
    resource->version = content_hash_of(resource_message_bytes(resource));
    resource->delta_head = encode_delta_head(resource);
    needs_of_message(message, &resource->needs);
    return resource;
}

struct resource *resource_ref(struct resource *resource)
{
    resource->refs++;
    return resource;
}

void resource_unref(struct resource *resource)
{
    if (!resource || --resource->refs)
        return;
    rpc_buf_unref(resource->sotw_field);
    rpc_buf_unref(resource->delta_head);
    for (size_t i = 0; i < resource->needs.len; i++)
        mem_free(resource->needs.items[i]);
    vec_done(&resource->needs);
    mem_free(resource);
}

bool resource_is_same(const struct resource *a, const struct resource *b)
{
    if (a == b || !a || !b)
        return a == b;
    return memcmp(a->version.hex, b->version.hex, sizeof a->version.hex) == 0;
}

size_t resource_encoded_len(const struct resource *resource, bool is_delta)
{
    return rpc_buf_str(resource->sotw_field).len +
           (is_delta ? rpc_buf_str(resource->delta_head).len : 0);
}

struct str resource_message_bytes(const struct resource *resource)
{
    struct str field = rpc_buf_str(resource->sotw_field);
    return str_slice(field, field.len - resource->message_len, field.len);
}
