/* weir-control: wires source, pipeline, xDS server and admin pages together; no logic. */
#include "common/base/log.h"
#include "common/base/mem.h"
#include "controlplane/flags.h"
#include "controlplane/server/admin.h"
#include "controlplane/server/certificate.h"

#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define WEIR_VERSION "0.1.0"

enum {
    EXIT_USAGE = 2,
    /* For proxies to go to another replica by themselves, and for the last statuses to be written.
     */
    STREAMS_GRACE_MS = 1000,
    STATUSES_GRACE_MS = 300,
};

struct daemon {
    struct loop *loop;
    struct rpc_runtime *runtime;
    struct ledger *ledger;
    struct certificate *certificate; /* of the xDS port; NULL: plaintext */
    struct ads_server *ads;
    struct pipeline *pipeline;
    struct source *source;
    struct admin_server *admin_server;
    struct admin *admin;
    struct event *signals[2];
    struct loop_timer last_statuses;
    bool is_stopping;
};

/* --- stopping
 * ------------------------------------------------------------------------------------------ */

static void on_last_statuses_written(struct loop_timer *timer)
{
    struct daemon *daemon = CONTAINER_OF(timer, struct daemon, last_statuses);
    loop_stop(daemon->loop);
}

static void on_streams_ended(void *arg)
{
    struct daemon *daemon = arg;
    pipeline_flush_statuses(daemon->pipeline);
    loop_timer_start(&daemon->last_statuses, STATUSES_GRACE_MS);
}

static void on_signal(evutil_socket_t number, short what, void *arg)
{
    struct daemon *daemon = arg;
    (void)what;
    log_info("stopping signal=%s", strsignal((int)number));
    if (daemon->is_stopping) {
        loop_stop(daemon->loop);
        return;
    }
    daemon->is_stopping = true;
    admin_set_draining(daemon->admin);
    pipeline_close_statuses(daemon->pipeline);
    ads_stop(daemon->ads, STREAMS_GRACE_MS, on_streams_ended, daemon);
}

static void watch_signals(struct daemon *daemon)
{
    static const int numbers[] = {SIGTERM, SIGINT};
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < 2; i++) {
        daemon->signals[i] =
            evsignal_new(loop_event_base(daemon->loop), numbers[i], on_signal, daemon);
        ASSERT(daemon->signals[i]);
        event_add(daemon->signals[i], NULL);
    }
}

/* --- starting
 * ------------------------------------------------------------------------------------------ */

static struct source *new_source(struct daemon *daemon, const struct flags *flags,
                                 struct errmsg *msg)
{
    if (flags->source == FLAGS_SOURCE_DIRECTORY)
        return source_directory_new(daemon->loop,
                                    &(struct source_directory_options){
                                        .path = flags->directory,
                                        .status_path = flags->status_directory,
                                    },
                                    pipeline_listener(), daemon->pipeline);
    return source_etcd_new(
        daemon->runtime,
        &(struct source_etcd_options){
            .endpoints = flags->etcd_endpoints,
            .endpoint_count = flags->etcd_endpoint_count,
            .prefix = flags->prefix,
            .status_prefix = flags->status_prefix[0] ? flags->status_prefix : NULL,
            .followed = STATUS_PROXIES,
            .user = flags->etcd_user,
            .password = flags->etcd_password,
            .ca_file = flags->etcd_ca,
            .cert_file = flags->etcd_cert,
            .key_file = flags->etcd_key,
            .last_good_path = flags->last_good_path,
        },
        pipeline_listener(), daemon->pipeline, msg);
}

static int listen_for_proxies(struct daemon *daemon, const struct flags *flags, uint16_t *ret_port,
                              struct errmsg *msg)
{
    struct rpc_credentials *credentials = NULL;
    if (flags->xds_cert) {
        daemon->certificate = certificate_new(daemon->loop,
                                              &(struct certificate_files){
                                                  .cert = flags->xds_cert,
                                                  .key = flags->xds_key,
                                                  .client_ca = flags->xds_client_ca,
                                              },
                                              msg);
        if (!daemon->certificate)
            return ERR_INVALID;
        credentials = certificate_credentials(daemon->certificate);
        if (!flags->xds_client_ca)
            log_warning("xds_open_to_all text=\"consumers' API keys are sent to whoever connects: "
                        "use --xds-client-ca\"");
    }
    return ads_listen(daemon->ads, flags->xds_address, credentials, ret_port, msg);
}

static int daemon_init(struct daemon *daemon, const struct flags *flags, struct errmsg *msg)
{
    *daemon = (struct daemon){.loop = loop_new()};
    watch_signals(daemon);
    loop_timer_init(&daemon->last_statuses, daemon->loop, on_last_statuses_written);
    daemon->runtime = rpc_runtime_new(daemon->loop);
    daemon->ledger = ledger_new();
    daemon->ads = ads_new(daemon->runtime, daemon->ledger);
    daemon->pipeline = pipeline_new(daemon->loop, daemon->ads, daemon->ledger, flags->id);
    daemon->admin_server = admin_server_new(daemon->loop);
    daemon->admin = admin_new(daemon->admin_server, daemon->pipeline, daemon->ads);
    if (flags->admin_host)
        admin_server_allow_host(daemon->admin_server, flags->admin_host);
    uint16_t port;
    int err = listen_for_proxies(daemon, flags, &port, msg);
    if (!err)
        err = admin_server_listen(daemon->admin_server, flags->admin_address, msg);
    if (!err && !(daemon->source = new_source(daemon, flags, msg)))
        err = ERR_INVALID;
    if (err)
        return err;
    pipeline_set_source(daemon->pipeline, daemon->source);
    ads_start(daemon->ads);
    source_start(daemon->source);
    log_info("started version=" WEIR_VERSION " xds=%s xds_port=%u admin=%s admin_port=%u",
             flags->xds_address, port, flags->admin_address,
             admin_server_port(daemon->admin_server));
    return 0;
}

/* Also what daemon_init left behind when it failed. */
static void daemon_done(struct daemon *daemon, bool was_started)
{
    if (was_started)
        source_stop(daemon->source);
    pipeline_set_source(daemon->pipeline, NULL);
    source_free(daemon->source);
    admin_server_free(daemon->admin_server);
    admin_free(daemon->admin);
    ads_free(daemon->ads);
    certificate_free(daemon->certificate);
    rpc_runtime_free(daemon->runtime);
    pipeline_free(daemon->pipeline);
    for (size_t i = 0; i < 2; i++)
        event_free(daemon->signals[i]);
    loop_timer_stop(&daemon->last_statuses);
    loop_free(daemon->loop);
    ledger_free(daemon->ledger);
}

static int run(const struct flags *flags)
{
    struct daemon daemon;
    struct errmsg msg = {""};
    int err = daemon_init(&daemon, flags, &msg);
    if (err)
        fprintf(stderr, "weir-control: %s\n", msg.text);
    else
        loop_run(daemon.loop);
    daemon_done(&daemon, !err);
    return err == ERR_INVALID ? EXIT_USAGE : err ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    struct flags flags;
    struct errmsg msg;
    int status = EXIT_SUCCESS;
    if (flags_parse(&flags, argc, argv, &msg) != 0) {
        fprintf(stderr, "weir-control: %s\n", msg.text);
        status = EXIT_USAGE;
    } else if (flags.wants_help) {
        fputs(flags_help(), stdout);
    } else if (flags.wants_version) {
        puts("weir-control " WEIR_VERSION);
    } else if (!log_set_level(flags.log_level)) {
        fprintf(stderr, "weir-control: --log-level: \"%s\" is no level; see --help\n",
                flags.log_level);
        status = EXIT_USAGE;
    } else {
        status = run(&flags);
    }
    flags_done(&flags);
    return status;
}
