/*
 * Where policy comes from: etcd or a directory, behind one interface. A source delivers keys, bytes
 * and a revision; it knows nothing of what they mean.
 *
 * Order of calls to a listener: on_state as things change; on_snapshot once everything is known,
 * and again whenever the source had to read everything anew (the listener compares); between
 * snapshots on_changes, one call for all changes that were made together (an etcd transaction is
 * never torn apart), in order.
 *
 * A source never blanks what is live. Values that are too big are delivered with is_oversized, so
 * that the object can be refused by name. And when everything vanishes at once, which looks like a
 * wiped etcd, a wrong prefix or an unmounted volume, nothing is delivered: the last state stays,
 * and the state is SOURCE_EMPTIED. It ends when
 *   - the key <prefix>allow-empty exists (etcdctl put /weir/v1/allow-empty yes; a directory: a file
 *     of that name at its top): the emptiness is delivered. The key is not delivered as an object;
 *     it may be put before a deliberate "delete everything" and goes with it; or
 *   - objects are there again and did not change for settle_ms: they are delivered as a snapshot.
 * Deleting one object is always honoured, also the last one; "everything at once" means that two or
 * more objects were known and none is left.
 *
 * Thread: everything on the loop's thread. No callback runs inside source_start, source_stop or
 * source_free,
 * and a callback must call neither of them; source_put_status and _delete_status it may.
 */
#ifndef CONTROLPLANE_SOURCE_SOURCE_H
#define CONTROLPLANE_SOURCE_SOURCE_H

#include "common/base/err.h"
#include "common/base/str.h"
#include "common/io/loop.h"

struct rpc_runtime;
struct source;

/* Below the prefix, beside the objects; never delivered. */
#define SOURCE_ALLOW_EMPTY_KEY "allow-empty"

enum source_state {
    SOURCE_CONNECTING,   /* nothing known yet */
    SOURCE_SYNCED,       /* what was delivered is what is there */
    SOURCE_DISCONNECTED, /* what was delivered may be out of date; detail says why */
    SOURCE_EMPTIED,      /* see above; detail says how to confirm */
};
/* "connecting" and the like. Static storage. */
const char *source_state_name(enum source_state state);

/* One object as it is. Bytes are valid during the callback only. */
struct source_entry {
    struct str key;   /* below the prefix: "routes/users", "endpoints/users/10.0.0.7" */
    struct str value; /* empty where is_oversized */
    int64_t mod_revision;
    size_t value_bytes; /* of the value as it is at the source */
    bool is_oversized;  /* over the limit: refuse the object and say so */
    bool is_yaml;       /* else JSON */
};

/* One object put or deleted. */
struct source_change {
    struct source_entry entry; /* value empty where is_deleted */
    bool is_deleted;
};

/* A status document that is there. Bytes are valid during the callback only. */
struct source_status {
    struct str key; /* below the status prefix: "routes/users" */
    struct str value;
};

struct source_listener {
    /* All objects, in order of their keys. is_stale: from the copy on disk, because the source
     * cannot be reached. revision may be lower than before where an older backup was restored. */
    void (*on_snapshot)(void *arg, const struct source_entry *entries, size_t count,
                        int64_t revision, bool is_stale);
    /* Changes that belong together, in order; the last one of a key counts. revision is that of the
     * last of them. */
    void (*on_changes)(void *arg, const struct source_change *changes, size_t count,
                       int64_t revision);
    /* Once, after a first snapshot that is not stale and where there is a place for statuses: all
     * status documents that are there, written by whomever. May be NULL. */
    void (*on_statuses)(void *arg, const struct source_status *documents, size_t count);
    /* Status documents below source_etcd_options.followed, written by whomever: all of them
     * (is_complete) at first, and again whenever they had to be read anew; between, those that
     * changed, where a value with data NULL was deleted. May be NULL. */
    void (*on_followed)(void *arg, const struct source_status *documents, size_t count,
                        bool is_complete);
    /* Each time the state or its detail changes. detail is a sentence for people. */
    void (*on_state)(void *arg, enum source_state state, const char *detail);
};

/* Begins; the first callback comes from the loop. Once. */
void source_start(struct source *source);
/* Ends: no callback follows; what is to be kept on disk is written (it waits for the disk). */
void source_stop(struct source *source);
/* After source_stop, or instead of source_start. NULL is fine. */
void source_free(struct source *source);
/* Writes a status document under the source's status prefix (etcd) or directory. key as in entries:
 * "routes/users". Later calls for a key replace earlier ones that were not written yet; failures
 * are retried. Dropped where the source has no place for statuses. value over 64 KiB is cut. */
void source_put_status(struct source *source, struct str key, struct str value);
/* The same for what is true only while this process lives: etcd deletes it half a minute after we
 * are gone without a word. A directory keeps it. */
void source_put_passing_status(struct source *source, struct str key, struct str value);
void source_delete_status(struct source *source, struct str key);

/* Limits of both sources. 0 stands for the default that the comment names. */
struct source_limits {
    size_t value_bytes_max; /* one value; bigger ones are delivered as oversized. Default 1.5 MiB */
    size_t total_bytes_max; /* all values; what exceeds it is oversized too. Default 512 MiB */
    size_t objects_max;     /* more are not read at all: the last state stays. Default 1,000,000 */
};

/* Strings are copied. 0 and NULL stand for the default that the comment names. */
struct source_etcd_options {
    const char *const *endpoints; /* "http://host:2379", "https://…", "host:2379"; tried in turn */
    size_t endpoint_count;
    const char *prefix; /* of the objects, with or without the last slash. Default /weir/v1/ */
    const char *status_prefix; /* "/weir/status/v1/"; NULL: statuses are dropped */
    const char *followed;      /* below status_prefix, "proxies/": see on_followed. NULL: nothing */
    const char *user;          /* NULL: no authentication */
    const char *password;
    const char *ca_file; /* PEM files, read anew for each connection; CA NULL: the system's */
    const char *cert_file;
    const char *key_file;
    const char *last_good_path; /* copy for starts without etcd; NULL: none */
    struct source_limits limits;
    int last_good_after_ms;   /* deliver that copy when etcd was not read by then. Default 2,000 */
    int keepalive_ms;         /* ping a silent etcd; it minds less than 5,000. Default 10,000 */
    int keepalive_timeout_ms; /* and give it up after this. Default 4,000 */
    int request_timeout_ms;   /* one request. Default 10,000 */
    int reconnect_max_ms;     /* longest pause between attempts. Default 5,000 */
    int reconcile_ms; /* compare keys and revisions with etcd's. Default 60,000; < 0: never */
    int settle_ms;    /* see above. Default 5,000 */
    int page_keys;    /* keys per request when everything is read. Default 1,000 */
};

/* A source that watches etcd. NULL with a sentence in msg where options are wrong (also where the
 * TLS files cannot be read). listener must outlive it. */
struct source *source_etcd_new(struct rpc_runtime *runtime,
                               const struct source_etcd_options *options,
                               const struct source_listener *listener, void *arg,
                               struct errmsg *msg) MUST_CHECK;

/* Strings are copied. */
struct source_directory_options {
    const char *path; /* <kind>/<name>.json|.yaml|.yml, endpoints/<service>/<instance>.json */
    const char *status_path; /* statuses go to <status_path>/<key>.json; NULL: dropped */
    struct source_limits limits;
    int debounce_ms; /* quiet time before changed files are read. Default 20 */
    int rescan_ms;   /* read everything now and then, for file systems that do not tell. Default
                        30,000 */
    int settle_ms;   /* see above. Default 5,000 */
};

/* A source that watches a directory tree. A directory that is not there (yet) is a state, no error.
 * Revisions count the changes seen since the start. Names that begin with a dot or end otherwise
 * are ignored; a file that is being written is read when it is closed. */
struct source *source_directory_new(struct loop *loop,
                                    const struct source_directory_options *options,
                                    const struct source_listener *listener, void *arg);

#endif
