#define PCRE2_CODE_UNIT_WIDTH 8
#include "dataplane/route/regex.h"

#include "common/base/mem.h"
#include "dataplane/route/regex_syntax.h"

#include <pcre2.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    /* Steps of backtracking before the automaton takes over; under a millisecond. */
    MATCH_LIMIT = 20000,
    /* Of an interpreted match, where the system forbids JIT. */
    HEAP_LIMIT_KIB = 1024,
    JIT_STACK_BYTES_MAX = 256 * 1024,
    WORKSPACE_INTS = 8 * 1024,
    GROUPS_MAX = 10, /* \0 to \9 */
};

struct route_regex {
    struct str pattern;
    pcre2_code *code;
    bool is_search;       /* not anchored: for replacing */
    uint32_t group_count; /* without \0 */
    struct regex_literals literals;
};

/* What a thread needs to run a pattern. */
struct scratch {
    pcre2_match_data *data;
    pcre2_match_context *context;
    pcre2_jit_stack *jit_stack;
    int workspace[WORKSPACE_INTS];
};

static pthread_once_t scratch_once = PTHREAD_ONCE_INIT;
static pthread_key_t scratch_key;
static _Thread_local struct scratch *scratch_of_thread;

static void scratch_free(void *arg)
{
    struct scratch *scratch = arg;
    pcre2_match_data_free(scratch->data);
    pcre2_match_context_free(scratch->context);
    pcre2_jit_stack_free(scratch->jit_stack);
    mem_free(scratch);
    scratch_of_thread = NULL;
}

/* The main thread leaves by exit, which runs no thread destructors. */
static void scratch_free_at_exit(void)
{
    if (scratch_of_thread)
        scratch_free(scratch_of_thread);
}

static void scratch_key_new(void)
{
    int err = pthread_key_create(&scratch_key, scratch_free);
    ASSERT(err == 0);
    atexit(scratch_free_at_exit);
}

static struct scratch *scratch_get(void)
{
    if (scratch_of_thread)
        return scratch_of_thread;
    pthread_once(&scratch_once, scratch_key_new);
    struct scratch *scratch = MEM_NEW(struct scratch);
    scratch->data = pcre2_match_data_create(GROUPS_MAX, NULL);
    scratch->context = pcre2_match_context_create(NULL);
    scratch->jit_stack = pcre2_jit_stack_create(32 * 1024, JIT_STACK_BYTES_MAX, NULL);
    ASSERT(scratch->data && scratch->context && scratch->jit_stack);
    pcre2_set_match_limit(scratch->context, MATCH_LIMIT);
    pcre2_set_heap_limit(scratch->context, HEAP_LIMIT_KIB);
    pcre2_jit_stack_assign(scratch->context, NULL, scratch->jit_stack);
    pthread_setspecific(scratch_key, scratch);
    scratch_of_thread = scratch;
    return scratch;
}

/* --- compiling --- */

static void regex_done(void *object)
{
    struct route_regex *regex = object;
    pcre2_code_free(regex->code);
    mem_free((char *)regex->pattern.data);
}

static pcre2_code *compile(struct str pattern, bool is_search, struct errmsg *msg)
{
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    ASSERT(context);
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    uint32_t options = PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C | PCRE2_NEVER_UTF;
    if (!is_search)
        options |= PCRE2_ANCHORED | PCRE2_ENDANCHORED;
    int code = 0;
    PCRE2_SIZE at = 0;
    pcre2_code *compiled =
        pcre2_compile((PCRE2_SPTR)pattern.data, pattern.len, options, &code, &at, context);
    pcre2_compile_context_free(context);
    if (!compiled) {
        PCRE2_UCHAR text[160];
        pcre2_get_error_message(code, text, sizeof text);
        (void)errmsg_set(msg, ERR_INVALID, "regex %.*s: %s (at byte %zu)", STR_ARGS(pattern),
                         (const char *)text, (size_t)at);
        return NULL;
    }
    /* Where there is no memory that may be executed, the interpreter does it. */
    (void)pcre2_jit_compile(compiled, PCRE2_JIT_COMPLETE);
    return compiled;
}

/* What regex_init needs. */
struct making {
    struct str pattern;
    bool is_search;
    const struct regex_literals *literals;
    struct errmsg *msg;
};

/* Leaves code NULL where the pattern does not compile. */
static void regex_init(void *object, const void *arg)
{
    struct route_regex *regex = object;
    const struct making *making = arg;
    regex->pattern.data = mem_copy_string(making->pattern.data, making->pattern.len);
    regex->pattern.len = making->pattern.len;
    regex->is_search = making->is_search;
    regex->literals = *making->literals;
    regex->code = compile(making->pattern, making->is_search, making->msg);
    if (regex->code)
        pcre2_pattern_info(regex->code, PCRE2_INFO_CAPTURECOUNT, &regex->group_count);
}

static int get(struct shared_registry *shared, struct vec *states, struct str pattern,
               bool is_search, const struct route_regex **ret_regex, struct errmsg *msg)
{
    if (pattern.len > ROUTE_REGEX_BYTES_MAX)
        return errmsg_set(msg, ERR_INVALID, "regex of %zu bytes: at most %d are taken", pattern.len,
                          ROUTE_REGEX_BYTES_MAX);
    struct regex_literals literals;
    int err = regex_syntax_check(pattern, &literals, msg);
    if (err)
        return err;
    char key[16 + ROUTE_REGEX_BYTES_MAX];
    int key_len = snprintf(key, sizeof key, "regex/%s/%.*s", is_search ? "search" : "full",
                           STR_ARGS(pattern));
    struct making making = {
        .pattern = pattern, .is_search = is_search, .literals = &literals, .msg = msg};
    struct shared_state *state =
        shared_state_get(shared, (struct str){.data = key, .len = (size_t)key_len},
                         sizeof(struct route_regex), regex_init, &making, regex_done);
    struct route_regex *regex = shared_state_object(state);
    if (!regex->code) {
        shared_state_unref(state);
        return ERR_INVALID;
    }
    vec_append(states, state);
    *ret_regex = regex;
    return 0;
}

int route_regex_get(struct shared_registry *shared, struct vec *states, struct str pattern,
                    const struct route_regex **ret_regex, struct errmsg *msg)
{
    return get(shared, states, pattern, false, ret_regex, msg);
}

int route_regex_from_message(struct shared_registry *shared, struct vec *states,
                             const Envoy__Type__Matcher__V3__RegexMatcher *message,
                             const struct route_regex **ret_regex, struct errmsg *msg)
{
    if (!message || !message->regex || !*message->regex)
        return errmsg_set(msg, ERR_INVALID, "regex is missing");
    return get(shared, states, str_from(message->regex), false, ret_regex, msg);
}

static int check_substitution(const struct route_regex *regex, struct str substitution,
                              struct errmsg *msg)
{
    for (size_t i = 0; i < substitution.len; i++) {
        if (substitution.data[i] != '\\')
            continue;
        char next = i + 1 < substitution.len ? substitution.data[i + 1] : '\0';
        i++;
        if (next == '\\')
            continue;
        if (next < '0' || next > '9')
            return errmsg_set(msg, ERR_INVALID,
                              "substitution %.*s: a backslash must be followed by a digit or a "
                              "backslash",
                              STR_ARGS(substitution));
        if ((uint32_t)(next - '0') > regex->group_count)
            return errmsg_set(msg, ERR_INVALID, "substitution %.*s: the regex has no group %c",
                              STR_ARGS(substitution), next);
    }
    return 0;
}

int route_regex_from_substitution(struct shared_registry *shared, struct vec *states,
                                  const Envoy__Type__Matcher__V3__RegexMatchAndSubstitute *message,
                                  const struct route_regex **ret_regex, struct errmsg *msg)
{
    if (!message->pattern || !message->pattern->regex || !*message->pattern->regex)
        return errmsg_set(msg, ERR_INVALID, "regex is missing");
    const struct route_regex *regex;
    int err = get(shared, states, str_from(message->pattern->regex), true, &regex, msg);
    if (!err)
        err = check_substitution(regex, str_from(message->substitution), msg);
    if (!err)
        *ret_regex = regex;
    return err;
}

struct str route_regex_literal_prefix(const struct route_regex *regex)
{
    return (struct str){.data = regex->literals.prefix, .len = regex->literals.prefix_len};
}

struct str route_regex_literal_suffix(const struct route_regex *regex)
{
    return (struct str){.data = regex->literals.suffix, .len = regex->literals.suffix_len};
}

/* --- running --- */

static PCRE2_SPTR subject_of(struct str s)
{
    return (PCRE2_SPTR)(s.data ? s.data : "");
}

/* Decides without backtracking. */
static enum route_regex_result match_by_automaton(const struct route_regex *regex,
                                                  struct str subject, struct scratch *scratch)
{
    int code = pcre2_dfa_match(regex->code, subject_of(subject), subject.len, 0, 0, scratch->data,
                               NULL, scratch->workspace, WORKSPACE_INTS);
    if (code >= 0)
        return ROUTE_REGEX_MATCH;
    return code == PCRE2_ERROR_NOMATCH ? ROUTE_REGEX_NO_MATCH : ROUTE_REGEX_GAVE_UP;
}

enum route_regex_result route_regex_match(const struct route_regex *regex, struct str subject)
{
    ASSERT(!regex->is_search);
    struct scratch *scratch = scratch_get();
    int code = pcre2_match(regex->code, subject_of(subject), subject.len, 0, 0, scratch->data,
                           scratch->context);
    if (code >= 0)
        return ROUTE_REGEX_MATCH;
    return code == PCRE2_ERROR_NOMATCH ? ROUTE_REGEX_NO_MATCH
                                       : match_by_automaton(regex, subject, scratch);
}

/* The result while it grows; bounded by max. */
struct result {
    char *data;
    size_t len, max;
    bool is_overflown;
};

static void put(struct result *result, const char *data, size_t len)
{
    if (len > result->max - result->len) {
        result->is_overflown = true;
        return;
    }
    if (len)
        memcpy(result->data + result->len, data, len);
    result->len += len;
}

static void put_substitution(struct result *result, struct str substitution, struct str subject,
                             const PCRE2_SIZE *groups, int group_count)
{
    for (size_t i = 0; i < substitution.len; i++) {
        char c = substitution.data[i];
        if (c != '\\') {
            put(result, &c, 1);
            continue;
        }
        c = substitution.data[++i];
        int group = c - '0';
        if (c == '\\')
            put(result, &c, 1);
        else if (group < group_count && groups[2 * group] != PCRE2_UNSET)
            put(result, subject.data + groups[2 * group],
                groups[2 * group + 1] - groups[2 * group]);
    }
}

int route_regex_replace(const struct route_regex *regex, struct str subject,
                        struct str substitution, struct arena *arena, size_t max,
                        struct str *ret_result)
{
    ASSERT(regex->is_search);
    struct scratch *scratch = scratch_get();
    const PCRE2_SIZE *groups = pcre2_get_ovector_pointer(scratch->data);
    struct result result = {.max = max};
    size_t from = 0, copied = 0;
    while (from <= subject.len && !result.is_overflown) {
        int count = pcre2_match(regex->code, subject_of(subject), subject.len, from, 0,
                                scratch->data, scratch->context);
        if (count == PCRE2_ERROR_NOMATCH)
            break;
        if (count < 0)
            return ERR_TOO_LARGE;
        if (!result.data)
            result.data = arena_alloc(arena, max);
        put(&result, subject.data + copied, groups[0] - copied);
        put_substitution(&result, substitution, subject, groups, count ? count : GROUPS_MAX);
        copied = groups[1];
        from = groups[1] > groups[0] ? groups[1] : groups[1] + 1;
    }
    if (!result.data) {
        *ret_result = subject;
        return 0;
    }
    put(&result, subject.data + copied, subject.len - copied);
    if (result.is_overflown)
        return ERR_TOO_LARGE;
    *ret_result = (struct str){.data = result.data, .len = result.len};
    return 0;
}
