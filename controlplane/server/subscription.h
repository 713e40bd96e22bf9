/*
 * The state machine of one subscription: one stream, one type of resource, state of the world or
 * delta. It knows what the client asked for and what it has, and says what to send next. No I/O, no
 * clock; tests/unit drives it with the numbered cases of xDS.
 *
 * The rules it keeps:
 *   - at most one response is outstanding; what changes meanwhile is sent after the answer, once;
 *   - a client is sent what it asked for and does not have, and nothing else;
 *   - what it refused is not sent again before its content changes, and when it vanishes the client
 *     is told so, since it may be keeping it for another try. Where the error text names
 *     some of the resources of the response, only those count as refused and the others are sent
 *     again without them; where it names none, all of them wait until one of them changes;
 *   - every request's names count, whatever its nonce; acceptance and refusal need the nonce.
 *
 * What the client has is kept as "all of base" plus a list of exceptions, so that a client that
 * simply is at a published set costs no memory per resource. That holds for explicit subscriptions
 * too, once they name (nearly) all of a set.
 *
 * Everything here belongs to the control plane's loop thread.
 */
#ifndef CONTROLPLANE_SERVER_SUBSCRIPTION_H
#define CONTROLPLANE_SERVER_SUBSCRIPTION_H

#include "common/base/vec.h"
#include "controlplane/server/response.h"
#include "controlplane/snapshot/diff.h"

enum {
    /* Names one subscription may hold: bounds what a client can make us remember. */
    SUBSCRIPTION_NAMES_MAX = 100 * 1000,
    SUBSCRIPTION_NAME_BYTES_MAX = 4096,
    /* Each name without an entry is compared with all of them. */
    SUBSCRIPTION_GLOBS_MAX = 16,
};

/* What the client has or was refused, where that is not what `base` says. */
struct subscription_entry {
    struct str name;          /* owned */
    struct resource *has;     /* a reference; NULL: nothing */
    struct resource *refused; /* a reference; the content it refused, NULL: its removal */
    uint64_t refused_nonce;   /* of the response that was refused; 0: none */
    bool is_innocent;         /* refused because it came together with what the error text names */
    bool is_guilty;           /* the error text names it: of the others it says nothing */
    bool is_named;            /* the client asked for it by this name */
    bool is_glob;             /* it asked for all names that begin with what is before the star */
    bool is_asked_after_send; /* since the outstanding response: its ACK says nothing about this */
    bool must_tell;           /* it may be keeping content that it refused, for another try */
    bool is_claimed;          /* a reconnecting client said it has an older version */
};

/* What a client that came back with older content is not told yet, so that it makes before it
 * breaks. Holds back nothing that it did not claim to have. */
enum subscription_hold {
    HOLD_NOTHING,
    HOLD_REMOVALS, /* of what it claimed to have */
    HOLD_CHANGES,  /* those, and newer content of it */
};

/* What an outstanding response holds: a whole diff, or single items. */
struct subscription_item {
    struct resource *resource; /* a reference; NULL: told that it is removed */
    struct str name;           /* owned where resource is NULL, else the resource's */
};

struct subscription_outstanding {
    uint64_t nonce; /* 0: none */
    struct resource_set *target;
    struct set_diff *diff;
    struct subscription_item *items;
    size_t len;
    bool is_complete; /* with its ACK the client is at target, exceptions excepted */
};

struct subscription {
    enum resource_type type;
    bool is_delta;
    bool trusts_versions; /* see subscription_options */
    bool retries_refused; /* the same */
    bool is_outdated;     /* its first request claimed something that is older or gone */
    bool has_begun;
    bool is_wildcard;
    bool was_named;    /* a name was sent once: an empty list no longer means all of them */
    bool is_covering;  /* not wildcard, but asks for all of base's names, exceptions excepted */
    bool must_respond; /* even where there is nothing to send */
    bool is_dirty;     /* there may be something to send */
    bool has_refused_set;
    enum subscription_hold hold;
    size_t response_bytes_max;
    struct resource_set *target;        /* what it should have */
    struct resource_set *base;          /* what it has, exceptions excepted; NULL: nothing */
    struct subscription_entry *entries; /* sorted by name */
    size_t len;
    size_t named_count;
    size_t refused_count;
    struct vec globs;   /* names of the entries that are globs, with a NUL behind them */
    size_t bytes;       /* held by entries */
    uint64_t names_sum; /* of the last list of names, state of the world */
    size_t names_sum_count;
    struct content_hash refused_set; /* version of the complete answer that was refused */
    struct subscription_outstanding out;
};

struct subscription_options {
    bool is_delta;
    /* A reconnecting client's word for what it has counts for names it subscribes to explicitly as
     * well. Stock Envoy forgets endpoints whose versions it still claims, so not for it. */
    bool trusts_versions;
    /* The client tries what it refused again by itself (weir-proxy: a listener whose port is taken
     * may get it later): it is told also when the policy goes back to what it runs. */
    bool retries_refused;
    /* Responses that can be split are split at this length; 0: no limit. */
    size_t response_bytes_max;
};

/* An empty subscription that has not begun; target borrowed, referenced. */
void subscription_init(struct subscription *sub, enum resource_type type,
                       const struct subscription_options *options, struct resource_set *target);
void subscription_done(struct subscription *sub);
/* What the client should have from now on; takes a reference of its own. */
void subscription_set_target(struct subscription *sub, struct resource_set *target);
void subscription_set_hold(struct subscription *sub, enum subscription_hold hold);

struct subscription_version {
    struct str name;
    struct str version;
};

/* One request, of either form; absent texts have data NULL. All borrowed. */
struct subscription_request {
    struct str nonce;
    struct str error;            /* text of error_detail; data not NULL makes it a NACK */
    struct str version_info;     /* state of the world */
    const struct str *subscribe; /* state of the world: resource_names */
    size_t subscribe_count;
    const struct str *unsubscribe; /* delta */
    size_t unsubscribe_count;
    const struct subscription_version *versions; /* delta: initial_resource_versions */
    size_t version_count;
};

enum subscription_outcome {
    SUBSCRIPTION_REQUEST, /* first request, change of names, or a stale answer */
    SUBSCRIPTION_ACK,
    SUBSCRIPTION_NACK,
};

/* Called for each resource that counts as refused. content is NULL where a removal was refused. */
typedef void subscription_refused_fn(void *arg, struct str name, const struct resource *content);

/* Takes a request in. 0, or ERR_TOO_LARGE where a limit is exceeded or ERR_INVALID where a name is
 * none, with a sentence; the stream is then to be ended. on_refused may be called inside. */
int subscription_request(struct subscription *sub, const struct subscription_request *request,
                         subscription_refused_fn *on_refused, void *arg,
                         enum subscription_outcome *ret_outcome, struct errmsg *ret_msg) MUST_CHECK;

/* Called for each resource of the response that the client has in another version. */
typedef void subscription_update_fn(void *arg, struct str name);

/* Fills response and makes it the outstanding one, with that nonce; false where there is nothing to
 * send now. The parts stay valid until the next call for this subscription. on_update may be NULL.
 */
bool subscription_next(struct subscription *sub, struct diff_cache *cache, uint64_t nonce,
                       subscription_update_fn *on_update, void *arg, struct response *response);

/* The resource is to be sent again although its content did not change (a cluster was updated and
 * waits for its endpoints). Nothing where it is not subscribed. */
void subscription_resend(struct subscription *sub, struct str name);

/* Nothing outstanding and nothing to send. Meaningful after subscription_next returned false. */
bool subscription_is_settled(const struct subscription *sub);
/* Whether the client accepted the target's content of that name, and still asks for it. */
bool subscription_has_current(const struct subscription *sub, struct str name);
/* Whether it asks for that name, by itself, by a glob or by "*". */
bool subscription_covers(const struct subscription *sub, struct str name);
/* Whether content of that name was refused and is still refused. */
bool subscription_is_refused(const struct subscription *sub, struct str name);
/* Whether anything at all is. */
bool subscription_has_refused(const struct subscription *sub);
/* Whether it is one that the client came back with in an older version. Remembered while anything
 * is held (subscription_set_hold). */
bool subscription_is_claimed(const struct subscription *sub, struct str name);
/* How many names are; 1 where a complete answer was refused as a whole. */
size_t subscription_refused_count(const struct subscription *sub);
/* Whether the client accepted everything, as far as it was asked for: nothing to look for one by
 * one. May be false although it did. */
bool subscription_is_at_target(const struct subscription *sub);
/* Called for what a client goes on using because it refused something newer; content is NULL where
 * it is not known. */
typedef void subscription_stale_fn(void *arg, const struct resource *content);
void subscription_visit_stale(const struct subscription *sub, subscription_stale_fn *on_stale,
                              void *arg);

#endif
