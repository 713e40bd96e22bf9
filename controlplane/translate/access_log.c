#include "controlplane/translate/access_log.h"

#include "controlplane/policy/build.h"

#include <envoy/extensions/access_loggers/file/v3/file.pb-c.h>

typedef Envoy__Extensions__AccessLoggers__File__V3__FileAccessLog FileAccessLog;

/* Members of a JSON line. */
static const char *const members[][2] = {
    {"time", "%START_TIME%"},
    {"method", "%REQ(:METHOD)%"},
    {"path", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"},
    {"protocol", "%PROTOCOL%"},
    {"host", "%REQ(:AUTHORITY)%"},
    {"status", "%RESPONSE_CODE%"},
    {"details", "%RESPONSE_CODE_DETAILS%"},
    {"flags", "%RESPONSE_FLAGS%"},
    {"bytes_received", "%BYTES_RECEIVED%"},
    {"bytes_sent", "%BYTES_SENT%"},
    {"duration_ms", "%DURATION%"},
    {"client", "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"},
    {"consumer", "%REQ(X-WEIR-CONSUMER)%"},
    {"route", "%ROUTE_NAME%"},
    {"service", "%UPSTREAM_CLUSTER%"},
    {"upstream", "%UPSTREAM_HOST%"},
    {"user_agent", "%REQ(USER-AGENT)%"},
    {"request_id", "%REQ(X-REQUEST-ID)%"},
};
enum { MEMBER_COUNT = sizeof members / sizeof *members };

Envoy__Config__Accesslog__V3__AccessLog *access_log_build(struct arena *arena,
                                                          const Weir__V1__AccessLog *log)
{
    Envoy__Config__Accesslog__V3__AccessLog *message =
        build_message(arena, &envoy__config__accesslog__v3__access_log__descriptor);
    FileAccessLog *file = build_message(
        arena, &envoy__extensions__access_loggers__file__v3__file_access_log__descriptor);
    file->path = log->path;
    if (log->form == WEIR__V1__ACCESS_LOG_FORM__JSON) {
        file->access_log_format_case =
            ENVOY__EXTENSIONS__ACCESS_LOGGERS__FILE__V3__FILE_ACCESS_LOG__ACCESS_LOG_FORMAT_LOG_FORMAT;
        file->log_format = build_json_format(arena, members, MEMBER_COUNT);
    }
    message->name = build_text(arena, "envoy.access_loggers.file");
    message->config_type_case = ENVOY__CONFIG__ACCESSLOG__V3__ACCESS_LOG__CONFIG_TYPE_TYPED_CONFIG;
    message->typed_config = build_any(arena, &file->base);
    return message;
}
