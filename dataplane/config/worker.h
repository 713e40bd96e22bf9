/*
 * A worker as its streams, filters and clusters see it: one thread, one loop, its own connections,
 * pools and statistics blocks. Workers share nothing but the configuration and the few counted
 * things in shared_state.h. Starting, feeding and stopping workers is listener/worker.h.
 *
 * Everything here: the worker's own thread.
 */
#ifndef DATAPLANE_CONFIG_WORKER_H
#define DATAPLANE_CONFIG_WORKER_H

#include "common/base/chunk.h"
#include "common/base/map.h"
#include "common/io/loop.h"
#include "dataplane/config/config.h"

struct access_log_writer; /* http/access_log.h */
struct cluster;           /* upstream/cluster.h */
struct http_stream;       /* http/stream.h */
struct worker_pool;

/* One worker's hold on one configuration. Streams count on it; when the worker has moved on and the
 * last stream is done, it is posted to the main thread, which drops the configuration. */
struct config_lease {
    struct config *config;
    struct worker *worker;
    uint32_t refs;
    struct loop_post post;
};

/* Work for a fresh stack; see worker_task_schedule. Embedded in its owner. */
struct worker_task;
typedef void worker_task_fn(struct worker_task *task);
struct worker_task {
    struct list link;
    worker_task_fn *run;
};

enum { WORKER_DATE_LEN = 29 };

struct worker {
    uint32_t index;
    struct loop *loop;
    struct loop *main_loop; /* where leases go back to */
    struct worker_pool *pool;
    struct chunk_pool chunks;
    struct config_lease *lease; /* the newest; NULL before the first */
    struct cluster **clusters;  /* by slot; NULL: no such cluster */
    uint32_t cluster_slots;
    struct map clusters_by_name;
    uint64_t clusters_generation; /* counts clusters_apply */
    struct list removed_clusters; /* those that end with their last request */
    struct access_log_writer *log_writer;
    uint64_t random_state; /* xorshift; for weighted arms and request ids */
    bool is_draining;

    uint64_t now_ns; /* clock_monotonic_ns at the start of the callback that is running */
    int64_t wall_offset_us;
    uint64_t wall_read_ns;
    uint64_t date_second;
    char date[WORKER_DATE_LEN + 1]; /* of HTTP's Date */

    struct list tasks;   /* run at the end of this turn */
    struct list yielded; /* run after the next poll for events */
    struct loop_free run_tasks;
    struct loop_post run_yielded;
    bool tasks_are_scheduled, yielded_is_posted;

    struct http_stream *idle_streams; /* kept for reuse (http/stream.c) */
    uint32_t idle_stream_count;

    struct list listeners; /* struct listener (listener/listener.h) */
    uint32_t connections;  /* of clients */
};

/* Sets up what the loop and the functions below need; the rest is the caller's (zeroed). */
void worker_init(struct worker *worker, struct loop *loop);
/* Frees what worker_init and the functions below made. */
void worker_done(struct worker *worker);

struct config_lease *config_lease_ref(struct config_lease *lease);
/* Posts it to worker->main_loop with the last reference. NULL is fine. */
void config_lease_unref(struct config_lease *lease);
/* 64 random bits, not for secrets. */
uint64_t worker_random(struct worker *worker);

/* Reads the clock into worker->now_ns: first thing in a callback. */
void worker_update_clock(struct worker *worker);
/* now_ns as microseconds since 1970. */
uint64_t worker_wall_us(struct worker *worker);
/* The value of a Date header; it changes in place once a second, so it is for writing soon. */
struct str worker_date(struct worker *worker);

/* size bytes (at most CHUNK_BYTES) in a chunk on which *ret_chunk is a reference of the caller's:
 * for heads and framing, which are small and mostly written at once. */
char *worker_bytes(struct worker *worker, size_t size, struct chunk **ret_chunk);
/* A slice with a copy of s, of any length. */
struct slice worker_copy(struct worker *worker, struct str s);

void worker_task_init(struct worker_task *task, worker_task_fn *run);
/* Runs it once, from a fresh stack, at the end of this loop turn. Harmless where it is scheduled
 * already. */
void worker_task_schedule(struct worker *worker, struct worker_task *task);
/* Runs it once after the loop has looked for other events: for who has done its share. */
void worker_task_yield(struct worker *worker, struct worker_task *task);
/* Forgets it; harmless where it is not scheduled. */
void worker_task_cancel(struct worker_task *task);

/* A deadline that is moved often and rarely reached: moving it later costs nothing, because a timer
 * that fires too early starts itself again. */
struct lazy_timer {
    struct loop_timer timer;
    uint64_t armed_ms;    /* when the timer fires; UINT64_MAX: it does not run */
    uint64_t deadline_ms; /* UINT64_MAX: none */
    void (*on_expire)(struct lazy_timer *timer);
};

void lazy_timer_init(struct lazy_timer *timer, struct loop *loop,
                     void (*on_expire)(struct lazy_timer *timer));
/* on_expire is called once at deadline_ms (of clock_monotonic_ms) or a little later. UINT64_MAX:
 * not at all. now_ms: about the present. */
void lazy_timer_set(struct lazy_timer *timer, uint64_t deadline_ms, uint64_t now_ms);
/* Before its owner is freed. */
void lazy_timer_done(struct lazy_timer *timer);

#endif
