/* Host patterns: "api.example.com", "*.example.com" (any depth below it) and "*". No state, any
 * thread. */
#ifndef CONTROLPLANE_TRANSLATE_HOSTS_H
#define CONTROLPLANE_TRANSLATE_HOSTS_H

#include "common/base/str.h"

/* Whether every host of inner is one of outer. */
bool host_covers(struct str outer, struct str inner);
/* The pattern of the hosts that both have, which is one of the two; .data is NULL where they have
 * none in common. */
struct str host_meet(struct str a, struct str b);
/* The next less specific pattern: "*.b.c" for "a.b.c" and for "*.a.b.c", "*" for "c" and "*.c".
 * It is in buffer, where host may be too, or static; .data is NULL for "*". */
struct str host_parent(struct str host, char buffer[256]);
/* Whether it stands for one host only. */
bool host_is_concrete(struct str host);

#endif
