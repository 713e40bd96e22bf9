#include "dataplane/listener/worker.h"

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/vec.h"
#include "dataplane/http/stream.h"
#include "dataplane/listener/listener.h"
#include "dataplane/upstream/cluster.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

enum { DRAIN_CHECK_MS = 100 };

/* An address we listen on. The sockets are the pool's until the first configuration that names it
 * is published, then the workers'. */
struct binding {
    struct str address; /* own memory */
    uint16_t port;
    int *fds; /* one per worker; NULL: the workers have them */
    bool is_named;
    bool is_closing; /* not named any more, but workers may listen there still */
};

/* What the workers and their pool know of a drain; outlives the pool while messages are under way.
 * Main thread. */
struct drain {
    uint32_t refs;
    struct worker_pool *pool; /* NULL: gone */
};

/* A worker's word that its last connection is gone. */
struct drained {
    struct loop_post post;
    struct drain *drain;
};

struct member {
    struct worker worker;
    pthread_t thread;
    _Atomic uint64_t taken; /* publications taken */
    struct loop_post stop, drain;
    struct loop_timer drain_check;
    struct drained *drained; /* to be posted; NULL before a drain and after */
};

struct worker_pool {
    struct worker_pool_options options;
    struct member *members;
    uint64_t published;
    struct vec bindings;
    struct loop_timer drain_limit;
    uint32_t drained_count;
    struct drain *drain; /* NULL: none yet */
    bool drain_is_over;
    void (*on_drained)(void *arg);
    void *on_drained_arg;
};

/* --- the thread ------------------------------------------------------------------------------ */

static void *run_worker(void *arg)
{
    struct member *member = arg;
    char name[16];
    snprintf(name, sizeof name, "worker_%u", member->worker.index % 10000);
    pthread_setname_np(pthread_self(), name);
    loop_run(member->worker.loop);
    return NULL;
}

static void on_stop(struct loop_post *post)
{
    struct member *member = CONTAINER_OF(post, struct member, stop);
    struct worker *worker = &member->worker;
    worker_update_clock(worker);
    loop_timer_stop(&member->drain_check);
    listeners_done(worker);
    clusters_done(worker);
    config_lease_unref(worker->lease);
    worker->lease = NULL;
    loop_stop(worker->loop);
}

static void on_drain_check(struct loop_timer *timer);

static void start_member(struct worker_pool *pool, uint32_t index)
{
    struct member *member = &pool->members[index];
    struct worker *worker = &member->worker;
    worker->index = index;
    worker->pool = pool;
    worker->main_loop = pool->options.main_loop;
    worker->log_writer = pool->options.log_writer;
    worker_init(worker, loop_new());
    loop_timer_init(&member->drain_check, worker->loop, on_drain_check);
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old); /* signals are the main thread's */
    int err = pthread_create(&member->thread, NULL, run_worker, member);
    ASSERT(err == 0);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static void on_drain_limit(struct loop_timer *timer);

struct worker_pool *worker_pool_new(const struct worker_pool_options *options)
{
    ASSERT(options->workers > 0);
    struct worker_pool *pool = MEM_NEW(struct worker_pool);
    pool->options = *options;
    pool->members = mem_alloc_zero_aligned(options->workers, sizeof *pool->members, 64);
    loop_timer_init(&pool->drain_limit, options->main_loop, on_drain_limit);
    for (uint32_t i = 0; i < options->workers; i++)
        start_member(pool, i);
    return pool;
}

uint32_t worker_pool_size(const struct worker_pool *pool)
{
    return pool->options.workers;
}

struct worker *worker_pool_worker(struct worker_pool *pool, uint32_t index)
{
    ASSERT(index < pool->options.workers);
    return &pool->members[index].worker;
}

/* --- addresses ------------------------------------------------------------------------------- */

static struct binding *find_binding(const struct worker_pool *pool, struct str address)
{
    for (size_t i = 0; i < pool->bindings.len; i++) {
        struct binding *binding = pool->bindings.items[i];
        if (str_equal(binding->address, address))
            return binding;
    }
    return NULL;
}

static void close_sockets(struct binding *binding, uint32_t count)
{
    for (uint32_t i = 0; binding->fds && i < count; i++)
        close(binding->fds[i]);
    mem_free(binding->fds);
    binding->fds = NULL;
}

static void free_binding(struct worker_pool *pool, struct binding *binding)
{
    close_sockets(binding, pool->options.workers);
    mem_free((char *)binding->address.data);
    mem_free(binding);
}

static const char *why_not(int err)
{
    switch (err) {
    case ERR_EXISTS:
        return "address already in use";
    case ERR_DENIED:
        return "permission denied";
    case ERR_INVALID:
        return "no such address on this machine";
    default:
        return "cannot listen";
    }
}

int worker_pool_bind(struct worker_pool *pool, const struct listener_config *listener,
                     struct errmsg *msg)
{
    const struct address *address = &listener->address;
    struct binding *old = find_binding(pool, address->text);
    if (old && !old->is_closing)
        return 0;
    uint32_t workers = pool->options.workers;
    uint16_t port;
    int *fds = mem_alloc_zero(workers, sizeof *fds);
    int err = listener_open_sockets(address, listener->tcp_backlog, old, workers, fds, &port);
    if (err) {
        mem_free(fds);
        return errmsg_set(msg, err, "listener %.*s: %.*s: %s", STR_ARGS(listener->name),
                          STR_ARGS(address->text), why_not(err));
    }
    struct binding *binding = old ? old : MEM_NEW(struct binding);
    binding->port = port;
    binding->fds = fds;
    binding->is_closing = false;
    if (old)
        return 0;
    binding->address.data = mem_copy_string(address->text.data, address->text.len);
    binding->address.len = address->text.len;
    vec_append(&pool->bindings, binding);
    return 0;
}

uint16_t worker_pool_port(const struct worker_pool *pool, struct str address)
{
    const struct binding *binding = find_binding(pool, address);
    return binding && !binding->is_closing ? binding->port : 0;
}

/* --- publishing ------------------------------------------------------------------------------ */

/* A configuration on its way to one worker. */
struct update {
    struct loop_post post;
    struct member *member;
    struct config_lease *lease;
    int fds[]; /* one per listener */
};

static void on_update(struct loop_post *post)
{
    struct update *update = CONTAINER_OF(post, struct update, post);
    struct member *member = update->member;
    struct worker *worker = &member->worker;
    struct config_lease *old = worker->lease;
    worker_update_clock(worker);
    clusters_apply(worker, update->lease->config);
    worker->lease = update->lease;
    listeners_apply(worker, update->lease, update->fds);
    config_lease_unref(old);
    mem_free(update);
    atomic_fetch_add_explicit(&member->taken, 1, memory_order_release);
}

static struct config_lease *lease_new(struct worker *worker, struct config *config)
{
    struct config_lease *lease = MEM_NEW(struct config_lease);
    lease->config = config_ref(config);
    lease->worker = worker;
    lease->refs = 1;
    return lease;
}

/* Takes this worker's sockets of what is named for the first time. */
static void send_update(struct worker_pool *pool, struct member *member, struct config *config)
{
    size_t size = sizeof(struct update) + config->listener_count * sizeof(int);
    struct update *update = mem_alloc_zero(1, size);
    update->member = member;
    update->lease = lease_new(&member->worker, config);
    for (uint32_t i = 0; i < config->listener_count; i++) {
        struct binding *binding = find_binding(pool, config->listeners[i].listener->address.text);
        int *fd = binding && binding->fds ? &binding->fds[member->worker.index] : NULL;
        update->fds[i] = fd ? *fd : -1;
        if (fd)
            *fd = -1;
    }
    loop_post(member->worker.loop, &update->post, on_update);
}

static void name_bindings(struct worker_pool *pool, const struct config *config)
{
    for (size_t i = 0; i < pool->bindings.len; i++)
        ((struct binding *)pool->bindings.items[i])->is_named = false;
    for (uint32_t i = 0; i < config->listener_count; i++) {
        const struct listener_config *listener = config->listeners[i].listener;
        struct errmsg msg;
        if (worker_pool_bind(pool, listener, &msg)) {
            log_error("listener_failed %s", msg.text);
            continue;
        }
        struct binding *binding = find_binding(pool, listener->address.text);
        if (binding->is_named)
            log_error("listener_ignored name=%.*s address=%.*s reason=\"address of another one\"",
                      STR_ARGS(listener->name), STR_ARGS(listener->address.text));
        binding->is_named = true;
    }
}

/* The workers have the sockets of the named ones now, and will close those of the others. */
static void settle_bindings(struct worker_pool *pool)
{
    size_t kept = 0;
    for (size_t i = 0; i < pool->bindings.len; i++) {
        struct binding *binding = pool->bindings.items[i];
        bool was_open = !binding->fds && !binding->is_closing;
        if (!binding->is_named && !was_open) {
            free_binding(pool, binding);
            continue;
        }
        binding->is_closing = !binding->is_named;
        mem_free(binding->fds);
        binding->fds = NULL;
        pool->bindings.items[kept++] = binding;
    }
    pool->bindings.len = kept;
}

void config_publish(struct worker_pool *pool, struct config *config)
{
    name_bindings(pool, config);
    pool->published++;
    for (uint32_t i = 0; i < pool->options.workers; i++)
        send_update(pool, &pool->members[i], config);
    settle_bindings(pool);
}

bool worker_pool_is_current(const struct worker_pool *pool)
{
    for (uint32_t i = 0; i < pool->options.workers; i++)
        if (atomic_load_explicit(&pool->members[i].taken, memory_order_acquire) != pool->published)
            return false;
    return true;
}

/* --- draining -------------------------------------------------------------------------------- */

static void end_drain(struct worker_pool *pool)
{
    if (pool->drain_is_over)
        return;
    pool->drain_is_over = true;
    loop_timer_stop(&pool->drain_limit);
    pool->on_drained(pool->on_drained_arg);
}

static void on_drain_limit(struct loop_timer *timer)
{
    end_drain(CONTAINER_OF(timer, struct worker_pool, drain_limit));
}

static void drain_unref(struct drain *drain)
{
    if (drain && --drain->refs == 0)
        mem_free(drain);
}

static void on_drained(struct loop_post *post)
{
    struct drained *drained = CONTAINER_OF(post, struct drained, post);
    struct worker_pool *pool = drained->drain->pool;
    drain_unref(drained->drain);
    mem_free(drained);
    if (pool && ++pool->drained_count == pool->options.workers)
        end_drain(pool);
}

static void check_drain(struct member *member)
{
    struct worker *worker = &member->worker;
    listeners_drain(worker);
    if (worker->connections) {
        loop_timer_start(&member->drain_check, DRAIN_CHECK_MS);
        return;
    }
    loop_post(worker->main_loop, &member->drained->post, on_drained);
    member->drained = NULL;
}

static void on_drain_check(struct loop_timer *timer)
{
    check_drain(CONTAINER_OF(timer, struct member, drain_check));
}

static void on_drain(struct loop_post *post)
{
    check_drain(CONTAINER_OF(post, struct member, drain));
}

void worker_pool_drain(struct worker_pool *pool, uint64_t timeout_ms, void (*on_done)(void *arg),
                       void *arg)
{
    if (pool->drain)
        return;
    pool->drain = MEM_NEW(struct drain);
    pool->drain->pool = pool;
    pool->drain->refs = 1 + pool->options.workers;
    pool->on_drained = on_done;
    pool->on_drained_arg = arg;
    loop_timer_start(&pool->drain_limit, timeout_ms);
    for (uint32_t i = 0; i < pool->options.workers; i++) {
        struct member *member = &pool->members[i];
        member->drained = MEM_NEW(struct drained);
        member->drained->drain = pool->drain;
        loop_post(member->worker.loop, &member->drain, on_drain);
    }
}

static void forget_drain(struct worker_pool *pool)
{
    struct drain *drain = pool->drain;
    if (!drain)
        return;
    drain->pool = NULL;
    for (uint32_t i = 0; i < pool->options.workers; i++) {
        if (!pool->members[i].drained)
            continue; /* on its way to the main loop, or there already */
        mem_free(pool->members[i].drained);
        drain_unref(drain);
    }
    drain_unref(drain);
}

/* --- the end --------------------------------------------------------------------------------- */

void worker_pool_free(struct worker_pool *pool)
{
    if (!pool)
        return;
    loop_timer_stop(&pool->drain_limit);
    for (uint32_t i = 0; i < pool->options.workers; i++)
        loop_post(pool->members[i].worker.loop, &pool->members[i].stop, on_stop);
    for (uint32_t i = 0; i < pool->options.workers; i++) {
        struct worker *worker = &pool->members[i].worker;
        pthread_join(pool->members[i].thread, NULL);
        http_streams_done(worker);
        loop_free(worker->loop); /* runs what was deferred */
        worker_done(worker);
    }
    forget_drain(pool);
    for (size_t i = 0; i < pool->bindings.len; i++)
        free_binding(pool, pool->bindings.items[i]);
    vec_done(&pool->bindings);
    mem_free(pool->members);
    mem_free(pool);
}
