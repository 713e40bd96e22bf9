/* Canonical paths, row by row as Envoy 1.40 makes them, and properties of random ones. */
#include "dataplane/http/path.h"

#include "tests/support/test.h"

struct row {
    const char *path;
    const char *normalised; /* with normalize_path and merge_slashes; NULL: refused */
    const char *unmerged;   /* with normalize_path only, where it differs */
};

static const struct row rows[] = {
    {"/", "/", NULL},
    {"/a/b;x=y/c.d?e=%41//..", "/a/b;x=y/c.d?e=%41//..", NULL},
    {"*", "*", NULL},
    {"/a/../b", "/b", NULL},
    {"/a/%2e%2E/b", "/b", NULL},
    {"/a/.%2e/b", "/b", NULL},
    {"/a/%2e", "/a/", NULL},
    {"/a/..", "/", NULL},
    {"/..", "/", NULL},
    {"/../../x", "/x", NULL},
    {"/a/./b", "/a/b", NULL},
    {"/.", "/", NULL},
    {"/%2e", "/", NULL},
    {"/a/b/../", "/a/", NULL},
    {"/a/..//b", "/b", "//b"},
    {"/a//../b", "/a/b", NULL},
    {"/a/../../../b/./c/..", "/b/", NULL},
    {"//", "/", "//"},
    {"//admin", "/admin", "//admin"},
    {"//a//b//", "/a/b/", "//a//b//"},
    {"/admin/", "/admin/", NULL},
    {"/a\\b", "/a/b", NULL},
    {"/\\a", "/a", "//a"},
    {"/a/\\..\\b", "/a/b", NULL},
    {"/a%5cb", "/a%5cb", NULL},
    {"/a%2fb", "/a%2fb", NULL},
    {"/a%2F..%2fb", "/a%2F..%2fb", NULL},
    {"/a/%41%7e%2d%5f", "/a/A~-_", NULL},
    {"/a/%c3%a9%C3", "/a/%c3%a9%C3", NULL},
    {"/%c0%ae%c0%ae/a", "/%c0%ae%c0%ae/a", NULL},
    {"/a/%20%25%3f%3B", "/a/%20%25%3f%3B", NULL},
    {"/%252e%252e/a", "/%252e%252e/a", NULL},
    {"/a\"<>^`{|}b", "/a%22%3C%3E%5E%60%7B%7C%7Db", NULL},
    {"/a'b(c)[d]@:!$&*+,=", "/a'b(c)[d]@:!$&*+,=", NULL},
    {"/.a/..b/.../a.", "/.a/..b/.../a.", NULL},
    {"/%2E/..%2e/", "/.../", NULL},
    {"/a%2e%2e/b", "/a../b", NULL},
    {"/a/..;/b", "/b", NULL},
    {"/a/..;x=y/b", "/b", NULL},
    {"/user/..;foo=bar/admin", "/admin", NULL},
    {"/a/.;/b", "/a/b", NULL},
    {"/a/..;", "/", NULL},
    {"/a/..;?x", "/?x", NULL},
    {"/a/%2e%2e;a=b/c", "/c", NULL},
    {"/a/..%3b/b", "/a/..%3b/b", NULL},
    {"/a/...;/b", "/a/...;/b", NULL},
    {"/a?b//c\\d/../%00", "/a?b//c\\d/../%00", NULL},
    {"/a/%00b", NULL, NULL},
    {"/a/..%00/b", NULL, NULL},
    {"/%", NULL, NULL},
    {"/%4", NULL, NULL},
    {"/%zz", NULL, NULL},
    {"/%4z", NULL, NULL},
    {"/%%30%30", NULL, NULL},
    {"/%?41", NULL, NULL},
    {"/a#b", NULL, NULL},
    {"/a b", NULL, NULL},
    {"/a\x01", NULL, NULL},
    {"/a\x7f", NULL, NULL},
    {"/\xc3\xa9", NULL, NULL},
    {"", NULL, NULL},
    {"a", NULL, NULL},
    {"?a", NULL, NULL},
    {"**", NULL, NULL},
};

static const struct path_options merging = {.normalizes = true, .merges_slashes = true};
static const struct path_options plain = {.normalizes = true};

static void expect(const char *path, const struct path_options *options, const char *expected,
                   enum path_action expected_action)
{
    struct arena arena;
    struct str result;
    enum path_action action;
    arena_init(&arena, 1024);
    int err = path_normalise(str_from(path), options, &arena, &result, &action);
    if (!expected) {
        ck_assert_msg(err == ERR_INVALID, "%s", path);
    } else {
        ck_assert_msg(err == 0, "%s", path);
        ck_assert_msg(str_equal(result, str_from(expected)), "%s: %.*s", path, STR_ARGS(result));
        ck_assert_uint_eq(action, expected_action);
        /* What is canonical already costs nothing. */
        if (strcmp(path, expected) == 0 && !strstr(path, "/."))
            ck_assert(result.data == path && arena_bytes(&arena) == 0);
    }
    arena_done(&arena);
}

START_TEST(paths_become_canonical)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *row = &rows[i];
        expect(row->path, &merging, row->normalised, PATH_CONTINUE);
        expect(row->path, &plain, row->unmerged ? row->unmerged : row->normalised, PATH_CONTINUE);
    }
}
END_TEST

START_TEST(escaped_slashes_are_refused_unescaped_or_redirected)
{
    static const char *const paths[][2] = {
        {"/a%2fb", "/a/b"},  {"/a%5Cb", "/a/b"},    {"/a%2F..%2fb", "/b"},
        {"/a/..%5cb", "/b"}, {"/a%2f%2fb", "/a/b"}, {"/%2e%2e%2fa?%2f", "/a?%2f"},
    };
    struct path_options options = merging;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        options.escaped_slashes = PATH_ESCAPED_SLASHES_REJECT_REQUEST;
        expect(paths[i][0], &options, NULL, PATH_CONTINUE);
        options.escaped_slashes = PATH_ESCAPED_SLASHES_UNESCAPE_AND_REDIRECT;
        expect(paths[i][0], &options, paths[i][1], PATH_REDIRECT);
        options.escaped_slashes = PATH_ESCAPED_SLASHES_UNESCAPE_AND_FORWARD;
        expect(paths[i][0], &options, paths[i][1], PATH_CONTINUE);
    }
    for (int action = 0; action <= PATH_ESCAPED_SLASHES_UNESCAPE_AND_FORWARD; action++) {
        options.escaped_slashes = (enum path_escaped_slashes)action;
        expect("/a/../b?%2f", &options, "/b?%2f", PATH_CONTINUE);
        expect("/a%252fb", &options, "/a%252fb", PATH_CONTINUE);
    }
}
END_TEST

START_TEST(without_normalising_only_what_was_asked_for_is_done)
{
    struct path_options options = {.normalizes = false};
    expect("/a/..//%2e%zz\\{%2f", &options, "/a/..//%2e%zz\\{%2f", PATH_CONTINUE);
    options.merges_slashes = true;
    expect("/a/..//%2e%zz\\{", &options, "/a/../%2e%zz\\{", PATH_CONTINUE);
    options.merges_slashes = false;
    options.escaped_slashes = PATH_ESCAPED_SLASHES_UNESCAPE_AND_FORWARD;
    expect("/a%2F..%2fb%5c%zz%00{", &options, "/a/../b\\%zz%00{", PATH_CONTINUE);
    expect("/a#", &options, NULL, PATH_CONTINUE);
}
END_TEST

static size_t random_path(char *path)
{
    static const char *const pieces[] = {"/",   "/",   "/",   ".",  "..", "%2e", "%2E", "a",
                                         ";",   "%2f", "%5c", "\\", "//", "%41", "%25", "{",
                                         "..;", "?",   "%",   "4",  "1",  "%0",  "~"};
    size_t len = (size_t)(stpcpy(path, "/") - path);
    for (long n = random() % 12; n > 0; n--) {
        const char *piece = pieces[(unsigned)random() % (sizeof pieces / sizeof *pieces)];
        memcpy(path + len, piece, strlen(piece));
        len += strlen(piece);
    }
    return len;
}

/* No dot segment, escaped or with parameters, and no backslash is left in a canonical path. */
static void expect_no_dot_segments(struct str path)
{
    ck_assert(path.data[0] == '/');
    path = str_slice(path, 0, path_query_at(path));
    ck_assert_uint_eq(str_find_char(path, '\\', 0), path.len);
    ck_assert_uint_eq(str_find(path, STR("%2e")), path.len);
    for (size_t i = 0; i < path.len;) {
        size_t end = str_find_char(path, '/', i + 1);
        struct str segment = str_slice(path, i + 1, end);
        segment = str_slice(segment, 0, str_find_char(segment, ';', 0));
        ck_assert(!str_equal(segment, STR(".")) && !str_equal(segment, STR("..")));
        i = end;
    }
}

START_TEST(a_canonical_path_stays_as_it_is)
{
    srandom(11);
    for (int round = 0; round < 50000; round++) {
        char path[64];
        struct str once, twice;
        enum path_action action;
        struct path_options options = {.normalizes = random() % 4 != 0,
                                       .merges_slashes = random() % 2,
                                       .escaped_slashes =
                                           (enum path_escaped_slashes)(random() % 4)};
        struct arena arena;
        arena_init(&arena, 512);
        struct str input = {path, random_path(path)};
        if (path_normalise(input, &options, &arena, &once, &action) == 0) {
            ck_assert_int_eq(path_normalise(once, &options, &arena, &twice, &action), 0);
            ck_assert_msg(str_equal(once, twice), "%.*s %.*s %.*s", STR_ARGS(input), STR_ARGS(once),
                          STR_ARGS(twice));
            ck_assert_uint_eq(action, PATH_CONTINUE);
            if (options.normalizes)
                expect_no_dot_segments(once);
            if (options.merges_slashes)
                ck_assert_uint_ge(str_find(once, STR("//")), path_query_at(once));
        }
        arena_done(&arena);
    }
}
END_TEST

TEST_MAIN("path", paths_become_canonical, escaped_slashes_are_refused_unescaped_or_redirected,
          without_normalising_only_what_was_asked_for_is_done, a_canonical_path_stays_as_it_is)
