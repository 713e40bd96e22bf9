/* What the files of the store share: store.c takes resources in, store_live.c takes them live. */
#ifndef DATAPLANE_XDS_STORE_INTERNAL_H
#define DATAPLANE_XDS_STORE_INTERNAL_H

#include "common/base/map.h"
#include "dataplane/xds/dns.h"
#include "dataplane/xds/store.h"

/* One resource of one name: what was accepted last, and what is live. */
struct entry {
    struct store *store;
    enum xds_type type;
    struct str name; /* own memory, as version, bytes, error, error_version */
    struct str version, bytes;
    struct str error, error_version;
    uint64_t updated_wall_us;
    bool is_static;

    void *latest; /* the part made of bytes; NULL: none yet, or (a live cluster) removed */
    void *live; /* what is published, a reference of its own; of endpoints always NULL: latest is */
    struct entry *needs, *live_needs; /* the endpoints or routes that they name, or NULL */
    uint64_t deadline_ms; /* latest goes live without what it needs; a removed cluster goes */

    bool waits_for_port; /* a listener that could not be bound */
    uint64_t bind_retry_at_ms;

    struct dns_watch *dns; /* clusters: of latest */
    struct endpoints_config *resolved, *live_resolved;

    bool is_wanted;      /* somebody names it (mark and sweep): not of listeners */
    uint64_t drop_at_ms; /* nobody does, until then; 0: somebody does */
    bool is_subscribed;  /* and the control plane has been asked for it */
    bool is_absent;      /* and has none of that name */
};

struct store {
    struct loop *loop;
    const struct decode_context *decode;
    struct store_output output;
    struct dns_resolver *resolver;
    struct map entries[XDS_TYPE_COUNT];
    size_t bytes_total;
    uint64_t rejected_total;
    uint64_t generation;
    struct config *config; /* published last */

    bool is_received[XDS_TYPE_COUNT];
    bool has_begun, is_initialising;
    uint64_t init_deadline_ms;
    uint64_t linger_ms, routes_hold_ms, cluster_hold_ms;

    struct loop_timer timer; /* the next deadline, or (0 ms) the end of this turn */
    bool is_dirty;
};

/* What is done with a part, by its type. */
struct part_operations {
    int (*decode)(const struct decode_context *context, struct str name, struct str bytes,
                  void **ret_part, struct errmsg *msg);
    void *(*ref)(void *part);
    void (*unref)(void *part);
};
extern const struct part_operations store_parts[XDS_TYPE_COUNT];

struct entry *store_entry_find(const struct store *store, enum xds_type type, struct str name);
/* Frees what is in entry; it has been taken out of its map. */
void store_entry_free(struct entry *entry);
void store_entry_clear_error(struct entry *entry);
/* Opens the sockets of a listener's latest version (harmless where they are open); where that fails
 * it is tried again later. */
int store_bind_latest(struct entry *entry, struct errmsg *msg);

/* Whether its latest version is not live. */
bool store_entry_is_warming(const struct entry *entry);
/* The end of a turn: takes live what is ready, publishes, and sets the timer to the next deadline.
 */
void store_flush(struct store *store);

#endif
