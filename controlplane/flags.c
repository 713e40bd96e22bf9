#include "controlplane/flags.h"

#include "common/base/mem.h"
#include "common/base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { OWNED_ENDPOINTS, OWNED_PASSWORD };
enum { PASSWORD_BYTES_MAX = 4096 };

const char *flags_help(void)
{
    return "usage: weir-control [flags]\n"
           "\n"
           "Watches policy in etcd (or a directory), translates it and serves it over xDS.\n"
           "\n"
           "  --source etcd|dir            where policy comes from (etcd)\n"
           "  --etcd-endpoints LIST        comma-separated, host:port or http(s)://host:port\n"
           "                               (http://127.0.0.1:2379)\n"
           "  --etcd-user NAME             and\n"
           "  --etcd-password-file PATH    authenticate with etcd\n"
           "  --etcd-ca PATH               CA of etcd's certificate, PEM (the system's CAs)\n"
           "  --etcd-cert PATH             client certificate for etcd, PEM, and\n"
           "  --etcd-key PATH              its key\n"
           "  --prefix KEY                 where objects are (/weir/v1/)\n"
           "  --status-prefix KEY          where statuses are written (/weir/status/v1/);\n"
           "                               an empty one: nowhere\n"
           "  --last-good-path PATH        copy of the policy for starts without etcd (none)\n"
           "  --directory PATH             with --source dir: <kind>/<name>.json or .yaml\n"
           "  --status-directory PATH      with --source dir: where statuses are written "
           "(nowhere)\n"
           "  --xds-address HOST:PORT      where proxies connect (127.0.0.1:18000)\n"
           "  --xds-cert PATH              certificate chain for that address, PEM, and\n"
           "  --xds-key PATH               its key: TLS (without them: plaintext)\n"
           "  --xds-client-ca PATH         only proxies with a certificate of these CAs, PEM (all\n"
           "                               that connect; they are sent consumers' API keys)\n"
           "                               Changes of these three files need no restart.\n"
           "  --admin-address HOST:PORT    /ready /metrics /clients /config_dump "
           "(127.0.0.1:18001)\n"
           "  --admin-host NAME            host name to answer to there, besides localhost and\n"
           "                               addresses\n"
           "  --id NAME                    this instance's name in statuses, its own among "
           "replicas\n"
           "                               (the host's name)\n"
           "  --log-level LEVEL            trace, debug, info, warning, error, critical, off "
           "(info)\n"
           "  --help, --version\n"
           "\n"
           "A flag's value follows it, or an equals sign: --prefix /weir/v1/, --prefix=/weir/v1/\n";
}

/* --- values
 * ------------------------------------------------------------------------------------------- */

static int set_source(struct flags *flags, const char *value, struct errmsg *msg)
{
    if (strcmp(value, "etcd") == 0)
        flags->source = FLAGS_SOURCE_ETCD;
    else if (strcmp(value, "dir") == 0)
        flags->source = FLAGS_SOURCE_DIRECTORY;
    else
        return errmsg_set(msg, ERR_INVALID, "--source: \"%s\" is neither etcd nor dir", value);
    return 0;
}

static int set_endpoints(struct flags *flags, const char *value, struct errmsg *msg)
{
    char *list = mem_copy_string(value, strlen(value));
    mem_free(flags->owned[OWNED_ENDPOINTS]);
    flags->owned[OWNED_ENDPOINTS] = list;
    flags->etcd_endpoint_count = 0;
    for (char *at = list; at;) {
        char *comma = strchr(at, ',');
        if (comma)
            *comma = '\0';
        if (!*at)
            return errmsg_set(msg, ERR_INVALID, "--etcd-endpoints: an endpoint is empty");
        if (flags->etcd_endpoint_count == FLAGS_ENDPOINTS_MAX)
            return errmsg_set(msg, ERR_INVALID, "--etcd-endpoints: more than %d",
                              FLAGS_ENDPOINTS_MAX);
        flags->etcd_endpoints[flags->etcd_endpoint_count++] = at;
        at = comma ? comma + 1 : NULL;
    }
    return 0;
}

static int set_password_file(struct flags *flags, const char *value, struct errmsg *msg)
{
    char bytes[PASSWORD_BYTES_MAX];
    int fd = open(value, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? -1 : read(fd, bytes, sizeof bytes);
    int saved = errno;
    if (fd >= 0)
        close(fd);
    if (len < 0)
        return errmsg_set(msg, ERR_INVALID, "--etcd-password-file: cannot read %s: %s", value,
                          strerror(saved));
    while (len > 0 && (bytes[len - 1] == '\n' || bytes[len - 1] == '\r'))
        len--;
    if (len == 0 || len == (ssize_t)sizeof bytes)
        return errmsg_set(msg, ERR_INVALID, "--etcd-password-file: %s is empty or too long", value);
    mem_free(flags->owned[OWNED_PASSWORD]);
    flags->owned[OWNED_PASSWORD] = mem_copy_string(bytes, (size_t)len);
    flags->etcd_password = flags->owned[OWNED_PASSWORD];
    return 0;
}

/* --- the table
 * ---------------------------------------------------------------------------------------- */

struct flag {
    const char *name;
    size_t offset; /* of the const char * in struct flags, where set is NULL */
    int (*set)(struct flags *flags, const char *value, struct errmsg *msg);
    bool may_be_empty;
};

#define TEXT(flag_name, member)                                                                    \
    {                                                                                              \
        .name = flag_name, .offset = offsetof(struct flags, member)                                \
    }

static const struct flag table[] = {
    {.name = "source", .set = set_source},
    {.name = "etcd-endpoints", .set = set_endpoints},
    {.name = "etcd-password-file", .set = set_password_file},
    TEXT("etcd-user", etcd_user),
    TEXT("etcd-ca", etcd_ca),
    TEXT("etcd-cert", etcd_cert),
    TEXT("etcd-key", etcd_key),
    TEXT("prefix", prefix),
    {.name = "status-prefix",
     .offset = offsetof(struct flags, status_prefix),
     .may_be_empty = true},
    TEXT("directory", directory),
    TEXT("status-directory", status_directory),
    TEXT("last-good-path", last_good_path),
    TEXT("xds-address", xds_address),
    TEXT("xds-cert", xds_cert),
    TEXT("xds-key", xds_key),
    TEXT("xds-client-ca", xds_client_ca),
    TEXT("admin-address", admin_address),
    TEXT("admin-host", admin_host),
    TEXT("id", id),
    TEXT("log-level", log_level),
};

static const struct flag *find_flag(struct str name)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (str_equal(name, str_from(table[i].name)))
            return &table[i];
    return NULL;
}

static int set_flag(struct flags *flags, const struct flag *flag, const char *value,
                    struct errmsg *msg)
{
    if (!*value && !flag->may_be_empty)
        return errmsg_set(msg, ERR_INVALID, "--%s: the value is empty", flag->name);
    if (flag->set)
        return flag->set(flags, value, msg);
    memcpy((char *)flags + flag->offset, &value, sizeof value);
    return 0;
}

static int parse_one(struct flags *flags, int argc, char **argv, int *at, struct errmsg *msg)
{
    const char *word = argv[*at];
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        flags->wants_help = true;
        return 0;
    }
    if (strcmp(word, "--version") == 0) {
        flags->wants_version = true;
        return 0;
    }
    if (strncmp(word, "--", 2) != 0)
        return errmsg_set(msg, ERR_INVALID, "\"%s\" is no flag; see --help", word);
    struct str name = str_from(word + 2);
    const char *sign = strchr(word, '=');
    if (sign)
        name.len = (size_t)(sign - word) - 2;
    const struct flag *flag = find_flag(name);
    if (!flag)
        return errmsg_set(msg, ERR_INVALID, "there is no flag --%.*s; see --help", STR_ARGS(name));
    if (!sign && *at + 1 == argc)
        return errmsg_set(msg, ERR_INVALID, "--%s: the value is missing", flag->name);
    return set_flag(flags, flag, sign ? sign + 1 : argv[++*at], msg);
}

/* Whether what is written to inner would be read in outer: "/weir/status/" in "/weir". */
static bool lies_in(const char *inner, const char *outer)
{
    size_t len = strlen(outer);
    while (len > 1 && outer[len - 1] == '/')
        len--;
    return strncmp(inner, outer, len) == 0 &&
           (inner[len] == '\0' || inner[len] == '/' || outer[len - 1] == '/');
}

/* A status that is taken for an object gets a status, and so on; an object that is taken for the
 * status of one that does not exist is deleted. */
static int check_apart(const char *flag, const char *statuses, const char *object_flag,
                       const char *objects, struct errmsg *msg)
{
    if (lies_in(statuses, objects))
        return errmsg_set(msg, ERR_INVALID, "--%s: %s lies in --%s %s", flag, statuses, object_flag,
                          objects);
    if (lies_in(objects, statuses))
        return errmsg_set(msg, ERR_INVALID, "--%s: --%s %s lies in %s", flag, object_flag, objects,
                          statuses);
    return 0;
}

static int check_statuses(const struct flags *flags, struct errmsg *msg)
{
    int err = 0;
    if (*flags->status_prefix)
        err = check_apart("status-prefix", flags->status_prefix, "prefix", flags->prefix, msg);
    if (!err && flags->directory && flags->status_directory)
        err = check_apart("status-directory", flags->status_directory, "directory",
                          flags->directory, msg);
    return err;
}

static int check(const struct flags *flags, struct errmsg *msg)
{
    bool is_directory = flags->source == FLAGS_SOURCE_DIRECTORY;
    if (is_directory && !flags->directory)
        return errmsg_set(msg, ERR_INVALID, "--source dir needs --directory");
    if (!is_directory && flags->directory)
        return errmsg_set(msg, ERR_INVALID, "--directory needs --source dir");
    if ((flags->etcd_user != NULL) != (flags->etcd_password != NULL))
        return errmsg_set(msg, ERR_INVALID, "--etcd-user and --etcd-password-file go together");
    if ((flags->etcd_cert != NULL) != (flags->etcd_key != NULL))
        return errmsg_set(msg, ERR_INVALID, "--etcd-cert and --etcd-key go together");
    if ((flags->xds_cert != NULL) != (flags->xds_key != NULL))
        return errmsg_set(msg, ERR_INVALID, "--xds-cert and --xds-key go together");
    if (flags->xds_client_ca && !flags->xds_cert)
        return errmsg_set(msg, ERR_INVALID, "--xds-client-ca needs --xds-cert and --xds-key");
    return check_statuses(flags, msg);
}

int flags_parse(struct flags *flags, int argc, char **argv, struct errmsg *ret_msg)
{
    *flags = (struct flags){
        .etcd_endpoints = {"http://127.0.0.1:2379"},
        .etcd_endpoint_count = 1,
        .prefix = "/weir/v1/",
        .status_prefix = "/weir/status/v1/",
        .xds_address = "127.0.0.1:18000",
        .admin_address = "127.0.0.1:18001",
        .log_level = "info",
    };
    if (gethostname(flags->host_name, sizeof flags->host_name - 1) != 0 || !flags->host_name[0])
        strncpy(flags->host_name, "weir-control", sizeof flags->host_name - 1);
    flags->id = flags->host_name;
    for (int at = 1; at < argc; at++) {
        int err = parse_one(flags, argc, argv, &at, ret_msg);
        if (err)
            return err;
    }
    return flags->wants_help || flags->wants_version ? 0 : check(flags, ret_msg);
}

void flags_done(struct flags *flags)
{
    for (size_t i = 0; i < sizeof flags->owned / sizeof *flags->owned; i++)
        mem_free(flags->owned[i]);
}
