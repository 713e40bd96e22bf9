/* Runs a loop until something has become true, for tests. */
#ifndef TESTS_SUPPORT_LOOP_UNTIL_H
#define TESTS_SUPPORT_LOOP_UNTIL_H

#include "common/io/loop.h"

#include <stdbool.h>

typedef bool loop_condition_fn(void *arg);

/* Runs loop until condition(arg), which is asked after each turn, or timeout_ms have passed;
 * returns its last answer. */
bool loop_until(struct loop *loop, int timeout_ms, loop_condition_fn *condition, void *arg);
/* The same, until *flag. */
bool loop_until_flag(struct loop *loop, int timeout_ms, const bool *flag);
/* Runs loop for this long. */
void loop_for(struct loop *loop, int duration_ms);

#endif
