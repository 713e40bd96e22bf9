#include "tests/support/xds_rig.h"

#include "dataplane/http/access_log.h"
#include "tests/support/loop_until.h"
#include "tests/support/test.h"

void xds_rig_init(struct xds_rig *rig)
{
    *rig = (struct xds_rig){.loop = loop_new(), .types = xds_types_registry_new()};
    arena_init(&rig->arena, 16 * 1024);
    buf_init(&rig->subscriptions, 64 * 1024);
    rig->decode = (struct decode_context){.cluster_slots = name_slots_new(),
                                          .filter_slots = name_slots_new(),
                                          .shared = shared_registry_new(),
                                          .types = rig->types,
                                          .ignored = ignored_fields_new(rig->types),
                                          .log_writer = access_log_writer_new(1),
                                          .workers = 1};
}

static int on_bind(void *arg, const struct listener_config *listener, struct errmsg *msg)
{
    struct xds_rig *rig = arg;
    rig->binds++;
    if (rig->port_is_taken)
        return errmsg_set(msg, ERR_IO, "listener %.*s: address already in use",
                          STR_ARGS(listener->name));
    return 0;
}

static void on_publish(void *arg, struct config *config)
{
    struct xds_rig *rig = arg;
    config_unref(rig->config);
    rig->config = config_ref(config);
    rig->publishes++;
}

static void on_subscribe(void *arg, enum xds_type type, struct str name)
{
    struct xds_rig *rig = arg;
    buf_printf(&rig->subscriptions, "+%s %.*s ", xds_type_noun(type), STR_ARGS(name));
    if (rig->also)
        rig->also->subscribe(rig->also->arg, type, name);
}

static void on_unsubscribe(void *arg, enum xds_type type, struct str name)
{
    struct xds_rig *rig = arg;
    buf_printf(&rig->subscriptions, "-%s %.*s ", xds_type_noun(type), STR_ARGS(name));
    if (rig->also)
        rig->also->unsubscribe(rig->also->arg, type, name);
}

static void on_changed(void *arg)
{
    struct xds_rig *rig = arg;
    rig->changes++;
    if (rig->also && rig->also->changed)
        rig->also->changed(rig->also->arg);
}

void xds_rig_open(struct xds_rig *rig, bool expects_control_plane, uint64_t init_timeout_ms)
{
    struct store_options options = {.loop = rig->loop,
                                    .decode = &rig->decode,
                                    .output = {.arg = rig,
                                               .bind = on_bind,
                                               .publish = on_publish,
                                               .subscribe = on_subscribe,
                                               .unsubscribe = on_unsubscribe,
                                               .changed = on_changed},
                                    .expects_control_plane = expects_control_plane,
                                    .init_timeout_ms = init_timeout_ms,
                                    .linger_ms = XDS_RIG_LINGER_MS,
                                    .hold_ms = XDS_RIG_HOLD_MS};
    rig->store = store_new(&options);
}

void xds_rig_done(struct xds_rig *rig)
{
    store_free(rig->store);
    config_unref(rig->config);
    access_log_writer_free(rig->decode.log_writer);
    ignored_fields_free(rig->decode.ignored);
    name_slots_free(rig->decode.cluster_slots);
    name_slots_free(rig->decode.filter_slots);
    shared_registry_free(rig->decode.shared);
    pbjson_registry_free(rig->types);
    buf_done(&rig->subscriptions);
    arena_done(&rig->arena);
    loop_free(rig->loop);
}

struct str xds_rig_encode(struct xds_rig *rig, enum xds_type type, const char *yaml)
{
    struct pbjson_options options = {.registry = rig->types};
    struct errmsg msg = {.text = ""};
    ProtobufCMessage *message = NULL;
    int err = pbjson_parse_yaml(xds_type_descriptor(type), str_from(yaml), &options, &rig->arena,
                                &message, &msg);
    ck_assert_msg(err == 0, "%s", msg.text);
    size_t len = protobuf_c_message_get_packed_size(message);
    char *bytes = arena_alloc(&rig->arena, len + 1);
    protobuf_c_message_pack(message, (uint8_t *)bytes);
    return (struct str){.data = bytes, .len = len};
}

int xds_rig_put(struct xds_rig *rig, enum xds_type type, const char *name, const char *version,
                const char *yaml, struct errmsg *msg)
{
    return store_put(rig->store, type, str_from(name), str_from(version),
                     xds_rig_encode(rig, type, yaml), false, msg);
}

void xds_rig_put_ok(struct xds_rig *rig, enum xds_type type, const char *name, const char *version,
                    const char *yaml)
{
    struct errmsg msg = {.text = ""};
    int err = xds_rig_put(rig, type, name, version, yaml, &msg);
    ck_assert_msg(err == 0, "%s", msg.text);
}

struct wanted_publishes {
    const struct xds_rig *rig;
    unsigned publishes;
};

static bool has_publishes(void *arg)
{
    const struct wanted_publishes *wanted = arg;
    return wanted->rig->publishes >= wanted->publishes;
}

bool xds_rig_wait_publishes(struct xds_rig *rig, unsigned publishes)
{
    struct wanted_publishes wanted = {.rig = rig, .publishes = publishes};
    return loop_until(rig->loop, 10000, has_publishes, &wanted);
}

const struct config_listener *xds_rig_listener(const struct xds_rig *rig, const char *name)
{
    for (uint32_t i = 0; rig->config && i < rig->config->listener_count; i++)
        if (str_equal(rig->config->listeners[i].listener->name, str_from(name)))
            return &rig->config->listeners[i];
    return NULL;
}

const struct config_cluster *xds_rig_cluster(const struct xds_rig *rig, const char *name)
{
    for (uint32_t i = 0; rig->config && i < rig->config->cluster_count; i++)
        if (str_equal(rig->config->clusters[i].cluster->name, str_from(name)))
            return &rig->config->clusters[i];
    return NULL;
}

const char *xds_rig_listener_yaml(struct xds_rig *rig, const char *name, const char *routes_name)
{
    return arena_printf(
        &rig->arena,
        "name: %s\n"
        "address: {socket_address: {address: 127.0.0.1, port_value: 8080}}\n"
        "filter_chains:\n"
        "- filters:\n"
        "  - name: hcm\n"
        "    typed_config:\n"
        "      \"@type\": type.googleapis.com/envoy.extensions.filters.network."
        "http_connection_manager.v3.HttpConnectionManager\n"
        "      stat_prefix: test\n"
        "      rds: {route_config_name: %s, config_source: {ads: {}}}\n"
        "      http_filters:\n"
        "      - name: envoy.filters.http.router\n"
        "        typed_config: {\"@type\": type.googleapis.com/envoy.extensions.filters.http."
        "router.v3.Router}\n",
        name, routes_name);
}

const char *xds_rig_eds_cluster_yaml(struct xds_rig *rig, const char *name, const char *extra)
{
    return arena_printf(&rig->arena,
                        "name: %s\n"
                        "type: EDS\n"
                        "eds_cluster_config: {eds_config: {ads: {}}}\n"
                        "%s",
                        name, extra);
}

const char *xds_rig_endpoints_yaml(struct xds_rig *rig, const char *name, unsigned port)
{
    return arena_printf(&rig->arena,
                        "cluster_name: %s\n"
                        "endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: "
                        "{address: 127.0.0.1, port_value: %u}}}}]}]\n",
                        name, port);
}

const char *xds_rig_routes_yaml(struct xds_rig *rig, const char *name, const char *cluster)
{
    return arena_printf(&rig->arena,
                        "name: %s\n"
                        "virtual_hosts: [{name: all, domains: [\"*\"], routes: [{name: r, match: "
                        "{prefix: /}, route: {cluster: %s}}]}]\n",
                        name, cluster);
}
