#include "dataplane/http/header.h"

#include "dataplane/http/char_class.h"

_Static_assert(HEADER_COUNT <= 64, "header_list.present has a bit for each id");

static const struct str names[HEADER_COUNT] = {
#define HEADER_NAME(id, name) [HEADER_##id] = {.data = (name), .len = sizeof(name) - 1},
    HEADER_LIST(HEADER_NAME)
#undef HEADER_NAME
};

/* The first id whose name has this length; those of a length are neighbours. 0: there is none. */
static const uint8_t first_of_length[] = {
    [2] = HEADER_TE,
    [3] = HEADER_VIA,
    [4] = HEADER_HOST,
    [5] = HEADER_RANGE,
    [6] = HEADER_EXPECT,
    [7] = HEADER_UPGRADE,
    [8] = HEADER_LOCATION,
    [9] = HEADER_FORWARDED,
    [10] = HEADER_CONNECTION,
    [11] = HEADER_RETRY_AFTER,
    [12] = HEADER_CONTENT_TYPE,
    [13] = HEADER_CACHE_CONTROL,
    [14] = HEADER_CONTENT_LENGTH,
    [15] = HEADER_ACCEPT_ENCODING,
    [16] = HEADER_PROXY_CONNECTION,
    [17] = HEADER_TRANSFER_ENCODING,
    [18] = HEADER_PROXY_AUTHENTICATE,
    [19] = HEADER_PROXY_AUTHORIZATION,
    [21] = HEADER_X_ENVOY_ORIGINAL_PATH,
    [23] = HEADER_X_FORWARDED_CLIENT_CERT,
    [24] = HEADER_X_ENVOY_EXTERNAL_ADDRESS,
    [29] = HEADER_X_ENVOY_UPSTREAM_SERVICE_TIME,
    [30] = HEADER_X_ENVOY_EXPECTED_RQ_TIMEOUT_MS,
};

static uint64_t load_64(const char *data)
{
    uint64_t word;
    memcpy(&word, data, sizeof word);
    return word;
}

static uint32_t load_32(const char *data)
{
    uint32_t word;
    memcpy(&word, data, sizeof word);
    return word;
}

/* memcmp without the call, for two names of the same length. */
static bool is_same(const char *a, const char *b, size_t len)
{
    if (len >= 8) {
        return load_64(a) == load_64(b) && load_64(a + len - 8) == load_64(b + len - 8) &&
               (len <= 16 || memcmp(a + 8, b + 8, len - 16) == 0);
    }
    if (len >= 4)
        return load_32(a) == load_32(b) && load_32(a + len - 4) == load_32(b + len - 4);
    return memcmp(a, b, len) == 0;
}

enum header_id header_id_of(struct str name)
{
    unsigned id = name.len < sizeof first_of_length ? first_of_length[name.len] : 0;
    for (; id && id < HEADER_COUNT && names[id].len == name.len; id++)
        if (is_same(names[id].data, name.data, name.len))
            return (enum header_id)id;
    return HEADER_OTHER;
}

struct str header_name(enum header_id id)
{
    ASSERT(id > HEADER_OTHER && id < HEADER_COUNT);
    return names[id];
}

bool header_name_is_valid(struct str name)
{
    for (size_t i = 0; i < name.len; i++) {
        char lower = char_class_name[(unsigned char)name.data[i]];
        if (!lower || lower != name.data[i])
            return false;
    }
    return name.len > 0;
}

bool header_value_is_valid(struct str value)
{
    return char_class_value_len(value.data, value.len) == value.len;
}

void header_list_init(struct header_list *list, struct arena *arena)
{
    *list = (struct header_list){.arena = arena};
}

void header_list_clear(struct header_list *list)
{
    list->len = 0;
    list->present = 0;
}

void header_list_grow(struct header_list *list)
{
    uint32_t cap = list->cap ? list->cap * 2 : 24;
    struct header *items = arena_alloc(list->arena, cap * sizeof *items);
    if (list->len)
        memcpy(items, list->items, list->len * sizeof *items);
    list->items = items;
    list->cap = cap;
}

void header_list_add(struct header_list *list, enum header_id id, struct str value)
{
    header_list_add_item(list, id, header_name(id), value, 0);
}

static uint8_t flags_of_name(struct str name)
{
    return str_find_char(name, '_', 0) < name.len ? HEADER_HAS_UNDERSCORE : 0;
}

void header_list_add_name(struct header_list *list, struct str name, struct str value)
{
    header_list_add_item(list, header_id_of(name), name, value, flags_of_name(name));
}

/* What a line is looked for by: the id, and for HEADER_OTHER the name. */
static bool has_name(const struct header *header, enum header_id id, struct str name)
{
    return header->id == id && (id != HEADER_OTHER || str_equal(header->name, name));
}

static struct header *find_from(const struct header_list *list, uint32_t from, enum header_id id,
                                struct str name)
{
    if (!header_list_has(list, id))
        return NULL;
    for (uint32_t i = from; i < list->len; i++)
        if (has_name(&list->items[i], id, name))
            return &list->items[i];
    return NULL;
}

struct header *header_list_find_present(const struct header_list *list, enum header_id id)
{
    return find_from(list, 0, id, names[id]);
}

struct header *header_list_find_name(const struct header_list *list, struct str name)
{
    return find_from(list, 0, header_id_of(name), name);
}

struct header *header_list_find_next(const struct header_list *list, const struct header *after)
{
    return find_from(list, (uint32_t)(after - list->items) + 1, after->id, after->name);
}

struct str header_list_value(const struct header_list *list, enum header_id id)
{
    const struct header *header = header_list_find(list, id);
    return header ? header->value : (struct str){0};
}

/* Takes out the lines of this name at or behind index from. */
static uint32_t remove_from(struct header_list *list, uint32_t from, enum header_id id,
                            struct str name)
{
    uint32_t kept = from;
    bool has_more = from > 0;
    for (uint32_t i = from; i < list->len; i++) {
        if (has_name(&list->items[i], id, name))
            continue;
        has_more |= list->items[i].id == id;
        if (kept != i)
            list->items[kept] = list->items[i];
        kept++;
    }
    uint32_t removed = list->len - kept;
    list->len = kept;
    if (!has_more)
        list->present &= ~(1ull << id);
    return removed;
}

uint32_t header_list_remove(struct header_list *list, enum header_id id)
{
    return header_list_has(list, id) ? remove_from(list, 0, id, header_name(id)) : 0;
}

uint32_t header_list_remove_name(struct header_list *list, struct str name)
{
    enum header_id id = header_id_of(name);
    return header_list_has(list, id) ? remove_from(list, 0, id, name) : 0;
}

static void set(struct header_list *list, enum header_id id, struct str name, struct str value)
{
    struct header *first = find_from(list, 0, id, name);
    if (!first) {
        header_list_add_item(list, id, name, value, flags_of_name(name));
        return;
    }
    header_set_value(first, value);
    remove_from(list, (uint32_t)(first - list->items) + 1, id, name);
}

void header_list_set(struct header_list *list, enum header_id id, struct str value)
{
    set(list, id, header_name(id), value);
}

void header_list_set_name(struct header_list *list, struct str name, struct str value)
{
    set(list, header_id_of(name), name, value);
}

void header_list_append(struct header_list *list, enum header_id id, struct str value)
{
    struct header *last = NULL;
    for (uint32_t i = header_list_has(list, id) ? list->len : 0; i-- > 0 && !last;)
        if (list->items[i].id == id)
            last = &list->items[i];
    if (!last) {
        header_list_add(list, id, value);
        return;
    }
    struct str old = last->value;
    char *joined = arena_alloc(list->arena, old.len + 2 + value.len);
    char *at = joined;
    if (old.len)
        at = mempcpy(mempcpy(at, old.data, old.len), ", ", 2);
    if (value.len)
        at = mempcpy(at, value.data, value.len);
    header_set_value(last, (struct str){.data = joined, .len = (size_t)(at - joined)});
}

#define BIT(id) (1ull << HEADER_##id)

/* Names whose lines Envoy joins as it reads them; of every other name each line stays. (It joins
 * those of some rare names too, which mean the same apart: if-match, pragma, cdn-loop, …) */
static const uint64_t joined_names =
    BIT(ACCEPT) | BIT(ACCEPT_ENCODING) | BIT(AUTHORIZATION) | BIT(CACHE_CONTROL) | BIT(ORIGIN) |
    BIT(USER_AGENT) | BIT(VIA) | BIT(CONTENT_TYPE) | BIT(X_REQUEST_ID) | BIT(X_FORWARDED_FOR) |
    BIT(X_FORWARDED_HOST) | BIT(X_FORWARDED_PORT) | BIT(X_FORWARDED_PROTO) |
    BIT(X_FORWARDED_CLIENT_CERT) | BIT(GRPC_TIMEOUT) | BIT(TE) | BIT(REFERER) | BIT(IF_NONE_MATCH) |
    BIT(IF_MODIFIED_SINCE) | BIT(CONTENT_ENCODING);

static void join_lines_of(struct header_list *list, enum header_id id)
{
    const struct header *first = header_list_find(list, id), *line = first;
    size_t len = 0;
    for (; line; line = header_list_find_next(list, line))
        len += line->value.len + 1;
    char *joined = arena_alloc(list->arena, len), *at = joined;
    for (line = first; line; line = header_list_find_next(list, line)) {
        if (line != first)
            *at++ = ',';
        if (line->value.len)
            at = mempcpy(at, line->value.data, line->value.len);
    }
    header_list_set(list, id, (struct str){.data = joined, .len = (size_t)(at - joined)});
}

void header_list_join_lines(struct header_list *list)
{
    uint64_t seen = 0, repeated = 0;
    for (uint32_t i = 0; i < list->len; i++) {
        uint64_t bit = 1ull << list->items[i].id;
        repeated |= seen & bit;
        seen |= bit;
    }
    for (repeated &= joined_names; repeated; repeated &= repeated - 1)
        join_lines_of(list, (enum header_id)__builtin_ctzll(repeated));
}

struct str header_next_token(struct str *list)
{
    while (list->len) {
        size_t end = str_find_char(*list, ',', 0);
        struct str token = str_trim(str_slice(*list, 0, end));
        *list = str_slice(*list, end < list->len ? end + 1 : end, list->len);
        if (token.len)
            return token;
    }
    return (struct str){0};
}

/* What a connection line cannot take away: framing, identity and routing. */
static const uint64_t never_nominated =
    BIT(HOST) | BIT(CONNECTION) | BIT(CONTENT_LENGTH) | BIT(TRANSFER_ENCODING) | BIT(EXPECT) |
    BIT(CONTENT_TYPE) | BIT(CONTENT_ENCODING) | BIT(AUTHORIZATION) | BIT(COOKIE) | BIT(ORIGIN) |
    BIT(SET_COOKIE) | BIT(WWW_AUTHENTICATE) | BIT(FORWARDED) | BIT(VIA) | BIT(X_REAL_IP) |
    BIT(X_REQUEST_ID) | BIT(X_API_KEY);

static bool may_be_nominated(struct str name)
{
    return !(never_nominated >> header_id_of(name) & 1) &&
           !str_starts_with(name, STR("x-forwarded-")) && !str_starts_with(name, STR("x-envoy-"));
}

static void remove_nominated(struct header_list *list, struct str token)
{
    char lower[64]; /* longer than any name that connection options are used for */
    if (token.len > sizeof lower)
        return;
    for (size_t i = 0; i < token.len; i++)
        lower[i] = ascii_lower(token.data[i]);
    struct str name = {.data = lower, .len = token.len};
    if (may_be_nominated(name))
        header_list_remove_name(list, name);
}

static bool accepts_trailers(const struct header_list *list)
{
    for (uint32_t i = 0; i < list->len; i++) {
        struct str rest = list->items[i].value, token;
        while (list->items[i].id == HEADER_TE && (token = header_next_token(&rest)).len)
            if (str_equal_nocase(token, STR("trailers")))
                return true;
    }
    return false;
}

void header_list_strip_hop_by_hop(struct header_list *list)
{
    const uint64_t hop_by_hop = BIT(CONNECTION) | BIT(KEEP_ALIVE) | BIT(PROXY_CONNECTION) |
                                BIT(UPGRADE) | BIT(HTTP2_SETTINGS) | BIT(TE);
    if (!(list->present & hop_by_hop))
        return;
    struct str nominated[HEADER_CONNECTION_OPTIONS_MAX], rest;
    uint32_t count = 0;
    for (uint32_t i = 0; i < list->len; i++) {
        rest = list->items[i].id == HEADER_CONNECTION ? list->items[i].value : (struct str){0};
        while (count < HEADER_CONNECTION_OPTIONS_MAX &&
               (nominated[count] = header_next_token(&rest)).len)
            count++;
    }
    bool keeps_te = accepts_trailers(list);
    for (unsigned id = 1; id < HEADER_COUNT; id++)
        if (hop_by_hop >> id & 1)
            header_list_remove(list, (enum header_id)id);
    for (uint32_t i = 0; i < count; i++)
        remove_nominated(list, nominated[i]);
    if (keeps_te)
        header_list_add(list, HEADER_TE, STR("trailers"));
}
