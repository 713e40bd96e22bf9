/* Checks of header names and of the changes that policies and routes make to headers. */
#include "controlplane/model/check.h"

#include <stdio.h>

enum { TOKEN_BYTES_MAX = 256, HEADER_VALUE_BYTES_MAX = 4096, CHANGES_MAX = 100 };

static bool is_token_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_token(const char *text)
{
    size_t len = 0;
    while (is_token_char(text[len]))
        len++;
    return len > 0 && text[len] == '\0' && len <= TOKEN_BYTES_MAX;
}

int check_cookie_name(const char *field, const char *name, struct errmsg *msg)
{
    if (is_token(name))
        return 0;
    return errmsg_set(msg, ERR_INVALID, "%s: \"%.100s\" is no name of a cookie", field, name);
}

int check_header_name(const char *field, char *name, struct errmsg *msg)
{
    for (char *c = name; *c; c++)
        *c = ascii_lower(*c);
    if (is_token(name))
        return 0;
    return errmsg_set(msg, ERR_INVALID, "%s: \"%.100s\" is no name of a header", field, name);
}

/* The connection's own, and those that say where a request goes or who it is from. */
static bool is_protected(const char *name)
{
    static const char *const names[] = {
        "connection", "content-length",    "host",    "keep-alive",    "proxy-connection",     "te",
        "trailer",    "transfer-encoding", "upgrade", CONSUMER_HEADER, DIRECT_RESPONSE_HEADER,
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i]) == 0)
            return true;
    }
    return false;
}

static int check_changed_name(const char *field, char *name, struct errmsg *msg)
{
    int err = check_header_name(field, name, msg);
    if (err == 0 && is_protected(name))
        return errmsg_set(msg, ERR_INVALID, "%s: the header %s cannot be changed%s", field, name,
                          strcmp(name, "host") == 0 ? "; rewrite.host of a route can" : "");
    return err;
}

/* protoc-c makes a type of its own for each of the three maps; they have the same members. Two
 * spellings of one name are two keys of a map, but one header. */
#define CHECK_MAP(field, entries, count)                                                           \
    for (size_t i = 0; err == 0 && i < (count); i++) {                                             \
        char item[TOKEN_BYTES_MAX + 64];                                                           \
        err = check_changed_name(field, (entries)[i]->key, msg);                                   \
        snprintf(item, sizeof item, field "[\"%.256s\"]", (entries)[i]->key);                      \
        if (err == 0)                                                                              \
            err = check_text(item, (entries)[i]->value, HEADER_VALUE_BYTES_MAX, msg);              \
        for (size_t j = 0; err == 0 && j < i; j++)                                                 \
            if (strcmp((entries)[i]->key, (entries)[j]->key) == 0)                                 \
                err = errmsg_set(msg, ERR_INVALID, "%s: is there twice", item);                    \
    }

int check_header_changes(const Weir__V1__HeaderChanges *changes, struct errmsg *msg)
{
    if (!changes)
        return 0;
    size_t count = changes->n_remove + changes->n_set + changes->n_add + changes->n_set_if_absent;
    if (count > CHANGES_MAX)
        return errmsg_set(msg, ERR_TOO_LARGE, "%zu changes are too many, at most %d are allowed",
                          count, CHANGES_MAX);
    int err = 0;
    for (size_t i = 0; err == 0 && i < changes->n_remove; i++) {
        char item[64];
        snprintf(item, sizeof item, "remove[%zu]", i);
        err = check_changed_name(item, changes->remove[i], msg);
    }
    CHECK_MAP("set", changes->set, changes->n_set)
    CHECK_MAP("add", changes->add, changes->n_add)
    CHECK_MAP("set_if_absent", changes->set_if_absent, changes->n_set_if_absent)
    return err;
}
