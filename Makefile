# The scripts by shorter names; scripts/ needs only a shell, this needs make.
# make bench ARGS='streams --size full' hands words on to bench/peers.
.PHONY: all setup quickstart test test-full bench install clean

all: ; @scripts/build release
setup: ; @scripts/setup
quickstart: ; @scripts/quickstart
test: ; @scripts/test
test-full: ; @scripts/test --full
bench: all ; @bench/peers $(ARGS)
install: all ; cmake --install $(wildcard build/release build/macos) --prefix "$(or $(PREFIX),/usr/local)"
clean: ; rm -rf build
