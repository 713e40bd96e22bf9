/*
 * Arena: memory that is given back all at once. A request, a configuration snapshot and one xDS
 * response each live in one. Not thread-safe while it is being allocated from.
 *
 * Limits are the business of whoever allocates on behalf of a peer; arena_bytes tells how much an
 * arena holds.
 */
#ifndef COMMON_BASE_ARENA_H
#define COMMON_BASE_ARENA_H

#include "common/base/assert.h"
#include "common/base/str.h"

#include <protobuf-c/protobuf-c.h>

struct arena_block;

struct arena {
    char *next;                 /* where the next allocation goes */
    char *end;                  /* end of the block in use */
    struct arena_block *blocks; /* newest first */
    size_t block_size;
    size_t bytes; /* held in blocks */
};

/* An empty arena that takes memory in blocks of block_size bytes (bigger where one allocation needs
 * more). Allocates nothing yet. */
void arena_init(struct arena *arena, size_t block_size);
/* Frees everything; the arena may be used again. */
void arena_done(struct arena *arena);
/* Forgets everything but keeps the first block, so that a reused arena does not touch the heap. */
void arena_reset(struct arena *arena);

/* Slow path of arena_alloc; do not call. */
void *arena_alloc_block(struct arena *arena, size_t size);

/* size bytes, uninitialised, aligned for any type; never NULL; valid until arena_done/_reset. */
static inline void *arena_alloc(struct arena *arena, size_t size)
{
    /* Blocks are multiples of 16 bytes, so what fits also fits rounded up. */
    if ((size_t)(arena->end - arena->next) < size)
        return arena_alloc_block(arena, size);
    void *pointer = arena->next;
    arena->next += (size + 15) & ~(size_t)15;
    return pointer;
}

/* The same, zeroed. */
void *arena_alloc_zero(struct arena *arena, size_t size);
/* count * size zeroed bytes; aborts on overflow. */
void *arena_alloc_array(struct arena *arena, size_t count, size_t size);
/* A copy of s with a NUL behind it. */
struct str arena_copy_str(struct arena *arena, struct str s);
char *arena_copy_string(struct arena *arena, const char *text);
/* The decimal digits of value; no printf, for the request path. */
struct str arena_decimal(struct arena *arena, uint64_t value);
/* printf into the arena, NUL-terminated. */
char *arena_printf(struct arena *arena, const char *format, ...) PRINTF_LIKE(2, 3);
/* Bytes held in blocks. */
size_t arena_bytes(const struct arena *arena);

/* An allocator for protobuf_c_message_unpack: allocates from arena, frees nothing. The returned
 * struct borrows arena. */
ProtobufCAllocator arena_protobuf_allocator(struct arena *arena);

#define ARENA_NEW(arena, type) ((type *)arena_alloc_zero((arena), sizeof(type)))

#endif
