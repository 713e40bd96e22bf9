#include "controlplane/status/text_names.h"

static bool is_word_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '/' || c == '*';
}

/* Whether the word goes on at text[at]; a full stop or colon belongs to it where more follows. */
static bool goes_on(struct str text, size_t at)
{
    if (at >= text.len)
        return false;
    char c = text.data[at];
    if (c == '.' || c == ':')
        return at + 1 < text.len && is_word_byte(text.data[at + 1]);
    return is_word_byte(c);
}

bool text_names(struct str text, struct str name)
{
    for (size_t from = 0; name.len && from + name.len <= text.len;) {
        size_t at = from + str_find(str_slice(text, from, text.len), name);
        if (at >= text.len)
            return false;
        bool begins = at == 0 || !(is_word_byte(text.data[at - 1]) || text.data[at - 1] == '.' ||
                                   text.data[at - 1] == ':');
        if (begins && !goes_on(text, at + name.len))
            return true;
        from = at + 1;
    }
    return false;
}
