/*
 * The etcd source, in eight files: etcd.c (life, session, failures, last-good copy), etcd_list.c
 * (reading everything), etcd_watch.c (changes), etcd_reconcile.c (comparing now and then),
 * etcd_status.c (writing statuses back), etcd_status_list.c (those that are there at the start),
 * etcd_lease.c (those that go with us), etcd_follow.c (those of other replicas).
 *
 * A session is: connect to an endpoint, get a token where there is a user, list unless a revision
 * is known that a watch can go on from, watch. Any failure ends the session; after a pause the
 * next endpoint is tried.
 */
#ifndef CONTROLPLANE_SOURCE_ETCD_INTERNAL_H
#define CONTROLPLANE_SOURCE_ETCD_INTERNAL_H

#include "common/base/arena.h"
#include "common/base/vec.h"
#include "common/rpc/rpc.h"
#include "controlplane/source/etcd_client.h"
#include "controlplane/source/last_good.h"
#include "controlplane/source/source_internal.h"

#include <etcd/rpc.pb-c.h>

enum session_state {
    SESSION_PAUSED, /* retry is running, or not started */
    SESSION_AUTHENTICATING,
    SESSION_LISTING,
    SESSION_OPENING, /* the watch is asked for */
    SESSION_WATCHING,
};

/* A listing, page by page, at one revision. */
struct etcd_listing {
    struct rpc_call *call;
    struct buf next_key;  /* where the next page begins */
    struct str range_end; /* the first key behind them; borrowed */
    int64_t revision;     /* 0: the first page will tell */
    uint64_t cluster_id;
    int page_keys;
    unsigned restarts; /* because it was compacted away */
};

/* A comparison of keys and revisions with etcd's. */
struct etcd_reconcile {
    struct loop_timer timer;
    struct etcd_listing listing;
    unsigned round;
    size_t seen_count;  /* keys that are as we know them */
    struct buf suspect; /* the first key that is not; empty: none */
    bool is_confirming; /* the second look; was is what the first one found */
    struct buf was;
};

/* The status documents that are there at the start. */
struct etcd_status_list {
    struct rpc_call *call;
    struct arena arena;              /* of all pages */
    struct source_status *documents; /* their strings are in arena */
    size_t len, cap, bytes;
    int page_keys;
    bool has_arena;
    bool is_done; /* delivered */
};

/* Status documents that are followed. */
struct etcd_follow {
    struct str prefix, range_end; /* data NULL: none are */
    struct etcd_listing listing;
    struct rpc_stream *watch;
    struct loop_timer again;
    struct arena arena;              /* of a listing, or of one watch response */
    struct source_status *documents; /* their strings are in arena */
    size_t len, cap;
};

/* Statuses to be written, the newest per key. */
struct etcd_statuses {
    struct etcd_status_list list;
    struct map pending; /* struct status_item */
    struct vec flying;  /* those in call; struct status_item */
    struct rpc_call *call;
    struct loop_timer timer;
    unsigned failures;
};

/* A status that is to go with this process. */
struct etcd_passing {
    struct str key, value; /* in data */
    char data[];
};

struct etcd_lease {
    struct map passing; /* struct etcd_passing */
    struct rpc_call *call;
    struct loop_timer timer;
    int64_t id;      /* 0: none yet, or lost */
    bool is_refused; /* we have no right to one: written without */
};

struct etcd_source {
    struct source base;
    struct loop *loop;
    struct etcd_client *client;
    struct str prefix;        /* ends with a slash */
    struct str range_end;     /* the first key behind the prefix */
    struct str status_prefix; /* data NULL: statuses are dropped */
    int request_timeout_ms, reconnect_max_ms, reconcile_ms, settle_ms, last_good_after_ms;

    enum session_state session;
    bool is_started, is_stopped;
    struct loop_timer retry;
    struct loop_timer deadline; /* for the watch to open */
    unsigned failures;          /* in a row */
    struct rpc_call *auth_call;

    int64_t revision; /* all changes up to here are known; 0: none */
    uint64_t cluster_id;
    struct source_store staging; /* being listed */
    bool staging_allows_empty;
    struct etcd_listing listing;
    bool has_settled; /* the next listing ends a hold */
    struct loop_timer settle;

    struct rpc_stream *watch;
    struct arena batch; /* of one watch response, fragments joined */
    struct vec events;  /* Mvccpb__Event, in batch */
    size_t batch_bytes;

    struct etcd_reconcile reconcile;
    struct etcd_statuses statuses;
    struct etcd_lease lease;
    struct etcd_follow follow;

    struct last_good_writer writer; /* path NULL: no copy */
    struct loop_timer save;
    struct loop_timer last_good_delay;
    struct source_store last_good; /* read from disk and not delivered */
    bool is_dirty;                 /* delivered since the last copy */
    bool is_copy_failing;          /* said so */
};

/* Buffers for keys: more than an answer of etcd can hold (etcd_client.c), so they never overflow.
 */
#define ETCD_KEY_BYTES_MAX ((size_t)512 * 1024 * 1024)

/* --- etcd.c */
/* The first key behind those that begin with prefix, which ends with a slash; for mem_free. */
struct str etcd_range_end(struct str prefix);
/* Ends the session and tries again later; the sentence becomes the state's detail. */
void etcd_session_fail(struct etcd_source *source, const char *format, ...) PRINTF_LIKE(2, 3);
/* The same for an answer that is an error. */
void etcd_session_fail_call(struct etcd_source *source, const char *what, enum rpc_status status,
                            const char *text);
/* Where a call was refused because of its token: gets a new one without ending the session. */
void etcd_session_check_token(struct etcd_source *source, enum rpc_status status, const char *text);
/* Listing is complete or was not needed: watch. */
void etcd_session_watch(struct etcd_source *source);
/* Everything is as etcd has it. */
void etcd_session_synced(struct etcd_source *source);
/* Something was delivered: the copy on disk is out of date. */
void etcd_schedule_save(struct etcd_source *source);
struct source_entry etcd_entry_of(const struct etcd_source *source, const Mvccpb__KeyValue *kv);
/* The prefix itself is a key: it has neither kind nor name, so there is no status to say so in. */
void etcd_tell_nameless(const struct etcd_source *source);

/* --- etcd_list.c */
void etcd_list_begin(struct etcd_source *source);
void etcd_list_cancel(struct etcd_source *source);
void etcd_listing_init(struct etcd_listing *listing, int page_keys);
void etcd_listing_done(struct etcd_listing *listing);
/* Back to the first page of prefix, which ends with a slash, at whatever revision is now. range_end
 * is borrowed. */
void etcd_listing_restart(struct etcd_listing *listing, struct str prefix, struct str range_end);
/* Asks for the next page; on_done gets source. */
void etcd_listing_request(struct etcd_source *source, struct etcd_listing *listing, bool keys_only,
                          rpc_call_done_fn *on_done);
/* Notes where page leaves off; true: it was the last one. */
bool etcd_listing_take_page(struct etcd_listing *listing, const Etcdserverpb__RangeResponse *page);

/* --- etcd_reconcile.c */
void etcd_reconcile_init(struct etcd_source *source);
/* Starts the clock for the next comparison. */
void etcd_reconcile_schedule(struct etcd_source *source);
void etcd_reconcile_cancel(struct etcd_source *source);
void etcd_reconcile_done(struct etcd_source *source);

/* --- etcd_watch.c */
void etcd_watch_begin(struct etcd_source *source);
void etcd_watch_cancel(struct etcd_source *source);

/* --- etcd_status.c */
void etcd_statuses_init(struct etcd_source *source);
/* value NULL: delete. is_passing: under the lease. */
void etcd_statuses_put(struct etcd_source *source, struct str key, const struct str *value,
                       bool is_passing);
/* A new token is there: what was refused for the old one goes at once, if that was the first time.
 */
void etcd_statuses_retry(struct etcd_source *source);
void etcd_statuses_cancel(struct etcd_source *source);
void etcd_statuses_done(struct etcd_source *source);

/* --- etcd_status_list.c */
/* Once per life; nothing where it has been done. */
void etcd_status_list_begin(struct etcd_source *source);
void etcd_status_list_cancel(struct etcd_source *source);

/* --- etcd_lease.c */
void etcd_lease_init(struct etcd_source *source);
/* Writes a status under the lease, as soon as there is one. */
void etcd_lease_put(struct etcd_source *source, struct str key, struct str value);
/* The status is deleted or written without a lease. */
void etcd_lease_forget(struct etcd_source *source, struct str key);
/* etcd does not know the lease any more: a new one, and everything under it again. */
void etcd_lease_lost(struct etcd_source *source);
/* A session is there: asks for more time. */
void etcd_lease_begin(struct etcd_source *source);
void etcd_lease_cancel(struct etcd_source *source);
void etcd_lease_done(struct etcd_source *source);

/* --- etcd_follow.c */
/* followed NULL: nothing is. */
void etcd_follow_init(struct etcd_source *source, const char *followed);
/* A session is there: reads them and watches them, unless it does already. */
void etcd_follow_begin(struct etcd_source *source);
void etcd_follow_cancel(struct etcd_source *source);
void etcd_follow_done(struct etcd_source *source);

#endif
