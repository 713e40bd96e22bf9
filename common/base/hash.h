/* Two kinds of hash: a keyed one for tables, and a content hash for versions. */
#ifndef COMMON_BASE_HASH_H
#define COMMON_BASE_HASH_H

#include "common/base/str.h"

/* SipHash-1-3 under a key drawn once per process: a peer that chooses the keys of a table cannot
 * aim at its collisions. Differs from run to run; never store or send it. Any thread. */
uint64_t hash_keyed(struct str s);

/* 128 bits of SHA-256 as 32 lower-case hex digits: equal bytes have equal versions on every replica
 * and after every restart. */
struct content_hash {
    char hex[33];
};
struct content_hash content_hash_of(struct str s);

#endif
