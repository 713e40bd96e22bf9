#include "dataplane/http/format.h"

#include "common/base/buf.h"
#include "dataplane/http/format_internal.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

/* A format while it is compiled: pieces, and the literal that is growing. */
struct compiler {
    struct arena *arena;
    struct errmsg *msg;
    struct buf literal;
    struct format_piece *pieces;
    uint32_t piece_count, piece_cap;
    bool omits_empty;
};

/* Bytes of all literals and names of one format. */
enum { LITERAL_BYTES_MAX = 256 * 1024 };

static const struct {
    struct str name;
    enum format_argument argument;
    bool is_number;
} operators[] = {
#define FORMAT_OPERATOR_ROW(id, name, argument, is_number)                                         \
    [FORMAT_##id] = {{(name), sizeof(name) - 1}, argument, is_number},
    FORMAT_OPERATOR_LIST(FORMAT_OPERATOR_ROW)
#undef FORMAT_OPERATOR_ROW
};

enum { OPERATOR_COUNT = sizeof operators / sizeof *operators };

static struct format_piece *add_piece(struct compiler *compiler)
{
    if (compiler->piece_count == compiler->piece_cap) {
        uint32_t cap = compiler->piece_cap ? compiler->piece_cap * 2 : 8;
        struct format_piece *pieces =
            arena_alloc_array(compiler->arena, cap, sizeof *compiler->pieces);
        if (compiler->piece_count)
            memcpy(pieces, compiler->pieces, compiler->piece_count * sizeof *pieces);
        compiler->pieces = pieces;
        compiler->piece_cap = cap;
    }
    return &compiler->pieces[compiler->piece_count++];
}

/* Turns the text that was growing into a piece. What is left of its limit is that of the next. */
static void end_text(struct compiler *compiler, enum format_piece_kind kind)
{
    struct format_piece *piece = add_piece(compiler);
    piece->kind = kind;
    piece->text = arena_copy_str(compiler->arena, buf_str(&compiler->literal));
    compiler->literal.max -= compiler->literal.len;
    compiler->literal.len = 0;
}

static void end_literal(struct compiler *compiler)
{
    if (compiler->literal.len)
        end_text(compiler, PIECE_LITERAL);
}

/* --- operators --- */

static struct str lower_copy(struct arena *arena, struct str s)
{
    struct str copy = arena_copy_str(arena, s);
    for (size_t i = 0; i < copy.len; i++)
        ((char *)copy.data)[i] = ascii_lower(copy.data[i]);
    return copy;
}

/* "X" or "X?Y" */
static int set_header_names(struct compiler *compiler, struct format_piece *piece,
                            struct str argument)
{
    size_t mark = str_find_char(argument, '?', 0);
    piece->text = lower_copy(compiler->arena, str_slice(argument, 0, mark));
    piece->id = header_id_of(piece->text);
    if (mark < argument.len) {
        piece->other = lower_copy(compiler->arena, str_slice(argument, mark + 1, argument.len));
        piece->other_id = header_id_of(piece->other);
    }
    if (!piece->text.len || (mark < argument.len && !piece->other.len))
        return errmsg_set(compiler->msg, ERR_INVALID, "a header name is missing in (%.*s)",
                          STR_ARGS(argument));
    return 0;
}

static int set_argument(struct compiler *compiler, struct format_piece *piece, struct str argument,
                        bool has_argument)
{
    switch (operators[piece->operation].argument) {
    case ARGUMENT_HEADER:
        return set_header_names(compiler, piece, argument);
    case ARGUMENT_TIME:
        piece->text = arena_copy_str(compiler->arena, argument);
        if (argument.len > 200)
            return errmsg_set(compiler->msg, ERR_INVALID, "a time format of over 200 bytes");
        return 0;
    case ARGUMENT_NONE:
        break;
    }
    if (has_argument)
        return errmsg_set(compiler->msg, ERR_INVALID, "this operator takes no argument");
    return 0;
}

static int find_operator(struct compiler *compiler, struct str name, enum format_operator *ret)
{
    for (int i = 0; i < OPERATOR_COUNT; i++)
        if (str_equal(operators[i].name, name)) {
            *ret = (enum format_operator)i;
            return 0;
        }
    return errmsg_set(compiler->msg, ERR_UNSUPPORTED, "this operator is not known here");
}

static void set_host_name(struct compiler *compiler, struct format_piece *piece)
{
    char name[256] = "";
    if (gethostname(name, sizeof name - 1) < 0)
        name[0] = '\0';
    piece->text = str_from(arena_copy_string(compiler->arena, name));
}

/* "NAME", "NAME(ARGUMENT)", "NAME(ARGUMENT):MAX" */
static int parse_operator(struct compiler *compiler, struct str text, struct format_piece *piece)
{
    size_t open = str_find_char(text, '(', 0), close = text.len;
    struct str argument = {0};
    if (open < text.len) {
        for (close = text.len; close > open && text.data[close - 1] != ')'; close--)
            ;
        if (close == open)
            return errmsg_set(compiler->msg, ERR_INVALID, "( without )");
        argument = str_slice(text, open + 1, close - 1);
    } else {
        open = close = str_find_char(text, ':', 0);
    }
    struct str rest = str_slice(text, close, text.len);
    uint64_t value_max = UINT32_MAX;
    if (rest.len && (rest.data[0] != ':' ||
                     !str_to_u64(str_slice(rest, 1, rest.len), UINT32_MAX - 1, &value_max)))
        return errmsg_set(compiler->msg, ERR_INVALID, "a length is written :N behind the operator");
    piece->value_max = (uint32_t)value_max;
    int err = find_operator(compiler, str_slice(text, 0, open), &piece->operation);
    if (!err)
        err = set_argument(compiler, piece, argument, open < text.len && text.data[open] == '(');
    if (piece->operation == FORMAT_HOSTNAME && !err)
        set_host_name(compiler, piece);
    return err;
}

static int add_operator(struct compiler *compiler, struct str text, enum format_piece_kind kind)
{
    if (compiler->piece_count > 2 * FORMAT_OPERATORS_MAX)
        return errmsg_set(compiler->msg, ERR_TOO_LARGE, "format: more than %d operators",
                          FORMAT_OPERATORS_MAX);
    end_literal(compiler);
    struct format_piece piece = {.kind = kind};
    int err = parse_operator(compiler, text, &piece);
    if (err)
        errmsg_prefix(compiler->msg, "format operator %%%.*s%%: ", STR_ARGS(text));
    else
        *add_piece(compiler) = piece;
    return err;
}

/* The index of the % that ends the operator that begins at from (behind its first %). A % inside
 * parentheses belongs to the argument. */
static size_t operator_end(struct str text, size_t from)
{
    bool in_argument = false;
    for (size_t i = from; i < text.len; i++) {
        if (text.data[i] == '(')
            in_argument = true;
        else if (text.data[i] == ')')
            in_argument = false;
        else if (text.data[i] == '%' && !in_argument)
            return i;
    }
    return text.len;
}

static void add_literal_char(struct compiler *compiler, char c, enum format_piece_kind kind)
{
    static const char hex[] = "0123456789abcdef";
    if (kind == PIECE_TEXT)
        buf_append_char(&compiler->literal, c);
    else if ((unsigned char)c < 0x20)
        buf_printf(&compiler->literal, "\\u00%c%c", hex[(unsigned char)c >> 4], hex[c & 15]);
    else if (c == '"' || c == '\\')
        buf_printf(&compiler->literal, "\\%c", c);
    else
        buf_append_char(&compiler->literal, c);
}

/* A text with operators; kind is what an operator becomes. */
static int add_text(struct compiler *compiler, struct str text, enum format_piece_kind kind)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] != '%') {
            add_literal_char(compiler, text.data[i], kind);
            continue;
        }
        size_t end = operator_end(text, i + 1);
        if (end == text.len)
            return errmsg_set(compiler->msg, ERR_INVALID, "format: a %% without its second in %.*s",
                              STR_ARGS(text));
        if (end == i + 1) {
            add_literal_char(compiler, '%', kind);
        } else {
            int err = add_operator(compiler, str_slice(text, i + 1, end), kind);
            if (err)
                return err;
        }
        i = end;
    }
    return 0;
}

/* --- JSON --- */

static int add_json_value(struct compiler *compiler, const Google__Protobuf__Value *value,
                          unsigned depth);

/* Whether text is one operator and nothing else. */
static bool is_lone_operator(struct str text)
{
    return text.len > 2 && text.data[0] == '%' && operator_end(text, 1) == text.len - 1;
}

static int add_json_string(struct compiler *compiler, struct str text)
{
    if (is_lone_operator(text))
        return add_operator(compiler, str_slice(text, 1, text.len - 1), PIECE_JSON_VALUE);
    buf_append_char(&compiler->literal, '"');
    int err = add_text(compiler, text, PIECE_JSON_PART);
    buf_append_char(&compiler->literal, '"');
    return err;
}

static void add_json_number(struct compiler *compiler, double number)
{
    if (!isfinite(number))
        buf_append_str(&compiler->literal, STR("null"));
    else if (number == trunc(number) && fabs(number) < 1e15)
        buf_printf(&compiler->literal, "%.0f", number);
    else
        buf_printf(&compiler->literal, "%.15g", number);
}

/* Puts a mark in front of a value; the renderer decides about comma and name by it. */
static void add_mark(struct compiler *compiler, enum format_piece_kind kind, const char *name)
{
    end_literal(compiler);
    if (name) {
        buf_append_json_string(&compiler->literal, str_from(name));
        buf_append_char(&compiler->literal, ':');
    }
    end_text(compiler, kind);
}

static int compare_members(const void *a, const void *b)
{
    const Google__Protobuf__Struct__FieldsEntry *const *left = a, *const *right = b;
    return strcmp((*left)->key, (*right)->key);
}

static bool is_null(const Google__Protobuf__Value *value)
{
    return !value || value->kind_case == GOOGLE__PROTOBUF__VALUE__KIND_NULL_VALUE ||
           value->kind_case == GOOGLE__PROTOBUF__VALUE__KIND__NOT_SET;
}

static int add_json_object(struct compiler *compiler, const Google__Protobuf__Struct *object,
                           unsigned depth)
{
    size_t count = object->n_fields;
    Google__Protobuf__Struct__FieldsEntry **members =
        arena_alloc_array(compiler->arena, count + 1, sizeof *members);
    if (count) {
        memcpy(members, object->fields, count * sizeof *members);
        qsort(members, count, sizeof *members, compare_members);
    }
    buf_append_char(&compiler->literal, '{');
    for (size_t i = 0; i < count; i++) {
        if (compiler->omits_empty && is_null(members[i]->value))
            continue;
        add_mark(compiler, PIECE_JSON_MEMBER, members[i]->key);
        int err = add_json_value(compiler, members[i]->value, depth + 1);
        if (err) {
            errmsg_prefix(compiler->msg, "member %s: ", members[i]->key);
            return err;
        }
    }
    buf_append_char(&compiler->literal, '}');
    return 0;
}

static int add_json_list(struct compiler *compiler, const Google__Protobuf__ListValue *list,
                         unsigned depth)
{
    buf_append_char(&compiler->literal, '[');
    for (size_t i = 0; i < list->n_values; i++) {
        add_mark(compiler, PIECE_JSON_ITEM, NULL);
        int err = add_json_value(compiler, list->values[i], depth + 1);
        if (err)
            return err;
    }
    buf_append_char(&compiler->literal, ']');
    return 0;
}

/* Recursion is bounded by FORMAT_DEPTH_MAX. */
static int add_json_value(struct compiler *compiler, const Google__Protobuf__Value *value,
                          unsigned depth)
{
    if (depth > FORMAT_DEPTH_MAX)
        return errmsg_set(compiler->msg, ERR_TOO_LARGE, "more than %d levels of JSON",
                          FORMAT_DEPTH_MAX);
    if (is_null(value)) {
        buf_append_str(&compiler->literal, STR("null"));
        return 0;
    }
    switch (value->kind_case) {
    case GOOGLE__PROTOBUF__VALUE__KIND_NUMBER_VALUE:
        add_json_number(compiler, value->number_value);
        return 0;
    case GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE:
        return add_json_string(compiler, str_from(value->string_value));
    case GOOGLE__PROTOBUF__VALUE__KIND_BOOL_VALUE:
        buf_append_str(&compiler->literal, value->bool_value ? STR("true") : STR("false"));
        return 0;
    case GOOGLE__PROTOBUF__VALUE__KIND_STRUCT_VALUE:
        return add_json_object(compiler, value->struct_value, depth);
    case GOOGLE__PROTOBUF__VALUE__KIND_LIST_VALUE:
        return add_json_list(compiler, value->list_value, depth);
    case GOOGLE__PROTOBUF__VALUE__KIND_NULL_VALUE:
    case GOOGLE__PROTOBUF__VALUE__KIND__NOT_SET:
    case _GOOGLE__PROTOBUF__VALUE__KIND__CASE_IS_INT_SIZE:
        break;
    }
    return errmsg_set(compiler->msg, ERR_INVALID, "a JSON value of no kind");
}

/* --- the functions of format.h --- */

static struct compiler compiler_of(struct arena *arena, bool omits_empty, struct errmsg *msg)
{
    struct compiler compiler = {.arena = arena, .omits_empty = omits_empty, .msg = msg};
    buf_init(&compiler.literal, LITERAL_BYTES_MAX);
    return compiler;
}

/* Ends compiling; takes the compiler's buffer. */
static int finish(struct compiler *compiler, int err, bool is_json, const struct format **ret)
{
    if (!err && compiler->literal.is_overflown)
        err = errmsg_set(compiler->msg, ERR_TOO_LARGE, "format: over %d bytes", LITERAL_BYTES_MAX);
    if (!err) {
        end_literal(compiler);
        struct format *format = ARENA_NEW(compiler->arena, struct format);
        format->pieces = compiler->pieces;
        format->piece_count = compiler->piece_count;
        format->omits_empty = compiler->omits_empty;
        format->content_type = is_json ? STR("application/json") : STR("text/plain");
        *ret = format;
    }
    buf_done(&compiler->literal);
    return err;
}

int format_new_text(struct arena *arena, struct str text, bool omits_empty,
                    const struct format **ret_format, struct errmsg *msg)
{
    struct compiler compiler = compiler_of(arena, omits_empty, msg);
    int err = add_text(&compiler, text, PIECE_TEXT);
    return finish(&compiler, err, false, ret_format);
}

int format_new_json(struct arena *arena, const Google__Protobuf__Struct *object, bool omits_empty,
                    const struct format **ret_format, struct errmsg *msg)
{
    struct compiler compiler = compiler_of(arena, omits_empty, msg);
    int err = add_json_object(&compiler, object, 1);
    buf_append_char(&compiler.literal, '\n');
    return finish(&compiler, err, true, ret_format);
}

static int text_of_source(const Envoy__Config__Core__V3__DataSource *source, struct str *ret,
                          struct errmsg *msg)
{
    switch (source->specifier_case) {
    case ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER_INLINE_STRING:
        *ret = str_from(source->inline_string);
        return 0;
    case ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER_INLINE_BYTES:
        *ret = (struct str){.data = (const char *)source->inline_bytes.data,
                            .len = source->inline_bytes.len};
        return 0;
    case ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER_FILENAME:
    case ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER_ENVIRONMENT_VARIABLE:
        return errmsg_set(msg, ERR_UNSUPPORTED,
                          "text_format_source: only inline_string and inline_bytes are supported");
    case ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER__NOT_SET:
    case _ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER__CASE_IS_INT_SIZE:
        break;
    }
    return errmsg_set(msg, ERR_INVALID, "text_format_source: nothing is set");
}

int format_new(struct arena *arena,
               const Envoy__Config__Core__V3__SubstitutionFormatString *message,
               const struct format **ret_format, struct errmsg *msg)
{
    if (message->n_formatters)
        return errmsg_set(msg, ERR_UNSUPPORTED, "format: formatters are not supported");
    struct str text;
    int err = 0;
    bool omits_empty = message->omit_empty_values;
    switch (message->format_case) {
    case ENVOY__CONFIG__CORE__V3__SUBSTITUTION_FORMAT_STRING__FORMAT_TEXT_FORMAT:
        err = format_new_text(arena, str_from(message->text_format), omits_empty, ret_format, msg);
        break;
    case ENVOY__CONFIG__CORE__V3__SUBSTITUTION_FORMAT_STRING__FORMAT_JSON_FORMAT:
        err = format_new_json(arena, message->json_format, omits_empty, ret_format, msg);
        break;
    case ENVOY__CONFIG__CORE__V3__SUBSTITUTION_FORMAT_STRING__FORMAT_TEXT_FORMAT_SOURCE:
        err = text_of_source(message->text_format_source, &text, msg);
        if (!err)
            err = format_new_text(arena, text, omits_empty, ret_format, msg);
        break;
    case ENVOY__CONFIG__CORE__V3__SUBSTITUTION_FORMAT_STRING__FORMAT__NOT_SET:
    case _ENVOY__CONFIG__CORE__V3__SUBSTITUTION_FORMAT_STRING__FORMAT__CASE_IS_INT_SIZE:
        return errmsg_set(msg, ERR_INVALID, "format: nothing is set");
    }
    if (!err && message->content_type && *message->content_type) {
        struct str type = str_from(arena_copy_string(arena, message->content_type));
        if (!header_value_is_valid(type))
            return errmsg_set(msg, ERR_INVALID, "format: content_type has control characters");
        ((struct format *)*ret_format)->content_type = type;
    }
    return err;
}

const struct format *format_new_default(struct arena *arena)
{
    static const char line[] =
        "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" "
        "%RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% "
        "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" "
        "\"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\"\n";
    const struct format *format = NULL;
    int err = format_new_text(arena, str_from(line), false, &format, NULL);
    ASSERT(err == 0);
    return format;
}

struct str format_content_type(const struct format *format)
{
    return format->content_type;
}

bool format_is_constant(const struct format *format, struct str *ret_text)
{
    if (format->piece_count > 1 ||
        (format->piece_count == 1 && format->pieces[0].kind != PIECE_LITERAL))
        return false;
    *ret_text = format->piece_count ? format->pieces[0].text : STR("");
    return true;
}
