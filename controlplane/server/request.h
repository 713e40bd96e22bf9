/* A DiscoveryRequest or DeltaDiscoveryRequest, decoded. No state. */
#ifndef CONTROLPLANE_SERVER_REQUEST_H
#define CONTROLPLANE_SERVER_REQUEST_H

#include "common/base/arena.h"
#include "controlplane/server/subscription.h"

/* What a node says about itself. */
struct request_node {
    struct str id;
    struct str cluster;
    struct str user_agent_name;
    struct str user_agent_version; /* "1.40.0"; empty where it does not say */
};

struct request {
    bool has_node;
    struct request_node node;
    struct str type_url;
    struct subscription_request subscription;
};

/* Decodes bytes into arena. False where they are no such message, or nested or blown up beyond the
 * limits of common/pbjson. */
bool request_decode(struct str bytes, bool is_delta, struct arena *arena, struct request *ret);

#endif
