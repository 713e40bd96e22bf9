/* Validation of kinds services and endpoints. */
#include "controlplane/model/check.h"
#include "controlplane/model/model_internal.h"

enum { ENDPOINTS_MAX = 1000, WEIGHT_MAX = 128, SECOND = 1000, MINUTE = 60 * SECOND };
enum { HOUR = 60 * MINUTE, DAY = 24 * HOUR };

static int check_endpoint(const Weir__V1__Endpoint *endpoint, struct errmsg *msg)
{
    struct endpoint_address address;
    int err = endpoint_address_parse(endpoint, &address, msg);
    return err ? err : check_u32("weight", endpoint->weight, 1, WEIGHT_MAX, msg);
}

int endpoint_validate(const struct model_draft *draft, struct errmsg *msg)
{
    return check_endpoint((const Weir__V1__Endpoint *)draft->message, msg);
}

static int check_breaker(const Weir__V1__CircuitBreaker *breaker, struct errmsg *msg)
{
    int err = check_range("consecutive_failures", breaker->consecutive_failures, 0, 10000, msg);
    if (err == 0)
        err = check_duration("open_for", breaker->open_for, 100, HOUR, msg);
    if (err == 0)
        err = check_u32("half_open_requests", breaker->half_open_requests, 1, 1000, msg);
    if (err == 0)
        err = check_u32("success_threshold", breaker->success_threshold, 1, 1000, msg);
    if (err == 0 && breaker->consecutive_failures == 0 &&
        (breaker->open_for || breaker->half_open_requests || breaker->success_threshold))
        err = errmsg_set(msg, ERR_INVALID,
                         "consecutive_failures: is required where open_for, half_open_requests or "
                         "success_threshold is given");
    return err;
}

static int check_outlier_detection(const Weir__V1__OutlierDetection *outlier, struct errmsg *msg)
{
    int64_t eject_for = duration_ms(outlier->eject_for, 30 * SECOND);
    int err = check_range("consecutive_failures", outlier->consecutive_failures, 1, 10000, msg);
    if (err == 0)
        err = check_duration("eject_for", outlier->eject_for, 100, HOUR, msg);
    if (err == 0)
        err = check_duration("max_eject_for", outlier->max_eject_for, eject_for, DAY, msg);
    if (err == 0)
        err = check_u32("max_eject_percent", outlier->max_eject_percent, 1, 100, msg);
    return err;
}

static int check_endpoints(const Weir__V1__Service *service, struct errmsg *msg)
{
    int err = check_count("endpoints", service->n_endpoints, ENDPOINTS_MAX, msg);
    for (size_t i = 0; err == 0 && i < service->n_endpoints; i++) {
        err = check_endpoint(service->endpoints[i], msg);
        if (err)
            errmsg_prefix(msg, "endpoints[%zu].", i);
    }
    return err;
}

int service_validate(const struct model_draft *draft, struct errmsg *msg)
{
    const Weir__V1__Service *service = (const Weir__V1__Service *)draft->message;
    const Weir__V1__CircuitBreaker *breaker = service->circuit_breaker;
    int err = check_endpoints(service, msg);
    if (err)
        return err;
    if (breaker && (err = check_breaker(breaker, msg)) != 0) {
        errmsg_prefix(msg, "circuit_breaker.");
        return err;
    }
    if (service->outlier_detection && breaker && breaker->consecutive_failures > 0)
        return errmsg_set(msg, ERR_INVALID,
                          "outlier_detection: cannot be had together with "
                          "circuit_breaker.consecutive_failures");
    if (service->outlier_detection &&
        (err = check_outlier_detection(service->outlier_detection, msg)) != 0) {
        errmsg_prefix(msg, "outlier_detection.");
        return err;
    }
    return check_duration("connect_timeout", service->connect_timeout, 1, MINUTE, msg);
}
