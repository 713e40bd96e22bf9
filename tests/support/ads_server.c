#include "tests/support/ads_server.h"

#include "tests/support/port.h"
#include "tests/support/test.h"

#include <stdio.h>

typedef Envoy__Service__Discovery__V3__DeltaDiscoveryRequest delta_request;

static void on_message(void *arg, struct rpc_stream *stream, struct str data)
{
    struct ads_server *server = arg;
    (void)stream;
    ProtobufCMessage *message = pbjson_unpack(
        &envoy__service__discovery__v3__delta_discovery_request__descriptor, data, &server->arena);
    ck_assert_ptr_nonnull(message);
    ck_assert_uint_lt(server->request_count, ADS_SERVER_REQUESTS_MAX);
    server->requests[server->request_count++] = (const delta_request *)message;
}

static void on_half_close(void *arg, struct rpc_stream *stream)
{
    (void)arg;
    rpc_stream_finish(stream, RPC_STATUS_OK, "");
}

static void on_closed(void *arg, struct rpc_stream *stream, enum rpc_status status,
                      const char *text)
{
    struct ads_server *server = arg;
    (void)status, (void)text;
    if (server->stream == stream)
        server->stream = NULL;
}

static void on_accept(void *arg, struct rpc_stream *stream)
{
    static const struct rpc_stream_events events = {
        .on_message = on_message, .on_half_close = on_half_close, .on_closed = on_closed};
    struct ads_server *server = arg;
    server->stream = stream;
    server->streams++;
    rpc_stream_set_user(stream, &events, server);
}

void ads_server_start(struct ads_server *server, struct rpc_runtime *runtime, uint16_t port)
{
    ads_server_start_with(server, runtime, port, rpc_credentials_new_insecure());
}

void ads_server_start_with(struct ads_server *server, struct rpc_runtime *runtime, uint16_t port,
                           struct rpc_credentials *credentials)
{
    char address[32];
    struct errmsg msg;
    *server = (struct ads_server){.runtime = runtime};
    arena_init(&server->arena, 64 * 1024);
    server->credentials = credentials;
    server->server = rpc_server_new(runtime, &(struct rpc_server_options){.keepalive_ms = 0});
    rpc_server_route(server->server,
                     "/envoy.service.discovery.v3.AggregatedDiscoveryService/"
                     "DeltaAggregatedResources",
                     on_accept, server);
    snprintf(address, sizeof address, "127.0.0.1:%u", port ? port : reserve_port());
    int err = rpc_server_listen(server->server, address, server->credentials, &server->port, &msg);
    ck_assert_msg(err == 0, "%s", msg.text);
    rpc_server_start(server->server);
}

void ads_server_stop(struct ads_server *server)
{
    if (server->stream)
        rpc_stream_abandon(server->stream);
    server->stream = NULL;
    rpc_server_free(server->server);
    rpc_credentials_unref(server->credentials);
    arena_done(&server->arena);
}

void ads_server_send(struct ads_server *server, enum xds_type type,
                     const struct ads_resource *resources, size_t count)
{
    typedef Envoy__Service__Discovery__V3__Resource resource_message;
    Envoy__Service__Discovery__V3__DeltaDiscoveryResponse response =
        ENVOY__SERVICE__DISCOVERY__V3__DELTA_DISCOVERY_RESPONSE__INIT;
    char *nonce = arena_printf(&server->arena, "n%u", ++server->nonce);
    response.type_url = (char *)xds_type_url(type).data;
    response.nonce = nonce;
    response.resources = arena_alloc_array(&server->arena, count, sizeof(resource_message *));
    response.removed_resources = arena_alloc_array(&server->arena, count, sizeof(char *));
    for (size_t i = 0; i < count; i++) {
        char *name = arena_copy_string(&server->arena, resources[i].name);
        if (resources[i].bytes.len == 0) {
            response.removed_resources[response.n_removed_resources++] = name;
            continue;
        }
        resource_message *resource = ARENA_NEW(&server->arena, resource_message);
        envoy__service__discovery__v3__resource__init(resource);
        resource->name = name;
        resource->version = arena_copy_string(&server->arena, resources[i].version);
        resource->resource = ARENA_NEW(&server->arena, Google__Protobuf__Any);
        google__protobuf__any__init(resource->resource);
        resource->resource->type_url = response.type_url;
        resource->resource->value = (ProtobufCBinaryData){
            .len = resources[i].bytes.len, .data = (uint8_t *)resources[i].bytes.data};
        response.resources[response.n_resources++] = resource;
    }
    struct rpc_buf *buf = rpc_buf_pack(&response.base);
    ck_assert_ptr_nonnull(server->stream);
    ck_assert_int_eq(rpc_stream_send_buf(server->stream, buf), 0);
    rpc_buf_unref(buf);
}

const delta_request *ads_server_request(const struct ads_server *server, enum xds_type type,
                                        size_t index)
{
    for (size_t i = 0; i < server->request_count; i++)
        if (str_equal(str_from(server->requests[i]->type_url), xds_type_url(type)) && index-- == 0)
            return server->requests[i];
    return NULL;
}
