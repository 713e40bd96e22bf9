#include "dataplane/http/input.h"

#include "common/io/socket.h"
#include "dataplane/config/stats.h"

/* A read is offered no less space than this: an ordinary head, or a useful piece of a body. */
enum { READ_SPACE_MIN = 4 * 1024 };

static void take_chunk(struct input *input, struct chunk *chunk, uint32_t unread)
{
    if (unread)
        memcpy(chunk->data + chunk->len, input_data(input), unread);
    input->from = chunk->len;
    input->to = chunk->len += unread;
    chunk_unref(input->chunk);
    input->chunk = chunk;
}

/* Makes room to read behind the unread bytes: where they are, if nobody has put something behind
 * them; otherwise in the pool's common chunk, or, for a peer that fills what it is given, in one of
 * its own, to which the unread bytes are moved. */
static void make_room(struct input *input, struct chunk_pool *pool, bool is_flood)
{
    struct chunk *chunk = input->chunk;
    uint32_t unread = input_unread(input);
    if (chunk && !unread && chunk->refs == 1)
        chunk->len = input->from = input->to = 0;
    if (chunk && chunk->len == input->to && chunk->cap - chunk->len >= READ_SPACE_MIN)
        return;
    if (!unread && !is_flood)
        take_chunk(input, chunk_ref(chunk_pool_room(pool, READ_SPACE_MIN)), 0);
    else
        take_chunk(input, chunk_new(pool, unread * 2 + READ_SPACE_MIN), unread);
}

int input_fill(struct input *input, struct chunk_pool *pool, int fd, bool is_idle, uint64_t *bytes)
{
    if (input->state == INPUT_EMPTY || (input->state == INPUT_SHORT && is_idle))
        return ERR_AGAIN;
    make_room(input, pool, input->was_filled);
    struct chunk *chunk = input->chunk;
    size_t space = chunk->cap - chunk->len;
    long got = socket_read(fd, chunk->data + chunk->len, space);
    if (got < 0) {
        input->state = INPUT_EMPTY;
        return (int)got;
    }
    input->to = chunk->len += (uint32_t)got;
    stat_add(bytes, (uint64_t)got);
    input->was_filled = (size_t)got == space;
    input->state = input->was_filled || input->peer_has_closed ? INPUT_READY : INPUT_SHORT;
    return 0;
}

void input_release(struct input *input)
{
    if (!input_unread(input))
        input_done(input);
}

void input_done(struct input *input)
{
    chunk_unref(input->chunk);
    input->chunk = NULL;
    input->from = input->to = 0;
}
