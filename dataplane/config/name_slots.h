/*
 * Small numbers for names that change hands between threads: a cluster's name, a filter instance's
 * name. A route keeps the number, a worker keeps an array indexed by it, and no request hashes a
 * string or follows a pointer that a configuration update could leave dangling.
 *
 * Main thread only. A number keeps its name while somebody holds a reference on it (configuration
 * parts do); then it is used again for another name.
 */
#ifndef DATAPLANE_CONFIG_NAME_SLOTS_H
#define DATAPLANE_CONFIG_NAME_SLOTS_H

#include "common/base/str.h"

struct name_slots;
enum { NAME_SLOT_NONE = UINT32_MAX };

struct name_slots *name_slots_new(void);
void name_slots_free(struct name_slots *slots);
/* The number of name, with one more reference on it; a new one where the name is new. */
uint32_t name_slots_acquire(struct name_slots *slots, struct str name);
/* Gives one reference back; the number is reused when none is left. NAME_SLOT_NONE is fine. */
void name_slots_release(struct name_slots *slots, uint32_t slot);
/* The number of name if it has one, else NAME_SLOT_NONE; no reference is added. */
uint32_t name_slots_find(const struct name_slots *slots, struct str name);
/* One more than the largest number ever given: the length for arrays indexed by slot. */
uint32_t name_slots_count(const struct name_slots *slots);

#endif
