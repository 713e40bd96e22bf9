#include "dataplane/filters/query.h"

#include "dataplane/http/char_class.h"
#include "dataplane/http/path.h"

bool query_next(struct str path, size_t *at, struct query_pair *ret_pair)
{
    if (*at + 1 >= path.len)
        return false;
    size_t end = str_find_char(path, '&', *at + 1);
    struct str pair = str_slice(path, *at + 1, end);
    size_t equals = str_find_char(pair, '=', 0);
    *ret_pair = (struct query_pair){
        .text = pair,
        .name = str_slice(pair, 0, equals),
        .value = str_slice(pair, equals < pair.len ? equals + 1 : equals, pair.len)};
    *at = end;
    return true;
}

struct str query_decode(struct arena *arena, struct str text)
{
    if (str_find_char(text, '%', 0) == text.len)
        return text;
    char *decoded = arena_alloc(arena, text.len), *at = decoded;
    for (size_t i = 0; i < text.len; i++) {
        int high = i + 2 < text.len ? char_hex_value(text.data[i + 1]) : -1;
        int low = i + 2 < text.len ? char_hex_value(text.data[i + 2]) : -1;
        bool is_escape = text.data[i] == '%' && high >= 0 && low >= 0;
        *at++ = is_escape ? (char)(high * 16 + low) : text.data[i];
        if (is_escape)
            i += 2;
    }
    return (struct str){.data = decoded, .len = (size_t)(at - decoded)};
}

struct str query_value(struct arena *arena, struct str path, struct str name)
{
    struct query_pair pair;
    for (size_t at = path_query_at(path); query_next(path, &at, &pair);)
        if (str_equal(query_decode(arena, pair.name), name)) {
            struct str value = query_decode(arena, pair.value);
            return value.data ? value : STR("");
        }
    return (struct str){0};
}
