/* What a resource cannot work without: read from its message once, when it is made. Pure. */
#ifndef CONTROLPLANE_SNAPSHOT_NEEDS_H
#define CONTROLPLANE_SNAPSHOT_NEEDS_H

#include "common/base/vec.h"

#include <protobuf-c/protobuf-c.h>

/* Appends names (char *, to be freed) to names: for a cluster its endpoints where they come by EDS,
 * for a listener its route configurations where they come by RDS, for anything else nothing. */
void needs_of_message(const ProtobufCMessage *message, struct vec *names);

#endif
