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
    bool is_in_sync;  /* has accepted everything and there is nothing newer */
    int64_t revision; /* of what it runs; 0: nothing yet */
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

struct ledger *ledger_new(void);
/* All clients must be gone. NULL is fine. */
void ledger_free(struct ledger *ledger);
/* At most one observer; callbacks run inside the calls below. */
void ledger_observe(struct ledger *ledger, ledger_proxy_changed_fn *on_proxy,
                    ledger_refusal_changed_fn *on_refusal, void *arg);

/* All strings are copied. */
struct ledger_client *ledger_connect(struct ledger *ledger, const struct ledger_client *info);
/* Takes client; NULL is fine. */
void ledger_disconnect(struct ledger_client *client);
void ledger_refuse(struct ledger_client *client, enum resource_type type, struct str name,
                   const struct content_hash *version, struct str text, uint64_t now_us);
/* Forgets the client's refusals of that type for which is_refused says false. */
void ledger_review(struct ledger_client *client, enum resource_type type,
                   bool (*is_refused)(const void *arg, struct str name), const void *arg);
void ledger_progress(struct ledger_client *client, int64_t revision, bool is_in_sync);
void ledger_set_gateway_known(struct ledger_client *client, bool is_known);

/* struct ledger_client, link; in the order they came. */
const struct list *ledger_clients(const struct ledger *ledger);
/* NULL where no stream of that node id is open. */
const struct ledger_proxy *ledger_find_proxy(const struct ledger *ledger, struct str node_id);

#endif
