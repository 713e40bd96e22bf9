/*
 * A subscription against a simulated client that takes or refuses a response as a whole, with
 * requests and responses in flight, in random order. Whatever happens, once everything is answered
 * the client has what it asks for, and it is never sent more than a bounded number of responses.
 */
#include "tests/support/test.h"
#include "tests/support/xds_peer.h"

#include "common/base/mem.h"

#include <stdio.h>

enum { NAMES = 6, FLIGHT = 64, BAD = 9, STEPS = 80, SEEDS = 1500 };

/* A request on its way. */
struct flying_request {
    char names[64], gone[64], nonce[24], error[64];
    bool is_error;
};

/* A response on its way: content per name, -1: not in it, -2: removed. */
struct flying_response {
    char nonce[24];
    int content[NAMES];
};

struct sim {
    struct xds_peer peer;
    bool is_delta, has_wildcard_type;
    int target[NAMES]; /* -1: does not exist */
    int has[NAMES];
    bool is_named[NAMES], is_wildcard;
    char last_nonce[24];
    struct flying_request requests[FLIGHT];
    int request_count;
    struct flying_response responses[FLIGHT];
    int response_count;
    int sent;
    bool names_culprits;
};

static struct sim sim;

static int below(int n)
{
    return rand() % n;
}

static void publish(void)
{
    char text[256];
    int len = 0;
    text[0] = '\0';
    for (int i = 0; i < NAMES; i++)
        if (sim.target[i] >= 0)
            len += snprintf(text + len, sizeof text - (size_t)len, "%c=%c%d ", 'a' + i, 'a' + i,
                            sim.target[i]);
    xds_peer_publish(&sim.peer, text);
}

static bool asks_for(int i)
{
    return sim.is_wildcard || sim.is_named[i];
}

static void all_names(char out[64])
{
    int len = snprintf(out, 64, "%s", sim.is_wildcard ? "* " : "");
    for (int i = 0; i < NAMES; i++)
        if (sim.is_named[i])
            len += snprintf(out + len, 64 - (size_t)len, "%c ", 'a' + i);
}

/* The client sends: state of the world repeats its list each time. */
static void send(const char *names, const char *gone, const char *error)
{
    ck_assert_int_lt(sim.request_count, FLIGHT);
    struct flying_request *request = &sim.requests[sim.request_count++];
    *request = (struct flying_request){.is_error = error != NULL};
    snprintf(request->names, sizeof request->names, "%s", names);
    snprintf(request->gone, sizeof request->gone, "%s", gone);
    snprintf(request->nonce, sizeof request->nonce, "%s", sim.last_nonce);
    snprintf(request->error, sizeof request->error, "%s", error ? error : "");
    if (!sim.is_delta)
        all_names(request->names);
}

static void change_subscription(void)
{
    char name[2] = {(char)('a' + below(NAMES)), '\0'};
    int i = name[0] - 'a';
    if (sim.has_wildcard_type && below(4) == 0) {
        sim.is_wildcard = !sim.is_wildcard;
        for (int j = 0; j < NAMES; j++)
            if (!asks_for(j))
                sim.has[j] = -1;
        send(sim.is_wildcard ? "*" : "", sim.is_wildcard ? "" : "*", NULL);
        return;
    }
    sim.is_named[i] = !sim.is_named[i];
    if (!asks_for(i))
        sim.has[i] = -1;
    send(sim.is_named[i] ? name : "", sim.is_named[i] ? "" : name, NULL);
}

/* --- the server's turn
 * ------------------------------------------------------------------------------- */

static void server_take_request(void)
{
    struct flying_request request = sim.requests[0];
    memmove(&sim.requests[0], &sim.requests[1], sizeof request * (size_t)--sim.request_count);
    xds_peer_request(&sim.peer,
                     (struct xds_request){.names = request.names,
                                          .gone = request.gone,
                                          .nonce = request.nonce,
                                          .error = request.is_error ? request.error : NULL});
}

static bool server_send(void)
{
    const char *text = xds_peer_next(&sim.peer);
    if (strcmp(text, "nothing") == 0)
        return false;
    ck_assert_int_lt(sim.response_count, FLIGHT);
    struct flying_response *response = &sim.responses[sim.response_count++];
    for (int i = 0; i < NAMES; i++)
        response->content[i] = -1;
    snprintf(response->nonce, sizeof response->nonce, "%s", sim.peer.nonce);
    for (const char *at = text; *at && strcmp(text, "empty") != 0;
         at += strcspn(at, " "), at += strspn(at, " ")) {
        const char *content = strchr(at, '=');
        if (*at == '-')
            response->content[at[1] - 'a'] = -2;
        else
            response->content[content[1] - 'a'] = content[2] - '0';
    }
    sim.sent++;
    return true;
}

/* --- the client's turn
 * ------------------------------------------------------------------------------- */

static bool is_refused(const struct flying_response *response, char error[64])
{
    int len = snprintf(error, 64, "refused: ");
    bool is_bad = false;
    for (int i = 0; i < NAMES; i++) {
        if (response->content[i] != BAD || !asks_for(i))
            continue;
        is_bad = true;
        if (sim.names_culprits)
            len += snprintf(error + len, 64 - (size_t)len, "%c ", 'a' + i);
    }
    return is_bad;
}

static void client_take_response(void)
{
    struct flying_response response = sim.responses[0];
    char error[64];
    memmove(&sim.responses[0], &sim.responses[1], sizeof response * (size_t)--sim.response_count);
    snprintf(sim.last_nonce, sizeof sim.last_nonce, "%s", response.nonce);
    if (is_refused(&response, error)) {
        send("", "", error);
        return;
    }
    bool is_complete = !sim.is_delta && sim.has_wildcard_type;
    for (int i = 0; i < NAMES; i++) {
        if (response.content[i] >= 0 && asks_for(i))
            sim.has[i] = response.content[i];
        else if (response.content[i] == -2 || is_complete)
            sim.has[i] = -1;
    }
    send("", "", NULL);
}

/* Until nobody has anything to say. */
static void settle(void)
{
    int before = sim.sent;
    for (bool goes_on = true; goes_on;) {
        goes_on = server_send();
        while (sim.response_count)
            client_take_response();
        goes_on |= sim.request_count > 0;
        while (sim.request_count)
            server_take_request();
        ck_assert_int_lt(sim.sent - before, 40); /* no loop over what is refused */
    }
    ck_assert(subscription_is_settled(&sim.peer.sub));
}

/* What is refused for ever holds up nothing else, where the client says what it is and is not owed
 * everything in one piece. */
static bool refusals_stand_alone(void)
{
    return sim.names_culprits && (sim.is_delta || !sim.has_wildcard_type);
}

static void check(unsigned seed)
{
    for (int i = 0; i < NAMES; i++) {
        if (!asks_for(i) || sim.target[i] == BAD)
            continue;
        /* Without delta, endpoints that are gone stay until their cluster goes. */
        if (sim.target[i] < 0 && !sim.is_delta && !sim.has_wildcard_type)
            continue;
        ck_assert_msg(sim.has[i] == sim.target[i], "seed %u name %c has %d wants %d", seed, 'a' + i,
                      sim.has[i], sim.target[i]);
    }
}

static void step(void)
{
    switch (below(5)) {
    case 0:
        sim.target[below(NAMES)] = below(12) - 2 < 0 ? -1 : below(10);
        publish();
        break;
    case 1:
        if (sim.request_count < FLIGHT / 2)
            change_subscription();
        break;
    case 2:
        if (sim.request_count)
            server_take_request();
        break;
    case 3:
        server_send();
        break;
    default:
        if (sim.response_count && sim.request_count < FLIGHT / 2)
            client_take_response();
    }
}

static void run(unsigned seed, bool is_delta, enum resource_type type)
{
    srand(seed);
    sim = (struct sim){.is_delta = is_delta,
                       .has_wildcard_type = resource_type_has_wildcard(type),
                       .names_culprits = seed % 2};
    for (int i = 0; i < NAMES; i++)
        sim.target[i] = sim.has[i] = -1;
    xds_peer_init(&sim.peer, type, is_delta, "");
    /* So that an empty list means nothing from the first request on. */
    sim.is_named[0] = true;
    send("a", "", NULL);
    for (int i = 0; i < STEPS; i++)
        step();
    settle();
    if (refusals_stand_alone())
        check(seed);
    for (int i = 0; i < NAMES; i++)
        if (sim.target[i] == BAD)
            sim.target[i] = 5; /* mended */
    publish();
    settle();
    check(seed);
    ck_assert(!subscription_has_refused(&sim.peer.sub));
    xds_peer_done(&sim.peer);
}

START_TEST(delta_clients_of_a_wildcard_type_converge)
{
    for (unsigned seed = 0; seed < SEEDS; seed++)
        run(seed, true, RESOURCE_CLUSTER);
}
END_TEST

START_TEST(delta_clients_of_a_named_type_converge)
{
    for (unsigned seed = 0; seed < SEEDS; seed++)
        run(seed, true, RESOURCE_ENDPOINTS);
}
END_TEST

START_TEST(state_of_the_world_clients_of_a_wildcard_type_converge)
{
    for (unsigned seed = 0; seed < SEEDS; seed++)
        run(seed, false, RESOURCE_CLUSTER);
}
END_TEST

START_TEST(state_of_the_world_clients_of_a_named_type_converge)
{
    for (unsigned seed = 0; seed < SEEDS; seed++)
        run(seed, false, RESOURCE_ROUTES);
}
END_TEST

TEST_MAIN("subscription_random", delta_clients_of_a_wildcard_type_converge,
          delta_clients_of_a_named_type_converge,
          state_of_the_world_clients_of_a_wildcard_type_converge,
          state_of_the_world_clients_of_a_named_type_converge)
