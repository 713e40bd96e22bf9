/* Reading the status documents that a directory has. Blocks. */
#ifndef CONTROLPLANE_SOURCE_DIRECTORY_STATUS_H
#define CONTROLPLANE_SOURCE_DIRECTORY_STATUS_H

#include "controlplane/source/source.h"

/* Calls listener->on_statuses (may be NULL) once, with all <path>/<kind>/<name>.json and those one
 * folder deeper; a directory that is not there has none. */
void directory_status_tell(const char *path, const struct source_listener *listener, void *arg);

#endif
