/*
 * The clock of tests, in place of common/base/clock.c: this archive is linked before that one.
 *
 * A loaded machine may stop a test for a second between two steps that are meant to be 20 ms apart;
 * then what was to happen earlier and what was to happen later is due at once, and whatever the
 * test says about their order is wrong. So on a thread that drives its loop by loop_until, whose
 * tick is 5 ms, a pause between two looks at the clock counts as CLOCK_PAUSE_MAX_NS at most: time
 * goes more slowly there than outside, and only while the thread runs. Other threads have the
 * system's time.
 */
#include "tests/support/clock.h"

#include "common/base/clock.h"

#include <stdbool.h>
#include <time.h>

enum { CLOCK_PAUSE_MAX_NS = 8 * 1000 * 1000 };

static _Thread_local bool is_patient;
static _Thread_local uint64_t seen_ns, lost_ns;

static uint64_t read_clock(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void clock_be_patient(void)
{
    if (!is_patient)
        seen_ns = read_clock(CLOCK_MONOTONIC);
    is_patient = true;
}

uint64_t clock_monotonic_ns(void)
{
    uint64_t now_ns = read_clock(CLOCK_MONOTONIC);
    if (!is_patient)
        return now_ns;
    if (now_ns - seen_ns > CLOCK_PAUSE_MAX_NS)
        lost_ns += now_ns - seen_ns - CLOCK_PAUSE_MAX_NS;
    seen_ns = now_ns;
    return now_ns - lost_ns;
}

uint64_t clock_monotonic_ms(void)
{
    return clock_monotonic_ns() / 1000000u;
}

uint64_t clock_wall_us(void)
{
    return read_clock(CLOCK_REALTIME) / 1000u;
}
