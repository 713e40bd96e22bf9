#include "controlplane/server/response.h"

#include "common/base/mem.h"
#include "common/rpc/rpc.h"
#include "controlplane/snapshot/wire.h"

#include <inttypes.h>
#include <stdio.h>

/* The same numbers in DiscoveryResponse and DeltaDiscoveryResponse, but for the last. */
enum { FIELD_VERSION = 1, FIELD_TYPE_URL = 4, FIELD_NONCE = 5, FIELD_REMOVED_RESOURCES = 6 };

void response_init(struct response *response)
{
    *response = (struct response){0};
    buf_init(&response->tail, RESPONSE_TAIL_BYTES_MAX);
}

void response_done(struct response *response)
{
    mem_free(response->parts);
    buf_done(&response->tail);
}

void response_reset(struct response *response)
{
    response->len = 0;
    response->bytes = 0;
    response->resource_count = 0;
    response->removed_count = 0;
    buf_reset(&response->tail);
}

void response_add_buf(struct response *response, struct rpc_buf *buf)
{
    if (response->len == response->cap) {
        response->cap = response->cap ? response->cap * 2 : 64;
        response->parts = mem_resize(response->parts, response->cap, sizeof *response->parts);
    }
    response->parts[response->len++] = buf;
    response->bytes += rpc_buf_str(buf).len;
}

void response_add_resource(struct response *response, const struct resource *resource,
                           bool is_delta)
{
    if (is_delta)
        response_add_buf(response, resource->delta_head);
    response_add_buf(response, resource->sotw_field);
    response->resource_count++;
}

static void add_field(struct response *response, int number, struct str bytes)
{
    char *to = buf_reserve(&response->tail, wire_field_len(bytes.len));
    ASSERT(to);
    response->tail.len += (size_t)(wire_put_field(to, number, bytes) - to);
}

void response_add_removed(struct response *response, struct str name)
{
    add_field(response, FIELD_REMOVED_RESOURCES, name);
    response->removed_count++;
}

void response_finish(struct response *response, enum resource_type type,
                     const struct content_hash *version, uint64_t nonce)
{
    char text[24];
    int len = snprintf(text, sizeof text, "%" PRIu64, nonce);
    add_field(response, FIELD_VERSION, str_from(version->hex));
    add_field(response, FIELD_TYPE_URL, str_from(resource_type_url(type)));
    add_field(response, FIELD_NONCE, (struct str){.data = text, .len = (size_t)len});
    response->bytes += response->tail.len;
}
