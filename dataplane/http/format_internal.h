/* What compiling (format.c) and rendering (format_render.c) of formats share. */
#ifndef DATAPLANE_HTTP_FORMAT_INTERNAL_H
#define DATAPLANE_HTTP_FORMAT_INTERNAL_H

#include "dataplane/http/format.h"
#include "dataplane/http/header.h"

/* What an operator takes in parentheses. */
enum format_argument { ARGUMENT_NONE, ARGUMENT_HEADER, ARGUMENT_TIME };

/* id, name, argument, whether its value is a number. */
#define FORMAT_OPERATOR_LIST(X)                                                                    \
    X(REQ, "REQ", ARGUMENT_HEADER, false)                                                          \
    X(RESP, "RESP", ARGUMENT_HEADER, false)                                                        \
    X(START_TIME, "START_TIME", ARGUMENT_TIME, false)                                              \
    X(PROTOCOL, "PROTOCOL", ARGUMENT_NONE, false)                                                  \
    X(RESPONSE_CODE, "RESPONSE_CODE", ARGUMENT_NONE, true)                                         \
    X(RESPONSE_CODE_DETAILS, "RESPONSE_CODE_DETAILS", ARGUMENT_NONE, false)                        \
    X(RESPONSE_FLAGS, "RESPONSE_FLAGS", ARGUMENT_NONE, false)                                      \
    X(BYTES_RECEIVED, "BYTES_RECEIVED", ARGUMENT_NONE, true)                                       \
    X(BYTES_SENT, "BYTES_SENT", ARGUMENT_NONE, true)                                               \
    X(DURATION, "DURATION", ARGUMENT_NONE, true)                                                   \
    X(REQUEST_DURATION, "REQUEST_DURATION", ARGUMENT_NONE, true)                                   \
    X(RESPONSE_DURATION, "RESPONSE_DURATION", ARGUMENT_NONE, true)                                 \
    X(RESPONSE_TX_DURATION, "RESPONSE_TX_DURATION", ARGUMENT_NONE, true)                           \
    X(UPSTREAM_HOST, "UPSTREAM_HOST", ARGUMENT_NONE, false)                                        \
    X(UPSTREAM_REMOTE_ADDRESS, "UPSTREAM_REMOTE_ADDRESS", ARGUMENT_NONE, false)                    \
    X(UPSTREAM_CLUSTER, "UPSTREAM_CLUSTER", ARGUMENT_NONE, false)                                  \
    X(UPSTREAM_LOCAL_ADDRESS, "UPSTREAM_LOCAL_ADDRESS", ARGUMENT_NONE, false)                      \
    X(UPSTREAM_TRANSPORT_FAILURE_REASON, "UPSTREAM_TRANSPORT_FAILURE_REASON", ARGUMENT_NONE,       \
      false)                                                                                       \
    X(UPSTREAM_REQUEST_ATTEMPT_COUNT, "UPSTREAM_REQUEST_ATTEMPT_COUNT", ARGUMENT_NONE, true)       \
    X(DOWNSTREAM_REMOTE_ADDRESS, "DOWNSTREAM_REMOTE_ADDRESS", ARGUMENT_NONE, false)                \
    X(DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT, "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",            \
      ARGUMENT_NONE, false)                                                                        \
    X(DOWNSTREAM_DIRECT_REMOTE_ADDRESS, "DOWNSTREAM_DIRECT_REMOTE_ADDRESS", ARGUMENT_NONE, false)  \
    X(DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT,                                               \
      "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT", ARGUMENT_NONE, false)                       \
    X(DOWNSTREAM_LOCAL_ADDRESS, "DOWNSTREAM_LOCAL_ADDRESS", ARGUMENT_NONE, false)                  \
    X(DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT, "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT",              \
      ARGUMENT_NONE, false)                                                                        \
    X(ROUTE_NAME, "ROUTE_NAME", ARGUMENT_NONE, false)                                              \
    X(HOSTNAME, "HOSTNAME", ARGUMENT_NONE, false)                                                  \
    X(LOCAL_REPLY_BODY, "LOCAL_REPLY_BODY", ARGUMENT_NONE, false)

enum format_operator {
#define FORMAT_OPERATOR_ENUM(id, name, argument, is_number) FORMAT_##id,
    FORMAT_OPERATOR_LIST(FORMAT_OPERATOR_ENUM)
#undef FORMAT_OPERATOR_ENUM
};

enum format_piece_kind {
    PIECE_LITERAL,     /* bytes as they are */
    PIECE_TEXT,        /* an operator's value in a text */
    PIECE_JSON_PART,   /* an operator's value inside a JSON string */
    PIECE_JSON_VALUE,  /* an operator's value as a whole JSON value */
    PIECE_JSON_MEMBER, /* "name": in front of a value; left out with it where that is null */
    PIECE_JSON_ITEM,   /* in front of an element of a list, likewise */
};

struct format_piece {
    enum format_piece_kind kind;
    enum format_operator operation;
    struct str text;  /* of a literal; first header name; time format; host name */
    struct str other; /* second header name */
    enum header_id id, other_id;
    uint32_t value_max; /* %…:Z%; UINT32_MAX: no bound */
};

struct format {
    struct format_piece *pieces;
    uint32_t piece_count;
    bool omits_empty; /* missing: nothing in text, no member in JSON */
    struct str content_type;
};

#endif
