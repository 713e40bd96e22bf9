#include "controlplane/source/source.h"

#include "common/base/mem.h"
#include "controlplane/source/source_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

const char *source_state_name(enum source_state state)
{
    switch (state) {
    case SOURCE_CONNECTING:
        return "connecting";
    case SOURCE_SYNCED:
        return "synced";
    case SOURCE_DISCONNECTED:
        return "disconnected";
    case SOURCE_EMPTIED:
        return "emptied";
    }
    return "unknown";
}

void source_start(struct source *source)
{
    source->type->start(source);
}

void source_stop(struct source *source)
{
    source->type->stop(source);
}

void source_free(struct source *source)
{
    if (source)
        source->type->destroy(source);
}

void source_put_status(struct source *source, struct str key, struct str value)
{
    if (value.len > SOURCE_STATUS_BYTES_MAX)
        value.len = SOURCE_STATUS_BYTES_MAX;
    source->type->put_status(source, key, value);
}

void source_put_passing_status(struct source *source, struct str key, struct str value)
{
    if (value.len > SOURCE_STATUS_BYTES_MAX)
        value.len = SOURCE_STATUS_BYTES_MAX;
    source->type->put_passing_status(source, key, value);
}

void source_delete_status(struct source *source, struct str key)
{
    source->type->delete_status(source, key);
}

void source_init(struct source *source, const struct source_type *type,
                 const struct source_limits *limits, const struct source_listener *listener,
                 void *arg)
{
    source->type = type;
    source->listener = listener;
    source->arg = arg;
    source->limits = *limits;
    if (!source->limits.value_bytes_max)
        source->limits.value_bytes_max = 3 * 512 * 1024;
    if (!source->limits.total_bytes_max)
        source->limits.total_bytes_max = 512 * 1024 * 1024;
    if (!source->limits.objects_max)
        source->limits.objects_max = 1000 * 1000;
}

void source_done(struct source *source)
{
    source_store_done(&source->store);
}

void source_report(struct source *source, enum source_state state, const char *format, ...)
{
    char detail[sizeof source->detail];
    va_list args;
    va_start(args, format);
    vsnprintf(detail, sizeof detail, format, args);
    va_end(args);
    if (state == source->state && strcmp(detail, source->detail) == 0)
        return;
    source->state = state;
    memcpy(source->detail, detail, sizeof detail);
    source->listener->on_state(source->arg, state, detail);
}

void source_report_synced(struct source *source, const char *where)
{
    if (source->is_held)
        source_report(source, SOURCE_EMPTIED,
                      "%s has no objects any more, but %zu were known: the last state is kept; "
                      "put the key %s beside them to confirm that all are to go",
                      where, source->store.objects.len, SOURCE_ALLOW_EMPTY_KEY);
    else
        source_report(source, SOURCE_SYNCED, "in step with %s%s", where,
                      source->allows_empty ? "; " SOURCE_ALLOW_EMPTY_KEY
                                             " is set: nothing protects against a wipe"
                                           : "");
}

bool source_is_wipe(const struct source *source, size_t next_count)
{
    return next_count == 0 && source->store.objects.len >= 2 && !source->allows_empty;
}

void source_deliver_snapshot(struct source *source, struct source_store *next, bool is_stale)
{
    struct source_store old = source->store;
    source->store = *next;
    *next = (struct source_store){0};
    source->has_delivered = true;
    source->is_held = false;
    struct source_entry *entries = source_store_sorted(&source->store);
    source->listener->on_snapshot(source->arg, entries, source->store.objects.len,
                                  source->store.revision, is_stale);
    mem_free(entries);
    source_store_done(&old);
}

void source_deliver_changes(struct source *source, const struct source_change *changes,
                            size_t count, int64_t revision)
{
    for (size_t i = 0; i < count; i++) {
        if (changes[i].is_deleted)
            source_store_remove(&source->store, changes[i].entry.key);
        else
            source_store_put(&source->store, &changes[i].entry);
    }
    source->store.revision = revision;
    if (count > 0)
        source->listener->on_changes(source->arg, changes, count, revision);
}

/* --- store ------------------------------------------------------------------------------------ */

void source_store_done(struct source_store *store)
{
    MAP_FOR_EACH(entry, &store->objects)
        mem_free(entry->value);
    map_done(&store->objects);
    *store = (struct source_store){0};
}

static void forget(struct source_store *store, struct source_store_object *object)
{
    if (!object)
        return;
    store->total_bytes -= object->entry.value.len;
    mem_free(object);
}

void source_store_put(struct source_store *store, const struct source_entry *entry)
{
    size_t bytes = sizeof(struct source_store_object) + entry->key.len + entry->value.len;
    struct source_store_object *object = mem_alloc(bytes);
    object->entry = *entry;
    object->round = 0;
    memcpy(object->data, entry->key.data, entry->key.len);
    object->entry.key.data = object->data;
    object->entry.value.data = object->data + entry->key.len;
    if (entry->value.len)
        memcpy(object->data + entry->key.len, entry->value.data, entry->value.len);
    store->total_bytes += entry->value.len;
    forget(store, map_put(&store->objects, object->entry.key, object));
}

void source_store_remove(struct source_store *store, struct str key)
{
    forget(store, map_remove(&store->objects, key));
}

struct source_store_object *source_store_find(const struct source_store *store, struct str key)
{
    return map_find(&store->objects, key);
}

static int compare_keys(const void *a, const void *b)
{
    const struct source_entry *left = a, *right = b;
    return str_compare(left->key, right->key);
}

struct source_entry *source_store_sorted(const struct source_store *store)
{
    size_t count = 0;
    struct source_entry *entries = mem_alloc_zero(store->objects.len + 1, sizeof *entries);
    MAP_FOR_EACH(slot, &store->objects) {
        const struct source_store_object *object = slot->value;
        entries[count++] = object->entry;
    }
    qsort(entries, count, sizeof *entries, compare_keys);
    return entries;
}

void source_store_limit(const struct source_store *store, const struct source_limits *limits,
                        struct source_entry *entry)
{
    entry->value_bytes = entry->value.len;
    const struct source_store_object *old = source_store_find(store, entry->key);
    size_t others = store->total_bytes - (old ? old->entry.value.len : 0);
    entry->is_oversized = entry->value.len > limits->value_bytes_max ||
                          entry->value.len > limits->total_bytes_max ||
                          others > limits->total_bytes_max - entry->value.len;
    if (entry->is_oversized)
        entry->value.len = 0;
}
