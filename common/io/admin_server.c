#include "common/io/admin_server.h"

#include "common/base/mem.h"
#include "common/base/vec.h"
#include "common/io/loop.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <event2/util.h>

enum { REQUEST_TIMEOUT_S = 15, LISTEN_BACKLOG = 64 };

struct route {
    enum admin_method method;
    const char *path;
    admin_handler_fn *handler;
    void *arg;
};

struct admin_server {
    struct loop *loop;
    struct evhttp *http;
    struct vec routes; /* struct route */
    struct vec hosts;  /* char *, allowed besides localhost and addresses */
    uint16_t port;
};

const char *admin_request_query(const struct admin_request *request, const char *name)
{
    return evhttp_find_header(request->query, name);
}

/* The host of a Host header's value, without port and brackets. */
static struct str host_without_port(struct str host)
{
    if (host.len && host.data[0] == '[')
        return str_slice(host, 1, str_find_char(host, ']', 1));
    return str_slice(host, 0, str_find_char(host, ':', 0));
}

static bool is_address(struct str host)
{
    char text[64];
    unsigned char address[16];
    if (host.len >= sizeof text)
        return false;
    memcpy(text, host.data, host.len);
    text[host.len] = '\0';
    return inet_pton(AF_INET, text, address) == 1 || inet_pton(AF_INET6, text, address) == 1;
}

/* Whether a browser that was lied to about a name could not have sent this. A program that sends
 * no Host at all (HTTP/1.0) is no browser. */
static bool is_host_allowed(const struct admin_server *server, const char *header)
{
    if (!header)
        return true;
    struct str host = host_without_port(str_from(header));
    if (str_equal_nocase(host, STR("localhost")) || is_address(host))
        return true;
    for (size_t i = 0; i < server->hosts.len; i++)
        if (str_equal_nocase(host, str_from(server->hosts.items[i])))
            return true;
    return false;
}

static void free_reply_body(const void *data, size_t len, void *arg)
{
    (void)data, (void)len;
    mem_free(arg);
}

/* Sends reply and takes the memory of its body. */
static void send_reply(struct evhttp_request *http, struct admin_reply *reply)
{
    if (reply->body.is_overflown) {
        buf_done(&reply->body);
        buf_init(&reply->body, ADMIN_REPLY_BYTES_MAX);
        reply->status = 500;
        reply->content_type = "text/plain; charset=utf-8";
        buf_append_str(&reply->body, STR("the answer is too large\n"));
    }
    struct evkeyvalq *headers = evhttp_request_get_output_headers(http);
    char length[24];
    evutil_snprintf(length, sizeof length, "%zu", reply->body.len);
    evhttp_add_header(headers, "content-type", reply->content_type);
    evhttp_add_header(headers, "content-length", length);
    evhttp_add_header(headers, "x-content-type-options", "nosniff");
    evhttp_add_header(headers, "cache-control", "no-store");
    struct evbuffer *body = NULL;
    if (reply->body.len && evhttp_request_get_command(http) != EVHTTP_REQ_HEAD) {
        body = evbuffer_new();
        ASSERT(body);
        evbuffer_add_reference(body, reply->body.data, reply->body.len, free_reply_body,
                               reply->body.data);
        buf_init(&reply->body, reply->body.max);
    }
    evhttp_send_reply(http, reply->status, NULL, body);
    if (body)
        evbuffer_free(body);
    buf_done(&reply->body);
}

static void refuse(struct admin_reply *reply, int status, const char *text)
{
    reply->status = status;
    buf_printf(&reply->body, "%s\n", text);
}

/* The route of path and method, or NULL with the status to answer. */
static const struct route *find_route(const struct admin_server *server, const char *path,
                                      enum admin_method method, const char **ret_allow)
{
    *ret_allow = NULL;
    for (size_t i = 0; i < server->routes.len; i++) {
        const struct route *route = server->routes.items[i];
        if (strcmp(route->path, path) != 0)
            continue;
        if (route->method == method)
            return route;
        *ret_allow = route->method == ADMIN_GET ? "GET, HEAD" : "POST";
    }
    return NULL;
}

/* Parses a query; "name" alone, which evhttp refuses, is read as "name=". */
static int parse_query(const char *text, struct evkeyvalq *ret_query)
{
    struct str rest = str_from(text ? text : "");
    struct buf full;
    buf_init(&full, 2 * rest.len + 2);
    while (rest.len) {
        size_t end = str_find_char(rest, '&', 0);
        struct str pair = str_slice(rest, 0, end);
        rest = str_slice(rest, end < rest.len ? end + 1 : end, rest.len);
        if (!pair.len)
            continue;
        if (full.len)
            buf_append_char(&full, '&');
        buf_append_str(&full, pair);
        if (str_find_char(pair, '=', 0) == pair.len)
            buf_append_char(&full, '=');
    }
    buf_append_char(&full, '\0');
    int err = evhttp_parse_query_str(full.data, ret_query);
    buf_done(&full);
    return err ? ERR_INVALID : 0;
}

static void run_handler(const struct route *route, const char *path, struct evhttp_request *http,
                        struct admin_reply *reply)
{
    struct evkeyvalq query;
    const char *query_text = evhttp_uri_get_query(evhttp_request_get_evhttp_uri(http));
    if (parse_query(query_text, &query) != 0) {
        refuse(reply, 400, "the query cannot be read");
        return;
    }
    struct evbuffer *input = evhttp_request_get_input_buffer(http);
    size_t body_len = evbuffer_get_length(input);
    struct admin_request request = {
        .path = path,
        .query = &query,
        .body = {.data = body_len ? (char *)evbuffer_pullup(input, -1) : "", .len = body_len},
    };
    route->handler(&request, reply, route->arg);
    evhttp_clear_headers(&query);
}

static void answer(struct admin_server *server, struct evhttp_request *http,
                   struct admin_reply *reply)
{
    struct evkeyvalq *headers = evhttp_request_get_input_headers(http);
    enum evhttp_cmd_type command = evhttp_request_get_command(http);
    const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(http);
    const char *path = uri ? evhttp_uri_get_path(uri) : NULL;
    enum admin_method method = command == EVHTTP_REQ_POST ? ADMIN_POST : ADMIN_GET;
    const char *allow;

    if (!is_host_allowed(server, evhttp_find_header(headers, "host"))) {
        refuse(reply, 403, "this host name is not allowed here");
        return;
    }
    if (method == ADMIN_POST && evhttp_find_header(headers, "origin")) {
        refuse(reply, 403, "requests from web pages are not allowed here");
        return;
    }
    const struct route *route = find_route(server, path ? path : "", method, &allow);
    bool is_known_method =
        command == EVHTTP_REQ_GET || command == EVHTTP_REQ_HEAD || command == EVHTTP_REQ_POST;
    if (route && is_known_method) {
        run_handler(route, path, http, reply);
    } else if (route || allow) {
        const char *methods = allow ? allow : "GET, HEAD";
        evhttp_add_header(evhttp_request_get_output_headers(http), "allow", methods);
        refuse(reply, 405, "this path does not take this method");
    } else {
        refuse(reply, 404, "not found");
    }
}

static void on_http_request(struct evhttp_request *http, void *arg)
{
    struct admin_server *server = arg;
    struct admin_reply reply = {.status = 200, .content_type = "text/plain; charset=utf-8"};
    buf_init(&reply.body, ADMIN_REPLY_BYTES_MAX);
    answer(server, http, &reply);
    send_reply(http, &reply);
}

struct admin_server *admin_server_new(struct loop *loop)
{
    struct admin_server *server = MEM_NEW(struct admin_server);
    server->loop = loop;
    server->http = evhttp_new(loop_event_base(loop));
    ASSERT(server->http);
    evhttp_set_max_headers_size(server->http, ADMIN_REQUEST_BYTES_MAX);
    evhttp_set_max_body_size(server->http, ADMIN_REQUEST_BYTES_MAX);
    evhttp_set_timeout(server->http, REQUEST_TIMEOUT_S);
    /* All of them, so that what is not served is answered 405 with an Allow header by us. */
    evhttp_set_allowed_methods(server->http, EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_HEAD |
                                                 EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE |
                                                 EVHTTP_REQ_OPTIONS | EVHTTP_REQ_PATCH);
    evhttp_set_gencb(server->http, on_http_request, server);
    return server;
}

void admin_server_free(struct admin_server *server)
{
    if (!server)
        return;
    evhttp_free(server->http);
    for (size_t i = 0; i < server->routes.len; i++)
        mem_free(server->routes.items[i]);
    for (size_t i = 0; i < server->hosts.len; i++)
        mem_free(server->hosts.items[i]);
    vec_done(&server->routes);
    vec_done(&server->hosts);
    mem_free(server);
}

void admin_server_route(struct admin_server *server, enum admin_method method, const char *path,
                        admin_handler_fn *handler, void *arg)
{
    struct route *route = MEM_NEW(struct route);
    *route = (struct route){.method = method, .path = path, .handler = handler, .arg = arg};
    vec_append(&server->routes, route);
}

void admin_server_allow_host(struct admin_server *server, const char *host)
{
    vec_append(&server->hosts, mem_copy_string(host, strlen(host)));
}

static uint16_t bound_port(struct evconnlistener *listener)
{
    struct sockaddr_storage bound;
    socklen_t len = sizeof bound;
    if (getsockname(evconnlistener_get_fd(listener), (struct sockaddr *)&bound, &len) != 0)
        return 0;
    return ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port
                                             : ((struct sockaddr_in *)&bound)->sin_port);
}

/* "ip:port" or "[ipv6]:port". libevent's parser takes no port 0. Returns the length, 0 for no
 * address. */
static int parse_address(struct str address, struct sockaddr_storage *ret)
{
    char ip[64];
    uint64_t port;
    size_t colon = address.len;
    while (colon > 0 && address.data[colon - 1] != ':')
        colon--;
    if (colon == 0 || !str_to_u64(str_slice(address, colon, address.len), UINT16_MAX, &port))
        return 0;
    struct str host = str_slice(address, 0, colon - 1);
    bool is_ipv6 = host.len > 1 && host.data[0] == '[' && host.data[host.len - 1] == ']';
    if (is_ipv6)
        host = str_slice(host, 1, host.len - 1);
    if (host.len >= sizeof ip)
        return 0;
    memcpy(ip, host.data, host.len);
    ip[host.len] = '\0';
    struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;
    *ret = (struct sockaddr_storage){.ss_family = is_ipv6 ? AF_INET6 : AF_INET};
    if (is_ipv6)
        v6->sin6_port = htons((uint16_t)port);
    else
        v4->sin_port = htons((uint16_t)port);
    void *to = is_ipv6 ? (void *)&v6->sin6_addr : (void *)&v4->sin_addr;
    if (inet_pton(ret->ss_family, ip, to) != 1)
        return 0;
    return is_ipv6 ? (int)sizeof *v6 : (int)sizeof *v4;
}

int admin_server_listen(struct admin_server *server, const char *address, struct errmsg *ret_msg)
{
    struct sockaddr_storage parsed;
    int len = parse_address(str_from(address), &parsed);
    if (len == 0)
        return errmsg_set(ret_msg, ERR_INVALID,
                          "\"%s\" is no address: write 127.0.0.1:9901 or [::1]:9901", address);
    struct evconnlistener *listener = evconnlistener_new_bind(
        loop_event_base(server->loop), NULL, NULL,
        LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE | LEV_OPT_DISABLED,
        LISTEN_BACKLOG, (struct sockaddr *)&parsed, len);
    if (!listener) {
        int saved = errno;
        return errmsg_set(ret_msg, saved == EADDRINUSE ? ERR_EXISTS : ERR_IO,
                          "cannot listen on %s for the admin server: %s", address, strerror(saved));
    }
    server->port = bound_port(listener);
    if (!evhttp_bind_listener(server->http, listener)) {
        evconnlistener_free(listener);
        return errmsg_set(ret_msg, ERR_IO, "cannot listen on %s for the admin server", address);
    }
    evconnlistener_enable(listener);
    return 0;
}

uint16_t admin_server_port(const struct admin_server *server)
{
    return server->port;
}
