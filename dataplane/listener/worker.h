/*
 * A worker: one thread, one loop, its own listeners (SO_REUSEPORT), connections, pools and
 * statistics blocks. Workers share nothing but the configuration and the few counted things in
 * shared_state.h.
 */
#ifndef DATAPLANE_LISTENER_WORKER_H
#define DATAPLANE_LISTENER_WORKER_H

#include "common/base/chunk.h"
#include "common/io/loop.h"
#include "dataplane/config/config.h"

struct access_log_writer; /* http/access_log.h */
struct cluster;           /* upstream/cluster.h */
struct worker_pool;

/* One worker's hold on one configuration. Streams count on it; when the worker has moved on and the
 * last stream is done, it is posted to the main thread, which drops the configuration. */
struct config_lease {
    struct config *config;
    struct worker *worker;
    uint32_t refs;
    struct loop_post post;
};

struct worker {
    uint32_t index;
    struct loop *loop;
    struct worker_pool *pool;
    struct chunk_pool chunks;
    struct config_lease *lease; /* the newest; NULL before the first */
    struct cluster **clusters;  /* by slot; NULL: no such cluster */
    uint32_t cluster_slots;
    struct access_log_writer *log_writer;
    uint64_t random_state; /* xorshift; for weighted arms and request ids */
    bool is_draining;
};

struct worker_pool_options {
    uint32_t workers;
    struct loop *main_loop; /* where leases go back to */
    struct access_log_writer *log_writer;
};

/* Starts the threads. Main thread, as are all worker_pool functions. */
struct worker_pool *worker_pool_new(const struct worker_pool_options *options);
/* Opens a listening socket per worker for a new listener (or takes over the running listener's, by
 * name and address). 0, or ERR_* with a sentence ("listener public/http: 127.0.0.1:8080: address
 * already in use"); nothing is changed then. Called before config_publish, so that a port that is
 * taken is a NACK and not a surprise. */
int worker_pool_bind(struct worker_pool *pool, const struct listener_config *listener,
                     struct errmsg *msg) MUST_CHECK;
/* Gives config (takes a reference of its own) to every worker; each takes it at its next loop turn.
 * Listeners that are not in it any more drain. */
void config_publish(struct worker_pool *pool, struct config *config);
/* True once every worker runs the newest published configuration. */
bool worker_pool_is_current(const struct worker_pool *pool);
/* Stops accepting; "Connection: close" on every response; on_done on the main loop when the last
 * connection is gone or after timeout_ms. */
void worker_pool_drain(struct worker_pool *pool, uint64_t timeout_ms, void (*on_done)(void *arg),
                       void *arg);
/* Stops and joins the threads and frees the pool. */
void worker_pool_free(struct worker_pool *pool);

struct config_lease *config_lease_ref(struct config_lease *lease);
/* Worker's thread. */
void config_lease_unref(struct config_lease *lease);
/* 64 random bits, not for secrets. */
uint64_t worker_random(struct worker *worker);

#endif
