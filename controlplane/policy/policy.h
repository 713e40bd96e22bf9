/*
 * Policies: what each kind of policy demands of a document, and what it adds to a route or gateway.
 *
 * A new kind is a message in proto/weir/v1/policies.proto, a file here with its struct policy_kind,
 * and a row in table.c. Thread: the control plane's loop.
 */
#ifndef CONTROLPLANE_POLICY_POLICY_H
#define CONTROLPLANE_POLICY_POLICY_H

#include "common/base/arena.h"
#include "common/base/err.h"
#include "common/base/vec.h"
#include "controlplane/model/model.h"

/* What the policies of a route, or of a gateway, add up to. */
struct policy_sum {
    struct arena *arena;                /* for what is built */
    const struct model_object *api_key; /* the api_key policy that counts, or NULL */
    struct vec request_mutations;       /* of Envoy's HeaderMutation *, in arena */
    struct vec response_mutations;
    bool has_missing; /* a policy that was named does not exist: nothing may pass */
};

struct policy_kind {
    const char *name; /* "api_key" */
    Weir__V1__Policy__KindCase kind_case;
    /* May change the message (defaults, lower case). 0, or an error with a sentence that begins
     * with the field, inside the kind. */
    int (*validate)(Weir__V1__Policy *policy, struct errmsg *msg);
    /* Adds a valid policy of this kind to sum, which may point to it. */
    void (*add)(struct policy_sum *sum, const struct model_object *policy);
};

extern const struct policy_kind api_key_policy;
extern const struct policy_kind headers_policy;

/* Checks a whole policy document (a model_check_policy_fn). */
int policy_check(Weir__V1__Policy *policy, struct errmsg *msg) MUST_CHECK;

/* An empty sum. */
void policy_sum_init(struct policy_sum *sum, struct arena *arena);
void policy_sum_done(struct policy_sum *sum);
/* Adds the named policies of model in their order, and notes where one is missing. */
void policy_sum_add(struct policy_sum *sum, const struct model *model, char *const *names,
                    size_t count);

#endif
