#include "dataplane/filters/router_rewrite.h"

#include "common/base/err.h"
#include "dataplane/http/path.h"
#include "dataplane/route/regex.h"

static struct str join(struct arena *arena, const struct str *parts, size_t count)
{
    size_t len = 0;
    for (size_t i = 0; i < count; i++)
        len += parts[i].len;
    char *text = arena_alloc(arena, len), *at = text;
    for (size_t i = 0; i < count; i++)
        if (parts[i].len)
            at = mempcpy(at, parts[i].data, parts[i].len);
    return (struct str){.data = text, .len = len};
}

/* path with the matched prefix (or all of it, but for the query) replaced. */
static struct str replace_prefix(struct arena *arena, struct str path, uint32_t prefix_len,
                                 struct str replacement)
{
    size_t query_at = path_query_at(path);
    size_t end = prefix_len < query_at ? prefix_len : query_at;
    struct str parts[] = {replacement, str_slice(path, end, path.len)};
    return join(arena, parts, 2);
}

static int replace_regex(struct arena *arena, struct str path, const struct route_regex *regex,
                         struct str substitution, struct str *ret_path)
{
    size_t query_at = path_query_at(path);
    struct str replaced;
    int err = route_regex_replace(regex, str_slice(path, 0, query_at), substitution, arena,
                                  ROUTER_PATH_BYTES_MAX, &replaced);
    if (err)
        return err;
    struct str parts[] = {replaced, str_slice(path, query_at, path.len)};
    *ret_path = join(arena, parts, 2);
    return 0;
}

static int rewrite_path(struct http_stream *stream, const struct route *route)
{
    const struct route_forward *forward = &route->forward;
    struct http_request *request = &stream->request;
    if (forward->has_prefix_rewrite) {
        request->path = replace_prefix(&stream->arena, request->path, route->match_prefix_len,
                                       forward->prefix_rewrite);
        return 0;
    }
    if (!forward->regex_rewrite)
        return 0;
    return replace_regex(&stream->arena, request->path, forward->regex_rewrite,
                         forward->regex_substitution, &request->path);
}

int router_rewrite_request(struct http_stream *stream, const struct route *route)
{
    const struct route_forward *forward = &route->forward;
    struct http_request *request = &stream->request;
    if (forward->host_rewrite.len) {
        request->authority = forward->host_rewrite;
    } else if (forward->host_rewrite_header.len) {
        const struct header *header =
            header_list_find_name(&request->headers, forward->host_rewrite_header);
        if (header && http_authority_is_valid(header->value))
            request->authority = header->value;
    }
    int err = rewrite_path(stream, route);
    if (!err && (!request->path.len || request->path.data[0] != '/')) {
        struct str parts[] = {STR("/"), request->path};
        if (!str_equal(request->path, STR("*")))
            request->path = join(&stream->arena, parts, 2);
    }
    return err;
}

/* --- redirects ------------------------------------------------------------------------------- */

/* Where ":port" begins in an authority, or its length. */
static size_t port_at(struct str authority)
{
    for (size_t i = authority.len; i-- > 0;) {
        if (authority.data[i] == ']')
            break;
        if (authority.data[i] == ':')
            return i;
    }
    return authority.len;
}

/* The request's own host; its port is left out where the redirect names one, or where it is the
 * default one of a scheme that the redirect changes. */
static struct str keep_host(const struct http_stream *stream, struct str new_scheme,
                            struct str new_port)
{
    struct str host = stream->request.authority;
    struct str protocol = header_list_value(&stream->request.headers, HEADER_X_FORWARDED_PROTO);
    size_t colon = port_at(host);
    struct str port = str_slice(host, colon, host.len);
    bool changes_scheme = !str_equal(new_scheme, protocol);
    bool drops_port =
        new_port.len ||
        (changes_scheme && ((str_equal(protocol, STR("https")) && str_equal(port, STR(":443"))) ||
                            (str_equal(protocol, STR("http")) && str_equal(port, STR(":80")))));
    return drops_port ? str_slice(host, 0, colon) : host;
}

static int redirect_path(struct http_stream *stream, const struct route *route,
                         struct str *ret_path)
{
    const struct route_redirect *redirect = &route->redirect;
    struct arena *arena = &stream->arena;
    struct str path = stream->request.path;
    size_t query_at = path_query_at(path);
    if (redirect->has_path) {
        bool has_query = path_query_at(redirect->path) < redirect->path.len;
        struct str query = str_slice(path, query_at, path.len);
        struct str parts[] = {redirect->path, has_query || redirect->strip_query ? STR("") : query};
        *ret_path = join(arena, parts, 2);
        return 0;
    }
    int err = 0;
    if (redirect->has_prefix_rewrite)
        path = replace_prefix(arena, path, route->match_prefix_len, redirect->prefix_rewrite);
    else if (redirect->regex_rewrite)
        err = replace_regex(arena, path, redirect->regex_rewrite, redirect->regex_substitution,
                            &path);
    if (err)
        return err;
    *ret_path = redirect->strip_query ? str_slice(path, 0, path_query_at(path)) : path;
    return 0;
}

struct str router_request_url(struct http_stream *stream)
{
    const struct http_request *request = &stream->request;
    struct str parts[] = {STR("http://"), request->authority, request->path};
    return join(&stream->arena, parts, 3);
}

int router_redirect_location(struct http_stream *stream, const struct route *route,
                             struct str *ret_location)
{
    const struct route_redirect *redirect = &route->redirect;
    struct str scheme = STR("http"), path, port = {0};
    if (redirect->scheme.len)
        scheme = redirect->scheme;
    else if (redirect->https_redirect)
        scheme = STR("https");
    if (redirect->port)
        port = str_from(arena_printf(&stream->arena, ":%u", redirect->port));
    struct str host = redirect->host.len ? redirect->host : keep_host(stream, scheme, port);
    int err = redirect_path(stream, route, &path);
    if (err)
        return err;
    /* Without its slash, what a rewrite has left of a path would be part of the host: "@evil". */
    struct str slash = path.len && path.data[0] == '/' ? STR("") : STR("/");
    struct str parts[] = {scheme, STR("://"), host, port, slash, path};
    *ret_location = join(&stream->arena, parts, 6);
    return 0;
}
