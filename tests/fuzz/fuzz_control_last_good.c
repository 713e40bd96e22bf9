/* The content of the copy on disk: whatever it is, it is refused with a sentence, or is written
 * again and read again as the same. */
#include "common/base/assert.h"
#include "controlplane/source/last_good.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int decode(struct str bytes, struct source_store *store, uint64_t *ret_cluster_id)
{
    struct errmsg msg = {0};
    int err = last_good_decode(bytes, STR("/weir/v1/"), store, ret_cluster_id, &msg);
    ASSERT(!err == !msg.text[0]);
    return err;
}

static void check_comes_back(const struct source_store *store, uint64_t cluster_id)
{
    struct buf bytes, again_bytes;
    struct source_store again = {0};
    uint64_t again_id = 0;
    buf_init(&bytes, SIZE_MAX / 2);
    buf_init(&again_bytes, SIZE_MAX / 2);
    last_good_encode(&bytes, store, STR("/weir/v1/"), cluster_id);
    int err = decode(buf_str(&bytes), &again, &again_id);
    ASSERT(err == 0 && again_id == cluster_id);
    last_good_encode(&again_bytes, &again, STR("/weir/v1/"), again_id);
    bool is_same = str_equal(buf_str(&bytes), buf_str(&again_bytes));
    ASSERT(is_same);
    source_store_done(&again);
    buf_done(&bytes);
    buf_done(&again_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct source_store store = {0};
    uint64_t cluster_id = 0;
    struct str whole = {.data = (const char *)data, .len = size};
    if (decode(whole, &store, &cluster_id) == 0)
        check_comes_back(&store, cluster_id);
    source_store_done(&store);
    return 0;
}
