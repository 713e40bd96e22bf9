/*
 * Regular expressions that operators write: what common/regex takes, and what all clients of the
 * feed understand alike, Envoys that read UTF-8 included. No state, any thread.
 */
#ifndef CONTROLPLANE_MODEL_REGEX_H
#define CONTROLPLANE_MODEL_REGEX_H

#include "common/base/err.h"

/* 0, or an error with a sentence "field: ..." where a client would refuse pattern, where clients
 * would understand it differently, or where it is too big for Envoy. ret_groups (may be NULL): how
 * many groups it has. */
int regex_check(const char *field, const char *pattern, unsigned *ret_groups,
                struct errmsg *msg) MUST_CHECK;

#endif
