/* What objects say about each other: warnings about references to what does not exist, or does not
 * do what it seems to. */
#include "common/base/buf.h"
#include "common/base/mem.h"
#include "controlplane/model/check.h"
#include "controlplane/model/limit.h"
#include "controlplane/model/store_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static void warn(struct vec *warnings, const char *format, ...) PRINTF_LIKE(2, 3);
static void warn(struct vec *warnings, const char *format, ...)
{
    enum { WARNINGS_MAX = 100 }; /* of one object: they go into its status document */
    char text[1024];
    va_list args;
    if (warnings->len == WARNINGS_MAX)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    vec_append(warnings, mem_copy_string(text, strlen(text)));
}

/* How many of the named policies are of the api_key kind; tells the missing ones. */
static size_t check_policies(const struct model_store *store, char *const *names, size_t count,
                             const char *consequence, struct vec *warnings)
{
    size_t api_key_count = 0;
    for (size_t i = 0; i < count; i++) {
        const struct model_object *policy = store_find(store, MODEL_POLICY, names[i]);
        if (!policy)
            warn(warnings, "policies[%zu]: \"%s\" does not exist; %s", i, names[i], consequence);
        else if (policy->policy->kind_case == WEIR__V1__POLICY__KIND_API_KEY &&
                 ++api_key_count == 2)
            warn(warnings,
                 "policies[%zu]: \"%s\" is a second api_key policy; only the first counts", i,
                 names[i]);
    }
    return api_key_count;
}

/* unless_identified: what to say of a limit that counts by consumer where nobody asks who calls;
 * NULL where somebody does. */
static void check_limits(const struct model_store *store, char *const *names, size_t count,
                         const char *unless_identified, struct vec *warnings)
{
    for (size_t i = 0; i < count; i++) {
        const struct model_object *limit = store_find(store, MODEL_LIMIT, names[i]);
        if (!limit)
            warn(warnings, "limits[%zu]: \"%s\" does not exist; it limits nothing", i, names[i]);
        else if (unless_identified && limit_needs_consumer(limit->limit))
            warn(warnings, "limits[%zu]: \"%s\" counts by consumer, and %s", i, names[i],
                 unless_identified);
    }
}

static bool gateway_has_api_key(const struct model_store *store, const Weir__V1__Gateway *gateway)
{
    for (size_t i = 0; i < gateway->n_policies; i++) {
        const struct model_object *policy = store_find(store, MODEL_POLICY, gateway->policies[i]);
        if (policy && policy->policy->kind_case == WEIR__V1__POLICY__KIND_API_KEY)
            return true;
    }
    return false;
}

/* Tells missing gateways; returns whether each that is there asks who calls. */
static bool check_gateways(const struct model_store *store, const Weir__V1__Route *route,
                           struct vec *warnings)
{
    bool all_have_api_key = true;
    for (size_t i = 0; i < route->n_gateways; i++) {
        const struct model_object *gateway = store_find(store, MODEL_GATEWAY, route->gateways[i]);
        if (!gateway)
            warn(warnings, "gateways[%zu]: \"%s\" does not exist", i, route->gateways[i]);
        else if (!gateway_has_api_key(store, gateway->gateway))
            all_have_api_key = false;
    }
    return all_have_api_key;
}

static void check_route(const struct model_store *store, const Weir__V1__Route *route,
                        struct vec *warnings)
{
    bool has_consumer = check_gateways(store, route, warnings) && !route->open;
    for (size_t i = 0; i < route->n_backends; i++) {
        const char *service = route->backends[i]->service;
        if (!store_find(store, MODEL_SERVICE, service))
            warn(warnings,
                 "backends[%zu].service: \"%s\" does not exist; its share of requests is answered "
                 "503",
                 i, service);
    }
    if (check_policies(store, route->policies, route->n_policies,
                       "requests of this route are answered 503", warnings) > 0)
        has_consumer = true;
    check_limits(store, route->limits, route->n_limits,
                 has_consumer ? NULL : "no policy here asks who calls; it limits nothing",
                 warnings);
}

static void check_gateway(const struct model_store *store, const Weir__V1__Gateway *gateway,
                          struct vec *warnings)
{
    bool has_consumer =
        check_policies(store, gateway->policies, gateway->n_policies,
                       "requests of all routes of this gateway are answered 503", warnings) > 0;
    check_limits(store, gateway->limits, gateway->n_limits,
                 has_consumer ? NULL
                              : "the gateway has no api_key policy; it limits only requests of "
                                "routes that have one of their own",
                 warnings);
}

/* Whether the endpoint's name is "<service>/...". */
static bool is_endpoint_of(const struct store_entry *endpoint, struct str service)
{
    return endpoint->name.len > service.len && endpoint->name.data[service.len] == '/' &&
           str_starts_with(endpoint->name, service);
}

/* The first entry of a sorted list whose name is not before "<service>/". */
static size_t first_endpoint_of(const struct vec *entries, struct str service)
{
    char prefix[MODEL_NAME_BYTES_MAX + 2];
    int len = snprintf(prefix, sizeof prefix, "%.*s/", STR_ARGS(service));
    size_t low = 0, high = entries->len;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct store_entry *entry = entries->items[middle];
        if (str_compare(entry->name, (struct str){.data = prefix, .len = (size_t)len}) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool has_endpoints(const struct model_store *store, const struct store_entry *service)
{
    const struct vec *entries = &store->kinds[MODEL_ENDPOINT].entries;
    if (service->active->service->n_endpoints > 0)
        return true;
    for (size_t i = first_endpoint_of(entries, service->name); i < entries->len; i++) {
        const struct store_entry *entry = entries->items[i];
        if (!is_endpoint_of(entry, service->name))
            return false;
        if (entry->active)
            return true;
    }
    return false;
}

static void check_service(const struct model_store *store, const struct store_entry *entry,
                          struct vec *warnings)
{
    if (!has_endpoints(store, entry))
        warn(warnings, "it has no endpoints; requests are answered 503");
}

static void check_endpoint(const struct model_store *store, const struct store_entry *entry,
                           struct vec *warnings)
{
    char service[MODEL_NAME_BYTES_MAX + 1];
    snprintf(service, sizeof service, "%.*s", (int)str_find_char(entry->name, '/', 0),
             entry->name.data);
    if (!store_find(store, MODEL_SERVICE, service))
        warn(warnings, "service \"%s\" does not exist", service);
}

/* All groups that have a member. Made when it is first asked for: most checks need none. */
struct groups {
    struct map members;
    bool is_made;
};

static void make_groups(const struct model_store *store, struct groups *groups)
{
    const struct vec *entries = &store->kinds[MODEL_CONSUMER].entries;
    for (size_t i = 0; i < entries->len; i++) {
        const struct model_object *consumer = ((struct store_entry *)entries->items[i])->active;
        for (size_t j = 0; consumer && j < consumer->consumer->n_groups; j++)
            map_put(&groups->members, str_from(consumer->consumer->groups[j]), entries->items[i]);
    }
    groups->is_made = true;
}

static void check_policy(const struct model_store *store, const Weir__V1__Policy *policy,
                         struct groups *groups, struct vec *warnings)
{
    if (policy->kind_case != WEIR__V1__POLICY__KIND_API_KEY)
        return;
    const Weir__V1__ApiKeyPolicy *api_key = policy->api_key;
    for (size_t i = 0; i < api_key->n_consumers; i++) {
        if (!store_find(store, MODEL_CONSUMER, api_key->consumers[i]))
            warn(warnings, "api_key.consumers[%zu]: \"%s\" does not exist", i,
                 api_key->consumers[i]);
    }
    if (api_key->n_groups > 0 && !groups->is_made)
        make_groups(store, groups);
    for (size_t i = 0; i < api_key->n_groups; i++) {
        if (!map_find(&groups->members, str_from(api_key->groups[i])))
            warn(warnings, "api_key.groups[%zu]: \"%s\" has no members", i, api_key->groups[i]);
    }
}

static void collect_warnings(const struct model_store *store, const struct store_entry *entry,
                             struct groups *groups, struct vec *warnings)
{
    switch (entry->kind) {
    case MODEL_ROUTE:
        check_route(store, entry->active->route, warnings);
        break;
    case MODEL_GATEWAY:
        check_gateway(store, entry->active->gateway, warnings);
        break;
    case MODEL_SERVICE:
        check_service(store, entry, warnings);
        break;
    case MODEL_ENDPOINT:
        check_endpoint(store, entry, warnings);
        break;
    case MODEL_POLICY:
        check_policy(store, entry->active->policy, groups, warnings);
        break;
    case MODEL_CONSUMER:
    case MODEL_LIMIT:
    case MODEL_KIND_COUNT:
        break;
    }
}

static bool warnings_equal(const struct vec *a, const struct vec *b)
{
    if (a->len != b->len)
        return false;
    for (size_t i = 0; i < a->len; i++) {
        if (strcmp(a->items[i], b->items[i]) != 0)
            return false;
    }
    return true;
}

static void check_entry(const struct model_store *store, struct store_entry *entry,
                        struct groups *groups)
{
    struct vec warnings = {0};
    if (entry->active)
        collect_warnings(store, entry, groups, &warnings);
    if (!warnings_equal(&warnings, &entry->warnings))
        entry->is_verdict_new = true;
    for (size_t i = 0; i < entry->warnings.len; i++)
        mem_free(entry->warnings.items[i]);
    vec_done(&entry->warnings);
    entry->warnings = warnings;
    entry->needs_check = false;
}

void references_check(struct model_store *store)
{
    struct groups groups = {.is_made = false};
    store_sort(&store->kinds[MODEL_ENDPOINT]);
    for (size_t kind = 0; kind < MODEL_KIND_COUNT; kind++) {
        const struct vec *entries = &store->kinds[kind].entries;
        bool check_all = store->checks_due >> kind & 1;
        for (size_t i = 0; i < entries->len; i++) {
            struct store_entry *entry = entries->items[i];
            if (entry->needs_check || check_all)
                check_entry(store, entry, &groups);
        }
    }
    store->checks_due = 0;
    map_done(&groups.members);
}
