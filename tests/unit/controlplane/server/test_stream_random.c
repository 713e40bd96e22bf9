/*
 * A delta stream against a simulated proxy that refuses particular contents for ever, answers when
 * it likes and reconnects now and then, while the policy changes at random. At any moment every
 * cluster that its routes name is there, unless it refused that cluster itself; whatever it
 * refuses, everything else converges, and no refused content is sent to a stream twice.
 */
#include "common/base/log.h"
#include "tests/support/test.h"
#include "tests/support/xds_stream.h"

#include <stdio.h>
#include <stdlib.h>

enum { CLUSTERS = 6, LISTENERS = 2, ROUTES = 2, NAMES = 8, BAD = 9, STEPS = 60, SEEDS = 600 };

/* Content per name; 0: not there. Of routes: 1 + the index of the cluster that they name; + 10:
 * refused. */
struct content {
    int of[RESOURCE_TYPE_COUNT][NAMES];
};

static const char *const prefixes[RESOURCE_TYPE_COUNT] = {"c", "c", "l", "r"};
static struct content wanted, client;
static bool did_refuse[CLUSTERS];                    /* since it last accepted that cluster */
static int refused_sent[RESOURCE_TYPE_COUNT][NAMES]; /* bad content sent to this stream */
static char pending[RESOURCE_TYPE_COUNT][512];       /* a response that waits for its answer */
static bool has_pending[RESOURCE_TYPE_COUNT];
static int came[RESOURCE_TYPE_COUNT]; /* which response it was */
static int responses;

static int below(int n)
{
    return rand() % n;
}

/* --- texts --------------------------------------------------------------------------------------
 */

static const char *text_of(const struct content *content, enum resource_type type, char out[256])
{
    size_t len = 0;
    out[0] = '\0';
    for (int i = 0; i < NAMES; i++) {
        int value = content->of[type][i];
        if (!value)
            continue;
        len += (size_t)snprintf(out + len, 256 - len, "%s%d=", prefixes[type], i);
        if (type == RESOURCE_ROUTES && value < 10)
            len += (size_t)snprintf(out + len, 256 - len, "c%d ", value - 1);
        else
            len += (size_t)snprintf(out + len, 256 - len, "%d ", value);
    }
    return out;
}

static int value_of(const char *text)
{
    return text[0] == 'c' ? text[1] - '0' + 1 : (int)strtol(text, NULL, 10);
}

static bool is_bad(enum resource_type type, int value)
{
    return type == RESOURCE_ROUTES ? value >= 10 : type != RESOURCE_ENDPOINTS && value == BAD;
}

/* --- the policy
 * ------------------------------------------------------------------------------------ */

static void publish_wanted(void)
{
    /* Content that changed may be sent again, also where it then changes back. */
    for (int type = 0; type < RESOURCE_TYPE_COUNT; type++)
        for (int i = 0; i < NAMES; i++)
            if (wanted.of[type][i] != refused_sent[type][i])
                refused_sent[type][i] = 0;
    char texts[RESOURCE_TYPE_COUNT][256];
    publish(text_of(&wanted, RESOURCE_CLUSTER, texts[0]),
            text_of(&wanted, RESOURCE_ENDPOINTS, texts[1]),
            text_of(&wanted, RESOURCE_LISTENER, texts[2]),
            text_of(&wanted, RESOURCE_ROUTES, texts[3]));
}

/* Each cluster has endpoints, and routes name clusters that exist. */
static void change_policy(bool with_bad)
{
    for (int changes = 1 + below(3); changes; changes--) {
        int i = below(CLUSTERS);
        bool is_there = below(4) != 0;
        wanted.of[RESOURCE_CLUSTER][i] = is_there ? 1 + below(with_bad ? BAD : BAD - 1) : 0;
        wanted.of[RESOURCE_ENDPOINTS][i] = is_there ? 1 + below(8) : 0;
        wanted.of[RESOURCE_LISTENER][below(LISTENERS)] = below(with_bad ? BAD + 1 : BAD);
        i = below(ROUTES);
        wanted.of[RESOURCE_ROUTES][i] = 1 + below(CLUSTERS) + (with_bad && below(3) == 0 ? 10 : 0);
    }
    for (int i = 0; i < ROUTES; i++) {
        int cluster = wanted.of[RESOURCE_ROUTES][i] - 1;
        if (cluster >= 0 && cluster < CLUSTERS && !wanted.of[RESOURCE_CLUSTER][cluster])
            wanted.of[RESOURCE_CLUSTER][cluster] = wanted.of[RESOURCE_ENDPOINTS][cluster] = 1;
    }
    publish_wanted();
}

/* --- the proxy
 * ------------------------------------------------------------------------------------- */

static void check_names_are_there(unsigned seed)
{
    for (int i = 0; i < ROUTES; i++) {
        int cluster = client.of[RESOURCE_ROUTES][i] - 1;
        ck_assert_msg(cluster < 0 || client.of[RESOURCE_CLUSTER][cluster] || did_refuse[cluster],
                      "seed %u: r%d names c%d, which is not there", seed, i, cluster);
    }
}

/* Sorts what was sent into pending. */
static void take_sent(void)
{
    char *save, *part;
    for (part = strtok_r(bed.sent, ";", &save); part; part = strtok_r(NULL, ";", &save)) {
        part += strspn(part, " ");
        for (int type = 0; type < RESOURCE_TYPE_COUNT; type++)
            if (strncmp(part, resource_type_short_name((enum resource_type)type), 3) == 0) {
                ck_assert(!has_pending[type]);
                has_pending[type] = true;
                snprintf(pending[type], sizeof pending[type], "%s", part + 4);
                came[type] = responses++;
            }
    }
    bed.sent[0] = '\0';
}

/* A changed cluster is there at once and asks for its endpoints where it is new. */
static void apply(enum resource_type type, int i, int value)
{
    bool was_there = client.of[type][i] != 0;
    char name[8];
    if (type == RESOURCE_ENDPOINTS && !client.of[RESOURCE_CLUSTER][i])
        return; /* on their way when it unsubscribed */
    client.of[type][i] = value;
    if (type != RESOURCE_CLUSTER)
        return;
    snprintf(name, sizeof name, "c%d", i);
    did_refuse[i] = false;
    if (value && !was_there)
        ask((struct ask){.type = RESOURCE_ENDPOINTS, .name = name});
    if (!value && was_there)
        ask((struct ask){.type = RESOURCE_ENDPOINTS, .gone = name});
    if (!value)
        client.of[RESOURCE_ENDPOINTS][i] = 0;
}

/* Takes over what is good, and refuses what is not by name. */
static void answer(enum resource_type type)
{
    char text[512], error[256] = "", *save;
    size_t error_len = 0;
    snprintf(text, sizeof text, "%s", strcmp(pending[type], "empty") ? pending[type] : "");
    has_pending[type] = false;
    for (char *word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
        bool is_removal = word[0] == '-';
        int i = word[1 + is_removal] - '0';
        int value = is_removal ? 0 : value_of(strchr(word, '=') + 1);
        if (!is_bad(type, value)) {
            refused_sent[type][i] = 0;
            apply(type, i, value);
            continue;
        }
        ck_assert_int_ne(refused_sent[type][i], value);
        refused_sent[type][i] = wanted.of[type][i] == value ? value : 0;
        if (type == RESOURCE_CLUSTER)
            did_refuse[i] = true;
        error_len += (size_t)snprintf(error + error_len, sizeof error - error_len, "%s%d is bad, ",
                                      prefixes[type], i);
    }
    /* What is not refused by name comes again, since it was not accepted. */
    ask((struct ask){.type = type, .nonce = "ack", .error = error_len ? error : NULL});
}

static void connect_client(void)
{
    char has[256], names[64] = "";
    memset(has_pending, 0, sizeof has_pending);
    memset(refused_sent, 0, sizeof refused_sent);
    for (int i = 0; i < CLUSTERS; i++)
        if (client.of[RESOURCE_CLUSTER][i])
            snprintf(names + strlen(names), sizeof names - strlen(names), "c%d ", i);
    ask((struct ask){.node = "n",
                     .agent = "weir-proxy",
                     .type = RESOURCE_CLUSTER,
                     .has = text_of(&client, RESOURCE_CLUSTER, has)});
    ask((struct ask){.type = RESOURCE_ENDPOINTS,
                     .name = names,
                     .has = text_of(&client, RESOURCE_ENDPOINTS, has)});
    ask((struct ask){.type = RESOURCE_LISTENER, .has = text_of(&client, RESOURCE_LISTENER, has)});
    ask((struct ask){
        .type = RESOURCE_ROUTES, .name = "r0 r1", .has = text_of(&client, RESOURCE_ROUTES, has)});
}

/* --- runs
 * ------------------------------------------------------------------------------------------ */

/* A stream is read in order. */
static bool answer_oldest(unsigned seed)
{
    take_sent();
    int oldest = RESOURCE_TYPE_COUNT;
    for (int type = 0; type < RESOURCE_TYPE_COUNT; type++)
        if (has_pending[type] && (oldest == RESOURCE_TYPE_COUNT || came[type] < came[oldest]))
            oldest = type;
    if (oldest == RESOURCE_TYPE_COUNT)
        return false;
    answer((enum resource_type)oldest);
    take_sent();
    check_names_are_there(seed);
    return true;
}

static void drain(unsigned seed)
{
    int before = responses;
    while (answer_oldest(seed))
        ck_assert_int_lt(responses - before, 100);
    ck_assert_int_eq(bed.stream.plan.step, PLAN_IDLE);
}

/* What older routes name that it goes on using may be there, too. */
static bool is_kept(int cluster)
{
    for (int i = 0; i < ROUTES; i++)
        if (is_bad(RESOURCE_ROUTES, wanted.of[RESOURCE_ROUTES][i]) &&
            client.of[RESOURCE_ROUTES][i] - 1 == cluster)
            return true;
    return false;
}

static void check(unsigned seed, bool is_exact)
{
    for (int type = 0; type < RESOURCE_TYPE_COUNT; type++)
        for (int i = 0; i < NAMES; i++) {
            int want = wanted.of[type][i], have = client.of[type][i];
            bool is_of_cluster = type == RESOURCE_CLUSTER || type == RESOURCE_ENDPOINTS;
            bool is_free =
                !is_exact &&
                (is_bad((enum resource_type)type, want) ||
                 (is_of_cluster && is_bad(RESOURCE_CLUSTER, wanted.of[RESOURCE_CLUSTER][i])) ||
                 (is_of_cluster && !want && is_kept(i)));
            ck_assert_msg(is_free || have == want, "seed %u: %s %d has %d wants %d", seed,
                          resource_type_short_name((enum resource_type)type), i, have, want);
        }
}

static void run(unsigned seed, bool reconnects)
{
    srand(seed);
    log_set_level("off");
    wanted = client = (struct content){0};
    memset(did_refuse, 0, sizeof did_refuse);
    open_stream(true, RESOURCE_TYPE_COUNT);
    change_policy(false);
    connect_client();
    for (int i = 0; i < STEPS; i++) {
        if (below(4) == 0)
            change_policy(true);
        else if (!reconnects || below(12) != 0)
            answer_oldest(seed);
        else
            reopen_stream(), bed.sent[0] = '\0', connect_client();
        take_sent();
    }
    drain(seed);
    if (!reconnects)
        check(seed, false);
    for (int i = 0; i < NAMES; i++) {
        if (wanted.of[RESOURCE_CLUSTER][i] == BAD)
            wanted.of[RESOURCE_CLUSTER][i] = 1;
        if (wanted.of[RESOURCE_LISTENER][i] == BAD)
            wanted.of[RESOURCE_LISTENER][i] = 1;
        wanted.of[RESOURCE_ROUTES][i] %= 10;
    }
    for (int i = 0; i < ROUTES; i++) {
        int cluster = wanted.of[RESOURCE_ROUTES][i] - 1;
        if (cluster >= 0 && !wanted.of[RESOURCE_CLUSTER][cluster])
            wanted.of[RESOURCE_CLUSTER][cluster] = wanted.of[RESOURCE_ENDPOINTS][cluster] = 1;
    }
    publish_wanted();
    drain(seed);
    check(seed, true);
    ck_assert(stream_is_in_sync(&bed.stream));
    ck_assert_uint_eq(bed.stream.client->refusal_count, 0);
    close_stream();
}

START_TEST(a_proxy_that_refuses_some_things_converges_in_everything_else)
{
    for (unsigned seed = 0; seed < SEEDS; seed++)
        run(seed, false);
}
END_TEST

START_TEST(a_proxy_that_refuses_and_reconnects_never_names_what_it_does_not_have)
{
    for (unsigned seed = 0; seed < SEEDS; seed++)
        run(seed, true);
}
END_TEST

TEST_MAIN("stream_random", a_proxy_that_refuses_some_things_converges_in_everything_else,
          a_proxy_that_refuses_and_reconnects_never_names_what_it_does_not_have)
