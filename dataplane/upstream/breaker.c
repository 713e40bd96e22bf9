#include "dataplane/upstream/breaker.h"

#include "common/base/buf.h"

/*
 * The word, from the lowest bit:
 *     2  state
 *    15  count   closed: failures in a row; half-open: successes in a row
 *    15  trials  half-open: requests let through whose result has not come
 *    32  epoch   counts changes of state
 */
enum { COUNT_SHIFT = 2, TRIALS_SHIFT = 17, EPOCH_SHIFT = 32 };

static enum breaker_state state_of(uint64_t word)
{
    return (enum breaker_state)(word & 3);
}

static uint32_t count_of(uint64_t word)
{
    return (word >> COUNT_SHIFT) & BREAKER_COUNT_MAX;
}

static uint32_t trials_of(uint64_t word)
{
    return (word >> TRIALS_SHIFT) & BREAKER_COUNT_MAX;
}

static uint32_t epoch_of(uint64_t word)
{
    return (uint32_t)(word >> EPOCH_SHIFT);
}

static uint64_t make_word(enum breaker_state state, uint32_t count, uint32_t trials, uint32_t epoch)
{
    return (uint64_t)state | (uint64_t)count << COUNT_SHIFT | (uint64_t)trials << TRIALS_SHIFT |
           (uint64_t)epoch << EPOCH_SHIFT;
}

static uint32_t at_most(uint32_t value)
{
    return value > BREAKER_COUNT_MAX ? BREAKER_COUNT_MAX : value;
}

/* Replaces *word by next where the breaker still holds *word; otherwise *word is what it holds. */
static bool swap(struct breaker *breaker, uint64_t *word, uint64_t next)
{
    return atomic_compare_exchange_weak_explicit(&breaker->word, word, next, memory_order_acq_rel,
                                                 memory_order_acquire);
}

struct shared_state *breaker_get(struct shared_registry *registry, struct str cluster_name,
                                 const struct breaker_config *config)
{
    struct buf key;
    buf_init(&key, cluster_name.len + 96);
    buf_printf(&key, "breaker/%.*s/%u-%llu-%u-%u", STR_ARGS(cluster_name),
               config->consecutive_failures, (unsigned long long)config->open_for_ms,
               config->half_open_requests, config->success_threshold);
    struct shared_state *state =
        shared_state_get(registry, buf_str(&key), sizeof(struct breaker), NULL, NULL, NULL);
    buf_done(&key);
    return state;
}

bool breaker_admit(struct breaker *breaker, const struct breaker_config *config, uint64_t now_ms,
                   struct breaker_ticket *ret_ticket)
{
    uint64_t word = atomic_load_explicit(&breaker->word, memory_order_acquire);
    for (;;) {
        uint64_t next;
        if (breaker_word_is_closed(word)) {
            *ret_ticket = (struct breaker_ticket){.epoch = epoch_of(word)};
            return true;
        }
        if (state_of(word) == BREAKER_OPEN) {
            if (now_ms < atomic_load_explicit(&breaker->open_until_ms, memory_order_acquire))
                return false;
            next = make_word(BREAKER_HALF_OPEN, 0, 1, epoch_of(word) + 1);
        } else {
            if (trials_of(word) >= at_most(config->half_open_requests))
                return false;
            next = word + (1ull << TRIALS_SHIFT);
        }
        if (!swap(breaker, &word, next))
            continue;
        *ret_ticket = (struct breaker_ticket){.epoch = epoch_of(next), .is_trial = true};
        return true;
    }
}

/* Until now + open_for_ms, but never earlier than it was: a thread that was held up here must not
 * shorten what another has begun since. */
static void extend_open(struct breaker *breaker, uint64_t until_ms)
{
    uint64_t old = atomic_load_explicit(&breaker->open_until_ms, memory_order_relaxed);
    while (old < until_ms &&
           !atomic_compare_exchange_weak_explicit(&breaker->open_until_ms, &old, until_ms,
                                                  memory_order_acq_rel, memory_order_relaxed))
        ;
}

/* What a result makes of the word. */
static uint64_t word_after(const struct breaker_config *config, uint64_t word, bool is_trial,
                           enum breaker_result result)
{
    uint32_t epoch = epoch_of(word), count = count_of(word), trials = trials_of(word);
    if (state_of(word) == BREAKER_CLOSED) {
        if (result == BREAKER_SUCCESS)
            return make_word(BREAKER_CLOSED, 0, 0, epoch);
        if (result == BREAKER_NO_VERDICT)
            return word;
        return count + 1 >= at_most(config->consecutive_failures)
                   ? make_word(BREAKER_OPEN, 0, 0, epoch + 1)
                   : make_word(BREAKER_CLOSED, count + 1, 0, epoch);
    }
    if (state_of(word) != BREAKER_HALF_OPEN || !is_trial || !trials)
        return word;
    if (result == BREAKER_FAILURE)
        return make_word(BREAKER_OPEN, 0, 0, epoch + 1);
    if (result == BREAKER_NO_VERDICT)
        return make_word(BREAKER_HALF_OPEN, count, trials - 1, epoch);
    return count + 1 >= at_most(config->success_threshold)
               ? make_word(BREAKER_CLOSED, 0, 0, epoch + 1)
               : make_word(BREAKER_HALF_OPEN, count + 1, trials - 1, epoch);
}

bool breaker_report(struct breaker *breaker, const struct breaker_config *config,
                    struct breaker_ticket ticket, enum breaker_result result, uint64_t now_ms,
                    enum breaker_state *ret_state)
{
    uint64_t word = atomic_load_explicit(&breaker->word, memory_order_acquire), next;
    do {
        if (epoch_of(word) != ticket.epoch)
            return false;
        next = word_after(config, word, ticket.is_trial, result);
        if (next == word)
            return false;
        if (state_of(next) == BREAKER_OPEN)
            extend_open(breaker, now_ms + config->open_for_ms);
    } while (!swap(breaker, &word, next));
    if (epoch_of(next) == epoch_of(word))
        return false;
    *ret_state = state_of(next);
    return true;
}

void breaker_forget_trials(struct breaker *breaker)
{
    uint64_t word = atomic_load_explicit(&breaker->word, memory_order_acquire);
    while (state_of(word) == BREAKER_HALF_OPEN &&
           !swap(breaker, &word, make_word(BREAKER_OPEN, 0, 0, epoch_of(word) + 1)))
        ;
}

uint64_t breaker_wait_ms(const struct breaker *breaker, uint64_t now_ms)
{
    uint64_t word = atomic_load_explicit(&breaker->word, memory_order_acquire);
    uint64_t until = atomic_load_explicit(&breaker->open_until_ms, memory_order_acquire);
    return state_of(word) == BREAKER_OPEN && until > now_ms ? until - now_ms : 0;
}

enum breaker_state breaker_state_at(const struct breaker *breaker, uint64_t now_ms)
{
    uint64_t word = atomic_load_explicit(&breaker->word, memory_order_acquire);
    if (state_of(word) == BREAKER_OPEN && !breaker_wait_ms(breaker, now_ms))
        return BREAKER_HALF_OPEN;
    return state_of(word);
}

const char *breaker_state_name(enum breaker_state state)
{
    static const char *const names[] = {"closed", "open", "half_open"};
    return names[state];
}
