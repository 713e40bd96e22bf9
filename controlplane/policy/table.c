/* The table of policy kinds. The order of rows is of no importance: policies are added up in the
 * order in which a route names them, and filters have an order of their own (translate/filters.c).
 */
#include "controlplane/policy/policy.h"

static const struct policy_kind *const kinds[] = {
    &api_key_policy,
    &headers_policy,
};

static const struct policy_kind *find_kind(const Weir__V1__Policy *policy)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (kinds[i]->kind_case == policy->kind_case)
            return kinds[i];
    }
    return NULL;
}

int policy_check(Weir__V1__Policy *policy, struct errmsg *msg)
{
    const struct policy_kind *kind = find_kind(policy);
    if (!kind)
        return errmsg_set(msg, ERR_INVALID, "one kind of policy is required: api_key or headers");
    int err = kind->validate(policy, msg);
    if (err)
        errmsg_prefix(msg, "%s.", kind->name);
    return err;
}

void policy_sum_init(struct policy_sum *sum, struct arena *arena)
{
    *sum = (struct policy_sum){.arena = arena};
}

void policy_sum_done(struct policy_sum *sum)
{
    vec_done(&sum->request_mutations);
    vec_done(&sum->response_mutations);
}

void policy_sum_add(struct policy_sum *sum, const struct model *model, char *const *names,
                    size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct model_object *policy = model_find(model, MODEL_POLICY, str_from(names[i]));
        if (policy)
            find_kind(policy->policy)->add(sum, policy);
        else
            sum->has_missing = true;
    }
}
