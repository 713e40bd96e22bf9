/*
 * A back end that costs next to nothing: one thread, edge-triggered epoll, a fixed answer for every
 * request head that it sees.
 *
 *     backend PORT [BODY_BYTES]
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 256, READ_BYTES = 65536, HEAD_BYTES_MAX = 256 };

static int listen_on(unsigned long port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 4096)) {
        perror("listen");
        exit(1);
    }
    return fd;
}

static void watch(int epoll, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

static void accept_all(int epoll, int listener)
{
    int one = 1;
    for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        watch(epoll, fd, EPOLLIN | EPOLLET | EPOLLRDHUP);
    }
}

static void answer_all(int fd, const char *answer, size_t answer_len)
{
    static char buf[READ_BYTES];
    ssize_t got = recv(fd, buf, sizeof buf, 0);
    if (got == 0 || (got < 0 && errno != EAGAIN))
        close(fd);
    if (got <= 0)
        return;
    const char *end = buf + got;
    for (const char *p = buf; (p = memmem(p, (size_t)(end - p), "\r\n\r\n", 4)); p += 4)
        if (send(fd, answer, answer_len, MSG_NOSIGNAL) < 0)
            return;
}

int main(int argc, char **argv)
{
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: backend PORT [BODY_BYTES]\n");
        return 2;
    }
    size_t body = argc == 3 ? strtoul(argv[2], NULL, 10) : 64;
    char *answer = malloc(HEAD_BYTES_MAX + body);
    int head = snprintf(
        answer, HEAD_BYTES_MAX,
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n\r\n", body);
    memset(answer + head, 'x', body);
    int listener = listen_on(strtoul(argv[1], NULL, 10)), epoll = epoll_create1(0);
    watch(epoll, listener, EPOLLIN);
    for (;;) {
        static struct epoll_event events[EVENTS];
        int count = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == listener)
                accept_all(epoll, listener);
            else
                answer_all(events[i].data.fd, answer, (size_t)head + body);
        }
    }
}
