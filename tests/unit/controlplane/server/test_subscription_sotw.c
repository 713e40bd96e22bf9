/* The state-of-the-world form; numbers in names are those of the project's list of xDS cases. */
#include "tests/support/test.h"
#include "tests/support/xds_peer.h"

static struct xds_peer peer;

static void begin(enum resource_type type, const char *target)
{
    xds_peer_init(&peer, type, false, target);
}

static void end(void)
{
    xds_peer_done(&peer);
}

static enum subscription_outcome request(struct xds_request request)
{
    return xds_peer_request(&peer, request);
}

START_TEST(case_1_a_refused_response_is_not_sent_again)
{
    begin(RESOURCE_CLUSTER, "a=1");
    xds_peer_ask(&peer, "");
    expect_sent_and_ack(&peer, "=1");
    xds_peer_publish(&peer, "a=2");
    expect_sent(&peer, "=2");
    xds_peer_nack(&peer, "bad");
    for (int i = 0; i < 10; i++) {
        expect_sent(&peer, "nothing");
        request((struct xds_request){.error = "bad"}); /* as often as it likes */
        xds_peer_publish(&peer, "a=2");
    }
    ck_assert_str_eq(peer.refused, "");
    ck_assert(subscription_is_refused(&peer.sub, STR("a")));
    end();
}
END_TEST

START_TEST(case_1_a_wildcard_with_names_that_refuses_is_not_sent_it_again)
{
    begin(RESOURCE_CLUSTER, "a=1 b=1");
    xds_peer_ask(&peer, "* a");
    expect_sent(&peer, "=1 =1");
    xds_peer_nack(&peer, "bad");
    expect_sent(&peer, "nothing");
    xds_peer_publish(&peer, "a=1 b=2");
    expect_sent_and_ack(&peer, "=1 =2");
    ck_assert(!subscription_has_refused(&peer.sub));
    expect_sent(&peer, "nothing");
    end();
}
END_TEST

START_TEST(case_2_a_refusal_is_told_by_its_error_not_by_its_version)
{
    begin(RESOURCE_CLUSTER, "A=1 B=2");
    xds_peer_ask(&peer, "A");
    expect_sent_and_ack(&peer, "=1");
    request((struct xds_request){.names = "A B"});
    expect_sent(&peer, "=1 =2");
    xds_peer_nack(&peer, "B: no good");
    ck_assert_str_eq(peer.refused, "B");
    ck_assert(subscription_is_refused(&peer.sub, STR("B")));
    ck_assert(!subscription_is_refused(&peer.sub, STR("A")));
    expect_sent(&peer, "nothing");
    xds_peer_publish(&peer, "A=2 B=2"); /* the complete state, B with it */
    expect_sent_and_ack(&peer, "=2 =2");
    ck_assert(!subscription_has_refused(&peer.sub));
    end();
}
END_TEST

START_TEST(case_3_a_refusal_that_adds_a_name_gets_it)
{
    begin(RESOURCE_ROUTES, "r1=1 r2=2");
    xds_peer_ask(&peer, "r1");
    expect_sent(&peer, "=1");
    request((struct xds_request){.error = "bad", .names = "r1 r2"});
    expect_sent_and_ack(&peer, "=2");
    expect_sent(&peer, "nothing");
    ck_assert(subscription_is_refused(&peer.sub, STR("r1")));
    end();
}
END_TEST

START_TEST(case_4_mended_content_is_sent_at_once_and_its_ack_clears_the_refusal)
{
    begin(RESOURCE_CLUSTER, "a=1 b=1");
    xds_peer_ask(&peer, "");
    expect_sent_and_ack(&peer, "=1 =1");
    xds_peer_publish(&peer, "a=2 b=1");
    expect_sent(&peer, "=2 =1");
    xds_peer_nack(&peer, "bad");
    ck_assert_str_eq(peer.refused, "a"); /* only what changed can be at fault */
    xds_peer_publish(&peer, "a=3 b=1");
    expect_sent_and_ack(&peer, "=3 =1");
    ck_assert(!subscription_has_refused(&peer.sub));
    end();
}
END_TEST

START_TEST(case_6_a_revert_sends_nothing_and_clears_the_refusal)
{
    begin(RESOURCE_CLUSTER, "a=1");
    xds_peer_ask(&peer, "");
    expect_sent_and_ack(&peer, "=1");
    xds_peer_publish(&peer, "a=2");
    expect_sent(&peer, "=2");
    xds_peer_nack(&peer, "bad");
    xds_peer_publish(&peer, "a=1");
    expect_sent(&peer, "nothing");
    ck_assert(!subscription_has_refused(&peer.sub));
    ck_assert(subscription_is_settled(&peer.sub));
    end();
}
END_TEST

START_TEST(case_7_names_of_a_stale_request_are_served_after_the_ack)
{
    begin(RESOURCE_ENDPOINTS, "x=1 y=1");
    xds_peer_ask(&peer, "x");
    expect_sent_and_ack(&peer, "=1");
    xds_peer_publish(&peer, "x=2 y=7");
    expect_sent(&peer, "=2");
    ck_assert_int_eq(request((struct xds_request){.nonce = "1", .names = "x y"}),
                     SUBSCRIPTION_REQUEST);
    expect_sent(&peer, "nothing");
    xds_peer_ack(&peer);
    expect_sent_and_ack(&peer, "=7");
    expect_sent(&peer, "nothing");
    end();
}
END_TEST

START_TEST(case_7_a_refusal_with_a_stale_nonce_does_not_count)
{
    begin(RESOURCE_ENDPOINTS, "x=1");
    xds_peer_ask(&peer, "x");
    expect_sent_and_ack(&peer, "=1");
    ck_assert_int_eq(request((struct xds_request){.nonce = "1", .error = "late"}),
                     SUBSCRIPTION_REQUEST);
    ck_assert(!subscription_has_refused(&peer.sub));
    end();
}
END_TEST

START_TEST(case_9_nonce_and_version_of_another_stream_are_a_first_request)
{
    begin(RESOURCE_ENDPOINTS, "x=1");
    ck_assert_int_eq(
        request((struct xds_request){.nonce = "9", .version_info = "old", .names = "x"}),
        SUBSCRIPTION_REQUEST);
    expect_sent_and_ack(&peer, "=1");
    end();
}
END_TEST

START_TEST(case_10_a_nonce_is_new_even_where_the_version_is_not)
{
    begin(RESOURCE_ENDPOINTS, "a=1 b=2");
    xds_peer_ask(&peer, "a");
    expect_sent_and_ack(&peer, "=1");
    ck_assert_str_eq(peer.nonce, "1");
    request((struct xds_request){.names = "a b"});
    expect_sent_and_ack(&peer, "=2");
    ck_assert_str_eq(peer.nonce, "2");
    end();
}
END_TEST

START_TEST(case_11_endpoints_removed_and_added_again_are_sent)
{
    begin(RESOURCE_ENDPOINTS, "a=1");
    xds_peer_ask(&peer, "a");
    expect_sent_and_ack(&peer, "=1");
    xds_peer_publish(&peer, "");
    expect_sent(&peer, "nothing");
    xds_peer_publish(&peer, "a=1");
    expect_sent_and_ack(&peer, "=1");
    end();
}
END_TEST

START_TEST(case_12_the_same_content_published_again_sends_nothing)
{
    begin(RESOURCE_CLUSTER, "a=1 b=2");
    xds_peer_ask(&peer, "");
    expect_sent_and_ack(&peer, "=1 =2");
    xds_peer_publish(&peer, "b=2 a=1");
    expect_sent(&peer, "nothing");
    end();
}
END_TEST

START_TEST(case_13_a_wildcard_that_reconnects_at_our_version_is_sent_nothing)
{
    begin(RESOURCE_CLUSTER, "a=1");
    struct content_hash version = peer.sub.target->version;
    request((struct xds_request){.version_info = version.hex});
    expect_sent(&peer, "nothing");
    ck_assert(subscription_has_current(&peer.sub, STR("a")));
    xds_peer_publish(&peer, "a=2");
    expect_sent_and_ack(&peer, "=2");
    end();
}
END_TEST

START_TEST(case_15_legacy_wildcard_then_names_then_nothing)
{
    begin(RESOURCE_CLUSTER, "A=1 B=2");
    xds_peer_ask(&peer, "");
    expect_sent_and_ack(&peer, "=1 =2");
    request((struct xds_request){.names = "* A"});
    expect_sent_and_ack(&peer, "=1 =2");
    request((struct xds_request){.names = "A"});
    expect_sent(&peer, "nothing");
    xds_peer_publish(&peer, "A=1 B=3");
    expect_sent(&peer, "nothing");
    xds_peer_publish(&peer, "A=4 B=3");
    expect_sent_and_ack(&peer, "=4");
    request((struct xds_request){.names = ""});
    xds_peer_publish(&peer, "A=5 B=5");
    expect_sent(&peer, "nothing");
    end();
}
END_TEST

START_TEST(case_18_who_unsubscribes_the_last_name_is_not_flooded)
{
    begin(RESOURCE_CLUSTER, "A=1 B=2");
    xds_peer_ask(&peer, "A");
    expect_sent_and_ack(&peer, "=1");
    request((struct xds_request){.names = ""});
    expect_sent(&peer, "nothing");
    ck_assert(!subscription_covers(&peer.sub, STR("A")));
    end();
}
END_TEST

START_TEST(case_19_an_empty_request_for_a_type_without_wildcard_gets_nothing)
{
    begin(RESOURCE_ENDPOINTS, "a=1");
    xds_peer_ask(&peer, "");
    expect_sent(&peer, "nothing");
    end();
}
END_TEST

START_TEST(case_21_dropped_and_named_again_is_sent_again)
{
    begin(RESOURCE_ENDPOINTS, "A=1");
    xds_peer_ask(&peer, "A");
    expect_sent_and_ack(&peer, "=1");
    request((struct xds_request){.names = ""});
    expect_sent(&peer, "nothing");
    request((struct xds_request){.names = "A"});
    expect_sent_and_ack(&peer, "=1");
    end();
}
END_TEST

START_TEST(case_22_a_name_that_comes_in_is_sent_though_the_version_did_not_change)
{
    begin(RESOURCE_ENDPOINTS, "a=1 b=2");
    xds_peer_ask(&peer, "a");
    expect_sent_and_ack(&peer, "=1");
    request((struct xds_request){.names = "a b"});
    expect_sent_and_ack(&peer, "=2");
    expect_sent(&peer, "nothing");
    end();
}
END_TEST

START_TEST(case_23_clusters_are_always_the_complete_state_of_the_latest_names)
{
    begin(RESOURCE_CLUSTER, "a=1 b=2 c=3 d=4");
    xds_peer_ask(&peer, "a b");
    expect_sent(&peer, "=1 =2");
    request((struct xds_request){.nonce = "", .names = "a b c"});
    xds_peer_ack(&peer);
    expect_sent_and_ack(&peer, "=1 =2 =3");
    xds_peer_publish(&peer, "a=1 b=9 c=3 d=4");
    expect_sent_and_ack(&peer, "=1 =9 =3");
    xds_peer_publish(&peer, "a=1 c=3 d=5");
    expect_sent_and_ack(&peer, "=1 =3");
    end();
}
END_TEST

START_TEST(case_24_of_endpoints_only_what_changed_is_sent)
{
    begin(RESOURCE_ENDPOINTS, "a=1 b=2 c=3");
    xds_peer_ask(&peer, "a b");
    expect_sent_and_ack(&peer, "=1 =2");
    xds_peer_publish(&peer, "a=7 b=2 c=8");
    expect_sent_and_ack(&peer, "=7");
    end();
}
END_TEST

START_TEST(case_26_what_comes_into_being_later_arrives_at_once)
{
    begin(RESOURCE_ENDPOINTS, "");
    xds_peer_ask(&peer, "late");
    expect_sent(&peer, "nothing");
    xds_peer_publish(&peer, "late=1");
    expect_sent_and_ack(&peer, "=1");
    end();
    begin(RESOURCE_LISTENER, "");
    xds_peer_ask(&peer, "api.example.com");
    expect_sent_and_ack(&peer, "empty"); /* the complete state: there is none */
    xds_peer_publish(&peer, "api.example.com=1");
    expect_sent_and_ack(&peer, "=1");
    end();
}
END_TEST

START_TEST(case_26_a_missing_name_does_not_hold_up_others)
{
    begin(RESOURCE_ENDPOINTS, "a=1");
    xds_peer_ask(&peer, "a missing");
    expect_sent_and_ack(&peer, "=1");
    xds_peer_publish(&peer, "a=2");
    expect_sent_and_ack(&peer, "=2");
    end();
}
END_TEST

START_TEST(case_29_a_name_listed_twice_is_sent_once)
{
    begin(RESOURCE_ENDPOINTS, "a=1");
    xds_peer_ask(&peer, "a a a");
    expect_sent_and_ack(&peer, "=1");
    end();
}
END_TEST

START_TEST(case_44_an_empty_world_is_answered_to_a_wildcard)
{
    begin(RESOURCE_CLUSTER, "");
    xds_peer_ask(&peer, "");
    expect_sent_and_ack(&peer, "empty");
    expect_sent(&peer, "nothing");
    end();
}
END_TEST

START_TEST(case_52_one_response_is_outstanding_and_then_the_latest_is_sent)
{
    begin(RESOURCE_CLUSTER, "a=1");
    xds_peer_ask(&peer, "");
    expect_sent(&peer, "=1");
    xds_peer_publish(&peer, "a=2");
    xds_peer_publish(&peer, "a=3");
    expect_sent(&peer, "nothing");
    xds_peer_ack(&peer);
    expect_sent_and_ack(&peer, "=3");
    expect_sent(&peer, "nothing");
    end();
}
END_TEST

START_TEST(a_refused_set_is_not_sent_again_for_an_unchanged_list_of_names)
{
    begin(RESOURCE_CLUSTER, "a=1 b=2");
    xds_peer_ask(&peer, "a b");
    expect_sent(&peer, "=1 =2");
    xds_peer_nack(&peer, "b");
    expect_sent(&peer, "nothing");
    request((struct xds_request){.names = "b a"}); /* the same names */
    expect_sent(&peer, "nothing");
    request((struct xds_request){.names = "b"});
    expect_sent(&peer, "nothing");
    end();
}
END_TEST

START_TEST(siblings_of_refused_routes_are_sent_without_them)
{
    begin(RESOURCE_ROUTES, "r1=1 r2=2");
    xds_peer_ask(&peer, "r1 r2");
    expect_sent(&peer, "=1 =2");
    xds_peer_nack(&peer, "route r1: bad regex");
    expect_sent_and_ack(&peer, "=2");
    expect_sent(&peer, "nothing");
    end();
}
END_TEST

START_TEST(case_37_endpoints_can_be_sent_again_unchanged)
{
    begin(RESOURCE_ENDPOINTS, "a=1 b=2");
    xds_peer_ask(&peer, "a b");
    expect_sent_and_ack(&peer, "=1 =2");
    subscription_resend(&peer.sub, STR("b"));
    expect_sent_and_ack(&peer, "=2");
    expect_sent(&peer, "nothing");
    end();
}
END_TEST

TEST_MAIN("subscription_sotw", case_1_a_refused_response_is_not_sent_again,
          case_1_a_wildcard_with_names_that_refuses_is_not_sent_it_again,
          case_2_a_refusal_is_told_by_its_error_not_by_its_version,
          case_3_a_refusal_that_adds_a_name_gets_it,
          case_4_mended_content_is_sent_at_once_and_its_ack_clears_the_refusal,
          case_6_a_revert_sends_nothing_and_clears_the_refusal,
          case_7_names_of_a_stale_request_are_served_after_the_ack,
          case_7_a_refusal_with_a_stale_nonce_does_not_count,
          case_9_nonce_and_version_of_another_stream_are_a_first_request,
          case_10_a_nonce_is_new_even_where_the_version_is_not,
          case_11_endpoints_removed_and_added_again_are_sent,
          case_12_the_same_content_published_again_sends_nothing,
          case_13_a_wildcard_that_reconnects_at_our_version_is_sent_nothing,
          case_15_legacy_wildcard_then_names_then_nothing,
          case_18_who_unsubscribes_the_last_name_is_not_flooded,
          case_19_an_empty_request_for_a_type_without_wildcard_gets_nothing,
          case_21_dropped_and_named_again_is_sent_again,
          case_22_a_name_that_comes_in_is_sent_though_the_version_did_not_change,
          case_23_clusters_are_always_the_complete_state_of_the_latest_names,
          case_24_of_endpoints_only_what_changed_is_sent,
          case_26_what_comes_into_being_later_arrives_at_once,
          case_26_a_missing_name_does_not_hold_up_others, case_29_a_name_listed_twice_is_sent_once,
          case_37_endpoints_can_be_sent_again_unchanged,
          case_44_an_empty_world_is_answered_to_a_wildcard,
          case_52_one_response_is_outstanding_and_then_the_latest_is_sent,
          a_refused_set_is_not_sent_again_for_an_unchanged_list_of_names,
          siblings_of_refused_routes_are_sent_without_them)
