/* What the files of model/ share; not for others. */
#ifndef CONTROLPLANE_MODEL_MODEL_INTERNAL_H
#define CONTROLPLANE_MODEL_MODEL_INTERNAL_H

#include "common/base/err.h"
#include "controlplane/model/model.h"

enum {
    /* Of one object: names become resource names, labels and keys of statistics. */
    MODEL_NAME_BYTES_MAX = 253,
};

struct model_object *model_object_ref(struct model_object *object);
/* NULL is fine. */
void model_object_unref(struct model_object *object);
/* NULL is fine. */
void model_list_unref(struct model_list *list);

/* A message that is being looked at: it may still be changed (defaults, lower case). */
struct model_draft {
    ProtobufCMessage *message;
    struct model_route_rank *rank; /* to be filled for a route */
    struct arena *arena;           /* of the object */
};

/* 0, or ERR_INVALID or ERR_TOO_LARGE with a sentence in msg that begins with the field. */
typedef int model_validate_fn(const struct model_draft *draft, struct errmsg *msg);

/* One row per kind; kind.c. */
struct model_kind_type {
    const char *name;
    const ProtobufCMessageDescriptor *descriptor;
    model_validate_fn *validate; /* NULL: the store's options have it */
    size_t objects_max;          /* bounds the memory that writers of etcd can take */
    bool has_secrets;            /* sentences about it quote nothing of it */
};
const struct model_kind_type *model_kind_type(enum model_kind kind);
/* MODEL_KIND_COUNT where there is none of that name. */
enum model_kind model_kind_from_name(struct str name);

model_validate_fn consumer_validate;
model_validate_fn endpoint_validate;
model_validate_fn gateway_validate;
model_validate_fn limit_validate;
model_validate_fn route_validate;
model_validate_fn service_validate;

#endif
