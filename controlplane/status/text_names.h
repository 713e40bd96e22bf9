/* Finding out whom a proxy's error text is about. Pure, any thread. */
#ifndef CONTROLPLANE_STATUS_TEXT_NAMES_H
#define CONTROLPLANE_STATUS_TEXT_NAMES_H

#include "common/base/str.h"

/* Whether text has name in it as a word of its own: "cluster a: bad" names "a", and neither
 * "cluster" in "clusters" nor "a" in "a-b", "a.example.com" or "x/a". */
bool text_names(struct str text, struct str name);

#endif
