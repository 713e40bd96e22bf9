#include "dataplane/xds/decode_internal.h"

#include "common/pbjson/wire.h"
#include "dataplane/filters/table.h"

enum { SCRATCH_BLOCK = 256 * 1024 };

void decode_route_options(const struct decode_context *context, struct route_table_options *ret)
{
    *ret = (struct route_table_options){.cluster_slots = context->cluster_slots,
                                        .filter_slots = context->filter_slots,
                                        .shared = context->shared,
                                        .load_filter = filter_table_load_route,
                                        .workers = context->workers};
}

static int load(const struct decode_context *context, struct str name, struct str bytes,
                struct arena *scratch, struct route_table **ret_routes, struct errmsg *msg)
{
    ProtobufCMessage *message;
    int err = wire_unpack(&envoy__config__route__v3__route_configuration__descriptor, bytes,
                          context->types, scratch, &message, msg);
    if (err)
        return err;
    const Envoy__Config__Route__V3__RouteConfiguration *routes =
        (const Envoy__Config__Route__V3__RouteConfiguration *)message;
    if (!str_equal(str_from(routes->name), name))
        return errmsg_set(msg, ERR_INVALID, "name: is \"%s\"", routes->name);
    struct route_table_options options;
    decode_route_options(context, &options);
    err = route_table_new(routes, &options, ret_routes, msg);
    if (!err)
        decode_note_ignored(context, XDS_ROUTES, name, message);
    return err;
}

int decode_routes(const struct decode_context *context, struct str name, struct str bytes,
                  struct route_table **ret_routes, struct errmsg *msg)
{
    struct arena scratch;
    arena_init(&scratch, SCRATCH_BLOCK);
    int err = load(context, name, bytes, &scratch, ret_routes, msg);
    arena_done(&scratch);
    if (err)
        errmsg_prefix(msg, "routes %.*s: ", STR_ARGS(name));
    return err;
}
