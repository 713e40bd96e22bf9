/*
 * Checks of single values, for the validation of objects and policies.
 *
 * Each check_ function returns 0, or ERR_INVALID or ERR_TOO_LARGE with a sentence that begins with
 * the field it was given; a caller that is deeper puts the way to it in front (errmsg_prefix).
 * Any thread.
 */
#ifndef CONTROLPLANE_MODEL_CHECK_H
#define CONTROLPLANE_MODEL_CHECK_H

#include "common/base/err.h"
#include "common/base/str.h"

#include <google/protobuf/duration.pb-c.h>
#include <google/protobuf/wrappers.pb-c.h>
#include <weir/v1/endpoints.pb-c.h>
#include <weir/v1/policies.pb-c.h>

/* The request header that tells back ends, and limits, who calls. */
#define CONSUMER_HEADER "x-weir-consumer"
/* The request header that marks a direct response on its way through the filters. */
#define DIRECT_RESPONSE_HEADER "x-weir-direct-response"

/* 1 to 253 letters, digits, '-', '_', '.'; the first a letter or digit. */
int check_name(const char *field, const char *name, struct errmsg *msg) MUST_CHECK;
bool is_name(struct str name);
/* Each of names[0..count) is a name, none occurs twice, and there are at most max. */
int check_names(const char *field, char *const *names, size_t count, size_t max,
                struct errmsg *msg) MUST_CHECK;
int check_count(const char *field, size_t count, size_t max, struct errmsg *msg) MUST_CHECK;
int check_range(const char *field, uint64_t value, uint64_t min, uint64_t max,
                struct errmsg *msg) MUST_CHECK;
/* The same for a wrapper; NULL is fine. */
int check_u32(const char *field, const Google__Protobuf__UInt32Value *value, uint32_t min,
              uint32_t max, struct errmsg *msg) MUST_CHECK;
/* NULL is fine. */
int check_duration(const char *field, const Google__Protobuf__Duration *duration, int64_t min_ms,
                   int64_t max_ms, struct errmsg *msg) MUST_CHECK;
/* Milliseconds, rounded down; otherwise where duration is NULL. */
int64_t duration_ms(const Google__Protobuf__Duration *duration, int64_t otherwise);

/* The names of headers and cookies are RFC 9110 tokens of at most 256 characters. */
int check_cookie_name(const char *field, const char *name, struct errmsg *msg) MUST_CHECK;
/* The name is made lower case in place. */
int check_header_name(const char *field, char *name, struct errmsg *msg) MUST_CHECK;
/* At most max bytes, no control characters but tab, none that is not UTF-8 checked elsewhere. */
int check_text(const char *field, const char *text, size_t max, struct errmsg *msg) MUST_CHECK;
/* Hosts as in Route.hosts; made lower case in place; none twice. */
int check_hosts(const char *field, char *const *hosts, size_t count, struct errmsg *msg) MUST_CHECK;
/* "api.example.com" or an IP address (an IPv6 one in brackets), no port; lower case in place. */
int check_host(const char *field, char *host, struct errmsg *msg) MUST_CHECK;
/* Changes of headers; names are made lower case. */
int check_header_changes(const Weir__V1__HeaderChanges *changes, struct errmsg *msg) MUST_CHECK;

/* An endpoint's address in parts. */
struct endpoint_address {
    char ip[64];
    uint16_t port;
};
/* Errors as above; they begin with "address" or "port". */
int endpoint_address_parse(const Weir__V1__Endpoint *endpoint, struct endpoint_address *ret_address,
                           struct errmsg *msg) MUST_CHECK;
/* Whether text is an IPv4 or IPv6 address (no brackets). */
bool is_ip_address(const char *text);

#endif
