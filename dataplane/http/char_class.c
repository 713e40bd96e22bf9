#include "dataplane/http/char_class.h"

enum {
    T = CHAR_TOKEN,
    U = CHAR_TARGET,
    H = CHAR_HOST,
    X = CHAR_HEX,
};

const uint8_t char_classes[256] = {
    ['0' ... '9'] = T | U | H | X,
    ['a' ... 'f'] = T | U | H | X,
    ['A' ... 'F'] = T | U | H | X,
    ['g' ... 'z'] = T | U | H,
    ['G' ... 'Z'] = T | U | H,
    ['!'] = T | U | H,
    ['"'] = U,
    ['#'] = T,
    ['$'] = T | U | H,
    ['%'] = T | U,
    ['&'] = T | U | H,
    ['\''] = T | U | H,
    ['('] = U | H,
    [')'] = U | H,
    ['*'] = T | U | H,
    ['+'] = T | U | H,
    [','] = U,
    ['-'] = T | U | H,
    ['.'] = T | U | H,
    ['/'] = U,
    [':'] = U,
    [';'] = U | H,
    ['<'] = U,
    ['='] = U | H,
    ['>'] = U,
    ['?'] = U,
    ['@'] = U,
    ['['] = U,
    ['\\'] = U,
    [']'] = U,
    ['^'] = T | U,
    ['_'] = T | U | H,
    ['`'] = T | U,
    ['{'] = U,
    ['|'] = T | U,
    ['}'] = U,
    ['~'] = T | U | H,
};

#define ITSELF(c) [c] = (c)
#define LETTER(c) [c] = (c), [(c)-0x20] = (c)

const char char_class_name[256] = {
    LETTER('a'),  LETTER('b'), LETTER('c'), LETTER('d'), LETTER('e'), LETTER('f'), LETTER('g'),
    LETTER('h'),  LETTER('i'), LETTER('j'), LETTER('k'), LETTER('l'), LETTER('m'), LETTER('n'),
    LETTER('o'),  LETTER('p'), LETTER('q'), LETTER('r'), LETTER('s'), LETTER('t'), LETTER('u'),
    LETTER('v'),  LETTER('w'), LETTER('x'), LETTER('y'), LETTER('z'), ITSELF('0'), ITSELF('1'),
    ITSELF('2'),  ITSELF('3'), ITSELF('4'), ITSELF('5'), ITSELF('6'), ITSELF('7'), ITSELF('8'),
    ITSELF('9'),  ITSELF('!'), ITSELF('#'), ITSELF('$'), ITSELF('%'), ITSELF('&'), ITSELF('*'),
    ITSELF('\''), ITSELF('+'), ITSELF('-'), ITSELF('.'), ITSELF('^'), ITSELF('_'), ITSELF('`'),
    ITSELF('|'),  ITSELF('~'),
};
