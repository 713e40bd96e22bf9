/* The clock of tests takes the place of common/base/clock.c, see clock.c. */
#ifndef TESTS_SUPPORT_CLOCK_H
#define TESTS_SUPPORT_CLOCK_H

/* From now on pauses of this thread hardly count. For a thread that looks at the clock every few
 * milliseconds; loop_until calls this. */
void clock_be_patient(void);

#endif
