#include "controlplane/model/path_template.h"

#include "controlplane/model/check.h"

/* The character behind the variable that begins at text ("{name}"), or NULL where it is none. */
static const char *variable_end(const char *text)
{
    const char *close = strchr(text, '}');
    if (!close || !is_name((struct str){.data = text + 1, .len = (size_t)(close - text) - 1}))
        return NULL;
    return close + 1;
}

int path_template_check(const char *field, const char *text, unsigned *ret_literals,
                        struct errmsg *msg)
{
    unsigned literals = 0;
    const char *at = text;
    while (*at) {
        if (*at == '}')
            return errmsg_set(msg, ERR_INVALID, "%s: a '}' without '{'", field);
        if (*at != '{') {
            literals++;
            at++;
            continue;
        }
        at = variable_end(at);
        if (!at)
            return errmsg_set(msg, ERR_INVALID, "%s: a '{' must begin a variable, as in {id}",
                              field);
        if (*at == '{')
            return errmsg_set(msg, ERR_INVALID, "%s: two variables need something between them",
                              field);
    }
    *ret_literals = literals;
    return 0;
}

/* Appends c so that it stands for itself. */
static char *append_quoted(char *out, char c)
{
    if (strchr("\\.+*?()|[]{}^$", c))
        *out++ = '\\';
    *out++ = c;
    return out;
}

char *path_template_regex(struct arena *arena, const char *text)
{
    char *regex = arena_alloc(arena, strlen(text) * 2 + 1), *out = regex;
    while (*text) {
        if (*text == '{') { /* "{x}" is not shorter than half of what it becomes */
            memcpy(out, "[^/]+", 5);
            out += 5;
            text = variable_end(text);
        } else {
            out = append_quoted(out, *text++);
        }
    }
    *out = '\0';
    return regex;
}

char *regex_quote(struct arena *arena, const char *text)
{
    char *regex = arena_alloc(arena, strlen(text) * 2 + 1), *out = regex;
    while (*text)
        out = append_quoted(out, *text++);
    *out = '\0';
    return regex;
}
