#include "dataplane/config/shared_state.h"

#include "common/base/assert.h"
#include "common/base/map.h"
#include "common/base/mem.h"

enum { CACHE_LINE = 64 };

struct shared_registry {
    struct map by_key;
};

struct shared_state {
    struct shared_registry *registry;
    struct str key; /* own memory */
    uint32_t refs;
    shared_state_done_fn *done;
    void *object; /* allocated by itself, with cache lines of its own */
};

struct shared_registry *shared_registry_new(void)
{
    return MEM_NEW(struct shared_registry);
}

void shared_registry_free(struct shared_registry *registry)
{
    if (!registry)
        return;
    ASSERT(registry->by_key.len == 0);
    map_done(&registry->by_key);
    mem_free(registry);
}

static struct shared_state *state_new(struct shared_registry *registry, struct str key, size_t size)
{
    struct shared_state *state = MEM_NEW(struct shared_state);
    state->registry = registry;
    state->key = (struct str){.data = mem_copy_string(key.data, key.len), .len = key.len};
    state->object = mem_alloc_zero_aligned(1, size, CACHE_LINE);
    return state;
}

struct shared_state *shared_state_get(struct shared_registry *registry, struct str key, size_t size,
                                      shared_state_init_fn *init, const void *arg,
                                      shared_state_done_fn *done)
{
    struct shared_state *state = map_find(&registry->by_key, key);
    if (!state) {
        state = state_new(registry, key, size);
        state->done = done;
        if (init)
            init(state->object, arg);
        map_put(&registry->by_key, state->key, state);
    }
    state->refs++;
    return state;
}

void *shared_state_object(struct shared_state *state)
{
    return state->object;
}

void shared_state_unref(struct shared_state *state)
{
    if (!state || --state->refs > 0)
        return;
    map_remove(&state->registry->by_key, state->key);
    if (state->done)
        state->done(state->object);
    mem_free(state->object);
    mem_free((char *)state->key.data);
    mem_free(state);
}

void shared_registry_visit(struct shared_registry *registry, struct str prefix,
                           shared_state_visit_fn *visit, void *arg)
{
    MAP_FOR_EACH(entry, &registry->by_key) {
        struct shared_state *state = entry->value;
        if (str_starts_with(state->key, prefix))
            visit(state->key, state->object, arg);
    }
}
