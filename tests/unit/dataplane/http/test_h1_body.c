/* Bodies: where payload lies and where the message ends, for every way the bytes may come. */
#include "dataplane/http/h1_body.h"

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "tests/support/test.h"

#include <stdio.h>

/* What came of a body: the payload, and how much of the input was used when it was done. */
struct outcome {
    struct arena arena;
    struct buf payload;
    struct h1_body body;
    struct h1_error error;
    size_t used;
    int err;
};

static const struct h1_limits small_limits = {
    .header_count_max = 3, .trailer_bytes_max = 64, .chunk_extension_bytes_max = 16};

/* Feeds the piece from memory of exactly its size. */
static void feed(struct outcome *outcome, const char *text, size_t len)
{
    char *copy = mem_alloc(len), *at = copy;
    memcpy(copy, text, len);
    while (len && !outcome->err && !h1_body_is_done(&outcome->body)) {
        size_t consumed = 0;
        struct str run;
        outcome->err = h1_body_decode(&outcome->body, at, len, &consumed, &run, &outcome->error);
        if (outcome->err)
            break;
        ck_assert_uint_gt(consumed, 0);
        ck_assert(run.len == 0 || (run.data >= at && run.data + run.len <= at + consumed));
        buf_append_str(&outcome->payload, run);
        at += consumed;
        len -= consumed;
        outcome->used += consumed;
    }
    mem_free(copy);
}

/* Feeds text in pieces of `step` bytes, the first of `first`. */
static struct outcome decode(struct str text, enum body_kind kind, uint64_t content_length,
                             size_t first, size_t step)
{
    struct outcome outcome = {0};
    buf_init(&outcome.payload, SIZE_MAX);
    arena_init(&outcome.arena, 256);
    h1_body_init(&outcome.body, kind, content_length, &small_limits, &outcome.arena);
    for (size_t at = 0, len = first; at < text.len; at += len, len = step) {
        if (len > text.len - at)
            len = text.len - at;
        feed(&outcome, text.data + at, len);
    }
    return outcome;
}

static void outcome_done(struct outcome *outcome)
{
    buf_done(&outcome->payload);
    arena_done(&outcome->arena);
}

struct good_row {
    const char *text; /* with what follows the message behind '|' */
    const char *payload;
};

static const struct good_row good[] = {
    {"0\r\n\r\n|", ""},
    {"0\r\n\r\n|GET / HTTP/1.1", ""},
    {"5\r\nhello\r\n0\r\n\r\n|x", "hello"},
    {"5\r\nhello\r\n1\r\n,\r\n6\r\n world\r\n0\r\n\r\n|", "hello, world"},
    {"a\r\n0123456789\r\nA\r\n0123456789\r\n000\r\n\r\n|", "01234567890123456789"},
    {"0000000000000005\r\n0\r\n\r\n\r\n0\r\n\r\n|", "0\r\n\r\n"},
    {"1;a\r\nx\r\n0;b=\"c\"\r\n\r\n|", "x"},
    {"1 ; a\r\nx\r\n0\t;b\r\n\r\n|", "x"},
    {"1;\r\nx\r\n0;\r\n\r\n|", "x"},
    {"1\r\nx\r\n0\r\nA: b\r\n\r\n|y", "x"},
    {"0\r\nA: b\r\nC:\r\n\r\n|0\r\n\r\n", ""},
};

START_TEST(chunked_bodies_end_exactly_where_they_end_however_they_come)
{
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct str text = str_from(good[i].text);
        size_t end = str_find_char(text, '|', 0);
        char *joined = mem_copy_string(text.data, text.len);
        memmove(joined + end, joined + end + 1, text.len - end);
        text = str_from(joined);
        for (size_t first = 1; first <= text.len; first++) {
            for (size_t step = 1; step <= text.len; step += text.len - 1) {
                struct outcome outcome = decode(text, BODY_CHUNKED, 0, first, step);
                ck_assert_int_eq(outcome.err, 0);
                ck_assert(h1_body_is_done(&outcome.body));
                ck_assert_uint_eq(outcome.used, end);
                ck_assert(str_equal(buf_str(&outcome.payload), str_from(good[i].payload)));
                ck_assert_uint_eq(outcome.body.payload_bytes, strlen(good[i].payload));
                ck_assert_uint_eq(h1_body_left(&outcome.body), 0);
                outcome_done(&outcome);
            }
        }
        mem_free(joined);
    }
}
END_TEST

struct bad_row {
    struct str text;
    int err;
    const char *details;
};

#define BAD(literal)                                                                               \
    {                                                                                              \
        {(literal), sizeof(literal) - 1}, ERR_INVALID, "http1.invalid_chunk"                       \
    }
#define BAD_TRAILER(literal)                                                                       \
    {                                                                                              \
        {(literal), sizeof(literal) - 1}, ERR_INVALID, "http1.invalid_trailer"                     \
    }
#define LARGE(details, literal)                                                                    \
    {                                                                                              \
        {(literal), sizeof(literal) - 1}, ERR_TOO_LARGE, (details)                                 \
    }

static const struct bad_row bad[] = {
    BAD("\r\n"),
    BAD("x\r\n"),
    BAD("0x5\r\nhello\r\n"),
    BAD("+5\r\nhello\r\n"),
    BAD("-5\r\nhello\r\n"),
    BAD(" 5\r\nhello\r\n"),
    BAD("5 \r\nhello\r\n"),
    BAD("5_0\r\nhello\r\n"),
    BAD(";a\r\n"),
    BAD("00000000000000005\r\nhello\r\n"),
    BAD("fffffffffffffffff\r\n"),
    BAD("5\nhello\r\n"),
    BAD("5\rhello\r\n"),
    BAD("5\r\rhello\r\n"),
    BAD("5\r\nhello\n0\r\n"),
    BAD("5\r\nhello0\r\n"),
    BAD("5\r\nhello!\r\n"),
    BAD("5\r\nhello\rx"),
    BAD("5\r\nhello\r\n\r\n"),
    BAD("5;a\nhello\r\n"),
    BAD("5;a\rb\r\nhello\r\n"),
    BAD("5;a\0\r\nhello\r\n"),
    BAD("5;\x7f\r\nhello\r\n"),
    BAD("5\0\r\nhello\r\n"),
    BAD("5\v\r\nhello\r\n"),
    BAD("0\n\r\n"),
    LARGE("http1.chunk_extensions_too_large", "5;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\nhello\r\n"),
    LARGE("http1.chunk_extensions_too_large", "5                   ;\r\nhello\r\n"),
    LARGE("http1.chunk_extensions_too_large",
          "1;aaaaaa\r\nx\r\n1;bbbbbb\r\nx\r\n1;cccccc\r\nx\r\n0\r\n\r\n"),
    BAD_TRAILER("0\r\n\rx"),
    BAD_TRAILER("0\r\nA: b\n\r\n"),
    BAD_TRAILER("0\r\nA: b\r\n\n"),
    BAD_TRAILER("0\r\n\n"),
    BAD_TRAILER("0\r\nA : b\r\n\r\n"),
    BAD_TRAILER("0\r\n A: b\r\n\r\n"),
    BAD_TRAILER("0\r\nA: b\r\n c\r\n\r\n"),
    BAD_TRAILER("0\r\n: b\r\n\r\n"),
    BAD_TRAILER("0\r\nA: b\0\r\n\r\n"),
    BAD_TRAILER("0\r\nnocolon\r\n\r\n"),
    LARGE("http1.too_many_headers", "0\r\na:\r\nb:\r\nc:\r\nd:\r\n\r\n"),
    LARGE("http1.trailers_too_large",
          "0\r\na: 0123456789012345678901234567890123456789012345678901234567890123456789\r\n"),
};

START_TEST(malformed_chunks_are_refused_however_they_come)
{
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        for (size_t first = 1; first <= bad[i].text.len; first++) {
            for (size_t step = 1; step <= bad[i].text.len; step += bad[i].text.len - 1) {
                struct outcome outcome = decode(bad[i].text, BODY_CHUNKED, 0, first, step);
                ck_assert_msg(outcome.err == bad[i].err, "%.*s: %d", STR_ARGS(bad[i].text),
                              outcome.err);
                ck_assert_str_eq(outcome.error.details, bad[i].details);
                outcome_done(&outcome);
            }
        }
    }
}
END_TEST

START_TEST(a_body_with_a_length_ends_after_so_many_bytes)
{
    for (size_t step = 1; step <= 8; step++) {
        struct outcome outcome = decode(STR("helloGET"), BODY_LENGTH, 5, step, step);
        ck_assert(h1_body_is_done(&outcome.body));
        ck_assert_uint_eq(outcome.used, 5);
        ck_assert_str_eq_len(buf_str(&outcome.payload), "hello");
        outcome_done(&outcome);
    }
    struct outcome outcome = decode(STR("hell"), BODY_LENGTH, 5, 4, 1);
    ck_assert_uint_eq(h1_body_left(&outcome.body), 1);
    ck_assert_int_eq(h1_body_close(&outcome.body), ERR_CLOSED);
    outcome_done(&outcome);
}
END_TEST

START_TEST(a_body_until_close_ends_by_closing)
{
    struct outcome outcome = decode(STR("hello"), BODY_UNTIL_CLOSE, 0, 2, 2);
    ck_assert(!h1_body_is_done(&outcome.body));
    ck_assert_uint_eq(h1_body_left(&outcome.body), UINT64_MAX);
    ck_assert_str_eq_len(buf_str(&outcome.payload), "hello");
    ck_assert_int_eq(h1_body_close(&outcome.body), 0);
    ck_assert(h1_body_is_done(&outcome.body));
    outcome_done(&outcome);
}
END_TEST

START_TEST(an_unfinished_chunked_body_is_incomplete)
{
    struct str text = STR("5\r\nhello\r\n0\r\nA: b\r\n\r\n");
    for (size_t len = 1; len < text.len; len++) {
        struct outcome outcome = decode(str_slice(text, 0, len), BODY_CHUNKED, 0, len, 1);
        ck_assert_int_eq(outcome.err, 0);
        ck_assert_int_eq(h1_body_close(&outcome.body), ERR_CLOSED);
        outcome_done(&outcome);
    }
}
END_TEST

START_TEST(a_message_without_a_body_is_done_at_once)
{
    struct h1_body body;
    h1_body_init(&body, BODY_NONE, 0, &small_limits, NULL);
    ck_assert(h1_body_is_done(&body));
    ck_assert_int_eq(h1_body_close(&body), 0);
}
END_TEST

START_TEST(an_encoded_body_decodes_to_itself)
{
    srandom(3);
    for (int round = 0; round < 200; round++) {
        struct buf encoded, payload;
        buf_init(&encoded, SIZE_MAX);
        buf_init(&payload, SIZE_MAX);
        for (long chunks = random() % 6; chunks > 0; chunks--) {
            char data[300], line[H1_CHUNK_SIZE_LINE_MAX];
            size_t len = 1 + (size_t)random() % sizeof data;
            for (size_t i = 0; i < len; i++)
                data[i] = (char)random();
            buf_append(&encoded, line, h1_write_chunk_size(line, len));
            buf_append(&encoded, data, len);
            buf_append_str(&encoded, STR("\r\n"));
            buf_append(&payload, data, len);
        }
        buf_append_str(&encoded, H1_LAST_CHUNK);
        size_t step = 1 + (size_t)random() % 400;
        struct outcome outcome = decode(buf_str(&encoded), BODY_CHUNKED, 0, step, step);
        ck_assert(h1_body_is_done(&outcome.body));
        ck_assert_uint_eq(outcome.used, encoded.len);
        ck_assert(str_equal(buf_str(&outcome.payload), buf_str(&payload)));
        outcome_done(&outcome);
        buf_done(&encoded);
        buf_done(&payload);
    }
}
END_TEST

START_TEST(chunk_sizes_are_written_in_the_fewest_digits)
{
    static const uint64_t sizes[] = {1, 9, 10, 15, 16, 255, 256, 65536, UINT64_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char line[H1_CHUNK_SIZE_LINE_MAX], expected[32];
        snprintf(expected, sizeof expected, "%llx\r\n", (unsigned long long)sizes[i]);
        struct str got = {line, h1_write_chunk_size(line, sizes[i])};
        ck_assert_str_eq_len(got, expected);
    }
}
END_TEST

TEST_MAIN("h1_body", chunked_bodies_end_exactly_where_they_end_however_they_come,
          malformed_chunks_are_refused_however_they_come,
          a_body_with_a_length_ends_after_so_many_bytes, a_body_until_close_ends_by_closing,
          an_unfinished_chunked_body_is_incomplete, a_message_without_a_body_is_done_at_once,
          an_encoded_body_decodes_to_itself, chunk_sizes_are_written_in_the_fewest_digits)
