/*
 * The model: what operators wrote, decoded, validated and immutable.
 *
 * A model is a list of objects per kind. It is built by a model store (store.h), which keeps bad
 * objects out; whoever holds a reference on a model may read it for as long as it likes. Objects
 * are shared between one model and the next: an object that has not changed is the same pointer,
 * and has the same id.
 *
 * References are counted without atomics: everything here belongs to the control plane's loop
 * thread.
 */
#ifndef CONTROLPLANE_MODEL_MODEL_H
#define CONTROLPLANE_MODEL_MODEL_H

#include "common/base/arena.h"
#include "common/base/str.h"

#include <weir/v1/consumers.pb-c.h>
#include <weir/v1/endpoints.pb-c.h>
#include <weir/v1/gateways.pb-c.h>
#include <weir/v1/limits.pb-c.h>
#include <weir/v1/policies.pb-c.h>
#include <weir/v1/routes.pb-c.h>
#include <weir/v1/services.pb-c.h>

enum model_kind {
    MODEL_CONSUMER,
    MODEL_ENDPOINT,
    MODEL_GATEWAY,
    MODEL_LIMIT,
    MODEL_POLICY,
    MODEL_ROUTE,
    MODEL_SERVICE,
    MODEL_KIND_COUNT,
};

/* How specific a route is, as far as it alone can tell (its hosts are compared first). Routes are
 * tried in the order of model_route_rank_compare. */
struct model_route_rank {
    unsigned path_class;     /* exact 0, template 1, regex 2, prefix 3 */
    unsigned path_length;    /* literal characters; longer comes first */
    bool has_methods;        /* those come first */
    unsigned header_matches; /* more come first */
    unsigned query_matches;  /* more come first */
};

/* One valid object. Names of headers and hosts in its message are in lower case. */
struct model_object {
    uint32_t refs;
    enum model_kind kind;
    uint64_t id;      /* differs between any two objects of a process, also versions of one key */
    int64_t revision; /* etcd's mod_revision of this version */
    struct str key;   /* "routes/users", "endpoints/users/i-1" */
    struct str name;  /* "users", "users/i-1" */
    union {
        const ProtobufCMessage *message;
        const Weir__V1__Consumer *consumer;
        const Weir__V1__Endpoint *endpoint;
        const Weir__V1__Gateway *gateway;
        const Weir__V1__Limit *limit;
        const Weir__V1__Policy *policy;
        const Weir__V1__Route *route;
        const Weir__V1__Service *service;
    };
    struct model_route_rank rank; /* of a route */
    struct arena arena;           /* holds the key and the message */
};

/* The objects of one kind, sorted by name, no name twice. Shared by models in which nothing of the
 * kind differs. */
struct model_list {
    uint32_t refs;
    uint64_t id; /* differs between any two lists of a process */
    size_t len;
    struct model_object *items[];
};

struct model {
    int64_t revision; /* of the policy it was made from */
    struct model_list *lists[MODEL_KIND_COUNT];
};

/* NULL is fine. */
void model_free(struct model *model);

/* The object of that name, or NULL. */
const struct model_object *model_find(const struct model *model, enum model_kind kind,
                                      struct str name);
/* The endpoints registered for a service, endpoints/<service>/...: a run of the list. */
struct model_object *const *model_endpoints_of(const struct model *model, struct str service,
                                               size_t *ret_count);
/* "routes" and so on; static storage. */
const char *model_kind_name(enum model_kind kind);

/* <0 where a is to be tried before b; 0 where only hosts and names can tell. */
int model_route_rank_compare(const struct model_route_rank *a, const struct model_route_rank *b);

#endif
