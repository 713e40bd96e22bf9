#include "dataplane/upstream/edf.h"

#include "common/base/assert.h"
#include "common/base/mem.h"

/* Moves the entry at `at` down to its place. */
static void sink(struct edf *edf, uint32_t at)
{
    struct edf_entry *entries = edf->entries, moved = entries[at];
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= edf->count)
            break;
        if (child + 1 < edf->count && entries[child + 1].due < entries[child].due)
            child++;
        if (entries[child].due >= moved.due)
            break;
        entries[at] = entries[child];
        at = child;
    }
    entries[at] = moved;
}

/* 0 to 1 from a hash of seed and i. */
static double fraction(uint64_t seed, uint32_t i)
{
    uint64_t x = (seed + i) * 0x9e3779b97f4a7c15u;
    x ^= x >> 32;
    return (double)(x * 0xd6e8feb86659fd93u >> 11) / (double)(1ull << 53);
}

void edf_set_hosts(struct edf *edf, struct host *const *hosts, const uint32_t *weights,
                   uint32_t count, uint64_t seed)
{
    edf_done(edf);
    if (!count)
        return;
    edf->entries = mem_alloc_zero(count, sizeof *edf->entries);
    edf->count = count;
    for (uint32_t i = 0; i < count; i++) {
        ASSERT(weights[i] > 0);
        edf->entries[i] = (struct edf_entry){.host = hosts[i],
                                             .weight = weights[i],
                                             .due = (1 - fraction(seed, i) / 2) / weights[i]};
    }
    for (uint32_t i = count / 2; i-- > 0;)
        sink(edf, i);
}

void edf_done(struct edf *edf)
{
    mem_free(edf->entries);
    *edf = (struct edf){0};
}

void edf_turn(struct edf *edf, double weight)
{
    edf->entries[0].due += 1 / weight;
    sink(edf, 0);
}
