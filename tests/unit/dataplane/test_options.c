#include "dataplane/options.h"

#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

enum { ARGUMENTS_MAX = 32 };

/* options_parse of words separated by spaces. */
static int parse(const char *line, struct options *options, struct errmsg *msg)
{
    static char copy[512];
    char *argv[ARGUMENTS_MAX] = {0};
    int argc = 0;
    static char program[] = "weir-proxy";
    argv[argc++] = program;
    snprintf(copy, sizeof copy, "%s", line);
    char *rest = copy;
    for (char *word; (word = strsep(&rest, " ")) != NULL;)
        if (word[0])
            argv[argc++] = word;
    return options_parse(argc, argv, options, msg);
}

static struct options expect(const char *line)
{
    struct options options;
    struct errmsg msg = {.text = ""};
    int err = parse(line, &options, &msg);
    ck_assert_msg(err == 0, "%s", msg.text);
    return options;
}

static void expect_refused(const char *line, const char *sentence)
{
    struct options options;
    struct errmsg msg = {.text = ""};
    ck_assert_int_eq(parse(line, &options, &msg), ERR_INVALID);
    ck_assert_str_eq(msg.text, sentence);
}

START_TEST(the_flags_of_envoy_are_read)
{
    struct options options = expect("-c /etc/envoy.yaml --service-node n1 --service-cluster edge "
                                    "--concurrency 4 -l warning --drain-time-s 7 "
                                    "--mode validate --log-path /tmp/x");
    ck_assert_str_eq(options.config_path, "/etc/envoy.yaml");
    ck_assert_str_eq(options.service_node, "n1");
    ck_assert_str_eq(options.service_cluster, "edge");
    ck_assert_uint_eq(options.workers, 4);
    ck_assert_uint_eq(options.drain_time_ms, 7000);
    ck_assert_int_eq(options.mode, MODE_VALIDATE);
    ck_assert_str_eq(options.log_path, "/tmp/x");
}
END_TEST

START_TEST(the_short_form_needs_only_a_control_plane_and_a_gateway)
{
    struct options options = expect("--control 127.0.0.1:18000 --gateway=public "
                                    "--admin-address 127.0.0.1:1 --last-good-path /tmp/copy");
    ck_assert_str_eq(options.control, "127.0.0.1:18000");
    ck_assert_str_eq(options.gateway, "public");
    ck_assert_uint_ge(options.workers, 1);
    ck_assert_uint_eq(options.drain_time_ms, 30000);
    ck_assert_int_eq(options.mode, MODE_SERVE);
    ck_assert_uint_eq(expect("--config-yaml {} --concurrency 0").workers, 1);
}
END_TEST

START_TEST(help_and_version_need_nothing_else)
{
    ck_assert_int_eq(expect("--help").mode, MODE_HELP);
    ck_assert_int_eq(expect("--version").mode, MODE_VERSION);
}
END_TEST

START_TEST(what_is_wrong_is_said)
{
    expect_refused("--nonsense", "unknown flag --nonsense; see --help");
    expect_refused("-c", "-c needs a value");
    expect_refused("-c a b", "unexpected argument \"b\"; see --help");
    expect_refused("-c a --concurrency 257", "--concurrency: must be a number from 0 to 256");
    expect_refused("-c a --concurrency two", "--concurrency: must be a number from 0 to 256");
    expect_refused("-c a --drain-time-s -1", "--drain-time-s: must be a number from 0 to 86400");
    expect_refused("-c a --mode init_only", "--mode: must be serve or validate");
    expect_refused("-c a -l loud", "--log-level: must be trace, debug, info, warning, error, "
                                   "critical or off");
    expect_refused("", "one of --config-path, --config-yaml and --control must be given");
    expect_refused("-c a --config-yaml {}",
                   "--config-path and --config-yaml cannot be given together");
    expect_refused("--control a:1", "--control needs --gateway");
    expect_refused("--control a:1 --gateway g --service-cluster g",
                   "--gateway and --service-cluster are the same; give one");
}
END_TEST

TEST_MAIN("options", the_flags_of_envoy_are_read,
          the_short_form_needs_only_a_control_plane_and_a_gateway,
          help_and_version_need_nothing_else, what_is_wrong_is_said)
