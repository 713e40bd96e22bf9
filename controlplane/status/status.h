/*
 * What weir-control tells about the policy it was given: per object whether it is in use and why
 * not, on which proxies it is live, and which proxies refused what was made of it; per proxy what
 * it runs. Written as JSON (proto/weir/v1/status.proto) to the place the source has for it.
 *
 *     status.c   the records: verdicts and proxies come in, documents of before are taken over
 *     others.c   proxies of other replicas, by the documents that those write about them
 *     view.c     now and then: who has what, and who refuses what of whom
 *     write.c    the documents, in order of importance
 *
 * A document is written when its content changes and not otherwise: verdicts and proxies first, in
 * portions; that an object is live on more or fewer proxies than was written is told when there is
 * time, newest objects first, within STATUS_LIVE_WRITES_PER_S. Documents of vanished objects and
 * proxies are deleted.
 *
 * Everything here belongs to the control plane's loop thread.
 */
#ifndef CONTROLPLANE_STATUS_STATUS_H
#define CONTROLPLANE_STATUS_STATUS_H

#include "controlplane/model/store.h"
#include "controlplane/status/ledger.h"

struct loop;
struct status;

enum {
    /* Looks at what is to be written. */
    STATUS_TURNS_PER_S = 5,
    STATUS_DOCUMENTS_PER_TURN = 200,
    /* Documents in which nothing but live_on differs: a hundred proxies that come back at once must
     * not flood etcd with those of ten thousand objects. */
    STATUS_LIVE_WRITES_PER_S = 500,
    STATUS_LIVE_PAUSE_MS = 1000, /* between two of one object */
    /* Of refusals, and of proxies that an object is live on, listed in one document. */
    STATUS_REFUSALS_MAX = 100,
    STATUS_LIVE_ON_MAX = 100,
    /* A refusal that names no object is blamed on at most so many; beyond, on the gateway alone. */
    STATUS_BLAMED_MAX = 16,
    /* For documents of before to be read (status_take_written); then everything is written. */
    STATUS_WRITTEN_WAIT_MS = 3000,
    /* After a start, for proxies to come back before it is told that objects are live nowhere. */
    STATUS_LIVE_GRACE_MS = 10000,
};

/* Documents of proxies are below this. */
#define STATUS_PROXIES "proxies/"

/* Where documents go. key: "routes/users", "proxies/<node id>". */
struct status_sink {
    void (*put)(void *arg, struct str key, struct str value);
    void (*erase)(void *arg, struct str key);
    void *arg;
};

typedef void status_object_fn(struct str key, void *arg);
/* Which objects that resource of the gateway was made from: calls on_object with each key. */
typedef void status_objects_of_fn(void *arg, struct str gateway, enum resource_type type,
                                  struct str resource, status_object_fn *on_object,
                                  void *object_arg);
/* Which objects are part of the gateway; a key may come more than once. */
typedef void status_members_of_fn(void *arg, struct str gateway, status_object_fn *on_object,
                                  void *object_arg);

struct status_options {
    struct status_sink sink;
    /* What this weir-control is called in the documents of proxies; copied. */
    const char *served_by;
    status_objects_of_fn *objects_of;
    status_members_of_fn *members_of;
    void *objects_arg;
    /* status_take_written will be called: waits for it. */
    bool expects_written;
};

/* Becomes the ledger's observer. ledger is borrowed and must outlive it. */
struct status *status_new(struct loop *loop, struct ledger *ledger,
                          const struct status_options *options);
/* NULL is fine. Writes nothing. */
void status_free(struct status *status);
/* A model_verdict_fn: arg is the struct status. To be called after the publication has begun that
 * has the object. */
void status_take_verdict(const struct model_verdict *verdict, void *arg);

/* The gateway with that key keeps what it had although it is accepted, for that reason; NULL: not
 * (any more). sentence is copied. */
void status_note_problem(struct status *status, struct str key, const char *sentence);

/* A document that an earlier life, or another replica, has written. */
struct status_written {
    struct str key;
    struct str value;
};
/* All there are. Those of objects that do not exist and of our own proxies of before are deleted;
 * what is as it should be is not written again. All verdicts must have been taken. */
void status_take_written(struct status *status, const struct status_written *documents,
                         size_t count);
/* This is what the snapshot of some gateway is in the publication that has begun. */
void status_note_version(struct status *status, const struct content_hash *version);
/* Documents below STATUS_PROXIES, written by whomever; value.data NULL: deleted. is_complete: they
 * are all there are. Those of our own proxies that are not there any more are written again. */
void status_take_proxies(struct status *status, const struct status_written *documents,
                         size_t count, bool is_complete);
/* Writes the verdicts and proxies that wait, now. */
void status_flush(struct status *status);
/* From now on nothing is told about who has what: we are stopping, and proxies that leave go to
 * another weir-control. */
void status_close(struct status *status);

struct status_counts {
    size_t accepted[MODEL_KIND_COUNT];
    size_t refused[MODEL_KIND_COUNT];
    size_t unknown_kinds; /* objects of none of the kinds */
    size_t waiting;       /* documents that are to be written */
    uint64_t written;
};
struct status_counts status_counts(const struct status *status);

#endif
