/*
 * A stream: one request and its answer, from the first byte of the head to the access log line. It
 * owns an arena in which everything about the request lives, holds a lease on the configuration it
 * began with, and joins three parties that do not know each other:
 *
 *     codec side (http/downstream.c)  <->  filter chain (http/filter_chain.c)  <->  router
 * (filters/router.c)
 *
 * Everything runs on the worker's thread. A stream belongs to its codec, from http_stream_new to
 * http_stream_finish; nobody else keeps a pointer past on_destroy.
 */
#ifndef DATAPLANE_HTTP_STREAM_H
#define DATAPLANE_HTTP_STREAM_H

#include "common/base/arena.h"
#include "common/base/chunk.h"
#include "common/io/loop.h"
#include "dataplane/config/config.h"
#include "dataplane/config/worker.h"
#include "dataplane/http/message.h"

struct route;
struct route_arm;
struct http_filter;
struct http_stream;

/* Envoy's response flags (%RESPONSE_FLAGS%), as bits. */
enum response_flag {
    FLAG_NO_HEALTHY_UPSTREAM = 1 << 0,         /* UH */
    FLAG_UPSTREAM_CONNECTION_FAILURE = 1 << 1, /* UF */
    FLAG_UPSTREAM_OVERFLOW = 1 << 2,           /* UO */
    FLAG_NO_ROUTE = 1 << 3,                    /* NR */
    FLAG_UPSTREAM_TIMEOUT = 1 << 4,            /* UT */
    FLAG_LOCAL_RESET = 1 << 5,                 /* LR */
    FLAG_UPSTREAM_REMOTE_RESET = 1 << 6,       /* UR */
    FLAG_UPSTREAM_TERMINATION = 1 << 7,        /* UC */
    FLAG_DELAY = 1 << 8,                       /* DI */
    FLAG_RATE_LIMITED = 1 << 9,                /* RL */
    FLAG_UNAUTHORIZED = 1 << 10,               /* UAEX */
    FLAG_DOWNSTREAM_TERMINATION = 1 << 11,     /* DC */
    FLAG_STREAM_IDLE_TIMEOUT = 1 << 12,        /* SI */
    FLAG_DOWNSTREAM_PROTOCOL_ERROR = 1 << 13,  /* DPE */
    FLAG_UPSTREAM_PROTOCOL_ERROR = 1 << 14,    /* UPE */
    FLAG_NO_CLUSTER = 1 << 15,                 /* NC */
    FLAG_UPSTREAM_RETRY_LIMIT = 1 << 16,       /* URX */
};

/* What the codec side does for the stream. One struct per protocol. */
struct http_codec_ops {
    /* Sends stream->response's head; is_end: no body follows. Called once. Without is_end the head
     * is held back for a send_response_body of the same turn (which may be empty), so that both go
     * out in one write. */
    void (*send_response_head)(struct http_stream *stream, bool is_end);
    /* Sends an interim (1xx) head. */
    void (*send_interim_head)(struct http_stream *stream, const struct http_response *response);
    /* Takes all slices out of data; is_end: this was the last of it. */
    void (*send_response_body)(struct http_stream *stream, struct slice_queue *data, bool is_end);
    /* Stops, or goes on with, delivering request body; counts, so each pause needs its resume. */
    void (*pause_request)(struct http_stream *stream);
    void (*resume_request)(struct http_stream *stream);
    /* Bytes accepted by send_response_body and not yet written to the socket. */
    size_t (*response_bytes_pending)(const struct http_stream *stream);
    /* The response cannot be completed: cuts the connection (HTTP/1) or resets the stream. */
    void (*abort)(struct http_stream *stream);
};

/* What the router does for the stream: the far end of the request's way. */
struct http_upstream_ops {
    /* Body bytes of the request; takes all slices out of data. */
    void (*on_request_body)(void *upstream, struct slice_queue *data, bool is_end);
    /* The client takes response bytes again (pending fell below the low watermark). */
    void (*on_response_drained)(void *upstream);
    /* The route's time is over: end the upstream side and answer. */
    void (*on_timeout)(void *upstream);
    /* The client is gone or the stream was answered otherwise; forget the stream now. */
    void (*on_abort)(void *upstream);
};

struct http_stream {
    /* Kept when a stream is used again. */
    struct worker *worker;
    struct http_stream *next_idle;
    struct arena arena;
    struct lazy_timer timer; /* for whichever deadline below comes first */

    const struct http_codec_ops *codec; /* everything from here on is zeroed */
    void *codec_connection;
    const struct http_upstream_ops *upstream_ops; /* NULL until the router took the request */
    void *upstream;

    struct http_request request;
    struct http_response response;
    struct chunk *request_chunk;  /* reference on what request's slices lie in, or NULL */
    struct chunk *response_chunk; /* the same for response */

    struct config_lease *lease;             /* holds the configuration alive */
    const struct listener_config *listener; /* of the lease */
    const struct route_table *routes;       /* of the lease; may be NULL */
    const struct route *route;              /* NULL: none matched */
    const struct route_arm *arm;            /* of the route; NULL: none picked */
    struct http_stats *stats;               /* this worker's block of the listener */

    struct http_filter *filters; /* one per entry of listener->filters, in request order */
    uint32_t filter_count;
    uint32_t request_filter; /* next one to see the request head */

    struct str remote_address; /* of the connection, "127.0.0.1:4711" */
    struct str local_address;
    struct str client_ip; /* trusted client address, no port: by xff_trusted_hops */
    struct str consumer;  /* who calls, once a filter knows; empty: nobody known */

    uint64_t start_wall_us;
    uint64_t start_ns;       /* head complete */
    uint64_t request_end_ns; /* last byte of the request read; 0: not yet */
    uint64_t upstream_first_byte_ns;
    uint64_t upstream_last_byte_ns;
    uint64_t response_start_ns; /* head handed to the codec */
    uint64_t end_ns;
    uint64_t request_body_bytes; /* payload, without framing */
    uint64_t response_body_bytes;
    uint32_t flags;           /* enum response_flag bits */
    const char *details;      /* %RESPONSE_CODE_DETAILS%: a constant; Envoy's words */
    struct str upstream_host; /* address of the endpoint chosen; empty: none */
    struct str upstream_local_address;
    struct str upstream_cluster;
    struct str upstream_failure; /* %UPSTREAM_TRANSPORT_FAILURE_REASON% */
    uint32_t attempts;

    uint64_t last_activity_ns;    /* of either direction; for the idle timeout */
    uint64_t idle_timeout_ms;     /* 0: none */
    uint64_t route_deadline_ms;   /* set by the router; 0: none */
    uint64_t request_deadline_ms; /* for the request to be complete; 0: none */

    bool has_started;  /* http_stream_start or _reject was called */
    bool head_was_end; /* the request has no body */
    bool is_paused;    /* a filter holds the request head */
    bool is_aborted;
    bool request_is_complete;  /* all of the request has been delivered to the router */
    bool response_has_started; /* a final head went to the codec */
    bool response_is_complete;
    bool is_head_request;
    bool is_replying;          /* inside http_stream_reply: response hooks are running */
    bool close_after_response; /* "Connection: close" goes out and the connection ends */
};

/* A stream for a codec to fill: zeroed but for worker and arena. */
struct http_stream *http_stream_new(struct worker *worker);
/* Frees what is kept for reuse. */
void http_streams_done(struct worker *worker);

/* Called by the codec when a request head is complete (stream->request filled, and what else is
 * known of the connection): checks and completes it (client address, request id, path), matches the
 * route, sets up the filters and runs the request hooks. is_end: the request has no body;
 * otherwise http_stream_request_body must follow in the same turn unless the codec is paused, with
 * whatever body is there, even none: a head waits for it, to be sent in one write. May answer at
 * once. */
void http_stream_start(struct http_stream *stream, bool is_end);
/* Instead of http_stream_start where the head was bad (or did not come in time): answers. */
void http_stream_reject(struct http_stream *stream, unsigned status, struct str body,
                        const char *details, uint32_t flags);
/* Body of the request as the codec reads it; takes all slices out of data. */
void http_stream_request_body(struct http_stream *stream, struct slice_queue *data, bool is_end);
/* The codec's pending response bytes fell below the low watermark. */
void http_stream_response_drained(struct http_stream *stream);
/* The client went away or broke the protocol mid-request; details says which. */
void http_stream_abort(struct http_stream *stream, enum response_flag flag, const char *details);
/* Last call of the codec: runs destroy hooks, statistics, access log, drops the lease and the
 * arena's content. Takes stream. */
void http_stream_finish(struct http_stream *stream);

/* Answers with a reply of our own: every filter and the connection's own failures go through here.
 * status: 200-599. body: may be empty; passes through the listener's local_reply configuration.
 * details: constant token, Envoy's where it has one. headers may be NULL: extra headers (borrowed,
 * in the stream's arena or constant). Stops request processing, runs all response hooks. Nothing
 * happens where a response has started (then the stream is aborted). */
void http_stream_reply(struct http_stream *stream, unsigned status, struct str body,
                       const char *details, const struct header_list *headers);
/* The router's response: stream->response is filled; runs response hooks, sends the head. */
void http_stream_response_head(struct http_stream *stream, bool is_end);
/* Body of the router's response; takes all slices. Returns the bytes pending towards the client,
 * for the router to stop reading when it is over the watermark. */
size_t http_stream_response_body(struct http_stream *stream, struct slice_queue *data, bool is_end);
/* The router takes the request and wants its body: answers "expect: 100-continue". */
void http_stream_continue(struct http_stream *stream);
/* Looks at the deadlines again after they were changed. */
void http_stream_arm(struct http_stream *stream);
/* Goes on behind the filter that returned FILTER_PAUSE for the request head; never from inside a
 * hook. Nothing happens where the request was answered meanwhile. */
void http_stream_resume(struct http_stream *stream);

#endif
