/* Heap memory. Out of memory aborts (as gRPC core does): whatever a peer can grow has a limit that
 * is checked before it allocates. malloc and free are used nowhere else but in common/base. */
#ifndef COMMON_BASE_MEM_H
#define COMMON_BASE_MEM_H

#include <stddef.h>

/* Uninitialised memory of size bytes; never NULL. */
void *mem_alloc(size_t size) __attribute__((malloc, returns_nonnull));
/* count * size bytes of zeros; aborts on overflow; never NULL. */
void *mem_alloc_zero(size_t count, size_t size) __attribute__((malloc, returns_nonnull));
/* The same at a multiple of alignment (a power of two), and no other object in its last alignment
 * bytes: for what several threads write. */
void *mem_alloc_zero_aligned(size_t count, size_t size, size_t alignment)
    __attribute__((malloc, returns_nonnull));
/* Grows or shrinks to count * size bytes; takes pointer (may be NULL); never NULL. */
void *mem_resize(void *pointer, size_t count, size_t size) __attribute__((returns_nonnull));
/* A copy of len bytes, with a NUL behind it. */
char *mem_copy_string(const char *data, size_t len) __attribute__((malloc, returns_nonnull));
/* Takes pointer; NULL is fine. */
void mem_free(void *pointer);

#define MEM_NEW(type) ((type *)mem_alloc_zero(1, sizeof(type)))

#endif
