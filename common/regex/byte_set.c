#include "common/regex/byte_set.h"

void byte_set_add_range(struct byte_set *set, unsigned first, unsigned last, bool folds_case)
{
    for (unsigned c = first; c <= last; c++) {
        unsigned lower = c | 0x20;
        set->has[c] = true;
        if (folds_case && lower >= 'a' && lower <= 'z')
            set->has[lower] = set->has[lower & ~0x20u] = true;
    }
}

void byte_set_negate(struct byte_set *set)
{
    for (unsigned c = 0; c < 256; c++)
        set->has[c] = !set->has[c];
}

/* Adds what pairs of first and last bytes say, or all other bytes. */
static void add_pairs(struct byte_set *set, const char *pairs, bool is_negated, bool folds_case)
{
    struct byte_set named = {0};
    for (; *pairs; pairs += 2) {
        unsigned first = (unsigned char)pairs[0];
        /* The only one that begins with NUL is written with 0x80 in its place. */
        byte_set_add_range(&named, first == 0x80 ? 0 : first, (unsigned char)pairs[1], folds_case);
    }
    for (unsigned c = 0; c < 256; c++)
        set->has[c] |= named.has[c] != is_negated;
}

/* RE2's, which are ASCII only; its \s does not have the vertical tab that [:space:] has. */
bool byte_set_add_escape(struct byte_set *set, char letter)
{
    const char *pairs;
    switch (letter | 0x20) {
    case 'd':
        pairs = "09";
        break;
    case 's':
        pairs = "\t\n\f\r  ";
        break;
    case 'w':
        pairs = "09AZ__az";
        break;
    default:
        return false;
    }
    add_pairs(set, pairs, letter < 'a', false);
    return true;
}

bool byte_set_add_posix(struct byte_set *set, struct str name, bool folds_case)
{
    static const struct {
        const char *name, *pairs;
    } classes[] = {
        {"alnum", "09AZaz"},
        {"alpha", "AZaz"},
        {"ascii", "\x80\x7f"},
        {"blank", "\t\t  "},
        {"cntrl", "\x80\x1f\x7f\x7f"},
        {"digit", "09"},
        {"graph", "!~"},
        {"lower", "az"},
        {"print", " ~"},
        {"punct", "!/:@[`{~"},
        {"space", "\t\r  "},
        {"upper", "AZ"},
        {"word", "09AZ__az"},
        {"xdigit", "09AFaf"},
    };
    bool is_negated = name.len && name.data[0] == '^';
    struct str plain = str_slice(name, is_negated, name.len);
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        if (!str_equal(plain, str_from(classes[i].name)))
            continue;
        add_pairs(set, classes[i].pairs, is_negated, folds_case);
        return true;
    }
    return false;
}

unsigned byte_set_count_ranges(const struct byte_set *set)
{
    unsigned count = 0;
    for (unsigned c = 0; c < 256; c++)
        count += set->has[c] && (c == 0 || !set->has[c - 1]);
    return count;
}
