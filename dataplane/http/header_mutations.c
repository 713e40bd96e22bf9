#include "dataplane/http/header_mutations.h"

#include "dataplane/http/format.h"
#include "dataplane/http/stream.h"
#include "dataplane/http/string_match.h"

enum mutation_kind {
    MUTATION_REMOVE,
    MUTATION_REMOVE_MATCHING,
    MUTATION_APPEND,
    MUTATION_ADD_IF_ABSENT,
    MUTATION_OVERWRITE_OR_ADD,
    MUTATION_OVERWRITE_IF_EXISTS,
};

struct mutation {
    enum mutation_kind kind;
    enum header_id id;
    struct str name; /* lower case */
    uint8_t flags;   /* enum header_flags of the line */
    bool keeps_empty;
    struct str value;                 /* where there is no format */
    const struct format *format;      /* or NULL */
    const struct string_match *match; /* of MUTATION_REMOVE_MATCHING */
};

struct header_mutations {
    struct mutation *mutations;
    uint32_t count;
    bool evaluates_first; /* all values before the first change, as Envoy's routes do */
    const struct header_mutations *next;
};

/* --- compiling --- */

static int set_name(struct arena *arena, struct mutation *mutation, const char *name,
                    struct errmsg *msg)
{
    char *copy = arena_copy_string(arena, name);
    for (char *c = copy; *c; c++)
        *c = ascii_lower(*c);
    mutation->name = str_from(copy);
    mutation->id = header_id_of(mutation->name);
    mutation->flags = HEADER_IS_CHECKED;
    if (strchr(copy, '_'))
        mutation->flags |= HEADER_HAS_UNDERSCORE;
    if (copy[0] == ':' || mutation->id == HEADER_HOST)
        return errmsg_set(msg, ERR_INVALID, "header %s: pseudo headers and host cannot be changed",
                          name);
    if (!header_name_is_valid(mutation->name))
        return errmsg_set(msg, ERR_INVALID, "header %s: this is not a header name", name);
    return 0;
}

static int set_value(struct arena *arena, struct mutation *mutation,
                     const Envoy__Config__Core__V3__HeaderValue *header, struct errmsg *msg)
{
    struct str text = str_from(header->value);
    if (!text.len)
        text = (struct str){.data = (const char *)header->raw_value.data,
                            .len = header->raw_value.len};
    if (!header_value_is_valid(text))
        return errmsg_set(msg, ERR_INVALID, "header %s: the value has control characters",
                          header->key);
    int err = format_new_text(arena, text, true, &mutation->format, msg);
    if (err) {
        errmsg_prefix(msg, "header %s: ", header->key);
        return err;
    }
    if (format_is_constant(mutation->format, &mutation->value))
        mutation->format = NULL;
    return 0;
}

static int set_addition(struct arena *arena, struct mutation *mutation,
                        const Envoy__Config__Core__V3__HeaderValueOption *option,
                        struct errmsg *msg)
{
    typedef Envoy__Config__Core__V3__HeaderValueOption__HeaderAppendAction append_action;
    static const enum mutation_kind kinds[] = {MUTATION_APPEND, MUTATION_ADD_IF_ABSENT,
                                               MUTATION_OVERWRITE_OR_ADD,
                                               MUTATION_OVERWRITE_IF_EXISTS};
    append_action action = option->append_action;
    if (option->base.n_unknown_fields || (unsigned)action >= sizeof kinds / sizeof *kinds)
        return errmsg_set(msg, ERR_UNSUPPORTED, "a field or action that is not known here");
    if (!option->header)
        return errmsg_set(msg, ERR_INVALID, "a header to add without a name");
    mutation->kind = kinds[action];
    mutation->keeps_empty = option->keep_empty_value;
    int err = set_name(arena, mutation, option->header->key, msg);
    return err ? err : set_value(arena, mutation, option->header, msg);
}

static struct header_mutations *list_new(struct arena *arena, size_t count)
{
    struct header_mutations *list = ARENA_NEW(arena, struct header_mutations);
    list->mutations = arena_alloc_array(arena, count ? count : 1, sizeof *list->mutations);
    list->count = (uint32_t)count;
    return list;
}

int header_mutations_new(struct arena *arena,
                         Envoy__Config__Core__V3__HeaderValueOption *const *add, size_t add_count,
                         char *const *remove, size_t remove_count,
                         const struct header_mutations *parent, const struct header_mutations **ret,
                         struct errmsg *msg)
{
    if (add_count + remove_count == 0) {
        *ret = parent;
        return 0;
    }
    struct header_mutations *list = list_new(arena, add_count + remove_count);
    list->evaluates_first = true;
    list->next = parent;
    struct mutation *mutation = list->mutations;
    int err = 0;
    for (size_t i = 0; i < remove_count && !err; i++, mutation++)
        err = set_name(arena, mutation, remove[i], msg);
    for (size_t i = 0; i < add_count && !err; i++, mutation++)
        err = set_addition(arena, mutation, add[i], msg);
    if (!err)
        *ret = list;
    return err;
}

static int set_removal_on_match(
    struct arena *arena, struct mutation *mutation,
    const Envoy__Config__Common__MutationRules__V3__HeaderMutation__RemoveOnMatch *message,
    struct errmsg *msg)
{
    if (!message->key_matcher)
        return errmsg_set(msg, ERR_INVALID, "remove_on_match: key_matcher is missing");
    if (message->key_matcher->match_pattern_case ==
        ENVOY__TYPE__MATCHER__V3__STRING_MATCHER__MATCH_PATTERN_SAFE_REGEX)
        return errmsg_set(msg, ERR_UNSUPPORTED, "remove_on_match: safe_regex is not supported");
    struct filter_load load = {.arena = arena};
    struct string_match *match = ARENA_NEW(arena, struct string_match);
    int err = string_match_new(&load, message->key_matcher, match, msg);
    mutation->kind = MUTATION_REMOVE_MATCHING;
    mutation->match = match;
    return err;
}

static int set_rule(struct arena *arena, struct mutation *mutation,
                    const Envoy__Config__Common__MutationRules__V3__HeaderMutation *rule,
                    struct errmsg *msg)
{
    switch (rule->action_case) {
    case ENVOY__CONFIG__COMMON__MUTATION_RULES__V3__HEADER_MUTATION__ACTION_REMOVE:
        return set_name(arena, mutation, rule->remove, msg);
    case ENVOY__CONFIG__COMMON__MUTATION_RULES__V3__HEADER_MUTATION__ACTION_APPEND:
        return set_addition(arena, mutation, rule->append, msg);
    case ENVOY__CONFIG__COMMON__MUTATION_RULES__V3__HEADER_MUTATION__ACTION_REMOVE_ON_MATCH:
        return set_removal_on_match(arena, mutation, rule->remove_on_match, msg);
    case ENVOY__CONFIG__COMMON__MUTATION_RULES__V3__HEADER_MUTATION__ACTION__NOT_SET:
    case _ENVOY__CONFIG__COMMON__MUTATION_RULES__V3__HEADER_MUTATION__ACTION__CASE_IS_INT_SIZE:
        break;
    }
    return errmsg_set(msg, ERR_UNSUPPORTED, "a header mutation with no action known here");
}

int header_mutations_from_rules(
    struct arena *arena, Envoy__Config__Common__MutationRules__V3__HeaderMutation *const *rules,
    size_t count, const struct header_mutations **ret, struct errmsg *msg)
{
    if (!count) {
        *ret = NULL;
        return 0;
    }
    struct header_mutations *list = list_new(arena, count);
    for (size_t i = 0; i < count; i++) {
        int err = set_rule(arena, &list->mutations[i], rules[i], msg);
        if (err)
            return err;
    }
    *ret = list;
    return 0;
}

const struct header_mutations *header_mutations_chain(struct arena *arena,
                                                      const struct header_mutations *first,
                                                      const struct header_mutations *second)
{
    if (!first || !second)
        return first ? first : second;
    const struct header_mutations *result = NULL;
    const struct header_mutations **end = &result;
    for (; first; first = first->next) {
        struct header_mutations *copy = ARENA_NEW(arena, struct header_mutations);
        *copy = *first;
        copy->next = NULL;
        *end = copy;
        end = &copy->next;
    }
    *end = second;
    return result;
}

/* --- applying --- */

static bool exists(const struct header_list *headers, const struct mutation *mutation)
{
    if (mutation->id != HEADER_OTHER)
        return header_list_has(headers, mutation->id);
    return header_list_find_name(headers, mutation->name) != NULL;
}

static void remove_header(struct header_list *headers, const struct mutation *mutation)
{
    if (mutation->id != HEADER_OTHER)
        header_list_remove(headers, mutation->id);
    else
        header_list_remove_name(headers, mutation->name);
}

/* The list shrinks under the walk, so it starts again after each name that goes. */
static void remove_matching(struct header_list *headers, const struct string_match *match)
{
    for (uint32_t i = 0; i < headers->len;) {
        struct header *header = &headers->items[i];
        if (header->id != HEADER_HOST && string_match_test(match, header->name) == MATCH_YES)
            header_list_remove_name(headers, header->name);
        else
            i++;
    }
}

/* The value to set; data NULL where nothing is to be done. */
static struct str evaluate(const struct mutation *mutation, const struct http_stream *stream,
                           struct arena *arena)
{
    struct str value = mutation->value;
    if (mutation->format) {
        struct format_input input = {.stream = stream};
        value = format_render_arena(mutation->format, &input, arena, HEADER_MUTATION_VALUE_MAX);
        if (!header_value_is_valid(value))
            return (struct str){0};
    }
    if (!value.len)
        return mutation->keeps_empty ? STR("") : (struct str){0};
    return value;
}

static void add_header(struct header_list *headers, const struct mutation *mutation,
                       struct str value)
{
    bool is_there = mutation->kind != MUTATION_APPEND && exists(headers, mutation);
    if (mutation->kind == MUTATION_ADD_IF_ABSENT && is_there)
        return;
    if (mutation->kind == MUTATION_OVERWRITE_IF_EXISTS && !is_there)
        return;
    if (is_there)
        remove_header(headers, mutation);
    header_list_add_item(headers, mutation->id, mutation->name, value, mutation->flags);
}

static void apply_one(const struct mutation *mutation, struct header_list *headers,
                      struct str value)
{
    if (mutation->kind == MUTATION_REMOVE)
        remove_header(headers, mutation);
    else if (mutation->kind == MUTATION_REMOVE_MATCHING)
        remove_matching(headers, mutation->match);
    else if (value.data)
        add_header(headers, mutation, value);
}

static bool is_removal(const struct mutation *mutation)
{
    return mutation->kind == MUTATION_REMOVE || mutation->kind == MUTATION_REMOVE_MATCHING;
}

/* Removals, then all values, then the additions. */
static void apply_evaluated(const struct header_mutations *list, const struct http_stream *stream,
                            struct header_list *headers)
{
    uint32_t at = 0;
    for (; at < list->count && is_removal(&list->mutations[at]); at++)
        apply_one(&list->mutations[at], headers, (struct str){0});
    uint32_t count = list->count - at;
    if (!count)
        return;
    struct str *values = arena_alloc(headers->arena, count * sizeof *values);
    for (uint32_t i = 0; i < count; i++)
        values[i] = evaluate(&list->mutations[at + i], stream, headers->arena);
    for (uint32_t i = 0; i < count; i++)
        apply_one(&list->mutations[at + i], headers, values[i]);
}

void header_mutations_apply(const struct header_mutations *mutations, struct http_stream *stream,
                            struct header_list *headers)
{
    for (; mutations; mutations = mutations->next) {
        if (mutations->evaluates_first) {
            apply_evaluated(mutations, stream, headers);
            continue;
        }
        for (uint32_t i = 0; i < mutations->count; i++) {
            const struct mutation *mutation = &mutations->mutations[i];
            struct str value =
                is_removal(mutation) ? (struct str){0} : evaluate(mutation, stream, headers->arena);
            apply_one(mutation, headers, value);
        }
    }
}
