/* The table of kinds: a new kind is a message in proto/weir/v1/, a file with its validation, and a
 * row here. */
#include "controlplane/model/model_internal.h"

enum { OBJECTS_MAX = 50000, ENDPOINTS_MAX = 100000 };

static const struct model_kind_type kinds[MODEL_KIND_COUNT] = {
    [MODEL_CONSUMER] = {.name = "consumers",
                        .descriptor = &weir__v1__consumer__descriptor,
                        .validate = consumer_validate,
                        .objects_max = OBJECTS_MAX,
                        .has_secrets = true},
    [MODEL_ENDPOINT] = {.name = "endpoints",
                        .descriptor = &weir__v1__endpoint__descriptor,
                        .validate = endpoint_validate,
                        .objects_max = ENDPOINTS_MAX},
    [MODEL_GATEWAY] = {.name = "gateways",
                       .descriptor = &weir__v1__gateway__descriptor,
                       .validate = gateway_validate,
                       .objects_max = 1000},
    [MODEL_LIMIT] = {.name = "limits",
                     .descriptor = &weir__v1__limit__descriptor,
                     .validate = limit_validate,
                     .objects_max = OBJECTS_MAX},
    [MODEL_POLICY] = {.name = "policies",
                      .descriptor = &weir__v1__policy__descriptor,
                      .objects_max = OBJECTS_MAX},
    [MODEL_ROUTE] = {.name = "routes",
                     .descriptor = &weir__v1__route__descriptor,
                     .validate = route_validate,
                     .objects_max = OBJECTS_MAX},
    [MODEL_SERVICE] = {.name = "services",
                       .descriptor = &weir__v1__service__descriptor,
                       .validate = service_validate,
                       .objects_max = OBJECTS_MAX},
};

const struct model_kind_type *model_kind_type(enum model_kind kind)
{
    return &kinds[kind];
}

const char *model_kind_name(enum model_kind kind)
{
    return kinds[kind].name;
}

enum model_kind model_kind_from_name(struct str name)
{
    enum model_kind kind = 0;
    while (kind < MODEL_KIND_COUNT && !str_equal(name, str_from(kinds[kind].name)))
        kind++;
    return kind;
}
