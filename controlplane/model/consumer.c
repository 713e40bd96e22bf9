/* Validation of kind consumers. */
#include "controlplane/model/check.h"
#include "controlplane/model/model_internal.h"

#include <stdio.h>

enum { API_KEYS_MAX = 100, API_KEY_BYTES_MAX = 512, GROUPS_MAX = 100 };

/* The sentence must not show the key: it goes into status documents and logs. */
static int check_api_key(const char *key, struct errmsg *msg)
{
    size_t len = strlen(key);
    if (len == 0)
        return errmsg_set(msg, ERR_INVALID, "key: is required");
    if (len > API_KEY_BYTES_MAX)
        return errmsg_set(msg, ERR_TOO_LARGE, "key: has %zu characters, at most %d are allowed",
                          len, API_KEY_BYTES_MAX);
    for (size_t i = 0; i < len; i++) {
        if (key[i] <= ' ' || key[i] > '~')
            return errmsg_set(msg, ERR_INVALID,
                              "key: has a character at position %zu that is not visible ASCII",
                              i + 1);
    }
    return 0;
}

/* As check_names, but it shows none: a key may have been written in the wrong place. */
static int check_groups(const Weir__V1__Consumer *consumer, struct errmsg *msg)
{
    int err = check_count("groups", consumer->n_groups, GROUPS_MAX, msg);
    for (size_t i = 0; err == 0 && i < consumer->n_groups; i++) {
        if (!is_name(str_from(consumer->groups[i])))
            err = errmsg_set(msg, ERR_INVALID,
                             "groups[%zu]: is no name: 1 to %d letters, digits, '-', '_' or '.', "
                             "the first a letter or digit",
                             i, MODEL_NAME_BYTES_MAX);
        for (size_t j = 0; err == 0 && j < i; j++) {
            if (strcmp(consumer->groups[i], consumer->groups[j]) == 0)
                err = errmsg_set(msg, ERR_INVALID, "groups[%zu]: is the same as groups[%zu]", i, j);
        }
    }
    return err;
}

int consumer_validate(const struct model_draft *draft, struct errmsg *msg)
{
    const Weir__V1__Consumer *consumer = (const Weir__V1__Consumer *)draft->message;
    int err = check_count("api_keys", consumer->n_api_keys, API_KEYS_MAX, msg);
    for (size_t i = 0; err == 0 && i < consumer->n_api_keys; i++) {
        err = check_api_key(consumer->api_keys[i]->key, msg);
        for (size_t j = 0; err == 0 && j < i; j++) {
            if (strcmp(consumer->api_keys[i]->key, consumer->api_keys[j]->key) == 0)
                err = errmsg_set(msg, ERR_INVALID, "key: is the same as api_keys[%zu].key", j);
        }
        if (err)
            errmsg_prefix(msg, "api_keys[%zu].", i);
    }
    return err ? err : check_groups(consumer, msg);
}
