/* Shared by status.c, view.c and write.c (see status.h). */
#ifndef CONTROLPLANE_STATUS_STATUS_INTERNAL_H
#define CONTROLPLANE_STATUS_STATUS_INTERNAL_H

#include "common/base/arena.h"
#include "common/base/map.h"
#include "common/base/mem.h"
#include "common/io/loop.h"
#include "controlplane/status/status.h"

/* The proxies that an object is live on; shared by all objects that are live on the same. */
struct live_set {
    uint32_t refs;
    uint64_t hash;  /* sum over the hashes of their node ids: keyed, never written anywhere */
    uint32_t count; /* all of them */
    uint32_t len;   /* those in names */
    char *names[];  /* sorted, owned */
};

/* NULL is fine and stands for the empty set. */
void live_set_unref(struct live_set *set);
static inline uint64_t live_set_hash(const struct live_set *set)
{
    return set ? set->hash : 0;
}

/* A proxy's refusal that is blamed on an object. Strings are owned: the ledger may forget it before
 * the document is written. */
struct blame {
    char *proxy;
    char *resource;
    char *message;
};

struct record_view; /* view.c */

/* One object's or proxy's document. */
struct record {
    struct list dirty; /* in status->dirty while it is to be written */
    struct str key;
    bool is_dirty;
    bool is_proxy;
    bool is_accepted;
    bool is_using_last_good;
    bool is_inherited; /* written before this start, and not since */
    int64_t revision;
    uint64_t publication; /* that has its newest accepted version; 0: there is none */
    char *message;
    char *problem;            /* why it keeps what it had although it is accepted, or NULL */
    struct vec warnings;      /* char * */
    struct vec refusals;      /* struct blame, STATUS_REFUSALS_MAX at most */
    uint32_t refusal_count;   /* all of them */
    struct live_set *live;    /* NULL: on none */
    struct record_view *view; /* while status_view runs */
    struct str node_id;       /* of a proxy */
    uint64_t written_ms;
    uint64_t written_live;               /* hash of the live_set in the document */
    struct content_hash written;         /* of the document without its time; "": not written yet */
    struct content_hash written_verdict; /* of an inherited document without live_on */
};

/* A proxy that another weir-control serves. Strings and refusals are in arena. */
struct other_proxy {
    struct str key;
    struct ledger_client client; /* no ledger knows it */
    struct content_hash version;
    struct arena arena;
};

struct status {
    struct loop *loop;
    struct ledger *ledger;
    struct status_options options;
    char *served_by;
    struct map records;  /* key -> struct record */
    struct map others;   /* key -> struct other_proxy */
    size_t others_bytes; /* that they take */
    struct map versions; /* content hash -> struct version (others.c) */
    struct list dirty;
    size_t dirty_count;
    bool is_view_stale; /* clients, refusals or verdicts changed since view.c looked */
    bool is_closing;
    bool is_live_pending; /* there may be objects whose live set differs from what is written */
    uint64_t view_after_ms;
    uint64_t start_ms;
    uint64_t write_after_ms; /* waiting for status_take_written */
    uint64_t turn_ms;        /* the last one */
    uint64_t live_tokens;    /* documents times 1000 */
    uint64_t written;
    struct loop_timer timer;
};

/* --- status.c */
struct record *status_find(const struct status *status, struct str key);
void status_mark(struct status *status, struct record *record);
void status_unmark(struct status *status, struct record *record);
void status_schedule(struct status *status);
void record_free_blames(struct record *record);
void record_set_live(struct record *record, struct live_set *live);

/* --- others.c */
/* Works out how far the others' proxies have come in terms of our publications. */
void others_place(struct status *status);
void others_done(struct status *status);

/* --- view.c */
/* Works out live sets and blame, and marks records whose blame changed. */
void status_view(struct status *status);

/* --- write.c */
void status_timer_fired(struct loop_timer *timer);
/* Notes what a document of before says. */
void status_inherit(struct status *status, struct record *record, struct str document);
/* Whether a document of before is a proxy's that was connected to this weir-control. */
bool status_is_own_proxy(const struct status *status, struct str document);

#endif
