# The scripts by shorter names; scripts/ needs only a shell, this needs make.
# make bench ARGS='streams --size full' hands words on to bench/peers, make chaos ARGS='--seed 7' to tests/chaos/chaos.py,
# make fuzz ARGS='gguf frame' to scripts/fuzz. make soak takes two hours: simulated fleets, a fleet at work, a starved one.
.PHONY: all setup quickstart test test-full bench chaos fuzz soak install deb clean

all: ; @scripts/build release
setup: ; @scripts/setup
quickstart: ; @scripts/quickstart
test: ; @scripts/test
test-full: ; @scripts/test --full
bench: all ; @bench/peers $(ARGS)
chaos: all ; @tests/chaos/chaos.py --kills 200 $(ARGS)
fuzz: ; @scripts/fuzz $(ARGS)
soak: all ; @build/release/sim/flotilla_sim --seeds 100000 && tests/chaos/soak.py && tests/chaos/starved.py
install: all ; cmake --install $(wildcard build/release build/macos) --prefix "$(or $(PREFIX),/usr/local)"
deb: all ; @FLOTILLA_PACKAGE=deb cpack --config build/release/CPackConfig.cmake && ls build/release/package/*.deb
clean: ; rm -rf build
