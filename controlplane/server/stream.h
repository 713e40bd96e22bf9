/*
 * One xDS stream: aggregated or of one type, state of the world or delta. It knows its node, holds
 * a subscription per type and follows the plan (plan.h) from one published snapshot to the next.
 *
 * What a client refuses concerns that resource alone: the plan goes on with everything else, what
 * was refused is not sent again before its content changes, and of what would be removed only the
 * clusters stay that older routes name which the client goes on using. A delta client that comes
 * back with older content takes the steps of a plan, too: clusters that are gone are removed when
 * its routes have been accepted.
 *
 * No I/O and no clock: bytes come in through stream_message, go out through the transport it was
 * given, and time is an argument. controlplane/server/ads.c connects it with gRPC.
 *
 * Everything here belongs to the control plane's loop thread.
 */
#ifndef CONTROLPLANE_SERVER_STREAM_H
#define CONTROLPLANE_SERVER_STREAM_H

#include "common/base/arena.h"
#include "common/rpc/rpc.h"
#include "controlplane/server/plan.h"
#include "controlplane/server/subscription.h"
#include "controlplane/snapshot/keep.h"
#include "controlplane/snapshot/world.h"
#include "controlplane/status/ledger.h"

enum {
    /* A client that does not answer, or does not ask for the endpoints of a new cluster, holds its
     * own plan up for so long. */
    STREAM_STEP_TIMEOUT_MS = 5000,
    /* The same for one that never asked for endpoints on this stream. */
    STREAM_NO_ENDPOINTS_TIMEOUT_MS = 1000,
    /* Of a node's id, gateway and name. */
    STREAM_NODE_BYTES_MAX = 512,
    /* Memory that all subscriptions together may take for names. */
    STREAM_SUBSCRIPTION_BYTES_MAX = 1024 * 1024 * 1024,
    /* What a gRPC client takes in one message unless it was told otherwise, with some room. */
    STREAM_GRPC_RESPONSE_BYTES_MAX = 3584 * 1024,
};

/* Counted since the start. */
struct stream_counters {
    uint64_t requests;
    uint64_t responses[RESOURCE_TYPE_COUNT];
    uint64_t acks[RESOURCE_TYPE_COUNT];
    uint64_t nacks[RESOURCE_TYPE_COUNT];
    uint64_t response_bytes;
    uint64_t response_resources;
    uint64_t bad_requests;  /* streams ended because of a request */
    uint64_t unknown_types; /* requests for types that are not served */
    uint64_t step_timeouts; /* plans that went on without the client's answer */
    uint64_t removals_kept; /* plans that ended with clusters kept for what older routes name */
};

/* What all streams of a server share. */
struct stream_context {
    struct world *world;      /* what is published; NULL before the first */
    struct snapshot *nothing; /* for nodes of a gateway that does not exist (yet) */
    struct diff_cache diffs;
    struct bridge_cache bridges;
    struct keep_cache kept;
    struct response response; /* scratch */
    struct arena arena;       /* scratch, for requests */
    struct ledger *ledger;    /* borrowed; NULL: none */
    size_t subscription_bytes;
    struct stream_counters counters;
};

void stream_context_init(struct stream_context *context, struct ledger *ledger);
/* All streams must be gone. */
void stream_context_done(struct stream_context *context);

/* How a stream's words get out. response is borrowed. finish ends the stream; what it is called
 * with is for the client to read. */
struct stream_transport {
    void (*send)(void *arg, const struct response *response);
    void (*finish)(void *arg, enum rpc_status status, const char *text);
    void *arg;
};

struct stream {
    struct stream_context *context;
    struct stream_transport transport;
    uint64_t id;
    bool is_delta;
    enum resource_type only; /* RESOURCE_TYPE_COUNT: aggregated */
    bool has_node;
    bool is_finished;
    bool is_gateway_known;
    enum client_kind kind;
    struct str address; /* owned, as the rest of the node */
    struct str node_id;
    struct str gateway;
    struct str user_agent;
    bool is_weir_proxy;
    struct subscription *subscriptions[RESOURCE_TYPE_COUNT]; /* NULL: not asked for */
    size_t counted_bytes;                                    /* of them, in the context's sum */
    struct plan plan;
    bool node_change_is_told;
    bool is_resuming;     /* it came back with older content; see enum subscription_hold */
    size_t refused_count; /* of listeners and routes, when something was last kept */
    struct snapshot *unknown_since; /* see struct stale; NULL: nothing is unknown */
    uint64_t goal_publication;      /* the last one for which the plan's goal is the newest */
    uint64_t deadline_ms; /* when the plan goes on without an answer; UINT64_MAX: nothing waits */
    uint64_t step_since_ms;
    uint64_t last_nonce;
    struct ledger_client *client; /* NULL before the node is known */
};

void stream_init(struct stream *stream, struct stream_context *context,
                 const struct stream_transport *transport, uint64_t id, bool is_delta,
                 enum resource_type only, struct str address);
void stream_done(struct stream *stream);
/* One message of the client. May call the transport. */
void stream_message(struct stream *stream, struct str bytes, uint64_t now_ms, uint64_t now_us);
/* context->world has changed. May call the transport. */
void stream_publish(struct stream *stream, uint64_t now_ms);
/* Time has passed: to be called at stream->deadline_ms or later. May call the transport. */
void stream_tick(struct stream *stream, uint64_t now_ms);
/* Whether it accepted all of what is published for it. */
bool stream_is_in_sync(const struct stream *stream);

#endif
