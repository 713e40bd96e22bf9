/*
 * A back end for demonstrations and tests: answers every request with what it received, as JSON, so
 * that one sees which back end it was and what the gateway did to the request.
 *
 *     demo-backend NAME PORT
 *
 * Query parameters change the answer: status=503, body=N (N bytes of 'x' instead of the JSON),
 * delay=MS. GET /_count tells how many other requests have arrived (for tests that nothing did).
 * For loopback only; a lenient parser by design, no part of Weir's request path.
 */
#include "common/base/buf.h"

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum { BODY_BYTES_MAX = 64 << 20, DELAY_MS_MAX = 60000 };

struct backend {
    struct event_base *base;
    const char *name;
    unsigned long count;
};

struct delayed_answer {
    struct evhttp_request *request;
    struct event *timer;
    int status;
    struct evbuffer *body;
};

static void append_headers(struct buf *out, const struct evkeyvalq *headers)
{
    bool is_first = true;
    for (struct evkeyval *header = headers->tqh_first; header; header = header->next.tqe_next) {
        buf_append_str(out, is_first ? STR("\n    ") : STR(",\n    "));
        buf_append_json_string(out, str_from(header->key));
        buf_append_str(out, STR(": "));
        buf_append_json_string(out, str_from(header->value));
        is_first = false;
    }
}

static const char *method_name(enum evhttp_cmd_type method)
{
    switch (method) {
    case EVHTTP_REQ_GET:
        return "GET";
    case EVHTTP_REQ_POST:
        return "POST";
    case EVHTTP_REQ_HEAD:
        return "HEAD";
    case EVHTTP_REQ_PUT:
        return "PUT";
    case EVHTTP_REQ_DELETE:
        return "DELETE";
    case EVHTTP_REQ_OPTIONS:
        return "OPTIONS";
    case EVHTTP_REQ_TRACE:
        return "TRACE";
    case EVHTTP_REQ_CONNECT:
        return "CONNECT";
    case EVHTTP_REQ_PATCH:
        return "PATCH";
    }
    return "?";
}

static void describe(const struct backend *backend, struct evhttp_request *request,
                     struct evbuffer *body)
{
    struct buf out;
    buf_init(&out, 1 << 20);
    buf_append_str(&out, STR("{\n  \"backend\": "));
    buf_append_json_string(&out, str_from(backend->name));
    buf_printf(&out, ",\n  \"method\": \"%s\",\n  \"path\": ",
               method_name(evhttp_request_get_command(request)));
    buf_append_json_string(&out, str_from(evhttp_request_get_uri(request)));
    buf_printf(&out, ",\n  \"body_bytes\": %zu,\n  \"headers\": {",
               evbuffer_get_length(evhttp_request_get_input_buffer(request)));
    append_headers(&out, evhttp_request_get_input_headers(request));
    buf_append_str(&out, STR("\n  }\n}\n"));
    evbuffer_add(body, out.data, out.len);
    buf_done(&out);
}

static void send_answer(struct evhttp_request *request, int status, struct evbuffer *body)
{
    evhttp_send_reply(request, status, NULL, body);
    evbuffer_free(body);
}

static void on_delay_over(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct delayed_answer *answer = arg;
    event_free(answer->timer);
    send_answer(answer->request, answer->status, answer->body);
    free(answer);
}

static unsigned long number(const struct evkeyvalq *query, const char *key, unsigned long fallback,
                            unsigned long max)
{
    const char *text = evhttp_find_header(query, key);
    uint64_t value = 0;
    return text && str_to_u64(str_from(text), max, &value) ? (unsigned long)value : fallback;
}

static void on_request(struct evhttp_request *request, void *arg)
{
    struct backend *backend = arg;
    const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(request));
    struct evbuffer *body = evbuffer_new();
    if (path && strcmp(path, "/_count") == 0) {
        evbuffer_add_printf(body, "%lu\n", backend->count);
        send_answer(request, 200, body);
        return;
    }
    backend->count++;
    struct evkeyvalq query;
    const char *query_text = evhttp_uri_get_query(evhttp_request_get_evhttp_uri(request));
    evhttp_parse_query_str(query_text ? query_text : "", &query);
    int status = (int)number(&query, "status", 200, 599);
    unsigned long bytes = number(&query, "body", ULONG_MAX, BODY_BYTES_MAX);
    unsigned long delay_ms = number(&query, "delay", 0, DELAY_MS_MAX);
    evhttp_clear_headers(&query);
    struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
    evhttp_add_header(headers, "x-backend", backend->name);
    if (bytes != ULONG_MAX) {
        char *fill = malloc(bytes + 1);
        memset(fill, 'x', bytes);
        evbuffer_add(body, fill, bytes);
        free(fill);
        evhttp_add_header(headers, "content-type", "text/plain");
    } else {
        describe(backend, request, body);
        evhttp_add_header(headers, "content-type", "application/json");
    }
    if (!delay_ms) {
        send_answer(request, status, body);
        return;
    }
    struct delayed_answer *answer = malloc(sizeof *answer);
    *answer = (struct delayed_answer){.request = request, .status = status, .body = body};
    answer->timer = event_new(backend->base, -1, 0, on_delay_over, answer);
    struct timeval delay = {.tv_sec = (time_t)(delay_ms / 1000),
                            .tv_usec = (suseconds_t)(delay_ms % 1000 * 1000)};
    event_add(answer->timer, &delay);
}

int main(int argc, char **argv)
{
    uint64_t port;
    if (argc != 3 || !str_to_u64(str_from(argv[2]), 65535, &port)) {
        fprintf(stderr, "usage: demo-backend NAME PORT\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    struct backend backend = {.base = event_base_new(), .name = argv[1]};
    struct evhttp *http = evhttp_new(backend.base);
    evhttp_set_allowed_methods(http, EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_HEAD |
                                         EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE | EVHTTP_REQ_OPTIONS |
                                         EVHTTP_REQ_PATCH);
    evhttp_set_gencb(http, on_request, &backend);
    if (evhttp_bind_socket(http, "127.0.0.1", (uint16_t)port)) {
        fprintf(stderr, "demo-backend: 127.0.0.1:%s: address already in use\n", argv[2]);
        return 1;
    }
    event_base_dispatch(backend.base);
}
