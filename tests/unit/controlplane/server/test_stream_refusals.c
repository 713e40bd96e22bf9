/* One stream whose client refuses something, or comes back with something older. */
#include "tests/support/test.h"
#include "tests/support/xds_stream.h"

#include <stdio.h>

static void ack_clusters(void)
{
    ack(RESOURCE_CLUSTER);
    ack(RESOURCE_ENDPOINTS);
}

START_TEST(a_refused_new_cluster_holds_up_nothing_else)
{
    settle_delta();
    publish("new=1", "new=e", "l=1", "rc=new");
    expect("CDS new=1");
    nack(RESOURCE_CLUSTER, "cluster new: nonsense");
    expect("RDS rc=new"); /* the proxy answers 503 there */
    ack(RESOURCE_ROUTES);
    expect("CDS -old; EDS -old");
    ack_clusters();
    ck_assert(!stream_is_in_sync(&bed.stream));
    ck_assert_uint_eq(bed.stream.client->refusal_count, 1);
    publish("new=1 more=1", "new=e more=e", "l=1", "rc=more");
    expect("CDS more=1");
    ask((struct ask){.type = RESOURCE_ENDPOINTS, .name = "more"});
    ack_clusters();
    expect("EDS more=e; RDS rc=more");
    ack(RESOURCE_ROUTES);
    publish("new=2 more=1", "new=e more=e", "l=1", "rc=more");
    expect("CDS new=2");
    ask((struct ask){.type = RESOURCE_ENDPOINTS, .name = "new"});
    ack_clusters();
    expect("EDS new=e");
    ck_assert(stream_is_in_sync(&bed.stream));
    ck_assert_uint_eq(bed.stream.client->refusal_count, 0);
    close_stream();
}
END_TEST

START_TEST(refused_routes_keep_the_clusters_that_the_older_ones_name_and_no_others)
{
    settle_delta();
    publish("old=1 other=1", "old=e other=e", "l=1", "rc=old");
    expect("CDS other=1");
    ask((struct ask){.type = RESOURCE_ENDPOINTS, .name = "other"});
    ack_clusters();
    expect("EDS other=e");
    publish("new=1", "new=e", "l=1", "rc=new");
    ask((struct ask){.type = RESOURCE_ENDPOINTS, .name = "new"});
    ack_clusters();
    expect("CDS new=1; EDS new=e; RDS rc=new");
    nack(RESOURCE_ROUTES, "no");
    expect("CDS -other; EDS -other");
    ack_clusters();
    ck_assert_uint_eq(bed.context.counters.removals_kept, 1);
    publish("old=1", "old=e", "l=1", "rc=old"); /* the operator goes back */
    expect("CDS -new; EDS -new");
    ack_clusters();
    ck_assert(stream_is_in_sync(&bed.stream));
    ck_assert_uint_eq(bed.stream.client->refusal_count, 0);
    close_stream();
}
END_TEST

START_TEST(what_is_kept_does_not_grow_and_goes_when_routes_are_accepted)
{
    settle_delta();
    publish("a=1", "", "l=1", "rc=bad");
    ack(RESOURCE_CLUSTER);
    expect("CDS a=1; RDS rc=bad");
    nack(RESOURCE_ROUTES, "no");
    expect("");
    char clusters[16], text[64], last = 'a';
    for (char c = 'b'; c < 'k'; c++) {
        snprintf(clusters, sizeof clusters, "%c=1", c);
        publish(clusters, "", "l=1", "rc=bad");
        snprintf(text, sizeof text, "CDS %c=1", c);
        expect(text);
        ack(RESOURCE_CLUSTER);
        snprintf(text, sizeof text, "CDS -%c", last);
        expect(text); /* and rc, which was refused, is not sent again */
        ack(RESOURCE_CLUSTER);
        ck_assert_uint_eq(bed.stream.plan.live->sets[RESOURCE_CLUSTER]->len, 2);
        last = c;
    }
    publish("j=1", "", "l=1", "rc=good");
    expect("RDS rc=good");
    ack(RESOURCE_ROUTES);
    expect("CDS -old; EDS -old");
    ack_clusters();
    ck_assert(stream_is_in_sync(&bed.stream));
    close_stream();
}
END_TEST

START_TEST(routes_accepted_after_they_were_asked_for_again_let_the_kept_clusters_go)
{
    settle_delta();
    publish("new=1", "", "l=1", "rc=new");
    ack(RESOURCE_CLUSTER);
    nack(RESOURCE_ROUTES, "not now");
    expect("CDS new=1; RDS rc=new");
    ask((struct ask){.type = RESOURCE_ROUTES, .name = "rc"});
    expect("RDS rc=new");
    ck_assert_uint_eq(bed.stream.client->refusal_count, 1); /* until it is accepted */
    ack(RESOURCE_ROUTES);
    expect("CDS -old; EDS -old");
    ack_clusters();
    ck_assert(stream_is_in_sync(&bed.stream));
    ck_assert_uint_eq(bed.stream.client->refusal_count, 0);
    close_stream();
}
END_TEST

START_TEST(case_1_a_refused_listener_is_not_sent_again_with_later_revisions)
{
    settle_delta();
    publish("old=1", "old=e", "l=1 second=1", "rc=old");
    expect("LDS second=1");
    nack(RESOURCE_LISTENER, "listener second: its port is in use");
    expect("");
    static const char *const routes[] = {"rc=2", "rc=3", "rc=4"};
    for (size_t i = 0; i < 3; i++) {
        char text[32];
        publish("old=1", "old=e", "l=1 second=1", routes[i]);
        snprintf(text, sizeof text, "RDS %s", routes[i]);
        expect(text);
        ack(RESOURCE_ROUTES);
        expect("");
    }
    publish("old=1", "old=e", "l=1 second=1 third=1", "rc=4");
    expect("LDS third=1");
    ack(RESOURCE_LISTENER);
    publish("old=1", "old=e", "l=1 third=1", "rc=4");
    expect("LDS -second"); /* the client may be waiting for its port */
    ack(RESOURCE_LISTENER);
    ck_assert(stream_is_in_sync(&bed.stream));
    ck_assert_uint_eq(bed.stream.client->refusal_count, 0);
    close_stream();
}
END_TEST

static void refuse_new_port(const char *agent)
{
    open_stream(true, RESOURCE_TYPE_COUNT);
    publish("", "", "l=1", "");
    ask((struct ask){.node = "n", .agent = agent, .type = RESOURCE_LISTENER});
    ack(RESOURCE_LISTENER);
    publish("", "", "l=2", "");
    nack(RESOURCE_LISTENER, "listener l: port in use");
    expect("LDS l=1; LDS l=2");
    publish("", "", "l=1", "");
}

START_TEST(weir_proxy_is_told_when_a_refused_listener_goes_back_to_what_it_runs)
{
    refuse_new_port("weir-proxy");
    expect("LDS l=1"); /* else it would go to the refused one as soon as its port is free */
    ack(RESOURCE_LISTENER);
    ck_assert(stream_is_in_sync(&bed.stream));
    close_stream();
    refuse_new_port("envoy");
    expect("");
    ck_assert(stream_is_in_sync(&bed.stream));
    close_stream();
}
END_TEST

START_TEST(a_refused_listener_that_is_asked_for_again_and_accepted_is_refused_no_more)
{
    settle_delta();
    publish("old=1", "old=e", "l=1 second=1", "rc=old");
    nack(RESOURCE_LISTENER, "listener second: its port is in use");
    expect("LDS second=1");
    ask((struct ask){.type = RESOURCE_LISTENER, .name = "second"});
    expect("LDS second=1");
    ack(RESOURCE_LISTENER);
    ck_assert_uint_eq(bed.stream.client->refusal_count, 0);
    ck_assert(stream_is_in_sync(&bed.stream));
    close_stream();
}
END_TEST

START_TEST(progress_goes_on_past_what_is_refused)
{
    settle_delta();
    publish("old=1", "old=e", "l=1 second=1", "rc=old");
    nack(RESOURCE_LISTENER, "listener second: its port is in use");
    ck_assert_uint_eq(bed.stream.client->progress.publication, ledger_publication(bed.ledger));
    ck_assert(!bed.stream.client->progress.is_in_sync);
    publish("old=1", "old=e", "l=1 second=1", "rc=2");
    ck_assert_uint_lt(bed.stream.client->progress.publication, ledger_publication(bed.ledger));
    ack(RESOURCE_ROUTES);
    ck_assert_uint_eq(bed.stream.client->progress.publication, ledger_publication(bed.ledger));
    publish("old=1", "old=e", "l=1 second=1", "rc=2"); /* nothing new for it */
    ck_assert_uint_eq(bed.stream.client->progress.publication, ledger_publication(bed.ledger));
    ck_assert_int_eq(bed.stream.client->progress.revision, bed.revision - 1);
    close_stream();
}
END_TEST

/* --- coming back
 * ---------------------------------------------------------------------------------- */

/* A client that knows l=1, rc=old and the cluster old meets a policy in which old is gone. */
static void come_back(const char *agent, const char *listeners)
{
    open_stream(true, RESOURCE_TYPE_COUNT);
    publish("new=1", "new=e", listeners, "rc=new");
    ask((struct ask){.node = "n", .agent = agent, .type = RESOURCE_CLUSTER, .has = "old=1"});
    ask((struct ask){.type = RESOURCE_ENDPOINTS, .name = "old", .has = "old=e"});
    ask((struct ask){.type = RESOURCE_LISTENER, .has = "l=1"});
    ask((struct ask){.type = RESOURCE_ROUTES, .name = "rc", .has = "rc=old"});
}

START_TEST(who_comes_back_with_older_content_makes_before_it_breaks)
{
    static const char *const agents[] = {"weir-proxy", "envoy"};
    for (size_t i = 0; i < 2; i++) {
        come_back(agents[i], "l=1");
        expect("CDS new=1; EDS empty; LDS empty; RDS empty");
        ack_clusters();
        ack(RESOURCE_LISTENER);
        ack(RESOURCE_ROUTES);
        expect(""); /* not before the endpoints of new are there */
        ask((struct ask){.type = RESOURCE_ENDPOINTS, .name = "new"});
        expect("EDS new=e");
        ack(RESOURCE_ENDPOINTS);
        expect("RDS rc=new");
        ack(RESOURCE_ROUTES);
        expect("CDS -old; EDS -old");
        ack_clusters();
        ck_assert(stream_is_in_sync(&bed.stream));
        publish("new=1", "new=e", "l=1", "rc=2");
        expect("RDS rc=2");
        close_stream();
    }
}
END_TEST

START_TEST(who_comes_back_and_refuses_the_routes_keeps_its_clusters_until_it_accepts_some)
{
    come_back("weir-proxy", "l=2");
    ack(RESOURCE_LISTENER);
    ack(RESOURCE_ROUTES);
    ask((struct ask){.type = RESOURCE_ENDPOINTS, .nonce = "ack", .name = "new"});
    expect("CDS new=1; EDS empty; LDS empty; RDS empty; EDS new=e");
    ack_clusters();
    expect("LDS l=2");
    ack(RESOURCE_LISTENER);
    expect("RDS rc=new");
    nack(RESOURCE_ROUTES, "no");
    expect("");
    publish("newer=1", "", "l=2", "rc=new");
    ack(RESOURCE_CLUSTER);
    expect("CDS newer=1"); /* new may be named by what it goes on using */
    publish("newer=1", "", "l=2", "rc=newer");
    expect("RDS rc=newer");
    ack(RESOURCE_ROUTES);
    expect("CDS -new -old; EDS -new -old");
    ack_clusters();
    ck_assert(stream_is_in_sync(&bed.stream));
    close_stream();
}
END_TEST

START_TEST(who_comes_back_with_what_is_published_gets_nothing_and_waits_for_nothing)
{
    open_stream(true, RESOURCE_TYPE_COUNT);
    publish("a=1", "a=e", "l=1", "rc=1");
    ask((struct ask){.node = "n", .agent = "weir-proxy", .type = RESOURCE_CLUSTER, .has = "a=1"});
    ask((struct ask){.type = RESOURCE_ENDPOINTS, .name = "a", .has = "a=e"});
    ask((struct ask){.type = RESOURCE_LISTENER, .has = "l=1"});
    ask((struct ask){.type = RESOURCE_ROUTES, .name = "rc", .has = "rc=1"});
    expect("CDS empty; EDS empty; LDS empty; RDS empty");
    ck_assert_uint_eq(bed.stream.deadline_ms, UINT64_MAX);
    ack_clusters();
    ack(RESOURCE_LISTENER);
    ack(RESOURCE_ROUTES);
    expect("");
    ck_assert(stream_is_in_sync(&bed.stream));
    close_stream();
}
END_TEST

TEST_MAIN("stream_refusals", a_refused_new_cluster_holds_up_nothing_else,
          refused_routes_keep_the_clusters_that_the_older_ones_name_and_no_others,
          what_is_kept_does_not_grow_and_goes_when_routes_are_accepted,
          routes_accepted_after_they_were_asked_for_again_let_the_kept_clusters_go,
          case_1_a_refused_listener_is_not_sent_again_with_later_revisions,
          weir_proxy_is_told_when_a_refused_listener_goes_back_to_what_it_runs,
          a_refused_listener_that_is_asked_for_again_and_accepted_is_refused_no_more,
          progress_goes_on_past_what_is_refused,
          who_comes_back_with_older_content_makes_before_it_breaks,
          who_comes_back_and_refuses_the_routes_keeps_its_clusters_until_it_accepts_some,
          who_comes_back_with_what_is_published_gets_nothing_and_waits_for_nothing)
