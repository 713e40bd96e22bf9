#include "tests/support/xds_stream.h"

#include "common/base/mem.h"
#include "tests/support/test.h"

#include <envoy/service/discovery/v3/discovery.pb-c.h>
#include <stdio.h>
#include <stdlib.h>

struct xds_bed bed;

static void on_send(void *arg, const struct response *response)
{
    (void)arg;
    char nonce[24];
    const char *text = xds_response_text(response, bed.stream.is_delta, nonce);
    /* The nonce tells which type it was: each type remembers its own outstanding one. */
    for (int type = 0; type < RESOURCE_TYPE_COUNT; type++) {
        const struct subscription *sub = bed.stream.subscriptions[type];
        if (!sub || sub->out.nonce != strtoull(nonce, NULL, 10))
            continue;
        snprintf(bed.nonces[type], sizeof bed.nonces[type], "%s", nonce);
        size_t len = strlen(bed.sent);
        snprintf(bed.sent + len, sizeof bed.sent - len, "%s%s %s", len ? "; " : "",
                 resource_type_short_name((enum resource_type)type), text);
    }
}

static void on_finish(void *arg, enum rpc_status status, const char *text)
{
    (void)arg, (void)text;
    bed.finished = status;
}

static const struct stream_transport transport = {.send = on_send, .finish = on_finish};

void open_stream(bool is_delta, enum resource_type only)
{
    bed = (struct xds_bed){.ledger = ledger_new(), .revision = bed.revision};
    stream_context_init(&bed.context, bed.ledger);
    stream_init(&bed.stream, &bed.context, &transport, 1, is_delta, only, STR("ipv4:127.0.0.1:1"));
}

void reopen_stream(void)
{
    bool is_delta = bed.stream.is_delta;
    enum resource_type only = bed.stream.only;
    stream_done(&bed.stream);
    stream_init(&bed.stream, &bed.context, &transport, 2, is_delta, only, STR("ipv4:127.0.0.1:1"));
}

void close_stream(void)
{
    stream_done(&bed.stream);
    stream_context_done(&bed.context);
    ledger_free(bed.ledger);
}

void publish_as(const char *gateway, const char *clusters, const char *endpoints,
                const char *listeners, const char *routes)
{
    const char *texts[] = {clusters, endpoints, listeners, routes};
    struct resource_set *sets[RESOURCE_TYPE_COUNT];
    for (int type = 0; type < RESOURCE_TYPE_COUNT; type++)
        sets[type] = xds_set((enum resource_type)type, texts[type]);
    bed.revision++;
    struct world_builder *world = world_builder_new(bed.revision);
    world_builder_add(world, str_from(gateway), CLIENT_ENVOY, snapshot_new(bed.revision, sets));
    ledger_begin_publication(bed.ledger);
    struct world *before = bed.context.world;
    bed.context.world = world_builder_finish(world);
    world_share(bed.context.world, before);
    world_free(before);
    stream_publish(&bed.stream, bed.now_ms);
}

void publish(const char *clusters, const char *endpoints, const char *listeners, const char *routes)
{
    publish_as("public", clusters, endpoints, listeners, routes);
}

static void pack_and_take(const ProtobufCMessage *message)
{
    size_t len = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = mem_alloc(len ? len : 1);
    protobuf_c_message_pack(message, bytes);
    stream_message(&bed.stream, (struct str){.data = (char *)bytes, .len = len}, bed.now_ms, 0);
    mem_free(bytes);
}

typedef Envoy__Service__Discovery__V3__DeltaDiscoveryRequest__InitialResourceVersionsEntry
    version_entry;

/* The versions of "a=1 b=1" as they go into a delta request. */
struct claims {
    struct resource_set *set;
    version_entry entries[8];
    version_entry *pointers[8];
};

static void claims_init(struct claims *claims, enum resource_type type, const char *text)
{
    claims->set = xds_set(type, text ? text : "");
    ck_assert_uint_le(claims->set->len, 8);
    for (size_t i = 0; i < claims->set->len; i++) {
        const struct resource *resource = claims->set->items[i];
        version_entry *entry = &claims->entries[i];
        envoy__service__discovery__v3__delta_discovery_request__initial_resource_versions_entry__init(
            entry);
        entry->key = (char *)resource->name.data;
        entry->value = (char *)resource->version.hex;
        claims->pointers[i] = entry;
    }
}

static void ask_delta(const struct ask *ask, Envoy__Config__Core__V3__Node *node,
                      Google__Rpc__Status *error, const char *nonce)
{
    Envoy__Service__Discovery__V3__DeltaDiscoveryRequest request =
        ENVOY__SERVICE__DISCOVERY__V3__DELTA_DISCOVERY_REQUEST__INIT;
    struct claims claims;
    char *names[8], *gone[] = {(char *)ask->gone};
    char text[64], *save;
    snprintf(text, sizeof text, "%s", ask->name ? ask->name : "");
    claims_init(&claims, ask->type, ask->has);
    request.node = node;
    request.type_url = (char *)(ask->url ? ask->url : resource_type_url(ask->type));
    request.response_nonce = (char *)nonce;
    request.error_detail = error;
    request.resource_names_subscribe = names;
    for (char *name = strtok_r(text, " ", &save); name; name = strtok_r(NULL, " ", &save))
        names[request.n_resource_names_subscribe++] = name;
    request.resource_names_unsubscribe = gone;
    request.n_resource_names_unsubscribe = ask->gone != NULL;
    request.initial_resource_versions = claims.pointers;
    request.n_initial_resource_versions = claims.set->len;
    pack_and_take(&request.base);
    resource_set_unref(claims.set);
}

static void ask_sotw(const struct ask *ask, Envoy__Config__Core__V3__Node *node,
                     Google__Rpc__Status *error, const char *nonce)
{
    Envoy__Service__Discovery__V3__DiscoveryRequest request =
        ENVOY__SERVICE__DISCOVERY__V3__DISCOVERY_REQUEST__INIT;
    char *names[] = {(char *)ask->name};
    request.node = node;
    request.type_url = (char *)(ask->url ? ask->url : resource_type_url(ask->type));
    request.response_nonce = (char *)nonce;
    request.error_detail = error;
    request.resource_names = names;
    request.n_resource_names = ask->name != NULL;
    pack_and_take(&request.base);
}

void ask(struct ask ask)
{
    Envoy__Config__Core__V3__Node node = ENVOY__CONFIG__CORE__V3__NODE__INIT;
    Google__Rpc__Status error = GOOGLE__RPC__STATUS__INIT;
    node.id = (char *)(ask.node ? ask.node : "");
    node.cluster = (char *)(ask.gateway ? ask.gateway : "public");
    node.user_agent_name = (char *)(ask.agent ? ask.agent : "");
    error.message = (char *)(ask.error ? ask.error : "");
    const char *nonce = !ask.nonce                      ? ""
                        : strcmp(ask.nonce, "ack") == 0 ? bed.nonces[ask.type]
                                                        : ask.nonce;
    (bed.stream.is_delta ? ask_delta : ask_sotw)(&ask, ask.node ? &node : NULL,
                                                 ask.error ? &error : NULL, nonce);
}

void ack(enum resource_type type)
{
    /* State of the world repeats its names. */
    static const char *const names[] = {NULL, "new", NULL, "rc"};
    ask((struct ask){
        .type = type, .nonce = "ack", .name = bed.stream.is_delta ? NULL : names[type]});
}

void nack(enum resource_type type, const char *error)
{
    ask((struct ask){.type = type, .nonce = "ack", .error = error});
}

void settle_delta(void)
{
    open_stream(true, RESOURCE_TYPE_COUNT);
    publish("old=1", "old=e", "l=1", "rc=old");
    ask((struct ask){.node = "n", .type = RESOURCE_CLUSTER});
    expect("CDS old=1");
    ask((struct ask){.type = RESOURCE_ENDPOINTS, .name = "old"});
    expect("EDS old=e");
    ack(RESOURCE_CLUSTER);
    ack(RESOURCE_ENDPOINTS);
    ask((struct ask){.type = RESOURCE_LISTENER});
    expect("LDS l=1");
    ask((struct ask){.type = RESOURCE_ROUTES, .name = "rc"});
    expect("RDS rc=old");
    ack(RESOURCE_LISTENER);
    ck_assert(!stream_is_in_sync(&bed.stream));
    ack(RESOURCE_ROUTES);
    expect("");
    ck_assert(stream_is_in_sync(&bed.stream));
}
