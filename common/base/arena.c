#include "common/base/arena.h"

#include "common/base/assert.h"
#include "common/base/mem.h"

#include <stdarg.h>
#include <stdio.h>

struct arena_block {
    struct arena_block *older;
    size_t size; /* of data */
    _Alignas(16) char data[];
};

/* Without blocks, next and end are some address, so that 0 bytes of an empty arena are not NULL. */
static void forget_blocks(struct arena *arena)
{
    arena->next = arena->end = (char *)arena;
}

void arena_init(struct arena *arena, size_t block_size)
{
    *arena = (struct arena){.block_size = block_size};
    forget_blocks(arena);
}

static void free_blocks_until(struct arena *arena, const struct arena_block *last)
{
    while (arena->blocks != last) {
        struct arena_block *block = arena->blocks;
        arena->blocks = block->older;
        arena->bytes -= block->size;
        mem_free(block);
    }
}

void arena_done(struct arena *arena)
{
    free_blocks_until(arena, NULL);
    forget_blocks(arena);
}

void arena_reset(struct arena *arena)
{
    struct arena_block *first = arena->blocks;
    if (!first)
        return;
    while (first->older)
        first = first->older;
    free_blocks_until(arena, first);
    arena->next = first->data;
    arena->end = first->data + first->size;
}

void *arena_alloc_block(struct arena *arena, size_t size)
{
    ASSERT(size < SIZE_MAX / 2 && arena->block_size < SIZE_MAX / 2);
    size = (size + 15) & ~(size_t)15;
    size_t block_size = (arena->block_size + 15) & ~(size_t)15;
    if (block_size < size)
        block_size = size;
    struct arena_block *block = mem_alloc(sizeof *block + block_size);
    block->size = block_size;
    block->older = arena->blocks;
    arena->blocks = block;
    arena->bytes += block_size;
    arena->next = block->data + size;
    arena->end = block->data + block_size;
    return block->data;
}

void *arena_alloc_zero(struct arena *arena, size_t size)
{
    return memset(arena_alloc(arena, size), 0, size);
}

void *arena_alloc_array(struct arena *arena, size_t count, size_t size)
{
    size_t bytes;
    bool overflows = __builtin_mul_overflow(count, size, &bytes);
    ASSERT(!overflows);
    return arena_alloc_zero(arena, bytes);
}

struct str arena_copy_str(struct arena *arena, struct str s)
{
    char *copy = arena_alloc(arena, s.len + 1);
    if (s.len)
        memcpy(copy, s.data, s.len);
    copy[s.len] = '\0';
    return (struct str){.data = copy, .len = s.len};
}

char *arena_copy_string(struct arena *arena, const char *text)
{
    size_t len = strlen(text) + 1;
    return memcpy(arena_alloc(arena, len), text, len);
}

struct str arena_decimal(struct arena *arena, uint64_t value)
{
    enum { DIGITS_MAX = 20 };
    char *digits = arena_alloc(arena, DIGITS_MAX);
    size_t at = DIGITS_MAX;
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    return (struct str){.data = digits + at, .len = DIGITS_MAX - at};
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    ASSERT(len >= 0);
    char *text = arena_alloc(arena, (size_t)len + 1);
    vsnprintf(text, (size_t)len + 1, format, again);
    va_end(again);
    return text;
}

size_t arena_bytes(const struct arena *arena)
{
    return arena->bytes;
}

static void *protobuf_alloc(void *arena, size_t size)
{
    return arena_alloc(arena, size);
}

static void protobuf_free(void *arena, void *pointer)
{
    (void)arena, (void)pointer;
}

ProtobufCAllocator arena_protobuf_allocator(struct arena *arena)
{
    return (ProtobufCAllocator){
        .alloc = protobuf_alloc, .free = protobuf_free, .allocator_data = arena};
}
