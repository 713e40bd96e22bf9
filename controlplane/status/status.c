#include "controlplane/status/status.h"

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/map.h"
#include "common/base/mem.h"
#include "common/base/vec.h"
#include "common/io/loop.h"
#include "controlplane/status/documents.h"
#include "controlplane/status/text_names.h"

/* One object's or proxy's document. */
struct record {
    struct list dirty; /* in status->dirty while it is to be written */
    struct str key;
    bool is_dirty;
    bool is_proxy;
    bool is_accepted;
    bool is_using_last_good;
    int64_t revision;
    char *message;
    struct vec warnings; /* char * */
    struct vec refusals; /* struct blame */
    struct str node_id;  /* of a proxy */
    uint64_t not_before_ms;
    struct content_hash written; /* "": not written yet */
};

/* A proxy's refusal that is blamed on an object. Strings are owned: the ledger may forget it before
 * the document is written. */
struct blame {
    char *proxy;
    char *resource;
    char *message;
};

struct status {
    struct loop *loop;
    struct ledger *ledger;
    struct status_options options;
    char *served_by;
    struct map records; /* key -> struct record */
    struct list dirty;
    size_t dirty_count;
    bool is_blame_stale; /* refusals changed since objects were blamed */
    uint64_t written;
    struct loop_timer timer;
};

static void free_strings(struct vec *vec)
{
    for (size_t i = 0; i < vec->len; i++)
        mem_free(vec->items[i]);
    vec->len = 0;
}

static void free_blames(struct vec *vec)
{
    for (size_t i = 0; i < vec->len; i++) {
        struct blame *blame = vec->items[i];
        mem_free(blame->proxy);
        mem_free(blame->resource);
        mem_free(blame->message);
        mem_free(blame);
    }
    vec->len = 0;
}

static void record_free(struct record *record)
{
    free_strings(&record->warnings);
    free_blames(&record->refusals);
    vec_done(&record->warnings);
    vec_done(&record->refusals);
    mem_free(record->message);
    mem_free((char *)record->node_id.data);
    mem_free((char *)record->key.data);
    mem_free(record);
}

static struct record *ensure_record(struct status *status, struct str key)
{
    struct record *record = map_find(&status->records, key);
    if (record)
        return record;
    record = MEM_NEW(struct record);
    list_init(&record->dirty);
    record->key = (struct str){.data = mem_copy_string(key.data, key.len), .len = key.len};
    map_put(&status->records, record->key, record);
    return record;
}

static void schedule(struct status *status)
{
    if (!loop_timer_is_running(&status->timer))
        loop_timer_start(&status->timer, 1000 / STATUS_WRITES_PER_S);
}

static void mark(struct status *status, struct record *record)
{
    if (!record->is_dirty) {
        record->is_dirty = true;
        list_append(&status->dirty, &record->dirty);
        status->dirty_count++;
    }
    schedule(status);
}

static void unmark(struct status *status, struct record *record)
{
    status->dirty_count -= record->is_dirty;
    record->is_dirty = false;
    list_remove(&record->dirty);
}

static void forget(struct status *status, struct record *record)
{
    unmark(status, record);
    map_remove(&status->records, record->key);
    if (record->written.hex[0])
        status->options.sink.erase(status->options.sink.arg, record->key);
    record_free(record);
}

/* --- objects
 * --------------------------------------------------------------------------------------- */

void status_take_verdict(const struct model_verdict *verdict, void *arg)
{
    struct status *status = arg;
    if (verdict->is_deleted) {
        struct record *gone = map_find(&status->records, verdict->key);
        if (gone) {
            gone->written.hex[0] = 'x'; /* whoever wrote it */
            forget(status, gone);
        } else {
            status->options.sink.erase(status->options.sink.arg, verdict->key);
        }
        return;
    }
    struct record *record = ensure_record(status, verdict->key);
    record->is_accepted = verdict->is_accepted;
    record->is_using_last_good = verdict->is_using_last_good;
    record->revision = verdict->revision;
    mem_free(record->message);
    record->message = mem_copy_string(verdict->message, strlen(verdict->message));
    free_strings(&record->warnings);
    for (size_t i = 0; i < verdict->warning_count; i++)
        vec_append(&record->warnings,
                   mem_copy_string(verdict->warnings[i], strlen(verdict->warnings[i])));
    mark(status, record);
}

static Weir__V1__Refusal *message_of_blame(const struct blame *blame, struct arena *arena)
{
    Weir__V1__Refusal *message = ARENA_NEW(arena, Weir__V1__Refusal);
    weir__v1__refusal__init(message);
    message->proxy = blame->proxy;
    message->resource = blame->resource;
    message->message = blame->message;
    return message;
}

static ProtobufCMessage *message_of_object(const struct record *record, struct arena *arena)
{
    Weir__V1__ObjectStatus *message = ARENA_NEW(arena, Weir__V1__ObjectStatus);
    weir__v1__object_status__init(message);
    message->accepted = record->is_accepted;
    message->message = record->message ? record->message : (char *)"";
    message->is_using_last_good = record->is_using_last_good;
    message->revision = record->revision;
    message->warnings = (char **)record->warnings.items;
    message->n_warnings = record->warnings.len;
    size_t count = record->refusals.len;
    message->refused_by_count = (uint32_t)count;
    message->n_refused_by = count < STATUS_REFUSALS_MAX ? count : STATUS_REFUSALS_MAX;
    message->refused_by = arena_alloc_array(arena, count + 1, sizeof *message->refused_by);
    for (size_t i = 0; i < message->n_refused_by; i++)
        message->refused_by[i] = message_of_blame(record->refusals.items[i], arena);
    return &message->base;
}

/* --- who is to blame for a refusal
 * ----------------------------------------------------------------- */

struct suspects {
    struct str text;
    struct vec keys;  /* char *, all of them */
    struct vec named; /* those that the text names; borrowed from keys */
};

static void on_suspect(struct str key, void *arg)
{
    struct suspects *suspects = arg;
    char *copied = mem_copy_string(key.data, key.len);
    struct str name = str_slice(key, str_find_char(key, '/', 0) + 1, key.len);
    vec_append(&suspects->keys, copied);
    if (text_names(suspects->text, name))
        vec_append(&suspects->named, copied);
}

static char *copy_of(struct str s)
{
    return mem_copy_string(s.data, s.len);
}

static void blame(struct status *status, struct str key, const struct ledger_client *client,
                  const struct ledger_refusal *refusal)
{
    struct record *record = map_find(&status->records, key);
    if (!record)
        return;
    struct arena arena;
    arena_init(&arena, 1024);
    const Weir__V1__Refusal *message = document_of_refusal(client, refusal, &arena);
    struct blame *blame = MEM_NEW(struct blame);
    *blame = (struct blame){.proxy = copy_of(str_from(message->proxy)),
                            .resource = copy_of(str_from(message->resource)),
                            .message = copy_of(str_from(message->message))};
    vec_append(&record->refusals, blame);
    mark(status, record);
    arena_done(&arena);
}

static void blame_for(struct status *status, const struct ledger_client *client,
                      const struct ledger_refusal *refusal)
{
    struct suspects suspects = {.text = str_from(refusal->text)};
    status->options.objects_of(status->options.objects_of_arg, client->gateway, refusal->type,
                               refusal->name, on_suspect, &suspects);
    const struct vec *blamed = suspects.named.len ? &suspects.named : &suspects.keys;
    if (blamed->len <= STATUS_BLAMED_MAX) {
        for (size_t i = 0; i < blamed->len; i++)
            blame(status, str_from(blamed->items[i]), client, refusal);
    } else {
        struct buf key;
        buf_init(&key, 4096);
        buf_printf(&key, "gateways/%.*s", STR_ARGS(client->gateway));
        blame(status, buf_str(&key), client, refusal);
        buf_done(&key);
    }
    free_strings(&suspects.keys);
    vec_done(&suspects.keys);
    vec_done(&suspects.named);
}

static void blame_objects(struct status *status)
{
    status->is_blame_stale = false;
    MAP_FOR_EACH(entry, &status->records) {
        struct record *record = entry->value;
        if (record->refusals.len) {
            free_blames(&record->refusals);
            mark(status, record);
        }
    }
    LIST_FOR_EACH(link, ledger_clients(status->ledger)) {
        const struct ledger_client *client = LIST_ENTRY(link, struct ledger_client, link);
        LIST_FOR_EACH(refused, &client->refusals) {
            blame_for(status, client, LIST_ENTRY(refused, struct ledger_refusal, link));
        }
    }
}

static void on_refusal_changed(void *arg, enum resource_type type, struct str name)
{
    struct status *status = arg;
    (void)type, (void)name;
    status->is_blame_stale = true;
    schedule(status);
}

/* --- proxies
 * --------------------------------------------------------------------------------------- */

static void on_proxy_changed(void *arg, const struct ledger_proxy *proxy)
{
    struct status *status = arg;
    struct buf key;
    if (proxy->node_id.len == 0)
        return;
    buf_init(&key, 4096);
    document_key_of_proxy(proxy->node_id, &key);
    struct record *record = map_find(&status->records, buf_str(&key));
    if (list_is_empty(&proxy->clients)) {
        if (record)
            forget(status, record);
    } else {
        if (!record) {
            record = ensure_record(status, buf_str(&key));
            record->is_proxy = true;
            record->node_id =
                (struct str){.data = copy_of(proxy->node_id), .len = proxy->node_id.len};
            record->not_before_ms = clock_monotonic_ms() + STATUS_PROXY_DELAY_MS;
        }
        mark(status, record);
    }
    buf_done(&key);
}

/* --- writing
 * --------------------------------------------------------------------------------------- */

/* The document without the time it was written: what decides whether it is to be written. */
static ProtobufCMessage *message_of(const struct status *status, const struct record *record,
                                    struct arena *arena)
{
    if (!record->is_proxy)
        return message_of_object(record, arena);
    const struct ledger_proxy *proxy = ledger_find_proxy(status->ledger, record->node_id);
    return &document_of_proxy(proxy, status->served_by, arena)->base;
}

static void halve(size_t *count, bool *is_shorter)
{
    *is_shorter |= *count > 0;
    *count /= 2;
}

/* Lists less of what there is many of. False where there is nothing to leave out. */
static bool shorten(ProtobufCMessage *message)
{
    bool is_shorter = false;
    if (message->descriptor == &weir__v1__proxy_status__descriptor) {
        halve(&((Weir__V1__ProxyStatus *)message)->n_refused, &is_shorter);
    } else {
        halve(&((Weir__V1__ObjectStatus *)message)->n_refused_by, &is_shorter);
        halve(&((Weir__V1__ObjectStatus *)message)->n_warnings, &is_shorter);
    }
    return is_shorter;
}

static bool print(ProtobufCMessage *message, struct buf *out)
{
    do {
        buf_reset(out);
        if (document_print(message, out))
            return true;
    } while (shorten(message));
    return false;
}

static void write_record(struct status *status, struct record *record)
{
    struct arena arena;
    struct buf out;
    arena_init(&arena, 4096);
    buf_init(&out, DOCUMENT_BYTES_MAX);
    ProtobufCMessage *message = message_of(status, record, &arena);
    bool is_printed = print(message, &out);
    struct content_hash hash = content_hash_of(buf_str(&out));
    if (is_printed && memcmp(&hash, &record->written, sizeof hash) != 0) {
        record->written = hash;
        if (record->is_proxy) {
            ((Weir__V1__ProxyStatus *)message)->updated = document_of_time(clock_wall_us(), &arena);
            is_printed = print(message, &out);
        }
        if (is_printed) {
            status->written++;
            status->options.sink.put(status->options.sink.arg, record->key, buf_str(&out));
        }
    }
    buf_done(&out);
    arena_done(&arena);
}

static void write_some(struct status *status, size_t max, uint64_t now_ms)
{
    size_t written = 0;
    LIST_FOR_EACH(link, &status->dirty) {
        struct record *record = LIST_ENTRY(link, struct record, dirty);
        if (written == max)
            return;
        if (record->not_before_ms > now_ms)
            continue;
        unmark(status, record);
        write_record(status, record);
        written++;
    }
}

static void on_timer(struct loop_timer *timer)
{
    struct status *status = CONTAINER_OF(timer, struct status, timer);
    if (status->is_blame_stale)
        blame_objects(status);
    size_t before = status->dirty_count;
    write_some(status, STATUS_DOCUMENTS_PER_TURN, clock_monotonic_ms());
    bool is_busy = before - status->dirty_count >= STATUS_DOCUMENTS_PER_TURN;
    if (status->dirty_count)
        loop_timer_start(timer, is_busy ? 5 : 1000 / STATUS_WRITES_PER_S);
}

void status_flush(struct status *status)
{
    if (status->is_blame_stale)
        blame_objects(status);
    write_some(status, SIZE_MAX, UINT64_MAX);
}

/* --- life
 * ------------------------------------------------------------------------------------------ */

struct status *status_new(struct loop *loop, struct ledger *ledger,
                          const struct status_options *options)
{
    struct status *status = MEM_NEW(struct status);
    status->loop = loop;
    status->ledger = ledger;
    status->options = *options;
    status->served_by = copy_of(str_from(options->served_by));
    list_init(&status->dirty);
    loop_timer_init(&status->timer, loop, on_timer);
    ledger_observe(ledger, on_proxy_changed, on_refusal_changed, status);
    return status;
}

void status_free(struct status *status)
{
    if (!status)
        return;
    ledger_observe(status->ledger, NULL, NULL, NULL);
    loop_timer_stop(&status->timer);
    MAP_FOR_EACH(entry, &status->records)
        record_free(entry->value);
    map_done(&status->records);
    mem_free(status->served_by);
    mem_free(status);
}

static int kind_of(struct str key)
{
    struct str kind = str_slice(key, 0, str_find_char(key, '/', 0));
    for (int i = 0; i < MODEL_KIND_COUNT; i++)
        if (str_equal(kind, str_from(model_kind_name((enum model_kind)i))))
            return i;
    return MODEL_KIND_COUNT;
}

struct status_counts status_counts(const struct status *status)
{
    struct status_counts counts = {.waiting = status->dirty_count, .written = status->written};
    MAP_FOR_EACH(entry, &status->records) {
        const struct record *record = entry->value;
        int kind = record->is_proxy ? -1 : kind_of(record->key);
        if (kind == MODEL_KIND_COUNT)
            counts.unknown_kinds++;
        else if (kind >= 0 && record->is_accepted)
            counts.accepted[kind]++;
        else if (kind >= 0)
            counts.refused[kind]++;
    }
    return counts;
}
