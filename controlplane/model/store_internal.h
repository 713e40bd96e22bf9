/* What store.c, claims.c and references.c share; not for others. */
#ifndef CONTROLPLANE_MODEL_STORE_INTERNAL_H
#define CONTROLPLANE_MODEL_STORE_INTERNAL_H

#include "common/base/hash.h"
#include "common/base/map.h"
#include "common/base/vec.h"
#include "controlplane/model/model_internal.h"
#include "controlplane/model/store.h"

/* A key that somebody wrote. */
struct store_entry {
    struct str key;
    enum model_kind kind; /* MODEL_KIND_COUNT: unknown */
    struct str name;      /* inside key */
    int64_t revision;
    struct content_hash value_hash; /* zero: whatever is put next is looked at */
    enum model_format format;
    struct model_object *active; /* in use, or NULL */
    struct model_object
        *pending;        /* valid by itself, and not yet held against the others, or NULL */
    char *error;         /* why the newest version is not in use, or NULL */
    struct vec warnings; /* of char * */
    bool is_newest_bad;  /* the newest version is not even valid by itself */
    bool has_lost;       /* while claims are settled: another object has what pending claims */
    bool is_deleted;     /* kept until its verdict has been taken */
    bool is_seen;        /* while a complete list is applied */
    bool is_verdict_new;
    bool needs_check; /* its references may have changed */
};

struct store_kind {
    struct vec entries; /* all live ones; sorted by name after model_store_build */
    bool is_sorted;
    bool needs_settling;     /* something was put or deleted */
    bool is_changed;         /* some active object differs from the last list */
    struct model_list *list; /* of the last model, or NULL */
};

struct model_store {
    model_check_policy_fn *check_policy;
    struct map entries; /* by key */
    struct store_kind kinds[MODEL_KIND_COUNT];
    size_t unknown_count;
    uint64_t last_id;      /* of objects and lists */
    unsigned checks_due;   /* a bit for each kind whose references may have changed */
    bool has_told_ignored; /* that keys were not even remembered */
};

/* The object in use under "<kind>/<name>", or NULL. */
const struct model_object *store_find(const struct model_store *store, enum model_kind kind,
                                      const char *name);
/* Replaces the entry's error (takes a copy; NULL: none). */
void store_entry_set_error(struct store_entry *entry, const char *text);
/* Makes object (takes the reference; may be NULL) the one in use. */
void store_entry_activate(struct model_store *store, struct store_entry *entry,
                          struct model_object *object);

/* Sorts the kind's entries by name. */
void store_sort(struct store_kind *kind);

/* Brings pending objects into use, but for those that claim what others have. */
void claims_settle(struct model_store *store);
/* The warnings of all entries that need a check. */
void references_check(struct model_store *store);

#endif
