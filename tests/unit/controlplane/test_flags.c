#include "tests/support/temp_folder.h"
#include "tests/support/test.h"

#include "controlplane/flags.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct flags flags;
static struct errmsg msg;

static int parse(const char *a, const char *b, const char *c, const char *d)
{
    const char *argv[] = {"weir-control", a, b, c, d, NULL};
    int argc = 1;
    while (argv[argc])
        argc++;
    return flags_parse(&flags, argc, (char **)argv, &msg);
}

START_TEST(defaults_are_those_of_the_help_text)
{
    ck_assert_int_eq(parse(NULL, NULL, NULL, NULL), 0);
    ck_assert_int_eq(flags.source, FLAGS_SOURCE_ETCD);
    ck_assert_uint_eq(flags.etcd_endpoint_count, 1);
    ck_assert_ptr_nonnull(strstr(flags_help(), flags.etcd_endpoints[0]));
    ck_assert_ptr_nonnull(strstr(flags_help(), flags.prefix));
    ck_assert_ptr_nonnull(strstr(flags_help(), flags.xds_address));
    ck_assert_ptr_nonnull(strstr(flags_help(), flags.admin_address));
    ck_assert_uint_gt(strlen(flags.id), 0);
    flags_done(&flags);
}
END_TEST

START_TEST(values_follow_or_come_behind_an_equals_sign)
{
    ck_assert_int_eq(parse("--prefix=/a/", "--xds-address", "[::1]:1", NULL), 0);
    ck_assert_str_eq(flags.prefix, "/a/");
    ck_assert_str_eq(flags.xds_address, "[::1]:1");
    flags_done(&flags);
}
END_TEST

START_TEST(endpoints_are_a_list)
{
    ck_assert_int_eq(parse("--etcd-endpoints", "a:1,https://b:2", NULL, NULL), 0);
    ck_assert_uint_eq(flags.etcd_endpoint_count, 2);
    ck_assert_str_eq(flags.etcd_endpoints[0], "a:1");
    ck_assert_str_eq(flags.etcd_endpoints[1], "https://b:2");
    flags_done(&flags);
    ck_assert_int_eq(parse("--etcd-endpoints", "a:1,", NULL, NULL), ERR_INVALID);
    flags_done(&flags);
}
END_TEST

#define expect_error(sentence, ...)                                                                \
    do {                                                                                           \
        ck_assert_int_eq(parse(__VA_ARGS__), ERR_INVALID);                                         \
        ck_assert_str_eq(msg.text, sentence);                                                      \
        flags_done(&flags);                                                                        \
    } while (0)

START_TEST(what_is_wrong_is_named)
{
    expect_error("there is no flag --nope; see --help", "--nope", "1", NULL, NULL);
    expect_error("there is no flag --nope; see --help", "--nope=1", NULL, NULL, NULL);
    expect_error("\"serve\" is no flag; see --help", "serve", NULL, NULL, NULL);
    expect_error("--prefix: the value is missing", "--prefix", NULL, NULL, NULL);
    expect_error("--prefix: the value is empty", "--prefix=", NULL, NULL, NULL);
    expect_error("--source: \"consul\" is neither etcd nor dir", "--source", "consul", NULL, NULL);
    expect_error("--source dir needs --directory", "--source", "dir", NULL, NULL);
    expect_error("--directory needs --source dir", "--directory", "/x", NULL, NULL);
    expect_error("--etcd-user and --etcd-password-file go together", "--etcd-user", "u", NULL,
                 NULL);
    expect_error("--etcd-cert and --etcd-key go together", "--etcd-key", "k", NULL, NULL);
    expect_error("--xds-cert and --xds-key go together", "--xds-cert", "c", NULL, NULL);
    expect_error("--xds-client-ca needs --xds-cert and --xds-key", "--xds-client-ca", "c", NULL,
                 NULL);
}
END_TEST

START_TEST(statuses_are_not_written_where_objects_are_read)
{
    expect_error("--status-prefix: /weir/status/v1/ lies in --prefix /weir/", "--prefix", "/weir/",
                 NULL, NULL);
    expect_error("--status-prefix: /a/v1 lies in --prefix /a/v1/", "--prefix", "/a/v1/",
                 "--status-prefix", "/a/v1");
    expect_error("--status-prefix: /weir/status/v1/ lies in --prefix /", "--prefix=/", NULL, NULL,
                 NULL);
    ck_assert_int_eq(parse("--prefix", "/weir/status/v", NULL, NULL), 0);
    flags_done(&flags);
    ck_assert_int_eq(parse("--prefix", "/weir/", "--status-prefix", ""), 0);
    flags_done(&flags);
    const char *argv[] = {"weir-control", "--source=dir", "--directory=/p",
                          "--status-directory=/p/s"};
    ck_assert_int_eq(flags_parse(&flags, 4, (char **)argv, &msg), ERR_INVALID);
    ck_assert_str_eq(msg.text, "--status-directory: /p/s lies in --directory /p");
    flags_done(&flags);
}
END_TEST

START_TEST(objects_are_not_read_as_statuses_which_are_deleted_where_they_are_of_nothing)
{
    expect_error("--status-prefix: --prefix /weir/v1/ lies in /weir", "--status-prefix", "/weir",
                 NULL, NULL);
    expect_error("--status-prefix: --prefix /weir/v1/ lies in /", "--status-prefix=/", NULL, NULL,
                 NULL);
    const char *argv[] = {"weir-control", "--source=dir", "--directory=/etc/weir/policy",
                          "--status-directory=/etc/weir"};
    ck_assert_int_eq(flags_parse(&flags, 4, (char **)argv, &msg), ERR_INVALID);
    ck_assert_str_eq(msg.text,
                     "--status-directory: --directory /etc/weir/policy lies in /etc/weir");
    flags_done(&flags);
}
END_TEST

START_TEST(the_password_comes_from_a_file_without_its_line_end)
{
    char path[64];
    snprintf(path, sizeof path, "%s/password", temp_folder());
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, "s3cret\n", 7), 7);
    close(fd);
    ck_assert_int_eq(parse("--etcd-user", "u", "--etcd-password-file", path), 0);
    ck_assert_str_eq(flags.etcd_password, "s3cret");
    flags_done(&flags);
    unlink(path);
    ck_assert_int_eq(parse("--etcd-user", "u", "--etcd-password-file", path), ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(msg.text, path));
    flags_done(&flags);
}
END_TEST

START_TEST(help_and_version_need_nothing_else)
{
    ck_assert_int_eq(parse("--source", "dir", "--help", NULL), 0);
    ck_assert(flags.wants_help);
    flags_done(&flags);
    ck_assert_int_eq(parse("--version", NULL, NULL, NULL), 0);
    ck_assert(flags.wants_version);
    flags_done(&flags);
}
END_TEST

TEST_MAIN("flags", defaults_are_those_of_the_help_text, values_follow_or_come_behind_an_equals_sign,
          endpoints_are_a_list, what_is_wrong_is_named,
          statuses_are_not_written_where_objects_are_read,
          objects_are_not_read_as_statuses_which_are_deleted_where_they_are_of_nothing,
          the_password_comes_from_a_file_without_its_line_end, help_and_version_need_nothing_else)
