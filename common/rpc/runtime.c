#include "common/base/mem.h"
#include "common/rpc/rpc_internal.h"

#include <stdlib.h>

const char *rpc_status_name(enum rpc_status status)
{
    switch (status) {
#define RPC_STATUS_CASE(name, number)                                                              \
    case RPC_STATUS_##name:                                                                        \
        return #name;
        RPC_STATUS_LIST(RPC_STATUS_CASE)
#undef RPC_STATUS_CASE
    }
    return "UNKNOWN";
}

void rpc_op_begin(struct rpc_runtime *runtime, struct rpc_op *op, rpc_op_fn *fn)
{
    op->fn = fn;
    runtime->ops_pending++;
    RPC_TSAN_RELEASE(op);
}

bool rpc_op_start_batch(struct rpc_runtime *runtime, struct rpc_op *op, rpc_op_fn *fn,
                        grpc_call *call, const grpc_op *ops, size_t count)
{
    rpc_op_begin(runtime, op, fn);
    if (grpc_call_start_batch(call, ops, count, op, NULL) == GRPC_CALL_OK)
        return true;
    runtime->ops_pending--;
    return false;
}

static struct rpc_op *take_finished(struct rpc_runtime *runtime)
{
    struct rpc_op *ops = runtime->finished;
    runtime->finished = NULL;
    runtime->finished_end = &runtime->finished;
    return ops;
}

static void dispatch(struct rpc_runtime *runtime, struct rpc_op *ops)
{
    while (ops) {
        struct rpc_op *op = ops;
        ops = op->next; /* op goes with its object, maybe in the call below */
        runtime->ops_pending--;
        op->fn(op, op->ok);
    }
}

static void runtime_destroy(struct rpc_runtime *runtime)
{
    pthread_mutex_destroy(&runtime->mutex);
    pthread_cond_destroy(&runtime->has_finished);
    mem_free(runtime);
}

static void on_post(struct loop_post *post)
{
    struct rpc_runtime *runtime = CONTAINER_OF(post, struct rpc_runtime, post);
    pthread_mutex_lock(&runtime->mutex);
    runtime->is_posted = false;
    bool is_gone = runtime->is_gone;
    struct rpc_op *ops = take_finished(runtime);
    pthread_mutex_unlock(&runtime->mutex);
    if (is_gone)
        runtime_destroy(runtime);
    else
        dispatch(runtime, ops);
}

/* With the mutex held. */
static void post_once(struct rpc_runtime *runtime)
{
    if (runtime->is_posted)
        return;
    runtime->is_posted = true;
    loop_post(runtime->loop, &runtime->post, on_post);
}

static void *completion_thread(void *arg)
{
    struct rpc_runtime *runtime = arg;
    for (;;) {
        grpc_event event =
            grpc_completion_queue_next(runtime->cq, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
        if (event.type == GRPC_QUEUE_SHUTDOWN)
            return NULL;
        struct rpc_op *op = event.tag;
        RPC_TSAN_ACQUIRE(op);
        op->ok = event.success != 0;
        op->next = NULL;
        pthread_mutex_lock(&runtime->mutex);
        *runtime->finished_end = op;
        runtime->finished_end = &op->next;
        pthread_cond_signal(&runtime->has_finished);
        post_once(runtime);
        pthread_mutex_unlock(&runtime->mutex);
    }
}

struct rpc_runtime *rpc_runtime_new(struct loop *loop)
{
    /* libgrpc writes a line in its own format for each failed handshake, which peers can cause at
     * will; who wants to see them sets the variable. */
    setenv("GRPC_VERBOSITY", "NONE", 0);
    grpc_init();
    struct rpc_runtime *runtime = MEM_NEW(struct rpc_runtime);
    runtime->loop = loop;
    runtime->finished_end = &runtime->finished;
    list_init(&runtime->streams);
    list_init(&runtime->calls);
    list_init(&runtime->servers);
    pthread_mutex_init(&runtime->mutex, NULL);
    pthread_cond_init(&runtime->has_finished, NULL);
    runtime->cq = grpc_completion_queue_create_for_next(NULL);
    int failed = pthread_create(&runtime->thread, NULL, completion_thread, runtime);
    ASSERT(!failed);
    return runtime;
}

struct loop *rpc_runtime_loop(struct rpc_runtime *runtime)
{
    return runtime->loop;
}

static void cancel_all(struct rpc_runtime *runtime)
{
    LIST_FOR_EACH(link, &runtime->servers)
        rpc_server_abort(rpc_server_of_link(link));
    LIST_FOR_EACH(link, &runtime->streams)
        rpc_stream_cancel(LIST_ENTRY(link, struct rpc_stream, link), RPC_STATUS_CANCELLED,
                          "shutting down");
    LIST_FOR_EACH(link, &runtime->calls)
        rpc_call_abort(LIST_ENTRY(link, struct rpc_call, link));
}

void rpc_runtime_free(struct rpc_runtime *runtime)
{
    if (!runtime)
        return;
    while (cancel_all(runtime), runtime->ops_pending > 0) {
        pthread_mutex_lock(&runtime->mutex);
        while (!runtime->finished)
            pthread_cond_wait(&runtime->has_finished, &runtime->mutex);
        struct rpc_op *ops = take_finished(runtime);
        pthread_mutex_unlock(&runtime->mutex);
        dispatch(runtime, ops);
    }
    ASSERT(runtime->channel_count == 0);
    ASSERT(list_is_empty(&runtime->streams) && list_is_empty(&runtime->calls));
    ASSERT(list_is_empty(&runtime->servers));
    grpc_completion_queue_shutdown(runtime->cq);
    pthread_join(runtime->thread, NULL);
    grpc_completion_queue_destroy(runtime->cq);
    grpc_shutdown();
    /* A post may be waiting in the loop; it frees the memory. */
    pthread_mutex_lock(&runtime->mutex);
    runtime->is_gone = true;
    post_once(runtime);
    pthread_mutex_unlock(&runtime->mutex);
}
