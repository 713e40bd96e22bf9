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
    /* What proxies of others may take. Protects memory from whoever may write there. */
    OTHERS_BYTES_MAX = 256 * 1024 * 1024,
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
static bool parse_resource(struct str text, struct ledger_refusal *refusal)
{
    size_t space = str_find_char(text, ' ', 0);
    for (int type = 0; type < RESOURCE_TYPE_COUNT; type++) {
        const char *name = resource_type_short_name((enum resource_type)type);
        if (space == text.len || !str_equal(str_slice(text, 0, space), str_from(name)))
            continue;
        refusal->type = (enum resource_type)type;
        refusal->name = str_slice(text, space + 1, text.len);
        return true;
    }
    return false;
}

static void take_refusals(struct other_proxy *other, const Weir__V1__ProxyStatus *message)
{
    for (size_t i = 0; i < message->n_refused && i < STATUS_REFUSALS_MAX; i++) {
        const Weir__V1__Refusal *told = message->refused[i];
        struct ledger_refusal refusal = {.type = 0};
        if (!parse_resource(str_from(told->resource), &refusal))
            continue;
        struct ledger_refusal *kept = ARENA_NEW(&other->arena, struct ledger_refusal);
        *kept = refusal;
        kept->name = arena_copy_str(&other->arena, refusal.name);
        kept->text = arena_copy_string(&other->arena, told->message);
        set_hash(&kept->ran, told->ran);
        list_append(&other->client.refusals, &kept->link);
        other->client.refusal_count++;
    }
}

/* Whether it is about a proxy of another weir-control, and stands where that one's document
 * belongs: no proxy is there twice. */
static bool is_of_other(const struct status *status, struct str key,
                        const Weir__V1__ProxyStatus *message)
{
    struct buf own_key;
    buf_init(&own_key, 64 * 1024);
    document_key_of_proxy(str_from(message->node_id), &own_key);
    bool is_in_place = str_equal(buf_str(&own_key), key);
    buf_done(&own_key);
    return is_in_place && *message->node_id && strcmp(message->served_by, status->served_by) != 0;
}

static struct other_proxy *other_new(struct str key, const Weir__V1__ProxyStatus *message)
{
    struct other_proxy *other = MEM_NEW(struct other_proxy);
    arena_init(&other->arena, 512);
    other->key = arena_copy_str(&other->arena, key);
    other->client = (struct ledger_client){
        .node_id = arena_copy_str(&other->arena, str_from(message->node_id)),
        .gateway = arena_copy_str(&other->arena, str_from(message->gateway)),
        .is_gateway_known = true,
    };
    set_hash(&other->version, message->version);
    list_init(&other->client.refusals);
    take_refusals(other, message);
    return other;
}

/* NULL where the document is none, or about one of our own. */
static struct other_proxy *read_document(const struct status *status,
                                         const struct status_written *document)
{
    /* A newer version may write fields that are not known here. */
    struct pbjson_options options = {.ignore_unknown_fields = true};
    struct other_proxy *other = NULL;
    ProtobufCMessage *parsed;
    struct arena arena;
    arena_init(&arena, 4096);
    if (pbjson_parse(&weir__v1__proxy_status__descriptor, document->value, &options, &arena,
                     &parsed, NULL) == 0) {
        const Weir__V1__ProxyStatus *message = (const Weir__V1__ProxyStatus *)parsed;
        if (is_of_other(status, document->key, message))
            other = other_new(document->key, message);
    }
    arena_done(&arena);
    return other;
}

static size_t other_bytes(const struct other_proxy *other)
{
    return sizeof *other + arena_bytes(&other->arena);
}

static void other_free(struct status *status, struct other_proxy *other)
{
    if (!other)
        return;
    status->others_bytes -= other_bytes(other);
    arena_done(&other->arena);
    mem_free(other);
}

/* What is told of a proxy that is connected to us is not there: the replica that it has left, which
 * may notice late, has deleted it. */
static void tell_again(struct status *status, struct record *record)
{
    if (!record || !record->is_proxy)
        return;
    record->written.hex[0] = '\0';
    status_mark(status, record);
}

/* Of our own proxies' documents nothing is learnt, and they come back whenever they are written. */
static void take_document(struct status *status, const struct status_written *document)
{
    struct other_proxy *before = map_remove(&status->others, document->key), *now = NULL;
    uint64_t publication = before ? before->client.progress.publication : 0;
    status->is_view_stale |= before != NULL;
    other_free(status, before);
    if (!document->value.data)
        tell_again(status, status_find(status, document->key));
    else if (status->others_bytes < OTHERS_BYTES_MAX)
        now = read_document(status, document);
    if (!now)
        return;
    now->client.progress.publication = publication;
    status->others_bytes += other_bytes(now);
    status->is_view_stale = true;
    map_put(&status->others, now->key, now);
}

/* Of our own proxies those that are not among documents. */
static void tell_missing(struct status *status, const struct status_written *documents,
                         size_t count)
{
    struct map there = {0};
    for (size_t i = 0; i < count; i++)
        map_put(&there, documents[i].key, status);
    MAP_FOR_EACH(entry, &status->records)
        if (!map_find(&there, entry->key))
            tell_again(status, entry->value);
    map_done(&there);
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
        other_free(status, entry->value);
    map_done(&before);
    status->others = kept;
}

void status_take_proxies(struct status *status, const struct status_written *documents,
                         size_t count, bool is_complete)
{
    if (is_complete) {
        forget_others(status, documents, count);
        tell_missing(status, documents, count);
    }
    for (size_t i = 0; i < count; i++)
        take_document(status, &documents[i]);
    if (status->is_view_stale)
        status_schedule(status);
}

void others_done(struct status *status)
{
    MAP_FOR_EACH(entry, &status->others)
        other_free(status, entry->value);
    MAP_FOR_EACH(entry, &status->versions)
        mem_free(entry->value);
    map_done(&status->others);
    map_done(&status->versions);
}
