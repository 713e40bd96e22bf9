/* What the tests of pbjson share: a registry, and checks that are one line each. */
#ifndef TESTS_UNIT_COMMON_PBJSON_PBJSON_TEST_H
#define TESTS_UNIT_COMMON_PBJSON_PBJSON_TEST_H

#include "common/pbjson/pbjson.h"
#include "tests/support/test.h"

#include <stdio.h>

enum pbjson_syntax { SYNTAX_JSON, SYNTAX_YAML };

/* One document, as read; done frees all. */
struct document {
    struct arena arena;
    ProtobufCMessage *message;
    struct errmsg msg;
    int err;
};

static inline struct document document_read(const ProtobufCMessageDescriptor *descriptor,
                                            enum pbjson_syntax syntax, struct str text,
                                            const struct pbjson_options *options)
{
    struct document document = {.message = NULL};
    arena_init(&document.arena, 1024);
    if (syntax == SYNTAX_JSON)
        document.err = pbjson_parse(descriptor, text, options, &document.arena, &document.message,
                                    &document.msg);
    else
        document.err = pbjson_parse_yaml(descriptor, text, options, &document.arena,
                                         &document.message, &document.msg);
    return document;
}

static inline void document_done(struct document *document)
{
    arena_done(&document->arena);
}

/* Prints message and compares. */
static inline void check_prints(const ProtobufCMessage *message,
                                const struct pbjson_options *options, const char *expected)
{
    struct buf out;
    buf_init(&out, 1 << 20);
    ck_assert_int_eq(pbjson_print(message, options, &out), 0);
    buf_append_char(&out, '\0');
    ck_assert_str_eq(out.data, expected);
    buf_done(&out);
}

/* Reads text, which must print as expected. */
static inline void check_reads_with(const ProtobufCMessageDescriptor *descriptor,
                                    enum pbjson_syntax syntax, const char *text,
                                    const char *expected, const struct pbjson_options *options)
{
    struct document document = document_read(descriptor, syntax, str_from(text), options);
    ck_assert_msg(document.err == 0, "%s: %s", text, document.msg.text);
    check_prints(document.message, options, expected);
    document_done(&document);
}

/* Reads text, which must be refused with this error and sentence. */
static inline void check_refuses_with(const ProtobufCMessageDescriptor *descriptor,
                                      enum pbjson_syntax syntax, const char *text, int err,
                                      const char *sentence, const struct pbjson_options *options)
{
    struct document document = document_read(descriptor, syntax, str_from(text), options);
    ck_assert_msg(document.err == err, "%s: %s instead of %s", text, err_name(document.err),
                  err_name(err));
    ck_assert_str_eq(document.msg.text, sentence);
    document_done(&document);
}

#define check_reads(descriptor, text, expected)                                                    \
    check_reads_with(descriptor, SYNTAX_JSON, text, expected, NULL)
#define check_refuses(descriptor, text, sentence)                                                  \
    check_refuses_with(descriptor, SYNTAX_JSON, text, ERR_INVALID, sentence, NULL)

#endif
