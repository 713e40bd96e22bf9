/* JSON values to numbers, booleans, enum values, strings and bytes. */
#include "common/pbjson/base64.h"
#include "common/pbjson/pbjson_internal.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

/* How many names of an enum a sentence lists. */
enum { ENUM_NAMES_LISTED = 6 };

/* An integer of either sign: what it means to a signed and to an unsigned field. */
struct integer {
    bool is_negative;
    bool is_beyond_64_bits;
    uint64_t magnitude;
};

/* Decimal text with an optional '-'. */
static bool integer_from_text(struct str text, struct integer *ret_integer)
{
    bool is_negative = text.len && text.data[0] == '-';
    struct str digits = str_slice(text, is_negative ? 1 : 0, text.len);
    for (size_t i = 0; i < digits.len; i++)
        if (digits.data[i] < '0' || digits.data[i] > '9')
            return false;
    uint64_t magnitude = 0;
    bool fits = str_to_u64(digits, UINT64_MAX, &magnitude);
    *ret_integer = (struct integer){is_negative && (magnitude || !fits), !fits, magnitude};
    return digits.len > 0;
}

/* A number without a fraction, such as 1e3 or 80.0. */
static bool integer_from_real(double real, struct integer *ret_integer)
{
    bool fits = fabs(real) < 0x1p64;
    *ret_integer = (struct integer){real < 0, !fits, fits ? (uint64_t)fabs(real) : 0};
    return real == trunc(real);
}

static bool integer_from_json(const json_t *json, struct integer *ret_integer)
{
    if (json_is_string(json))
        return integer_from_text(str_from(json_string_value(json)), ret_integer);
    if (json_is_real(json))
        return integer_from_real(json_real_value(json), ret_integer);
    json_int_t value = json_integer_value(json);
    ret_integer->is_negative = value < 0;
    ret_integer->is_beyond_64_bits = false;
    ret_integer->magnitude = value < 0 ? -(uint64_t)value : (uint64_t)value;
    return true;
}

struct integer_range {
    uint64_t magnitude_max_negative, magnitude_max;
};

static struct integer_range integer_range_of(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        return (struct integer_range){0, UINT32_MAX};
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        return (struct integer_range){0, UINT64_MAX};
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        return (struct integer_range){(uint64_t)INT64_MAX + 1, INT64_MAX};
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_ENUM:
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_DOUBLE:
    case PROTOBUF_C_TYPE_BOOL:
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        break;
    }
    return (struct integer_range){(uint64_t)INT32_MAX + 1, INT32_MAX};
}

/* What was written for a number, for sentences. */
static const char *number_text(struct parser *parser, const json_t *json)
{
    if (json_is_string(json) || parser->options->has_secrets)
        return pbjson_parser_quote(parser, json_is_string(json) ? json_string_value(json) : "");
    if (json_is_integer(json))
        return arena_printf(parser->arena, "%" JSON_INTEGER_FORMAT, json_integer_value(json));
    return arena_printf(parser->arena, "%.15g", json_real_value(json));
}

static int parse_integer(struct parser *parser, const struct path *path,
                         const ProtobufCFieldDescriptor *field, const json_t *json, void *member)
{
    struct integer integer;
    if (!json_is_number(json) && !json_is_string(json))
        return pbjson_parser_fail_type(parser, path, "a whole number", json);
    if (!integer_from_json(json, &integer))
        return pbjson_parser_fail(parser, ERR_INVALID, path, "%s is not a whole number",
                                  number_text(parser, json));
    struct integer_range range = integer_range_of(field->type);
    uint64_t max = integer.is_negative ? range.magnitude_max_negative : range.magnitude_max;
    if (integer.is_beyond_64_bits || integer.magnitude > max)
        return pbjson_parser_fail(
            parser, ERR_INVALID, path, "%s is out of range (%s%" PRIu64 " to %" PRIu64 ")",
            number_text(parser, json), range.magnitude_max_negative ? "-" : "",
            range.magnitude_max_negative, range.magnitude_max);
    uint64_t value = integer.is_negative ? -integer.magnitude : integer.magnitude;
    if (pbjson_field_value_size(field) == sizeof(uint32_t))
        *(uint32_t *)member = (uint32_t)(value & UINT32_MAX);
    else
        *(uint64_t *)member = value;
    return 0;
}

/* "NaN", "Infinity", "-Infinity" or a decimal number as JSON writes it. */
static bool real_from_text(const char *text, double *ret_real)
{
    if (strcmp(text, "NaN") == 0 || strcmp(text, "Infinity") == 0 ||
        strcmp(text, "-Infinity") == 0) {
        *ret_real = text[0] == 'N' ? NAN : text[0] == '-' ? -INFINITY : INFINITY;
        return true;
    }
    /* strtod alone would also take white space, hexadecimals and "inf". */
    size_t len = strlen(text);
    bool starts_well =
        text[0] == '-' ? text[1] >= '0' && text[1] <= '9' : text[0] >= '0' && text[0] <= '9';
    if (!starts_well || strspn(text, "0123456789+-.eE") != len)
        return false;
    char *end;
    *ret_real = strtod(text, &end);
    return *end == '\0' && !isinf(*ret_real);
}

static int parse_real(struct parser *parser, const struct path *path,
                      const ProtobufCFieldDescriptor *field, const json_t *json, void *member)
{
    double real;
    if (json_is_number(json))
        real = json_number_value(json);
    else if (!json_is_string(json))
        return pbjson_parser_fail_type(parser, path, "a number", json);
    else if (!real_from_text(json_string_value(json), &real))
        return pbjson_parser_fail(parser, ERR_INVALID, path, "%s is not a number",
                                  number_text(parser, json));
    if (field->type == PROTOBUF_C_TYPE_DOUBLE) {
        *(double *)member = real;
        return 0;
    }
    if (!isinf(real) && !isnan(real) && isinf((float)real))
        return pbjson_parser_fail(parser, ERR_INVALID, path, "%s is out of range (-%g to %g)",
                                  number_text(parser, json), (double)FLT_MAX, (double)FLT_MAX);
    *(float *)member = (float)real;
    return 0;
}

static int fail_enum(struct parser *parser, const struct path *path,
                     const ProtobufCEnumDescriptor *descriptor, const char *text)
{
    struct suggestion suggestion;
    pbjson_suggestion_init(&suggestion, text);
    struct buf names;
    buf_init(&names, 512);
    for (unsigned i = 0; i < descriptor->n_values; i++) {
        pbjson_suggestion_offer(&suggestion, descriptor->values[i].name);
        if (i < ENUM_NAMES_LISTED)
            buf_printf(&names, "%s%s", i ? ", " : "", descriptor->values[i].name);
    }
    if (descriptor->n_values > ENUM_NAMES_LISTED)
        buf_append_str(&names, STR(", …"));
    int err = pbjson_parser_fail(
        parser, ERR_INVALID, path, "%s is not one of %.*s%s%s%s", pbjson_parser_quote(parser, text),
        STR_ARGS(buf_str(&names)), suggestion.best ? "; did you mean \"" : "",
        suggestion.best ? suggestion.best : "", suggestion.best ? "\"?" : "");
    buf_done(&names);
    return err;
}

static int parse_enum(struct parser *parser, const struct path *path,
                      const ProtobufCFieldDescriptor *field, const json_t *json, void *member)
{
    const ProtobufCEnumDescriptor *descriptor = field->descriptor;
    if (json_is_null(json)) { /* only a NullValue gets here with null */
        *(int *)member = 0;
        return 0;
    }
    if (json_is_number(json))
        return parse_integer(parser, path, field, json, member);
    if (!json_is_string(json))
        return pbjson_parser_fail_type(
            parser, path, arena_printf(parser->arena, "a name of %s", descriptor->short_name),
            json);
    const char *text = json_string_value(json);
    const ProtobufCEnumValue *value =
        protobuf_c_enum_descriptor_get_value_by_name(descriptor, text);
    if (!value)
        return fail_enum(parser, path, descriptor, text);
    *(int *)member = value->value;
    return 0;
}

static int parse_string(struct parser *parser, const struct path *path, const json_t *json,
                        char **ret_string)
{
    if (!json_is_string(json))
        return pbjson_parser_fail_type(parser, path, "a string", json);
    size_t len = json_string_length(json);
    /* Always memory of its own, also for "": protobuf-c does not send a member of a oneof that
     * points to its default. */
    char *string = pbjson_parser_alloc(parser, path, len + 1, 1);
    if (!string)
        return ERR_TOO_LARGE;
    memcpy(string, json_string_value(json), len);
    *ret_string = string;
    return 0;
}

int pbjson_parse_bytes(struct parser *parser, const struct path *path, const json_t *json,
                       ProtobufCBinaryData *ret_bytes)
{
    if (!json_is_string(json))
        return pbjson_parser_fail_type(parser, path, "a string of base64", json);
    struct str text = {json_string_value(json), json_string_length(json)};
    ProtobufCBinaryData bytes = {.len = 0};
    bytes.data = pbjson_parser_alloc(parser, path, base64_decoded_max(text.len), 1);
    if (!bytes.data)
        return ERR_TOO_LARGE;
    if (!base64_decode(text, bytes.data, &bytes.len))
        return pbjson_parser_fail(parser, ERR_INVALID, path, "is not base64");
    *ret_bytes = bytes;
    return 0;
}

static int parse_bool(struct parser *parser, const struct path *path, const json_t *json,
                      void *member)
{
    if (!json_is_boolean(json))
        return pbjson_parser_fail_type(parser, path, "true or false", json);
    *(protobuf_c_boolean *)member = json_is_true(json);
    return 0;
}

int pbjson_parse_scalar(struct parser *parser, const struct path *path,
                        const ProtobufCFieldDescriptor *field, const json_t *json, void *member)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        return parse_integer(parser, path, field, json, member);
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_DOUBLE:
        return parse_real(parser, path, field, json, member);
    case PROTOBUF_C_TYPE_BOOL:
        return parse_bool(parser, path, json, member);
    case PROTOBUF_C_TYPE_ENUM:
        return parse_enum(parser, path, field, json, member);
    case PROTOBUF_C_TYPE_STRING:
        return parse_string(parser, path, json, member);
    case PROTOBUF_C_TYPE_BYTES:
        return pbjson_parse_bytes(parser, path, json, member);
    case PROTOBUF_C_TYPE_MESSAGE:
        break;
    }
    return pbjson_parser_fail(parser, ERR_UNSUPPORTED, path, "not a scalar");
}

int pbjson_parse_map_key(struct parser *parser, const struct path *path,
                         const ProtobufCFieldDescriptor *field, const char *text, void *member)
{
    if (field->type == PROTOBUF_C_TYPE_BOOL) {
        bool is_true = strcmp(text, "true") == 0;
        if (!is_true && strcmp(text, "false") != 0)
            return pbjson_parser_fail(parser, ERR_INVALID, path, "the key must be true or false");
        *(protobuf_c_boolean *)member = is_true;
        return 0;
    }
    json_t *json = json_string(text);
    ASSERT(json); /* keys of the tree are UTF-8 */
    int err = pbjson_parse_scalar(parser, path, field, json, member);
    json_decref(json);
    return err;
}
