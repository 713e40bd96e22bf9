/* Talks to one etcd member at a time: endpoints, TLS, the token. Requests and answers are bytes. */
#ifndef CONTROLPLANE_SOURCE_ETCD_CLIENT_H
#define CONTROLPLANE_SOURCE_ETCD_CLIENT_H

#include "common/rpc/rpc.h"
#include "controlplane/source/source.h"

struct etcd_client;

/* Copies what it needs of options. NULL with a sentence in msg where an endpoint cannot be
 * understood or a TLS file not be read. */
struct etcd_client *etcd_client_new(struct rpc_runtime *runtime,
                                    const struct source_etcd_options *options,
                                    struct errmsg *msg) MUST_CHECK;
/* Calls and streams must have been ended. NULL is fine. */
void etcd_client_free(struct etcd_client *client);

/* The endpoint in use, as it was written. */
const char *etcd_client_endpoint(const struct etcd_client *client);
size_t etcd_client_endpoint_count(const struct etcd_client *client);
/* A new connection to the endpoint, made by the next call. ERR_INVALID or ERR_IO where the TLS
 * files have become unusable: there is no channel then and nothing may be called. */
int etcd_client_connect(struct etcd_client *client, struct errmsg *msg) MUST_CHECK;
/* Goes on to the next endpoint of the list, for the next connect; forgets the token. */
void etcd_client_advance(struct etcd_client *client);

/* There is a user, and no token for it yet. */
bool etcd_client_needs_token(const struct etcd_client *client);
void etcd_client_set_token(struct etcd_client *client, const char *token);
/* Asks for a token; its answer is a etcdserverpb.AuthenticateResponse. */
struct rpc_call *etcd_client_authenticate(struct etcd_client *client, rpc_call_done_fn *on_done,
                                          void *arg);
/* One request, with the token. */
struct rpc_call *etcd_client_call(struct etcd_client *client, const char *method,
                                  const ProtobufCMessage *request, rpc_call_done_fn *on_done,
                                  void *arg);
/* A stream of the Watch service that ends when the member loses its leader. */
struct rpc_stream *etcd_client_watch(struct etcd_client *client,
                                     const struct rpc_stream_events *events, void *arg);

#endif
