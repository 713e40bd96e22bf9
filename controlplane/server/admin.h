/*
 * weir-control's admin pages, on common/io/admin_server.h:
 *
 *     GET  /ready         200 once there is something to serve, else 503 with the reason
 *     GET  /metrics       Prometheus
 *     GET  /clients       the connected streams: who they are, what they run, what they refused
 *     GET  /config_dump   what each gateway is served, as JSON; ?gateway=name, ?type=CDS; secrets
 *                         are redacted
 *     POST /logging       ?level=debug
 *
 * Everything here belongs to the control plane's loop thread.
 */
#ifndef CONTROLPLANE_SERVER_ADMIN_H
#define CONTROLPLANE_SERVER_ADMIN_H

#include "common/io/admin_server.h"
#include "controlplane/server/pipeline.h"

struct admin;

/* Adds the pages to server. Everything is borrowed; free it after the server. */
struct admin *admin_new(struct admin_server *server, const struct pipeline *pipeline,
                        const struct ads_server *ads);
/* NULL is fine. */
void admin_free(struct admin *admin);
/* /ready answers 503 from now on. */
void admin_set_draining(struct admin *admin);

#endif
