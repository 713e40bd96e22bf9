/*
 * A copy on disk of what the control plane sent last, for a start without it: the encoded resources
 * with their versions, in a checked file (common/io/checked_file.h). Written at most once a second.
 * It holds API keys, as the feed does: only its owner may read it. Main thread; writing blocks it
 * for as long as the disk needs.
 */
#ifndef DATAPLANE_XDS_LAST_GOOD_H
#define DATAPLANE_XDS_LAST_GOOD_H

#include "dataplane/xds/store.h"

struct last_good;

enum { LAST_GOOD_INTERVAL_MS = 1000 };

/* path is copied. */
struct last_good *last_good_new(struct loop *loop, const char *path, const struct store *store);
/* Writes what is still to be written; NULL is fine. Before store_free. */
void last_good_free(struct last_good *copy);
/* The store has changed: it is written within LAST_GOOD_INTERVAL_MS. Where that fails the old copy
 * stays, and the log says why. */
void last_good_note_change(struct last_good *copy);
/* Puts the resources of the file into store and ends its initialisation. 0 and how many; or
 * ERR_NOT_FOUND (there is no file), ERR_IO, ERR_TOO_LARGE, ERR_INVALID (it is damaged), with a
 * sentence: nothing has been put then. Single resources that are refused are logged and left out.
 */
int last_good_load(const char *path, struct store *store, size_t *ret_count,
                   struct errmsg *msg) MUST_CHECK;

#endif
