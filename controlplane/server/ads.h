/*
 * The xDS server: gRPC streams of the aggregated and of the per-type services, in both forms, each
 * with a struct stream (stream.h) behind it; and the publication of a new world to all of them.
 *
 * A publication walks the streams in slices, so that a thousand of them do not hold up the loop.
 * What a client that does not read is owed is bounded: one response per type.
 *
 * Everything here belongs to the control plane's loop thread.
 */
#ifndef CONTROLPLANE_SERVER_ADS_H
#define CONTROLPLANE_SERVER_ADS_H

#include "common/rpc/rpc.h"
#include "controlplane/server/histogram.h"
#include "controlplane/server/stream.h"

struct ads_server;

enum {
    /* Requests may carry the versions of all that a client has: 50,000 names are some MiB. */
    ADS_REQUEST_BYTES_MAX = 32 * 1024 * 1024,
    ADS_STREAMS_MAX = 20 * 1000,
    ADS_CONNECTION_STREAMS_MAX = 2000,
    /* Streams visited between two looks at what else the loop has to do. */
    ADS_STREAMS_PER_SLICE = 32,
};

struct ads_stats {
    size_t streams;
    size_t streams_to_visit; /* of the publication under way */
    uint64_t streams_accepted;
    uint64_t streams_unavailable; /* refused because nothing was published yet */
    uint64_t publications;
    size_t subscription_bytes;
    struct stream_counters counters;
    struct histogram publish_seconds; /* from ads_publish to the last stream visited */
};

/* ledger is borrowed and must outlive the server. It does not listen yet. */
struct ads_server *ads_new(struct rpc_runtime *runtime, struct ledger *ledger);
/* Before ads_start; may be called for several addresses. credentials NULL: plaintext, which is
 * warned of where the address is not on loopback. ERR_IO with a sentence where it cannot listen.
 * ret_port may be NULL. */
int ads_listen(struct ads_server *server, const char *address, struct rpc_credentials *credentials,
               uint16_t *ret_port, struct errmsg *ret_msg) MUST_CHECK;
/* Begins to accept. Until the first publication streams are refused with UNAVAILABLE. */
void ads_start(struct ads_server *server);
/* Takes world. A world with nothing new in it reaches nobody. */
void ads_publish(struct ads_server *server, struct world *world);
/* The world that is published, borrowed, or NULL. */
const struct world *ads_world(const struct ads_server *server);
/* Ends all streams with UNAVAILABLE; on_stopped (may be NULL) when nothing is left. */
void ads_stop(struct ads_server *server, int grace_ms, rpc_server_stopped_fn *on_stopped,
              void *arg);
/* Streams that are left are cancelled; their ends come from the loop or from rpc_runtime_free, and
 * with the last of them the memory goes. NULL is fine. */
void ads_free(struct ads_server *server);

struct ads_stats ads_stats(const struct ads_server *server);
typedef void ads_visit_fn(void *arg, const struct stream *stream);
void ads_visit_streams(const struct ads_server *server, ads_visit_fn *visit, void *arg);

#endif
