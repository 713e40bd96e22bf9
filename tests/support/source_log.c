#include "tests/support/source_log.h"

#include "common/base/mem.h"
#include "tests/support/loop_until.h"
#include "tests/support/test.h"

#include <stdio.h>

static void forget(struct source_log_object *object)
{
    if (!object)
        return;
    mem_free(object->key);
    mem_free(object->value);
    mem_free(object);
}

static void note(struct source_log *log, const struct source_entry *entry)
{
    struct source_log_object *object = MEM_NEW(struct source_log_object);
    *object = (struct source_log_object){
        .key = mem_copy_string(entry->key.data, entry->key.len),
        .value = mem_copy_string(entry->value.len ? entry->value.data : "", entry->value.len),
        .len = entry->value.len,
        .value_bytes = entry->value_bytes,
        .mod_revision = entry->mod_revision,
        .is_oversized = entry->is_oversized,
        .is_yaml = entry->is_yaml,
    };
    struct str key = {.data = object->key, .len = entry->key.len};
    forget(map_put(&log->objects, key, object));
}

void source_log_done(struct source_log *log)
{
    MAP_FOR_EACH(slot, &log->objects)
        forget(slot->value);
    map_done(&log->objects);
}

static void on_snapshot(void *arg, const struct source_entry *entries, size_t count,
                        int64_t revision, bool is_stale)
{
    struct source_log *log = arg;
    source_log_done(log);
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            ck_assert_int_lt(str_compare(entries[i - 1].key, entries[i].key), 0);
        note(log, &entries[i]);
    }
    log->snapshots++;
    log->revision = revision;
    log->is_stale = is_stale;
}

static void on_changes(void *arg, const struct source_change *changes, size_t count,
                       int64_t revision)
{
    struct source_log *log = arg;
    ck_assert_uint_gt(count, 0);
    for (size_t i = 0; i < count; i++) {
        if (changes[i].is_deleted)
            forget(map_remove(&log->objects, changes[i].entry.key));
        else
            note(log, &changes[i].entry);
    }
    log->changes++;
    log->last_change_count = count;
    log->revision = revision;
}

static void on_state(void *arg, enum source_state state, const char *detail)
{
    struct source_log *log = arg;
    log->state = state;
    log->states_seen |= 1u << state;
    snprintf(log->detail, sizeof log->detail, "%s", detail);
}

const struct source_listener source_log_listener = {
    .on_snapshot = on_snapshot, .on_changes = on_changes, .on_state = on_state};

const struct source_log_object *source_log_find(const struct source_log *log, const char *key)
{
    return map_find(&log->objects, str_from(key));
}

struct expectation {
    struct source_log *log;
    enum source_state state;
    const char *key, *value;
    size_t count;
};

static bool has_state(void *arg)
{
    const struct expectation *expected = arg;
    return expected->log->state == expected->state && expected->log->detail[0];
}

void source_log_wait_state(struct source_log *log, enum source_state state, int timeout_ms)
{
    struct expectation expected = {.log = log, .state = state};
    bool is_there = loop_until(log->loop, timeout_ms, has_state, &expected);
    ck_assert_msg(is_there, "state is %d: %s", (int)log->state, log->detail);
}

static bool has_value(void *arg)
{
    const struct expectation *expected = arg;
    const struct source_log_object *object = source_log_find(expected->log, expected->key);
    if (!object || !expected->value)
        return !object && !expected->value;
    return strcmp(object->value, expected->value) == 0;
}

void source_log_wait_value(struct source_log *log, const char *key, const char *value)
{
    struct expectation expected = {.log = log, .key = key, .value = value};
    bool is_there = loop_until(log->loop, 15000, has_value, &expected);
    ck_assert_msg(is_there, "%s is not %s; state %d: %s", key, value ? value : "gone",
                  (int)log->state, log->detail);
}

static bool has_snapshots(void *arg)
{
    const struct expectation *expected = arg;
    return expected->log->snapshots >= expected->count;
}

void source_log_wait_snapshots(struct source_log *log, size_t count)
{
    struct expectation expected = {.log = log, .count = count};
    bool is_there = loop_until(log->loop, 15000, has_snapshots, &expected);
    ck_assert_msg(is_there, "%zu snapshots; state %d: %s", log->snapshots, (int)log->state,
                  log->detail);
}
