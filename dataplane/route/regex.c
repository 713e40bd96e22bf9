#define PCRE2_CODE_UNIT_WIDTH 8
#include "dataplane/route/regex.h"

#include "common/base/mem.h"
#include "common/regex/regex.h"

#include <pcre2.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    /* Steps of backtracking from one place in the subject before the automaton takes over; well
     * under a millisecond. */
    MATCH_LIMIT = 20000,
    /* The same where a match is looked for at every place, for all of them together and, in long
     * subjects, at least for one. */
    SEARCH_STEPS = 4000000,
    SEARCH_LIMIT_MIN = 100,
    /* PCRE2's automaton compares each of its states with each other at every byte, and some
     * patterns give it a state more with every byte. So it gets fewer states the longer the subject
     * is: a few milliseconds. */
    AUTOMATON_STEPS = 8000000,
    STATES_MIN = 16,
    STATES_MAX = 1024,
    WORKSPACE_INTS = 6 * STATES_MAX + 2, /* PCRE2: three for a state, now and next, and two more */
    /* Of an interpreted match, where the system forbids JIT. */
    HEAP_LIMIT_KIB = 1024,
    JIT_STACK_BYTES_MAX = 256 * 1024,
    GROUPS_MAX = 10, /* \0 to \9 */
};

struct route_regex {
    struct str pattern;
    pcre2_code *code;
    bool is_search; /* not anchored: for replacing */
    struct regex parsed;
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
    uint32_t options =
        PCRE2_DOLLAR_ENDONLY | PCRE2_ALT_CIRCUMFLEX | PCRE2_NEVER_BACKSLASH_C | PCRE2_NEVER_UTF;
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
        (void)errmsg_set(msg, ERR_INVALID, "%s (at position %zu)", (const char *)text,
                         (size_t)at + 1);
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
    const struct regex *parsed;
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
    regex->parsed = *making->parsed;
    regex->code = compile(making->pattern, making->is_search, making->msg);
}

/* Puts the beginning of pattern before the sentence. */
static int refuse_with_pattern(struct str pattern, struct errmsg *msg)
{
    enum { SHOWN_BYTES_MAX = 200 };
    if (pattern.len > SHOWN_BYTES_MAX)
        pattern.len = SHOWN_BYTES_MAX;
    errmsg_prefix(msg, "regex %.*s: ", STR_ARGS(pattern));
    return ERR_INVALID;
}

static int get(struct shared_registry *shared, struct vec *states, struct str pattern,
               bool is_search, const struct route_regex **ret_regex, struct errmsg *msg)
{
    struct regex parsed;
    int err = regex_parse(pattern, &parsed, msg);
    if (err)
        return refuse_with_pattern(pattern, msg);
    char key[16 + REGEX_BYTES_MAX];
    int key_len = snprintf(key, sizeof key, "regex/%s/%.*s", is_search ? "search" : "full",
                           STR_ARGS(pattern));
    struct making making = {
        .pattern = pattern, .is_search = is_search, .parsed = &parsed, .msg = msg};
    struct shared_state *state =
        shared_state_get(shared, (struct str){.data = key, .len = (size_t)key_len},
                         sizeof(struct route_regex), regex_init, &making, regex_done);
    struct route_regex *regex = shared_state_object(state);
    if (!regex->code) {
        shared_state_unref(state);
        return refuse_with_pattern(pattern, msg);
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

int route_regex_from_substitution(struct shared_registry *shared, struct vec *states,
                                  const Envoy__Type__Matcher__V3__RegexMatchAndSubstitute *message,
                                  const struct route_regex **ret_regex, struct errmsg *msg)
{
    if (!message->pattern || !message->pattern->regex || !*message->pattern->regex)
        return errmsg_set(msg, ERR_INVALID, "regex is missing");
    const struct route_regex *regex;
    int err = get(shared, states, str_from(message->pattern->regex), true, &regex, msg);
    if (err)
        return err;
    struct str substitution = str_from(message->substitution);
    err = regex_check_substitution(substitution, regex->parsed.group_count, msg);
    if (err) {
        errmsg_prefix(msg, "substitution %.200s: ", message->substitution);
        return err;
    }
    *ret_regex = regex;
    return 0;
}

struct str route_regex_literal_prefix(const struct route_regex *regex)
{
    return (struct str){.data = regex->parsed.prefix, .len = regex->parsed.prefix_len};
}

struct str route_regex_literal_suffix(const struct route_regex *regex)
{
    return (struct str){.data = regex->parsed.suffix, .len = regex->parsed.suffix_len};
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
    size_t states = STATES_MIN;
    while (states < STATES_MAX && 4 * states * states * subject.len <= AUTOMATON_STEPS)
        states *= 2;
    int code = pcre2_dfa_match(regex->code, subject_of(subject), subject.len, 0, 0, scratch->data,
                               NULL, scratch->workspace, 6 * states + 2);
    if (code >= 0)
        return ROUTE_REGEX_MATCH;
    return code == PCRE2_ERROR_NOMATCH ? ROUTE_REGEX_NO_MATCH : ROUTE_REGEX_GAVE_UP;
}

enum route_regex_result route_regex_match(const struct route_regex *regex, struct str subject)
{
    ASSERT(!regex->is_search);
    struct scratch *scratch = scratch_get();
    pcre2_set_match_limit(scratch->context, MATCH_LIMIT);
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

static uint32_t search_limit(size_t len)
{
    size_t limit = SEARCH_STEPS / (len + 1);
    if (limit > MATCH_LIMIT)
        return MATCH_LIMIT;
    return limit > SEARCH_LIMIT_MIN ? (uint32_t)limit : SEARCH_LIMIT_MIN;
}

int route_regex_replace(const struct route_regex *regex, struct str subject,
                        struct str substitution, struct arena *arena, size_t max,
                        struct str *ret_result)
{
    ASSERT(regex->is_search);
    struct scratch *scratch = scratch_get();
    pcre2_set_match_limit(scratch->context, search_limit(subject.len));
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
