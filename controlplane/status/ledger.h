/*
 * The ledger: which proxies are connected, what they run, and what they refused in which words. It
 * is what /clients shows and what status documents are made of (status.h). No I/O, no clock.
 *
 * A client is one xDS stream; a proxy is a node id, which usually has one stream, and for a moment
 * two when it reconnects.
 *
 * Everything here belongs to the control plane's loop thread.
 */
#ifndef CONTROLPLANE_STATUS_LEDGER_H
#define CONTROLPLANE_STATUS_LEDGER_H

#include "common/base/list.h"
#include "controlplane/snapshot/resource.h"

enum {
    /* Refusals remembered per stream: one that refuses everything must not fill our memory. */
    LEDGER_REFUSALS_MAX = 1000,
    /* Kept of a proxy's words. */
    LEDGER_TEXT_BYTES_MAX = 1024,
};

struct ledger_refusal {
    struct list link;
    enum resource_type type;
    struct str name;             /* of the resource */
    struct content_hash version; /* "" where a removal was refused */
    char *text;                  /* the proxy's words */
    uint64_t since_us;           /* wall clock */
    uint64_t publication;        /* of the client's progress when it began to refuse it */
    struct content_hash ran;     /* version of its progress then */
};

/* How far a client has come. */
struct ledger_progress {
    int64_t revision;            /* of what it runs, but for what it refused; 0: nothing yet */
    uint64_t publication;        /* the newest one of which it has accepted or refused everything */
    struct content_hash version; /* of the snapshot that it has answered all of; "": of none */
    bool is_in_sync;             /* has accepted everything and there is nothing newer */
};

struct ledger_client {
    struct list link;    /* in the ledger */
    struct list sibling; /* in the proxy's list; see ledger_proxy */
    struct ledger *ledger;
    uint64_t stream_id;
    struct str node_id;
    struct str gateway;
    struct str user_agent;
    struct str address;
    uint64_t since_us; /* wall clock */
    bool is_gateway_known;
    struct ledger_progress progress;
    struct list refusals;
    size_t refusal_count;
};

/* All streams of one node id. */
struct ledger_proxy {
    struct str node_id;
    struct list clients; /* struct ledger_client, sibling; oldest first */
};

/* The proxy changed, came or (its clients list is empty; gone when this returns) went. */
typedef void ledger_proxy_changed_fn(void *arg, const struct ledger_proxy *proxy);
/* A refusal of that resource came, went or changed. */
typedef void ledger_refusal_changed_fn(void *arg, enum resource_type type, struct str name);
/* Some client's progress.publication changed, or its gateway became known or unknown. */
typedef void ledger_publication_changed_fn(void *arg);

struct ledger_observer {
    ledger_proxy_changed_fn *on_proxy;
    ledger_refusal_changed_fn *on_refusal;
    ledger_publication_changed_fn *on_publication;
    void *arg;
};

struct ledger *ledger_new(void);
/* All clients must be gone. NULL is fine. */
void ledger_free(struct ledger *ledger);
/* At most one observer, copied; NULL: none. Callbacks run inside the calls below. */
void ledger_observe(struct ledger *ledger, const struct ledger_observer *observer);

/* Publications are numbered from 1 on, so that what clients have can be told apart also where a
 * publication changes nothing for them. Called when one begins. */
void ledger_begin_publication(struct ledger *ledger);
uint64_t ledger_publication(const struct ledger *ledger);

/* All strings are copied. */
struct ledger_client *ledger_connect(struct ledger *ledger, const struct ledger_client *info);
/* Takes client; NULL is fine. */
void ledger_disconnect(struct ledger_client *client);
void ledger_refuse(struct ledger_client *client, enum resource_type type, struct str name,
                   const struct content_hash *version, struct str text, uint64_t now_us);
/* Forgets the client's refusals of that type for which is_refused says false. */
void ledger_review(struct ledger_client *client, enum resource_type type,
                   bool (*is_refused)(const void *arg, struct str name), const void *arg);
void ledger_note_progress(struct ledger_client *client, const struct ledger_progress *progress);
void ledger_set_gateway_known(struct ledger_client *client, bool is_known);

/* struct ledger_client, link; in the order they came. */
const struct list *ledger_clients(const struct ledger *ledger);
/* NULL where no stream of that node id is open. */
const struct ledger_proxy *ledger_find_proxy(const struct ledger *ledger, struct str node_id);

#endif
