/* Validation of kind gateways. */
#include "controlplane/model/check.h"
#include "controlplane/model/model_internal.h"

#include <arpa/inet.h>
#include <stdio.h>

enum { LISTENERS_MAX = 50, POLICIES_MAX = 50, LIMITS_MAX = 20, LISTENER_NAME_BYTES_MAX = 63 };
enum { PATH_BYTES_MAX = 1024 };
enum { HOUR = 60 * 60 * 1000, DAY = 24 * HOUR };

static const char *listener_address(const Weir__V1__Listener *listener)
{
    return *listener->address ? listener->address : "0.0.0.0";
}

static int check_listener(const Weir__V1__Listener *listener, struct errmsg *msg)
{
    int err = check_name("name", listener->name, msg);
    if (err == 0 && strlen(listener->name) > LISTENER_NAME_BYTES_MAX)
        err = errmsg_set(msg, ERR_INVALID, "name: has more than %d characters",
                         LISTENER_NAME_BYTES_MAX);
    if (err == 0 && !is_ip_address(listener_address(listener)))
        err =
            errmsg_set(msg, ERR_INVALID, "address: \"%.100s\" is no IP address", listener->address);
    if (err == 0)
        err = check_range("port", listener->port, 1, UINT16_MAX, msg);
    if (err == 0)
        err = check_hosts("hosts", listener->hosts, listener->n_hosts, msg);
    return err;
}

/* One address can be written in several ways. IPv4 is ::ffff:a.b.c.d here. */
static struct in6_addr binary_address(const Weir__V1__Listener *listener)
{
    const char *text = listener_address(listener);
    struct in6_addr address = {.s6_addr = {[10] = 0xff, [11] = 0xff}};
    if (inet_pton(AF_INET, text, &address.s6_addr[12]) != 1)
        inet_pton(AF_INET6, text, &address);
    return address;
}

static bool is_every_address(const struct in6_addr *address)
{
    static const struct in6_addr every_ipv4 = {.s6_addr = {[10] = 0xff, [11] = 0xff}};
    return IN6_IS_ADDR_UNSPECIFIED(address) || IN6_ARE_ADDR_EQUAL(address, &every_ipv4);
}

/* Whether both would want the same socket: an unspecified address is every address. */
static bool listeners_collide(const Weir__V1__Listener *a, const Weir__V1__Listener *b)
{
    struct in6_addr a_address = binary_address(a), b_address = binary_address(b);
    bool is_any = is_every_address(&a_address) || is_every_address(&b_address);
    return a->port == b->port && (is_any || IN6_ARE_ADDR_EQUAL(&a_address, &b_address));
}

static int check_pair(const Weir__V1__Listener *a, const Weir__V1__Listener *b, struct errmsg *msg)
{
    if (strcmp(a->name, b->name) == 0)
        return errmsg_set(msg, ERR_INVALID, "name: two listeners are called \"%s\"", b->name);
    if (listeners_collide(a, b))
        return errmsg_set(msg, ERR_INVALID,
                          "port: listeners \"%s\" and \"%s\" both want port %u of %s", a->name,
                          b->name, b->port, listener_address(b));
    return 0;
}

static int check_listeners(const Weir__V1__Gateway *gateway, struct errmsg *msg)
{
    if (gateway->n_listeners == 0)
        return errmsg_set(msg, ERR_INVALID, "listeners: at least one is required");
    int err = check_count("listeners", gateway->n_listeners, LISTENERS_MAX, msg);
    for (size_t i = 0; err == 0 && i < gateway->n_listeners; i++) {
        err = check_listener(gateway->listeners[i], msg);
        for (size_t j = 0; err == 0 && j < i; j++)
            err = check_pair(gateway->listeners[j], gateway->listeners[i], msg);
        if (err)
            errmsg_prefix(msg, "listeners[%zu].", i);
    }
    return err;
}

static int check_timeouts(const Weir__V1__Gateway *gateway, struct errmsg *msg)
{
    int err =
        check_duration("request_headers_timeout", gateway->request_headers_timeout, 100, HOUR, msg);
    if (err == 0)
        err = check_duration("request_timeout", gateway->request_timeout, 100, DAY, msg);
    if (err == 0)
        err = check_duration("stream_idle_timeout", gateway->stream_idle_timeout, 100, DAY, msg);
    if (err == 0)
        err = check_duration("idle_timeout", gateway->idle_timeout, 100, DAY, msg);
    return err;
}

static int check_access_log(const Weir__V1__AccessLog *log, struct errmsg *msg)
{
    if (!log)
        return 0;
    if (log->path[0] != '/')
        return errmsg_set(msg, ERR_INVALID, "access_log.path: must begin with '/'");
    return check_text("access_log.path", log->path, PATH_BYTES_MAX, msg);
}

int gateway_validate(const struct model_draft *draft, struct errmsg *msg)
{
    const Weir__V1__Gateway *gateway = (const Weir__V1__Gateway *)draft->message;
    int err = check_listeners(gateway, msg);
    if (err == 0)
        err = check_names("policies", gateway->policies, gateway->n_policies, POLICIES_MAX, msg);
    if (err == 0)
        err = check_names("limits", gateway->limits, gateway->n_limits, LIMITS_MAX, msg);
    if (err == 0)
        err = check_range("trusted_hops", gateway->trusted_hops, 0, 100, msg);
    if (err == 0)
        err = check_u32("max_request_headers_kb", gateway->max_request_headers_kb, 1, 8192, msg);
    if (err == 0)
        err = check_u32("max_headers_count", gateway->max_headers_count, 1, 10000, msg);
    if (err == 0)
        err = check_timeouts(gateway, msg);
    if (err == 0)
        err = check_access_log(gateway->access_log, msg);
    return err;
}
