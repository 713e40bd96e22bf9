/*
 * Substitution formats: Envoy's %OPERATOR(ARGUMENT):LENGTH% in access log lines, local replies and
 * header values. A format is compiled once, when the configuration is loaded, and rendered without
 * allocation into a buffer of fixed size. Immutable; any thread may render.
 *
 * Text and JSON forms are those of Envoy 1.40: a missing value is "-" in text and null in JSON; in
 * JSON an operator that stands alone in its string and is numeric gives a number; members are
 * printed in the order of their names. What a peer sent is escaped in JSON, and in text control
 * characters are replaced by spaces: a line stays one line (unless the format has line ends).
 */
#ifndef DATAPLANE_HTTP_FORMAT_H
#define DATAPLANE_HTTP_FORMAT_H

#include "common/base/arena.h"
#include "common/base/err.h"

#include <envoy/config/core/v3/substitution_format_string.pb-c.h>

struct format;
struct http_stream;

enum {
    /* Operators in one format; objects and lists inside each other in a JSON format. Against
     * configurations that would make every request expensive. */
    FORMAT_OPERATORS_MAX = 512,
    FORMAT_DEPTH_MAX = 16,
};

/* What is rendered. stream may be anywhere in its life; what is not known yet is missing. */
struct format_input {
    const struct http_stream *stream;
    struct str local_reply_body; /* of %LOCAL_REPLY_BODY% */
};

/* Compiles message in arena (copies what it needs). 0, or ERR_* with a sentence that names the
 * operator: an unknown one is an error, not text. */
int format_new(struct arena *arena,
               const Envoy__Config__Core__V3__SubstitutionFormatString *message,
               const struct format **ret_format, struct errmsg *msg) MUST_CHECK;
/* The same from the text alone. omits_empty: a missing value is nothing instead of "-" (header
 * values). */
int format_new_text(struct arena *arena, struct str text, bool omits_empty,
                    const struct format **ret_format, struct errmsg *msg) MUST_CHECK;
/* A JSON format from a Struct. */
int format_new_json(struct arena *arena, const Google__Protobuf__Struct *object, bool omits_empty,
                    const struct format **ret_format, struct errmsg *msg) MUST_CHECK;
/* Envoy's default line of an access log, with its line end, in arena. */
const struct format *format_new_default(struct arena *arena);

/* Content type for a local reply in this format: what the message says, else "application/json" for
 * JSON and "text/plain" for text. */
struct str format_content_type(const struct format *format);
/* True where it has no operators; ret_text is then what it always renders to. */
bool format_is_constant(const struct format *format, struct str *ret_text);

/* Renders into out, at most cap bytes, and returns how many. What does not fit is left out; then
 * *ret_is_cut is true (ret_is_cut may be NULL). value_max bounds each operator's value in bytes
 * (SIZE_MAX: no bound), so that a cut document can be tried again and stay well-formed. */
size_t format_render(const struct format *format, const struct format_input *input, char *out,
                     size_t cap, size_t value_max, bool *ret_is_cut);
/* Renders into arena, at most max bytes; values are shortened where that is too little. */
struct str format_render_arena(const struct format *format, const struct format_input *input,
                               struct arena *arena, size_t max);

#endif
