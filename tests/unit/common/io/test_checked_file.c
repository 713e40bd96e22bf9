#include "common/io/checked_file.h"

#include "common/io/file.h"
#include "tests/support/temp_folder.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define KIND "test 1"
static const char CONTENT[] = "what \0 it holds";
enum { CONTENT_BYTES = sizeof CONTENT, FILE_BYTES = CHECKED_FILE_HEAD_BYTES + CONTENT_BYTES };

static const char *folder;
static char path[96];
static struct errmsg msg;

static void make_folder(void)
{
    folder = temp_folder();
    snprintf(path, sizeof path, "%s/file", folder);
}

static void remove_folder(void)
{
    unlink(path);
    ck_assert_int_eq(rmdir(folder), 0); /* nothing else was left there */
}

static int save(const char *to, const char *content, size_t len, size_t max)
{
    struct buf buf;
    buf_init(&buf, max);
    checked_file_begin(&buf);
    buf_append(&buf, content, len);
    int err = checked_file_write(to, KIND, &buf, &msg);
    buf_done(&buf);
    return err;
}

/* Reads the file with at most max bytes; *is_right where it is what was written. */
static int load(const char *kind, size_t max, bool *is_right)
{
    struct buf buf;
    struct str content = {0};
    buf_init(&buf, max);
    msg.text[0] = '\0';
    int err = checked_file_read(path, kind, &buf, &content, &msg);
    *is_right = content.len == CONTENT_BYTES && memcmp(content.data, CONTENT, CONTENT_BYTES) == 0;
    ck_assert_int_eq(!err, msg.text[0] == '\0');
    ck_assert_msg(!err || strstr(msg.text, path) == msg.text, "%s", msg.text);
    buf_done(&buf);
    return err;
}

static void expect(int err, const char *sentence)
{
    bool is_right;
    ck_assert_int_eq(load(KIND, 10000, &is_right), err);
    ck_assert_msg(strstr(msg.text, sentence) != NULL, "%s", msg.text);
}

static void put_raw(const char *bytes, size_t len)
{
    struct str s = {.data = bytes, .len = len};
    ck_assert_int_eq(file_replace(path, s, false, &msg), 0);
}

static void get_raw(char bytes[FILE_BYTES])
{
    struct buf buf;
    buf_init(&buf, FILE_BYTES);
    ck_assert_int_eq(file_read(path, &buf, &msg), 0);
    ck_assert_uint_eq(buf.len, FILE_BYTES);
    memcpy(bytes, buf.data, FILE_BYTES);
    buf_done(&buf);
}

START_TEST(what_was_written_is_read)
{
    bool is_right;
    make_folder();
    ck_assert_int_eq(save(path, CONTENT, CONTENT_BYTES, FILE_BYTES), 0);
    ck_assert_int_eq(load(KIND, FILE_BYTES, &is_right), 0);
    ck_assert(is_right);
    ck_assert_int_eq(save(path, "", 0, FILE_BYTES), 0); /* in its place, and empty */
    ck_assert_int_eq(load(KIND, FILE_BYTES, &is_right), 0);
    remove_folder();
}
END_TEST

START_TEST(only_its_owner_can_read_it)
{
    make_folder();
    put_raw("old", 3);
    ck_assert_int_eq(chmod(path, 0644), 0);
    ck_assert_int_eq(save(path, CONTENT, CONTENT_BYTES, FILE_BYTES), 0);
    struct stat status;
    ck_assert_int_eq(stat(path, &status), 0);
    ck_assert_uint_eq(status.st_mode & 0777, 0600);
    remove_folder();
}
END_TEST

START_TEST(each_flipped_bit_and_each_missing_byte_is_noticed)
{
    char bytes[FILE_BYTES];
    bool is_right;
    make_folder();
    ck_assert_int_eq(save(path, CONTENT, CONTENT_BYTES, FILE_BYTES), 0);
    get_raw(bytes);
    for (size_t i = 0; i < 8 * sizeof bytes; i++) {
        bytes[i / 8] ^= (char)(1 << i % 8);
        put_raw(bytes, sizeof bytes);
        ck_assert_int_eq(load(KIND, 10000, &is_right), ERR_INVALID);
        bytes[i / 8] ^= (char)(1 << i % 8);
    }
    for (size_t len = 0; len < sizeof bytes; len++) {
        put_raw(bytes, len);
        ck_assert_int_eq(load(KIND, 10000, &is_right), ERR_INVALID);
    }
    remove_folder();
}
END_TEST

START_TEST(a_torn_file_is_noticed)
{
    /* As long as it should be, but a part has never reached the disk. */
    char bytes[FILE_BYTES];
    make_folder();
    ck_assert_int_eq(save(path, CONTENT, CONTENT_BYTES, FILE_BYTES), 0);
    get_raw(bytes);
    memset(bytes + FILE_BYTES - 8, 0, 8);
    put_raw(bytes, sizeof bytes);
    expect(ERR_INVALID, "its SHA-256 is wrong");
    memset(bytes, 0, sizeof bytes);
    put_raw(bytes, sizeof bytes);
    expect(ERR_INVALID, "is no file of kind test 1");
    remove_folder();
}
END_TEST

START_TEST(bytes_behind_the_end_are_noticed)
{
    char bytes[FILE_BYTES + 1] = "";
    make_folder();
    ck_assert_int_eq(save(path, CONTENT, CONTENT_BYTES, FILE_BYTES), 0);
    get_raw(bytes);
    put_raw(bytes, sizeof bytes);
    expect(ERR_INVALID, "its length is wrong");
    remove_folder();
}
END_TEST

START_TEST(a_file_of_another_kind_is_refused)
{
    bool is_right;
    make_folder();
    ck_assert_int_eq(save(path, CONTENT, CONTENT_BYTES, FILE_BYTES), 0);
    ck_assert_int_eq(load("test 2", FILE_BYTES, &is_right), ERR_INVALID);
    ck_assert_int_eq(load("test", FILE_BYTES, &is_right), ERR_INVALID);
    ck_assert_int_eq(load("test 1 of 16 byt", FILE_BYTES, &is_right), ERR_INVALID);
    remove_folder();
}
END_TEST

START_TEST(a_file_that_is_too_long_is_neither_read_nor_written)
{
    bool is_right;
    make_folder();
    ck_assert_int_eq(save(path, CONTENT, CONTENT_BYTES, FILE_BYTES), 0);
    ck_assert_int_eq(load(KIND, FILE_BYTES - 1, &is_right), ERR_TOO_LARGE);
    ck_assert_int_eq(save(path, "xyz", CONTENT_BYTES, FILE_BYTES - 1), ERR_TOO_LARGE);
    ck_assert_int_eq(save(path, "x", 1, CHECKED_FILE_HEAD_BYTES - 1), ERR_TOO_LARGE);
    ck_assert_int_eq(load(KIND, FILE_BYTES, &is_right), 0);
    ck_assert(is_right); /* the old one */
    remove_folder();
}
END_TEST

START_TEST(what_cannot_be_read_is_said_so)
{
    make_folder();
    expect(ERR_NOT_FOUND, "No such file");
    ck_assert_int_eq(mkdir(path, 0700), 0);
    expect(ERR_IO, "is not a file");
    ck_assert_int_eq(rmdir(path), 0);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    expect(ERR_IO, "is not a file");
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(symlink(path, path), 0);
    expect(ERR_IO, "symbolic links");
    remove_folder();
}
END_TEST

START_TEST(what_cannot_be_written_leaves_the_old_file_and_no_other)
{
    char other[128];
    make_folder();
    snprintf(other, sizeof other, "%s/none/file", folder);
    ck_assert_int_eq(save(other, CONTENT, CONTENT_BYTES, FILE_BYTES), ERR_IO);
    ck_assert_int_eq(mkdir(path, 0700), 0); /* which no file can take the place of */
    ck_assert_int_eq(save(path, CONTENT, CONTENT_BYTES, FILE_BYTES), ERR_IO);
    ck_assert_int_eq(rmdir(path), 0);
    remove_folder();
}
END_TEST

START_TEST(a_temporary_file_that_a_crash_has_left_is_not_used)
{
    char temporary[128], elsewhere[96];
    bool is_right;
    make_folder();
    snprintf(temporary, sizeof temporary, "%s.%ld.tmp", path, (long)getpid());
    snprintf(elsewhere, sizeof elsewhere, "%s/elsewhere", folder);
    ck_assert_int_eq(symlink(elsewhere, temporary), 0);
    ck_assert_int_eq(save(path, CONTENT, CONTENT_BYTES, FILE_BYTES), 0);
    ck_assert_int_ne(access(elsewhere, F_OK), 0);
    ck_assert_int_eq(load(KIND, FILE_BYTES, &is_right), 0);
    ck_assert(is_right);
    remove_folder();
}
END_TEST

TEST_MAIN("checked file", what_was_written_is_read, only_its_owner_can_read_it,
          each_flipped_bit_and_each_missing_byte_is_noticed, a_torn_file_is_noticed,
          bytes_behind_the_end_are_noticed, a_file_of_another_kind_is_refused,
          a_file_that_is_too_long_is_neither_read_nor_written, what_cannot_be_read_is_said_so,
          what_cannot_be_written_leaves_the_old_file_and_no_other,
          a_temporary_file_that_a_crash_has_left_is_not_used)
