/* Duration and Timestamp: "1.5s" and RFC 3339. */
#include "common/pbjson/pbjson_internal.h"

#include <google/protobuf/duration.pb-c.h>
#include <google/protobuf/timestamp.pb-c.h>
#include <inttypes.h>
#include <stdlib.h>

enum { NANOS_PER_SECOND = 1000000000 };
/* Ten thousand years, the range of a Duration. */
#define DURATION_SECONDS_MAX INT64_C(315576000000)
/* 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z, the range of a Timestamp. */
#define TIMESTAMP_SECONDS_MIN INT64_C(-62135596800)
#define TIMESTAMP_SECONDS_MAX INT64_C(253402300799)

/* --- text --------------------------------------------------------------------------------------*/

/* The decimal number at the start of *rest, of min to max digits; moves *rest past it. */
static bool take_digits(const char **rest, size_t min, size_t max, uint64_t *ret_value)
{
    size_t len = strspn(*rest, "0123456789");
    struct str digits = {*rest, len};
    if (len < min || len > max || !str_to_u64(digits, UINT64_MAX, ret_value))
        return false;
    *rest += len;
    return true;
}

/* ".5" as nanoseconds; nothing where there is no point. Up to nine digits. */
static bool take_fraction(const char **rest, int32_t *ret_nanos)
{
    *ret_nanos = 0;
    if (**rest != '.')
        return true;
    const char *start = ++*rest;
    uint64_t value;
    if (!take_digits(rest, 1, 9, &value))
        return false;
    for (size_t digits = (size_t)(*rest - start); digits < 9; digits++)
        value *= 10;
    *ret_nanos = (int32_t)value;
    return true;
}

static bool take_char(const char **rest, const char *accepted)
{
    if (**rest == '\0' || !strchr(accepted, **rest))
        return false;
    (*rest)++;
    return true;
}

/* None, three, six or nine digits, as many as it needs. */
static void print_fraction(struct buf *out, int32_t nanos)
{
    if (nanos == 0)
        return;
    if (nanos % 1000000 == 0)
        buf_printf(out, ".%03d", nanos / 1000000);
    else if (nanos % 1000 == 0)
        buf_printf(out, ".%06d", nanos / 1000);
    else
        buf_printf(out, ".%09d", nanos);
}

/* What cannot be written as text is written as the message it is. */
static void print_plain(struct printer *printer, const ProtobufCMessage *message)
{
    if (!pbjson_printer_open(printer, '{'))
        return;
    bool is_empty = pbjson_print_fields(printer, message, true);
    pbjson_printer_close(printer, '}', is_empty);
}

/* --- Duration ----------------------------------------------------------------------------------*/

static bool duration_from_text(const char *text, Google__Protobuf__Duration *duration)
{
    const char *rest = text;
    bool is_negative = take_char(&rest, "-");
    uint64_t seconds;
    int32_t nanos;
    if (!take_digits(&rest, 1, 12, &seconds) || !take_fraction(&rest, &nanos) ||
        strcmp(rest, "s") != 0)
        return false;
    duration->seconds = is_negative ? -(int64_t)seconds : (int64_t)seconds;
    duration->nanos = is_negative ? -nanos : nanos;
    return true;
}

static bool duration_is_valid(const Google__Protobuf__Duration *duration)
{
    int64_t seconds = duration->seconds;
    int32_t nanos = duration->nanos;
    return seconds >= -DURATION_SECONDS_MAX && seconds <= DURATION_SECONDS_MAX &&
           nanos > -NANOS_PER_SECOND && nanos < NANOS_PER_SECOND && !(seconds > 0 && nanos < 0) &&
           !(seconds < 0 && nanos > 0);
}

int wkt_parse_duration(struct parser *parser, const struct path *path, const json_t *json,
                       ProtobufCMessage *message)
{
    Google__Protobuf__Duration *duration = (Google__Protobuf__Duration *)message;
    if (!json_is_string(json))
        return pbjson_parser_fail_type(parser, path, "a duration such as \"1.5s\"", json);
    const char *text = json_string_value(json);
    if (!duration_from_text(text, duration))
        return pbjson_parser_fail(parser, ERR_INVALID, path,
                                  "%s is not a duration such as \"1.5s\"",
                                  pbjson_parser_quote(parser, text));
    if (!duration_is_valid(duration))
        return pbjson_parser_fail(
            parser, ERR_INVALID, path, "%s is out of range (-%" PRId64 "s to %" PRId64 "s)",
            pbjson_parser_quote(parser, text), DURATION_SECONDS_MAX, DURATION_SECONDS_MAX);
    return 0;
}

void wkt_print_duration(struct printer *printer, const ProtobufCMessage *message)
{
    const Google__Protobuf__Duration *duration = (const Google__Protobuf__Duration *)message;
    if (!duration_is_valid(duration)) {
        print_plain(printer, message);
        return;
    }
    bool is_negative = duration->seconds < 0 || duration->nanos < 0;
    buf_printf(printer->out, "\"%s%" PRIu64, is_negative ? "-" : "",
               (uint64_t)llabs(duration->seconds));
    print_fraction(printer->out, abs(duration->nanos));
    buf_append_str(printer->out, STR("s\""));
}

/* --- Timestamp ---------------------------------------------------------------------------------*/

struct date {
    int64_t year;
    unsigned month, day;
};

static bool is_leap_year(int64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static unsigned days_of_month(int64_t year, unsigned month)
{
    static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month - 1] + (month == 2 && is_leap_year(year) ? 1u : 0u);
}

/* Days from 0001-01-01 to the first of January of year >= 1. */
static int64_t days_before_year(int64_t year)
{
    int64_t past = year - 1;
    return past * 365 + past / 4 - past / 100 + past / 400;
}

/* Days since 1970-01-01. */
static int64_t days_from_date(struct date date)
{
    int64_t days = days_before_year(date.year) - days_before_year(1970);
    for (unsigned month = 1; month < date.month; month++)
        days += days_of_month(date.year, month);
    return days + date.day - 1;
}

static struct date date_from_days(int64_t days)
{
    days += days_before_year(1970);
    struct date date = {.year = days / 366 + 1, .month = 1, .day = 1};
    while (days_before_year(date.year + 1) <= days) /* at most seven times */
        date.year++;
    days -= days_before_year(date.year);
    while (days >= days_of_month(date.year, date.month))
        days -= days_of_month(date.year, date.month++);
    date.day += (unsigned)days;
    return date;
}

static bool take_date(const char **rest, struct date *ret_date)
{
    uint64_t year, month, day;
    if (!take_digits(rest, 4, 4, &year) || !take_char(rest, "-") ||
        !take_digits(rest, 2, 2, &month) || !take_char(rest, "-") || !take_digits(rest, 2, 2, &day))
        return false;
    if (year < 1 || month < 1 || month > 12 || day < 1 ||
        day > days_of_month((int64_t)year, (unsigned)month))
        return false;
    *ret_date = (struct date){(int64_t)year, (unsigned)month, (unsigned)day};
    return true;
}

/* "hh:mm" as seconds. */
static bool take_hours_minutes(const char **rest, int64_t *ret_seconds)
{
    uint64_t hours, minutes;
    if (!take_digits(rest, 2, 2, &hours) || !take_char(rest, ":") ||
        !take_digits(rest, 2, 2, &minutes) || hours > 23 || minutes > 59)
        return false;
    *ret_seconds = (int64_t)(hours * 3600 + minutes * 60);
    return true;
}

/* "Z" or "+hh:mm", as seconds east of Greenwich. */
static bool take_zone(const char **rest, int64_t *ret_seconds)
{
    *ret_seconds = 0;
    if (take_char(rest, "Zz"))
        return true;
    bool is_west = **rest == '-';
    if (!take_char(rest, "+-") || !take_hours_minutes(rest, ret_seconds))
        return false;
    *ret_seconds = is_west ? -*ret_seconds : *ret_seconds;
    return true;
}

static bool timestamp_from_text(const char *text, Google__Protobuf__Timestamp *timestamp)
{
    const char *rest = text;
    struct date date;
    int64_t minutes_part, zone;
    uint64_t seconds_part;
    if (!take_date(&rest, &date) || !take_char(&rest, "Tt") ||
        !take_hours_minutes(&rest, &minutes_part) || !take_char(&rest, ":") ||
        !take_digits(&rest, 2, 2, &seconds_part) || seconds_part > 59 ||
        !take_fraction(&rest, &timestamp->nanos) || !take_zone(&rest, &zone) || *rest)
        return false;
    timestamp->seconds = days_from_date(date) * 86400 + minutes_part + (int64_t)seconds_part - zone;
    return true;
}

static bool timestamp_is_valid(const Google__Protobuf__Timestamp *timestamp)
{
    return timestamp->seconds >= TIMESTAMP_SECONDS_MIN &&
           timestamp->seconds <= TIMESTAMP_SECONDS_MAX && timestamp->nanos >= 0 &&
           timestamp->nanos < NANOS_PER_SECOND;
}

int wkt_parse_timestamp(struct parser *parser, const struct path *path, const json_t *json,
                        ProtobufCMessage *message)
{
    Google__Protobuf__Timestamp *timestamp = (Google__Protobuf__Timestamp *)message;
    if (!json_is_string(json))
        return pbjson_parser_fail_type(parser, path, "a time such as \"2024-01-31T12:00:00Z\"",
                                       json);
    const char *text = json_string_value(json);
    if (!timestamp_from_text(text, timestamp) || !timestamp_is_valid(timestamp))
        return pbjson_parser_fail(parser, ERR_INVALID, path,
                                  "%s is not a time such as \"2024-01-31T12:00:00Z\"",
                                  pbjson_parser_quote(parser, text));
    return 0;
}

void wkt_print_timestamp(struct printer *printer, const ProtobufCMessage *message)
{
    const Google__Protobuf__Timestamp *timestamp = (const Google__Protobuf__Timestamp *)message;
    if (!timestamp_is_valid(timestamp)) {
        print_plain(printer, message);
        return;
    }
    int64_t since_year_one = timestamp->seconds - TIMESTAMP_SECONDS_MIN;
    struct date date = date_from_days(since_year_one / 86400 - days_before_year(1970));
    int64_t of_day = since_year_one % 86400;
    buf_printf(printer->out, "\"%04" PRId64 "-%02u-%02uT%02" PRId64 ":%02" PRId64 ":%02" PRId64,
               date.year, date.month, date.day, of_day / 3600, of_day / 60 % 60, of_day % 60);
    print_fraction(printer->out, timestamp->nanos);
    buf_append_str(printer->out, STR("Z\""));
}
