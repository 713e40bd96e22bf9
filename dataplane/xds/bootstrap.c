#include "dataplane/xds/bootstrap.h"

#include "common/base/map.h"
#include "common/base/mem.h"
#include "dataplane/xds/bootstrap_ads.h"
#include "dataplane/xds/decode_internal.h"

#include <stdio.h>

typedef Envoy__Config__Bootstrap__V3__Bootstrap bootstrap_message;
typedef Envoy__Config__Bootstrap__V3__Bootstrap__StaticResources static_resources;

static int read_admin(struct bootstrap *bootstrap, struct errmsg *msg)
{
    const Envoy__Config__Bootstrap__V3__Admin *admin = bootstrap->message->admin;
    if (!admin || !admin->address)
        return 0;
    struct read_address address;
    int err = read_address(admin->address, "admin.address", &bootstrap->arena, &address, msg);
    if (err)
        return err;
    if (address.address.len == 0 || address.address.any.sa_family == AF_UNIX)
        return errmsg_set(msg, ERR_UNSUPPORTED, "admin.address: must be an IP address and a port");
    bootstrap->admin_address = address.address.text.data;
    return 0;
}

/* Puts name into names; a second one would take the place of the first without a word. */
static int add_name(struct map *names, const char *name, const char *field, struct errmsg *msg)
{
    if (!map_put(names, str_from(name), names))
        return 0;
    return errmsg_set(msg, ERR_EXISTS, "static_resources.%s: two are named \"%s\"", field, name);
}

static int check_names(const static_resources *resources, struct errmsg *msg)
{
    struct map clusters = {0}, listeners = {0};
    int err = 0;
    for (size_t i = 0; resources && !err && i < resources->n_clusters; i++)
        err = add_name(&clusters, resources->clusters[i]->name, "clusters", msg);
    for (size_t i = 0; resources && !err && i < resources->n_listeners; i++)
        if (resources->listeners[i]->name[0]) /* Envoy takes listeners without a name */
            err = add_name(&listeners, resources->listeners[i]->name, "listeners", msg);
    map_done(&clusters);
    map_done(&listeners);
    return err;
}

static int load(struct bootstrap *bootstrap, struct str text, const struct pbjson_registry *types,
                struct errmsg *msg)
{
    struct pbjson_options options = {.registry = types, .input_bytes_max = BOOTSTRAP_BYTES_MAX};
    ProtobufCMessage *message;
    /* JSON is YAML as well. */
    int err = pbjson_parse_yaml(&envoy__config__bootstrap__v3__bootstrap__descriptor, text,
                                &options, &bootstrap->arena, &message, msg);
    if (err)
        return err;
    bootstrap->message = (bootstrap_message *)message;
    if (!bootstrap->message->node) {
        bootstrap->message->node = ARENA_NEW(&bootstrap->arena, Envoy__Config__Core__V3__Node);
        envoy__config__core__v3__node__init(bootstrap->message->node);
    }
    err = check_names(bootstrap->message->static_resources, msg);
    if (!err)
        err = read_admin(bootstrap, msg);
    return err ? err : bootstrap_read_ads(bootstrap, msg);
}

int bootstrap_new(struct str text, const struct pbjson_registry *types,
                  struct bootstrap **ret_bootstrap, struct errmsg *msg)
{
    struct bootstrap *bootstrap = MEM_NEW(struct bootstrap);
    arena_init(&bootstrap->arena, 64 * 1024);
    int err = load(bootstrap, text, types, msg);
    if (err)
        bootstrap_free(bootstrap);
    else
        *ret_bootstrap = bootstrap;
    return err;
}

int bootstrap_read(const char *path, const struct pbjson_registry *types,
                   struct bootstrap **ret_bootstrap, struct errmsg *msg)
{
    struct buf text;
    buf_init(&text, BOOTSTRAP_BYTES_MAX);
    int err = bootstrap_read_file(path, &text, msg);
    if (!err) {
        err = bootstrap_new(buf_str(&text), types, ret_bootstrap, msg);
        if (err)
            errmsg_prefix(msg, "%s: ", path);
    }
    buf_done(&text);
    return err;
}

void bootstrap_free(struct bootstrap *bootstrap)
{
    if (!bootstrap)
        return;
    arena_done(&bootstrap->arena);
    mem_free(bootstrap);
}

static int put_message(struct store *store, enum xds_type type, const char *name,
                       const ProtobufCMessage *message, struct errmsg *msg)
{
    size_t len = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = mem_alloc(len);
    protobuf_c_message_pack(message, bytes);
    struct str encoded = {.data = (const char *)bytes, .len = len};
    int err = store_put(store, type, str_from(name), STR(""), encoded, true, msg);
    mem_free(bytes);
    return err;
}

int bootstrap_put_static(const struct bootstrap *bootstrap, struct store *store, struct errmsg *msg)
{
    const static_resources *resources = bootstrap->message->static_resources;
    int err = 0;
    for (size_t i = 0; resources && !err && i < resources->n_clusters; i++)
        if (!str_equal(str_from(resources->clusters[i]->name), bootstrap->ads_cluster))
            err = put_message(store, XDS_CLUSTER, resources->clusters[i]->name,
                              &resources->clusters[i]->base, msg);
    for (size_t i = 0; resources && !err && i < resources->n_listeners; i++) {
        const char *name = resources->listeners[i]->name;
        char numbered[64];
        if (!name[0]) {
            snprintf(numbered, sizeof numbered, "static_listener_%zu", i);
            name = numbered;
        }
        err = put_message(store, XDS_LISTENER, name, &resources->listeners[i]->base, msg);
    }
    return err;
}
