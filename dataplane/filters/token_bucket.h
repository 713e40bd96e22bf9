/*
 * A token bucket in one 64-bit word that many threads may take from at once, without a lock: the
 * point of time at which it will be full again. It refills continuously, as Envoy's does. Never
 * gives out more than its rate allows: costs are rounded up.
 *
 * A zeroed word is a full bucket. Pure functions; time is an argument (monotonic, in ns).
 */
#ifndef DATAPLANE_FILTERS_TOKEN_BUCKET_H
#define DATAPLANE_FILTERS_TOKEN_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

enum { TOKEN_UNITS_PER_NS = 8 };

/* Longest time to fill a bucket from empty, in units: 9 years. A bucket that would take longer is
 * as big as what 9 years bring. */
#define TOKEN_WINDOW_MAX (1ull << 61)
/* Longest interval between fills: a year. */
#define TOKEN_INTERVAL_NS_MAX (366ull * 86400 * 1000000000)

struct token_rate {
    uint64_t cost;   /* units for one token to come back */
    uint64_t window; /* units for all of them */
    uint64_t max_tokens;
};

/* max_tokens, tokens_per_fill and interval_ns are more than 0; interval_ns at most
 * TOKEN_INTERVAL_NS_MAX. */
static inline struct token_rate token_rate_of(uint64_t max_tokens, uint64_t tokens_per_fill,
                                              uint64_t interval_ns)
{
    uint64_t cost = (interval_ns * TOKEN_UNITS_PER_NS + tokens_per_fill - 1) / tokens_per_fill;
    uint64_t fitting = TOKEN_WINDOW_MAX / cost;
    if (fitting > max_tokens)
        fitting = max_tokens;
    return (struct token_rate){.cost = cost, .window = cost * fitting, .max_tokens = max_tokens};
}

static inline uint64_t token_time(uint64_t now_ns)
{
    return now_ns * TOKEN_UNITS_PER_NS;
}

/* The word of an empty bucket. */
static inline uint64_t token_bucket_empty(const struct token_rate *rate, uint64_t now_ns)
{
    return token_time(now_ns) + rate->window;
}

/* Takes count tokens, or none and returns false where there are fewer. */
static inline bool token_bucket_take(uint64_t *full_at, const struct token_rate *rate,
                                     uint64_t now_ns, uint64_t count)
{
    uint64_t now = token_time(now_ns);
    if (count > rate->window / rate->cost)
        return false;
    uint64_t old = __atomic_load_n(full_at, __ATOMIC_RELAXED), next;
    do {
        next = (old > now ? old : now) + count * rate->cost;
        if (next - now > rate->window)
            return false;
    } while (!__atomic_compare_exchange_n(full_at, &old, next, true, __ATOMIC_RELAXED,
                                          __ATOMIC_RELAXED));
    return true;
}

/* What is missing to a full bucket, in units. */
static inline uint64_t token_bucket_debt(const uint64_t *full_at, uint64_t now_ns)
{
    uint64_t now = token_time(now_ns), at = __atomic_load_n(full_at, __ATOMIC_RELAXED);
    return at > now ? at - now : 0;
}

/* Whole tokens there are. */
static inline uint64_t token_bucket_tokens(const uint64_t *full_at, const struct token_rate *rate,
                                           uint64_t now_ns)
{
    uint64_t debt = token_bucket_debt(full_at, now_ns);
    uint64_t tokens = debt < rate->window ? (rate->window - debt) / rate->cost : 0;
    return debt ? tokens : rate->max_tokens;
}

/* Seconds, rounded up, until there is a token; 0 where there is one. */
static inline uint64_t token_bucket_reset_s(const uint64_t *full_at, const struct token_rate *rate,
                                            uint64_t now_ns)
{
    const uint64_t second = 1000000000ull * TOKEN_UNITS_PER_NS;
    uint64_t debt = token_bucket_debt(full_at, now_ns);
    if (debt + rate->cost <= rate->window)
        return 0;
    return (debt + rate->cost - rate->window + second - 1) / second;
}

#endif
