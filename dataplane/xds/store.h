/*
 * What has been received, by type and name, and the configuration that it makes.
 *
 *     store_put, store_remove  ->  parts  ->  (end of the loop turn)  ->  publish
 *
 * A listener goes live when its route table is there, a cluster when its endpoints are; until then
 * the version before it stays (warming, as in Envoy), at most for the fetch timeout of its source.
 * Only LDS and CDS remove anything: endpoints and routes are kept as long as a cluster or listener
 * names them, and dropped a while (STORE_LINGER_MS) after the last has gone.
 *
 * Routes and the clusters that they lead to are kept together, in whatever order they come and go:
 * a route table waits for those of its clusters that are warming, and a cluster that was removed
 * stays while live routes lead to it, both for a while.
 * Everything that came in one turn of the loop is one
 * publish. Nothing is published before begin has been called and, when resources are expected from
 * a control plane, before the first of them are complete (or INIT_TIMEOUT_MS have passed).
 *
 * Main thread. Knows nothing of gRPC or files.
 */
#ifndef DATAPLANE_XDS_STORE_H
#define DATAPLANE_XDS_STORE_H

#include "common/io/loop.h"
#include "dataplane/xds/decode.h"
#include "dataplane/xds/types.h"

struct store;

enum store_limit {
    STORE_RESOURCES_MAX = 100000,         /* of one type */
    STORE_NAME_BYTES_MAX = 4096,          /* of one resource */
    STORE_BYTES_MAX = 1024 * 1024 * 1024, /* all encoded resources together */
    STORE_INIT_TIMEOUT_MS = 15000,        /* for the first resources to be complete */
    STORE_BIND_RETRY_MS = 3000,           /* a port that was taken is tried again */
    STORE_LINGER_MS = 10000,      /* endpoints and routes stay subscribed when nobody names them */
    STORE_ROUTES_HOLD_MS = 15000, /* longest wait of routes for their clusters */
    STORE_CLUSTER_HOLD_MS = 5000, /* longest stay of a removed cluster that routes lead to */
};

/* What the store does to the world; each is called on the main thread. */
struct store_output {
    void *arg;
    /* Opens a listener's sockets, or says why not (listener/worker.h worker_pool_bind). */
    int (*bind)(void *arg, const struct listener_config *listener, struct errmsg *msg);
    /* A new configuration, borrowed (worker.h config_publish). */
    void (*publish)(void *arg, struct config *config);
    /* Names of endpoints or routes that are wanted from now on, or no more. A listener is asked for
     * by name when it got its address after it had been refused, or lost it after it had been
     * accepted: the answer to what is sent then corrects that. At the end of the turn, before
     * publish. May be NULL. */
    void (*subscribe)(void *arg, enum xds_type type, struct str name);
    void (*unsubscribe)(void *arg, enum xds_type type, struct str name);
    /* All that is live has changed: time to save it. May be NULL. */
    void (*changed)(void *arg);
};

struct store_options {
    struct loop *loop;
    struct decode_context *decode; /* borrowed for good */
    struct store_output output;
    bool expects_control_plane; /* else everything is static */
    uint64_t init_timeout_ms;   /* 0: STORE_INIT_TIMEOUT_MS */
    uint64_t linger_ms;         /* 0: STORE_LINGER_MS */
    uint64_t hold_ms;           /* 0: STORE_ROUTES_HOLD_MS and STORE_CLUSTER_HOLD_MS */
};

struct store *store_new(const struct store_options *options);
/* Drops everything; NULL is fine. What was published lives on by its references. */
void store_free(struct store *store);

/* Takes in one resource (name, version and bytes are copied). 0: accepted, or the same as before.
 * ERR_* with a sentence that names the resource: the version before stays, and admin pages show the
 * sentence. is_static: from the bootstrap; a later one of that name from the control plane has no
 * effect. */
int store_put(struct store *store, enum xds_type type, struct str name, struct str version,
              struct str bytes, bool is_static, struct errmsg *msg) MUST_CHECK;
/* The control plane removed it, or says that there is none. Listeners go, clusters as well (while
 * live routes lead to them, later); of endpoints and routes what is in use stays, and who waits for
 * them goes live without. */
void store_remove(struct store *store, enum xds_type type, struct str name);
/* Forgets listeners and clusters that were refused and that nothing is live of: a new stream
 * begins, and the server, which is not told of them, sends again those that there still are. */
void store_forget_refused(struct store *store);
/* The first response of a type has been taken in (or will not come). */
void store_type_received(struct store *store, enum xds_type type);
/* Static resources are in: publishing may begin. */
void store_begin(struct store *store);
/* Gives up waiting for the control plane's first resources: what there is goes live. */
void store_end_init(struct store *store);
/* Whether the control plane has answered for listeners and for clusters: what is here is all. */
bool store_is_complete(const struct store *store);
/* Whether something has been published. */
bool store_is_live(const struct store *store);
/* The configuration published last, borrowed; NULL before the first. */
struct config *store_config(const struct store *store);

/* A resource for admin pages and the copy on disk; borrowed during the visit. */
struct store_view {
    enum xds_type type;
    struct str name, version, bytes; /* of what was accepted last; empty: nothing yet */
    uint64_t updated_wall_us;
    bool is_static;
    bool is_warming;
    bool is_subscribed;  /* endpoints and routes: store_output.subscribe has been called for it */
    bool waits_for_port; /* a listener: its address is taken */
    struct str error;    /* why the newest version was refused or cannot go live; empty: neither */
    struct str error_version;
};
typedef void store_visit_fn(const struct store_view *view, void *arg);
/* All resources of a type, in no order; not the clusters that stay after their removal. */
void store_visit(const struct store *store, enum xds_type type, store_visit_fn *visit, void *arg);
/* How many of a type have been accepted. */
size_t store_count(const struct store *store, enum xds_type type);
/* Updates refused since the start. */
uint64_t store_rejected_total(const struct store *store);

#endif
