#include "dataplane/route/domains.h"

static struct str lower_copy(struct arena *arena, struct str s)
{
    struct str copy = arena_copy_str(arena, s);
    for (size_t i = 0; i < copy.len; i++)
        ((char *)copy.data)[i] = ascii_lower(copy.data[i]);
    return copy;
}

/* The list entry for this length, made at its place where it is missing. */
static struct route_wildcards *wildcards_of(struct route_wildcards **list, struct arena *arena,
                                            size_t len)
{
    while (*list && (*list)->len > len)
        list = &(*list)->next;
    if (*list && (*list)->len == len)
        return *list;
    struct route_wildcards *wildcards = ARENA_NEW(arena, struct route_wildcards);
    wildcards->len = len;
    wildcards->all_begin_with_dot = true;
    wildcards->next = *list;
    *list = wildcards;
    return wildcards;
}

static int add(struct map *map, struct str text, void *value, struct str domain, struct errmsg *msg)
{
    if (map_find(map, text))
        return errmsg_set(msg, ERR_EXISTS, "domain %.*s is there twice", STR_ARGS(domain));
    map_put(map, text, value);
    return 0;
}

int route_domains_add(struct route_domains *domains, struct arena *arena, struct str domain,
                      void *value, struct errmsg *msg)
{
    struct str text = lower_copy(arena, domain);
    if (!text.len || text.len > ROUTE_HOST_BYTES_MAX)
        return errmsg_set(msg, ERR_INVALID, "a domain must have 1 to %d bytes",
                          ROUTE_HOST_BYTES_MAX);
    if (str_equal(text, STR("*"))) {
        if (domains->any)
            return errmsg_set(msg, ERR_EXISTS, "domain * is there twice");
        domains->any = value;
        return 0;
    }
    bool is_suffix = text.data[0] == '*', is_prefix = text.data[text.len - 1] == '*';
    if (!is_suffix && !is_prefix)
        return add(&domains->exact, text, value, domain, msg);
    text = is_suffix ? str_slice(text, 1, text.len) : str_slice(text, 0, text.len - 1);
    struct route_wildcards *wildcards =
        wildcards_of(is_suffix ? &domains->suffixes : &domains->prefixes, arena, text.len);
    wildcards->all_begin_with_dot &= text.data[0] == '.';
    return add(&wildcards->by_text, text, value, domain, msg);
}

void route_domains_done(struct route_domains *domains)
{
    map_done(&domains->exact);
    for (struct route_wildcards *item = domains->suffixes; item; item = item->next)
        map_done(&item->by_text);
    for (struct route_wildcards *item = domains->prefixes; item; item = item->next)
        map_done(&item->by_text);
}

/* A wildcard stands for at least one byte: "*.example.com" is not ".example.com". */
static void *find_wildcard(const struct route_wildcards *list, struct str host, bool is_suffix)
{
    for (; list; list = list->next) {
        if (list->len >= host.len)
            continue;
        size_t from = is_suffix ? host.len - list->len : 0;
        if (list->all_begin_with_dot && host.data[from] != '.')
            continue;
        void *value = map_find(&list->by_text, str_slice(host, from, from + list->len));
        if (value)
            return value;
    }
    return NULL;
}

void *route_domains_find(const struct route_domains *domains, struct str host)
{
    char lower[ROUTE_HOST_BYTES_MAX];
    bool has_only_any = !domains->exact.len && !domains->suffixes && !domains->prefixes;
    if (has_only_any || !host.len || host.len > sizeof lower)
        return domains->any;
    for (size_t i = 0; i < host.len; i++)
        lower[i] = ascii_lower(host.data[i]);
    struct str key = {.data = lower, .len = host.len};
    void *value = map_find(&domains->exact, key);
    if (!value && domains->suffixes)
        value = find_wildcard(domains->suffixes, key, true);
    if (!value && domains->prefixes)
        value = find_wildcard(domains->prefixes, key, false);
    return value ? value : domains->any;
}
