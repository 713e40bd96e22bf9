/* /control_plane and /unsupported_fields: how the subscription does, and what of it has no effect.
 */
#include "dataplane/admin/admin_internal.h"

static void put_text(struct buf *out, const char *name, const char *value)
{
    buf_printf(out, " \"%s\": ", name);
    buf_append_json_string(out, str_from(value ? value : ""));
    buf_append_str(out, STR(",\n"));
}

static const char *boolean(bool is_true)
{
    return is_true ? "true" : "false";
}

void control_plane_page(const struct admin_request *request, struct admin_reply *reply, void *arg)
{
    static const char *const feeds[ADMIN_FEEDS] = {"cds", "eds", "lds", "rds"};
    (void)request;
    const struct admin *admin = arg;
    const struct admin_source *source = &admin->options.source;
    struct admin_control_plane control = {.is_configured = false};
    struct buf *out = &reply->body;
    if (source->control_plane)
        source->control_plane(source->arg, &control);
    reply->content_type = "application/json";
    buf_printf(out, "{\n \"configured\": %s,\n \"connected\": %s,\n \"current\": %s,\n",
               boolean(control.is_configured), boolean(control.is_connected),
               boolean(control.is_current));
    put_text(out, "name", control.name);
    put_text(out, "last_error", control.last_error);
    buf_printf(out, " \"streams_opened\": %llu,\n", (unsigned long long)control.streams_opened);
    for (int i = 0; i < ADMIN_FEEDS; i++)
        buf_printf(out, " \"%s\": {\"update_success\": %llu, \"update_rejected\": %llu},\n",
                   feeds[i], (unsigned long long)control.updates[i].accepted,
                   (unsigned long long)control.updates[i].rejected);
    buf_printf(out, " \"resources_rejected\": %llu\n}\n",
               (unsigned long long)control.resources_rejected);
}

struct field_list {
    struct buf *out;
    bool has_items;
};

static void put_field(const char *what, uint64_t count, const char *first_resource, void *arg)
{
    struct field_list *list = arg;
    buf_append_str(list->out, list->has_items ? STR(",\n  {\"field\": ") : STR("\n  {\"field\": "));
    list->has_items = true;
    buf_append_json_string(list->out, str_from(what));
    buf_printf(list->out, ", \"count\": %llu, \"first_resource\": ", (unsigned long long)count);
    buf_append_json_string(list->out, str_from(first_resource));
    buf_append_char(list->out, '}');
}

void unsupported_fields_page(const struct admin_request *request, struct admin_reply *reply,
                             void *arg)
{
    (void)request;
    const struct admin_source *source = &((const struct admin *)arg)->options.source;
    struct field_list list = {.out = &reply->body};
    uint64_t total = source->ignored_total ? source->ignored_total(source->arg) : 0;
    reply->content_type = "application/json";
    buf_printf(list.out, "{\n \"total\": %llu,\n \"fields\": [", (unsigned long long)total);
    if (source->visit_ignored)
        source->visit_ignored(source->arg, put_field, &list);
    buf_append_str(list.out, list.has_items ? STR("\n ]\n}\n") : STR("]\n}\n"));
}
