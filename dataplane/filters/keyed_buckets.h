/*
 * Token buckets that are made as their keys turn up (one per client address, per consumer): one
 * table of fixed size for the whole process, used by all workers at once without locks.
 *
 * What makes room is what has no memory: a bucket that is full again says nothing and may go. Where
 * all buckets a key could take are in use, it shares the level of the fullest one instead of
 * starting full, so that a flood of new keys resets nobody's count (threats S55), and an offender's
 * own bucket, the emptiest, is the last to go. It starts empty at worst: a limit per second does
 * not wait for what a limit per day has used up.
 */
#ifndef DATAPLANE_FILTERS_KEYED_BUCKETS_H
#define DATAPLANE_FILTERS_KEYED_BUCKETS_H

#include "dataplane/config/shared_state.h"

#include <stdint.h>

/* 16 bytes each; memory is touched as keys turn up. */
enum { KEYED_BUCKETS_MAX = 1024 * 1024 };

struct keyed_buckets;

/* The table of the process, with one more reference (shared_state_object: struct keyed_buckets).
 * Main thread. */
struct shared_state *keyed_buckets_get(struct shared_registry *shared);
/* The word of the bucket (token_bucket.h) of tag, a keyed hash of everything that makes the key;
 * full_at_max is token_bucket_empty of its rate. Any thread. Valid as long as the table; by the
 * next call the key may have another one. */
uint64_t *keyed_bucket_find(struct keyed_buckets *buckets, uint64_t tag, uint64_t full_at_max);

#endif
