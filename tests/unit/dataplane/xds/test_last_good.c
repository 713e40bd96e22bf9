#include "dataplane/xds/last_good.h"

#include "common/io/checked_file.h"
#include "tests/support/loop_until.h"
#include "tests/support/test.h"
#include "tests/support/xds_rig.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static struct xds_rig rig;
static char folder[64], path[96];

static void make_folder(void)
{
    snprintf(folder, sizeof folder, "/tmp/last-good-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/copy", folder);
}

static void remove_folder(void)
{
    unlink(path);
    ck_assert_int_eq(rmdir(folder), 0); /* nothing else was left there */
}

static void open_rig(void)
{
    xds_rig_init(&rig);
    xds_rig_open(&rig, true, 0);
    store_begin(rig.store);
}

static void fill(void)
{
    xds_rig_put_ok(&rig, XDS_CLUSTER, "users", "c1", xds_rig_eds_cluster_yaml(&rig, "users", ""));
    xds_rig_put_ok(&rig, XDS_LISTENER, "public/http", "l1",
                   xds_rig_listener_yaml(&rig, "public/http", "public"));
    xds_rig_put_ok(&rig, XDS_ENDPOINTS, "users", "e1", xds_rig_endpoints_yaml(&rig, "users", 9001));
    xds_rig_put_ok(&rig, XDS_ROUTES, "public", "r1", xds_rig_routes_yaml(&rig, "public", "users"));
}

/* A copy of a whole configuration at path. */
static void save(void)
{
    open_rig();
    fill();
    struct last_good *copy = last_good_new(rig.loop, path, rig.store);
    last_good_note_change(copy);
    last_good_free(copy);
    xds_rig_done(&rig);
}

static void change_byte(long at)
{
    FILE *file = fopen(path, "r+");
    fseek(file, at, at < 0 ? SEEK_END : SEEK_SET);
    int c = fgetc(file);
    fseek(file, -1, SEEK_CUR);
    fputc(c ^ 1, file);
    fclose(file);
}

static void expect_refused(int expected, const char *part)
{
    struct errmsg msg = {.text = ""};
    size_t count;
    open_rig();
    ck_assert_int_eq(last_good_load(path, rig.store, &count, &msg), expected);
    ck_assert_msg(strstr(msg.text, part) != NULL, "%s", msg.text);
    ck_assert_uint_eq(store_count(rig.store, XDS_CLUSTER), 0);
    xds_rig_done(&rig);
}

static void check_version(const struct store_view *view, void *arg)
{
    ck_assert_str_eq_len(view->version, (const char *)arg);
}

START_TEST(what_was_saved_is_served_at_once)
{
    make_folder();
    save();
    open_rig();
    struct errmsg msg;
    size_t count = 0;
    ck_assert_int_eq(last_good_load(path, rig.store, &count, &msg), 0);
    ck_assert_uint_eq(count, 4);
    ck_assert(xds_rig_wait_publishes(&rig, 1));
    ck_assert_uint_eq(xds_rig_cluster(&rig, "users")->endpoints->host_count, 1);
    ck_assert_ptr_nonnull(xds_rig_listener(&rig, "public/http")->routes);
    static char version[] = "c1";
    store_visit(rig.store, XDS_CLUSTER, check_version, version);
    xds_rig_done(&rig);
    remove_folder();
}
END_TEST

START_TEST(only_its_owner_can_read_the_copy)
{
    make_folder();
    save();
    struct stat status;
    ck_assert_int_eq(stat(path, &status), 0);
    ck_assert_uint_eq(status.st_mode & 0777, 0600);
    remove_folder();
}
END_TEST

START_TEST(a_damaged_copy_is_not_used)
{
    make_folder();
    save();
    change_byte(-5);
    expect_refused(ERR_INVALID, "its SHA-256 is wrong");
    save();
    change_byte(30);
    expect_refused(ERR_INVALID, "its SHA-256 is wrong");
    save();
    change_byte(0);
    expect_refused(ERR_INVALID, "is no file of kind weir-proxy");
    save();
    ck_assert_int_eq(truncate(path, 60), 0);
    expect_refused(ERR_INVALID, "its length is wrong");
    ck_assert_int_eq(truncate(path, 0), 0);
    expect_refused(ERR_INVALID, "is too short");
    remove_folder();
}
END_TEST

START_TEST(a_copy_with_records_cut_off_is_not_used)
{
    struct errmsg msg;
    struct buf file;
    make_folder();
    for (size_t len = 1; len < 20; len++) { /* one whole record has 13 + 3 + 2 + 1 bytes */
        buf_init(&file, 1000);
        checked_file_begin(&file);
        buf_append(&file, "\0\3\0\0\0\2\0\0\0\1\0\0\0abcv1xy", len == 19 ? 20 : len);
        ck_assert_int_eq(checked_file_write(path, "weir-proxy 2", &file, &msg), 0);
        buf_done(&file);
        expect_refused(ERR_INVALID, "a record is cut off");
    }
    remove_folder();
}
END_TEST

START_TEST(a_copy_that_is_not_there_is_said_so)
{
    make_folder();
    expect_refused(ERR_NOT_FOUND, "No such file");
    remove_folder();
}
END_TEST

START_TEST(changes_are_gathered_and_written_after_a_while)
{
    make_folder();
    open_rig();
    struct last_good *copy = last_good_new(rig.loop, path, rig.store);
    fill();
    for (int i = 0; i < 100; i++)
        last_good_note_change(copy);
    loop_for(rig.loop, 50);
    ck_assert_int_ne(access(path, F_OK), 0);
    loop_for(rig.loop, LAST_GOOD_INTERVAL_MS + 100);
    ck_assert_int_eq(access(path, F_OK), 0);
    last_good_free(copy);
    xds_rig_done(&rig);
    remove_folder();
}
END_TEST

START_TEST(a_folder_that_is_not_there_costs_the_copy_and_nothing_else)
{
    make_folder();
    open_rig();
    char other[128];
    snprintf(other, sizeof other, "%s/none/copy", folder);
    struct last_good *copy = last_good_new(rig.loop, other, rig.store);
    last_good_note_change(copy);
    last_good_free(copy);
    xds_rig_done(&rig);
    remove_folder();
}
END_TEST

TEST_MAIN("last_good", what_was_saved_is_served_at_once, only_its_owner_can_read_the_copy,
          a_damaged_copy_is_not_used, a_copy_with_records_cut_off_is_not_used,
          a_copy_that_is_not_there_is_said_so, changes_are_gathered_and_written_after_a_while,
          a_folder_that_is_not_there_costs_the_copy_and_nothing_else)
