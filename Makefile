# The commands of this checkout. Each installs what it needs first; `make help` lists them.
.PHONY: help demo test check ci core docs docs-check bench san deps install clean

help:
	@echo 'make demo     fit real data end to end, plots into demo-out/'
	@echo 'make test     run the test suite (FILTER=regex: some files; EMKIT_EXTENDED_TESTS=1: the long ones too)'
	@echo 'make check    R CMD build and R CMD check --as-cran'
	@echo 'make core     compile the C++ core by itself, without R and without a warning'
	@echo 'make docs     write man/, NAMESPACE and RcppExports anew'
	@echo 'make ci       everything that must hold before a change goes in'
	@echo 'make bench    measure emkit beside its installed peers'
	@echo 'make san      run the tests under the address and undefined-behaviour sanitizers'
	@echo 'make deps     install what all of the above need'
	@echo 'make install  install emkit into ./.rlib'
	@echo 'make clean    remove what the commands above have made, ./.rlib included'

demo:
	@tools/demo.sh

test:
	@tools/test.sh

check:
	@tools/install-deps.sh ci
	@tools/check.sh

ci:
	@.ci/run

core:
	@tools/install-deps.sh demo
	@tools/core-check.sh

docs:
	@tools/docs.sh

docs-check:
	@tools/install-deps.sh ci
	@tools/docs-check.sh

bench:
	@tools/bench.sh

san:
	@tools/sanitize.sh

deps:
	@tools/install-deps.sh ci

install:
	@tools/install-deps.sh demo
	@tools/install-emkit.sh

clean:
	rm -rf .rlib .rlib-san demo-out emkit.Rcheck emkit_*.tar.gz
	rm -f src/*.o src/*.so src/*.dll
