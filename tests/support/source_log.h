/* A listener that mirrors what a policy source delivers, for tests. */
#ifndef TESTS_SUPPORT_SOURCE_LOG_H
#define TESTS_SUPPORT_SOURCE_LOG_H

#include "common/base/map.h"
#include "controlplane/source/source.h"

struct source_log_object {
    char *key, *value; /* NUL-terminated */
    size_t len;
    size_t value_bytes;
    int64_t mod_revision;
    bool is_oversized, is_yaml;
};

struct source_log {
    struct loop *loop;
    struct map objects; /* what a listener knows by now */
    size_t snapshots, changes;
    size_t last_change_count;
    bool is_stale; /* the last snapshot was */
    int64_t revision;
    enum source_state state;
    char detail[600];
    unsigned states_seen; /* bit per enum source_state */
};

extern const struct source_listener source_log_listener; /* its arg is the log */

/* A zeroed log with a loop is an empty one. */
void source_log_done(struct source_log *log);
const struct source_log_object *source_log_find(const struct source_log *log, const char *key);
/* Runs the loop until the state is this one; fails the test after timeout_ms. */
void source_log_wait_state(struct source_log *log, enum source_state state, int timeout_ms);
/* Runs the loop until the key has this value (NULL: is not there). */
void source_log_wait_value(struct source_log *log, const char *key, const char *value);
/* Runs the loop until there were so many snapshots. */
void source_log_wait_snapshots(struct source_log *log, size_t count);

#endif
