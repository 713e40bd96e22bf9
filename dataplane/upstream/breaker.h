/*
 * The circuit breaker of a cluster, one for all workers: closed, open, half-open.
 *
 *     closed     every request passes; `consecutive_failures` failures in a row open it
 *     open       no request passes for `open_for_ms`
 *     half-open  `half_open_requests` at a time pass, to try; `success_threshold` successes in a
 *                row close it, one failure opens it again
 *
 * A failure is an answer with a 5xx status, no answer in time, a reset, or no connection. What the
 * client or the proxy itself ended (cancelled, over a limit) is no verdict. A result that belongs
 * to an earlier state (a slow request from before it opened) changes nothing.
 *
 * The whole state is one word, changed by compare-and-swap, so every count is exact under any
 * number of threads. While it is closed and nothing fails, a request reads that word once before
 * and once after, and writes nothing. No clock: `now_ms` (clock_monotonic_ms) is an argument. Any
 * thread.
 */
#ifndef DATAPLANE_UPSTREAM_BREAKER_H
#define DATAPLANE_UPSTREAM_BREAKER_H

#include "dataplane/config/config.h"

#include <stdatomic.h>

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN };

/* Larger settings are cut to this: the counts share a word. */
enum { BREAKER_COUNT_MAX = 0x7fff };

struct breaker {
    _Alignas(64) _Atomic uint64_t word; /* breaker.c */
    _Atomic uint64_t open_until_ms;     /* only ever grows */
};

/* What a request that was let through hands back with its result. */
struct breaker_ticket {
    uint32_t epoch; /* counts changes of state */
    bool is_trial;
};

enum breaker_result { BREAKER_SUCCESS, BREAKER_FAILURE, BREAKER_NO_VERDICT };

/* The breaker of a cluster, with one more reference: key "breaker/<name>/<settings>", so changed
 * settings start afresh. Main thread. */
struct shared_state *breaker_get(struct shared_registry *registry, struct str cluster_name,
                                 const struct breaker_config *config);

/* Whether a request may pass. True: *ret_ticket must come back through breaker_report, once. */
bool breaker_admit(struct breaker *breaker, const struct breaker_config *config, uint64_t now_ms,
                   struct breaker_ticket *ret_ticket) MUST_CHECK;
/* How a request that was let through ended. Returns true where this changed the state; *ret_state
 * is the new one then (for the log). */
bool breaker_report(struct breaker *breaker, const struct breaker_config *config,
                    struct breaker_ticket ticket, enum breaker_result result, uint64_t now_ms,
                    enum breaker_state *ret_state);
/* The results of trials under way will not come (a worker changes to another breaker): a half-open
 * one becomes open with its time over, so that the next request may try. */
void breaker_forget_trials(struct breaker *breaker);
/* The state as it would meet a request now: an open one whose time is over counts as half-open. */
enum breaker_state breaker_state_at(const struct breaker *breaker, uint64_t now_ms);
/* Milliseconds until it lets a request try; 0 where it does already. */
uint64_t breaker_wait_ms(const struct breaker *breaker, uint64_t now_ms);
/* "closed", "open", "half_open". */
const char *breaker_state_name(enum breaker_state state);

static inline bool breaker_word_is_closed(uint64_t word)
{
    return (word & 3) == BREAKER_CLOSED;
}

#endif
