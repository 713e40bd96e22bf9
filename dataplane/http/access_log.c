#include "dataplane/http/access_log.h"

#include "common/pbjson/pbjson.h"
#include "dataplane/http/access_log_internal.h"
#include "dataplane/http/format.h"
#include "dataplane/listener/worker.h"

#include <envoy/extensions/access_loggers/file/v3/file.pb-c.h>
#include <envoy/extensions/access_loggers/stream/v3/stream.pb-c.h>

typedef Envoy__Extensions__AccessLoggers__File__V3__FileAccessLog file_log;
typedef Envoy__Extensions__AccessLoggers__Stream__V3__StdoutAccessLog stdout_log;
typedef Envoy__Extensions__AccessLoggers__Stream__V3__StderrAccessLog stderr_log;

struct access_log_config {
    struct access_log_sink *sink;
    const struct format *format;
    const struct access_log_filter *filter; /* NULL: every request */
};

/* --- loading --- */

/* What the shared state of a file holds. */
struct open_sink {
    struct access_log_sink *sink; /* NULL: it could not be opened */
};

struct opening {
    struct access_log_writer *writer;
    const char *path;
    struct errmsg *msg;
};

static void open_sink_init(void *object, const void *arg)
{
    struct open_sink *open = object;
    const struct opening *opening = arg;
    if (access_log_sink_open(opening->writer, opening->path, &open->sink, opening->msg))
        open->sink = NULL;
}

static void open_sink_done(void *object)
{
    struct open_sink *open = object;
    if (open->sink)
        access_log_sink_retire(open->sink);
}

static int get_sink(struct filter_load *load, struct access_log_writer *writer, const char *path,
                    struct access_log_sink **ret_sink, struct errmsg *msg)
{
    struct opening opening = {.writer = writer, .path = path, .msg = msg};
    const char *key = arena_printf(load->arena, "access_log/%s", path);
    struct shared_state *state =
        shared_state_get(load->shared, str_from(key), sizeof(struct open_sink), open_sink_init,
                         &opening, open_sink_done);
    struct open_sink *open = shared_state_object(state);
    if (!open->sink) {
        shared_state_unref(state);
        return ERR_IO;
    }
    vec_append(load->states, state);
    *ret_sink = open->sink;
    return 0;
}

static int set_format(struct filter_load *load, struct access_log_config *config,
                      const Envoy__Config__Core__V3__SubstitutionFormatString *message,
                      struct errmsg *msg)
{
    if (message)
        return format_new(load->arena, message, &config->format, msg);
    config->format = format_new_default(load->arena);
    return 0;
}

static int set_file_format(struct filter_load *load, struct access_log_config *config,
                           const file_log *message, struct errmsg *msg)
{
    switch (message->access_log_format_case) {
    case ENVOY__EXTENSIONS__ACCESS_LOGGERS__FILE__V3__FILE_ACCESS_LOG__ACCESS_LOG_FORMAT_FORMAT:
        return format_new_text(load->arena, str_from(message->format), false, &config->format, msg);
    case ENVOY__EXTENSIONS__ACCESS_LOGGERS__FILE__V3__FILE_ACCESS_LOG__ACCESS_LOG_FORMAT_JSON_FORMAT:
        return format_new_json(load->arena, message->json_format, false, &config->format, msg);
    case ENVOY__EXTENSIONS__ACCESS_LOGGERS__FILE__V3__FILE_ACCESS_LOG__ACCESS_LOG_FORMAT_TYPED_JSON_FORMAT:
        return format_new_json(load->arena, message->typed_json_format, false, &config->format,
                               msg);
    case ENVOY__EXTENSIONS__ACCESS_LOGGERS__FILE__V3__FILE_ACCESS_LOG__ACCESS_LOG_FORMAT_LOG_FORMAT:
        return set_format(load, config, message->log_format, msg);
    case ENVOY__EXTENSIONS__ACCESS_LOGGERS__FILE__V3__FILE_ACCESS_LOG__ACCESS_LOG_FORMAT__NOT_SET:
    case _ENVOY__EXTENSIONS__ACCESS_LOGGERS__FILE__V3__FILE_ACCESS_LOG__ACCESS_LOG_FORMAT__CASE_IS_INT_SIZE:
        break;
    }
    return set_format(load, config, NULL, msg);
}

static int load_file(struct filter_load *load, struct access_log_writer *writer,
                     const file_log *message, struct access_log_config *config, struct errmsg *msg)
{
    const char *path = message->path;
    if (!*path)
        return errmsg_set(msg, ERR_INVALID, "path is missing");
    if (!strcmp(path, "/dev/stdout"))
        path = "";
    else if (!strcmp(path, "/dev/stderr"))
        path = "-";
    int err = set_file_format(load, config, message, msg);
    return err ? err : get_sink(load, writer, path, &config->sink, msg);
}

static bool has_type(const Google__Protobuf__Any *any, const ProtobufCMessageDescriptor *descriptor)
{
    const char *slash = strrchr(any->type_url, '/');
    return !strcmp(slash ? slash + 1 : any->type_url, descriptor->name);
}

/* The two stream loggers are one message under two names. */
_Static_assert(sizeof(stdout_log) == sizeof(stderr_log) &&
                   offsetof(stdout_log, log_format) == offsetof(stderr_log, log_format),
               "messages with the same fields have the same layout");

static int load_typed(struct filter_load *load, struct access_log_writer *writer,
                      const Google__Protobuf__Any *any, struct access_log_config *config,
                      struct errmsg *msg)
{
    const ProtobufCMessageDescriptor *const descriptors[] = {
        &envoy__extensions__access_loggers__file__v3__file_access_log__descriptor,
        &envoy__extensions__access_loggers__stream__v3__stdout_access_log__descriptor,
        &envoy__extensions__access_loggers__stream__v3__stderr_access_log__descriptor,
    };
    int type = 0;
    while (type < 3 && !has_type(any, descriptors[type]))
        type++;
    if (type == 3)
        return errmsg_set(msg, ERR_UNSUPPORTED, "type %s is not supported", any->type_url);
    struct str bytes = {.data = (const char *)any->value.data, .len = any->value.len};
    const ProtobufCMessage *message = pbjson_unpack(descriptors[type], bytes, load->arena);
    if (!message)
        return errmsg_set(msg, ERR_INVALID, "typed_config is not a %s", descriptors[type]->name);
    if (type == 0)
        return load_file(load, writer, (const file_log *)message, config, msg);
    const stdout_log *stream = (const stdout_log *)message;
    bool has_format =
        stream->access_log_format_case !=
        ENVOY__EXTENSIONS__ACCESS_LOGGERS__STREAM__V3__STDOUT_ACCESS_LOG__ACCESS_LOG_FORMAT__NOT_SET;
    int err = set_format(load, config, has_format ? stream->log_format : NULL, msg);
    return err ? err : get_sink(load, writer, type == 1 ? "" : "-", &config->sink, msg);
}

int access_log_load(struct filter_load *load, struct access_log_writer *writer,
                    const Envoy__Config__Accesslog__V3__AccessLog *message,
                    struct access_log_config **ret_config, struct errmsg *msg)
{
    struct access_log_config *config = ARENA_NEW(load->arena, struct access_log_config);
    int err = 0;
    if (message->config_type_case !=
        ENVOY__CONFIG__ACCESSLOG__V3__ACCESS_LOG__CONFIG_TYPE_TYPED_CONFIG)
        err = errmsg_set(msg, ERR_INVALID, "typed_config is missing");
    if (!err && message->filter)
        err = access_log_filter_new(load, message->filter, &config->filter, msg);
    if (!err)
        err = load_typed(load, writer, message->typed_config, config, msg);
    if (err)
        errmsg_prefix(msg, "access log %s: ", message->name);
    else
        *ret_config = config;
    return err;
}

/* --- logging --- */

/* Renders a line; where it is too long, again with shorter values. 0: it cannot be made to fit. */
static size_t render_line(const struct format *format, const struct format_input *input,
                          char line[static ACCESS_LOG_LINE_BYTES_MAX])
{
    static const size_t value_maxima[] = {SIZE_MAX, 1024, 128};
    for (size_t i = 0; i < sizeof value_maxima / sizeof *value_maxima; i++) {
        bool is_cut;
        size_t len =
            format_render(format, input, line, ACCESS_LOG_LINE_BYTES_MAX, value_maxima[i], &is_cut);
        if (!is_cut)
            return len;
    }
    return 0;
}

static void log_to(const struct access_log_config *config, const struct http_stream *stream)
{
    char line[ACCESS_LOG_LINE_BYTES_MAX];
    struct format_input input = {.stream = stream};
    struct access_log_writer *writer = stream->worker->log_writer;
    if (config->filter && !access_log_filter_match(config->filter, stream))
        return;
    size_t len = render_line(config->format, &input, line);
    if (len)
        access_log_writer_put(writer, stream->worker->index, config->sink,
                              (struct str){.data = line, .len = len});
    else
        access_log_writer_count_dropped(writer, stream->worker->index);
}

void access_log_stream(const struct http_stream *stream)
{
    const struct listener_config *listener = stream->listener;
    for (uint32_t i = 0; i < listener->access_log_count; i++)
        log_to(listener->access_logs[i], stream);
}
