/*
 * gRPC over the C core of libgrpc: streams and unary calls, client and server, on one struct loop.
 *
 * What it is not: it knows no protobuf beyond packing a message (payloads are bytes) and no xDS.
 *
 * Thread: everything here is called on the loop's thread and calls back on it. libgrpc runs
 * threads of its own; its completion queue has one of ours, which only hands finished operations
 * to the loop. rpc_buf_ref and rpc_buf_unref may be used from any thread.
 *
 * Ownership: what a function does not "take" stays the caller's; strings and options are copied.
 * No callback runs inside the call that caused it, except inside rpc_runtime_free.
 *
 * Fork before rpc_runtime_new, never after: libgrpc does not survive it.
 */
#ifndef COMMON_RPC_RPC_H
#define COMMON_RPC_RPC_H

#include "common/base/err.h"
#include "common/base/str.h"
#include "common/io/loop.h"

#include <protobuf-c/protobuf-c.h>

struct rpc_runtime;     /* libgrpc, its completion queue and its thread: one per daemon */
struct rpc_credentials; /* plaintext or TLS, for channels or for servers */
struct rpc_channel;     /* client: a target, connected while it is needed */
struct rpc_server;
struct rpc_stream; /* one call of either side, a message at a time */
struct rpc_call;   /* client: one request, one answer */
struct rpc_buf;    /* immutable bytes with a reference count */

/* The status codes of gRPC; the numbers are those on the wire. */
#define RPC_STATUS_LIST(X)                                                                         \
    X(OK, 0)                                                                                       \
    X(CANCELLED, 1)                                                                                \
    X(UNKNOWN, 2)                                                                                  \
    X(INVALID_ARGUMENT, 3)                                                                         \
    X(DEADLINE_EXCEEDED, 4)                                                                        \
    X(NOT_FOUND, 5)                                                                                \
    X(ALREADY_EXISTS, 6)                                                                           \
    X(PERMISSION_DENIED, 7)                                                                        \
    X(RESOURCE_EXHAUSTED, 8)                                                                       \
    X(FAILED_PRECONDITION, 9)                                                                      \
    X(ABORTED, 10)                                                                                 \
    X(OUT_OF_RANGE, 11)                                                                            \
    X(UNIMPLEMENTED, 12)                                                                           \
    X(INTERNAL, 13)                                                                                \
    X(UNAVAILABLE, 14)                                                                             \
    X(DATA_LOSS, 15)                                                                               \
    X(UNAUTHENTICATED, 16)

enum rpc_status {
#define RPC_STATUS_ENUM(name, number) RPC_STATUS_##name = number,
    RPC_STATUS_LIST(RPC_STATUS_ENUM)
#undef RPC_STATUS_ENUM
};

/* "UNAVAILABLE" and the like; "UNKNOWN" for a number that is none. Static storage. */
const char *rpc_status_name(enum rpc_status status);

/* --- runtime ---------------------------------------------------------------------------------- */

/* Starts libgrpc and the thread of the completion queue. loop must outlive the runtime. */
struct rpc_runtime *rpc_runtime_new(struct loop *loop);
/* Cancels what is still open, waits until libgrpc has given everything back (milliseconds; it
 * blocks), and frees the runtime. The callbacks of what it cancels run inside. All channels must
 * have been freed, and rpc_server_free called on all servers. Call it after loop_run and before
 * loop_free. NULL is fine. */
void rpc_runtime_free(struct rpc_runtime *runtime);
struct loop *rpc_runtime_loop(struct rpc_runtime *runtime);

/* --- payload bytes ---------------------------------------------------------------------------- */

/* len bytes to be filled by the caller before anybody else sees the buffer; one reference. */
struct rpc_buf *rpc_buf_new(size_t len, char **ret_data);
/* A copy of bytes; one reference. */
struct rpc_buf *rpc_buf_copy(struct str bytes);
/* message in wire format; one reference. */
struct rpc_buf *rpc_buf_pack(const ProtobufCMessage *message);
struct rpc_buf *rpc_buf_ref(struct rpc_buf *buf);
/* NULL is fine. Memory that libgrpc is still sending lives on by itself. */
void rpc_buf_unref(struct rpc_buf *buf);
struct str rpc_buf_str(const struct rpc_buf *buf);

/* --- credentials ------------------------------------------------------------------------------ */

/* PEM texts; empty where there is none. */
struct rpc_tls_config {
    struct str ca_pem; /* client: roots for the server (empty: the system's); server: for clients */
    struct str cert_pem; /* own chain, leaf first */
    struct str key_pem;
};

/* Each returns one reference. A runtime must exist. */
struct rpc_credentials *rpc_credentials_new_insecure(void);
/* TLS for channels; with cert_pem and key_pem set, the client shows a certificate. NULL with a
 * sentence in msg where a PEM text cannot be read or key and certificate do not match. */
struct rpc_credentials *rpc_credentials_new_client_tls(const struct rpc_tls_config *config,
                                                       struct errmsg *msg) MUST_CHECK;
/* TLS for servers. With ca_pem set a client must show a certificate of that CA: without one the
 * connection ends in the handshake and no stream is seen. NULL and msg as above. */
struct rpc_credentials *rpc_credentials_new_server_tls(const struct rpc_tls_config *config,
                                                       struct errmsg *msg) MUST_CHECK;
/* Server credentials: new connections get this from now on; old ones keep what they have. Where the
 * new one is wrong the old one stays and msg says why (ERR_INVALID). Whether clients must show a
 * certificate cannot change (ERR_UNSUPPORTED). */
int rpc_credentials_update_server_tls(struct rpc_credentials *credentials,
                                      const struct rpc_tls_config *config,
                                      struct errmsg *msg) MUST_CHECK;
/* NULL is fine. Channels and servers hold references of their own. */
void rpc_credentials_unref(struct rpc_credentials *credentials);

/* --- channels --------------------------------------------------------------------------------- */

/* 0 stands for the default that the comment names. */
struct rpc_channel_options {
    /* An HTTP/2 ping after this much silence, streams or not; the connection is given up when the
     * answer takes longer than the second. Default 10,000 and 5,000. A server may refuse clients
     * that ping more often than it likes (etcd: 5 s; gRPC servers: 5 min unless set otherwise). */
    int keepalive_ms;
    int keepalive_timeout_ms;
    int receive_bytes_max; /* largest message taken; protects memory. Default 64 MiB */
    /* Connecting is retried after 250 ms growing to this. Default 3,000. */
    int reconnect_backoff_max_ms;
    int connect_timeout_ms; /* per attempt. Default 5,000 */
    /* Channels with the same target and options share one connection, unless this is set. */
    bool has_own_connection;
    const char *tls_server_name; /* expected in the certificate instead of the target's host */
};

/* target: "host:port", "ipv4:1.2.3.4:5", "unix:/path" or what else gRPC knows. Connects when the
 * first call is made. Never NULL: what is wrong with the target is the status of each call. */
struct rpc_channel *rpc_channel_new(struct rpc_runtime *runtime, const char *target,
                                    struct rpc_credentials *credentials,
                                    const struct rpc_channel_options *options);
/* Its open streams and calls go on and must be ended by themselves. NULL is fine. */
void rpc_channel_free(struct rpc_channel *channel);

/* One header of a call. key is lower case; value must be printable ASCII unless key ends in -bin.
 */
struct rpc_metadata {
    const char *key;
    struct str value;
};

/* --- unary calls ------------------------------------------------------------------------------ */

/* Once per call, unless cancelled. response is valid in the callback only, and empty unless status
 * is RPC_STATUS_OK. text is the server's message or libgrpc's own words, for people. */
typedef void rpc_call_done_fn(void *arg, enum rpc_status status, const char *text,
                              struct str response);

/* Calls method ("/package.Service/Method"). Without a connection it waits for the attempt under way
 * and fails with UNAVAILABLE where that fails. timeout_ms must be over 0. */
struct rpc_call *rpc_call_start(struct rpc_channel *channel, const char *method,
                                struct rpc_buf *request, const struct rpc_metadata *metadata,
                                size_t metadata_count, int timeout_ms, rpc_call_done_fn *on_done,
                                void *arg);
/* on_done will not be called; the pointer is invalid from now on. */
void rpc_call_cancel(struct rpc_call *call);

/* --- streams ---------------------------------------------------------------------------------- */

/* What a stream tells its user; each may be NULL but on_closed. */
struct rpc_stream_events {
    /* One message; data is valid in the callback only. */
    void (*on_message)(void *arg, struct rpc_stream *stream, struct str data);
    /* All that was sent so far has been taken over by the transport (not: has arrived). */
    void (*on_writable)(void *arg, struct rpc_stream *stream);
    /* Server: the client will send no more; it still reads. (A message over the limit may look like
     * this for a moment; on_closed follows.) */
    void (*on_half_close)(void *arg, struct rpc_stream *stream);
    /* Exactly once, the last callback; the stream is gone when it returns. Client: status and text
     * from the server or from libgrpc. Server: RPC_STATUS_CANCELLED where the client went away or
     * the connection broke, else what rpc_stream_finish or rpc_stream_cancel was given. */
    void (*on_closed)(void *arg, struct rpc_stream *stream, enum rpc_status status,
                      const char *text);
};

/* Messages that may wait behind the one being sent, per stream, before rpc_stream_send says
 * ERR_AGAIN: bounds what a peer that does not read can make us hold. */
enum { RPC_STREAM_QUEUE_MAX = 16 };

/* Client: opens a stream to method. The returned pointer is valid until on_closed returns. It waits
 * for a connection no longer than the attempt under way. */
struct rpc_stream *rpc_stream_open(struct rpc_channel *channel, const char *method,
                                   const struct rpc_metadata *metadata, size_t metadata_count,
                                   const struct rpc_stream_events *events, void *arg);
/* Sends one message: the bytes of parts, one after the other, then a copy of tail. It takes no
 * reference from the caller (it holds its own until sent), copies no part, and many streams can
 * send the same parts at once. Errors, with nothing sent: ERR_AGAIN (queue is full: wait for
 * on_writable), ERR_CLOSED (finished, half-closed, cancelled or broken). */
int rpc_stream_send(struct rpc_stream *stream, struct rpc_buf *const *parts, size_t part_count,
                    struct str tail) MUST_CHECK;
/* The same with one part and no tail. */
int rpc_stream_send_buf(struct rpc_stream *stream, struct rpc_buf *buf) MUST_CHECK;
/* No on_message after the one that may be on its way already (at most one), so that the peer is
 * held back by flow control; resume undoes it. */
void rpc_stream_pause(struct rpc_stream *stream);
void rpc_stream_resume(struct rpc_stream *stream);
/* Client: no more messages from us, after those that wait. */
void rpc_stream_half_close(struct rpc_stream *stream);
/* Server: ends the stream with a status, after the messages that wait. on_closed follows. */
void rpc_stream_finish(struct rpc_stream *stream, enum rpc_status status, const char *text);
/* Either side: ends it now and drops what waits; only on_closed follows. */
void rpc_stream_cancel(struct rpc_stream *stream, enum rpc_status status, const char *text);
/* Cancels it and forgets its user: no callback follows, the pointer is invalid from now on. */
void rpc_stream_abandon(struct rpc_stream *stream);

/* --- servers ---------------------------------------------------------------------------------- */

/* 0 stands for the default that the comment names. */
struct rpc_server_options {
    int keepalive_ms; /* ping silent clients; default 30,000, and 10,000 to answer */
    int keepalive_timeout_ms;
    int client_ping_interval_min_ms; /* who pings more often is sent away. Default 5,000 */
    int receive_bytes_max;           /* largest message taken; protects memory. Default 32 MiB */
    int connection_streams_max;      /* streams at a time per connection. Default 100 */
    int streams_max; /* open streams in all; more are refused with RESOURCE_EXHAUSTED. Default
                        20,000 */
    int connection_age_max_ms; /* GOAWAY after this (+-10 %), to spread clients. Default: never */
};

/* A client opened a stream to the method. The callback must give it a user with
 * rpc_stream_set_user, or end it. */
typedef void rpc_accept_fn(void *arg, struct rpc_stream *stream);
typedef void rpc_server_stopped_fn(void *arg);

struct rpc_server *rpc_server_new(struct rpc_runtime *runtime,
                                  const struct rpc_server_options *options);
/* Streams to method ("/package.Service/Method") go to on_accept; those to methods without a route
 * get UNIMPLEMENTED. Unary methods are streams with one message each way. Before start. */
void rpc_server_route(struct rpc_server *server, const char *method, rpc_accept_fn *on_accept,
                      void *arg);
/* address: "127.0.0.1:0" (the kernel picks), "[::]:18000", "unix:/path". Before start; may be
 * called for several addresses. ret_port may be NULL. ERR_IO with a sentence where it cannot
 * listen, also where another process listens there. */
int rpc_server_listen(struct rpc_server *server, const char *address,
                      struct rpc_credentials *credentials, uint16_t *ret_port,
                      struct errmsg *msg) MUST_CHECK;
void rpc_server_start(struct rpc_server *server);
/* Closes the listeners, ends each open stream with UNAVAILABLE behind what it has queued, and
 * cancels those that are still there after grace_ms. on_stopped (may be NULL) is called when
 * nothing is left. Once per server, after start. */
void rpc_server_stop(struct rpc_server *server, int grace_ms, rpc_server_stopped_fn *on_stopped,
                     void *arg);
/* Cancels at once what is left (its streams still get on_closed; on_stopped is not called) and
 * gives the server back; the memory goes when libgrpc has let go of it. NULL is fine. */
void rpc_server_free(struct rpc_server *server);

/* Who calls back from now on; in on_accept. events must outlive the stream. */
void rpc_stream_set_user(struct rpc_stream *stream, const struct rpc_stream_events *events,
                         void *arg);

/* A certificate's alternative names and who sent it. All strings live as long as the stream. */
struct rpc_peer {
    struct str address;      /* "ipv4:127.0.0.1:4711" */
    bool is_authenticated;   /* showed a certificate that the CA vouches for */
    struct str common_name;  /* empty where there is none */
    const struct str *names; /* subject alternative names: DNS, URI, IP, e-mail */
    size_t name_count;
};

/* Server: the other end. Borrowed from the stream. */
const struct rpc_peer *rpc_stream_peer(struct rpc_stream *stream);
/* Server: the first request header called key (lower case). False where there is none. The value
 * is borrowed from the stream. */
bool rpc_stream_header(const struct rpc_stream *stream, const char *key, struct str *ret_value);

#endif
