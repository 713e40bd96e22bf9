#include "common/base/vec.h"

#include "common/base/mem.h"

void vec_append(struct vec *vec, void *item)
{
    if (vec->len == vec->cap) {
        vec->cap = vec->cap ? vec->cap * 2 : 8;
        vec->items = mem_resize(vec->items, vec->cap, sizeof *vec->items);
    }
    vec->items[vec->len++] = item;
}

void vec_done(struct vec *vec)
{
    mem_free(vec->items);
    *vec = (struct vec){0};
}
