/* The HTTP/1 codec under libFuzzer: a request, then its body, then a response, each parsed whole
 * and in pieces, which must come to the same; what was taken must write and parse again to the
 * same. */
#include "common/base/buf.h"
#include "common/base/mem.h"
#include "dataplane/http/h1_body.h"
#include "dataplane/http/h1_write.h"
#include "dataplane/http/path.h"

static const struct h1_limits limits = {
    .head_bytes_max = 4096,
    .header_count_max = 20,
    .target_bytes_max = 1024,
    .trailer_bytes_max = 256,
    .chunk_extension_bytes_max = 64,
    .accepts_http10 = true,
    .accepts_any_method = true,
};

static void expect_same_lists(const struct header_list *a, const struct header_list *b)
{
    ASSERT(a->len == b->len && a->present == b->present);
    for (uint32_t i = 0; i < a->len; i++) {
        ASSERT(str_equal(a->items[i].name, b->items[i].name));
        ASSERT(str_equal(a->items[i].value, b->items[i].value));
        ASSERT(a->items[i].id == b->items[i].id && a->items[i].flags == b->items[i].flags);
    }
}

/* --- bodies --- */

struct decoded {
    struct buf payload;
    size_t used;
    int err;
    bool is_done;
};

static struct decoded decode(struct str text, enum body_kind kind, uint64_t length, size_t step,
                             struct arena *arena)
{
    struct decoded decoded = {0};
    struct h1_body body;
    struct h1_error error;
    buf_init(&decoded.payload, SIZE_MAX);
    h1_body_init(&body, kind, length, &limits, arena);
    while (decoded.used < text.len && !decoded.err && !h1_body_is_done(&body)) {
        size_t consumed = 0, len = text.len - decoded.used;
        struct str run = {0};
        decoded.err = h1_body_decode(&body, text.data + decoded.used, len < step ? len : step,
                                     &consumed, &run, &error);
        if (decoded.err)
            break;
        ASSERT(consumed > 0 && consumed <= step);
        buf_append_str(&decoded.payload, run);
        decoded.used += consumed;
    }
    decoded.is_done = h1_body_is_done(&body);
    return decoded;
}

static void check_body(struct str text, enum body_kind kind, uint64_t length, struct arena *arena)
{
    static const size_t steps[] = {1, 3, 7};
    struct decoded whole = decode(text, kind, length, SIZE_MAX, arena);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct decoded pieces = decode(text, kind, length, steps[i], arena);
        ASSERT(whole.err == pieces.err && whole.is_done == pieces.is_done);
        if (!whole.err) {
            ASSERT(whole.used == pieces.used);
            ASSERT(str_equal(buf_str(&whole.payload), buf_str(&pieces.payload)));
        }
        buf_done(&pieces.payload);
    }
    buf_done(&whole.payload);
}

/* --- requests --- */

static int parse_pieces(char *data, size_t len, size_t step, struct http_request *request)
{
    struct h1_scan scan = {0};
    struct h1_error error;
    for (size_t have = step < len ? step : len;; have = len - have > step ? have + step : len) {
        int result = h1_parse_request(data, have, &limits, &scan, request, &error);
        if (result != ERR_AGAIN || have == len)
            return result;
    }
}

static void check_written_request(const struct http_request *request, struct arena *arena)
{
    size_t size;
    struct h1_scan scan = {0};
    struct h1_error error;
    struct http_request again;
    int err = h1_request_size(request, &size);
    ASSERT(!err);
    char *memory = mem_alloc(size);
    ASSERT(h1_write_request(request, memory) == memory + size);
    struct h1_limits wide = limits;
    wide.head_bytes_max *= 2;
    wide.header_count_max += 4;
    http_request_init(&again, arena);
    ASSERT(h1_parse_request(memory, size, &wide, &scan, &again, &error) == (int)size);
    ASSERT(str_equal(request->authority, again.authority) && str_equal(request->path, again.path));
    ASSERT(request->body_kind == again.body_kind);
    ASSERT(request->content_length == again.content_length);
    mem_free(memory);
}

static void check_path(struct str path, struct arena *arena)
{
    for (unsigned i = 0; i < 16; i++) {
        struct path_options options = {.normalizes = i & 1,
                                       .merges_slashes = i >> 1 & 1,
                                       .escaped_slashes = (enum path_escaped_slashes)(i >> 2)};
        struct str once, twice;
        enum path_action action;
        if (path_normalise(path, &options, arena, &once, &action))
            continue;
        int err = path_normalise(once, &options, arena, &twice, &action);
        ASSERT(!err && action == PATH_CONTINUE && str_equal(once, twice));
    }
}

static size_t check_request(struct str text, struct arena *arena)
{
    struct http_request request, pieces;
    char *data = mem_copy_string(text.data, text.len), *copy = mem_copy_string(text.data, text.len);
    http_request_init(&request, arena);
    http_request_init(&pieces, arena);
    int result = parse_pieces(data, text.len, text.len, &request);
    int piecewise = parse_pieces(copy, text.len, 1 + text.len % 13, &pieces);
    /* A malformed head that has no end is refused at the latest when it has. */
    bool may_wait = result < 0 && piecewise == ERR_AGAIN;
    ASSERT(result == piecewise || (may_wait && !memmem(text.data, text.len, "\r\n\r\n", 4)));
    if (result > 0) {
        expect_same_lists(&request.headers, &pieces.headers);
        check_written_request(&request, arena);
        check_path(request.path, arena);
        check_body(str_slice(text, (size_t)result, text.len), request.body_kind,
                   request.content_length, arena);
        header_list_strip_hop_by_hop(&request.headers);
    }
    mem_free(data);
    mem_free(copy);
    return result > 0 ? (size_t)result : 0;
}

static void check_response(struct str text, enum http_method method, struct arena *arena)
{
    struct http_response response;
    struct h1_scan scan = {0};
    struct h1_error error;
    size_t size;
    char *data = mem_copy_string(text.data, text.len);
    http_response_init(&response, arena);
    int result = h1_parse_response(data, text.len, &limits, &scan, method, &response, &error);
    if (result > 0) {
        response.is_http10 = false;
        int err = h1_response_size(&response, &size);
        ASSERT(!err);
        char *memory = mem_alloc(size);
        ASSERT(h1_write_response(&response, memory) == memory + size);
        mem_free(memory);
        check_body(str_slice(text, (size_t)result, text.len), response.body_kind,
                   response.content_length, arena);
    }
    mem_free(data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {.data = (const char *)data, .len = size};
    struct arena arena;
    if (!size)
        return 0;
    arena_init(&arena, 16384);
    size_t used = check_request(text, &arena);
    if (used < size)
        check_body(str_slice(text, used, size), BODY_CHUNKED, 0, &arena);
    check_response(text,
                   size % 3 == 0   ? HTTP_HEAD
                   : size % 3 == 1 ? HTTP_CONNECT
                                   : HTTP_GET,
                   &arena);
    arena_done(&arena);
    return 0;
}
