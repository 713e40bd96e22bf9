/* Ports that a test hands to something that listens later, and perhaps again after a restart. */
#ifndef TESTS_SUPPORT_PORT_H
#define TESTS_SUPPORT_PORT_H

#include <stdint.h>

/* A port of 127.0.0.1 on which nobody listens. As long as this process lives the kernel gives it to
 * nobody who asks for any port, outgoing connections included; who binds to it by number, with
 * SO_REUSEADDR as servers do, gets it. So tests that run side by side never meet. */
uint16_t reserve_port(void);

#endif
