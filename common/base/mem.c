#include "common/base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Noreturn void out_of_memory(size_t size)
{
    fprintf(stderr, "out_of_memory bytes=%zu\n", size);
    abort();
}

void *mem_alloc(size_t size)
{
    void *pointer = malloc(size ? size : 1);
    if (!pointer)
        out_of_memory(size);
    return pointer;
}

void *mem_alloc_zero(size_t count, size_t size)
{
    void *pointer = calloc(count ? count : 1, size ? size : 1);
    if (!pointer)
        out_of_memory(count);
    return pointer;
}

void *mem_alloc_zero_aligned(size_t count, size_t size, size_t alignment)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes) ||
        __builtin_add_overflow(bytes ? bytes : 1, alignment - 1, &bytes))
        out_of_memory(count);
    bytes = bytes / alignment * alignment; /* rounded up */
    void *pointer = aligned_alloc(alignment, bytes);
    if (!pointer)
        out_of_memory(bytes);
    memset(pointer, 0, bytes);
    return pointer;
}

void *mem_resize(void *pointer, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        out_of_memory(count);
    void *resized = realloc(pointer, bytes ? bytes : 1);
    if (!resized)
        out_of_memory(bytes);
    return resized;
}

char *mem_copy_string(const char *data, size_t len)
{
    char *copy = mem_alloc(len + 1);
    if (len)
        memcpy(copy, data, len);
    copy[len] = '\0';
    return copy;
}

void mem_free(void *pointer)
{
    free(pointer);
}
