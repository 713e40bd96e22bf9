#include "dataplane/http/access_log.h"
#include "tests/support/fake_stream.h"
#include "tests/support/temp_folder.h"
#include "tests/support/test.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static struct fake_load load;
static struct fake_stream fake;
static struct access_log_writer *writer;
static char path[64];
static struct access_log_config *configs[4];

static void setup(uint32_t workers)
{
    snprintf(path, sizeof path, "%s/log", temp_folder());
    fake_load_init(&load);
    fake_stream_init(&fake);
    writer = access_log_writer_new(workers);
    fake.worker.log_writer = writer;
    fake.listener.access_logs = configs;
    fake_stream_request(&fake, "GET", "/a", "x-a: 1");
    fake.stream.response.status = 200;
}

static void teardown(void)
{
    fake_load_done(&load);
    access_log_writer_free(writer);
    fake_stream_done(&fake);
    unlink(path);
}

static int try_log(const char *file, const char *format, const char *filter)
{
    return access_log_load(
        &load.load, writer,
        fake_load_message(
            &load, &envoy__config__accesslog__v3__access_log__descriptor,
            arena_printf(&load.arena,
                         "{\"name\":\"x\"%s,\"typed_config\":{\"@type\":\"x/"
                         "envoy.extensions.access_loggers.file.v3.FileAccessLog\",\"path\":\"%s\"%s"
                         "}}",
                         filter, file, format)),
        &configs[fake.listener.access_log_count], &load.msg);
}

static void add_log(const char *format, const char *filter)
{
    int err = try_log(path, format, filter);
    ck_assert_msg(err == 0, "%s", load.msg.text);
    fake.listener.access_log_count++;
}

/* What is in the file now. */
static const char *content(void)
{
    static char text[1024 * 1024];
    access_log_writer_flush(writer);
    FILE *file = fopen(path, "r");
    size_t len = file ? fread(text, 1, sizeof text - 1, file) : 0;
    text[len] = '\0';
    if (file)
        fclose(file);
    return text;
}

#define TEXT(line) ",\"log_format\":{\"text_format_source\":{\"inline_string\":\"" line "\"}}"

START_TEST(a_line_is_written_for_each_log_that_wants_it)
{
    setup(1);
    add_log(TEXT("1 %REQ(:PATH)%\\n"), "");
    add_log(TEXT("2 %RESPONSE_CODE%\\n"), ",\"filter\":{\"status_code_filter\":{\"comparison\":{"
                                          "\"op\":\"GE\",\"value\":{\"default_value\":400}}}}");
    add_log(",\"log_format\":{\"json_format\":{\"p\":\"%REQ(:PATH)%\"}}",
            ",\"filter\":{\"or_filter\":{\"filters\":[{\"response_flag_filter\":{\"flags\":[\"NR\"]"
            "}},{\"duration_filter\":{\"comparison\":{\"op\":\"GE\",\"value\":{\"default_value\":"
            "10}}}}]}}");
    access_log_stream(&fake.stream);
    fake.stream.response.status = 404;
    fake.stream.flags = FLAG_NO_ROUTE;
    access_log_stream(&fake.stream);
    fake.stream.response.status = 200;
    fake.stream.flags = 0;
    fake.stream.end_ns = fake.stream.start_ns + 10000000;
    access_log_stream(&fake.stream);
    ck_assert_str_eq(content(), "1 /a\n1 /a\n2 404\n{\"p\":\"/a\"}\n1 /a\n{\"p\":\"/a\"}\n");
    teardown();
}
END_TEST

START_TEST(a_file_is_opened_again_after_it_was_moved)
{
    setup(1);
    add_log(TEXT("x\\n"), "");
    access_log_stream(&fake.stream);
    ck_assert_str_eq(content(), "x\n");
    unlink(path);
    access_log_stream(&fake.stream);
    ck_assert_str_eq(content(), "");
    access_log_writer_reopen(writer);
    access_log_writer_flush(writer);
    access_log_stream(&fake.stream);
    ck_assert_str_eq(content(), "x\n");
    teardown();
}
END_TEST

START_TEST(a_long_line_is_shortened_and_stays_json)
{
    setup(1);
    char value[60000];
    memset(value, '"', sizeof value);
    header_list_set_name(&fake.stream.request.headers, STR("x-a"),
                         (struct str){.data = value, .len = sizeof value});
    add_log(",\"log_format\":{\"json_format\":{\"a\":\"%REQ(X-A)%\",\"b\":\"%REQ(X-A)%\"}}", "");
    access_log_stream(&fake.stream);
    const char *line = content();
    ck_assert_uint_le(strlen(line), ACCESS_LOG_LINE_BYTES_MAX);
    ck_assert_ptr_nonnull(strstr(line, "\"}\n"));
    ck_assert_ptr_nonnull(strstr(line, "\",\"b\":\""));
    teardown();
}
END_TEST

START_TEST(a_reader_that_does_not_read_costs_lines_and_no_time)
{
    setup(1);
    unlink(path);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    FILE *reader = fopen(path, "r+");
    add_log(TEXT("%REQ(X-A)%\\n"), "");
    char value[4000];
    memset(value, 'a', sizeof value);
    header_list_set_name(&fake.stream.request.headers, STR("x-a"),
                         (struct str){.data = value, .len = sizeof value});
    for (int i = 0; i < 2000; i++)
        access_log_stream(&fake.stream);
    ck_assert_uint_gt(access_log_writer_dropped(writer), 0);
    fake_load_done(&load);
    access_log_writer_free(writer);
    fclose(reader);
    fake_stream_done(&fake);
    unlink(path);
}
END_TEST

START_TEST(a_reader_that_does_not_read_costs_the_other_logs_nothing)
{
    char fifo[sizeof path + 2];
    setup(1);
    snprintf(fifo, sizeof fifo, "%s.p", path);
    ck_assert_int_eq(mkfifo(fifo, 0600), 0);
    FILE *reader = fopen(fifo, "r+");
    ck_assert_int_eq(try_log(fifo, TEXT("%REQ(X-A)%\\n"), ""), 0);
    fake.listener.access_log_count++;
    add_log(TEXT("%REQ(:PATH)%\\n"), "");
    char value[4000];
    memset(value, 'a', sizeof value);
    header_list_set_name(&fake.stream.request.headers, STR("x-a"),
                         (struct str){.data = value, .len = sizeof value});
    for (int i = 0; i < 500; i++) {
        access_log_stream(&fake.stream);
        if (i % 100 == 0)
            access_log_writer_flush(writer);
    }
    const char *text = content();
    ck_assert_uint_eq(strlen(text), 500 * strlen("/a\n"));
    uint64_t dropped = access_log_writer_dropped(writer);
    ck_assert_uint_gt(dropped, 0);
    /* And its own lines are whole when it goes on. */
    char line[sizeof value + 8];
    for (uint64_t i = 0; i < 500 - dropped; i++) {
        ck_assert_ptr_nonnull(fgets(line, sizeof line, reader));
        ck_assert_uint_eq(strlen(line), sizeof value + 1);
    }
    fclose(reader);
    unlink(fifo);
    teardown();
}
END_TEST

/* A limit on the size of files stands for a full disk. */
START_TEST(a_full_disk_costs_lines_and_tears_none)
{
    setup(1);
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit none, small;
    getrlimit(RLIMIT_FSIZE, &none);
    small = (struct rlimit){.rlim_cur = 8, .rlim_max = none.rlim_max};
    add_log(TEXT("0123%REQ(:PATH)%\\n"), "");
    setrlimit(RLIMIT_FSIZE, &small);
    for (int i = 0; i < 5; i++) {
        access_log_stream(&fake.stream);
        access_log_writer_flush(writer);
    }
    ck_assert_str_eq(content(), "0123/a\n0");
    ck_assert_uint_eq(access_log_writer_dropped(writer), 3);
    setrlimit(RLIMIT_FSIZE, &none);
    access_log_stream(&fake.stream);
    ck_assert_str_eq(content(), "0123/a\n0123/a\n0123/a\n");
    teardown();
}
END_TEST

/* One worker of several, each with its own ring. */
static void *log_many(void *arg)
{
    struct fake_stream *own = arg;
    for (int i = 0; i < 2000; i++)
        access_log_stream(&own->stream);
    return NULL;
}

START_TEST(workers_log_at_the_same_time)
{
    enum { WORKERS = 4 };
    setup(WORKERS);
    add_log(TEXT("%REQ(:PATH)% and so on\\n"), "");
    struct fake_stream *fakes = calloc(WORKERS, sizeof *fakes);
    pthread_t threads[WORKERS];
    for (uint32_t i = 0; i < WORKERS; i++) {
        fake_stream_init(&fakes[i]);
        fakes[i].worker.log_writer = writer;
        fakes[i].worker.index = i;
        fakes[i].listener = fake.listener;
        fake_stream_request(&fakes[i], "GET", "/abc", NULL);
        pthread_create(&threads[i], NULL, log_many, &fakes[i]);
    }
    for (int i = 0; i < WORKERS; i++) {
        pthread_join(threads[i], NULL);
        fake_stream_done(&fakes[i]);
    }
    const char *text = content();
    const char *line = "/abc and so on\n";
    size_t lines = strlen(text) / strlen(line);
    ck_assert_uint_eq(lines + access_log_writer_dropped(writer), WORKERS * 2000);
    for (size_t i = 0; i < lines; i++)
        ck_assert_int_eq(memcmp(text + i * strlen(line), line, strlen(line)), 0);
    free(fakes);
    teardown();
}
END_TEST

START_TEST(lines_of_a_log_that_goes_are_still_written)
{
    setup(1);
    add_log(TEXT("last\\n"), "");
    access_log_stream(&fake.stream);
    fake_load_done(&load);
    fake_load_init(&load);
    ck_assert_str_eq(content(), "last\n");
    teardown();
}
END_TEST

START_TEST(a_path_that_cannot_be_written_is_refused)
{
    setup(1);
    ck_assert_int_eq(try_log("/no/such/folder/x.log", "", ""), ERR_IO);
    ck_assert_ptr_nonnull(strstr(load.msg.text, "access log x: "));
    ck_assert_int_ne(try_log("", "", ""), 0);
    /* Nobody reads this pipe: that is an error at once. */
    unlink(path);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    ck_assert_int_eq(try_log(path, "", ""), ERR_IO);
    unlink(path);
    ck_assert_int_ne(try_log(path, TEXT("%NO%"), ""), 0);
    ck_assert_int_ne(try_log(path, "", ",\"filter\":{\"log_type_filter\":{}}"), 0);
    teardown();
}
END_TEST

TEST_MAIN("access_log", a_line_is_written_for_each_log_that_wants_it,
          a_file_is_opened_again_after_it_was_moved, a_long_line_is_shortened_and_stays_json,
          a_reader_that_does_not_read_costs_lines_and_no_time,
          a_reader_that_does_not_read_costs_the_other_logs_nothing,
          a_full_disk_costs_lines_and_tears_none, workers_log_at_the_same_time,
          lines_of_a_log_that_goes_are_still_written, a_path_that_cannot_be_written_is_refused)
