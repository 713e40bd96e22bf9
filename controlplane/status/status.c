#include "controlplane/status/status.h"

#include "common/base/clock.h"
#include "controlplane/status/documents.h"
#include "controlplane/status/status_internal.h"

/* --- records
 * --------------------------------------------------------------------------------------- */

static void free_strings(struct vec *vec)
{
    for (size_t i = 0; i < vec->len; i++)
        mem_free(vec->items[i]);
    vec->len = 0;
}

void record_free_blames(struct record *record)
{
    for (size_t i = 0; i < record->refusals.len; i++) {
        struct blame *blame = record->refusals.items[i];
        mem_free(blame->proxy);
        mem_free(blame->resource);
        mem_free(blame->message);
        mem_free(blame);
    }
    record->refusals.len = 0;
    record->refusal_count = 0;
}

void live_set_unref(struct live_set *set)
{
    if (!set || --set->refs)
        return;
    for (uint32_t i = 0; i < set->len; i++)
        mem_free(set->names[i]);
    mem_free(set);
}

void record_set_live(struct record *record, struct live_set *live)
{
    struct live_set *before = record->live;
    if (live)
        live->refs++;
    record->live = live;
    live_set_unref(before);
}

static void record_free(struct record *record)
{
    free_strings(&record->warnings);
    record_free_blames(record);
    vec_done(&record->warnings);
    vec_done(&record->refusals);
    live_set_unref(record->live);
    mem_free(record->message);
    mem_free(record->problem);
    mem_free((char *)record->node_id.data);
    mem_free((char *)record->key.data);
    mem_free(record);
}

static struct str copy_of(struct str s)
{
    return (struct str){.data = mem_copy_string(s.data, s.len), .len = s.len};
}

struct record *status_find(const struct status *status, struct str key)
{
    return map_find(&status->records, key);
}

static struct record *ensure_record(struct status *status, struct str key)
{
    struct record *record = status_find(status, key);
    if (record)
        return record;
    record = MEM_NEW(struct record);
    list_init(&record->dirty);
    record->key = copy_of(key);
    map_put(&status->records, record->key, record);
    return record;
}

void status_schedule(struct status *status)
{
    enum { TURN_MS = 1000 / STATUS_TURNS_PER_S, COALESCE_MS = 20 };
    if (loop_timer_is_running(&status->timer))
        return;
    uint64_t since_ms = clock_monotonic_ms() - status->turn_ms;
    loop_timer_start(&status->timer,
                     since_ms + COALESCE_MS < TURN_MS ? TURN_MS - since_ms : COALESCE_MS);
}

void status_mark(struct status *status, struct record *record)
{
    if (!record->is_dirty) {
        record->is_dirty = true;
        list_append(&status->dirty, &record->dirty);
        status->dirty_count++;
    }
    status_schedule(status);
}

void status_unmark(struct status *status, struct record *record)
{
    status->dirty_count -= record->is_dirty;
    record->is_dirty = false;
    list_remove(&record->dirty);
}

static void forget(struct status *status, struct record *record, bool is_written)
{
    status_unmark(status, record);
    map_remove(&status->records, record->key);
    if (is_written)
        status->options.sink.erase(status->options.sink.arg, record->key);
    record_free(record);
}

/* --- objects
 * --------------------------------------------------------------------------------------- */

static void set_warnings(struct record *record, const struct model_verdict *verdict)
{
    free_strings(&record->warnings);
    for (size_t i = 0; i < verdict->warning_count; i++)
        vec_append(&record->warnings,
                   mem_copy_string(verdict->warnings[i], strlen(verdict->warnings[i])));
}

void status_take_verdict(const struct model_verdict *verdict, void *arg)
{
    struct status *status = arg;
    /* No kind of objects; the place belongs to proxies, so that such a key is told in the log. */
    if (str_starts_with(verdict->key, STR(STATUS_PROXIES)))
        return;
    struct record *record = status_find(status, verdict->key);
    if (verdict->is_deleted) {
        /* Whoever wrote the document. */
        if (record)
            forget(status, record, true);
        else
            status->options.sink.erase(status->options.sink.arg, verdict->key);
        return;
    }
    record = ensure_record(status, verdict->key);
    bool is_new = record->revision != verdict->revision || !record->is_accepted;
    if (verdict->is_accepted ? is_new : verdict->is_using_last_good && !record->publication)
        record->publication = ledger_publication(status->ledger);
    else if (!verdict->is_accepted && !verdict->is_using_last_good)
        record->publication = 0;
    record->is_accepted = verdict->is_accepted;
    record->is_using_last_good = verdict->is_using_last_good;
    record->revision = verdict->revision;
    mem_free(record->message);
    record->message = mem_copy_string(verdict->message, strlen(verdict->message));
    set_warnings(record, verdict);
    status->is_view_stale = true;
    status_mark(status, record);
}

void status_note_problem(struct status *status, struct str key, const char *sentence)
{
    struct record *record = status_find(status, key);
    if (!record || strcmp(record->problem ? record->problem : "", sentence ? sentence : "") == 0)
        return;
    mem_free(record->problem);
    record->problem = sentence ? mem_copy_string(sentence, strlen(sentence)) : NULL;
    status_mark(status, record);
}

void status_take_written(struct status *status, const struct status_written *documents,
                         size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct status_written *document = &documents[i];
        struct record *record = status_find(status, document->key);
        bool is_of_proxy = str_starts_with(document->key, STR(STATUS_PROXIES));
        if (record && !record->is_proxy)
            status_inherit(status, record, document->value);
        else if (!record && (!is_of_proxy || status_is_own_proxy(status, document->value)))
            status->options.sink.erase(status->options.sink.arg, document->key);
    }
    status->write_after_ms = 0;
    if (status->dirty_count)
        status_schedule(status);
}

/* --- the ledger's observer
 * ------------------------------------------------------------------------- */

static void on_refusal_changed(void *arg, enum resource_type type, struct str name)
{
    struct status *status = arg;
    (void)type, (void)name;
    status->is_view_stale = true;
    status_schedule(status);
}

static void on_publication_changed(void *arg)
{
    struct status *status = arg;
    status->is_view_stale = true;
    status_schedule(status);
}

static struct record *add_proxy(struct status *status, struct str key, struct str node_id)
{
    struct record *record = ensure_record(status, key);
    record->is_proxy = true;
    record->node_id = copy_of(node_id);
    return record;
}

static void on_proxy_changed(void *arg, const struct ledger_proxy *proxy)
{
    struct status *status = arg;
    struct buf key;
    if (proxy->node_id.len == 0)
        return;
    buf_init(&key, 4096);
    document_key_of_proxy(proxy->node_id, &key);
    struct record *record = status_find(status, buf_str(&key));
    bool is_gone = list_is_empty(&proxy->clients);
    if (is_gone && record)
        forget(status, record, record->written.hex[0] != '\0');
    else if (!is_gone)
        status_mark(status, record ? record : add_proxy(status, buf_str(&key), proxy->node_id));
    buf_done(&key);
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
    status->served_by = mem_copy_string(options->served_by, strlen(options->served_by));
    status->start_ms = clock_monotonic_ms();
    if (options->expects_written)
        status->write_after_ms = status->start_ms + STATUS_WRITTEN_WAIT_MS;
    list_init(&status->dirty);
    loop_timer_init(&status->timer, loop, status_timer_fired);
    ledger_observe(ledger, &(struct ledger_observer){.on_proxy = on_proxy_changed,
                                                     .on_refusal = on_refusal_changed,
                                                     .on_publication = on_publication_changed,
                                                     .arg = status});
    return status;
}

void status_free(struct status *status)
{
    if (!status)
        return;
    ledger_observe(status->ledger, NULL);
    loop_timer_stop(&status->timer);
    MAP_FOR_EACH(entry, &status->records)
        record_free(entry->value);
    map_done(&status->records);
    others_done(status);
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
