/*
 * State that outlives a configuration: rate-limit buckets, breakers, statistics. It is found again
 * by its key when a new configuration is built, and goes when no configuration refers to it any
 * more. The key says what it belongs to and, where a changed setting must start afresh, a hash of
 * the setting: "breaker/users/6f1d…".
 *
 * Every function here: main thread only (configurations are built and freed there). What is inside
 * the object is used by all workers at once and is its owner's to protect (atomics).
 */
#ifndef DATAPLANE_CONFIG_SHARED_STATE_H
#define DATAPLANE_CONFIG_SHARED_STATE_H

#include "common/base/str.h"

struct shared_registry;
struct shared_state; /* head of an object; the object itself is shared_state_object(state) */

/* Frees what the object points to, not the object. */
typedef void shared_state_done_fn(void *object);
/* Fills a new, zeroed object; arg as given to shared_state_get. */
typedef void shared_state_init_fn(void *object, const void *arg);

struct shared_registry *shared_registry_new(void);
/* All states must have been unreferenced. */
void shared_registry_free(struct shared_registry *registry);

/* The object of that key with one more reference; made where there is none (size bytes, cache-line
 * aligned, zeroed, then init unless NULL). done may be NULL. */
struct shared_state *shared_state_get(struct shared_registry *registry, struct str key, size_t size,
                                      shared_state_init_fn *init, const void *arg,
                                      shared_state_done_fn *done);
void *shared_state_object(struct shared_state *state);
/* NULL is fine. */
void shared_state_unref(struct shared_state *state);

/* Calls visit for each live object whose key begins with prefix, in no order: for admin pages. */
typedef void shared_state_visit_fn(struct str key, void *object, void *arg);
void shared_registry_visit(struct shared_registry *registry, struct str prefix,
                           shared_state_visit_fn *visit, void *arg);

#endif
