#include "common/io/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    IOVEC_MAX = 64,    /* slices handed to the kernel in one call */
    JOINED_MAX = 2048, /* as many bytes are cheaper to copy together than to describe by a vector */
};

long socket_read(int fd, char *data, size_t len)
{
    for (;;) {
        ssize_t got = recv(fd, data, len, 0);
        if (got > 0)
            return got;
        if (got == 0)
            return ERR_CLOSED;
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return ERR_AGAIN;
        if (errno != EINTR)
            return ERR_IO;
    }
}

static ssize_t write_some(int fd, const struct slice_queue *queue)
{
    struct iovec iovec[IOVEC_MAX];
    int count = slice_queue_iovec(queue, iovec, IOVEC_MAX);
    if (count == 1)
        return send(fd, iovec[0].iov_base, iovec[0].iov_len, MSG_NOSIGNAL);
    if (queue->bytes <= JOINED_MAX) {
        char joined[JOINED_MAX], *at = joined;
        for (int i = 0; i < count; i++)
            at = mempcpy(at, iovec[i].iov_base, iovec[i].iov_len);
        return send(fd, joined, (size_t)(at - joined), MSG_NOSIGNAL);
    }
    struct msghdr message = {.msg_iov = iovec, .msg_iovlen = (size_t)count};
    return sendmsg(fd, &message, MSG_NOSIGNAL);
}

int socket_write(int fd, struct slice_queue *queue, uint64_t *written)
{
    while (queue->bytes) {
        ssize_t sent = write_some(fd, queue);
        if (sent < 0) {
            if (errno == EINTR)
                continue;
            return errno == EAGAIN || errno == EWOULDBLOCK ? ERR_AGAIN : ERR_IO;
        }
        *written += (uint64_t)sent;
        slice_queue_drop(queue, (size_t)sent);
    }
    return 0;
}

int socket_connect(const struct sockaddr *address, socklen_t len)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return ERR_IO;
    if (address->sa_family != AF_UNIX)
        socket_set_no_delay(fd);
    if (connect(fd, address, len) == 0 || errno == EINPROGRESS)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return ERR_IO;
}

int socket_error(int fd)
{
    int error = 0;
    socklen_t len = sizeof error;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len))
        return errno;
    return error;
}

void socket_set_no_delay(int fd)
{
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

void socket_close_reset(int fd)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close(fd);
}

bool socket_is_idle(int fd)
{
    char byte;
    return recv(fd, &byte, 1, MSG_PEEK) < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

/* Writes host[:port]; brackets around the host where it is IPv6. */
static size_t print_address(char *text, size_t size, int family, const void *host, uint16_t port)
{
    char host_text[INET6_ADDRSTRLEN];
    inet_ntop(family, host, host_text, sizeof host_text);
    bool is_v6 = family == AF_INET6;
    int len = snprintf(text, size, "%s%s%s:%u", is_v6 ? "[" : "", host_text, is_v6 ? "]" : "",
                       (unsigned)ntohs(port));
    ASSERT(len > 0 && (size_t)len < size);
    return (size_t)len;
}

size_t socket_address_text(const struct sockaddr *address, socklen_t len, char *text, size_t size)
{
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const void *)address;
        return print_address(text, size, AF_INET, &v4->sin_addr, v4->sin_port);
    }
    if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const void *)address;
        if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
            return print_address(text, size, AF_INET, &v6->sin6_addr.s6_addr[12], v6->sin6_port);
        return print_address(text, size, AF_INET6, &v6->sin6_addr, v6->sin6_port);
    }
    const struct sockaddr_un *path = (const void *)address;
    size_t at = offsetof(struct sockaddr_un, sun_path);
    size_t path_len = len > at ? strnlen(path->sun_path, len - at) : 0;
    path_len = path_len < size ? path_len : size - 1;
    memcpy(text, path->sun_path, path_len);
    text[path_len] = '\0';
    return path_len;
}
