/*
 * Policy documents into the store, and its models through the translator. Whatever is written, each
 * snapshot names nothing that is missing, each resource can be read again, and the translator that
 * has seen every step says the same as one that begins with the last.
 *
 * The input is documents with a NUL behind each: a key, a line break, a value. A key that begins
 * with '-' is deleted, one that begins with '~' has YAML; an empty document ends a step.
 */
#include "common/base/assert.h"
#include "common/pbjson/pbjson.h"
#include "controlplane/model/store.h"
#include "controlplane/policy/policy.h"
#include "controlplane/translate/translate.h"

#include <envoy/config/cluster/v3/cluster.pb-c.h>
#include <envoy/config/endpoint/v3/endpoint.pb-c.h>
#include <envoy/config/listener/v3/listener.pb-c.h>
#include <envoy/config/route/v3/route.pb-c.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const ProtobufCMessageDescriptor *const descriptors[RESOURCE_TYPE_COUNT] = {
    [RESOURCE_CLUSTER] = &envoy__config__cluster__v3__cluster__descriptor,
    [RESOURCE_ENDPOINTS] = &envoy__config__endpoint__v3__cluster_load_assignment__descriptor,
    [RESOURCE_LISTENER] = &envoy__config__listener__v3__listener__descriptor,
    [RESOURCE_ROUTES] = &envoy__config__route__v3__route_configuration__descriptor,
};

struct run {
    struct model_store *store;
    struct translator *translator;
    int64_t revision;
    bool has_problem; /* a gateway keeps what it had before */
};

static void on_problem(struct str gateway, const char *sentence, void *arg)
{
    struct run *run = arg;
    ASSERT(gateway.len > 0 && *sentence);
    run->has_problem = true;
}

/* What is no UTF-8, or is cut to be none, stands otherwise in a sentence. */
static bool is_ascii(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] <= 0) /* NUL, too: it ends the sentence */
            return false;
    return true;
}

static void on_verdict(const struct model_verdict *verdict, void *arg)
{
    (void)arg;
    bool has_sentence = verdict->message[0] != '\0';
    ASSERT(verdict->is_deleted || verdict->is_accepted == !has_sentence);
    /* "<key>: ..."; only the start of a long key is shown. */
    size_t len = verdict->key.len < 300 ? verdict->key.len : 300;
    ASSERT(!has_sentence || !is_ascii(verdict->key.data, len) ||
           strncmp(verdict->message, verdict->key.data, len) == 0);
}

/* The bytes of a resource, and what the message's own fields are. */
static void check_resource(const struct resource *resource, enum resource_type type)
{
    struct arena arena;
    arena_init(&arena, 16 * 1024);
    ProtobufCMessage *message =
        pbjson_unpack(descriptors[type], resource_message_bytes(resource), &arena);
    ASSERT(message && message->n_unknown_fields == 0);
    arena_done(&arena);
}

static void check_world(const struct world *world)
{
    for (size_t i = 0; i < world->len; i++) {
        const struct snapshot *snapshot = world->entries[i].snapshot;
        struct errmsg msg;
        int err = snapshot_check(snapshot, &msg);
        ASSERT(err == 0);
        for (int type = 0; type < RESOURCE_TYPE_COUNT; type++) {
            const struct resource_set *set = snapshot->sets[type];
            for (size_t j = 0; j < set->len; j++)
                check_resource(set->items[j], (enum resource_type)type);
        }
    }
}

static void check_same(const struct world *a, const struct world *b)
{
    ASSERT(a->len == b->len);
    for (size_t i = 0; i < a->len; i++) {
        for (int type = 0; type < RESOURCE_TYPE_COUNT; type++) {
            bool is_same = resource_set_is_same(a->entries[i].snapshot->sets[type],
                                                b->entries[i].snapshot->sets[type]);
            ASSERT(is_same);
        }
    }
}

static void end_step(struct run *run)
{
    struct model *model = model_store_build(run->store, ++run->revision);
    model_store_take_verdicts(run->store, on_verdict, NULL);
    run->has_problem = false;
    struct world *world = translator_run(run->translator, model, on_problem, run);
    check_world(world);
    struct translator *fresh = translator_new();
    struct world *again = translator_run(fresh, model, NULL, NULL);
    if (!run->has_problem)
        check_same(world, again);
    world_free(again);
    translator_free(fresh);
    world_free(world);
    model_free(model);
}

static void take_document(struct run *run, struct str document)
{
    struct model_change change = {.revision = ++run->revision};
    size_t end = str_find_char(document, '\n', 0);
    change.is_deleted = document.data[0] == '-';
    change.format = document.data[0] == '~' ? MODEL_YAML : MODEL_JSON;
    change.key = str_slice(document, change.is_deleted || change.format == MODEL_YAML, end);
    change.value = str_slice(document, end < document.len ? end + 1 : end, document.len);
    if (change.key.len > 0)
        model_store_apply(run->store, &change, 1, false);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct run run = {.store = model_store_new(policy_check), .translator = translator_new()};
    struct str rest = {.data = (const char *)data, .len = size};
    while (rest.len > 0) {
        size_t end = str_find_char(rest, '\0', 0);
        struct str document = str_slice(rest, 0, end);
        rest = str_slice(rest, end < rest.len ? end + 1 : end, rest.len);
        if (document.len > 0)
            take_document(&run, document);
        else
            end_step(&run);
    }
    end_step(&run);
    translator_free(run.translator);
    model_store_free(run.store);
    return 0;
}
