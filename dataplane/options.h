/* The command line of weir-proxy: Envoy's flags where Envoy has them, and a few of ours. */
#ifndef DATAPLANE_OPTIONS_H
#define DATAPLANE_OPTIONS_H

#include "common/base/err.h"

#include <stdint.h>

#define WEIR_PROXY_VERSION "0.1.0"

enum options_mode { MODE_SERVE, MODE_VALIDATE, MODE_VERSION, MODE_HELP };

enum { WORKERS_MAX = 256, DRAIN_TIME_MAX_S = 24 * 3600 };

/* Strings are argv's; NULL where not given. */
struct options {
    enum options_mode mode;
    const char *config_path;
    const char *config_yaml;
    const char *service_node;    /* node.id */
    const char *service_cluster; /* node.cluster */
    const char *control;         /* host:port of the control plane */
    const char *gateway;         /* node.cluster, too */
    const char *admin_address;   /* "ip:port"; "off": no admin pages */
    const char *last_good_path;
    const char *log_level;
    const char *log_path;
    uint32_t workers; /* concurrency */
    uint64_t drain_time_ms;
};

extern const char options_help[];

/* 0, or ERR_INVALID with a sentence. */
int options_parse(int argc, char **argv, struct options *ret_options,
                  struct errmsg *msg) MUST_CHECK;

#endif
