/* Numbers that belong to no listener and no cluster: of the process and of its control plane. */
#include "dataplane/admin/admin_internal.h"
#include "dataplane/http/access_log.h"

static int add_process(const struct admin *admin, uint64_t now_ms, struct admin_number *ret)
{
    const struct admin_options *options = &admin->options;
    const struct admin_source *source = &options->source;
    const struct config *config = admin_config(admin);
    enum admin_state state = admin_state_of(admin);
    uint64_t dropped = options->log_writer ? access_log_writer_dropped(options->log_writer) : 0;
    uint64_t ignored = source->ignored_total ? source->ignored_total(source->arg) : 0;
    const struct admin_number numbers[] = {
        {"cluster_manager.active_clusters", "envoy_cluster_manager_active_clusters", true,
         config ? config->cluster_count : 0},
        {"listener_manager.total_listeners_active", "envoy_listener_manager_total_listeners_active",
         true, config ? config->listener_count : 0},
        {"server.concurrency", "envoy_server_concurrency", true,
         options->workers ? worker_pool_size(options->workers) : 0},
        {"server.live", "envoy_server_live", true, state == ADMIN_LIVE && !admin->is_unhealthy},
        {"server.state", "envoy_server_state", true, (uint64_t)state},
        {"server.uptime", "envoy_server_uptime", true, (now_ms - admin->started_ms) / 1000},
        {"access_log.lines_dropped", "weir_access_log_lines_dropped", false, dropped},
        {"xds.fields_ignored", "weir_xds_fields_ignored", false, ignored},
    };
    memcpy(ret, numbers, sizeof numbers);
    return sizeof numbers / sizeof *numbers;
}

static int add_control_plane(const struct admin *admin, struct admin_number *ret)
{
    const struct admin_source *source = &admin->options.source;
    struct admin_control_plane control = {.is_configured = false};
    if (source->control_plane)
        source->control_plane(source->arg, &control);
    if (!control.is_configured)
        return 0;
    const struct admin_updates *updates = control.updates;
    const struct admin_number numbers[] = {
        {"control_plane.connected_state", "envoy_control_plane_connected_state", true,
         control.is_connected},
        {"control_plane.streams_opened", "weir_control_plane_streams_opened", false,
         control.streams_opened},
        {"cluster_manager.cds.update_success", "envoy_cluster_manager_cds_update_success", false,
         updates[ADMIN_CDS].accepted},
        {"cluster_manager.cds.update_rejected", "envoy_cluster_manager_cds_update_rejected", false,
         updates[ADMIN_CDS].rejected},
        {"listener_manager.lds.update_success", "envoy_listener_manager_lds_update_success", false,
         updates[ADMIN_LDS].accepted},
        {"listener_manager.lds.update_rejected", "envoy_listener_manager_lds_update_rejected",
         false, updates[ADMIN_LDS].rejected},
        /* Envoy has these two for each cluster and each route configuration. */
        {"xds.eds.update_success", "weir_xds_eds_update_success", false,
         updates[ADMIN_EDS].accepted},
        {"xds.eds.update_rejected", "weir_xds_eds_update_rejected", false,
         updates[ADMIN_EDS].rejected},
        {"xds.rds.update_success", "weir_xds_rds_update_success", false,
         updates[ADMIN_RDS].accepted},
        {"xds.rds.update_rejected", "weir_xds_rds_update_rejected", false,
         updates[ADMIN_RDS].rejected},
        {"xds.resources_rejected", "weir_xds_resources_rejected", false,
         control.resources_rejected},
    };
    memcpy(ret, numbers, sizeof numbers);
    return sizeof numbers / sizeof *numbers;
}

int admin_numbers(const struct admin *admin, uint64_t now_ms,
                  struct admin_number ret[ADMIN_NUMBERS_MAX])
{
    int count = add_process(admin, now_ms, ret);
    count += add_control_plane(admin, ret + count);
    ASSERT(count <= ADMIN_NUMBERS_MAX);
    return count;
}
