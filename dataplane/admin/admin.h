/*
 * The proxy's admin pages, with Envoy's paths and forms: /ready, /stats, /stats/prometheus,
 * /config_dump, /clusters, /listeners, /server_info, and the changing ones (POST only):
 * /drain_listeners, /quitquitquit, /healthcheck/fail, /healthcheck/ok, /logging, /reopen_logs; and
 * two of our own, /control_plane and /unsupported_fields (JSON). Served by common/io/admin_server
 * on the main loop.
 *
 * What workers own (hosts) is collected by posting to them and waiting, at most
 * ADMIN_WORKER_WAIT_MS; a worker that does not answer in time is left out, and the page says so.
 */
#ifndef DATAPLANE_ADMIN_ADMIN_H
#define DATAPLANE_ADMIN_ADMIN_H

#include "common/base/err.h"
#include "common/io/loop.h"
#include "dataplane/config/config.h"
#include "dataplane/listener/worker.h"

struct admin;
struct pbjson_registry;

enum { ADMIN_WORKER_WAIT_MS = 1000 };

enum admin_state {
    ADMIN_LIVE,             /* serving */
    ADMIN_DRAINING,         /* shutting down */
    ADMIN_PRE_INITIALIZING, /* nothing to serve yet */
    ADMIN_INITIALIZING,     /* configuration is on its way */
};

/* One resource as it was received: a row of /config_dump. Borrowed during the visit. */
struct admin_resource {
    struct str type_url;
    struct str name;
    struct str version;
    struct str bytes;         /* the encoded message */
    uint64_t updated_wall_us; /* since 1970 */
    bool is_static;           /* of the bootstrap */
    bool is_warming;          /* received and waiting for others */
    struct str error;         /* why its newest version was refused; empty: it was not */
    struct str error_version;
};
typedef void admin_resource_fn(const struct admin_resource *resource, void *arg);

/* The subscription to the control plane. Texts are borrowed until the loop goes on. */
enum admin_feed { ADMIN_CDS, ADMIN_EDS, ADMIN_LDS, ADMIN_RDS };
enum { ADMIN_FEEDS = 4 };
struct admin_control_plane {
    bool is_configured;     /* else everything is static, and the rest 0 or "" */
    bool is_connected;      /* a stream is open */
    bool is_current;        /* and the server has answered, or has nothing to say */
    const char *name;       /* the server's own; "" where unknown */
    const char *last_error; /* why the last stream ended; "" where none has */
    uint64_t streams_opened;
    struct admin_updates {
        uint64_t accepted, rejected; /* responses */
    } updates[ADMIN_FEEDS];
    uint64_t resources_rejected;
};

/* Something that was received and has no effect: what it is (a type and a path in it), how often,
 * and the first resource that had it. Borrowed during the visit. */
typedef void admin_ignored_fn(const char *what, uint64_t count, const char *first_resource,
                              void *arg);

/* What the pages ask the rest of the proxy for. Every function is called on the main thread and
 * must answer at once; NULL = not there (its page says 404, or leaves the part out). arg is passed
 * to each. */
struct admin_source {
    void *arg;
    enum admin_state (*state)(void *arg);
    /* A sentence where the configuration served is an old one (control plane away, started from the
     * copy on disk); NULL: it is current. */
    const char *(*stale)(void *arg);
    const struct config *(*config)(void *arg); /* newest published one, or NULL */
    /* The bootstrap as a message of its own type, or NULL. */
    const ProtobufCMessage *(*bootstrap)(void *arg);
    void (*visit_resources)(void *arg, admin_resource_fn *visit, void *visit_arg);
    /* Node id and cluster, for /server_info. */
    void (*node)(void *arg, struct str *ret_id, struct str *ret_cluster);
    void (*control_plane)(void *arg, struct admin_control_plane *ret);
    uint64_t (*ignored_total)(void *arg);
    void (*visit_ignored)(void *arg, admin_ignored_fn *visit, void *visit_arg);
    void (*drain_listeners)(void *arg);
    void (*quit)(void *arg);
};

struct admin_options {
    struct loop *loop;           /* main loop */
    struct worker_pool *workers; /* may be NULL (tests) */
    struct shared_registry *shared;
    struct access_log_writer *log_writer;   /* may be NULL */
    const struct pbjson_registry *registry; /* for Any in /config_dump */
    const char *version;                    /* of the program; static storage */
    struct admin_source source;
};

/* Main thread, as everything here. */
struct admin *admin_new(const struct admin_options *options);
/* NULL is fine. */
void admin_free(struct admin *admin);
/* Begins to answer at "ip:port"; 0 or ERR_* with a sentence (see admin_server_listen). */
int admin_listen(struct admin *admin, const char *address, struct errmsg *msg) MUST_CHECK;
uint16_t admin_port(const struct admin *admin);

#endif
