#include "dataplane/listener/listener.h"

#include "common/base/log.h"
#include "common/base/mem.h"
#include "dataplane/config/stats.h"
#include "dataplane/http/downstream.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    ACCEPTS_PER_EVENT = 64, /* then others get their turn */
    ACCEPT_PAUSE_MS = 100,  /* after the kernel refused for lack of memory or descriptors */
    DRAIN_IDLE_MS = 1000,
};

struct listener {
    struct downstream_listener downstream;
    struct list link;   /* in worker->listeners */
    struct str address; /* own memory */
    int fd;             /* -1: accepts nothing more */
    int reserve_fd;     /* given up for a moment to shed connections when descriptors run out */
    struct event *event;
    struct loop_timer accept_pause;
    struct loop_timer drain;
    bool is_removed, is_freed;
    struct loop_free deferred;
};

/* --- the end --------------------------------------------------------------------------------- */

static void on_free(struct loop_free *item)
{
    struct listener *listener = CONTAINER_OF(item, struct listener, deferred);
    config_lease_unref(listener->downstream.lease);
    mem_free((char *)listener->address.data);
    mem_free(listener);
}

static void release(struct listener *listener)
{
    if (!listener->is_removed || listener->is_freed ||
        !list_is_empty(&listener->downstream.connections))
        return;
    listener->is_freed = true;
    list_remove(&listener->link);
    loop_timer_stop(&listener->accept_pause);
    loop_timer_stop(&listener->drain);
    loop_defer(listener->downstream.worker->loop, &listener->deferred, on_free);
}

static void on_connection_closed(struct downstream_listener *downstream)
{
    release(CONTAINER_OF(downstream, struct listener, downstream));
}

/* --- accepting ------------------------------------------------------------------------------- */

static int open_reserve(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* There is no descriptor left: takes the next connection by means of the one kept in reserve, tells
 * it so, and closes it; otherwise it would wait in the queue and wake us for ever. */
static bool shed(struct listener *listener)
{
    static const char answer[] = "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\n"
                                 "content-length: 0\r\n\r\n";
    if (listener->reserve_fd < 0)
        return false;
    close(listener->reserve_fd);
    int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        ssize_t sent = send(fd, answer, sizeof answer - 1, MSG_NOSIGNAL);
        (void)sent;
        close(fd);
        stat_inc(&listener->downstream.stats->downstream_cx_overload);
    }
    listener->reserve_fd = open_reserve();
    return fd >= 0;
}

/* Takes one connection; false where there is none or none can be taken at present. */
static bool accept_one(struct listener *listener)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof address;
    int fd = accept4(listener->fd, (struct sockaddr *)&address, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        downstream_new(&listener->downstream, fd, (struct sockaddr *)&address, len);
        return true;
    }
    if ((errno == EMFILE || errno == ENFILE) && shed(listener))
        return true;
    if (errno == ECONNABORTED || errno == EINTR || errno == EPROTO)
        return true;
    if (errno != EAGAIN && errno != EWOULDBLOCK) {
        event_del(listener->event);
        loop_timer_start(&listener->accept_pause, ACCEPT_PAUSE_MS);
    }
    return false;
}

static void on_acceptable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct listener *listener = arg;
    worker_update_clock(listener->downstream.worker);
    for (int i = 0; i < ACCEPTS_PER_EVENT && accept_one(listener); i++)
        ;
}

/* Begins to accept, as soon as the kernel has room to watch the socket. */
static void start_accepting(struct listener *listener)
{
    if (event_add(listener->event, NULL))
        loop_timer_start(&listener->accept_pause, ACCEPT_PAUSE_MS);
}

static void on_accept_pause_over(struct loop_timer *timer)
{
    struct listener *listener = CONTAINER_OF(timer, struct listener, accept_pause);
    if (listener->reserve_fd < 0)
        listener->reserve_fd = open_reserve();
    start_accepting(listener);
}

/* Gives the socket up; it is the caller's. */
static int take_socket(struct listener *listener)
{
    int fd = listener->fd;
    if (listener->event)
        event_free(listener->event);
    listener->event = NULL;
    listener->fd = -1;
    loop_timer_stop(&listener->accept_pause);
    if (listener->reserve_fd >= 0)
        close(listener->reserve_fd);
    listener->reserve_fd = -1;
    return fd;
}

/* Closing a listening socket resets what waits in its queue: those are taken first. */
static void stop_accepting(struct listener *listener)
{
    if (listener->fd < 0)
        return;
    while (accept_one(listener))
        ;
    close(take_socket(listener));
}

/* --- configuration --------------------------------------------------------------------------- */

static void on_drain_time_over(struct loop_timer *timer)
{
    struct listener *listener = CONTAINER_OF(timer, struct listener, drain);
    worker_update_clock(listener->downstream.worker);
    downstream_close_idle(&listener->downstream, 0);
}

static void set_config(struct listener *listener, struct config_lease *lease, uint32_t index)
{
    struct downstream_listener *downstream = &listener->downstream;
    const struct config_listener *entry = &lease->config->listeners[index];
    struct stats_scope *stats = shared_state_object(entry->listener->stats);
    struct config_lease *old = downstream->lease;
    downstream->lease = config_lease_ref(lease);
    downstream->config = entry->listener;
    downstream->routes = entry->routes ? entry->routes : entry->listener->inline_routes;
    downstream->stats = &stats->blocks[downstream->worker->index].http;
    config_lease_unref(old);
}

static struct listener *listener_new(struct worker *worker, struct config_lease *lease,
                                     uint32_t index, int fd)
{
    const struct listener_config *config = lease->config->listeners[index].listener;
    struct listener *listener = MEM_NEW(struct listener);
    listener->downstream.worker = worker;
    listener->downstream.on_closed = on_connection_closed;
    list_init(&listener->downstream.connections);
    listener->address.data = mem_copy_string(config->address.text.data, config->address.text.len);
    listener->address.len = config->address.text.len;
    listener->fd = fd;
    listener->reserve_fd = open_reserve();
    loop_timer_init(&listener->accept_pause, worker->loop, on_accept_pause_over);
    loop_timer_init(&listener->drain, worker->loop, on_drain_time_over);
    set_config(listener, lease, index);
    list_append(&worker->listeners, &listener->link);
    listener->event =
        event_new(loop_event_base(worker->loop), fd, EV_READ | EV_PERSIST, on_acceptable, listener);
    ASSERT(listener->event);
    start_accepting(listener);
    return listener;
}

static struct listener *find(struct worker *worker, struct str address)
{
    LIST_FOR_EACH(link, &worker->listeners) {
        struct listener *listener = LIST_ENTRY(link, struct listener, link);
        if (!listener->is_removed && str_equal(listener->address, address))
            return listener;
    }
    return NULL;
}

/* Its socket is gone or another's; connections end in time. */
static void retire(struct listener *listener)
{
    uint64_t drain_ms = listener->downstream.config->drain_timeout_ms;
    listener->is_removed = true;
    listener->downstream.is_draining = true;
    loop_timer_start(&listener->drain, drain_ms ? drain_ms : DRAIN_IDLE_MS);
    release(listener);
}

static void apply_listener(struct worker *worker, struct config_lease *lease, uint32_t index,
                           int fd)
{
    const struct listener_config *config = lease->config->listeners[index].listener;
    struct listener *listener = find(worker, config->address.text);
    if (listener && listener->downstream.config->stats == config->stats) {
        ASSERT(fd < 0);
        set_config(listener, lease, index);
        return;
    }
    if (listener) {
        /* Another name on the same address: connections stay with the old one, which counted them.
         */
        fd = take_socket(listener);
        retire(listener);
    }
    if (fd >= 0)
        listener_new(worker, lease, index, fd);
}

void listeners_apply(struct worker *worker, struct config_lease *lease, const int *fds)
{
    for (uint32_t i = 0; i < lease->config->listener_count; i++) {
        if (!worker->is_draining)
            apply_listener(worker, lease, i, fds[i]);
        else if (fds[i] >= 0)
            close(fds[i]);
    }
    LIST_FOR_EACH(link, &worker->listeners) {
        struct listener *listener = LIST_ENTRY(link, struct listener, link);
        if (listener->is_removed || listener->downstream.lease == lease)
            continue;
        stop_accepting(listener);
        retire(listener);
    }
}

void listeners_drain(struct worker *worker)
{
    worker->is_draining = true;
    worker_update_clock(worker);
    LIST_FOR_EACH(link, &worker->listeners) {
        struct listener *listener = LIST_ENTRY(link, struct listener, link);
        stop_accepting(listener);
        listener->downstream.is_draining = true;
        downstream_close_idle(&listener->downstream, DRAIN_IDLE_MS);
    }
}

void listeners_done(struct worker *worker)
{
    LIST_FOR_EACH(link, &worker->listeners) {
        struct listener *listener = LIST_ENTRY(link, struct listener, link);
        if (listener->fd >= 0)
            close(take_socket(listener));
        downstream_close_all(&listener->downstream);
        listener->is_removed = true;
        release(listener);
    }
}

/* --- sockets --------------------------------------------------------------------------------- */

static int err_of_errno(int number)
{
    switch (number) {
    case EADDRINUSE:
        return ERR_EXISTS;
    case EACCES:
    case EPERM:
        return ERR_DENIED;
    case EADDRNOTAVAIL:
    case EAFNOSUPPORT:
        return ERR_INVALID;
    default:
        return ERR_IO;
    }
}

static int open_socket(const struct address *address, uint32_t backlog, bool shares_port,
                       int *ret_fd)
{
    int one = 1;
    int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_of_errno(errno);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (shares_port)
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
    if (address->any.sa_family == AF_INET6) {
        /* As in Envoy: 0.0.0.0 may be another listener's. */
        int is_only_v6 = !address->takes_ipv4;
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &is_only_v6, sizeof is_only_v6);
    }
    if (bind(fd, &address->any, address->len) || listen(fd, (int)backlog)) {
        int err = err_of_errno(errno);
        close(fd);
        return err;
    }
    *ret_fd = fd;
    return 0;
}

/* SO_REUSEPORT would let us share a port with any process of the same user without a word: whether
 * somebody has it is seen by binding without it. */
static int probe(const struct address *address)
{
    int fd;
    int err = open_socket(address, 1, false, &fd);
    if (!err)
        close(fd);
    return err;
}

/* A socket file that nobody listens on any more is in the way of the next who would. Any other file
 * refuses connections too, and is not ours to remove. */
static void remove_stale_path(const struct address *address)
{
    struct stat status;
    if (lstat(address->path.sun_path, &status) != 0 || !S_ISSOCK(status.st_mode))
        return;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    bool is_stale = connect(fd, &address->any, address->len) < 0 && errno == ECONNREFUSED;
    close(fd);
    if (is_stale)
        unlink(address->path.sun_path);
}

/* Workers share one queue of a unix socket: there is no SO_REUSEPORT for paths. */
static int open_path(const struct address *address, uint32_t backlog, uint32_t count, int *fds)
{
    if (address->path.sun_path[0])
        remove_stale_path(address);
    int err = open_socket(address, backlog, false, &fds[0]);
    for (uint32_t i = 1; !err && i < count; i++) {
        fds[i] = fcntl(fds[0], F_DUPFD_CLOEXEC, 0);
        if (fds[i] >= 0)
            continue;
        err = ERR_IO;
        while (i > 0)
            close(fds[--i]);
        break;
    }
    return err;
}

static uint16_t *port_of(struct address *address)
{
    switch (address->any.sa_family) {
    case AF_INET:
        return &address->v4.sin_port;
    case AF_INET6:
        return &address->v6.sin6_port;
    default:
        return NULL;
    }
}

int listener_open_sockets(const struct address *address, uint32_t backlog, bool is_ours,
                          uint32_t count, int *fds, uint16_t *ret_port)
{
    struct address actual = *address;
    uint16_t *port = port_of(&actual);
    if (!port) {
        *ret_port = 0;
        return open_path(address, backlog ? backlog : SOMAXCONN, count, fds);
    }
    bool is_any_port = *port == 0;
    int err = !is_any_port && !is_ours ? probe(&actual) : 0;
    uint32_t opened = 0;
    while (!err && opened < count) {
        err = open_socket(&actual, backlog ? backlog : SOMAXCONN, true, &fds[opened]);
        socklen_t len = actual.len;
        if (!err && is_any_port && opened == 0)
            getsockname(fds[0], &actual.any, &len);
        opened += !err;
    }
    if (err) {
        while (opened > 0)
            close(fds[--opened]);
        return err;
    }
    *ret_port = ntohs(*port);
    return 0;
}
