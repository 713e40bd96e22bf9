#include "controlplane/translate/hosts.h"

bool host_is_concrete(struct str host)
{
    return host.len > 0 && host.data[0] != '*';
}

bool host_covers(struct str outer, struct str inner)
{
    if (host_is_concrete(outer))
        return str_equal(outer, inner);
    if (outer.len == 1 || str_equal(outer, inner))
        return true;
    struct str suffix = str_slice(outer, 1, outer.len); /* ".example.com" */
    return inner.len > suffix.len && str_ends_with(inner, suffix);
}

struct str host_meet(struct str a, struct str b)
{
    if (host_covers(a, b))
        return b;
    return host_covers(b, a) ? a : (struct str){0};
}

struct str host_parent(struct str host, char buffer[256])
{
    size_t from = host_is_concrete(host) ? 0 : 2;
    if (host.len == 1 && from == 2)
        return (struct str){0};
    size_t dot = host.data[0] == '[' ? host.len : str_find_char(host, '.', from);
    if (dot + 1 >= host.len || host.len > 254)
        return STR("*");
    buffer[0] = '*';
    memmove(buffer + 1, host.data + dot, host.len - dot);
    return (struct str){.data = buffer, .len = host.len - dot + 1};
}
