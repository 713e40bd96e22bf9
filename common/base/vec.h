/* Growable array of pointers; owns the array, not what it points to. */
#ifndef COMMON_BASE_VEC_H
#define COMMON_BASE_VEC_H

#include <stddef.h>

struct vec {
    void **items;
    size_t len;
    size_t cap;
};

/* A zeroed struct vec is an empty one. */
void vec_append(struct vec *vec, void *item);
void vec_done(struct vec *vec);

#endif
