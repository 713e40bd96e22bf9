/* A loop, a runtime, an echo server on a port of the kernel's choice, and a client that notes what
 * it is told: what the tests of common/rpc have in common. */
#ifndef TESTS_SUPPORT_RPC_RIG_H
#define TESTS_SUPPORT_RPC_RIG_H

#include "common/rpc/rpc.h"

#define RPC_RIG_ECHO "/test.Echo/Stream" /* answers each message with itself */

struct rpc_rig {
    struct loop *loop;
    struct rpc_runtime *runtime;
    struct rpc_credentials *insecure;
    struct rpc_server *server;
    struct rpc_channel *channel;
    uint16_t port;
    struct rpc_server_options server_options;
    struct rpc_channel_options channel_options;

    /* The server's side, of the stream accepted last. */
    struct rpc_stream *accepted;
    size_t accepted_count;
    bool is_quiet; /* do not echo */
    size_t server_messages;
    bool has_half_closed;
    size_t server_closed_count;
    enum rpc_status server_status;
    bool is_stopped;
};

struct rpc_client {
    struct rpc_stream *stream;
    size_t messages;
    size_t bytes;
    char last[64]; /* the last message's first bytes */
    bool is_writable;
    bool is_closed;
    enum rpc_status status;
    char text[256];
};

/* Loop, runtime and plaintext credentials. */
void rpc_rig_init(struct rpc_rig *rig);
/* Starts a server with the echo method on 127.0.0.1:port (0: any free one) with
 * rig->server_options; credentials NULL: plaintext. */
void rpc_rig_serve(struct rpc_rig *rig, uint16_t port, struct rpc_credentials *credentials);
/* Opens rig->channel to that port, with rig->channel_options. */
void rpc_rig_connect(struct rpc_rig *rig, struct rpc_credentials *credentials);
/* Stops rig->server and waits for it. */
void rpc_rig_stop_server(struct rpc_rig *rig, int grace_ms);
/* Frees everything, the gRPC library included. */
void rpc_rig_done(struct rpc_rig *rig);

void rpc_client_open(struct rpc_client *client, struct rpc_channel *channel, const char *method);
void rpc_client_send(struct rpc_client *client, const char *text);

#endif
