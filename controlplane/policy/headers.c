#include "controlplane/policy/headers.h"

#include "controlplane/model/check.h"
#include "controlplane/policy/build.h"

#include <envoy/config/common/mutation_rules/v3/mutation_rules.pb-c.h>
#include <envoy/extensions/filters/http/header_mutation/v3/header_mutation.pb-c.h>
#include <stdlib.h>

typedef Envoy__Config__Common__MutationRules__V3__HeaderMutation HeaderMutation;
typedef Envoy__Config__Core__V3__HeaderValueOption HeaderValueOption;
typedef Envoy__Config__Core__V3__HeaderValueOption__HeaderAppendAction AppendAction;
typedef Envoy__Extensions__Filters__Http__HeaderMutation__V3__Mutations Mutations;

static int validate(Weir__V1__Policy *policy, struct errmsg *msg)
{
    const Weir__V1__HeadersPolicy *headers = policy->headers;
    int err = check_header_changes(headers->request, msg);
    if (err) {
        errmsg_prefix(msg, "request.");
        return err;
    }
    err = check_header_changes(headers->response, msg);
    if (err)
        errmsg_prefix(msg, "response.");
    return err;
}

static void add(struct policy_sum *sum, const struct model_object *policy)
{
    const Weir__V1__HeadersPolicy *headers = policy->policy->headers;
    headers_add_changes(sum->arena, headers->request, &sum->request_mutations);
    headers_add_changes(sum->arena, headers->response, &sum->response_mutations);
}

/* --- mutations -------------------------------------------------------------------------------- */

/* To Envoy '%' begins a command such as %REQ(x)%; what operators write is taken as it is. */
static char *escape_percent(struct arena *arena, const char *value)
{
    char *text = arena_alloc(arena, 2 * strlen(value) + 1), *out = text;
    for (; *value; value++) {
        if (*value == '%')
            *out++ = '%';
        *out++ = *value;
    }
    *out = '\0';
    return text;
}

static void add_value(struct arena *arena, const char *name, const char *value, AppendAction action,
                      struct vec *mutations)
{
    HeaderMutation *mutation = build_message(
        arena, &envoy__config__common__mutation_rules__v3__header_mutation__descriptor);
    HeaderValueOption *option =
        build_message(arena, &envoy__config__core__v3__header_value_option__descriptor);
    option->header = build_message(arena, &envoy__config__core__v3__header_value__descriptor);
    option->header->key = arena_copy_string(arena, name);
    option->header->value = escape_percent(arena, value);
    option->append_action = action;
    option->keep_empty_value = true;
    mutation->action_case =
        ENVOY__CONFIG__COMMON__MUTATION_RULES__V3__HEADER_MUTATION__ACTION_APPEND;
    mutation->append = option;
    vec_append(mutations, mutation);
}

void headers_add_remove(struct arena *arena, const char *name, struct vec *mutations)
{
    HeaderMutation *mutation = build_message(
        arena, &envoy__config__common__mutation_rules__v3__header_mutation__descriptor);
    mutation->action_case =
        ENVOY__CONFIG__COMMON__MUTATION_RULES__V3__HEADER_MUTATION__ACTION_REMOVE;
    mutation->remove = arena_copy_string(arena, name);
    vec_append(mutations, mutation);
}

void headers_add_set(struct arena *arena, const char *name, const char *value,
                     struct vec *mutations)
{
    add_value(
        arena, name, value,
        ENVOY__CONFIG__CORE__V3__HEADER_VALUE_OPTION__HEADER_APPEND_ACTION__OVERWRITE_IF_EXISTS_OR_ADD,
        mutations);
}

/* protoc-c makes a type of its own for each map; this is what they have in common. */
struct name_and_value {
    const char *name;
    const char *value;
};

static int compare_by_name(const void *a, const void *b)
{
    const struct name_and_value *left = a, *right = b;
    return strcmp(left->name, right->name);
}

static void add_sorted(struct arena *arena, struct name_and_value *values, size_t count,
                       AppendAction action, struct vec *mutations)
{
    if (count > 0)
        qsort(values, count, sizeof *values, compare_by_name);
    for (size_t i = 0; i < count; i++)
        add_value(arena, values[i].name, values[i].value, action, mutations);
}

/* Adds the entries of a map, in the order of their names: equal documents make equal resources. */
#define ADD_MAP(entries, count, action)                                                            \
    do {                                                                                           \
        struct name_and_value *values = arena_alloc_array(arena, (count) + 1, sizeof *values);     \
        for (size_t i = 0; i < (count); i++)                                                       \
            values[i] = (struct name_and_value){(entries)[i]->key, (entries)[i]->value};           \
        add_sorted(arena, values, (count),                                                         \
                   ENVOY__CONFIG__CORE__V3__HEADER_VALUE_OPTION__HEADER_APPEND_ACTION__##action,   \
                   mutations);                                                                     \
    } while (0)

void headers_add_changes(struct arena *arena, const Weir__V1__HeaderChanges *changes,
                         struct vec *mutations)
{
    if (!changes)
        return;
    for (size_t i = 0; i < changes->n_remove; i++)
        headers_add_remove(arena, changes->remove[i], mutations);
    ADD_MAP(changes->set, changes->n_set, OVERWRITE_IF_EXISTS_OR_ADD);
    ADD_MAP(changes->add, changes->n_add, APPEND_IF_EXISTS_OR_ADD);
    ADD_MAP(changes->set_if_absent, changes->n_set_if_absent, ADD_IF_ABSENT);
}

/* --- the filter's settings -------------------------------------------------------------------- */

static HeaderMutation **copy_list(struct arena *arena, const struct vec *mutations)
{
    HeaderMutation **list = build_list(arena, mutations->len);
    for (size_t i = 0; i < mutations->len; i++)
        list[i] = mutations->items[i];
    return list;
}

static Mutations *build_mutations(const struct policy_sum *sum)
{
    Mutations *mutations = build_message(
        sum->arena, &envoy__extensions__filters__http__header_mutation__v3__mutations__descriptor);
    mutations->n_request_mutations = sum->request_mutations.len;
    mutations->request_mutations = copy_list(sum->arena, &sum->request_mutations);
    mutations->n_response_mutations = sum->response_mutations.len;
    mutations->response_mutations = copy_list(sum->arena, &sum->response_mutations);
    return mutations;
}

Google__Protobuf__Any *headers_route_config(const struct policy_sum *sum)
{
    if (sum->request_mutations.len == 0 && sum->response_mutations.len == 0)
        return NULL;
    Envoy__Extensions__Filters__Http__HeaderMutation__V3__HeaderMutationPerRoute *config = build_message(
        sum->arena,
        &envoy__extensions__filters__http__header_mutation__v3__header_mutation_per_route__descriptor);
    config->mutations = build_mutations(sum);
    return build_any(sum->arena, &config->base);
}

Google__Protobuf__Any *headers_listener_config(const struct policy_sum *sum)
{
    Envoy__Extensions__Filters__Http__HeaderMutation__V3__HeaderMutation *config = build_message(
        sum->arena,
        &envoy__extensions__filters__http__header_mutation__v3__header_mutation__descriptor);
    config->mutations = build_mutations(sum);
    config->most_specific_header_mutations_wins = true;
    return build_any(sum->arena, &config->base);
}

const struct policy_kind headers_policy = {
    .name = "headers",
    .kind_case = WEIR__V1__POLICY__KIND_HEADERS,
    .validate = validate,
    .add = add,
};
