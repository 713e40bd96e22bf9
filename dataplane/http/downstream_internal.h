/* The two halves of a client's connection: downstream.c (socket, buffers, timers, end) and
 * downstream_h1.c (messages). */
#ifndef DATAPLANE_HTTP_DOWNSTREAM_INTERNAL_H
#define DATAPLANE_HTTP_DOWNSTREAM_INTERNAL_H

#include "common/io/socket.h"
#include "dataplane/config/stats.h"
#include "dataplane/http/downstream.h"
#include "dataplane/http/h1_body.h"
#include "dataplane/http/input.h"

struct event;

enum { DOWNSTREAM_MAGIC = 0x646f776e };

enum downstream_state {
    DOWNSTREAM_OPEN,
    DOWNSTREAM_LINGERING, /* our direction is closed; what still comes is thrown away */
    DOWNSTREAM_CLOSED,
};

struct downstream {
    uint32_t magic;
    enum downstream_state state;
    struct worker *worker;
    struct downstream_listener *listener;
    struct list link; /* in listener->connections */
    int fd;
    struct event *event;
    struct lazy_timer timer; /* idle, head of a request, lingering */
    struct worker_task task; /* goes on with downstream_process from a fresh stack */
    struct loop_free deferred;

    bool is_write_blocked;
    bool was_over_watermark; /* the stream waits for http_stream_response_drained */
    bool is_processing;      /* downstream_process is on the stack */
    bool is_broken;          /* to be cut by downstream_process */
    bool wants_reset;        /* cut by reset, not by an orderly end */

    struct input input;
    struct slice_queue out;

    struct http_stream *stream; /* NULL between requests */
    struct h1_scan scan;
    struct h1_limits limits;
    struct h1_body body;
    struct slice_queue body_data; /* empty between calls; keeps its memory */
    uint64_t requests;
    uint64_t idle_since_ms;
    uint32_t pauses;
    bool head_is_complete; /* of stream */
    bool body_is_due;      /* the head waits for the first body call */
    bool request_is_done;  /* all of it was read */
    bool response_is_done; /* all of it is in out */
    bool response_is_chunked;
    bool keep_alive;    /* after this exchange */
    bool input_is_dead; /* what comes next on this connection has no meaning any more */

    struct str remote_address, local_address; /* in texts */
    char texts[2 * SOCKET_TEXT_BYTES];
};

/* Goes on as far as it can: reads, parses, delivers, finishes, closes. Not from under a stream's
 * function: schedule task there. */
void downstream_process(struct downstream *conn);
/* Reads more. 0 where there are new bytes, ERR_AGAIN, or ERR_CLOSED, ERR_IO. */
int downstream_fill(struct downstream *conn) MUST_CHECK;
/* Writes what is in out; schedules what must follow. */
void downstream_flush(struct downstream *conn);

enum downstream_step {
    STEP_MORE, /* call again */
    STEP_WAIT, /* for an event, a resume or the answer */
    STEP_END,  /* the connection has served its last request, and all is written */
    STEP_CUT,  /* the client is gone or cannot be answered: close at once */
};
/* The next step of the message side. */
enum downstream_step downstream_h1_step(struct downstream *conn);
/* The head of a request did not come in time. */
void downstream_h1_head_timeout(struct downstream *conn);
/* The connection ends: aborts and finishes the stream if there is one. */
void downstream_h1_end(struct downstream *conn);

#endif
