#include "dataplane/config/name_slots.h"

#include "common/base/assert.h"
#include "common/base/map.h"
#include "common/base/mem.h"

/* One number; its slot is its place in name_slots.all. */
struct name_slot {
    struct str name; /* own memory; data NULL while the number is free */
    uint32_t slot;
    uint32_t refs;
    struct name_slot *next_free;
};

struct name_slots {
    struct map by_name;
    struct name_slot **all;
    uint32_t count, capacity;
    struct name_slot *free_list;
};

struct name_slots *name_slots_new(void)
{
    return MEM_NEW(struct name_slots);
}

void name_slots_free(struct name_slots *slots)
{
    if (!slots)
        return;
    for (uint32_t i = 0; i < slots->count; i++) {
        mem_free((char *)slots->all[i]->name.data);
        mem_free(slots->all[i]);
    }
    mem_free(slots->all);
    map_done(&slots->by_name);
    mem_free(slots);
}

/* A free number, a new one where there is none. */
static struct name_slot *take_free(struct name_slots *slots)
{
    struct name_slot *entry = slots->free_list;
    if (entry) {
        slots->free_list = entry->next_free;
        return entry;
    }
    if (slots->count == slots->capacity) {
        slots->capacity = slots->capacity ? slots->capacity * 2 : 64;
        slots->all = mem_resize(slots->all, slots->capacity, sizeof *slots->all);
    }
    ASSERT(slots->count < NAME_SLOT_NONE - 1);
    entry = MEM_NEW(struct name_slot);
    entry->slot = slots->count;
    slots->all[slots->count++] = entry;
    return entry;
}

uint32_t name_slots_acquire(struct name_slots *slots, struct str name)
{
    struct name_slot *entry = map_find(&slots->by_name, name);
    if (!entry) {
        entry = take_free(slots);
        entry->name = (struct str){.data = mem_copy_string(name.data, name.len), .len = name.len};
        map_put(&slots->by_name, entry->name, entry);
    }
    entry->refs++;
    return entry->slot;
}

void name_slots_release(struct name_slots *slots, uint32_t slot)
{
    if (slot == NAME_SLOT_NONE)
        return;
    ASSERT(slot < slots->count && slots->all[slot]->refs > 0);
    struct name_slot *entry = slots->all[slot];
    if (--entry->refs > 0)
        return;
    map_remove(&slots->by_name, entry->name);
    mem_free((char *)entry->name.data);
    entry->name = (struct str){0};
    entry->next_free = slots->free_list;
    slots->free_list = entry;
}

uint32_t name_slots_find(const struct name_slots *slots, struct str name)
{
    const struct name_slot *entry = map_find(&slots->by_name, name);
    return entry ? entry->slot : NAME_SLOT_NONE;
}

uint32_t name_slots_count(const struct name_slots *slots)
{
    return slots->count;
}
