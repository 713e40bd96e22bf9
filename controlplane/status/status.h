/*
 * What weir-control tells about the policy it was given: per object whether it is in use and why
 * not, and which proxies refused what was made of it; per proxy what it runs. Written as JSON
 * (proto/weir/v1/status.proto) to the place the source has for it.
 *
 * Documents are written when their content changes and not otherwise, at most STATUS_WRITES_PER_S
 * times a second each, in portions; those of vanished objects and proxies are deleted. Documents of
 * objects say nothing that differs between replicas, as long as no proxy refuses anything.
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
    STATUS_WRITES_PER_S = 5,
    STATUS_DOCUMENTS_PER_TURN = 200,
    /* Of refusals listed in one document. */
    STATUS_REFUSALS_MAX = 100,
    /* A refusal that names no object is blamed on at most so many; beyond, on the gateway alone. */
    STATUS_BLAMED_MAX = 16,
    /* A proxy's first document waits so long: a replica that it left may be deleting its own. */
    STATUS_PROXY_DELAY_MS = 1000,
};

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

struct status_options {
    struct status_sink sink;
    const char
        *served_by; /* what this weir-control is called in the documents of proxies; copied */
    status_objects_of_fn *objects_of;
    void *objects_of_arg;
};

/* Becomes the ledger's observer. ledger is borrowed and must outlive it. */
struct status *status_new(struct loop *loop, struct ledger *ledger,
                          const struct status_options *options);
/* NULL is fine. Writes nothing. */
void status_free(struct status *status);
/* A model_verdict_fn: arg is the struct status. */
void status_take_verdict(const struct model_verdict *verdict, void *arg);
/* Writes everything that waits, now. */
void status_flush(struct status *status);

struct status_counts {
    size_t accepted[MODEL_KIND_COUNT];
    size_t refused[MODEL_KIND_COUNT];
    size_t unknown_kinds; /* objects of none of the kinds */
    size_t waiting;       /* documents that are to be written */
    uint64_t written;
};
struct status_counts status_counts(const struct status *status);

#endif
