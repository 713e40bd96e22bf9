/* weir-control's command line. */
#ifndef CONTROLPLANE_FLAGS_H
#define CONTROLPLANE_FLAGS_H

#include "common/base/err.h"

#include <stdbool.h>
#include <stddef.h>

enum { FLAGS_ENDPOINTS_MAX = 16 };

enum flags_source { FLAGS_SOURCE_ETCD, FLAGS_SOURCE_DIRECTORY };

/* Strings are argv's, or owned by the flags until flags_done. */
struct flags {
    enum flags_source source;
    const char *etcd_endpoints[FLAGS_ENDPOINTS_MAX];
    size_t etcd_endpoint_count;
    const char *etcd_user;
    const char *etcd_password; /* read from --etcd-password-file */
    const char *etcd_ca;
    const char *etcd_cert;
    const char *etcd_key;
    const char *prefix;
    const char *status_prefix;
    const char *directory;
    const char *status_directory;
    const char *last_good_path;
    const char *xds_address;
    const char *xds_cert;
    const char *xds_key;
    const char *xds_client_ca;
    const char *admin_address;
    const char *admin_host; /* NULL: none */
    const char *id;
    const char *log_level;
    bool wants_help;
    bool wants_version;
    char *owned[4]; /* what flags_done frees */
    char host_name[256];
};

/* Reads the command line. 0, or ERR_INVALID with a sentence that names the flag. Either way
 * flags_done is to be called. */
int flags_parse(struct flags *flags, int argc, char **argv, struct errmsg *ret_msg) MUST_CHECK;
void flags_done(struct flags *flags);
/* The text of --help; static storage. */
const char *flags_help(void);

#endif
