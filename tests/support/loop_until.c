#include "tests/support/loop_until.h"

#include "common/base/clock.h"
#include "tests/support/clock.h"

#include <event2/event.h>

enum { SETTLING_TURNS = 10 };

static void on_tick(struct loop_timer *timer)
{
    loop_timer_start(timer, 5);
}

bool loop_until(struct loop *loop, int timeout_ms, loop_condition_fn *condition, void *arg)
{
    clock_be_patient();
    uint64_t end_ms = clock_monotonic_ms() + (uint64_t)timeout_ms;
    struct loop_timer tick;
    loop_timer_init(&tick, loop, on_tick);
    loop_timer_start(&tick, 5);
    bool is_true;
    while (!(is_true = condition(arg)) && clock_monotonic_ms() < end_ms)
        event_base_loop(loop_event_base(loop), EVLOOP_ONCE);
    loop_timer_stop(&tick);
    return is_true;
}

static bool is_set(void *arg)
{
    const bool *flag = arg;
    return *flag;
}

bool loop_until_flag(struct loop *loop, int timeout_ms, const bool *flag)
{
    return loop_until(loop, timeout_ms, is_set, (void *)(uintptr_t)flag);
}

void loop_for(struct loop *loop, int duration_ms)
{
    bool never = false;
    loop_until_flag(loop, duration_ms, &never);
    /* What became due in the last turn has its consequences, too. */
    for (int i = 0; i < SETTLING_TURNS; i++)
        event_base_loop(loop_event_base(loop), EVLOOP_NONBLOCK);
}
