/*
 * The subscription to the control plane: one delta ADS stream for clusters, endpoints, listeners
 * and routes. What comes in goes to the store (store.h); each response is acknowledged, or refused
 * with the sentences of its bad resources, while its good ones are taken in, as in Envoy. When the
 * stream ends it is opened again after ADS_BACKOFF_MIN_MS to ADS_BACKOFF_MAX_MS (growing, with
 * jitter), and says what it holds (initial_resource_versions), so that nothing unchanged comes
 * again. Main thread.
 */
#ifndef DATAPLANE_XDS_ADS_CLIENT_H
#define DATAPLANE_XDS_ADS_CLIENT_H

#include "common/rpc/rpc.h"
#include "dataplane/xds/store.h"

#include <envoy/config/core/v3/base.pb-c.h>

struct ads_client;

enum ads_limit {
    ADS_BACKOFF_MIN_MS = 500,
    ADS_BACKOFF_MAX_MS = 10000,
    /* A stream that is open for so long without an answer counts as current: a server that has
     * nothing new may say nothing. */
    ADS_SILENCE_MS = 3000,
    /* Sentences in one refusal. Each names a resource; what does not fit is counted. */
    ADS_NACK_BYTES_MAX = 8192,
};

struct ads_client_options {
    struct rpc_runtime *runtime;
    struct store *store;
    const char *target; /* rpc_channel_new */
    struct rpc_credentials *credentials;
    const struct rpc_metadata *metadata; /* headers of the stream */
    size_t metadata_count;
    const char *tls_server_name;               /* NULL: the target's host */
    bool skips_listeners, skips_clusters;      /* not to be asked for */
    const Envoy__Config__Core__V3__Node *node; /* who we are; encoded by ads_client_new */
};

/* Everything in options is copied or referenced. Opens the stream at once. */
struct ads_client *ads_client_new(const struct ads_client_options *options);
/* NULL is fine. Before store_free and rpc_runtime_free. */
void ads_client_free(struct ads_client *client);

/* For store_output: names that are wanted, or no more. Sent within a turn or two of the loop. */
void ads_client_subscribe(struct ads_client *client, enum xds_type type, struct str name);
void ads_client_unsubscribe(struct ads_client *client, enum xds_type type, struct str name);
/* Opens a new stream: what is in the store came from elsewhere and must be told to the server. */
void ads_client_restart(struct ads_client *client);

struct ads_status {
    bool is_connected;       /* a stream is open */
    bool is_current;         /* connected, and the server has answered or has nothing to say */
    bool has_answered;       /* any response since the start of the process */
    uint64_t connects_total; /* streams opened */
    uint64_t accepted[XDS_TYPE_COUNT]; /* responses acknowledged … */
    uint64_t rejected[XDS_TYPE_COUNT]; /* … and refused */
    uint64_t lost_at_ms;       /* clock_monotonic_ms when the stream was lost, or when the client
                                  was made; 0 while is_current */
    const char *last_error;    /* why the stream ended last; "" where it did not. Borrowed */
    const char *control_plane; /* the server's own name; "" where unknown. Borrowed */
};
struct ads_status ads_client_status(const struct ads_client *client);

/* How long to wait before the next stream after so many failures in a row. Never the same for all
 * proxies, the first time included: they all lose their streams together when a control plane
 * restarts. Pure. */
uint64_t ads_backoff_ms(unsigned failures, uint64_t random);

#endif
