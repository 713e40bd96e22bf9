/* Time. Code that decides by time takes `now` as an argument; only loops and main read the clock.
 */
#ifndef COMMON_BASE_CLOCK_H
#define COMMON_BASE_CLOCK_H

#include <stdint.h>

/* Never jumps; for intervals. Nanoseconds since some point in the past. */
uint64_t clock_monotonic_ns(void);
/* Milliseconds of the same clock. */
uint64_t clock_monotonic_ms(void);
/* Microseconds since 1970 UTC; may jump. For logs and headers only. */
uint64_t clock_wall_us(void);

#endif
