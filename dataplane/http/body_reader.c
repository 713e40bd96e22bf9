#include "dataplane/http/body_reader.h"

enum { COPIED_RUN_MAX = 256 };

int body_reader_take(struct worker *worker, struct h1_body *body, struct input *input,
                     struct slice_queue *queue, struct h1_error *ret_error)
{
    while (input_unread(input) && !h1_body_is_done(body)) {
        size_t consumed;
        struct str run;
        int err = h1_body_decode(body, input_data(input), input_unread(input), &consumed, &run,
                                 ret_error);
        if (err)
            return err;
        input->from += (uint32_t)consumed;
        if (!run.len)
            continue;
        if (body->is_chunked && run.len <= COPIED_RUN_MAX)
            slice_queue_append(queue, worker_copy(worker, run));
        else
            slice_queue_append(
                queue,
                (struct slice){.chunk = chunk_ref(input->chunk), .data = run.data, .len = run.len});
    }
    return 0;
}
