#include "controlplane/model/check.h"

#include "controlplane/model/model_internal.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>

enum { HOST_BYTES_MAX = 253, HOSTS_MAX = 100 };

static bool is_alphanumeric(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool is_name(struct str name)
{
    if (name.len == 0 || name.len > MODEL_NAME_BYTES_MAX || !is_alphanumeric(name.data[0]))
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        if (!is_alphanumeric(c) && c != '-' && c != '_' && c != '.')
            return false;
    }
    return true;
}

int check_name(const char *field, const char *name, struct errmsg *msg)
{
    if (*name == '\0')
        return errmsg_set(msg, ERR_INVALID, "%s: is required", field);
    if (!is_name(str_from(name)))
        return errmsg_set(
            msg, ERR_INVALID,
            "%s: \"%.100s\" is no name: 1 to %d letters, digits, '-', '_' or '.', the "
            "first a letter or digit",
            field, name, MODEL_NAME_BYTES_MAX);
    return 0;
}

/* Index of the first string that equals an earlier one, or count. */
static size_t find_duplicate(char *const *texts, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        for (size_t j = 0; j < i; j++) {
            if (strcmp(texts[i], texts[j]) == 0)
                return i;
        }
    }
    return count;
}

int check_names(const char *field, char *const *names, size_t count, size_t max, struct errmsg *msg)
{
    int err = check_count(field, count, max, msg);
    for (size_t i = 0; err == 0 && i < count; i++) {
        char item[64];
        snprintf(item, sizeof item, "%s[%zu]", field, i);
        err = check_name(item, names[i], msg);
    }
    size_t duplicate = err == 0 ? find_duplicate(names, count) : count;
    if (duplicate < count)
        return errmsg_set(msg, ERR_INVALID, "%s[%zu]: \"%s\" is there twice", field, duplicate,
                          names[duplicate]);
    return err;
}

int check_count(const char *field, size_t count, size_t max, struct errmsg *msg)
{
    if (count <= max)
        return 0;
    return errmsg_set(msg, ERR_TOO_LARGE, "%s: %zu are too many, at most %zu are allowed", field,
                      count, max);
}

int check_range(const char *field, uint64_t value, uint64_t min, uint64_t max, struct errmsg *msg)
{
    if (value >= min && value <= max)
        return 0;
    return errmsg_set(msg, ERR_INVALID,
                      "%s: %" PRIu64 " is out of range: must be %" PRIu64 " to %" PRIu64, field,
                      value, min, max);
}

int check_u32(const char *field, const Google__Protobuf__UInt32Value *value, uint32_t min,
              uint32_t max, struct errmsg *msg)
{
    return value ? check_range(field, value->value, min, max, msg) : 0;
}

int64_t duration_ms(const Google__Protobuf__Duration *duration, int64_t otherwise)
{
    return duration ? duration->seconds * 1000 + duration->nanos / 1000000 : otherwise;
}

/* "250ms", "5s": as an operator would write it. */
static const char *format_ms(char text[32], int64_t ms)
{
    if (ms % 1000 == 0)
        snprintf(text, 32, "%" PRId64 "s", ms / 1000);
    else
        snprintf(text, 32, "%" PRId64 ".%03ds", ms / 1000, (int)(ms % 1000));
    return text;
}

int check_duration(const char *field, const Google__Protobuf__Duration *duration, int64_t min_ms,
                   int64_t max_ms, struct errmsg *msg)
{
    char min[32], max[32];
    int64_t ms = duration_ms(duration, min_ms);
    /* What is not nothing must not become nothing, which may mean "no bound". */
    bool is_lost = duration && ms == 0 && (duration->seconds != 0 || duration->nanos != 0);
    if (ms >= min_ms && ms <= max_ms && !is_lost)
        return 0;
    return errmsg_set(msg, ERR_INVALID, "%s: is out of range: must be \"%s\" to \"%s\"", field,
                      format_ms(min, min_ms), format_ms(max, max_ms));
}

static void make_lower(char *text)
{
    for (; *text; text++)
        *text = ascii_lower(*text);
}

int check_text(const char *field, const char *text, size_t max, struct errmsg *msg)
{
    size_t len = strlen(text);
    if (len > max)
        return errmsg_set(msg, ERR_TOO_LARGE, "%s: has %zu bytes, at most %zu are allowed", field,
                          len, max);
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return errmsg_set(msg, ERR_INVALID,
                              "%s: has a control character (0x%02x) at position %zu", field, c,
                              i + 1);
    }
    return 0;
}

/* --- hosts ------------------------------------------------------------------------------------ */

bool is_ip_address(const char *text)
{
    unsigned char address[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, text, address) == 1 || inet_pton(AF_INET6, text, address) == 1;
}

/* An IPv6 address in brackets. */
static bool is_bracketed_address(const char *host)
{
    char address[64];
    size_t len = strlen(host);
    if (len < 4 || len >= sizeof address || host[0] != '[' || host[len - 1] != ']')
        return false;
    memcpy(address, host + 1, len - 2);
    address[len - 2] = '\0';
    return strchr(address, ':') && is_ip_address(address);
}

/* Labels of letters, digits, '-' and '_', 1 to 63 of them, joined by single dots. */
static bool is_domain(const char *host)
{
    size_t label = 0;
    for (const char *c = host; *c; c++) {
        if (*c == '.') {
            if (label == 0)
                return false;
            label = 0;
        } else if ((!is_alphanumeric(*c) && *c != '-' && *c != '_') || ++label > 63) {
            return false;
        }
    }
    return label > 0;
}

int check_host(const char *field, char *host, struct errmsg *msg)
{
    make_lower(host);
    if (strlen(host) <= HOST_BYTES_MAX && (is_domain(host) || is_bracketed_address(host)))
        return 0;
    return errmsg_set(msg, ERR_INVALID,
                      "%s: \"%.100s\" is no host: a name like api.example.com or an IP address, "
                      "without port",
                      field, host);
}

static int check_host_pattern(const char *field, char *host, struct errmsg *msg)
{
    if (strcmp(host, "*") == 0)
        return 0;
    if (host[0] != '*')
        return check_host(field, host, msg);
    make_lower(host);
    if (host[1] == '.' && strlen(host) <= HOST_BYTES_MAX && is_domain(host + 2))
        return 0;
    return errmsg_set(
        msg, ERR_INVALID,
        "%s: \"%.100s\": '*' may only stand alone or before a dot, as in *.example.com", field,
        host);
}

int check_hosts(const char *field, char *const *hosts, size_t count, struct errmsg *msg)
{
    int err = check_count(field, count, HOSTS_MAX, msg);
    for (size_t i = 0; err == 0 && i < count; i++) {
        char item[64];
        snprintf(item, sizeof item, "%s[%zu]", field, i);
        err = check_host_pattern(item, hosts[i], msg);
    }
    size_t duplicate = err == 0 ? find_duplicate(hosts, count) : count;
    if (duplicate < count)
        return errmsg_set(msg, ERR_INVALID, "%s[%zu]: \"%s\" is there twice", field, duplicate,
                          hosts[duplicate]);
    return err;
}

/* --- endpoints -------------------------------------------------------------------------------- */

/* "0:0::1" becomes "::1": addresses are compared as text. False where it is no IP address. */
static bool make_canonical(char ip[64])
{
    unsigned char address[sizeof(struct in6_addr)];
    int family = strchr(ip, ':') ? AF_INET6 : AF_INET;
    return inet_pton(family, ip, address) == 1 && inet_ntop(family, address, ip, 64);
}

/* Takes "10.0.0.1:80", "[::1]:80", "10.0.0.1", "[::1]" and "::1" apart; *port is 0 where there is
 * none. False where it is none of these. */
static bool split_address(const char *text, char ip[64], uint64_t *port)
{
    const char *colon = strrchr(text, ':');
    size_t len = strlen(text);
    *port = 0;
    bool has_port = colon && (text[0] == '[' ? colon[-1] == ']' : strchr(text, ':') == colon);
    if (has_port) {
        if (!str_to_u64(str_from(colon + 1), UINT16_MAX, port) || *port == 0)
            return false;
        len = (size_t)(colon - text);
    }
    bool has_brackets = len > 2 && text[0] == '[' && text[len - 1] == ']';
    if (has_brackets) {
        text++;
        len -= 2;
    }
    if (len == 0 || len >= 64)
        return false;
    memcpy(ip, text, len);
    ip[len] = '\0';
    return make_canonical(ip) && (!has_brackets || strchr(ip, ':'));
}

int endpoint_address_parse(const Weir__V1__Endpoint *endpoint, struct endpoint_address *ret_address,
                           struct errmsg *msg)
{
    struct endpoint_address address;
    uint64_t port;
    if (*endpoint->address == '\0')
        return errmsg_set(msg, ERR_INVALID, "address: is required, as in \"10.0.3.7:9001\"");
    if (!split_address(endpoint->address, address.ip, &port))
        return errmsg_set(msg, ERR_INVALID,
                          "address: \"%.100s\" is no IP address with a port, as 10.0.3.7:9001 or "
                          "[2001:db8::7]:9001 (host names are not looked up)",
                          endpoint->address);
    if (port != 0 && endpoint->port != 0)
        return errmsg_set(msg, ERR_INVALID, "port: address has a port already");
    if (port == 0 && endpoint->port == 0)
        return errmsg_set(msg, ERR_INVALID, "address: \"%.100s\" has no port, as in %.100s:9001",
                          endpoint->address, endpoint->address);
    if (port == 0 && endpoint->port > UINT16_MAX)
        return check_range("port", endpoint->port, 1, UINT16_MAX, msg);
    address.port = (uint16_t)(port ? port : endpoint->port);
    *ret_address = address;
    return 0;
}
