#include "controlplane/policy/build.h"

#include <envoy/type/v3/percent.pb-c.h>
#include <google/protobuf/struct.pb-c.h>

void *build_message(struct arena *arena, const ProtobufCMessageDescriptor *descriptor)
{
    ProtobufCMessage *message = arena_alloc(arena, descriptor->sizeof_message);
    descriptor->message_init(message);
    return message;
}

void *build_list(struct arena *arena, size_t count)
{
    return count ? arena_alloc_array(arena, count, sizeof(void *)) : NULL;
}

Google__Protobuf__Any *build_any(struct arena *arena, const ProtobufCMessage *message)
{
    Google__Protobuf__Any *any = build_message(arena, &google__protobuf__any__descriptor);
    any->type_url = arena_printf(arena, "type.googleapis.com/%s", message->descriptor->name);
    any->value.len = protobuf_c_message_get_packed_size(message);
    any->value.data = arena_alloc(arena, any->value.len);
    protobuf_c_message_pack(message, any->value.data);
    return any;
}

Google__Protobuf__Duration *build_duration(struct arena *arena, int64_t ms)
{
    Google__Protobuf__Duration *duration =
        build_message(arena, &google__protobuf__duration__descriptor);
    duration->seconds = ms / 1000;
    duration->nanos = (int32_t)(ms % 1000) * 1000000;
    return duration;
}

Google__Protobuf__UInt32Value *build_u32(struct arena *arena, uint32_t value)
{
    Google__Protobuf__UInt32Value *wrapper =
        build_message(arena, &google__protobuf__uint32_value__descriptor);
    wrapper->value = value;
    return wrapper;
}

Google__Protobuf__BoolValue *build_bool(struct arena *arena, bool value)
{
    Google__Protobuf__BoolValue *wrapper =
        build_message(arena, &google__protobuf__bool_value__descriptor);
    wrapper->value = value;
    return wrapper;
}

Envoy__Type__Matcher__V3__RegexMatcher *build_regex(struct arena *arena, char *regex)
{
    Envoy__Type__Matcher__V3__RegexMatcher *matcher =
        build_message(arena, &envoy__type__matcher__v3__regex_matcher__descriptor);
    matcher->regex = regex;
    return matcher;
}

Envoy__Config__Core__V3__ConfigSource *build_ads_source(struct arena *arena)
{
    Envoy__Config__Core__V3__ConfigSource *source =
        build_message(arena, &envoy__config__core__v3__config_source__descriptor);
    source->config_source_specifier_case =
        ENVOY__CONFIG__CORE__V3__CONFIG_SOURCE__CONFIG_SOURCE_SPECIFIER_ADS;
    source->ads =
        build_message(arena, &envoy__config__core__v3__aggregated_config_source__descriptor);
    source->resource_api_version = ENVOY__CONFIG__CORE__V3__API_VERSION__V3;
    return source;
}

Envoy__Config__Core__V3__SubstitutionFormatString *
build_json_format(struct arena *arena, const char *const (*members)[2], size_t count)
{
    Envoy__Config__Core__V3__SubstitutionFormatString *format =
        build_message(arena, &envoy__config__core__v3__substitution_format_string__descriptor);
    Google__Protobuf__Struct *json = build_message(arena, &google__protobuf__struct__descriptor);
    json->fields = build_list(arena, count);
    for (size_t i = 0; i < count; i++) {
        Google__Protobuf__Struct__FieldsEntry *entry =
            build_message(arena, &google__protobuf__struct__fields_entry__descriptor);
        entry->key = build_text(arena, members[i][0]);
        entry->value = build_message(arena, &google__protobuf__value__descriptor);
        entry->value->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE;
        entry->value->string_value = build_text(arena, members[i][1]);
        json->fields[json->n_fields++] = entry;
    }
    format->format_case = ENVOY__CONFIG__CORE__V3__SUBSTITUTION_FORMAT_STRING__FORMAT_JSON_FORMAT;
    format->json_format = json;
    return format;
}

Envoy__Config__Core__V3__RuntimeFractionalPercent *build_all_requests(struct arena *arena)
{
    Envoy__Config__Core__V3__RuntimeFractionalPercent *share =
        build_message(arena, &envoy__config__core__v3__runtime_fractional_percent__descriptor);
    share->default_value = build_message(arena, &envoy__type__v3__fractional_percent__descriptor);
    share->default_value->numerator = 100;
    return share;
}

char *build_text(struct arena *arena, const char *text)
{
    return arena_copy_string(arena, text);
}
