/*
 * The HTTP filters there are. A filter is found by the type URL of its settings, as in Envoy; its
 * place in the table says nothing, the order of a chain is the listener's.
 */
#ifndef DATAPLANE_FILTERS_TABLE_H
#define DATAPLANE_FILTERS_TABLE_H

#include "dataplane/http/filter.h"
#include "dataplane/route/route.h"

/* The filter whose settings have this type URL, or NULL. */
const struct http_filter_type *filter_table_find(struct str type_url);

/* Unpacks typed_config into load->arena and loads it: for a listener's chain. 0, or ERR_* with a
 * sentence; ERR_UNSUPPORTED where no filter has this type (the caller looks at is_optional). */
int filter_table_load(struct filter_load *load, const Google__Protobuf__Any *typed_config,
                      const struct http_filter_type **ret_type, const void **ret_config,
                      struct errmsg *msg) MUST_CHECK;

/* A route_filter_load_fn: settings of a filter for one route, virtual host or table, either bare or
 * inside a FilterConfig (is_optional, disabled). Leaves ret->name_slot alone. An unknown type
 * inside FilterConfig{is_optional} gives config NULL and is_disabled false: no settings. */
int filter_table_load_route(struct filter_load *load, struct str filter_name,
                            const Google__Protobuf__Any *settings, struct filter_route_config *ret,
                            struct errmsg *msg) MUST_CHECK;

#endif
