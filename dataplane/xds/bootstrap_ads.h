/* The part of a bootstrap that says where the control plane is; bootstrap.c's other half. */
#ifndef DATAPLANE_XDS_BOOTSTRAP_ADS_H
#define DATAPLANE_XDS_BOOTSTRAP_ADS_H

#include "dataplane/xds/bootstrap.h"

/* Fills bootstrap->ads from dynamic_resources. */
int bootstrap_read_ads(struct bootstrap *bootstrap, struct errmsg *msg) MUST_CHECK;
/* Appends a file to out, as far as out has room. */
int bootstrap_read_file(const char *path, struct buf *out, struct errmsg *msg) MUST_CHECK;

#endif
