#include "dataplane/http/header_mutations.h"
#include "tests/support/fake_stream.h"
#include "tests/support/test.h"

#include <envoy/extensions/filters/http/header_mutation/v3/header_mutation.pb-c.h>

static struct fake_load load;
static struct fake_stream fake;

/* Lists of a virtual host's message, which has all four. */
static int compile(const char *json, const struct header_mutations **ret)
{
    const Envoy__Config__Route__V3__VirtualHost *host =
        fake_load_message(&load, &envoy__config__route__v3__virtual_host__descriptor, json);
    return header_mutations_new(&load.arena, host->request_headers_to_add,
                                host->n_request_headers_to_add, host->request_headers_to_remove,
                                host->n_request_headers_to_remove, NULL, ret, &load.msg);
}

static void apply(const char *json)
{
    const struct header_mutations *mutations = NULL;
    int err = compile(json, &mutations);
    ck_assert_msg(err == 0, "%s", load.msg.text);
    header_mutations_apply(mutations, &fake.stream, &fake.stream.request.headers);
}

/* All lines as "name: value\n". */
static const char *lines(void)
{
    const char *text = "";
    const struct header_list *headers = &fake.stream.request.headers;
    for (uint32_t i = 0; i < headers->len; i++)
        text = arena_printf(&load.arena, "%s%.*s: %.*s\n", text, STR_ARGS(headers->items[i].name),
                            STR_ARGS(headers->items[i].value));
    return text;
}

static void setup(const char *headers)
{
    fake_load_init(&load);
    fake_stream_init(&fake);
    fake_stream_request(&fake, "GET", "/", headers);
}

static void teardown(void)
{
    fake_stream_done(&fake);
    fake_load_done(&load);
}

/* The same lists gave Envoy 1.40 the same headers. */
START_TEST(additions_follow_their_append_action)
{
    setup("x-a: old\nx-e: 1\nx-f: 1\nx-z: 1\n");
    apply(
        "{\"request_headers_to_remove\":[\"X-Z\"],\"request_headers_to_add\":["
        "{\"header\":{\"key\":\"X-A\",\"value\":\"new\"}},"
        "{\"header\":{\"key\":\"x-b\",\"value\":\"%REQ(X-NO)%\"}},"
        "{\"header\":{\"key\":\"x-c\",\"value\":\"a%REQ(X-NO)%b\"}},"
        "{\"header\":{\"key\":\"x-d\",\"value\":\"%REQ(X-NO)%\"},\"keep_empty_value\":true},"
        "{\"header\":{\"key\":\"x-e\",\"value\":\"o\"},\"append_action\":\"OVERWRITE_IF_EXISTS\"},"
        "{\"header\":{\"key\":\"x-h\",\"value\":\"o\"},\"append_action\":\"OVERWRITE_IF_EXISTS\"},"
        "{\"header\":{\"key\":\"x-f\",\"value\":\"p\"},\"append_action\":\"ADD_IF_ABSENT\"},"
        "{\"header\":{\"key\":\"x-i\",\"value\":\"p\"},\"append_action\":\"ADD_IF_ABSENT\"},"
        "{\"header\":{\"key\":\"x-g\",\"value\":\"100%%\"},\"append_action\":"
        "\"OVERWRITE_IF_EXISTS_OR_ADD\"}]}");
    ck_assert_str_eq(lines(), "x-a: old\nx-f: 1\nx-a: new\nx-c: ab\nx-d: \nx-e: o\nx-i: p\n"
                              "x-g: 100%\n");
    teardown();
}
END_TEST

START_TEST(values_of_a_list_are_taken_before_its_additions)
{
    setup("x-a: 1\n");
    apply("{\"request_headers_to_add\":["
          "{\"header\":{\"key\":\"x-a\",\"value\":\"2\"},\"append_action\":"
          "\"OVERWRITE_IF_EXISTS_OR_ADD\"},{\"header\":{\"key\":\"x-b\",\"value\":"
          "\"%REQ(X-A)%\"}}]}");
    ck_assert_str_eq(lines(), "x-a: 2\nx-b: 1\n");
    teardown();
}
END_TEST

START_TEST(rules_are_done_one_after_the_other)
{
    setup("x-a: 1\nx-int-1: 1\nother: 1\nx-int-2: 1\n");
    const Envoy__Extensions__Filters__Http__HeaderMutation__V3__Mutations *message =
        fake_load_message(
            &load, &envoy__extensions__filters__http__header_mutation__v3__mutations__descriptor,
            "{\"request_mutations\":[{\"append\":{\"header\":{\"key\":\"x-a\",\"value\":\"2\"},"
            "\"append_action\":\"OVERWRITE_IF_EXISTS_OR_ADD\"}},{\"append\":{\"header\":{\"key\":"
            "\"x-b\",\"value\":\"%REQ(X-A)%\"}}},{\"remove\":\"x-a\"},{\"remove_on_match\":"
            "{\"key_matcher\":{\"prefix\":\"x-int-\"}}}]}");
    const struct header_mutations *mutations;
    ck_assert_int_eq(header_mutations_from_rules(&load.arena, message->request_mutations,
                                                 message->n_request_mutations, &mutations,
                                                 &load.msg),
                     0);
    header_mutations_apply(mutations, &fake.stream, &fake.stream.request.headers);
    ck_assert_str_eq(lines(), "other: 1\nx-b: 2\n");
    teardown();
}
END_TEST

START_TEST(pseudo_headers_host_and_broken_lines_are_refused)
{
    setup("");
    const char *const bad[] = {
        "{\"request_headers_to_remove\":[\":path\"]}",
        "{\"request_headers_to_remove\":[\"HOST\"]}",
        "{\"request_headers_to_remove\":[\"a b\"]}",
        "{\"request_headers_to_add\":[{\"header\":{\"key\":\":authority\",\"value\":\"x\"}}]}",
        "{\"request_headers_to_add\":[{\"header\":{\"key\":\"host\",\"value\":\"x\"}}]}",
        "{\"request_headers_to_add\":[{\"header\":{\"key\":\"\",\"value\":\"x\"}}]}",
        "{\"request_headers_to_add\":[{}]}",
        "{\"request_headers_to_add\":[{\"header\":{\"key\":\"a\",\"value\":\"x\\r\\ny: z\"}}]}",
        "{\"request_headers_to_add\":[{\"header\":{\"key\":\"a\",\"value\":\"%NO%\"}}]}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const struct header_mutations *mutations;
        ck_assert_msg(compile(bad[i], &mutations) != 0, "%s was taken", bad[i]);
    }
    teardown();
}
END_TEST

START_TEST(a_value_with_line_ends_adds_no_line)
{
    setup("");
    header_list_add_name(&fake.stream.request.headers, STR("x-evil"), STR("a\r\nb: c"));
    apply("{\"request_headers_to_add\":[{\"header\":{\"key\":\"x-copy\",\"value\":"
          "\"%REQ(X-EVIL)%\"}}]}");
    ck_assert_ptr_null(strchr(fake_stream_request_header(&fake, "x-copy"), '\n'));
    teardown();
}
END_TEST

START_TEST(nothing_to_do_is_null)
{
    setup("x-a: 1\n");
    const struct header_mutations *mutations = (const struct header_mutations *)&fake;
    ck_assert_int_eq(compile("{}", &mutations), 0);
    ck_assert_ptr_null(mutations);
    header_mutations_apply(NULL, &fake.stream, &fake.stream.request.headers);
    ck_assert_str_eq(lines(), "x-a: 1\n");
    teardown();
}
END_TEST

TEST_MAIN("header_mutations", additions_follow_their_append_action,
          values_of_a_list_are_taken_before_its_additions, rules_are_done_one_after_the_other,
          pseudo_headers_host_and_broken_lines_are_refused, a_value_with_line_ends_adds_no_line,
          nothing_to_do_is_null)
