/* The copy on disk: what goes in comes out, and nothing else comes out. */
#include "common/base/mem.h"
#include "common/io/checked_file.h"
#include "controlplane/source/last_good.h"
#include "tests/support/loop_until.h"
#include "tests/support/temp_folder.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static void fill(struct source_store *store)
{
    struct source_entry entries[] = {
        {.key = STR("routes/a"), .value = STR("{}"), .value_bytes = 2, .mod_revision = 7},
        {.key = STR("routes/b"), .value_bytes = 5000000, .mod_revision = 8, .is_oversized = true},
        {.key = STR("services/c"),
         .value = STR("x: 1"),
         .value_bytes = 4,
         .mod_revision = 9,
         .is_yaml = true},
    };
    for (size_t i = 0; i < 3; i++)
        source_store_put(store, &entries[i]);
    store->revision = 9;
}

static void encode(struct buf *bytes)
{
    struct source_store store = {0};
    fill(&store);
    last_good_encode(bytes, &store, STR("/weir/v1/"), 0xabcdef);
    source_store_done(&store);
}

static struct buf encoded(void)
{
    struct buf bytes;
    buf_init(&bytes, 100000);
    encode(&bytes);
    return bytes;
}

static struct buf encoded_file(void)
{
    struct buf bytes;
    buf_init(&bytes, 100000);
    checked_file_begin(&bytes);
    encode(&bytes);
    return bytes;
}

START_TEST(what_goes_in_comes_out)
{
    struct buf bytes = encoded();
    struct source_store store = {0};
    struct errmsg msg;
    uint64_t cluster_id;
    ck_assert_int_eq(last_good_decode(buf_str(&bytes), STR("/weir/v1/"), &store, &cluster_id, &msg),
                     0);
    ck_assert_uint_eq(cluster_id, 0xabcdef);
    ck_assert_int_eq(store.revision, 9);
    ck_assert_uint_eq(store.objects.len, 3);
    ck_assert_str_eq_len(source_store_find(&store, STR("routes/a"))->entry.value, "{}");
    ck_assert(source_store_find(&store, STR("routes/b"))->entry.is_oversized);
    ck_assert_uint_eq(source_store_find(&store, STR("routes/b"))->entry.value_bytes, 5000000);
    ck_assert(source_store_find(&store, STR("services/c"))->entry.is_yaml);
    ck_assert_int_eq(source_store_find(&store, STR("services/c"))->entry.mod_revision, 9);
    source_store_done(&store);
    buf_done(&bytes);
}
END_TEST

START_TEST(equal_states_have_equal_copies)
{
    struct buf a = encoded(), b = encoded();
    ck_assert(str_equal(buf_str(&a), buf_str(&b)));
    buf_done(&a);
    buf_done(&b);
}
END_TEST

/* Whatever the length and whatever one byte says, reading stays inside the text and ends with an
 * error or with a store that can be written again. */
static bool decodes(const char *data, size_t len)
{
    char *exact = mem_alloc(len); /* so that the sanitizer sees a step beyond its end */
    memcpy(exact, data, len);
    struct source_store store = {0};
    struct errmsg msg = {0};
    uint64_t cluster_id;
    int err = last_good_decode((struct str){.data = exact, .len = len}, STR("/weir/v1/"), &store,
                               &cluster_id, &msg);
    ck_assert_int_eq(!err, msg.text[0] == '\0');
    ck_assert(!err || store.objects.len == 0);
    source_store_done(&store);
    mem_free(exact);
    return err == 0;
}

START_TEST(wrong_content_is_read_safely)
{
    struct buf bytes = encoded();
    ck_assert(decodes(bytes.data, bytes.len));
    for (size_t len = bytes.len - 1; len > 0; len--)
        ck_assert(!decodes(bytes.data, len)); /* an entry is missing or cut off */
    for (size_t i = 0; i < bytes.len; i++) {
        char byte = bytes.data[i];
        for (int value = 0; value < 256; value++) {
            bytes.data[i] = (char)value;
            decodes(bytes.data, bytes.len);
        }
        bytes.data[i] = byte;
    }
    buf_append(&bytes, "more than it says", 17);
    ck_assert(!decodes(bytes.data, bytes.len));
    buf_done(&bytes);
}
END_TEST

START_TEST(a_copy_of_another_prefix_is_refused)
{
    struct buf bytes = encoded();
    struct source_store store = {0};
    struct errmsg msg;
    uint64_t cluster_id;
    ck_assert_int_eq(last_good_decode(buf_str(&bytes), STR("/other/"), &store, &cluster_id, &msg),
                     ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(msg.text, "/weir/v1/"));
    buf_done(&bytes);
}
END_TEST

static struct {
    struct last_good_writer writer;
    size_t written;
    int err;
} test;

static void on_written(struct last_good_writer *writer, int err, const char *reason)
{
    ck_assert_ptr_eq(writer, &test.writer);
    ck_assert(!err || reason[0]);
    test.written++;
    test.err = err;
}

static bool is_written(void *arg)
{
    (void)arg;
    return test.written > 0;
}

START_TEST(the_writer_replaces_the_file_and_reports_failures)
{
    char path[64];
    snprintf(path, sizeof path, "%s/copy", temp_folder());
    struct loop *loop = loop_new();
    last_good_writer_init(&test.writer, loop, path, on_written);
    struct buf bytes = encoded_file(), read_back;
    struct str content;
    last_good_writer_write(&test.writer, &bytes);
    ck_assert_uint_eq(bytes.len, 0);
    ck_assert(loop_until(loop, 5000, is_written, NULL));
    ck_assert_int_eq(test.err, 0);
    struct errmsg msg;
    buf_init(&read_back, 100000);
    ck_assert_int_eq(checked_file_read(path, LAST_GOOD_KIND, &read_back, &content, &msg), 0);
    bytes = encoded();
    ck_assert(str_equal(content, buf_str(&bytes)));
    buf_done(&bytes);
    buf_done(&read_back);

    unlink(path);
    rmdir(temp_folder());
    test.written = 0;
    bytes = encoded_file();
    last_good_writer_write(&test.writer, &bytes);
    ck_assert(loop_until(loop, 5000, is_written, NULL));
    ck_assert_int_eq(test.err, ERR_IO);
    last_good_writer_done(&test.writer);
    loop_free(loop);
}
END_TEST

START_TEST(the_writer_can_go_while_it_writes)
{
    char path[64];
    snprintf(path, sizeof path, "%s/copy", temp_folder());
    struct loop *loop = loop_new();
    struct last_good_writer *writer = MEM_NEW(struct last_good_writer);
    last_good_writer_init(writer, loop, path, on_written);
    struct buf bytes = encoded_file();
    last_good_writer_write(writer, &bytes);
    last_good_writer_done(writer);
    mem_free(writer);
    struct stat status;
    ck_assert_int_eq(stat(path, &status), 0);
    loop_free(loop);
    ck_assert_uint_eq(test.written, 0);
    unlink(path);
    rmdir(temp_folder());
}
END_TEST

TEST_MAIN("last good copy", what_goes_in_comes_out, equal_states_have_equal_copies,
          wrong_content_is_read_safely, a_copy_of_another_prefix_is_refused,
          the_writer_replaces_the_file_and_reports_failures, the_writer_can_go_while_it_writes)
