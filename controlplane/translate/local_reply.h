/* The form of answers that the data plane makes itself. Thread: the control plane's loop. */
#ifndef CONTROLPLANE_TRANSLATE_LOCAL_REPLY_H
#define CONTROLPLANE_TRANSLATE_LOCAL_REPLY_H

#include "common/base/arena.h"

#include <envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb-c.h>

/* Errors are application/problem+json (RFC 9457). Plain text stays for clients that ask for text,
 * for gRPC (whose message it becomes), and for what is no error of ours: redirects, and direct
 * responses, which come as the operator wrote them. In arena. */
Envoy__Extensions__Filters__Network__HttpConnectionManager__V3__LocalReplyConfig *
local_reply_config(struct arena *arena);

#endif
