#include "common/base/log.h"

#include "common/base/clock.h"
#include "common/base/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

_Atomic enum log_level log_level_min = LOG_LEVEL_INFO;

static const char *const level_names[] = {
    [LOG_LEVEL_TRACE] = "trace",     [LOG_LEVEL_DEBUG] = "debug", [LOG_LEVEL_INFO] = "info",
    [LOG_LEVEL_WARNING] = "warning", [LOG_LEVEL_ERROR] = "error", [LOG_LEVEL_CRITICAL] = "critical",
    [LOG_LEVEL_OFF] = "off",
};

bool log_set_level(const char *name)
{
    if (strcmp(name, "warn") == 0)
        name = "warning";
    for (size_t i = 0; i < sizeof level_names / sizeof *level_names; i++) {
        if (strcmp(name, level_names[i]) == 0) {
            log_level_min = (enum log_level)i;
            return true;
        }
    }
    return false;
}

/* What others wrote goes into lines: no control characters, and nothing that is not UTF-8. */
static void make_printable(char *text, size_t len)
{
    for (size_t i = 0; i < len;) {
        size_t step = str_utf8_length((struct str){.data = text + i, .len = len - i});
        if (step == 0 || (unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            text[i] = '?';
        i += step ? step : 1;
    }
}

void log_write(enum log_level level, const char *format, ...)
{
    /* One line is one write(2) of bounded size, so lines of several threads do not mix. */
    char line[2048];
    uint64_t now = clock_wall_us();
    time_t seconds = (time_t)(now / 1000000u);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    size_t len = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &utc);
    len += (size_t)snprintf(line + len, sizeof line - len, ".%03uZ %s ",
                            (unsigned)(now / 1000u % 1000u), level_names[level]);
    va_list args;
    va_start(args, format);
    int body = vsnprintf(line + len, sizeof line - len, format, args);
    va_end(args);
    size_t end = body < 0 ? len : len + (size_t)body;
    if (end > sizeof line - 2)
        end = sizeof line - 2;
    make_printable(line + len, end - len);
    line[end++] = '\n';
    ssize_t written = write(STDERR_FILENO, line, end);
    (void)written; /* nobody is left to be told */
}
