#include "common/base/assert.h"

#include <stdio.h>
#include <stdlib.h>

void assert_failed(const char *expression, const char *file, int line)
{
    fprintf(stderr, "assertion_failed expression=\"%s\" file=%s line=%d\n", expression, file, line);
    abort();
}
