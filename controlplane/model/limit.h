/* What a rate limit counts apart. Any thread. */
#ifndef CONTROLPLANE_MODEL_LIMIT_H
#define CONTROLPLANE_MODEL_LIMIT_H

#include <stdbool.h>
#include <weir/v1/limits.pb-c.h>

enum limit_key {
    LIMIT_KEY_CONSUMER,
    LIMIT_KEY_CLIENT_ADDRESS,
    LIMIT_KEY_METHOD,
    LIMIT_KEY_HEADER, /* with a name */
    LIMIT_KEY_QUERY,  /* with a name */
    LIMIT_KEY_UNKNOWN,
};

/* What an element of Limit.key means; *ret_name is the name of the header or parameter, inside
 * text, or "". */
enum limit_key limit_key_of(const char *text, const char **ret_name);
/* Whether one of its keys is the consumer: it then comes after authentication. */
bool limit_needs_consumer(const Weir__V1__Limit *limit);

#endif
