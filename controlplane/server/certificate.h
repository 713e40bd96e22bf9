/*
 * The certificate of the xDS port, from files: read at the start, and looked at again every
 * CERTIFICATE_LOOK_MS, so that a renewed one needs no restart. New connections get the new one;
 * those that are open stay. Files that cannot be used leave the one before in use and are logged
 * once.
 *
 * Everything here belongs to the control plane's loop thread.
 */
#ifndef CONTROLPLANE_SERVER_CERTIFICATE_H
#define CONTROLPLANE_SERVER_CERTIFICATE_H

#include "common/rpc/rpc.h"

/* Who renews a certificate does so hours before the old one ends. */
enum { CERTIFICATE_LOOK_MS = 10 * 1000 };

/* PEM files. Borrowed; must outlive the certificate. */
struct certificate_files {
    const char *cert;      /* chain, leaf first */
    const char *key;       /* unencrypted */
    const char *client_ca; /* clients must show a certificate of these CAs; NULL: they need none */
};

struct certificate;

/* NULL with a sentence that names flag and file where a file cannot be used. A runtime must exist.
 */
struct certificate *certificate_new(struct loop *loop, const struct certificate_files *files,
                                    struct errmsg *ret_msg) MUST_CHECK;
/* What to listen with; borrowed. */
struct rpc_credentials *certificate_credentials(const struct certificate *certificate);
/* Looks at the files now, as the timer does. */
void certificate_look(struct certificate *certificate);
/* NULL is fine. */
void certificate_free(struct certificate *certificate);

#endif
