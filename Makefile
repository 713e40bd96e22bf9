# Weir's one Makefile. Sources and tests are found by wildcard: a new file needs no line here.
#
#   make            weir-control and weir-proxy, optimised, under build/release/bin
#   make run        the quick start: etcd, both daemons, two back ends, the example policy
#   make check      unit and golden tests under ASan+UBSan with gcc and clang, style checks
#   make test       make check, TSan tests, brief fuzzing, conformance and end-to-end tests
#   make soak       both daemons under load and bad days for SOAK_SECONDS (600); VARIANT=asan-gcc works
#   make fuzz bench golden-update format
#
# One variant of the build = one folder: VARIANT=release (default), asan-gcc, asan-clang, tsan, fuzz.

VARIANT ?= release
BUILD := build/$(VARIANT)
GEN := build/gen
JOBS ?= $(shell nproc)
# Debian's own Python, to which the python3-* packages belong.
PYTHON := /usr/bin/python3

CC_release := gcc
CC_asan-gcc := gcc
CC_asan-clang := clang-14
CC_tsan := gcc
CC_fuzz := clang-14
COMPILER := $(CC_$(VARIANT))

OPTIMISE_release := -O2 -D_FORTIFY_SOURCE=2
OPTIMISE_asan-gcc := -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
OPTIMISE_asan-clang := $(OPTIMISE_asan-gcc)
OPTIMISE_tsan := -O1 -fno-omit-frame-pointer -fsanitize=thread -DWEIR_TSAN
OPTIMISE_fuzz := -O1 -fno-omit-frame-pointer -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=undefined

WARNINGS := -Wall -Wextra -Werror -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes \
	-Wformat=2 -Wvla -Wundef -Wwrite-strings -fno-common
HARDENING := -fstack-protector-strong -fstack-clash-protection -fcf-protection -fPIE
CFLAGS_ALL := -std=c17 -D_GNU_SOURCE -g $(OPTIMISE_$(VARIANT)) $(HARDENING) -I. -isystem $(GEN)
LDFLAGS_ALL := -pie -Wl,-z,relro,-z,now $(filter -fsanitize=address% -fsanitize=thread,$(OPTIMISE_$(VARIANT)))
LIBS_controlplane := -lgrpc -lgpr -lprotobuf-c -levent_core -levent_extra -ljansson -lyaml -lcrypto -lpthread
LIBS_dataplane := $(LIBS_controlplane) -lpcre2-8

PROTOS := $(shell find proto -name '*.proto' 2>/dev/null)
GEN_C := $(PROTOS:proto/%.proto=$(GEN)/%.pb-c.c)
GEN_H := $(GEN_C:.c=.h)
SOURCES = $(shell find $(1) -name '*.c' 2>/dev/null)
OBJECTS = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))

COMMON_O := $(call OBJECTS,$(call SOURCES,common))
CONTROLPLANE_O := $(call OBJECTS,$(filter-out %/main.c,$(call SOURCES,controlplane)))
DATAPLANE_O := $(call OBJECTS,$(filter-out %/main.c,$(call SOURCES,dataplane)))
PROTO_O := $(patsubst $(GEN)/%.c,$(BUILD)/obj/gen/%.o,$(GEN_C))
SUPPORT_O := $(call OBJECTS,$(wildcard tests/support/*.c))
UNIT_TESTS := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(shell find tests/unit -name 'test_*.c' 2>/dev/null))
FUZZERS := $(patsubst tests/fuzz/%.c,build/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))

.PHONY: all
all: $(BUILD)/bin/weir-control $(BUILD)/bin/weir-proxy

# --- generated from proto/ ---------------------------------------------------------------------
# One protoc-c run for all files; the stamp keeps parallel makes from running it twice.
$(GEN)/stamp: $(PROTOS)
	@mkdir -p $(GEN)
	@protoc-c --proto_path=proto --c_out=$(GEN) $(PROTOS)
	@touch $@
$(GEN_C) $(GEN_H): $(GEN)/stamp ;

$(BUILD)/obj/gen/%.o: $(GEN)/stamp
	@mkdir -p $(@D)
	@$(COMPILER) -std=c17 -g $(OPTIMISE_$(VARIANT)) $(HARDENING) -w -I$(GEN) -c $(GEN)/$*.c -o $@

# --- ours --------------------------------------------------------------------------------------
$(BUILD)/obj/%.o: %.c $(GEN)/stamp
	@mkdir -p $(@D)
	@echo "  CC $(VARIANT) $<"
	@$(COMPILER) $(CFLAGS_ALL) $(WARNINGS) -MMD -MP -c $< -o $@

$(BUILD)/libproto.a: $(PROTO_O)
$(BUILD)/libcommon.a: $(COMMON_O)
$(BUILD)/libcontrolplane.a: $(CONTROLPLANE_O)
$(BUILD)/libdataplane.a: $(DATAPLANE_O)
$(BUILD)/libsupport.a: $(SUPPORT_O)
$(BUILD)/%.a:
	@mkdir -p $(@D)
	@rm -f $@
	@ar rcs $@ $^

PLANE_LIBS = $(BUILD)/lib$(1).a $(BUILD)/libcommon.a $(BUILD)/libproto.a
$(BUILD)/bin/weir-control: $(BUILD)/obj/controlplane/main.o $(call PLANE_LIBS,controlplane)
	@mkdir -p $(@D)
	@$(COMPILER) $(LDFLAGS_ALL) -o $@ $^ $(LIBS_controlplane)
$(BUILD)/bin/weir-proxy: $(BUILD)/obj/dataplane/main.o $(call PLANE_LIBS,dataplane)
	@mkdir -p $(@D)
	@$(COMPILER) $(LDFLAGS_ALL) -o $@ $^ $(LIBS_dataplane)

$(BUILD)/bin/demo-backend: $(BUILD)/obj/deploy/demo/backend.o $(filter $(BUILD)/obj/common/base/%,$(COMMON_O))
	@mkdir -p $(@D)
	@$(COMPILER) $(LDFLAGS_ALL) -o $@ $^ $(LIBS_controlplane)

# --- tests: one file, one binary; linked with the plane its path names ----------------------------
.SECONDEXPANSION:
plane_of = $(if $(findstring /dataplane/,$(1)),dataplane,$(if $(findstring /controlplane/,$(1)),controlplane,none))
$(BUILD)/tests/%: $(BUILD)/obj/tests/unit/%.o $(BUILD)/libsupport.a \
		$$(if $$(filter none,$$(call plane_of,$$@)),,$(BUILD)/lib$$(call plane_of,$$@).a) \
		$(BUILD)/libcommon.a $(BUILD)/libproto.a
	@mkdir -p $(@D)
	@$(COMPILER) $(LDFLAGS_ALL) -o $@ $^ $(LIBS_dataplane) -lcheck -lm -lrt -lsubunit

.PHONY: unit-tests run-unit-tests
unit-tests: $(UNIT_TESTS)
run-unit-tests: unit-tests
	@tests/support/run-unit-tests $(UNIT_TESTS)

# Writes what tests/golden/ expects anew; the difference is to be reviewed.
golden-update: $(BUILD)/tests/controlplane/test_golden
	@GOLDEN_UPDATE=1 $<

# A target links the plane it is about: fuzz_control_* the control plane, others the data plane.
build/fuzz/fuzz_%: build/fuzz/obj/tests/fuzz/fuzz_%.o \
		build/fuzz/lib$$(if $$(findstring control_,$$*),controlplane,dataplane).a \
		build/fuzz/libcommon.a build/fuzz/libproto.a
	@$(COMPILER) -pie -fsanitize=address,undefined,fuzzer -o $@ $^ $(LIBS_dataplane)

# --- what a person types ---------------------------------------------------------------------------
.PHONY: run check test fuzz bench soak format golden-update clean packages-run packages-test packages-bench
packages-run packages-test packages-bench:
	@deploy/install-packages $(@:packages-%=%)

run: packages-run
	@$(MAKE) -s -j$(JOBS) all build/release/bin/demo-backend
	@deploy/run

check: packages-test
	@$(MAKE) -s -j$(JOBS) VARIANT=asan-gcc run-unit-tests
	@$(MAKE) -s -j$(JOBS) VARIANT=asan-clang run-unit-tests
	@$(PYTHON) tests/support/check-style

test: check
	@$(MAKE) -s -j$(JOBS) VARIANT=tsan run-tsan-tests
	@$(MAKE) -s -j$(JOBS) VARIANT=fuzz run-fuzzers FUZZ_SECONDS=10
	@$(MAKE) -s -j$(JOBS) all build/release/bin/demo-backend
	@$(PYTHON) -m pytest -q tests/conformance
	@tests/e2e/run

fuzz: packages-test
	@$(MAKE) -s -j$(JOBS) VARIANT=fuzz run-fuzzers FUZZ_SECONDS=$(or $(FUZZ_SECONDS),600)
	@$(MAKE) -s -j$(JOBS) all
	@DIFFERENTIAL_SECONDS=$(or $(FUZZ_SECONDS),600) tests/e2e/run -s tests/e2e/test_differential.py

# What runs threads of its own: the loop, the gRPC wrapper, the request path, what workers share.
TSAN_TESTS := $(filter $(addprefix $(BUILD)/tests/,common/io/% common/rpc/% dataplane/listener/% \
	dataplane/upstream/% dataplane/filters/% dataplane/http/test_access_log),$(UNIT_TESTS))
.PHONY: run-tsan-tests
run-tsan-tests: $(TSAN_TESTS)
	@TSAN_OPTIONS="suppressions=tests/support/tsan.supp halt_on_error=1" tests/support/run-unit-tests $(TSAN_TESTS)

.PHONY: run-fuzzers
run-fuzzers: $(FUZZERS)
	@tests/support/run-fuzzers $(FUZZ_SECONDS) $(FUZZERS)

bench: packages-bench
	@$(MAKE) -s -j$(JOBS) all
	@tests/bench/run

soak: packages-test
	@$(MAKE) -s -j$(JOBS) all $(BUILD)/bin/demo-backend
	@SOAK_VARIANT=$(VARIANT) tests/soak/run

format:
	@clang-format-14 -i $$(find common controlplane dataplane deploy tests -name '*.[ch]')

clean:
	@rm -rf build

# The objects a test binary is made of are kept.
.SECONDARY:
-include $(shell find build -name '*.d' 2>/dev/null)
