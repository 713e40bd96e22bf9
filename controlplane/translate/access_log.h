/* Access logs. Thread: the control plane's loop. */
#ifndef CONTROLPLANE_TRANSLATE_ACCESS_LOG_H
#define CONTROLPLANE_TRANSLATE_ACCESS_LOG_H

#include "common/base/arena.h"

#include <envoy/config/accesslog/v3/accesslog.pb-c.h>
#include <weir/v1/gateways.pb-c.h>

/* In arena. */
Envoy__Config__Accesslog__V3__AccessLog *access_log_build(struct arena *arena,
                                                          const Weir__V1__AccessLog *log);

#endif
