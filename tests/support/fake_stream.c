#include "tests/support/fake_stream.h"

#include "common/pbjson/pbjson.h"
#include "tests/support/test.h"

#include <envoy/extensions/access_loggers/file/v3/file.pb-c.h>
#include <envoy/extensions/access_loggers/stream/v3/stream.pb-c.h>
#include <envoy/extensions/filters/http/api_key_auth/v3/api_key_auth.pb-c.h>
#include <envoy/extensions/filters/http/header_mutation/v3/header_mutation.pb-c.h>
#include <envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit.pb-c.h>

void fake_stream_init(struct fake_stream *fake)
{
    *fake = (struct fake_stream){0};
    struct http_stream *stream = &fake->stream;
    arena_init(&stream->arena, 4096);
    stream->worker = &fake->worker;
    stream->listener = &fake->listener;
    stream->stats = &fake->stats;
    stream->route = &fake->route;
    stream->remote_address = STR("192.0.2.7:4711");
    stream->local_address = STR("192.0.2.1:80");
    stream->client_ip = STR("192.0.2.7");
    stream->start_wall_us = 1795331452961000;
    fake->worker.now_ns = 86400ull * 1000000000;
    stream->start_ns = fake->worker.now_ns;
    http_request_init(&stream->request, &stream->arena);
    http_response_init(&stream->response, &stream->arena);
}

void fake_stream_done(struct fake_stream *fake)
{
    arena_done(&fake->stream.arena);
}

static void add_line(struct fake_stream *fake, struct str line)
{
    size_t colon = str_find_char(line, ':', 1);
    struct str name = str_slice(line, 0, colon);
    struct str value = str_trim(str_slice(line, colon + 1, line.len));
    if (str_equal(name, STR("host")))
        fake->stream.request.authority = value;
    else
        header_list_add_name(&fake->stream.request.headers, name, value);
}

void fake_stream_request(struct fake_stream *fake, const char *method, const char *path,
                         const char *headers)
{
    struct http_request *request = &fake->stream.request;
    http_request_init(request, &fake->stream.arena);
    request->method = str_from(method);
    request->method_id = http_method_of(request->method);
    request->path = str_from(path);
    request->authority = STR("example.com");
    struct str rest = str_from(headers ? headers : "");
    while (rest.len) {
        size_t end = str_find_char(rest, '\n', 0);
        if (end)
            add_line(fake, str_slice(rest, 0, end));
        rest = str_slice(rest, end < rest.len ? end + 1 : end, rest.len);
    }
}

void fake_stream_again(struct fake_stream *fake, const char *path, const char *headers)
{
    fake_stream_request(fake, "GET", path, headers);
    http_response_init(&fake->stream.response, &fake->stream.arena);
    fake->filter.state = NULL;
    fake->stream.flags = 0;
    fake->stream.consumer = (struct str){0};
    fake->has_replied = false;
    fake->reply_status = 0;
    fake->reply_details = "";
}

static const char *header_text(struct fake_stream *fake, const struct header_list *headers,
                               const char *name)
{
    const struct header *header = header_list_find_name(headers, str_from(name));
    return header ? arena_copy_str(&fake->stream.arena, header->value).data : "";
}

const char *fake_stream_request_header(struct fake_stream *fake, const char *name)
{
    return header_text(fake, &fake->stream.request.headers, name);
}

const char *fake_stream_response_header(struct fake_stream *fake, const char *name)
{
    return header_text(fake, &fake->stream.response.headers, name);
}

/* Weak: a test that links the real stream gets the real ones. */
void __attribute__((weak))
http_stream_reply(struct http_stream *stream, unsigned status, struct str body, const char *details,
                  const struct header_list *headers)
{
    struct fake_stream *fake = CONTAINER_OF(stream, struct fake_stream, stream);
    fake->has_replied = true;
    fake->reply_status = status;
    fake->reply_body = body;
    fake->reply_details = details;
    stream->details = details;
    stream->response.status = status;
    for (uint32_t i = 0; headers && i < headers->len; i++)
        header_list_add_name(&stream->response.headers, headers->items[i].name,
                             headers->items[i].value);
}

uint64_t __attribute__((weak)) worker_random(struct worker *worker)
{
    return CONTAINER_OF(worker, struct fake_stream, worker)->next_random;
}

/* --- loading --- */

void fake_load_init(struct fake_load *fake)
{
    *fake = (struct fake_load){0};
    arena_init(&fake->arena, 4096);
    fake->load = (struct filter_load){.arena = &fake->arena,
                                      .shared = shared_registry_new(),
                                      .scope = STR("listener test"),
                                      .states = &fake->states,
                                      .workers = 1};
}

void fake_load_done(struct fake_load *fake)
{
    for (size_t i = 0; i < fake->states.len; i++)
        shared_state_unref(fake->states.items[i]);
    vec_done(&fake->states);
    shared_registry_free(fake->load.shared);
    arena_done(&fake->arena);
}

void *fake_load_message(struct fake_load *fake, const ProtobufCMessageDescriptor *descriptor,
                        const char *json)
{
    static const ProtobufCMessageDescriptor *const known[] = {
        &envoy__extensions__access_loggers__file__v3__file_access_log__descriptor,
        &envoy__extensions__access_loggers__stream__v3__stdout_access_log__descriptor,
        &envoy__extensions__access_loggers__stream__v3__stderr_access_log__descriptor,
        &envoy__extensions__filters__http__api_key_auth__v3__api_key_auth__descriptor,
        &envoy__extensions__filters__http__api_key_auth__v3__api_key_auth_per_route__descriptor,
        &envoy__extensions__filters__http__header_mutation__v3__header_mutation__descriptor,
        &envoy__extensions__filters__http__header_mutation__v3__header_mutation_per_route__descriptor,
        &envoy__extensions__filters__http__local_ratelimit__v3__local_rate_limit__descriptor,
        &envoy__config__route__v3__filter_config__descriptor,
    };
    struct pbjson_registry *registry = pbjson_registry_new();
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        pbjson_registry_add(registry, known[i]);
    struct pbjson_options options = {.registry = registry};
    ProtobufCMessage *message = NULL;
    int err =
        pbjson_parse(descriptor, str_from(json), &options, &fake->arena, &message, &fake->msg);
    pbjson_registry_free(registry);
    ck_assert_msg(err == 0, "%s", fake->msg.text);
    return message;
}
