/* Validation of kind limits. */
#include "controlplane/model/limit.h"

#include "controlplane/model/check.h"
#include "controlplane/model/model_internal.h"

#include <stdio.h>

enum { KEYS_MAX = 4, REQUESTS_MAX = 1000000000, DYNAMIC_KEYS_MAX = 1000000 };
enum { PER_MIN_MS = 50, PER_MAX_MS = 24 * 60 * 60 * 1000 };

enum limit_key limit_key_of(const char *text, const char **ret_name)
{
    static const char *const words[] = {
        [LIMIT_KEY_CONSUMER] = "consumer", [LIMIT_KEY_CLIENT_ADDRESS] = "client_address",
        [LIMIT_KEY_METHOD] = "method",     [LIMIT_KEY_HEADER] = "header:",
        [LIMIT_KEY_QUERY] = "query:",
    };
    *ret_name = "";
    for (unsigned i = 0; i < sizeof words / sizeof *words; i++) {
        size_t len = strlen(words[i]);
        bool has_name = words[i][len - 1] == ':';
        if (strncmp(text, words[i], len) != 0 || (!has_name && text[len] != '\0'))
            continue;
        *ret_name = text + len;
        return (enum limit_key)i;
    }
    return LIMIT_KEY_UNKNOWN;
}

bool limit_needs_consumer(const Weir__V1__Limit *limit)
{
    const char *name;
    for (size_t i = 0; i < limit->n_key; i++) {
        if (limit_key_of(limit->key[i], &name) == LIMIT_KEY_CONSUMER)
            return true;
    }
    return false;
}

static int check_key(const char *field, char *text, struct errmsg *msg)
{
    const char *name;
    enum limit_key key = limit_key_of(text, &name);
    switch (key) {
    case LIMIT_KEY_CONSUMER:
    case LIMIT_KEY_CLIENT_ADDRESS:
    case LIMIT_KEY_METHOD:
        return 0;
    case LIMIT_KEY_HEADER:
        return check_header_name(field, text + (name - text), msg);
    case LIMIT_KEY_QUERY:
        if (*name == '\0')
            return errmsg_set(msg, ERR_INVALID, "%s: the name of a parameter is missing", field);
        return check_text(field, name, 256, msg);
    case LIMIT_KEY_UNKNOWN:
        break;
    }
    return errmsg_set(msg, ERR_INVALID,
                      "%s: \"%.100s\" is unknown; known are consumer, client_address, method, "
                      "header:<name> and query:<name>",
                      field, text);
}

int limit_validate(const struct model_draft *draft, struct errmsg *msg)
{
    const Weir__V1__Limit *limit = (const Weir__V1__Limit *)draft->message;
    int err = check_count("key", limit->n_key, KEYS_MAX, msg);
    for (size_t i = 0; err == 0 && i < limit->n_key; i++) {
        char item[32];
        snprintf(item, sizeof item, "key[%zu]", i);
        err = check_key(item, limit->key[i], msg);
        for (size_t j = 0; err == 0 && j < i; j++) {
            if (strcmp(limit->key[i], limit->key[j]) == 0)
                err =
                    errmsg_set(msg, ERR_INVALID, "%s: \"%s\" is there twice", item, limit->key[i]);
        }
    }
    if (err == 0)
        err = check_range("requests", limit->requests, 1, REQUESTS_MAX, msg);
    if (err == 0 && !limit->per)
        err = errmsg_set(msg, ERR_INVALID, "per: is required, as in \"60s\"");
    if (err == 0)
        err = check_duration("per", limit->per, PER_MIN_MS, PER_MAX_MS, msg);
    if (err == 0)
        err = check_u32("burst", limit->burst, 1, REQUESTS_MAX, msg);
    if (err == 0)
        err = check_u32("max_keys", limit->max_keys, 1, DYNAMIC_KEYS_MAX, msg);
    return err;
}
