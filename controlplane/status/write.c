/* The documents: how they are made, and which of them is written when. */
#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/pbjson/pbjson.h"
#include "controlplane/status/documents.h"
#include "controlplane/status/status_internal.h"

#include <stdlib.h>

enum {
    TURN_MS = 1000 / STATUS_TURNS_PER_S,
    BUSY_TURN_MS = 5,
    LIVE_WRITES_PER_TURN = STATUS_LIVE_WRITES_PER_S / STATUS_TURNS_PER_S,
    TOKENS_PER_WRITE = 1000,
};

/* --- an object's document
 * -------------------------------------------------------------------------- */

static Weir__V1__Refusal *message_of_blame(const struct blame *blame, struct arena *arena)
{
    Weir__V1__Refusal *message = ARENA_NEW(arena, Weir__V1__Refusal);
    weir__v1__refusal__init(message);
    message->proxy = blame->proxy;
    message->resource = blame->resource;
    message->message = blame->message;
    return message;
}

static Weir__V1__ObjectStatus *message_of_object(const struct record *record, struct arena *arena)
{
    Weir__V1__ObjectStatus *message = ARENA_NEW(arena, Weir__V1__ObjectStatus);
    weir__v1__object_status__init(message);
    bool has_problem = record->is_accepted && record->problem;
    message->accepted = record->is_accepted && !has_problem;
    message->message = has_problem ? record->problem : record->message;
    message->is_using_last_good = record->is_using_last_good || has_problem;
    message->revision = record->revision;
    message->warnings = (char **)record->warnings.items;
    message->n_warnings = record->warnings.len;
    message->refused_by_count = record->refusal_count;
    message->n_refused_by = record->refusals.len;
    message->refused_by =
        arena_alloc_array(arena, message->n_refused_by + 1, sizeof *message->refused_by);
    for (size_t i = 0; i < message->n_refused_by; i++)
        message->refused_by[i] = message_of_blame(record->refusals.items[i], arena);
    if (record->live) {
        message->live_on = record->live->names;
        message->n_live_on = record->live->len;
        message->live_on_count = record->live->count;
    }
    return message;
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
        Weir__V1__ObjectStatus *object = (Weir__V1__ObjectStatus *)message;
        halve(&object->n_refused_by, &is_shorter);
        halve(&object->n_warnings, &is_shorter);
        halve(&object->n_live_on, &is_shorter);
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

/* --- documents of before
 * --------------------------------------------------------------------------- */

static ProtobufCMessage *parse(const ProtobufCMessageDescriptor *descriptor, struct str document,
                               struct arena *arena)
{
    /* A newer version may have written fields that are not known here. */
    struct pbjson_options options = {.ignore_unknown_fields = true};
    ProtobufCMessage *message;
    return pbjson_parse(descriptor, document, &options, arena, &message, NULL) ? NULL : message;
}

static struct content_hash hash_of(ProtobufCMessage *message)
{
    struct buf out;
    buf_init(&out, DOCUMENT_BYTES_MAX);
    struct content_hash hash = {""};
    if (print(message, &out))
        hash = content_hash_of(buf_str(&out));
    buf_done(&out);
    return hash;
}

static struct content_hash verdict_hash_of(Weir__V1__ObjectStatus *message)
{
    message->n_live_on = 0;
    message->live_on_count = 0;
    return hash_of(&message->base);
}

void status_inherit(struct status *status, struct record *record, struct str document)
{
    struct arena arena;
    arena_init(&arena, 4096);
    Weir__V1__ObjectStatus *message =
        (Weir__V1__ObjectStatus *)parse(&weir__v1__object_status__descriptor, document, &arena);
    if (message) {
        message->updated = NULL;
        record->is_inherited = true;
        record->written = hash_of(&message->base);
        record->written_live = 0;
        for (size_t i = 0; i < message->n_live_on; i++)
            record->written_live += hash_keyed(str_from(message->live_on[i]));
        if (message->live_on_count != message->n_live_on)
            record->written_live = UINT64_MAX; /* not known: it will be written */
        record->written_verdict = verdict_hash_of(message);
    }
    status_mark(status, record);
    arena_done(&arena);
}

bool status_is_own_proxy(const struct status *status, struct str document)
{
    struct arena arena;
    arena_init(&arena, 4096);
    const Weir__V1__ProxyStatus *message =
        (Weir__V1__ProxyStatus *)parse(&weir__v1__proxy_status__descriptor, document, &arena);
    bool is_own = message && strcmp(message->served_by, status->served_by) == 0;
    arena_done(&arena);
    return is_own;
}

/* --- writing
 * --------------------------------------------------------------------------------------- */

static void put(struct status *status, struct record *record, ProtobufCMessage *message,
                Google__Protobuf__Timestamp **updated, struct arena *arena)
{
    struct buf out;
    buf_init(&out, DOCUMENT_BYTES_MAX);
    *updated = document_of_time(clock_wall_us(), arena);
    if (print(message, &out)) {
        status->written++;
        status->options.sink.put(status->options.sink.arg, record->key, buf_str(&out));
    }
    buf_done(&out);
}

static bool is_live_in_grace(const struct status *status, const struct record *record,
                             uint64_t now_ms)
{
    return record->is_inherited && now_ms < status->start_ms + STATUS_LIVE_GRACE_MS;
}

/* True where nothing but live_on differs from a document of before, and proxies may yet come back.
 */
static bool is_to_wait(const struct status *status, const struct record *record, uint64_t now_ms,
                       struct arena *arena)
{
    if (!is_live_in_grace(status, record, now_ms))
        return false;
    struct content_hash verdict = verdict_hash_of(message_of_object(record, arena));
    return memcmp(&verdict, &record->written_verdict, sizeof verdict) == 0;
}

static void write_object(struct status *status, struct record *record, uint64_t now_ms)
{
    struct arena arena;
    arena_init(&arena, 4096);
    struct content_hash hash = hash_of(&message_of_object(record, &arena)->base);
    bool is_same = memcmp(&hash, &record->written, sizeof hash) == 0;
    if (!is_same && is_to_wait(status, record, now_ms, &arena)) {
        status->is_live_pending = true;
    } else {
        record->written = hash;
        record->written_live = live_set_hash(record->live);
        record->written_ms = now_ms;
        record->is_inherited &= is_same;
        if (!is_same) {
            Weir__V1__ObjectStatus *message = message_of_object(record, &arena);
            put(status, record, &message->base, &message->updated, &arena);
        }
    }
    arena_done(&arena);
}

static void write_proxy(struct status *status, struct record *record)
{
    struct arena arena;
    arena_init(&arena, 4096);
    const struct ledger_proxy *proxy = ledger_find_proxy(status->ledger, record->node_id);
    Weir__V1__ProxyStatus *message = document_of_proxy(proxy, status->served_by, &arena);
    struct content_hash hash = hash_of(&message->base);
    if (memcmp(&hash, &record->written, sizeof hash) != 0) {
        record->written = hash;
        message = document_of_proxy(proxy, status->served_by, &arena);
        put(status, record, &message->base, &message->updated, &arena);
    }
    arena_done(&arena);
}

static void write_record(struct status *status, struct record *record, uint64_t now_ms)
{
    status_unmark(status, record);
    if (record->is_proxy)
        write_proxy(status, record);
    else
        write_object(status, record, now_ms);
}

static size_t write_dirty(struct status *status, size_t max, uint64_t now_ms)
{
    size_t count = 0;
    while (count < max && !list_is_empty(&status->dirty)) {
        write_record(status, LIST_ENTRY(status->dirty.next, struct record, dirty), now_ms);
        count++;
    }
    return count;
}

/* --- documents in which nothing but live_on differs
 * ------------------------------------------------ */

static int compare_newest_first(const void *a, const void *b)
{
    const struct record *const *left = a, *const *right = b;
    return ((*left)->revision < (*right)->revision) - ((*left)->revision > (*right)->revision);
}

/* Those that may be written now; notes whether there are others. */
static void collect_live(struct status *status, uint64_t now_ms, struct vec *ready)
{
    status->is_live_pending = false;
    MAP_FOR_EACH(entry, &status->records) {
        struct record *record = entry->value;
        if (record->is_proxy || record->is_dirty ||
            live_set_hash(record->live) == record->written_live)
            continue;
        status->is_live_pending = true;
        bool is_early = now_ms < record->written_ms + STATUS_LIVE_PAUSE_MS ||
                        is_live_in_grace(status, record, now_ms);
        if (!is_early)
            vec_append(ready, record);
    }
}

static void write_live(struct status *status, size_t max, uint64_t now_ms)
{
    struct vec ready = {0};
    collect_live(status, now_ms, &ready);
    if (ready.len > max)
        qsort(ready.items, ready.len, sizeof *ready.items, compare_newest_first);
    for (size_t i = 0; i < ready.len && i < max; i++) {
        write_object(status, ready.items[i], now_ms);
    }
    vec_done(&ready);
}

static size_t refill(struct status *status, uint64_t now_ms)
{
    uint64_t elapsed_ms = now_ms - status->turn_ms;
    enum { TOKENS_MAX = LIVE_WRITES_PER_TURN * TOKENS_PER_WRITE };
    if (elapsed_ms > TURN_MS)
        elapsed_ms = TURN_MS;
    status->live_tokens += elapsed_ms * STATUS_LIVE_WRITES_PER_S * TOKENS_PER_WRITE / 1000;
    if (status->live_tokens > TOKENS_MAX)
        status->live_tokens = TOKENS_MAX;
    return (size_t)(status->live_tokens / TOKENS_PER_WRITE);
}

/* --- the clock
 * ------------------------------------------------------------------------------------- */

/* Whether the turn wrote as much as one may. */
static bool take_turn(struct status *status, uint64_t now_ms)
{
    size_t live_max = refill(status, now_ms);
    status->turn_ms = now_ms;
    if (now_ms < status->write_after_ms)
        return false;
    if (status->is_view_stale && !status->is_closing && now_ms >= status->view_after_ms)
        status_view(status);
    if (write_dirty(status, STATUS_DOCUMENTS_PER_TURN, now_ms) == STATUS_DOCUMENTS_PER_TURN)
        return true;
    if (status->is_live_pending && !status->is_closing && live_max) {
        uint64_t before = status->written;
        write_live(status, live_max, now_ms);
        status->live_tokens -= (status->written - before) * TOKENS_PER_WRITE;
    }
    return false;
}

void status_timer_fired(struct loop_timer *timer)
{
    struct status *status = CONTAINER_OF(timer, struct status, timer);
    bool is_busy = take_turn(status, clock_monotonic_ms());
    loop_timer_stop(timer); /* marks made in the turn started it */
    if (status->dirty_count || status->is_view_stale || status->is_live_pending)
        loop_timer_start(timer, is_busy ? BUSY_TURN_MS : TURN_MS);
}

void status_flush(struct status *status)
{
    write_dirty(status, SIZE_MAX, clock_monotonic_ms());
}

void status_close(struct status *status)
{
    status->is_closing = true;
}
