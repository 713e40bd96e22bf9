#include "common/io/timer_wheel.h"

enum { SLOT_BITS = 6, SLOT_MASK = TIMER_WHEEL_SLOTS - 1 };

void timer_wheel_init(struct timer_wheel *wheel, uint64_t now_ms)
{
    *wheel = (struct timer_wheel){.now_ms = now_ms};
    for (size_t i = 0; i < TIMER_WHEEL_LEVELS * TIMER_WHEEL_SLOTS; i++)
        list_init(&wheel->slots[i]);
}

/* Puts an entry that is in no list into the slot for its time, which is after now_ms. */
static void place(struct timer_wheel *wheel, struct timer_wheel_entry *entry)
{
    uint64_t differing = entry->expires_ms ^ wheel->now_ms;
    unsigned level = (unsigned)(63 - __builtin_clzll(differing | 1)) / SLOT_BITS;
    ASSERT(level < TIMER_WHEEL_LEVELS);
    unsigned index = (unsigned)(entry->expires_ms >> (level * SLOT_BITS)) & SLOT_MASK;
    entry->slot = (uint16_t)(level * TIMER_WHEEL_SLOTS + index);
    wheel->occupied[level] |= 1ull << index;
    list_append(&wheel->slots[entry->slot], &entry->link);
}

void timer_wheel_start(struct timer_wheel *wheel, struct timer_wheel_entry *entry,
                       uint64_t expires_ms)
{
    timer_wheel_stop(wheel, entry);
    const uint64_t last_ms = (1ull << (TIMER_WHEEL_LEVELS * SLOT_BITS)) - 1;
    if (expires_ms <= wheel->now_ms)
        expires_ms = wheel->now_ms + 1;
    entry->expires_ms = expires_ms > last_ms ? last_ms : expires_ms;
    entry->is_running = true;
    place(wheel, entry);
}

void timer_wheel_stop(struct timer_wheel *wheel, struct timer_wheel_entry *entry)
{
    if (!entry->is_running)
        return;
    entry->is_running = false;
    list_remove(&entry->link);
    if (list_is_empty(&wheel->slots[entry->slot]))
        wheel->occupied[entry->slot / TIMER_WHEEL_SLOTS] &=
            ~(1ull << (entry->slot % TIMER_WHEEL_SLOTS));
}

uint64_t timer_wheel_next_ms(const struct timer_wheel *wheel)
{
    for (unsigned level = 0; level < TIMER_WHEEL_LEVELS; level++) {
        unsigned shift = level * SLOT_BITS;
        unsigned index = (unsigned)(wheel->now_ms >> shift) & SLOT_MASK;
        /* Entries of this level share all higher bits with now, so they are behind this index. */
        uint64_t up_to_index = UINT64_MAX >> (SLOT_MASK - index);
        uint64_t later = wheel->occupied[level] & ~up_to_index;
        if (!later)
            continue;
        uint64_t base = wheel->now_ms >> (shift + SLOT_BITS) << (shift + SLOT_BITS);
        return base + ((uint64_t)__builtin_ctzll(later) << shift);
    }
    return UINT64_MAX;
}

/* Empties the slot that begins at wheel->now_ms on this level: entries go to finer slots or, when
 * their time has come, to expired. */
static void empty_slot(struct timer_wheel *wheel, unsigned level, struct list *expired)
{
    unsigned index = (unsigned)(wheel->now_ms >> (level * SLOT_BITS)) & SLOT_MASK;
    struct list *slot = &wheel->slots[level * TIMER_WHEEL_SLOTS + index];
    wheel->occupied[level] &= ~(1ull << index);
    while (!list_is_empty(slot)) {
        struct timer_wheel_entry *entry = LIST_ENTRY(slot->next, struct timer_wheel_entry, link);
        list_remove(&entry->link);
        if (entry->expires_ms > wheel->now_ms) {
            place(wheel, entry);
            continue;
        }
        entry->is_running = false;
        list_append(expired, &entry->link);
    }
}

void timer_wheel_advance(struct timer_wheel *wheel, uint64_t now_ms, struct list *expired)
{
    for (uint64_t next; (next = timer_wheel_next_ms(wheel)) <= now_ms;) {
        wheel->now_ms = next;
        for (unsigned level = TIMER_WHEEL_LEVELS; level-- > 0;)
            if ((next & ((1ull << (level * SLOT_BITS)) - 1)) == 0)
                empty_slot(wheel, level, expired);
    }
    if (now_ms > wheel->now_ms)
        wheel->now_ms = now_ms;
}
