#include "dataplane/filters/keyed_buckets.h"

#include "common/base/mem.h"

enum {
    WAYS = 8, /* two cache lines */
    GROUP_COUNT = KEYED_BUCKETS_MAX / WAYS,
    /* A group in which other workers keep taking slots away is not fought over for long. */
    ATTEMPTS_MAX = 16,
};

struct bucket {
    uint64_t tag; /* 0: never used */
    uint64_t full_at;
};

struct group {
    _Alignas(64) struct bucket buckets[WAYS];
};

struct keyed_buckets {
    void *memory;
    struct group *groups;
};

static void buckets_init(void *object, const void *arg)
{
    (void)arg;
    struct keyed_buckets *buckets = object;
    /* Not the aligned allocator, which writes to all of it. */
    buckets->memory = mem_alloc_zero(GROUP_COUNT + 1, sizeof(struct group));
    buckets->groups = (struct group *)(((uintptr_t)buckets->memory + 63) & ~(uintptr_t)63);
}

static void buckets_done(void *object)
{
    struct keyed_buckets *buckets = object;
    mem_free(buckets->memory);
}

struct shared_state *keyed_buckets_get(struct shared_registry *shared)
{
    return shared_state_get(shared, STR("ratelimit_keyed_buckets"), sizeof(struct keyed_buckets),
                            buckets_init, NULL, buckets_done);
}

/* The bucket of tag, or the one to make room with: a slot that was never used, or the fullest
 * bucket. *ret_tag is whose it was when it was looked at: it may be taken from nobody else.
 *
 * One walk in one order for both: a worker that meets a new key either sees the slot that another
 * one gave it, or goes for that very slot and loses. (Where all slots are in use, two workers may
 * for once choose different ones, and a request of the key's first few goes uncounted.) */
static struct bucket *find_slot(struct group *group, uint64_t tag, uint64_t *ret_tag)
{
    struct bucket *victim = NULL;
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < WAYS; i++) {
        struct bucket *bucket = &group->buckets[i];
        uint64_t found = __atomic_load_n(&bucket->tag, __ATOMIC_ACQUIRE);
        uint64_t full_at = __atomic_load_n(&bucket->full_at, __ATOMIC_RELAXED);
        bool is_its_own = found == tag || !found;
        if (is_its_own || !victim || full_at < least) {
            victim = bucket;
            least = full_at;
            *ret_tag = found;
        }
        if (is_its_own)
            break;
    }
    return victim;
}

static void lower(uint64_t *word, uint64_t max)
{
    uint64_t old = __atomic_load_n(word, __ATOMIC_RELAXED);
    while (old > max &&
           !__atomic_compare_exchange_n(word, &old, max, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
}

uint64_t *keyed_bucket_find(struct keyed_buckets *buckets, uint64_t tag, uint64_t full_at_max)
{
    tag = tag ? tag : 1;
    struct group *group = &buckets->groups[tag % GROUP_COUNT];
    struct bucket *slot = NULL;
    for (int attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
        uint64_t old = 0;
        slot = find_slot(group, tag, &old);
        if (old == tag)
            break;
        if (__atomic_compare_exchange_n(&slot->tag, &old, tag, false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_RELAXED)) {
            /* The level stays: whoever takes over a slot goes on from there. */
            lower(&slot->full_at, full_at_max);
            break;
        }
    }
    return &slot->full_at;
}
