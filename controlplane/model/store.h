/*
 * The model store: takes changes as a source tells them, keeps bad objects out and their last good
 * versions in, and yields models.
 *
 *     change -> model_store_apply -> model_store_build -> translation
 *                                 -> model_store_take_verdicts -> status
 *
 * An object is refused when its value is not JSON (or YAML), has unknown fields, wrong types or
 * values out of range, or claims what another object has (an API key). Its last good version then
 * stays in use until it is mended or deleted; where there never was one, it is simply not there.
 * References to what does not exist are no errors: they are told as warnings.
 *
 * The same objects give the same model on every replica, with two exceptions, which only those know
 * who saw them: last good versions, and who had an API key first that two consumers claim (claims.c
 * has the rule).
 *
 * Thread: the control plane's loop.
 */
#ifndef CONTROLPLANE_MODEL_STORE_H
#define CONTROLPLANE_MODEL_STORE_H

#include "common/base/err.h"
#include "controlplane/model/model.h"

enum {
    /* Of one value. Protects memory and the time that one change takes; 10,000 hosts would fit. */
    MODEL_VALUE_BYTES_MAX = 256 * 1024,
    /* Keys of unknown kinds that are remembered, to be told about. */
    MODEL_UNKNOWN_KEYS_MAX = 1000,
    /* Keys of a kind beyond the most objects that it can have; remembered for the same reason. */
    MODEL_SURPLUS_KEYS_MAX = 1000,
};

enum model_format { MODEL_JSON, MODEL_YAML };

/* One key that changed. Everything is borrowed. */
struct model_change {
    struct str key;   /* below the prefix: "routes/users" */
    struct str value; /* unless it is deleted or oversize */
    int64_t revision; /* etcd's mod_revision of this version */
    enum model_format format;
    bool is_deleted;
    bool is_oversize; /* the source did not load the value because of its size */
};

/* What became of one key. Borrowed from the store until it is next changed. */
struct model_verdict {
    struct str key;
    bool is_deleted; /* the key is gone; nothing else counts */
    bool is_accepted;
    bool is_using_last_good; /* refused, and an older version is in use */
    int64_t revision;        /* of the newest version */
    const char *message;     /* why it was refused, with the key; "" where it was not */
    const char *const *warnings;
    size_t warning_count;
};

struct model_draft;
/* Checks a policy (kind of its own are the business of controlplane/policy/): 0, or an error with a
 * sentence that begins with the field. */
typedef int model_check_policy_fn(Weir__V1__Policy *policy, struct errmsg *msg);

struct model_store;
struct model_store *model_store_new(model_check_policy_fn *check_policy);
/* Models live on. NULL is fine. */
void model_store_free(struct model_store *store);

/* Takes changes over, in their order. is_complete: they are all that there is, and every key that
 * is not among them has been deleted. A put of the very bytes that are there changes the revision
 * only.
 */
void model_store_apply(struct model_store *store, const struct model_change *changes, size_t count,
                       bool is_complete);

/* The model of what is there now, for the caller to free. */
struct model *model_store_build(struct model_store *store, int64_t revision);

typedef void model_verdict_fn(const struct model_verdict *verdict, void *arg);
/* Tells those verdicts that are new or differ from when they were last taken, and forgets deleted
 * keys. After model_store_build; on_verdict must not change the store. */
void model_store_take_verdicts(struct model_store *store, model_verdict_fn *on_verdict, void *arg);

#endif
