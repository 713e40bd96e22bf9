/* A pattern, a NUL and a subject: whatever regex_parse takes, PCRE2 takes as well, and what matches
 * has the literal ends that were found. */
#include "common/base/mem.h"
#include "common/regex/regex.h"
#include "dataplane/route/regex.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_match(const struct route_regex *regex, struct str subject)
{
    if (route_regex_match(regex, subject) != ROUTE_REGEX_MATCH)
        return;
    bool has_ends = str_starts_with(subject, route_regex_literal_prefix(regex)) &&
                    str_ends_with(subject, route_regex_literal_suffix(regex));
    ASSERT(has_ends);
}

static void check_taken(struct str pattern, struct str subject)
{
    struct shared_registry *shared = shared_registry_new();
    struct vec states = {0};
    struct errmsg msg = {0};
    const struct route_regex *regex;
    if (route_regex_get(shared, &states, pattern, &regex, &msg) == 0)
        check_match(regex, subject);
    else
        ASSERT(strstr(msg.text, "regular expression is too")); /* large or complicated */
    for (size_t i = 0; i < states.len; i++)
        shared_state_unref(states.items[i]);
    vec_done(&states);
    shared_registry_free(shared);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str input = {.data = (const char *)data, .len = size};
    size_t len = str_find_char(input, '\0', 0);
    char *pattern = mem_copy_string((const char *)data, len);
    struct regex regex;
    struct errmsg msg = {0};
    int err = regex_parse((struct str){.data = pattern, .len = len}, &regex, &msg);
    ASSERT(!err == !msg.text[0]);
    if (!err)
        check_taken((struct str){.data = pattern, .len = len},
                    str_slice(input, len < size ? len + 1 : size, size));
    mem_free(pattern);
    return 0;
}
