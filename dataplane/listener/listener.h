/*
 * A listening socket on one worker and the connections it brought. The configuration under it
 * changes (listeners_apply); the socket and the connections stay as long as the address does.
 *
 * A listener that is no longer configured accepts nothing more; its connections end with their next
 * answer, or when they have been idle for the drain time. Worker's thread.
 */
#ifndef DATAPLANE_LISTENER_LISTENER_H
#define DATAPLANE_LISTENER_LISTENER_H

#include "dataplane/config/worker.h"

/* Brings worker->listeners in line with lease->config. fds: one per listener of the configuration:
 * a listening, non-blocking socket (taken), or -1 where the address is listened to already. */
void listeners_apply(struct worker *worker, struct config_lease *lease, const int *fds);
/* Accepts nothing more; every connection ends with its next answer or when it is idle for a second.
 * To be called again now and then until worker->connections is 0. */
void listeners_drain(struct worker *worker);
/* Cuts every connection and frees the listeners (at the end of the turn). */
void listeners_done(struct worker *worker);

/* Opens a listening socket per worker on address; *ret_port is its port (the one taken where the
 * address has 0). is_ours: sockets of our own may listen there still. ERR_EXISTS where somebody
 * else listens there (also with SO_REUSEPORT), ERR_DENIED, ERR_INVALID, ERR_IO; no socket is left
 * open then. Any thread. */
int listener_open_sockets(const struct address *address, uint32_t backlog, bool is_ours,
                          uint32_t count, int *fds, uint16_t *ret_port) MUST_CHECK;

#endif
