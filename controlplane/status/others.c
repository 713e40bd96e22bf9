/*
 * Proxies of other replicas. What each of them runs stands in its document as a hash of content,
 * which is equal on every replica; by the hashes of our own publications it is found how far such a
 * proxy has come. One that runs what was not published here (yet) is as far as it was known to be.
 */
#include "common/pbjson/pbjson.h"
#include "controlplane/status/documents.h"
#include "controlplane/status/status_internal.h"

enum {
    /* Versions remembered; beyond, only those of the publication under way. */
    VERSIONS_MAX = 10 * 1000,
    /* Proxies of others. Protects memory from whoever may write there. */
    OTHERS_MAX = 50 * 1000,
};

struct version {
    struct content_hash hash;
    uint64_t publication; /* the newest one that had it */
};

/* --- versions
 * -------------------------------------------------------------------------------------- */

static void forget_old_versions(struct status *status)
{
    struct map kept = {0};
    MAP_FOR_EACH(entry, &status->versions) {
        struct version *version = entry->value;
        if (version->publication + 1 >= ledger_publication(status->ledger))
            map_put(&kept, str_from(version->hash.hex), version);
        else
            mem_free(version);
    }
    map_done(&status->versions);
    status->versions = kept;
}

void status_note_version(struct status *status, const struct content_hash *hash)
{
    struct version *version = map_find(&status->versions, str_from(hash->hex));
    if (!version) {
        if (status->versions.len >= VERSIONS_MAX)
            forget_old_versions(status);
        version = MEM_NEW(struct version);
        version->hash = *hash;
        map_put(&status->versions, str_from(version->hash.hex), version);
    }
    version->publication = ledger_publication(status->ledger);
}

static uint64_t publication_of(const struct status *status, const struct content_hash *hash,
                               uint64_t otherwise)
{
    const struct version *version = map_find(&status->versions, str_from(hash->hex));
    return version ? version->publication : otherwise;
}

void others_place(struct status *status)
{
    MAP_FOR_EACH(entry, &status->others) {
        struct other_proxy *other = entry->value;
        struct ledger_progress *progress = &other->client.progress;
        progress->publication = publication_of(status, &other->version, progress->publication);
        LIST_FOR_EACH(link, &other->client.refusals) {
            struct ledger_refusal *refusal = LIST_ENTRY(link, struct ledger_refusal, link);
            refusal->publication = publication_of(status, &refusal->ran, refusal->publication);
        }
    }
}

/* --- documents
 * ------------------------------------------------------------------------------------- */

static void set_hash(struct content_hash *hash, const char *text)
{
    size_t len = strlen(text);
    *hash = (struct content_hash){""};
    if (len < sizeof hash->hex)
        memcpy(hash->hex, text, len);
}

/* "RDS public" */
static bool parse_resource(const char *text, struct ledger_refusal *refusal)
{
    struct str whole = str_from(text);
    size_t space = str_find_char(whole, ' ', 0);
    for (int type = 0; type < RESOURCE_TYPE_COUNT; type++) {
        const char *name = resource_type_short_name((enum resource_type)type);
        if (space == whole.len || !str_equal(str_slice(whole, 0, space), str_from(name)))
            continue;
        refusal->type = (enum resource_type)type;
        refusal->name = str_slice(whole, space + 1, whole.len);
        return true;
    }
    return false;
}

static void take_refusals(struct other_proxy *other, const Weir__V1__ProxyStatus *message)
{
    for (size_t i = 0; i < message->n_refused && i < STATUS_REFUSALS_MAX; i++) {
        const Weir__V1__Refusal *told = message->refused[i];
        struct ledger_refusal *refusal = ARENA_NEW(&other->arena, struct ledger_refusal);
        if (!parse_resource(told->resource, refusal))
            continue;
        refusal->text = told->message;
        set_hash(&refusal->ran, told->ran);
        list_append(&other->client.refusals, &refusal->link);
        other->client.refusal_count++;
    }
}

/* NULL where the document is none, or about one of our own. */
static struct other_proxy *read_document(const struct status *status, struct str document)
{
    /* A newer version may write fields that are not known here. */
    struct pbjson_options options = {.ignore_unknown_fields = true};
    struct other_proxy *other = MEM_NEW(struct other_proxy);
    ProtobufCMessage *parsed = NULL;
    arena_init(&other->arena, 1024);
    int err = pbjson_parse(&weir__v1__proxy_status__descriptor, document, &options, &other->arena,
                           &parsed, NULL);
    const Weir__V1__ProxyStatus *message = (const Weir__V1__ProxyStatus *)parsed;
    if (err || strcmp(message->served_by, status->served_by) == 0 || !*message->node_id) {
        arena_done(&other->arena);
        mem_free(other);
        return NULL;
    }
    other->client = (struct ledger_client){.node_id = str_from(message->node_id),
                                           .gateway = str_from(message->gateway),
                                           .is_gateway_known = true};
    set_hash(&other->version, message->version);
    list_init(&other->client.refusals);
    take_refusals(other, message);
    return other;
}

static void other_free(struct other_proxy *other)
{
    if (!other)
        return;
    arena_done(&other->arena);
    mem_free((char *)other->key.data);
    mem_free(other);
}

/* Of our own proxies' documents nothing is learnt, and they come back whenever they are written. */
static void take_document(struct status *status, const struct status_written *document)
{
    struct other_proxy *before = map_find(&status->others, document->key);
    struct other_proxy *now = document->value.data && (before || status->others.len < OTHERS_MAX)
                                  ? read_document(status, document->value)
                                  : NULL;
    map_remove(&status->others, document->key);
    if (now) {
        now->key = (struct str){.data = mem_copy_string(document->key.data, document->key.len),
                                .len = document->key.len};
        now->client.progress.publication = before ? before->client.progress.publication : 0;
        map_put(&status->others, now->key, now);
    }
    status->is_view_stale |= before || now;
    other_free(before);
}

/* Those that are not among documents. */
static void forget_others(struct status *status, const struct status_written *documents,
                          size_t count)
{
    struct map kept = {0}, before = status->others;
    for (size_t i = 0; i < count; i++) {
        struct other_proxy *other = map_remove(&before, documents[i].key);
        if (other)
            map_put(&kept, other->key, other);
    }
    status->is_view_stale |= before.len > 0;
    MAP_FOR_EACH(entry, &before)
        other_free(entry->value);
    map_done(&before);
    status->others = kept;
}

void status_take_proxies(struct status *status, const struct status_written *documents,
                         size_t count, bool is_complete)
{
    if (is_complete)
        forget_others(status, documents, count);
    for (size_t i = 0; i < count; i++)
        take_document(status, &documents[i]);
    if (status->is_view_stale)
        status_schedule(status);
}

void others_done(struct status *status)
{
    MAP_FOR_EACH(entry, &status->others)
        other_free(entry->value);
    MAP_FOR_EACH(entry, &status->versions)
        mem_free(entry->value);
    map_done(&status->others);
    map_done(&status->versions);
}
