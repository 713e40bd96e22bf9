/* The HttpConnectionManager of a listener; a part of decode_listener.c's work. */
#ifndef DATAPLANE_XDS_DECODE_HCM_H
#define DATAPLANE_XDS_DECODE_HCM_H

#include "dataplane/xds/decode_internal.h"

/* Fills what an HttpConnectionManager says into listener (its name and address are set). 0,
 * or ERR_* with a sentence that begins with the field inside the manager. */
int decode_hcm(const struct decode_context *context, const Google__Protobuf__Any *typed_config,
               struct listener_config *listener, struct errmsg *msg) MUST_CHECK;

#endif
