/* One stream with a fake transport; numbers in names are those of the project's list of xDS cases.
 * What becomes of refusals is in test_stream_refusals.c. */
#include "tests/support/test.h"
#include "tests/support/xds_stream.h"

START_TEST(case_31_only_the_first_request_needs_a_node)
{
    settle_delta();
    ck_assert_str_eq_len(bed.stream.node_id, "n");
    ck_assert_int_eq(bed.stream.client->progress.revision, bed.context.world->revision);
    ck_assert(bed.stream.client->progress.is_in_sync);
    close_stream();
}
END_TEST

START_TEST(case_32_a_first_request_without_node_ends_the_stream)
{
    open_stream(false, RESOURCE_TYPE_COUNT);
    ask((struct ask){.type = RESOURCE_CLUSTER});
    ck_assert_int_eq(bed.finished, RPC_STATUS_INVALID_ARGUMENT);
    expect("");
    close_stream();
}
END_TEST

START_TEST(case_33_another_node_later_does_not_switch_the_gateway)
{
    settle_delta();
    ask((struct ask){.node = "m", .gateway = "partner", .type = RESOURCE_CLUSTER});
    ck_assert_str_eq_len(bed.stream.gateway, "public");
    ck_assert_int_eq(bed.finished, RPC_STATUS_OK);
    close_stream();
}
END_TEST

START_TEST(case_34_unknown_types_are_tolerated)
{
    open_stream(true, RESOURCE_TYPE_COUNT);
    publish("a=1", "", "", "");
    ask((struct ask){.node = "n", .url = "type.googleapis.com/health.v1.Probe"});
    expect("");
    ask((struct ask){.type = RESOURCE_CLUSTER});
    expect("CDS a=1");
    ck_assert_int_eq(bed.finished, RPC_STATUS_OK);
    close_stream();
}
END_TEST

START_TEST(a_request_that_cannot_be_decoded_ends_the_stream)
{
    open_stream(true, RESOURCE_TYPE_COUNT);
    stream_message(&bed.stream, STR("\x0a\xff\xff"), bed.now_ms, 0);
    ck_assert_int_eq(bed.finished, RPC_STATUS_INVALID_ARGUMENT);
    close_stream();
}
END_TEST

START_TEST(a_stream_of_one_type_needs_no_type_url_and_takes_no_other)
{
    open_stream(true, RESOURCE_CLUSTER);
    publish("a=1", "a=1", "", "");
    ask((struct ask){.node = "n", .url = ""});
    expect("CDS a=1");
    ask((struct ask){.type = RESOURCE_ENDPOINTS, .name = "a"});
    ck_assert_int_eq(bed.finished, RPC_STATUS_INVALID_ARGUMENT);
    close_stream();
}
END_TEST

START_TEST(case_35_a_repointed_route_is_made_before_the_old_cluster_is_broken)
{
    settle_delta();
    publish("new=1", "new=e", "l=1", "rc=new");
    expect("CDS new=1");
    ask((struct ask){.type = RESOURCE_ENDPOINTS, .name = "new"});
    expect("EDS new=e");
    ack(RESOURCE_CLUSTER);
    expect(""); /* not before the endpoints are there */
    ack(RESOURCE_ENDPOINTS);
    expect("RDS rc=new");
    ck_assert(!stream_is_in_sync(&bed.stream));
    ack(RESOURCE_ROUTES);
    expect("CDS -old; EDS -old");
    ack(RESOURCE_CLUSTER);
    ack(RESOURCE_ENDPOINTS);
    expect("");
    ck_assert(stream_is_in_sync(&bed.stream));
    close_stream();
}
END_TEST

START_TEST(case_36_state_of_the_world_has_both_clusters_first_and_then_the_new_one)
{
    open_stream(false, RESOURCE_TYPE_COUNT);
    publish("old=1", "new=e", "l=1", "rc=old");
    ask((struct ask){.node = "n", .type = RESOURCE_CLUSTER});
    expect("CDS =1");
    ack(RESOURCE_CLUSTER);
    ask((struct ask){.type = RESOURCE_ROUTES, .name = "rc"});
    expect("RDS =old");
    ack(RESOURCE_ROUTES);
    publish("new=2", "new=e", "l=1", "rc=new");
    expect("CDS =2 =1");
    ack(RESOURCE_CLUSTER);
    expect("RDS =new");
    ack(RESOURCE_ROUTES);
    expect("CDS =2");
    ack(RESOURCE_CLUSTER);
    expect("");
    ck_assert(stream_is_in_sync(&bed.stream));
    close_stream();
}
END_TEST

START_TEST(case_37_a_changed_cluster_gets_its_endpoints_again)
{
    settle_delta();
    publish("old=2", "old=e", "l=1", "rc=old");
    expect("CDS old=2; EDS old=e");
    ack(RESOURCE_CLUSTER);
    ack(RESOURCE_ENDPOINTS);
    expect("");
    ck_assert(stream_is_in_sync(&bed.stream));
    close_stream();
}
END_TEST

START_TEST(case_38_a_second_cluster_update_waits_for_the_endpoints_of_the_first)
{
    settle_delta();
    publish("old=2", "old=e", "l=1", "rc=old");
    expect("CDS old=2; EDS old=e");
    publish("old=3", "old=e", "l=1", "rc=old");
    ack(RESOURCE_CLUSTER);
    expect("");
    ack(RESOURCE_ENDPOINTS);
    expect("CDS old=3; EDS old=e");
    close_stream();
}
END_TEST

START_TEST(endpoints_alone_go_out_at_once_also_while_a_plan_waits)
{
    settle_delta();
    publish("old=1", "old=f", "l=1", "rc=old");
    expect("EDS old=f");
    ack(RESOURCE_ENDPOINTS);
    publish("old=1 new=1", "old=f new=e", "l=1", "rc=new");
    expect("CDS new=1");
    ack(RESOURCE_CLUSTER);
    publish("old=1 new=1", "old=g new=e", "l=1", "rc=new");
    expect("EDS old=g");
    close_stream();
}
END_TEST

START_TEST(case_40_routes_wait_for_new_endpoints_but_not_for_ever)
{
    settle_delta();
    publish("old=1 new=1", "old=e new=e", "l=1", "rc=new");
    expect("CDS new=1");
    ack(RESOURCE_CLUSTER);
    expect("");
    bed.now_ms = bed.stream.deadline_ms - 1;
    stream_tick(&bed.stream, bed.now_ms);
    expect("");
    bed.now_ms = bed.stream.deadline_ms;
    stream_tick(&bed.stream, bed.now_ms);
    expect("RDS rc=new");
    ck_assert_uint_eq(bed.context.counters.step_timeouts, 1);
    close_stream();
}
END_TEST

/* Entries come and go also without a request: by a glob, when something is sent. */
START_TEST(the_memory_of_subscriptions_is_counted_whenever_it_changes)
{
    open_stream(true, RESOURCE_TYPE_COUNT);
    publish("x/a=1 x/b=1", "", "", "");
    ask((struct ask){.node = "n", .type = RESOURCE_CLUSTER, .name = "x/*"});
    expect("CDS x/a=1 x/b=1");
    ck_assert_uint_gt(bed.context.subscription_bytes, 0);
    ck_assert_uint_eq(bed.context.subscription_bytes,
                      bed.stream.subscriptions[RESOURCE_CLUSTER]->bytes);
    ack(RESOURCE_CLUSTER);
    ask((struct ask){.type = RESOURCE_CLUSTER, .gone = "x/*"});
    ck_assert_int_eq(bed.finished, RPC_STATUS_OK);
    ck_assert_uint_eq(bed.context.subscription_bytes, 0);
    ask((struct ask){.type = RESOURCE_CLUSTER, .name = "x/a"});
    expect("CDS x/a=1");
    reopen_stream();
    ck_assert_uint_eq(bed.context.subscription_bytes, 0);
    close_stream();
}
END_TEST

START_TEST(case_27_a_type_that_is_not_asked_for_any_more_is_not_answered)
{
    settle_delta();
    ask((struct ask){.type = RESOURCE_ROUTES, .gone = "rc"});
    expect("");
    publish("old=1", "old=e", "l=1", "rc=other");
    expect("");
    ck_assert(stream_is_in_sync(&bed.stream));
    close_stream();
}
END_TEST

START_TEST(case_42_who_unsubscribes_the_routes_of_a_listener_that_went_is_no_error)
{
    settle_delta();
    publish("old=1", "old=e", "", "");
    expect("LDS -l");
    ack(RESOURCE_LISTENER);
    expect("RDS -rc");
    ask((struct ask){.type = RESOURCE_ROUTES, .gone = "rc"});
    ack(RESOURCE_ROUTES);
    expect("");
    ck_assert(stream_is_in_sync(&bed.stream));
    ask((struct ask){.type = RESOURCE_ROUTES, .gone = "rc"});
    expect("");
    ck_assert_int_eq(bed.finished, RPC_STATUS_OK);
    close_stream();
}
END_TEST

START_TEST(a_silent_client_costs_one_response_per_type)
{
    settle_delta();
    publish("new=1", "new=e", "l=2", "rc=new");
    expect("CDS new=1");
    for (int i = 0; i < 10; i++) {
        bed.now_ms += STREAM_STEP_TIMEOUT_MS;
        stream_tick(&bed.stream, bed.now_ms);
    }
    expect("LDS l=2; RDS rc=new; EDS -old");
    ck_assert_uint_eq(bed.stream.deadline_ms, UINT64_MAX);
    close_stream();
}
END_TEST

START_TEST(a_node_of_an_unknown_gateway_waits_for_it)
{
    open_stream(true, RESOURCE_TYPE_COUNT);
    publish("a=1", "", "", "");
    ask((struct ask){.node = "n", .gateway = "later", .type = RESOURCE_CLUSTER});
    expect("CDS empty");
    ask((struct ask){.type = RESOURCE_LISTENER});
    expect("LDS empty");
    ack(RESOURCE_CLUSTER);
    ack(RESOURCE_LISTENER);
    ck_assert(!bed.stream.client->is_gateway_known);
    ck_assert(!stream_is_in_sync(&bed.stream));
    publish_as("later", "b=1", "", "l=1", "");
    expect("CDS b=1");
    ack(RESOURCE_CLUSTER);
    expect("LDS l=1");
    ack(RESOURCE_LISTENER);
    ck_assert(bed.stream.client->is_gateway_known);
    ck_assert(stream_is_in_sync(&bed.stream));
    close_stream();
}
END_TEST

START_TEST(an_unchanged_world_sends_nothing)
{
    settle_delta();
    publish("old=1", "old=e", "l=1", "rc=old");
    expect("");
    ck_assert(stream_is_in_sync(&bed.stream));
    close_stream();
}
END_TEST

START_TEST(a_new_listener_finds_its_routes_before_the_old_ones_change)
{
    settle_delta();
    publish("old=1", "old=e", "l=1 m=1", "rc=2 rm=1");
    expect("LDS m=1");
    ask((struct ask){.type = RESOURCE_ROUTES, .name = "rm"});
    expect("RDS rm=1");
    ack(RESOURCE_LISTENER);
    expect("");
    ack(RESOURCE_ROUTES);
    expect("RDS rc=2");
    ack(RESOURCE_ROUTES);
    ck_assert(stream_is_in_sync(&bed.stream));
    close_stream();
}
END_TEST

TEST_MAIN("stream", case_31_only_the_first_request_needs_a_node,
          case_32_a_first_request_without_node_ends_the_stream,
          case_33_another_node_later_does_not_switch_the_gateway,
          case_34_unknown_types_are_tolerated, a_request_that_cannot_be_decoded_ends_the_stream,
          a_stream_of_one_type_needs_no_type_url_and_takes_no_other,
          case_35_a_repointed_route_is_made_before_the_old_cluster_is_broken,
          case_36_state_of_the_world_has_both_clusters_first_and_then_the_new_one,
          case_37_a_changed_cluster_gets_its_endpoints_again,
          case_38_a_second_cluster_update_waits_for_the_endpoints_of_the_first,
          endpoints_alone_go_out_at_once_also_while_a_plan_waits,
          case_40_routes_wait_for_new_endpoints_but_not_for_ever,
          the_memory_of_subscriptions_is_counted_whenever_it_changes,
          case_27_a_type_that_is_not_asked_for_any_more_is_not_answered,
          case_42_who_unsubscribes_the_routes_of_a_listener_that_went_is_no_error,
          a_silent_client_costs_one_response_per_type, a_node_of_an_unknown_gateway_waits_for_it,
          an_unchanged_world_sends_nothing,
          a_new_listener_finds_its_routes_before_the_old_ones_change)
