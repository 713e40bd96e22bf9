/*
 * The floor: the least that a libevent HTTP/1.1 proxy can spend on a request. It looks for the end
 * of the head, adds two headers, copies bytes and keeps connections alive; it routes nothing,
 * checks nothing, and ends where anything goes wrong. No real proxy can be cheaper on the same
 * system calls.
 *
 *     floor LISTEN_PORT BACKEND_PORT
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER_BYTES = 8192 };
#define ADDED "x-forwarded-for: 127.0.0.1\r\nx-request-id: 0123456789abcdef\r\n\r\n"

struct conn {
    int fd;
    struct conn *peer, *next_idle;
    struct event *event;
    size_t len;
    char buf[BUFFER_BYTES];
};

static struct event_base *base;
static struct conn *idle_upstreams;
static struct sockaddr_in backend;

static struct conn *conn_new(int fd, event_callback_fn on_readable)
{
    struct conn *conn = calloc(1, sizeof *conn);
    int one = 1;
    conn->fd = fd;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    conn->event = event_new(base, fd, EV_READ | EV_PERSIST | EV_ET, on_readable, conn);
    event_add(conn->event, NULL);
    return conn;
}

/* Reads once; false where there was nothing or the peer has closed (then conn is gone). */
static int fill(struct conn *conn)
{
    ssize_t got = recv(conn->fd, conn->buf + conn->len, sizeof conn->buf - conn->len, 0);
    if (got > 0) {
        conn->len += (size_t)got;
        return 1;
    }
    if (got == 0 || errno != EAGAIN) {
        if (conn->peer)
            conn->peer->peer = NULL;
        event_free(conn->event);
        close(conn->fd);
        free(conn);
    }
    return 0;
}

static void on_upstream_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct conn *upstream = arg;
    if (!fill(upstream))
        return;
    char *end = memmem(upstream->buf, upstream->len, "\r\n\r\n", 4);
    char *length = strcasestr(upstream->buf, "content-length:");
    size_t body = length ? strtoul(length + 15, NULL, 10) : 0;
    if (!end || upstream->len < (size_t)(end + 4 - upstream->buf) + body)
        return;
    struct conn *client = upstream->peer;
    if (client) {
        send(client->fd, upstream->buf, upstream->len, MSG_NOSIGNAL);
        client->peer = NULL;
    }
    upstream->peer = NULL;
    upstream->len = 0;
    upstream->next_idle = idle_upstreams;
    idle_upstreams = upstream;
}

static struct conn *upstream_take(void)
{
    struct conn *conn = idle_upstreams;
    if (conn) {
        idle_upstreams = conn->next_idle;
        return conn;
    }
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&backend, sizeof backend)) {
        perror("connect");
        exit(1);
    }
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return conn_new(fd, on_upstream_readable);
}

static void on_client_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct conn *client = arg;
    if (!fill(client))
        return;
    char *end = memmem(client->buf, client->len, "\r\n\r\n", 4);
    if (!end)
        return;
    struct conn *upstream = upstream_take();
    upstream->peer = client;
    client->peer = upstream;
    char out[BUFFER_BYTES + sizeof ADDED];
    size_t len = (size_t)(end + 2 - client->buf);
    memcpy(out, client->buf, len);
    memcpy(out + len, ADDED, sizeof ADDED - 1);
    client->len = 0;
    send(upstream->fd, out, len + sizeof ADDED - 1, MSG_NOSIGNAL);
}

static void on_acceptable(evutil_socket_t listener, short what, void *arg)
{
    (void)what, (void)arg;
    for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;)
        conn_new(fd, on_client_readable);
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: floor LISTEN_PORT BACKEND_PORT\n");
        return 2;
    }
    base = event_base_new();
    backend = (struct sockaddr_in){.sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)strtoul(argv[2], NULL, 10)),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in address = backend;
    address.sin_port = htons((uint16_t)strtoul(argv[1], NULL, 10));
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 4096)) {
        perror("listen");
        return 1;
    }
    event_add(event_new(base, listener, EV_READ | EV_PERSIST, on_acceptable, NULL), NULL);
    event_base_dispatch(base);
}
