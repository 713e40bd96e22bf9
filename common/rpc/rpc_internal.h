/*
 * What the files of common/rpc share. An operation given to libgrpc is a struct rpc_op embedded in
 * its object (its address is the tag), so a message costs no allocation of ours; an object lives
 * until all its operations have come back.
 */
#ifndef COMMON_RPC_RPC_INTERNAL_H
#define COMMON_RPC_RPC_INTERNAL_H

#include "common/base/arena.h"
#include "common/base/list.h"
#include "common/base/map.h"
#include "common/base/vec.h"
#include "common/rpc/rpc.h"

#include <grpc/byte_buffer.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#if __has_include(<grpc/credentials.h>)
#include <grpc/credentials.h>
#endif
#include <grpc/compression.h>
#include <grpc/slice.h>
#include <grpc/support/alloc.h>
#include <grpc/support/time.h>
#include <pthread.h>

/* libgrpc is not instrumented, so ThreadSanitizer is told by hand that what we wrote before an
 * operation began is seen by those who handle its end. */
#ifdef WEIR_TSAN
#include <sanitizer/tsan_interface.h>
#define RPC_TSAN_RELEASE(pointer) __tsan_release(pointer)
#define RPC_TSAN_ACQUIRE(pointer) __tsan_acquire(pointer)
#else
#define RPC_TSAN_RELEASE(pointer) ((void)(pointer))
#define RPC_TSAN_ACQUIRE(pointer) ((void)(pointer))
#endif

struct rpc_op;
typedef void rpc_op_fn(struct rpc_op *op, bool ok);
struct rpc_op {
    struct rpc_op *next; /* in rpc_runtime.finished */
    rpc_op_fn *fn;
    bool ok;
};

struct rpc_runtime {
    struct loop *loop;
    grpc_completion_queue *cq;
    pthread_t thread;
    size_t ops_pending; /* handed to libgrpc and not dispatched yet */
    size_t channel_count;
    struct list streams; /* struct rpc_stream, client's and server's */
    struct list calls;
    struct list servers;

    pthread_mutex_t mutex; /* for what follows */
    pthread_cond_t has_finished;
    struct rpc_op *finished;
    struct rpc_op **finished_end;
    bool is_posted;
    bool is_gone; /* the post is the last holder */
    struct loop_post post;
};

/* Before op is handed to libgrpc; fn runs on the loop's thread when it comes back. */
void rpc_op_begin(struct rpc_runtime *runtime, struct rpc_op *op, rpc_op_fn *fn);
/* Starts a batch with op as its tag. False where libgrpc refuses it: then fn is not called. */
bool rpc_op_start_batch(struct rpc_runtime *runtime, struct rpc_op *op, rpc_op_fn *fn,
                        grpc_call *call, const grpc_op *ops, size_t count);

struct rpc_buf {
    grpc_slice slice;
    _Atomic unsigned refs;
};

/* A received message as one run of bytes; rpc_received_done gives it back. */
struct rpc_received {
    grpc_byte_buffer *buffer; /* NULL: no message */
    grpc_slice slice;
    struct str data;
};
/* False where it is compressed: that is refused, as a small message could become a huge one. Takes
 * buffer. received must stay where it is. */
bool rpc_received_init(struct rpc_received *received, grpc_byte_buffer *buffer);
void rpc_received_done(struct rpc_received *received);

/* A server's PEM texts, NUL-terminated; NULL where there is none. */
struct rpc_pems {
    char *ca, *cert, *key;
};

struct rpc_credentials {
    _Atomic unsigned refs;
    grpc_channel_credentials *channel; /* NULL: for servers only */
    bool is_for_servers;
    bool requires_client_certificate;
    pthread_mutex_t mutex; /* for what follows: threads of libgrpc read it */
    struct rpc_pems pems;  /* all NULL: plaintext */
    unsigned generation;   /* of pems, from 1 */
};

/* One listener's view of its credentials. */
struct rpc_listener {
    struct rpc_credentials *credentials; /* a reference */
    unsigned generation;                 /* that it has fetched; under credentials->mutex */
};
/* Takes a reference of credentials. listener must live until the server is gone. The caller
 * releases what is returned. */
grpc_server_credentials *rpc_listener_init(struct rpc_listener *listener,
                                           struct rpc_credentials *credentials);

struct rpc_channel {
    struct rpc_runtime *runtime;
    grpc_channel *channel;
};
grpc_call *rpc_channel_begin_call(struct rpc_channel *channel, const char *method,
                                  gpr_timespec deadline);

/* Messages stay compressed in libgrpc (and are refused by rpc_received_init). */
#define RPC_ARGS_NO_COMPRESSION                                                                    \
    rpc_int_arg(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0),                                     \
        rpc_int_arg(GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, 1 << GRPC_COMPRESS_NONE)

static inline grpc_arg rpc_int_arg(const char *key, int value)
{
    return (grpc_arg){
        .type = GRPC_ARG_INTEGER, .key = (char *)(uintptr_t)key, .value.integer = value};
}

static inline int rpc_or_default(int value, int fallback)
{
    return value ? value : fallback;
}

/* Metadata for an operation; the array and its slices are freed by _done once the batch began. */
grpc_metadata *rpc_metadata_new(const struct rpc_metadata *metadata, size_t count);
void rpc_metadata_free(grpc_metadata *metadata, size_t count);

struct rpc_call {
    struct list link; /* in rpc_runtime.calls */
    struct rpc_runtime *runtime;
    struct rpc_op op;
    grpc_call *call;
    rpc_call_done_fn *on_done; /* NULL: cancelled by its user */
    void *arg;
    grpc_metadata_array initial_metadata, trailing_metadata;
    grpc_byte_buffer *response;
    grpc_status_code status;
    grpc_slice status_text;
};

struct rpc_stream {
    struct list link;        /* in rpc_runtime.streams */
    struct list server_link; /* in rpc_server.streams */
    struct rpc_runtime *runtime;
    struct rpc_server *server; /* NULL: client */
    grpc_call *call;
    const struct rpc_stream_events *events; /* NULL: nobody listens */
    void *arg;

    struct rpc_op open_op, receive_op, send_op, finish_op, end_op;
    unsigned ops_pending;

    bool is_receiving;    /* receive_op is out */
    bool is_paused;       /* by the user */
    bool is_read_closed;  /* no message will come */
    bool is_sending;      /* send_op is out */
    bool is_write_closed; /* half-closed, finished, cancelled or broken: nothing more is taken */
    bool has_finish;      /* finish_op is to start when the queue is empty */
    bool is_cancelled;    /* by us */
    bool has_ended;       /* end_op came back */

    grpc_byte_buffer *incoming;
    grpc_byte_buffer *sending;
    grpc_byte_buffer *queue[RPC_STREAM_QUEUE_MAX]; /* ring */
    unsigned queue_head, queue_count;

    grpc_metadata_array initial_metadata; /* received */
    grpc_metadata_array trailing_metadata;
    int was_cancelled;          /* server: filled by end_op */
    grpc_status_code status;    /* client: filled by end_op */
    grpc_slice status_text;     /* client: filled by end_op */
    enum rpc_status own_status; /* what finish or cancel was given */
    grpc_slice own_text;
    struct arena arena; /* peer's strings */
    struct rpc_peer *peer;
};
/* Takes call and metadata; the stream's operations begin. */
struct rpc_stream *rpc_stream_accept(struct rpc_server *server, struct rpc_runtime *runtime,
                                     grpc_call *call, grpc_metadata_array *metadata);
void rpc_call_abort(struct rpc_call *call);

/* Shuts a server down at once, its streams too. Harmless when repeated. */
void rpc_server_abort(struct rpc_server *server);
/* A stream of it is gone. */
void rpc_server_on_stream_gone(struct rpc_server *server, struct rpc_stream *stream);

/* The server whose link in rpc_runtime.servers this is. */
struct rpc_server *rpc_server_of_link(struct list *link);

#endif
