#include "controlplane/model/store.h"

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/pbjson/pbjson.h"
#include "controlplane/model/check.h"
#include "controlplane/model/store_internal.h"

#include <stdio.h>
#include <stdlib.h>

/* Most objects fit with their key and message. */
enum { OBJECT_BLOCK_BYTES = 768 };

struct model_store *model_store_new(model_check_policy_fn *check_policy)
{
    struct model_store *store = MEM_NEW(struct model_store);
    store->check_policy = check_policy;
    return store;
}

static void clear_warnings(struct vec *warnings)
{
    for (size_t i = 0; i < warnings->len; i++)
        mem_free(warnings->items[i]);
    vec_done(warnings);
}

static void entry_free(struct store_entry *entry)
{
    model_object_unref(entry->active);
    model_object_unref(entry->pending);
    clear_warnings(&entry->warnings);
    mem_free(entry->error);
    mem_free((char *)entry->key.data);
    mem_free(entry);
}

void model_store_free(struct model_store *store)
{
    if (!store)
        return;
    MAP_FOR_EACH(entry, &store->entries)
        entry_free(entry->value);
    map_done(&store->entries);
    for (size_t i = 0; i < MODEL_KIND_COUNT; i++) {
        vec_done(&store->kinds[i].entries);
        model_list_unref(store->kinds[i].list);
    }
    mem_free(store);
}

const struct model_object *store_find(const struct model_store *store, enum model_kind kind,
                                      const char *name)
{
    char key[2 * MODEL_NAME_BYTES_MAX + 32];
    int len = snprintf(key, sizeof key, "%s/%s", model_kind_name(kind), name);
    if (len >= (int)sizeof key)
        return NULL;
    struct store_entry *entry =
        map_find(&store->entries, (struct str){.data = key, .len = (size_t)len});
    return entry ? entry->active : NULL;
}

void store_entry_set_error(struct store_entry *entry, const char *text)
{
    bool is_same = text && entry->error ? strcmp(text, entry->error) == 0 : text == entry->error;
    if (is_same)
        return;
    mem_free(entry->error);
    entry->error = text ? mem_copy_string(text, strlen(text)) : NULL;
    entry->is_verdict_new = true;
}

/* Whose warnings depend on objects of a kind; endpoints tell their service by themselves. */
static const struct {
    unsigned kinds;          /* a bit for each */
    bool are_contents_known; /* not just whether it exists */
} dependents[MODEL_KIND_COUNT] = {
    [MODEL_CONSUMER] = {1u << MODEL_POLICY, true},
    [MODEL_GATEWAY] = {1u << MODEL_ROUTE, true},
    [MODEL_LIMIT] = {1u << MODEL_GATEWAY | 1u << MODEL_ROUTE, true},
    [MODEL_POLICY] = {1u << MODEL_GATEWAY | 1u << MODEL_ROUTE, true},
    [MODEL_SERVICE] = {1u << MODEL_ENDPOINT | 1u << MODEL_ROUTE, false},
};

/* An endpoint that comes or goes concerns its service only. */
static void check_service_of(struct model_store *store, struct str endpoint_name)
{
    char key[MODEL_NAME_BYTES_MAX + 32];
    size_t slash = str_find_char(endpoint_name, '/', 0);
    int len = snprintf(key, sizeof key, "services/%.*s", (int)slash, endpoint_name.data);
    struct store_entry *service =
        map_find(&store->entries, (struct str){.data = key, .len = (size_t)len});
    if (service)
        service->needs_check = true;
}

void store_entry_activate(struct model_store *store, struct store_entry *entry,
                          struct model_object *object)
{
    if (object == entry->active) {
        model_object_unref(object);
        return;
    }
    bool exists_changed = !entry->active != !object;
    store->kinds[entry->kind].is_changed = true;
    entry->needs_check = true;
    if (entry->kind == MODEL_ENDPOINT && exists_changed)
        check_service_of(store, entry->name);
    if (exists_changed || dependents[entry->kind].are_contents_known)
        store->checks_due |= dependents[entry->kind].kinds;
    model_object_unref(entry->active);
    entry->active = object;
}

/* --- keys ------------------------------------------------------------------------------------- */

/* The kind and the name in key, or MODEL_KIND_COUNT and a sentence. */
static enum model_kind parse_key(struct str key, struct str *ret_name, struct errmsg *msg)
{
    size_t slash = str_find_char(key, '/', 0);
    enum model_kind kind = model_kind_from_name(str_slice(key, 0, slash));
    struct str name = slash < key.len ? str_slice(key, slash + 1, key.len) : (struct str){0};
    *ret_name = name;
    if (kind == MODEL_KIND_COUNT) {
        errmsg_set(msg, ERR_INVALID,
                   "unknown kind; known are consumers, endpoints, gateways, limits, policies, "
                   "routes and services");
        return MODEL_KIND_COUNT;
    }
    if (kind == MODEL_ENDPOINT) {
        size_t middle = str_find_char(name, '/', 0);
        bool is_good = middle < name.len && is_name(str_slice(name, 0, middle)) &&
                       is_name(str_slice(name, middle + 1, name.len));
        if (!is_good)
            errmsg_set(msg, ERR_INVALID, "the key must be endpoints/<service>/<instance>");
        return is_good ? kind : MODEL_KIND_COUNT;
    }
    if (is_name(name))
        return kind;
    errmsg_set(msg, ERR_INVALID,
               "the name must have 1 to %d letters, digits, '-', '_' or '.', the first a letter or "
               "digit",
               MODEL_NAME_BYTES_MAX);
    return MODEL_KIND_COUNT;
}

/* "<key>: <sentence>" as the entry's error. */
static void refuse(struct store_entry *entry, struct errmsg *msg)
{
    int shown = entry->key.len < 300 ? (int)entry->key.len : 300;
    errmsg_prefix(msg, "%.*s: ", shown, entry->key.data);
    store_entry_set_error(entry, msg->text);
}

/* Whether there are so many keys that cannot be used that a further one is not even remembered. */
static bool has_too_many(const struct model_store *store, enum model_kind kind)
{
    if (kind == MODEL_KIND_COUNT)
        return store->unknown_count >= MODEL_UNKNOWN_KEYS_MAX;
    return store->kinds[kind].entries.len >=
           model_kind_type(kind)->objects_max + MODEL_SURPLUS_KEYS_MAX;
}

/* Once, not for each of them: there may be millions. */
static void tell_ignored(struct model_store *store, struct str key)
{
    if (store->has_told_ignored)
        return;
    store->has_told_ignored = true;
    log_warning("policy_keys_ignored first=%.*s reason=\"there are too many that cannot be used\"",
                key.len < 300 ? (int)key.len : 300, key.data);
}

/* A new entry, or NULL where there are too many. */
static struct store_entry *entry_new(struct model_store *store, struct str key)
{
    struct errmsg msg = {0};
    struct str name;
    enum model_kind kind = parse_key(key, &name, &msg);
    if (has_too_many(store, kind)) {
        tell_ignored(store, key);
        return NULL;
    }
    struct store_entry *entry = MEM_NEW(struct store_entry);
    entry->key = (struct str){.data = mem_copy_string(key.data, key.len), .len = key.len};
    entry->kind = kind;
    entry->name = str_slice(entry->key, key.len - name.len, key.len);
    map_put(&store->entries, entry->key, entry);
    if (kind == MODEL_KIND_COUNT) {
        store->unknown_count++;
        refuse(entry, &msg);
    } else {
        vec_append(&store->kinds[kind].entries, entry);
        store->kinds[kind].is_sorted = false;
    }
    return entry;
}

/* --- values ----------------------------------------------------------------------------------- */

static int parse_value(const struct model_kind_type *type, const struct model_change *change,
                       struct arena *arena, ProtobufCMessage **ret_message, struct errmsg *msg)
{
    struct pbjson_options options = {
        .input_bytes_max = MODEL_VALUE_BYTES_MAX,
        .has_secrets = type->has_secrets,
    };
    if (change->format == MODEL_YAML)
        return pbjson_parse_yaml(type->descriptor, change->value, &options, arena, ret_message,
                                 msg);
    return pbjson_parse(type->descriptor, change->value, &options, arena, ret_message, msg);
}

static int validate(const struct model_store *store, const struct model_kind_type *type,
                    const struct model_draft *draft, struct errmsg *msg)
{
    if (type->validate)
        return type->validate(draft, msg);
    return store->check_policy((Weir__V1__Policy *)draft->message, msg);
}

/* The object that change says, or NULL with a sentence. */
static struct model_object *decode(struct model_store *store, const struct store_entry *entry,
                                   const struct model_change *change, struct errmsg *msg)
{
    const struct model_kind_type *type = model_kind_type(entry->kind);
    struct model_object *object = MEM_NEW(struct model_object);
    *object = (struct model_object){.refs = 1, .kind = entry->kind, .revision = change->revision};
    arena_init(&object->arena, OBJECT_BLOCK_BYTES);
    ProtobufCMessage *message;
    int err = parse_value(type, change, &object->arena, &message, msg);
    if (err == 0) {
        struct model_draft draft = {
            .message = message, .rank = &object->rank, .arena = &object->arena};
        err = validate(store, type, &draft, msg);
    }
    if (err) {
        model_object_unref(object);
        return NULL;
    }
    object->id = ++store->last_id;
    object->key = arena_copy_str(&object->arena, entry->key);
    object->name = str_slice(object->key, entry->key.len - entry->name.len, entry->key.len);
    object->message = message;
    return object;
}

/* ERR_TOO_LARGE with a sentence where the value, or the number of objects, exceeds a limit. The
 * same value may fit when it is put again. */
static int check_limits(const struct model_store *store, struct store_entry *entry,
                        const struct model_change *change, struct errmsg *msg)
{
    const struct model_kind_type *type = model_kind_type(entry->kind);
    if (change->is_oversize || change->value.len > MODEL_VALUE_BYTES_MAX)
        return errmsg_set(msg, ERR_TOO_LARGE, "the value has more than %d bytes",
                          MODEL_VALUE_BYTES_MAX);
    if (entry->active || store->kinds[entry->kind].entries.len <= type->objects_max)
        return 0;
    entry->value_hash = (struct content_hash){0};
    return errmsg_set(msg, ERR_TOO_LARGE,
                      "there are more than %zu %s; delete some and put this one again",
                      type->objects_max, type->name);
}

static void apply_put(struct model_store *store, const struct model_change *change)
{
    struct store_entry *entry = map_find(&store->entries, change->key);
    if (!entry && !(entry = entry_new(store, change->key)))
        return;
    entry->is_seen = true;
    struct content_hash hash = change->is_oversize ? (struct content_hash){.hex = "oversize"}
                                                   : content_hash_of(change->value);
    bool is_same = !entry->is_deleted && entry->format == change->format &&
                   memcmp(&hash, &entry->value_hash, sizeof hash) == 0;
    if (entry->revision != change->revision || entry->is_deleted)
        entry->is_verdict_new = true;
    entry->revision = change->revision;
    entry->is_deleted = false;
    if (is_same && entry->pending && !entry->is_newest_bad)
        entry->pending->revision = change->revision; /* in no model yet */
    if (is_same || entry->kind == MODEL_KIND_COUNT)
        return;
    entry->value_hash = hash;
    entry->format = change->format;
    entry->is_verdict_new = true;
    store->kinds[entry->kind].needs_settling = true;
    struct errmsg msg = {0};
    struct model_object *object = NULL;
    if (check_limits(store, entry, change, &msg) == 0)
        object = decode(store, entry, change, &msg);
    entry->is_newest_bad = !object;
    if (!object) {
        refuse(entry, &msg);
        return;
    }
    model_object_unref(entry->pending);
    entry->pending = object;
}

static void apply_delete(struct model_store *store, struct store_entry *entry)
{
    if (entry->is_deleted)
        return;
    entry->is_deleted = entry->is_verdict_new = true;
    entry->value_hash = (struct content_hash){0};
    model_object_unref(entry->pending);
    entry->pending = NULL;
    if (entry->kind == MODEL_KIND_COUNT)
        return;
    store->kinds[entry->kind].needs_settling = true;
    entry->is_newest_bad = false;
    store_entry_set_error(entry, NULL);
    store_entry_activate(store, entry, NULL);
    clear_warnings(&entry->warnings);
}

static void delete_unseen(struct model_store *store)
{
    MAP_FOR_EACH(item, &store->entries) {
        struct store_entry *entry = item->value;
        if (!entry->is_seen)
            apply_delete(store, entry);
        entry->is_seen = false;
    }
}

void model_store_apply(struct model_store *store, const struct model_change *changes, size_t count,
                       bool is_complete)
{
    if (is_complete) {
        MAP_FOR_EACH(item, &store->entries)
            ((struct store_entry *)item->value)->is_seen = false;
    }
    for (size_t i = 0; i < count; i++) {
        struct store_entry *entry = NULL;
        if (!changes[i].is_deleted)
            apply_put(store, &changes[i]);
        else if ((entry = map_find(&store->entries, changes[i].key)))
            apply_delete(store, entry);
    }
    if (is_complete)
        delete_unseen(store);
}

/* --- models ----------------------------------------------------------------------------------- */

static int compare_names(const void *a, const void *b)
{
    const struct store_entry *const *left = a, *const *right = b;
    return str_compare((*left)->name, (*right)->name);
}

void store_sort(struct store_kind *kind)
{
    if (!kind->is_sorted && kind->entries.len > 0)
        qsort(kind->entries.items, kind->entries.len, sizeof(void *), compare_names);
    kind->is_sorted = true;
}

/* The list of the kind's objects in use; the last one where nothing has changed. */
static struct model_list *build_list(struct model_store *store, struct store_kind *kind)
{
    if (kind->list && !kind->is_changed)
        return kind->list;
    store_sort(kind);
    struct model_list *list =
        mem_alloc(sizeof *list + kind->entries.len * sizeof(struct model_object *));
    *list = (struct model_list){.refs = 1, .id = ++store->last_id};
    for (size_t i = 0; i < kind->entries.len; i++) {
        const struct store_entry *entry = kind->entries.items[i];
        if (entry->active)
            list->items[list->len++] = model_object_ref(entry->active);
    }
    model_list_unref(kind->list);
    kind->list = list;
    kind->is_changed = false;
    return list;
}

struct model *model_store_build(struct model_store *store, int64_t revision)
{
    claims_settle(store);
    references_check(store);
    struct model *model = MEM_NEW(struct model);
    model->revision = revision;
    for (size_t i = 0; i < MODEL_KIND_COUNT; i++) {
        model->lists[i] = build_list(store, &store->kinds[i]);
        model->lists[i]->refs++;
    }
    return model;
}

/* --- verdicts --------------------------------------------------------------------------------- */

static struct model_verdict verdict_of(const struct store_entry *entry)
{
    return (struct model_verdict){
        .key = entry->key,
        .is_deleted = entry->is_deleted,
        .is_accepted = !entry->error && !entry->is_deleted,
        .is_using_last_good = entry->error && entry->active,
        .revision = entry->revision,
        .message = entry->error ? entry->error : "",
        .warnings = (const char *const *)entry->warnings.items,
        .warning_count = entry->warnings.len,
    };
}

/* Takes deleted entries out of the kind's list, in place. */
static void drop_deleted(struct vec *entries)
{
    size_t kept = 0;
    for (size_t i = 0; i < entries->len; i++) {
        const struct store_entry *entry = entries->items[i];
        if (!entry->is_deleted)
            entries->items[kept++] = entries->items[i];
    }
    entries->len = kept;
}

/* Forgets the keys that are gone. */
static void forget(struct model_store *store, const struct vec *gone)
{
    bool concerns[MODEL_KIND_COUNT + 1] = {false};
    for (size_t i = 0; i < gone->len; i++)
        concerns[((const struct store_entry *)gone->items[i])->kind] = true;
    for (size_t i = 0; i < MODEL_KIND_COUNT; i++) {
        if (concerns[i])
            drop_deleted(&store->kinds[i].entries);
    }
    for (size_t i = 0; i < gone->len; i++) {
        struct store_entry *entry = gone->items[i];
        map_remove(&store->entries, entry->key);
        if (entry->kind == MODEL_KIND_COUNT)
            store->unknown_count--;
        entry_free(entry);
    }
}

void model_store_take_verdicts(struct model_store *store, model_verdict_fn *on_verdict, void *arg)
{
    struct vec gone = {0};
    MAP_FOR_EACH(item, &store->entries) {
        struct store_entry *entry = item->value;
        if (!entry->is_verdict_new)
            continue;
        struct model_verdict verdict = verdict_of(entry);
        entry->is_verdict_new = false;
        on_verdict(&verdict, arg);
        if (entry->is_deleted)
            vec_append(&gone, entry);
    }
    forget(store, &gone);
    vec_done(&gone);
}
