/* Decoding a RouteConfiguration into a table, and finding a route in it. */
#include "common/base/mem.h"
#include "dataplane/config/name_slots.h"
#include "dataplane/http/header_mutations.h"
#include "dataplane/http/path.h"
#include "dataplane/route/route_internal.h"

enum {
    DIRECT_RESPONSE_BYTES_DEFAULT = 4096,
    DIRECT_RESPONSE_BYTES_MAX = 1024 * 1024,
    FILTER_NAMES_MAX = 64, /* filter instances with settings in one table */
};

/* Name of a filter instance that some route has settings for; holds a reference on its slot. */
struct filter_name {
    struct str name;
    uint32_t slot;
};

struct route_table {
    uint32_t refs;
    struct arena arena;
    struct str name;
    struct vec states; /* shared states that the arena refers to */
    struct name_slots *cluster_slots;
    struct name_slots *filter_slots;
    struct filter_name filter_names[FILTER_NAMES_MAX];
    uint32_t filter_name_count;
    struct route_virtual_host *hosts;
    uint32_t host_count;
    struct route_domains domains;
    bool ignores_port;
};

/* What virtual hosts and routes inherit. */
struct level {
    const struct header_mutations *request_mutations;
    const struct header_mutations *response_mutations;
    const struct filter_route_config *filter_configs;
    uint32_t filter_config_count;
};

/* A table while it is decoded. */
struct decoder {
    struct route_table *table;
    const struct route_table_options *options;
    struct filter_load load;
    struct level level; /* of the table */
    bool most_specific_wins;
    uint32_t body_max;
};

/* --- header mutations and filter settings of a level --- */

/* The mutations of a level joined with those above: a route's are done before its virtual host's
 * before the table's, or the other way round with most_specific_header_mutations_wins. */
static const struct header_mutations *join_mutations(struct decoder *decoder,
                                                     const struct header_mutations *own,
                                                     const struct header_mutations *above)
{
    if (decoder->most_specific_wins)
        return header_mutations_chain(decoder->load.arena, above, own);
    return header_mutations_chain(decoder->load.arena, own, above);
}

/* Builds level->request_mutations and level->response_mutations from the four lists of a message.
 */
#define LOAD_MUTATIONS(decoder, message, above, level, msg)                                        \
    load_mutations((decoder), (message)->request_headers_to_add,                                   \
                   (message)->n_request_headers_to_add, (message)->request_headers_to_remove,      \
                   (message)->n_request_headers_to_remove, (message)->response_headers_to_add,     \
                   (message)->n_response_headers_to_add, (message)->response_headers_to_remove,    \
                   (message)->n_response_headers_to_remove, (above), (level), (msg))

static int load_mutations(struct decoder *decoder,
                          Envoy__Config__Core__V3__HeaderValueOption *const *request_add,
                          size_t request_add_count, char *const *request_remove,
                          size_t request_remove_count,
                          Envoy__Config__Core__V3__HeaderValueOption *const *response_add,
                          size_t response_add_count, char *const *response_remove,
                          size_t response_remove_count, const struct level *above,
                          struct level *level, struct errmsg *msg)
{
    struct arena *arena = decoder->load.arena;
    const struct header_mutations *request = NULL, *response = NULL;
    int err = header_mutations_new(arena, request_add, request_add_count, request_remove,
                                   request_remove_count, NULL, &request, msg);
    if (!err)
        err = header_mutations_new(arena, response_add, response_add_count, response_remove,
                                   response_remove_count, NULL, &response, msg);
    if (err)
        return err;
    level->request_mutations =
        join_mutations(decoder, request, above ? above->request_mutations : NULL);
    level->response_mutations =
        join_mutations(decoder, response, above ? above->response_mutations : NULL);
    return 0;
}

static int filter_slot(struct decoder *decoder, struct str name, uint32_t *ret_slot,
                       struct errmsg *msg)
{
    struct route_table *table = decoder->table;
    for (uint32_t i = 0; i < table->filter_name_count; i++)
        if (str_equal(table->filter_names[i].name, name)) {
            *ret_slot = table->filter_names[i].slot;
            return 0;
        }
    if (table->filter_name_count == FILTER_NAMES_MAX)
        return errmsg_set(msg, ERR_TOO_LARGE, "settings for more than %d filters",
                          FILTER_NAMES_MAX);
    struct filter_name *entry = &table->filter_names[table->filter_name_count++];
    entry->name = arena_copy_str(&table->arena, name);
    entry->slot = name_slots_acquire(table->filter_slots, entry->name);
    *ret_slot = entry->slot;
    return 0;
}

static const struct filter_route_config *find_filter_config(const struct level *level,
                                                            uint32_t slot)
{
    for (uint32_t i = 0; level && i < level->filter_config_count; i++)
        if (level->filter_configs[i].name_slot == slot)
            return &level->filter_configs[i];
    return NULL;
}

/* Puts config into the list, in the place of an entry for the same filter if there is one. */
static void put_filter_config(struct filter_route_config *configs, uint32_t *count,
                              const struct filter_route_config *config)
{
    uint32_t at = 0;
    while (at < *count && configs[at].name_slot != config->name_slot)
        at++;
    configs[at] = *config;
    if (at == *count)
        ++*count;
}

static int load_filter_config(struct decoder *decoder, const char *name,
                              const Google__Protobuf__Any *settings, const struct level *above,
                              struct filter_route_config *config, bool *ret_is_set,
                              struct errmsg *msg)
{
    if (!decoder->options->load_filter || !settings)
        return errmsg_set(msg, ERR_UNSUPPORTED, "typed_per_filter_config: no settings for %s",
                          name);
    int err = filter_slot(decoder, str_from(name), &config->name_slot, msg);
    if (err)
        return err;
    const struct filter_route_config *inherited = find_filter_config(above, config->name_slot);
    decoder->load.inherited = inherited ? inherited->config : NULL;
    decoder->load.inherited_type = inherited ? inherited->type : NULL;
    uint32_t slot = config->name_slot;
    err = decoder->options->load_filter(&decoder->load, str_from(name), settings, config, msg);
    config->name_slot = slot;
    if (err)
        errmsg_prefix(msg, "typed_per_filter_config: %s: ", name);
    *ret_is_set = config->config || config->is_disabled;
    return err;
}

typedef Envoy__Config__Route__V3__Route__TypedPerFilterConfigEntry route_filter_entry;
typedef Envoy__Config__Route__V3__VirtualHost__TypedPerFilterConfigEntry host_filter_entry;
typedef Envoy__Config__Route__V3__RouteConfiguration__TypedPerFilterConfigEntry table_filter_entry;

/* The three kinds of entries are one and the same struct under three names. */
_Static_assert(sizeof(route_filter_entry) == sizeof(host_filter_entry) &&
                   sizeof(route_filter_entry) == sizeof(table_filter_entry) &&
                   offsetof(route_filter_entry, value) == offsetof(host_filter_entry, value) &&
                   offsetof(route_filter_entry, value) == offsetof(table_filter_entry, value),
               "map entries of the same types have the same layout");

/* Settings of a level: its own, and those above for filters that it says nothing about. */
static int load_filter_configs(struct decoder *decoder, ProtobufCMessage *const *entries,
                               size_t count, const struct level *above, struct level *level,
                               struct errmsg *msg)
{
    uint32_t inherited = above ? above->filter_config_count : 0;
    level->filter_configs = above ? above->filter_configs : NULL;
    level->filter_config_count = inherited;
    if (!count)
        return 0;
    if (count > FILTER_NAMES_MAX)
        return errmsg_set(msg, ERR_TOO_LARGE, "settings for more than %d filters",
                          FILTER_NAMES_MAX);
    struct filter_route_config *configs =
        arena_alloc_array(decoder->load.arena, count + inherited, sizeof *configs);
    if (inherited)
        memcpy(configs, above->filter_configs, inherited * sizeof *configs);
    uint32_t config_count = inherited;
    for (size_t i = 0; i < count; i++) {
        const route_filter_entry *entry = (const route_filter_entry *)entries[i];
        struct filter_route_config config = {0};
        bool is_set = false;
        int err =
            load_filter_config(decoder, entry->key, entry->value, above, &config, &is_set, msg);
        if (err)
            return err;
        if (is_set)
            put_filter_config(configs, &config_count, &config);
    }
    level->filter_configs = configs;
    level->filter_config_count = config_count;
    return 0;
}

/* --- routes --- */

static uint32_t match_prefix_len(const struct route_rule *rule)
{
    bool is_prefix = rule->kind == ROUTE_PATH_PREFIX || rule->kind == ROUTE_PATH_SEPARATED_PREFIX;
    return is_prefix ? (uint32_t)rule->path.len : UINT32_MAX;
}

static int route_init(struct decoder *decoder, const Envoy__Config__Route__V3__Route *message,
                      const struct level *above, struct route_entry *entry, struct errmsg *msg)
{
    struct route *route = &entry->route;
    if (!message->match)
        return errmsg_set(msg, ERR_INVALID, "match is missing");
    int err = route_rule_init(&decoder->load, message->match, &entry->rule, msg);
    if (!err)
        err = route_action_init(&decoder->load, decoder->options->cluster_slots, decoder->body_max,
                                message, route, msg);
    struct level level = {0};
    if (!err)
        err = LOAD_MUTATIONS(decoder, message, above, &level, msg);
    if (!err)
        err = load_filter_configs(decoder,
                                  (ProtobufCMessage *const *)message->typed_per_filter_config,
                                  message->n_typed_per_filter_config, above, &level, msg);
    if (err)
        return err;
    route->match_prefix_len = match_prefix_len(&entry->rule);
    route->request_mutations = level.request_mutations;
    route->response_mutations = level.response_mutations;
    route->filter_configs = level.filter_configs;
    route->filter_config_count = level.filter_config_count;
    return 0;
}

/* Whether a route before place has the same name: then a place is added, because state that
 * outlives the configuration is found by these names. */
static void set_scope(struct decoder *decoder, struct arena *scratch,
                      const struct route_virtual_host *host, struct map *names, uint32_t place)
{
    const struct route *route = &host->entries[place].route;
    bool is_taken = !route->name.len || map_put(names, route->name, (void *)route);
    arena_reset(scratch);
    const char *scope =
        is_taken ? arena_printf(scratch, "route %.*s/%.*s/%.*s#%u", STR_ARGS(decoder->table->name),
                                STR_ARGS(host->name), STR_ARGS(route->name), place)
                 : arena_printf(scratch, "route %.*s/%.*s/%.*s", STR_ARGS(decoder->table->name),
                                STR_ARGS(host->name), STR_ARGS(route->name));
    decoder->load.scope = str_from(scope);
}

static int routes_init(struct decoder *decoder,
                       const Envoy__Config__Route__V3__VirtualHost *message,
                       const struct level *above, struct route_virtual_host *host,
                       struct errmsg *msg)
{
    struct arena *arena = &decoder->table->arena;
    size_t count = message->n_routes;
    host->entries = arena_alloc_array(arena, count ? count : 1, sizeof *host->entries);
    struct arena scratch;
    struct map names = {0};
    arena_init(&scratch, 1024);
    int err = 0;
    for (size_t i = 0; i < count && !err; i++) {
        struct route *route = &host->entries[i].route;
        route->name = str_from(arena_copy_string(arena, message->routes[i]->name));
        route->virtual_host = host->name;
        host->entry_count = (uint32_t)i + 1;
        set_scope(decoder, &scratch, host, &names, (uint32_t)i);
        err = route_init(decoder, message->routes[i], above, &host->entries[i], msg);
        if (err && route->name.len)
            errmsg_prefix(msg, "route %.*s: ", STR_ARGS(route->name));
        else if (err)
            errmsg_prefix(msg, "route %zu: ", i);
    }
    decoder->load.scope = (struct str){0};
    map_done(&names);
    arena_done(&scratch);
    return err;
}

/* --- virtual hosts --- */

static int add_domains(struct decoder *decoder,
                       const Envoy__Config__Route__V3__VirtualHost *message,
                       struct route_virtual_host *host, struct errmsg *msg)
{
    if (!message->n_domains)
        return errmsg_set(msg, ERR_INVALID, "domains is empty");
    for (size_t i = 0; i < message->n_domains; i++) {
        int err = route_domains_add(&decoder->table->domains, &decoder->table->arena,
                                    str_from(message->domains[i]), host, msg);
        if (err)
            return err;
    }
    return 0;
}

static int set_tls_requirement(struct decoder *decoder,
                               const Envoy__Config__Route__V3__VirtualHost *message,
                               struct route_virtual_host *host, struct errmsg *msg)
{
    if (message->require_tls == ENVOY__CONFIG__ROUTE__V3__VIRTUAL_HOST__TLS_REQUIREMENT_TYPE__NONE)
        return 0;
    if (message->require_tls != ENVOY__CONFIG__ROUTE__V3__VIRTUAL_HOST__TLS_REQUIREMENT_TYPE__ALL)
        return errmsg_set(msg, ERR_UNSUPPORTED, "require_tls: only NONE and ALL are supported");
    struct route *route = ARENA_NEW(decoder->load.arena, struct route);
    route->kind = ROUTE_REDIRECT;
    route->virtual_host = host->name;
    route->match_prefix_len = UINT32_MAX;
    route->redirect = (struct route_redirect){.status = 301, .https_redirect = true};
    host->tls_redirect = route;
    return 0;
}

static int virtual_host_init(struct decoder *decoder,
                             const Envoy__Config__Route__V3__VirtualHost *message,
                             struct route_virtual_host *host, struct errmsg *msg)
{
    struct arena *arena = &decoder->table->arena;
    host->name = str_from(arena_copy_string(arena, message->name));
    if (!host->name.len)
        return errmsg_set(msg, ERR_INVALID, "name is missing");
    if (message->n_rate_limits)
        return errmsg_set(msg, ERR_UNSUPPORTED,
                          "rate_limits are not supported (put them into the filter)");
    decoder->load.scope = str_from(arena_printf(
        arena, "vhost %.*s/%.*s", STR_ARGS(decoder->table->name), STR_ARGS(host->name)));
    struct level level = {0};
    int err = add_domains(decoder, message, host, msg);
    if (!err)
        err = set_tls_requirement(decoder, message, host, msg);
    if (!err)
        err = LOAD_MUTATIONS(decoder, message, &decoder->level, &level, msg);
    if (!err)
        err = load_filter_configs(decoder,
                                  (ProtobufCMessage *const *)message->typed_per_filter_config,
                                  message->n_typed_per_filter_config, &decoder->level, &level, msg);
    if (!err)
        err = routes_init(decoder, message, &level, host, msg);
    if (err)
        return err;
    route_index_init(&host->index, arena, host->entries, host->entry_count);
    return 0;
}

/* --- the table --- */

/* Fields that decide who gets where, and are not supported. */
static int refuse_unsupported(const Envoy__Config__Route__V3__RouteConfiguration *message,
                              struct errmsg *msg)
{
    const char *what = message->vhds                      ? "vhds"
                       : message->n_internal_only_headers ? "internal_only_headers"
                       : *message->vhost_header           ? "vhost_header"
                       : message->ignore_path_parameters_in_path_matching
                           ? "ignore_path_parameters_in_path_matching"
                           : NULL;
    return what ? errmsg_set(msg, ERR_UNSUPPORTED, "%s is not supported", what) : 0;
}

static int set_body_max(struct decoder *decoder,
                        const Envoy__Config__Route__V3__RouteConfiguration *message,
                        struct errmsg *msg)
{
    decoder->body_max = DIRECT_RESPONSE_BYTES_DEFAULT;
    if (!message->max_direct_response_body_size_bytes)
        return 0;
    decoder->body_max = message->max_direct_response_body_size_bytes->value;
    if (decoder->body_max > DIRECT_RESPONSE_BYTES_MAX)
        return errmsg_set(msg, ERR_INVALID, "max_direct_response_body_size_bytes: over %d",
                          DIRECT_RESPONSE_BYTES_MAX);
    return 0;
}

static int decode_hosts(struct decoder *decoder,
                        const Envoy__Config__Route__V3__RouteConfiguration *message,
                        struct errmsg *msg)
{
    struct route_table *table = decoder->table;
    size_t count = message->n_virtual_hosts;
    table->hosts = arena_alloc_array(&table->arena, count ? count : 1, sizeof *table->hosts);
    struct map names = {0};
    int err = 0;
    for (size_t i = 0; i < count && !err; i++) {
        struct route_virtual_host *host = &table->hosts[i];
        table->host_count = (uint32_t)i + 1;
        err = virtual_host_init(decoder, message->virtual_hosts[i], host, msg);
        if (!err && map_put(&names, host->name, host))
            err = errmsg_set(msg, ERR_EXISTS, "there are two of this name");
        if (err)
            errmsg_prefix(msg, "virtual host %s: ", message->virtual_hosts[i]->name);
    }
    map_done(&names);
    return err;
}

static int decode(struct decoder *decoder,
                  const Envoy__Config__Route__V3__RouteConfiguration *message, struct errmsg *msg)
{
    struct route_table *table = decoder->table;
    table->ignores_port = message->ignore_port_in_host_matching;
    decoder->most_specific_wins = message->most_specific_header_mutations_wins;
    decoder->load.scope =
        str_from(arena_printf(&table->arena, "routes %.*s", STR_ARGS(table->name)));
    int err = refuse_unsupported(message, msg);
    if (!err)
        err = set_body_max(decoder, message, msg);
    if (!err)
        err = LOAD_MUTATIONS(decoder, message, NULL, &decoder->level, msg);
    if (!err)
        err = load_filter_configs(decoder,
                                  (ProtobufCMessage *const *)message->typed_per_filter_config,
                                  message->n_typed_per_filter_config, NULL, &decoder->level, msg);
    return err ? err : decode_hosts(decoder, message, msg);
}

int route_table_new(const Envoy__Config__Route__V3__RouteConfiguration *message,
                    const struct route_table_options *options, struct route_table **ret_table,
                    struct errmsg *msg)
{
    struct route_table *table = MEM_NEW(struct route_table);
    table->refs = 1;
    table->cluster_slots = options->cluster_slots;
    table->filter_slots = options->filter_slots;
    arena_init(&table->arena, message->n_virtual_hosts > 1 ? 64 * 1024 : 16 * 1024);
    table->name = str_from(arena_copy_string(&table->arena, message->name));
    struct decoder decoder = {.table = table,
                              .options = options,
                              .load = {.arena = &table->arena,
                                       .shared = options->shared,
                                       .states = &table->states,
                                       .workers = options->workers}};
    int err = decode(&decoder, message, msg);
    if (err)
        route_table_unref(table);
    else
        *ret_table = table;
    return err;
}

struct route_table *route_table_ref(struct route_table *table)
{
    table->refs++;
    return table;
}

static void release_clusters(struct route_table *table, const struct route_virtual_host *host)
{
    for (uint32_t i = 0; i < host->entry_count; i++) {
        const struct route *route = &host->entries[i].route;
        if (route->kind != ROUTE_FORWARD)
            continue;
        for (uint32_t arm = 0; arm < route->forward.arm_count; arm++)
            name_slots_release(table->cluster_slots, route->forward.arms[arm].cluster_slot);
    }
}

void route_table_unref(struct route_table *table)
{
    if (!table || --table->refs > 0)
        return;
    for (uint32_t i = 0; i < table->host_count; i++)
        release_clusters(table, &table->hosts[i]);
    for (uint32_t i = 0; i < table->filter_name_count; i++)
        name_slots_release(table->filter_slots, table->filter_names[i].slot);
    for (size_t i = 0; i < table->states.len; i++)
        shared_state_unref(table->states.items[i]);
    vec_done(&table->states);
    route_domains_done(&table->domains);
    arena_done(&table->arena);
    mem_free(table);
}

struct str route_table_name(const struct route_table *table)
{
    return table->name;
}

static void visit_arms(const struct route *route, route_cluster_fn *visit, void *arg)
{
    if (route->kind != ROUTE_FORWARD)
        return;
    for (uint32_t i = 0; i < route->forward.arm_count; i++)
        visit(route->forward.arms[i].cluster, arg);
}

void route_table_visit_clusters(const struct route_table *table, route_cluster_fn *visit, void *arg)
{
    for (uint32_t i = 0; i < table->host_count; i++)
        for (uint32_t k = 0; k < table->hosts[i].entry_count; k++)
            visit_arms(&table->hosts[i].entries[k].route, visit, arg);
}

/* --- finding a route --- */

/* host without its port. */
static struct str without_port(struct str host)
{
    size_t end = host.len;
    while (end > 0 && host.data[end - 1] >= '0' && host.data[end - 1] <= '9')
        end--;
    bool has_port = end > 1 && end < host.len && host.data[end - 1] == ':';
    bool is_bare_v6 = has_port && host.data[0] != '[' && str_find_char(host, ':', 0) < end - 1;
    return has_port && !is_bare_v6 ? str_slice(host, 0, end - 1) : host;
}

static const struct route_virtual_host *find_host(const struct route_table *table, struct str host)
{
    return route_domains_find(&table->domains, table->ignores_port ? without_port(host) : host);
}

static bool came_by_tls(const struct route_match_input *input)
{
    struct str forwarded = header_list_value(&input->request->headers, HEADER_X_FORWARDED_PROTO);
    return forwarded.data ? str_equal_nocase(forwarded, STR("https")) : input->is_tls;
}

/* The path without its query; empty where there is none to match (CONNECT). */
static struct str path_of(const struct http_request *request)
{
    struct str path = request->path;
    return str_slice(path, 0, path.len ? path_query_at(path) : 0);
}

const struct route *route_match(const struct route_table *table,
                                const struct route_match_input *input)
{
    const struct route_virtual_host *host = find_host(table, input->request->authority);
    struct str path = path_of(input->request);
    if (!host || !path.len)
        return NULL;
    if (host->tls_redirect && !came_by_tls(input))
        return host->tls_redirect;
    const struct route_entry *entry = route_index_find(&host->index, host->entries, path, input);
    return entry ? &entry->route : NULL;
}

const struct route *route_match_linear(const struct route_table *table,
                                       const struct route_match_input *input)
{
    const struct route_virtual_host *host = find_host(table, input->request->authority);
    struct str path = path_of(input->request);
    if (!host || !path.len)
        return NULL;
    if (host->tls_redirect && !came_by_tls(input))
        return host->tls_redirect;
    for (uint32_t i = 0; i < host->entry_count; i++) {
        enum match_result result = route_rule_test(&host->entries[i].rule, path, input);
        if (result != MATCH_NO)
            return result == MATCH_YES ? &host->entries[i].route : NULL;
    }
    return NULL;
}

const struct route_arm *route_forward_pick(const struct route_forward *forward, uint64_t random)
{
    uint64_t point = forward->total_weight > 1 ? random % forward->total_weight : 0;
    uint32_t low = 0, high = forward->arm_count - 1;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (forward->arms[middle].weight_end > point)
            high = middle;
        else
            low = middle + 1;
    }
    return &forward->arms[low];
}
