/* The delta form; numbers in names are those of the project's list of xDS cases. */
#include "tests/support/test.h"
#include "tests/support/xds_peer.h"

#include "common/base/mem.h"

#include <stdio.h>

static struct xds_peer peer;

static void begin(enum resource_type type, const char *target)
{
    xds_peer_init(&peer, type, true, target);
}

static void end(void)
{
    xds_peer_done(&peer);
}

static void request(struct xds_request request)
{
    xds_peer_request(&peer, request);
}

START_TEST(a_wildcard_gets_everything_and_then_only_changes)
{
    begin(RESOURCE_CLUSTER, "a=1 b=1");
    expect_sent(&peer, "nothing");
    xds_peer_ask(&peer, "");
    expect_sent_and_ack(&peer, "a=1 b=1");
    expect_sent(&peer, "nothing");
    xds_peer_publish(&peer, "a=1 b=2 c=1");
    expect_sent_and_ack(&peer, "b=2 c=1");
    xds_peer_publish(&peer, "c=1");
    expect_sent_and_ack(&peer, "-a -b");
    expect_sent(&peer, "nothing");
    ck_assert_uint_eq(peer.sub.len, 0); /* no memory per resource */
    end();
}
END_TEST

START_TEST(case_1_a_refused_response_is_not_sent_again)
{
    begin(RESOURCE_CLUSTER, "a=1");
    xds_peer_ask(&peer, "*");
    expect_sent(&peer, "a=1");
    xds_peer_nack(&peer, "no good");
    for (int i = 0; i < 10; i++) {
        expect_sent(&peer, "nothing");
        xds_peer_publish(&peer, "a=1");
    }
    ck_assert(subscription_has_refused(&peer.sub));
    ck_assert(subscription_is_settled(&peer.sub));
    end();
}
END_TEST

START_TEST(case_3_a_refusal_that_subscribes_to_more_gets_more)
{
    begin(RESOURCE_ROUTES, "r1=1 r2=1");
    xds_peer_ask(&peer, "r1");
    expect_sent(&peer, "r1=1");
    request((struct xds_request){.error = "bad", .names = "r2"});
    expect_sent_and_ack(&peer, "r2=1");
    expect_sent(&peer, "nothing");
    ck_assert(subscription_is_refused(&peer.sub, STR("r1")));
    ck_assert(!subscription_is_refused(&peer.sub, STR("r2")));
    end();
}
END_TEST

START_TEST(case_4_refused_content_is_sent_as_soon_as_it_is_mended)
{
    begin(RESOURCE_CLUSTER, "a=1");
    xds_peer_ask(&peer, "*");
    expect_sent_and_ack(&peer, "a=1");
    xds_peer_publish(&peer, "a=2");
    expect_sent(&peer, "a=2");
    xds_peer_nack(&peer, "bad");
    xds_peer_publish(&peer, "a=3");
    expect_sent(&peer, "a=3");
    xds_peer_ack(&peer);
    ck_assert(!subscription_has_refused(&peer.sub));
    expect_sent(&peer, "nothing");
    end();
}
END_TEST

START_TEST(case_5_siblings_of_a_refused_resource_go_with_it_when_it_is_mended)
{
    begin(RESOURCE_CLUSTER, "");
    xds_peer_ask(&peer, "*");
    expect_sent_and_ack(&peer, "empty");
    xds_peer_publish(&peer, "a=1 b=1");
    expect_sent(&peer, "a=1 b=1");
    xds_peer_nack(&peer, "something is wrong"); /* names nobody */
    expect_sent(&peer, "nothing");
    xds_peer_publish(&peer, "a=1 b=1 c=1"); /* others are not held up */
    expect_sent_and_ack(&peer, "c=1");
    xds_peer_publish(&peer, "a=1 b=2 c=1");
    expect_sent_and_ack(&peer, "a=1 b=2");
    expect_sent(&peer, "nothing");
    ck_assert(!subscription_has_refused(&peer.sub));
    end();
}
END_TEST

START_TEST(case_5_siblings_are_sent_again_at_once_where_the_text_names_the_culprit)
{
    begin(RESOURCE_CLUSTER, "a=1 b=1 c=1");
    xds_peer_ask(&peer, "*");
    expect_sent(&peer, "a=1 b=1 c=1");
    xds_peer_nack(&peer, "Error adding/updating cluster(s) b: no such address.");
    ck_assert_str_eq(peer.refused, "b");
    expect_sent_and_ack(&peer, "a=1 c=1");
    expect_sent(&peer, "nothing");
    ck_assert(subscription_is_refused(&peer.sub, STR("b")));
    xds_peer_publish(&peer, "a=1 b=2 c=1");
    expect_sent_and_ack(&peer, "b=2");
    ck_assert(!subscription_has_refused(&peer.sub));
    ck_assert_uint_eq(peer.sub.len, 0);
    end();
}
END_TEST

START_TEST(case_5_a_removal_in_a_refused_response_is_told_again)
{
    begin(RESOURCE_CLUSTER, "a=1 z=1");
    xds_peer_ask(&peer, "*");
    expect_sent_and_ack(&peer, "a=1 z=1");
    xds_peer_publish(&peer, "a=2");
    expect_sent(&peer, "a=2 -z");
    xds_peer_nack(&peer, "cluster a: bad");
    expect_sent_and_ack(&peer, "-z");
    expect_sent(&peer, "nothing");
    end();
}
END_TEST

START_TEST(every_refusal_shrinks_what_is_sent_so_that_it_ends)
{
    begin(RESOURCE_CLUSTER, "a=1 b=1 c=1");
    xds_peer_ask(&peer, "*");
    expect_sent(&peer, "a=1 b=1 c=1");
    xds_peer_nack(&peer, "b is bad");
    expect_sent(&peer, "a=1 c=1");
    xds_peer_nack(&peer, "b is bad still"); /* wrong: b was not in it */
    expect_sent(&peer, "nothing");
    end();
}
END_TEST

START_TEST(case_6_a_revert_to_what_the_client_runs_sends_nothing_and_clears_the_refusal)
{
    begin(RESOURCE_CLUSTER, "a=1");
    xds_peer_ask(&peer, "*");
    expect_sent_and_ack(&peer, "a=1");
    xds_peer_publish(&peer, "a=2");
    expect_sent(&peer, "a=2");
    xds_peer_nack(&peer, "bad");
    xds_peer_publish(&peer, "a=1");
    expect_sent(&peer, "nothing");
    ck_assert(!subscription_has_refused(&peer.sub));
    ck_assert(subscription_has_current(&peer.sub, STR("a")));
    ck_assert(subscription_is_settled(&peer.sub));
    end();
}
END_TEST

START_TEST(case_6_a_revert_frees_those_refused_together)
{
    begin(RESOURCE_CLUSTER, "a=1 b=1");
    xds_peer_ask(&peer, "*");
    expect_sent_and_ack(&peer, "a=1 b=1");
    xds_peer_publish(&peer, "a=2 b=2");
    expect_sent(&peer, "a=2 b=2");
    xds_peer_nack(&peer, "?");
    xds_peer_publish(&peer, "a=2 b=1");
    expect_sent_and_ack(&peer, "a=2");
    expect_sent(&peer, "nothing");
    end();
}
END_TEST

START_TEST(case_8_a_stale_nonce_does_not_hide_a_subscription)
{
    begin(RESOURCE_ENDPOINTS, "x=1 z=1");
    xds_peer_ask(&peer, "x");
    expect_sent_and_ack(&peer, "x=1");
    xds_peer_publish(&peer, "x=2 z=1");
    expect_sent(&peer, "x=2");
    enum subscription_outcome outcome =
        xds_peer_request(&peer, (struct xds_request){.nonce = "1", .names = "z"});
    ck_assert_int_eq(outcome, SUBSCRIPTION_REQUEST);
    expect_sent(&peer, "nothing"); /* one outstanding */
    xds_peer_ack(&peer);
    expect_sent_and_ack(&peer, "z=1");
    end();
}
END_TEST

START_TEST(case_9_a_nonce_of_another_stream_makes_no_difference)
{
    begin(RESOURCE_CLUSTER, "a=1");
    enum subscription_outcome outcome =
        xds_peer_request(&peer, (struct xds_request){.nonce = "77", .names = "*"});
    ck_assert_int_eq(outcome, SUBSCRIPTION_REQUEST);
    expect_sent_and_ack(&peer, "a=1");
    end();
}
END_TEST

START_TEST(case_12_the_same_content_published_again_sends_nothing)
{
    begin(RESOURCE_CLUSTER, "a=1 b=1");
    xds_peer_ask(&peer, "*");
    expect_sent_and_ack(&peer, "a=1 b=1");
    xds_peer_publish(&peer, "b=1 a=1");
    expect_sent(&peer, "nothing");
    ck_assert_ptr_eq(peer.sub.base, peer.sub.target); /* the older set can go */
    end();
}
END_TEST

START_TEST(case_16_wildcard_then_a_name_then_no_wildcard_then_nothing)
{
    begin(RESOURCE_CLUSTER, "A=1 B=1");
    xds_peer_ask(&peer, "");
    expect_sent_and_ack(&peer, "A=1 B=1");
    request((struct xds_request){.names = "A"});
    expect_sent_and_ack(&peer, "A=1");
    xds_peer_publish(&peer, "A=1 B=2");
    expect_sent_and_ack(&peer, "B=2"); /* still wildcard */
    request((struct xds_request){.gone = "*"});
    xds_peer_publish(&peer, "A=2 B=3");
    expect_sent_and_ack(&peer, "A=2");
    request((struct xds_request){.gone = "A"});
    xds_peer_publish(&peer, "A=3 B=4");
    expect_sent(&peer, "nothing");
    end();
}
END_TEST

START_TEST(case_17_who_unsubscribes_a_name_of_the_wildcard_is_told_what_becomes_of_it)
{
    begin(RESOURCE_CLUSTER, "A=1 B=1");
    xds_peer_ask(&peer, "* A gone");
    expect_sent_and_ack(&peer, "A=1 B=1 -gone");
    request((struct xds_request){.gone = "A"});
    expect_sent_and_ack(&peer, "A=1");
    request((struct xds_request){.gone = "gone"});
    expect_sent_and_ack(&peer, "-gone");
    expect_sent(&peer, "nothing");
    ck_assert_uint_eq(peer.sub.len, 0);
    end();
}
END_TEST

START_TEST(case_19_types_without_wildcard_send_nothing_unasked)
{
    begin(RESOURCE_ENDPOINTS, "a=1");
    xds_peer_ask(&peer, "");
    expect_sent(&peer, "nothing");
    xds_peer_ask(&peer, "*");
    expect_sent(&peer, "nothing");
    end();
}
END_TEST

START_TEST(case_20_who_subscribes_again_is_sent_it_again)
{
    begin(RESOURCE_ENDPOINTS, "a=1 b=1");
    xds_peer_ask(&peer, "a b");
    expect_sent_and_ack(&peer, "a=1 b=1");
    request((struct xds_request){.names = "a"});
    expect_sent_and_ack(&peer, "a=1");
    expect_sent(&peer, "nothing");
    end();
}
END_TEST

START_TEST(case_21_unsubscribed_and_subscribed_again_is_sent_again)
{
    begin(RESOURCE_ENDPOINTS, "a=1");
    xds_peer_ask(&peer, "a");
    expect_sent_and_ack(&peer, "a=1");
    request((struct xds_request){.gone = "a"});
    expect_sent(&peer, "nothing");
    request((struct xds_request){.names = "a"});
    expect_sent_and_ack(&peer, "a=1");
    end();
}
END_TEST

START_TEST(a_name_asked_for_again_while_a_response_with_it_is_outstanding_is_sent_again)
{
    begin(RESOURCE_ENDPOINTS, "a=1");
    xds_peer_ask(&peer, "a");
    expect_sent(&peer, "a=1");
    request((struct xds_request){.gone = "a", .nonce = ""});
    request((struct xds_request){.names = "a", .nonce = ""});
    xds_peer_ack(&peer);
    expect_sent_and_ack(&peer, "a=1");
    expect_sent(&peer, "nothing");
    end();
}
END_TEST

START_TEST(case_25_a_name_that_never_existed_is_told_removed_and_sent_when_it_comes)
{
    begin(RESOURCE_ROUTES, "");
    xds_peer_ask(&peer, "r");
    expect_sent_and_ack(&peer, "-r");
    expect_sent(&peer, "nothing");
    xds_peer_publish(&peer, "other=1");
    expect_sent(&peer, "nothing");
    xds_peer_publish(&peer, "r=1");
    expect_sent_and_ack(&peer, "r=1");
    xds_peer_publish(&peer, "");
    expect_sent_and_ack(&peer, "-r");
    end();
}
END_TEST

START_TEST(case_28_a_glob_follows_its_members)
{
    begin(RESOURCE_LISTENER, "g/a=1 g/b=1 h/a=1");
    xds_peer_ask(&peer, "g/*");
    expect_sent_and_ack(&peer, "g/a=1 g/b=1");
    xds_peer_publish(&peer, "g/a=1 g/b=1 g/c=1 h/a=2");
    expect_sent_and_ack(&peer, "g/c=1");
    xds_peer_publish(&peer, "g/a=1 g/c=2 h/a=2");
    expect_sent_and_ack(&peer, "g/c=2 -g/b");
    expect_sent(&peer, "nothing");
    request((struct xds_request){.gone = "g/*"});
    xds_peer_publish(&peer, "g/a=9");
    expect_sent(&peer, "nothing");
    ck_assert_uint_eq(peer.sub.len, 0);
    end();
}
END_TEST

START_TEST(case_29_a_name_asked_for_twice_is_sent_once)
{
    begin(RESOURCE_CLUSTER, "a=1 b=1");
    xds_peer_ask(&peer, "* a a b a");
    expect_sent_and_ack(&peer, "a=1 b=1");
    end();
}
END_TEST

START_TEST(case_43_a_reconnecting_wildcard_gets_what_differs_and_what_is_gone)
{
    begin(RESOURCE_CLUSTER, "a=2 b=1 c=1");
    request((struct xds_request){.versions = "a=1 b=1 gone=1"});
    expect_sent_and_ack(&peer, "a=2 c=1 -gone");
    expect_sent(&peer, "nothing");
    ck_assert_uint_eq(peer.sub.len, 0);
    end();
}
END_TEST

START_TEST(case_44_a_reconnecting_wildcard_that_has_it_all_gets_an_empty_answer)
{
    begin(RESOURCE_CLUSTER, "a=1 b=1");
    request((struct xds_request){.versions = "a=1 b=1"});
    expect_sent_and_ack(&peer, "empty");
    expect_sent(&peer, "nothing");
    end();
}
END_TEST

START_TEST(case_44_an_empty_world_is_answered_to_a_wildcard)
{
    begin(RESOURCE_LISTENER, "");
    xds_peer_ask(&peer, "*");
    expect_sent_and_ack(&peer, "empty");
    expect_sent(&peer, "nothing");
    end();
}
END_TEST

START_TEST(case_45_names_win_over_claimed_versions_but_the_wildcard_does_not)
{
    begin(RESOURCE_ENDPOINTS, "a=1 b=1");
    request((struct xds_request){.names = "a b", .versions = "a=1 b=1"});
    expect_sent_and_ack(&peer, "a=1 b=1");
    end();
    begin(RESOURCE_CLUSTER, "a=1 b=1 c=2");
    request((struct xds_request){.names = "* a", .versions = "a=1 b=1 c=1"});
    expect_sent_and_ack(&peer, "c=2");
    end();
}
END_TEST

START_TEST(a_client_whose_claims_can_be_believed_is_not_sent_what_it_has)
{
    struct resource_set *set = xds_set(RESOURCE_ENDPOINTS, "a=1 b=2");
    begin(RESOURCE_ENDPOINTS, "");
    subscription_done(&peer.sub);
    subscription_init(&peer.sub, RESOURCE_ENDPOINTS,
                      &(struct subscription_options){.is_delta = true, .trusts_versions = true},
                      set);
    resource_set_unref(set);
    request((struct xds_request){.names = "a b", .versions = "a=1 b=1"});
    expect_sent_and_ack(&peer, "b=2");
    end();
}
END_TEST

START_TEST(case_52_what_changes_while_a_response_is_outstanding_is_sent_once_and_latest)
{
    begin(RESOURCE_CLUSTER, "a=1");
    xds_peer_ask(&peer, "*");
    expect_sent(&peer, "a=1");
    xds_peer_publish(&peer, "a=2");
    expect_sent(&peer, "nothing");
    xds_peer_publish(&peer, "a=3 b=1");
    expect_sent(&peer, "nothing");
    xds_peer_publish(&peer, "a=4");
    xds_peer_ack(&peer);
    expect_sent_and_ack(&peer, "a=4");
    expect_sent(&peer, "nothing");
    end();
}
END_TEST

START_TEST(case_39_deleted_and_created_again_while_a_response_is_outstanding_sends_nothing)
{
    begin(RESOURCE_CLUSTER, "a=1");
    xds_peer_ask(&peer, "*");
    expect_sent(&peer, "a=1");
    xds_peer_publish(&peer, "");
    xds_peer_publish(&peer, "a=1");
    xds_peer_ack(&peer);
    expect_sent(&peer, "nothing");
    end();
}
END_TEST

START_TEST(case_37_a_resource_can_be_sent_again_unchanged)
{
    begin(RESOURCE_ENDPOINTS, "a=1 b=1");
    xds_peer_ask(&peer, "a");
    expect_sent_and_ack(&peer, "a=1");
    subscription_resend(&peer.sub, STR("a"));
    subscription_resend(&peer.sub, STR("b")); /* not asked for */
    expect_sent_and_ack(&peer, "a=1");
    expect_sent(&peer, "nothing");
    xds_peer_publish(&peer, "a=2 b=1");
    expect_sent(&peer, "a=2");
    subscription_resend(&peer.sub, STR("a")); /* the response left before the cluster's */
    xds_peer_ack(&peer);
    expect_sent_and_ack(&peer, "a=2");
    end();
}
END_TEST

START_TEST(updates_are_told_apart_from_additions)
{
    begin(RESOURCE_CLUSTER, "a=1");
    xds_peer_ask(&peer, "*");
    expect_sent_and_ack(&peer, "a=1");
    ck_assert_str_eq(peer.updated, "");
    xds_peer_publish(&peer, "a=2 b=1");
    expect_sent(&peer, "a=2 b=1");
    ck_assert_str_eq(peer.updated, "a");
    end();
}
END_TEST

/* --- memory ----------------------------------------------------------------------------------- */

static char *many(int count, int changed, bool with_content)
{
    size_t size = (size_t)count * 16 + 1, len = 0;
    char *text = mem_alloc(size);
    text[0] = '\0';
    for (int i = 0; i < count; i++)
        len += (size_t)snprintf(text + len, size - len, with_content ? "n%03d=%d " : "n%03d ", i,
                                i == changed);
    return text;
}

START_TEST(a_client_that_names_all_of_a_set_is_sent_it_in_one_piece)
{
    begin(RESOURCE_ENDPOINTS, "a=1 b=1 c=1");
    xds_peer_ask(&peer, "c b a gone");
    expect_sent_and_ack(&peer, "a=1 b=1 c=1 -gone");
    ck_assert_uint_eq(peer.response.len, 1);
    ck_assert_uint_eq(peer.response.resource_count, 3);
    ck_assert_uint_eq(peer.response.removed_count, 1);
    xds_peer_publish(&peer, "a=2 b=2");
    expect_sent_and_ack(&peer, "a=2 b=2 -c");
    ck_assert_uint_eq(peer.response.len, 1);
    xds_peer_publish(&peer, "a=3 b=2");
    expect_sent_and_ack(&peer, "a=3");
    xds_peer_publish(&peer, "");
    expect_sent_and_ack(&peer, "-a -b");
    ck_assert_uint_eq(peer.response.len, 0);
    end();
}
END_TEST

START_TEST(a_client_that_names_all_of_a_set_costs_no_memory_per_name)
{
    char *all = many(300, -1, true), *names = many(300, -1, false), *other = many(300, 7, true);
    char *fewer = many(299, 7, true), *more = many(301, 7, true);
    begin(RESOURCE_ENDPOINTS, all);
    xds_peer_ask(&peer, names);
    ck_assert_str_ne(xds_peer_next(&peer), "nothing");
    ck_assert_uint_eq(peer.sub.len, 300);
    xds_peer_ack(&peer);
    ck_assert_uint_eq(peer.sub.len, 0);
    ck_assert(peer.sub.is_covering);
    xds_peer_publish(&peer, other);
    expect_sent_and_ack(&peer, "n007=1");
    ck_assert_uint_eq(peer.sub.len, 0);
    /* Gone, and still asked for. */
    xds_peer_publish(&peer, fewer);
    expect_sent_and_ack(&peer, "-n299");
    xds_peer_publish(&peer, other);
    expect_sent_and_ack(&peer, "n299=0");
    ck_assert_uint_eq(peer.sub.len, 0);
    /* New, and not asked for. */
    xds_peer_publish(&peer, more);
    expect_sent(&peer, "nothing");
    ck_assert_uint_eq(peer.sub.len, 1);
    request((struct xds_request){.names = "n300"});
    expect_sent_and_ack(&peer, "n300=0");
    ck_assert_uint_eq(peer.sub.len, 0);
    request((struct xds_request){.gone = "n000 n001"});
    xds_peer_publish(&peer, all);
    expect_sent_and_ack(&peer, "n007=0 -n300");
    xds_peer_publish(&peer, "");
    ck_assert_str_ne(xds_peer_next(&peer), "nothing");
    ck_assert_uint_eq(peer.response.removed_count, 298);
    mem_free(all), mem_free(names), mem_free(other), mem_free(fewer), mem_free(more);
    end();
}
END_TEST

START_TEST(case_49_a_large_change_is_split_into_responses_of_bounded_length)
{
    char *all = many(100, -1, true);
    struct resource_set *set = xds_set(RESOURCE_CLUSTER, all);
    begin(RESOURCE_CLUSTER, "");
    subscription_done(&peer.sub);
    subscription_init(&peer.sub, RESOURCE_CLUSTER,
                      &(struct subscription_options){.is_delta = true, .response_bytes_max = 1500},
                      set);
    resource_set_unref(set);
    xds_peer_ask(&peer, "*");
    size_t resources = 0;
    int responses = 0;
    while (strcmp(xds_peer_next(&peer), "nothing") != 0) {
        ck_assert_uint_le(peer.response.bytes, 1700);
        resources += peer.response.resource_count;
        responses++;
        xds_peer_ack(&peer);
    }
    ck_assert_uint_eq(resources, 100);
    ck_assert_int_gt(responses, 5);
    ck_assert_uint_eq(peer.sub.len, 0);
    mem_free(all);
    end();
}
END_TEST

START_TEST(too_many_names_are_refused)
{
    enum { COUNT = SUBSCRIPTION_NAMES_MAX + 1 };
    begin(RESOURCE_ENDPOINTS, "");
    char *texts = mem_alloc((size_t)COUNT * 16);
    struct str *names = mem_alloc_zero(COUNT, sizeof *names);
    for (int i = 0; i < COUNT; i++) {
        snprintf(texts + i * 16, 16, "%d", i);
        names[i] = str_from(texts + i * 16);
    }
    enum subscription_outcome outcome;
    struct errmsg msg;
    struct subscription_request raw = {.subscribe = names, .subscribe_count = COUNT};
    ck_assert_int_eq(subscription_request(&peer.sub, &raw, NULL, NULL, &outcome, &msg),
                     ERR_TOO_LARGE);
    raw.subscribe_count = COUNT - 1;
    ck_assert_int_eq(subscription_request(&peer.sub, &raw, NULL, NULL, &outcome, &msg), 0);
    raw = (struct subscription_request){.subscribe = &names[COUNT - 1], .subscribe_count = 1};
    ck_assert_int_eq(subscription_request(&peer.sub, &raw, NULL, NULL, &outcome, &msg),
                     ERR_TOO_LARGE);
    mem_free(texts);
    mem_free(names);
    end();
}
END_TEST

START_TEST(a_name_with_control_characters_is_refused)
{
    begin(RESOURCE_ENDPOINTS, "");
    enum subscription_outcome outcome;
    struct errmsg msg;
    struct str name = STR("a\0/*");
    struct subscription_request raw = {.subscribe = &name, .subscribe_count = 1};
    ck_assert_int_eq(subscription_request(&peer.sub, &raw, NULL, NULL, &outcome, &msg),
                     ERR_INVALID);
    end();
}
END_TEST

TEST_MAIN("subscription_delta", a_wildcard_gets_everything_and_then_only_changes,
          case_1_a_refused_response_is_not_sent_again,
          case_3_a_refusal_that_subscribes_to_more_gets_more,
          case_4_refused_content_is_sent_as_soon_as_it_is_mended,
          case_5_siblings_of_a_refused_resource_go_with_it_when_it_is_mended,
          case_5_siblings_are_sent_again_at_once_where_the_text_names_the_culprit,
          case_5_a_removal_in_a_refused_response_is_told_again,
          every_refusal_shrinks_what_is_sent_so_that_it_ends,
          case_6_a_revert_to_what_the_client_runs_sends_nothing_and_clears_the_refusal,
          case_6_a_revert_frees_those_refused_together,
          case_8_a_stale_nonce_does_not_hide_a_subscription,
          case_9_a_nonce_of_another_stream_makes_no_difference,
          case_12_the_same_content_published_again_sends_nothing,
          case_16_wildcard_then_a_name_then_no_wildcard_then_nothing,
          case_17_who_unsubscribes_a_name_of_the_wildcard_is_told_what_becomes_of_it,
          case_19_types_without_wildcard_send_nothing_unasked,
          case_20_who_subscribes_again_is_sent_it_again,
          case_21_unsubscribed_and_subscribed_again_is_sent_again,
          a_name_asked_for_again_while_a_response_with_it_is_outstanding_is_sent_again,
          case_25_a_name_that_never_existed_is_told_removed_and_sent_when_it_comes,
          case_28_a_glob_follows_its_members, case_29_a_name_asked_for_twice_is_sent_once,
          case_37_a_resource_can_be_sent_again_unchanged,
          case_39_deleted_and_created_again_while_a_response_is_outstanding_sends_nothing,
          case_43_a_reconnecting_wildcard_gets_what_differs_and_what_is_gone,
          case_44_a_reconnecting_wildcard_that_has_it_all_gets_an_empty_answer,
          case_44_an_empty_world_is_answered_to_a_wildcard,
          case_45_names_win_over_claimed_versions_but_the_wildcard_does_not,
          a_client_whose_claims_can_be_believed_is_not_sent_what_it_has,
          case_49_a_large_change_is_split_into_responses_of_bounded_length,
          case_52_what_changes_while_a_response_is_outstanding_is_sent_once_and_latest,
          updates_are_told_apart_from_additions,
          a_client_that_names_all_of_a_set_is_sent_it_in_one_piece,
          a_client_that_names_all_of_a_set_costs_no_memory_per_name, too_many_names_are_refused,
          a_name_with_control_characters_is_refused)
