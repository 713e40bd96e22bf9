#include "dataplane/options.h"

#include "common/base/log.h"
#include "common/base/str.h"

#include <getopt.h>
#include <sched.h>

const char options_help[] =
    "weir-proxy: an HTTP proxy configured by an Envoy bootstrap file or a control plane\n"
    "\n"
    "  weir-proxy --control 127.0.0.1:18000 --gateway public\n"
    "  weir-proxy -c envoy.yaml\n"
    "\n"
    "  -c, --config-path FILE    Envoy bootstrap, YAML or JSON\n"
    "      --config-yaml TEXT    the same, as text\n"
    "      --control HOST:PORT   control plane (delta ADS), in place of the bootstrap's\n"
    "      --gateway NAME        which gateway of the control plane this is (node.cluster)\n"
    "      --service-node ID     node.id; default: the bootstrap's, else the host's name\n"
    "      --service-cluster C   node.cluster\n"
    "      --concurrency N       worker threads; default: one per CPU\n"
    "      --admin-address A     ip:port of the admin pages, or \"off\"; default: the\n"
    "                            bootstrap's, else 127.0.0.1:9901\n"
    "      --last-good-path F    keeps a copy of the configuration for a start without the\n"
    "                            control plane\n"
    "      --drain-time-s N      longest wait for open requests after SIGTERM; default 30\n"
    "  -l, --log-level L         trace, debug, info, warning, error, critical or off\n"
    "      --log-path FILE       log to a file (reopened on SIGUSR1); default: standard error\n"
    "      --mode MODE           serve, or validate: check the configuration and exit\n"
    "      --version, --help\n";

enum flag {
    FLAG_CONFIG_YAML = 256,
    FLAG_CONTROL,
    FLAG_GATEWAY,
    FLAG_SERVICE_NODE,
    FLAG_SERVICE_CLUSTER,
    FLAG_CONCURRENCY,
    FLAG_ADMIN_ADDRESS,
    FLAG_LAST_GOOD_PATH,
    FLAG_DRAIN_TIME_S,
    FLAG_LOG_PATH,
    FLAG_MODE,
    FLAG_VERSION,
    FLAG_HELP,
};

static const struct option long_flags[] = {
    {"config-path", required_argument, NULL, 'c'},
    {"config-yaml", required_argument, NULL, FLAG_CONFIG_YAML},
    {"control", required_argument, NULL, FLAG_CONTROL},
    {"gateway", required_argument, NULL, FLAG_GATEWAY},
    {"service-node", required_argument, NULL, FLAG_SERVICE_NODE},
    {"service-cluster", required_argument, NULL, FLAG_SERVICE_CLUSTER},
    {"concurrency", required_argument, NULL, FLAG_CONCURRENCY},
    {"admin-address", required_argument, NULL, FLAG_ADMIN_ADDRESS},
    {"last-good-path", required_argument, NULL, FLAG_LAST_GOOD_PATH},
    {"drain-time-s", required_argument, NULL, FLAG_DRAIN_TIME_S},
    {"log-level", required_argument, NULL, 'l'},
    {"log-path", required_argument, NULL, FLAG_LOG_PATH},
    {"mode", required_argument, NULL, FLAG_MODE},
    {"version", no_argument, NULL, FLAG_VERSION},
    {"help", no_argument, NULL, FLAG_HELP},
    {NULL, 0, NULL, 0},
};

/* CPUs this process may run on. */
static uint32_t cpu_count(void)
{
    cpu_set_t set;
    int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return count < 1 ? 1 : count > WORKERS_MAX ? WORKERS_MAX : (uint32_t)count;
}

static int read_number(const char *flag, const char *text, uint64_t min, uint64_t max,
                       uint64_t *ret_number, struct errmsg *msg)
{
    uint64_t number;
    if (!str_to_u64(str_from(text), max, &number) || number < min)
        return errmsg_set(msg, ERR_INVALID, "--%s: must be a number from %llu to %llu", flag,
                          (unsigned long long)min, (unsigned long long)max);
    *ret_number = number;
    return 0;
}

static int read_mode(struct options *options, const char *text, struct errmsg *msg)
{
    if (strcmp(text, "serve") == 0)
        options->mode = MODE_SERVE;
    else if (strcmp(text, "validate") == 0)
        options->mode = MODE_VALIDATE;
    else
        return errmsg_set(msg, ERR_INVALID, "--mode: must be serve or validate");
    return 0;
}

/* Where a flag's text goes; NULL for flags that are more than a text. */
static const char **text_of(struct options *options, int flag)
{
    switch (flag) {
    case 'c':
        return &options->config_path;
    case 'l':
        return &options->log_level;
    case FLAG_CONFIG_YAML:
        return &options->config_yaml;
    case FLAG_CONTROL:
        return &options->control;
    case FLAG_GATEWAY:
        return &options->gateway;
    case FLAG_SERVICE_NODE:
        return &options->service_node;
    case FLAG_SERVICE_CLUSTER:
        return &options->service_cluster;
    case FLAG_ADMIN_ADDRESS:
        return &options->admin_address;
    case FLAG_LAST_GOOD_PATH:
        return &options->last_good_path;
    case FLAG_LOG_PATH:
        return &options->log_path;
    default:
        return NULL;
    }
}

static int read_flag(struct options *options, int flag, const char *text, struct errmsg *msg)
{
    uint64_t number = 0;
    int err = 0;
    const char **place = text_of(options, flag);
    if (place)
        *place = text;
    else if (flag == FLAG_VERSION)
        options->mode = MODE_VERSION;
    else if (flag == FLAG_HELP)
        options->mode = MODE_HELP;
    else if (flag == FLAG_MODE)
        err = read_mode(options, text, msg);
    else if (flag == FLAG_CONCURRENCY) {
        /* 0 is one, as in Envoy. */
        err = read_number("concurrency", text, 0, WORKERS_MAX, &number, msg);
        options->workers = number ? (uint32_t)number : 1;
    } else if (flag == FLAG_DRAIN_TIME_S) {
        err = read_number("drain-time-s", text, 0, DRAIN_TIME_MAX_S, &number, msg);
        options->drain_time_ms = number * 1000;
    }
    return err;
}

static int check_together(const struct options *options, struct errmsg *msg)
{
    if (options->mode != MODE_SERVE && options->mode != MODE_VALIDATE)
        return 0;
    if (!options->config_path && !options->config_yaml && !options->control)
        return errmsg_set(msg, ERR_INVALID,
                          "one of --config-path, --config-yaml and --control must be given");
    if (options->config_path && options->config_yaml)
        return errmsg_set(msg, ERR_INVALID,
                          "--config-path and --config-yaml cannot be given together");
    if (options->control && !options->gateway && !options->service_cluster &&
        !options->config_path && !options->config_yaml)
        return errmsg_set(msg, ERR_INVALID, "--control needs --gateway");
    if (options->gateway && options->service_cluster)
        return errmsg_set(msg, ERR_INVALID,
                          "--gateway and --service-cluster are the same; give one");
    if (options->log_level && !log_set_level(options->log_level))
        return errmsg_set(msg, ERR_INVALID,
                          "--log-level: must be trace, debug, info, warning, error, critical or "
                          "off");
    return 0;
}

int options_parse(int argc, char **argv, struct options *ret_options, struct errmsg *msg)
{
    struct options options = {.mode = MODE_SERVE, .workers = cpu_count(), .drain_time_ms = 30000};
    opterr = 0;
    optind = 0; /* start again: tests parse more than once */
    int flag;
    while ((flag = getopt_long(argc, argv, ":c:l:", long_flags, NULL)) != -1) {
        const char *word = argv[optind - 1];
        if (flag == '?')
            return errmsg_set(msg, ERR_INVALID, "unknown flag %s; see --help", word);
        if (flag == ':')
            return errmsg_set(msg, ERR_INVALID, "%s needs a value", word);
        int err = read_flag(&options, flag, optarg, msg);
        if (err)
            return err;
    }
    if (optind < argc)
        return errmsg_set(msg, ERR_INVALID, "unexpected argument \"%s\"; see --help", argv[optind]);
    int err = check_together(&options, msg);
    if (!err)
        *ret_options = options;
    return err;
}
