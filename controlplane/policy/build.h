/*
 * Building Envoy messages in an arena: nothing here is freed by itself, and a message may point to
 * whatever lives as long as its arena. Any thread.
 */
#ifndef CONTROLPLANE_POLICY_BUILD_H
#define CONTROLPLANE_POLICY_BUILD_H

#include "common/base/arena.h"

#include <envoy/config/core/v3/base.pb-c.h>
#include <envoy/config/core/v3/config_source.pb-c.h>
#include <envoy/config/core/v3/substitution_format_string.pb-c.h>
#include <envoy/type/matcher/v3/regex.pb-c.h>
#include <google/protobuf/any.pb-c.h>
#include <google/protobuf/duration.pb-c.h>
#include <google/protobuf/wrappers.pb-c.h>

/* A message of the descriptor's type with nothing set; to be assigned to a pointer of that type. */
void *build_message(struct arena *arena, const ProtobufCMessageDescriptor *descriptor);
/* An array of count pointers, all NULL; NULL where count is 0. */
void *build_list(struct arena *arena, size_t count);
/* Packs message. */
Google__Protobuf__Any *build_any(struct arena *arena, const ProtobufCMessage *message);
Google__Protobuf__Duration *build_duration(struct arena *arena, int64_t ms);
Google__Protobuf__UInt32Value *build_u32(struct arena *arena, uint32_t value);
Google__Protobuf__BoolValue *build_bool(struct arena *arena, bool value);
Envoy__Type__Matcher__V3__RegexMatcher *build_regex(struct arena *arena, char *regex);
/* "From the stream that this came on." */
Envoy__Config__Core__V3__ConfigSource *build_ads_source(struct arena *arena);
/* A JSON object of count members: name and Envoy's format commands, each. */
Envoy__Config__Core__V3__SubstitutionFormatString *
build_json_format(struct arena *arena, const char *const (*members)[2], size_t count);
/* A share of requests: all of them. */
Envoy__Config__Core__V3__RuntimeFractionalPercent *build_all_requests(struct arena *arena);
/* A text where one of a oneof must be written although it is empty: protobuf-c leaves out members
 * that point to its own empty string. */
char *build_text(struct arena *arena, const char *text);

#endif
