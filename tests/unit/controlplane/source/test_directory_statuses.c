/* Status documents that a directory has at the start. */
#include "common/io/file.h"
#include "controlplane/source/directory_status.h"
#include "tests/support/temp_folder.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static char told[1024]; /* "key=value;" */
static size_t told_count, told_times;

static void on_statuses(void *arg, const struct source_status *documents, size_t count)
{
    (void)arg;
    told_times++;
    told_count = count;
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(told);
        snprintf(told + len, sizeof told - len, "%.*s=%.*s;", STR_ARGS(documents[i].key),
                 STR_ARGS(documents[i].value));
    }
}

static const struct source_listener listener = {.on_statuses = on_statuses};

static void add_folder(const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", temp_folder(), name);
    ck_assert_int_eq(mkdir(path, 0700), 0);
}

static void add_file(const char *name, const char *text)
{
    char path[128];
    struct errmsg msg;
    snprintf(path, sizeof path, "%s/%s", temp_folder(), name);
    ck_assert_int_eq(file_replace(path, str_from(text), false, &msg), 0);
}

START_TEST(documents_are_found_by_kind_and_name)
{
    add_folder("routes"), add_folder("endpoints"), add_folder("endpoints/users");
    add_folder("endpoints/users/deeper");
    add_file("routes/a.json", "1");
    add_file("routes/.b.json", "hidden");
    add_file("routes/c.txt", "none of ours");
    add_file("top.json", "of no kind");
    add_file("endpoints/users/i.json", "2");
    add_file("endpoints/users/deeper/j.json", "too deep");
    directory_status_tell(temp_folder(), &listener, NULL);
    ck_assert_uint_eq(told_count, 2);
    ck_assert_ptr_nonnull(strstr(told, "routes/a=1;"));
    ck_assert_ptr_nonnull(strstr(told, "endpoints/users/i=2;"));
}
END_TEST

START_TEST(a_directory_that_is_not_there_has_none)
{
    directory_status_tell("/nonexistent/weir", &listener, NULL);
    ck_assert_uint_eq(told_times, 1);
    ck_assert_uint_eq(told_count, 0);
}
END_TEST

TEST_MAIN("directory statuses", documents_are_found_by_kind_and_name,
          a_directory_that_is_not_there_has_none)
