#include "tests/support/test.h"

#include "controlplane/model/check.h"

#include <stdio.h>
#include <string.h>

/* "ip port", or the sentence. */
static const char *parse(const char *address, uint32_t port)
{
    static char text[1200];
    struct endpoint_address parsed;
    struct errmsg msg;
    Weir__V1__Endpoint endpoint = WEIR__V1__ENDPOINT__INIT;
    endpoint.address = (char *)address;
    endpoint.port = port;
    if (endpoint_address_parse(&endpoint, &parsed, &msg) == 0)
        snprintf(text, sizeof text, "%s %u", parsed.ip, parsed.port);
    else
        snprintf(text, sizeof text, "%s", msg.text);
    return text;
}

START_TEST(addresses_are_taken_with_the_port_inside_or_beside)
{
    ck_assert_str_eq(parse("10.0.0.1:80", 0), "10.0.0.1 80");
    ck_assert_str_eq(parse("10.0.0.1", 81), "10.0.0.1 81");
    ck_assert_str_eq(parse("[2001:db8::1]:80", 0), "2001:db8::1 80");
    ck_assert_str_eq(parse("[2001:db8::1]", 81), "2001:db8::1 81");
    ck_assert_str_eq(parse("2001:db8::1", 81), "2001:db8::1 81");
}
END_TEST

START_TEST(an_address_has_one_spelling)
{
    ck_assert_str_eq(parse("[0:0:0:0:0:0:0:1]:80", 0), "::1 80");
    ck_assert_str_eq(parse("[2001:DB8::0007]:80", 0), "2001:db8::7 80");
    ck_assert_str_eq(parse("2001:db8:0::7", 9), "2001:db8::7 9");
}
END_TEST

START_TEST(addresses_that_are_none_are_refused)
{
    static const char *const bad[] = {"localhost:80", "10.0.0.1:", "10.0.0.1:0",  "10.0.0.1:65536",
                                      "10.0.0:80",    ":80",       "[::1]:",      "[10.0.0.1]:80",
                                      "[::1:80",      "::1]:80",   "10.0.0.1:8x", "[]:80"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(strncmp(parse(bad[i], 0), "address: ", 9) == 0, "%s: %s", bad[i],
                      parse(bad[i], 0));
    ck_assert_str_eq(parse("10.0.0.1:80", 80), "port: address has a port already");
    ck_assert_str_eq(parse("010.0.0.1:80", 0),
                     "address: \"010.0.0.1:80\" is no IP address with a port, as 10.0.3.7:9001 or "
                     "[2001:db8::7]:9001 (host names are not looked up)");
    ck_assert_str_eq(parse("::1", 0), "address: \"::1\" has no port, as in ::1:9001");
}
END_TEST

static bool is_host(const char *text)
{
    char host[300];
    char *hosts[] = {host};
    struct errmsg msg;
    snprintf(host, sizeof host, "%s", text);
    return check_hosts("hosts", hosts, 1, &msg) == 0;
}

START_TEST(hosts_are_names_addresses_and_wildcards_in_front)
{
    static const char *const good[] = {"*",         "a",     "api.example.com", "*.example.com",
                                       "127.0.0.1", "[::1]", "x_y-z.de",        "*.com"};
    static const char *const bad[] = {"",    "*.",   "*a.com",  "a.*.com",   "a.",
                                      ".a",  "a..b", "a:80",    "[1.2.3.4]", "::1",
                                      "a b", "**",   "*.*.com", "a/b"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        ck_assert_msg(is_host(good[i]), "%s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(!is_host(bad[i]), "%s", bad[i]);
    char label[70];
    memset(label, 'a', 64);
    label[64] = '\0';
    ck_assert(!is_host(label));
}
END_TEST

START_TEST(hosts_and_header_names_become_lower_case)
{
    char host[] = "API.Example.COM", header[] = "X-Api-Key";
    char *hosts[] = {host};
    struct errmsg msg;
    ck_assert_int_eq(check_hosts("hosts", hosts, 1, &msg), 0);
    ck_assert_int_eq(check_header_name("name", header, &msg), 0);
    ck_assert_str_eq(host, "api.example.com");
    ck_assert_str_eq(header, "x-api-key");
}
END_TEST

START_TEST(durations_are_compared_in_milliseconds)
{
    struct errmsg msg;
    Google__Protobuf__Duration duration = GOOGLE__PROTOBUF__DURATION__INIT;
    duration.nanos = 50000000;
    ck_assert_int_eq(duration_ms(&duration, 7), 50);
    ck_assert_int_eq(duration_ms(NULL, 7), 7);
    ck_assert_int_eq(check_duration("per", &duration, 50, 1000, &msg), 0);
    ck_assert_int_eq(check_duration("per", NULL, 50, 1000, &msg), 0);
    ck_assert_int_eq(check_duration("per", &duration, 51, 1500, &msg), ERR_INVALID);
    ck_assert_str_eq(msg.text, "per: is out of range: must be \"0.051s\" to \"1.500s\"");
}
END_TEST

START_TEST(a_duration_below_a_millisecond_is_not_taken_for_none)
{
    struct errmsg msg;
    Google__Protobuf__Duration duration = GOOGLE__PROTOBUF__DURATION__INIT;
    ck_assert_int_eq(check_duration("timeout", &duration, 0, 1000, &msg), 0);
    duration.nanos = 400000;
    ck_assert_int_eq(check_duration("timeout", &duration, 0, 1000, &msg), ERR_INVALID);
}
END_TEST

START_TEST(huge_durations_do_not_overflow)
{
    struct errmsg msg;
    Google__Protobuf__Duration duration = GOOGLE__PROTOBUF__DURATION__INIT;
    duration.seconds = 315576000000; /* the most a Duration can be */
    ck_assert_int_eq(check_duration("per", &duration, 0, 1000, &msg), ERR_INVALID);
    duration.seconds = -315576000000;
    ck_assert_int_eq(check_duration("per", &duration, 0, 1000, &msg), ERR_INVALID);
}
END_TEST

START_TEST(names_begin_with_a_letter_or_digit)
{
    ck_assert(is_name(STR("a")) && is_name(STR("7")) && is_name(STR("a.b-c_D")));
    ck_assert(!is_name(STR("")) && !is_name(STR("-a")) && !is_name(STR("a/b")));
    ck_assert(!is_name(STR("a b")) && !is_name(STR(".a")));
    char name[300];
    memset(name, 'a', sizeof name);
    ck_assert(is_name((struct str){.data = name, .len = 253}));
    ck_assert(!is_name((struct str){.data = name, .len = 254}));
}
END_TEST

TEST_MAIN("check", an_address_has_one_spelling, addresses_are_taken_with_the_port_inside_or_beside,
          addresses_that_are_none_are_refused, hosts_are_names_addresses_and_wildcards_in_front,
          hosts_and_header_names_become_lower_case, durations_are_compared_in_milliseconds,
          a_duration_below_a_millisecond_is_not_taken_for_none, huge_durations_do_not_overflow,
          names_begin_with_a_letter_or_digit)
