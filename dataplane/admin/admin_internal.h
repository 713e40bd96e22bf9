/* What the admin pages share. */
#ifndef DATAPLANE_ADMIN_ADMIN_INTERNAL_H
#define DATAPLANE_ADMIN_ADMIN_INTERNAL_H

#include "common/io/admin_server.h"
#include "dataplane/admin/admin.h"
#include "dataplane/config/stats.h"

struct admin {
    struct admin_options options;
    struct admin_server *server;
    uint64_t started_ms;
    bool is_unhealthy; /* by POST /healthcheck/fail */
};

/* Pages; arg is the struct admin. */
void stats_page(const struct admin_request *request, struct admin_reply *reply, void *arg);
void stats_prometheus_page(const struct admin_request *request, struct admin_reply *reply,
                           void *arg);
void clusters_page(const struct admin_request *request, struct admin_reply *reply, void *arg);
void config_dump_page(const struct admin_request *request, struct admin_reply *reply, void *arg);
void control_plane_page(const struct admin_request *request, struct admin_reply *reply, void *arg);
void unsupported_fields_page(const struct admin_request *request, struct admin_reply *reply,
                             void *arg);

/* The state as pages show it, and its number in metrics (Envoy's). */
enum admin_state admin_state_of(const struct admin *admin);
const struct config *admin_config(const struct admin *admin);
/* Appends s without control characters, so that a name stays on its line. */
void admin_append_name(struct buf *out, struct str s);

/* --- numbers, for /stats and for tests --- */

/* A number of the process, or of its control plane. */
struct admin_number {
    const char *name;
    const char *prometheus_name;
    bool is_gauge;
    uint64_t value;
};
enum { ADMIN_NUMBERS_MAX = 24 };

/* Writes them to ret and returns how many there are. */
int admin_numbers(const struct admin *admin, uint64_t now_ms,
                  struct admin_number ret[ADMIN_NUMBERS_MAX]);

/* The sum over all workers of the field at this offset of a block. */
uint64_t admin_sum_field(const struct stats_scope *scope, size_t offset);

#endif
