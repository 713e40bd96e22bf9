/* What the sources share: the head of each source, and the store of what it has delivered. */
#ifndef CONTROLPLANE_SOURCE_SOURCE_INTERNAL_H
#define CONTROLPLANE_SOURCE_SOURCE_INTERNAL_H

#include "common/base/map.h"
#include "controlplane/source/source.h"

/* The objects of a source, by key. */
struct source_store {
    struct map objects; /* struct source_store_object */
    size_t total_bytes; /* of values kept */
    int64_t revision;
};

struct source_store_object {
    struct source_entry entry; /* its strings are in data */
    unsigned round;            /* of the comparison that last saw it */
    char data[];
};

/* A zeroed store is an empty one. */
void source_store_done(struct source_store *store);
/* Copies entry in, in place of what the key had. */
void source_store_put(struct source_store *store, const struct source_entry *entry);
void source_store_remove(struct source_store *store, struct str key);
struct source_store_object *source_store_find(const struct source_store *store, struct str key);
/* All entries in order of their keys, in an array for mem_free; they borrow the store's strings. */
struct source_entry *source_store_sorted(const struct source_store *store);
/* Holds value to the limits: where it is over them, it is replaced by the oversize mark. */
void source_store_limit(const struct source_store *store, const struct source_limits *limits,
                        struct source_entry *entry);

struct source_type {
    void (*start)(struct source *source);
    void (*stop)(struct source *source);
    void (*destroy)(struct source *source);
    void (*put_status)(struct source *source, struct str key, struct str value);
    void (*put_passing_status)(struct source *source, struct str key, struct str value);
    void (*delete_status)(struct source *source, struct str key);
};

/* The head of each source; embedded as its first member. */
struct source {
    const struct source_type *type;
    const struct source_listener *listener;
    void *arg;
    struct source_limits limits;
    struct source_store store; /* what the listener knows */
    bool has_delivered;        /* anything yet */
    bool is_held;              /* emptied: the store is kept though nothing is there */
    bool allows_empty;         /* the key is there */
    enum source_state state;
    char detail[512]; /* "": not reported yet */
};

void source_init(struct source *source, const struct source_type *type,
                 const struct source_limits *limits, const struct source_listener *listener,
                 void *arg);
void source_done(struct source *source);
/* Reports state and detail, unless they are what was reported last. */
void source_report(struct source *source, enum source_state state, const char *format, ...)
    PRINTF_LIKE(3, 4);
/* Reports SOURCE_SYNCED, or SOURCE_EMPTIED while held. */
void source_report_synced(struct source *source, const char *where);
/* Would going from the store to `next` look like a wipe? */
bool source_is_wipe(const struct source *source, size_t next_count);
/* Makes next (emptied by this) the store and delivers it. */
void source_deliver_snapshot(struct source *source, struct source_store *next, bool is_stale);
/* Applies changes to the store and delivers them; none: only the revision moves. */
void source_deliver_changes(struct source *source, const struct source_change *changes,
                            size_t count, int64_t revision);
/* Room for value in a status document. */
enum { SOURCE_STATUS_BYTES_MAX = 64 * 1024 };

#endif
