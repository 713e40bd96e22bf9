/*
 * What was read from a connection and not consumed yet, and what is known of bytes waiting in its
 * edge-triggered socket, so that no system call is made to learn that there is nothing. Embedded in
 * the connection of either side; worker's thread.
 */
#ifndef DATAPLANE_HTTP_INPUT_H
#define DATAPLANE_HTTP_INPUT_H

#include "common/base/chunk.h"
#include "common/base/err.h"

enum input_state {
    INPUT_EMPTY, /* nothing waits, until the next event */
    INPUT_SHORT, /* the last read took all there was; only a reset could hide behind it */
    INPUT_READY, /* there may be more */
};

struct input {
    enum input_state state;
    bool peer_has_closed; /* the end is near: read until it */
    bool was_filled;      /* the last read took all the space there was */
    struct chunk *chunk;  /* NULL where nothing is held */
    uint32_t from, to;    /* the bytes of chunk not consumed; others may have theirs behind them */
};

/* An event said that bytes, or (is_closing) the end, have come. */
static inline void input_is_readable(struct input *input, bool is_closing)
{
    input->state = INPUT_READY;
    input->peer_has_closed |= is_closing;
}

/* Bytes read and not consumed. */
static inline uint32_t input_unread(const struct input *input)
{
    return input->to - input->from;
}

static inline char *input_data(const struct input *input)
{
    return input->chunk->data + input->from;
}

/* Reads from fd behind what is there; the unread bytes may move. is_idle: between messages, where a
 * short read is not looked behind. Adds to *bytes what it read. Returns 0 where there is more now;
 * ERR_AGAIN, ERR_CLOSED, ERR_IO. */
int input_fill(struct input *input, struct chunk_pool *pool, int fd, bool is_idle,
               uint64_t *bytes) MUST_CHECK;
/* Gives the chunk back where everything is consumed: an idle connection holds no buffer. */
void input_release(struct input *input);
/* Gives it back in any case. */
void input_done(struct input *input);

#endif
