/* Who is at the other end of a server's stream. */
#include "common/rpc/rpc_internal.h"

/* Names a certificate may have; more are left out. Protects memory from huge certificates. */
enum { NAMES_MAX = 64 };

static void add_property(struct arena *arena, struct rpc_peer *peer, struct str *names,
                         const grpc_auth_property *property)
{
    struct str value = {.data = property->value, .len = property->value_length};
    if (strcmp(property->name, GRPC_X509_CN_PROPERTY_NAME) == 0)
        peer->common_name = arena_copy_str(arena, value);
    else if (strcmp(property->name, GRPC_X509_SAN_PROPERTY_NAME) == 0 &&
             peer->name_count < NAMES_MAX)
        names[peer->name_count++] = arena_copy_str(arena, value);
}

static void read_certificate(struct arena *arena, struct rpc_peer *peer, grpc_auth_context *context)
{
    peer->is_authenticated = grpc_auth_context_peer_is_authenticated(context) != 0;
    if (!peer->is_authenticated)
        return;
    struct str *names = arena_alloc_array(arena, NAMES_MAX, sizeof *names);
    peer->names = names;
    grpc_auth_property_iterator iterator = grpc_auth_context_property_iterator(context);
    const grpc_auth_property *property;
    while ((property = grpc_auth_property_iterator_next(&iterator)))
        add_property(arena, peer, names, property);
}

const struct rpc_peer *rpc_stream_peer(struct rpc_stream *stream)
{
    if (stream->peer)
        return stream->peer;
    struct rpc_peer *peer = ARENA_NEW(&stream->arena, struct rpc_peer);
    stream->peer = peer;
    char *address = grpc_call_get_peer(stream->call);
    if (address)
        peer->address = arena_copy_str(&stream->arena, str_from(address));
    gpr_free(address);
    grpc_auth_context *context = grpc_call_auth_context(stream->call);
    if (context)
        read_certificate(&stream->arena, peer, context);
    grpc_auth_context_release(context);
    return peer;
}
