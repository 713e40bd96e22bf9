/* A control plane for tests: a delta ADS server that notes what it is asked and says what the test
 * tells it. */
#ifndef TESTS_SUPPORT_ADS_SERVER_H
#define TESTS_SUPPORT_ADS_SERVER_H

#include "common/rpc/rpc.h"
#include "dataplane/xds/types.h"

#include <envoy/service/discovery/v3/discovery.pb-c.h>

enum { ADS_SERVER_REQUESTS_MAX = 128 };

struct ads_server {
    struct rpc_runtime *runtime;
    struct rpc_credentials *credentials;
    struct rpc_server *server;
    uint16_t port;
    struct rpc_stream *stream; /* the open one, or NULL */
    size_t streams;            /* opened so far */
    struct arena arena;
    /* All requests so far. */
    const Envoy__Service__Discovery__V3__DeltaDiscoveryRequest *requests[ADS_SERVER_REQUESTS_MAX];
    size_t request_count;
    unsigned nonce;
};

/* Listens on 127.0.0.1; port 0: any. */
void ads_server_start(struct ads_server *server, struct rpc_runtime *runtime, uint16_t port);
/* The same with TLS, say; takes credentials. */
void ads_server_start_with(struct ads_server *server, struct rpc_runtime *runtime, uint16_t port,
                           struct rpc_credentials *credentials);
/* Cuts the stream and closes the port. */
void ads_server_stop(struct ads_server *server);

/* A resource of a response. bytes empty: removed. */
struct ads_resource {
    const char *name;
    const char *version;
    struct str bytes;
};
/* Sends a response with nonce "n<number>". */
void ads_server_send(struct ads_server *server, enum xds_type type,
                     const struct ads_resource *resources, size_t count);
/* Requests of a type, in order; NULL where there are not so many. */
const Envoy__Service__Discovery__V3__DeltaDiscoveryRequest *
ads_server_request(const struct ads_server *server, enum xds_type type, size_t index);

#endif
