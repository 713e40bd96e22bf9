/* Reading and writing a non-blocking stream socket, in this project's error numbers. No state; the
 * thread that owns the socket. */
#ifndef COMMON_IO_SOCKET_H
#define COMMON_IO_SOCKET_H

#include "common/base/chunk.h"
#include "common/base/err.h"

#include <sys/socket.h>

/* Reads at most len (> 0) bytes. Returns how many (> 0); ERR_AGAIN: none there; ERR_CLOSED: the
 * peer has ended its direction; ERR_IO: reset or the like. */
long socket_read(int fd, char *data, size_t len) MUST_CHECK;
/* Writes what it can of queue and takes it out. Returns 0 where the queue is empty then, ERR_AGAIN
 * where the socket takes no more at present, ERR_IO where the connection is broken. Adds the bytes
 * written to *written. */
int socket_write(int fd, struct slice_queue *queue, uint64_t *written) MUST_CHECK;
/* Starts to connect; TCP_NODELAY where it is TCP. Returns a descriptor (connected or on its way:
 * writable when that is decided, see socket_error), or ERR_IO with errno set. */
int socket_connect(const struct sockaddr *address, socklen_t len) MUST_CHECK;
/* The pending error of a socket (errno's numbers), which clears it. 0: none. */
int socket_error(int fd);
void socket_set_no_delay(int fd);
/* Closes so that the peer sees a reset and not an orderly end. */
void socket_close_reset(int fd);
/* Whether an idle connection is still open and silent: one system call. */
bool socket_is_idle(int fd);

/* "127.0.0.1:80", "[::1]:80", a unix path, or "" for an unnamed one; at most size - 1 bytes and a
 * NUL. Returns the length without the NUL. An IPv4 address mapped to IPv6 is written as IPv4. */
enum { SOCKET_TEXT_BYTES = 112 };
size_t socket_address_text(const struct sockaddr *address, socklen_t len, char *text, size_t size);

#endif
