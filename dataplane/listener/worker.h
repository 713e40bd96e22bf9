/*
 * The workers of the proxy: starting them, giving them configurations and listening sockets
 * (SO_REUSEPORT, one per worker), draining, stopping. What a worker is: config/worker.h.
 */
#ifndef DATAPLANE_LISTENER_WORKER_H
#define DATAPLANE_LISTENER_WORKER_H

#include "dataplane/config/worker.h"

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
/* The port it got there, for an address with port 0; 0 where the address is not bound. */
uint16_t worker_pool_port(const struct worker_pool *pool, struct str address);
/* Gives config (takes a reference of its own) to every worker; each takes it at its next loop turn.
 * Listeners that are not in it any more drain. */
void config_publish(struct worker_pool *pool, struct config *config);
/* True once every worker runs the newest published configuration. */
bool worker_pool_is_current(const struct worker_pool *pool);
/* Stops accepting; "Connection: close" on every response; on_done on the main loop when the last
 * connection is gone or after timeout_ms. */
void worker_pool_drain(struct worker_pool *pool, uint64_t timeout_ms, void (*on_done)(void *arg),
                       void *arg);
/* How many workers there are, and one of them (for loop_post to its loop; any thread). */
uint32_t worker_pool_size(const struct worker_pool *pool);
struct worker *worker_pool_worker(struct worker_pool *pool, uint32_t index);
/* Stops and joins the threads, cutting connections that are left, and frees the pool. Leases still
 * come back to the main loop, which must be run or freed after this. NULL is fine. */
void worker_pool_free(struct worker_pool *pool);

#endif
