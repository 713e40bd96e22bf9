/*
 * Which files of watched folders somebody is in the middle of writing, by what inotify tells: a
 * file that was changed is being written until it is closed. Half a YAML file is often a valid one,
 * that says something else.
 *
 * The loop's thread.
 */
#ifndef CONTROLPLANE_SOURCE_BEING_WRITTEN_H
#define CONTROLPLANE_SOURCE_BEING_WRITTEN_H

#include "common/base/map.h"

#include <stdbool.h>
#include <sys/inotify.h>

/* A zeroed one knows of none. */
struct being_written {
    struct map files; /* "<watch>/<name>" -> its key, owned */
};

void being_written_done(struct being_written *files);
/* Takes an event in; false where it says nothing but that a file was changed and is still open. */
bool being_written_note(struct being_written *files, const struct inotify_event *event);
/* watch: of its folder, as inotify_add_watch returned it. */
bool being_written_has(const struct being_written *files, int watch, const char *name);

#endif
