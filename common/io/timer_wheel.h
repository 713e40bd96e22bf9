/*
 * Hierarchical timer wheel: start and stop in constant time, no allocation, no clock. The loop
 * (loop.h) drives it; use loop_timer there, not this.
 *
 * Eight levels of 64 slots; a slot of level n is 64^n ms wide, and its entries are sorted into
 * finer slots as they come near. Eight levels outlast any uptime, so the wheel never turns over.
 */
#ifndef COMMON_IO_TIMER_WHEEL_H
#define COMMON_IO_TIMER_WHEEL_H

#include "common/base/list.h"

#include <stdint.h>

enum { TIMER_WHEEL_LEVELS = 8, TIMER_WHEEL_SLOTS = 64 };

struct timer_wheel_entry {
    struct list link;
    uint64_t expires_ms;
    uint16_t slot; /* level * TIMER_WHEEL_SLOTS + index, while it runs */
    bool is_running;
};

struct timer_wheel {
    uint64_t now_ms; /* everything that expires up to here has been taken out */
    uint64_t occupied[TIMER_WHEEL_LEVELS]; /* a bit per slot that may hold entries */
    struct list slots[TIMER_WHEEL_LEVELS * TIMER_WHEEL_SLOTS];
};

void timer_wheel_init(struct timer_wheel *wheel, uint64_t now_ms);
/* Puts entry in (moves it where it is in already). A time that has passed expires at the next ms.
 */
void timer_wheel_start(struct timer_wheel *wheel, struct timer_wheel_entry *entry,
                       uint64_t expires_ms);
void timer_wheel_stop(struct timer_wheel *wheel, struct timer_wheel_entry *entry);
/* Moves on to now_ms and moves what has expired to `expired` (an initialised list; link member).
 * Entries there count as not running. */
void timer_wheel_advance(struct timer_wheel *wheel, uint64_t now_ms, struct list *expired);
/* A time at or before the earliest expiry, never more than one slot of its level before it;
 * UINT64_MAX where nothing runs. */
uint64_t timer_wheel_next_ms(const struct timer_wheel *wheel);

#endif
