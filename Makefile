# Everything a developer runs; CONTRIBUTING.md says what each target does.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
SLIDE := .cache/CMU-1-Small-Region.svs
KERNEL := $(wildcard $(addprefix vsv_pyramid/jpeg/_*.,pyx pxi h))
# In memory where there is such a place: on a disk, creating files costs more than making them.
SCRATCH := $(if $(wildcard /dev/shm),/dev/shm/vsv-pyramid-bench,.cache/bench)
SANITIZE := .cache/sanitize
FUZZ := .cache/fuzz
FUZZ_TARGETS := splice encode containers
KERNEL_TARGETS := splice encode
# In venvs of their own: ministack wants one boto3, checkov another, and the project the newest.
AWS := .cache/aws
AWS_LINT := .cache/aws-lint
TOOLS := .cache/tools
LOWEST := .cache/lowest
SECONDS ?= 60
SHARE ?= 1
WORKERS ?= auto
PYTEST = $(BIN)/python -m pytest -n $(WORKERS)
# What is not run every day; the oldest libraries have no browser.
API := docs/api
SYSTEM := tests/system tests/situations
# About no library.
OURS := tests/situations/test_faults.py tests/situations/test_keeps.py
CHAOS := tests/system/test_chaos.py
CLANG ?= clang
PACKAGE ?= dist/aws
BASE := debian:bookworm-slim
# Without it each of the many processes that tests start would compile the package anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test lowest test-all set-up lint bench docs wheel package image base lock audit sbom sanitize fuzz attack clean

demo: $(VENV)/.installed
	@$(BIN)/python tests/support/real_slide.py $(SLIDE)
	@$(BIN)/vsv-pyramid --version
	@$(BIN)/vsv-pyramid convert $(SLIDE)
	@$(BIN)/vsv-pyramid verify images/CMU-1-Small-Region --deep --against $(SLIDE)
	@echo "The pyramid is in $(CURDIR)/images/CMU-1-Small-Region:" \
	  "$$(find images/CMU-1-Small-Region -name '*.jpeg' | wc -l) JPEG files and DeepZoom.dzi." \
	  "Look at it: $(BIN)/vsv-pyramid serve --open"

# Units, and a real S3 server.
test: $(VENV)/.test
	$(PYTEST) $(COVERAGE) $(SYSTEM:%=--ignore %)

# These, and what S3 and its servers answer, by the oldest libraries that setup.cfg allows, of which none
# is Pillow-SIMD and sees what is transparent in one bit, and imagecodecs makes no HTJ2K.
lowest: $(LOWEST)/.installed
	PYTHONPATH="$(CURDIR)" $(LOWEST)/bin/python -m pytest -n $(WORKERS) --ignore tests/system \
	  $(OURS:%=--ignore %) \
	  --deselect tests/cli/test_cli.py::test_pillow_simd_is_really_in_place \
	  --deselect 'tests/containers/test_dicom.py::test_a_series_is_right[HTJ2K]' \
	  --deselect 'tests/slide/test_decoding.py::test_a_png_is_what_pillow_shows[0-1-False-True]' \
	  --deselect 'tests/slide/test_decoding.py::test_a_png_is_what_pillow_shows[0-1-True-True]'

# No thread may begin to be traced in a process with an audit hook, as these tests hang into it.
test-all: PYTEST += --thorough --durations=10
test-all: COVERAGE := --cov --cov-report=
test-all: set-up test
	$(PYTEST) $(COVERAGE) $(SYSTEM) --ignore $(CHAOS) --cov-append --cov-report=term \
	  --cov-report=json:.cache/coverage.json
	$(PYTEST) $(CHAOS)
	$(BIN)/python tests/support/coverage_floor.py .cache/coverage.json 90

# What all others need, and fetch if it is not there.
set-up: $(VENV)/.dev $(AWS)/.installed $(AWS_LINT)/.installed

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.bench
	$(BIN)/python -m tests.benchmarks.pixels --scratch $(SCRATCH) --json .cache/pixels.json
	$(BIN)/python -m tests.benchmarks.lossless --scratch $(SCRATCH) --json .cache/lossless.json
	$(BIN)/python -m tests.benchmarks.containers --scratch $(SCRATCH) --json .cache/containers.json
	$(BIN)/python -m tests.benchmarks.publish --scratch $(SCRATCH) --json .cache/publish.json
	$(BIN)/python -m tests.benchmarks.packing --scratch $(SCRATCH) --json .cache/packing.json
	$(BIN)/python -m tests.benchmarks.viewing --scratch $(SCRATCH) --json .cache/viewing.json
	$(BIN)/python -m tests.benchmarks.sessions --scratch $(SCRATCH) --json .cache/sessions.json
	$(BIN)/python -m tests.benchmarks.desk --scratch $(SCRATCH) --json .cache/desk.json
	$(BIN)/python -m tests.benchmarks.chart .cache/lossless.json docs/bench.png
	$(BIN)/python -m tests.benchmarks.performance .cache/pixels.json .cache/lossless.json .cache/containers.json .cache/publish.json .cache/packing.json .cache/viewing.json .cache/sessions.json .cache/desk.json

# What other programs may use, out of its docstrings.
docs: $(VENV)/.dev
	$(BIN)/python docs/build_api.py $(API)

# A wheel for every Linux whose glibc is as new as the wheel's tag says.
wheel: $(VENV)/.dev
ifeq ($(shell uname -s),Linux)
	@$(BIN)/python tests/support/real_slide.py $(SLIDE)
	rm -rf .cache/wheel
	$(BIN)/python -m build --no-isolation --outdir .cache/wheel
	PATH="$(CURDIR)/$(BIN):$$PATH" auditwheel repair --wheel-dir .cache/wheel/repaired .cache/wheel/*.whl
	$(BIN)/python tests/support/try_wheel.py .cache/wheel/repaired/*.whl $(SLIDE)
	mkdir -p dist
	cp .cache/wheel/repaired/*.whl dist
else
	@echo "make wheel makes wheels for Linux only: pip wheel . makes one for this machine."
endif

# The base image by its digest, so that who builds it again gets the same one. Commit what it changes.
base:
	digest="$$(docker buildx imagetools inspect $(BASE) --format '{{.Manifest.Digest}}')" && \
	  sed 's/^ARG BASE=.*/ARG BASE=$(BASE)@'"$$digest"'/' batch/Dockerfile >batch/Dockerfile.new && \
	  mv batch/Dockerfile.new batch/Dockerfile

# What goes to AWS: the templates, and all that the image is built of. Files only: a folder may change
# while it is packed, when Python makes its __pycache__ there.
package:
	rm -rf $(PACKAGE) && mkdir -p $(PACKAGE)
	cp cloudformation/*.yaml $(PACKAGE)
	find batch locks vsv_pyramid -type f ! -name '*.so' ! -name '*.c' ! -path '*/__pycache__/*' ! -path '*/vendor/*' \
	  | tar -czf $(PACKAGE)/image.tar.gz -T - LICENSE THIRD-PARTY.md MANIFEST.in README.md package.json \
	    package-lock.json pyproject.toml setup.cfg setup.py

# The image itself takes Docker; its steps take root, and Debian.
image: $(VENV)/.dev
	@command -v debootstrap >/dev/null || { $(call apt-install,debootstrap); }
	@$(BIN)/python tests/support/real_slide.py $(SLIDE)
	@as_root=; [ "$$(id -u)" = 0 ] || as_root=sudo; $$as_root rm -rf .cache/image && \
	  $$as_root $(BIN)/python -m tests.support.try_image .cache/image $(SLIDE)

# Python's own allocator would hide what goes past a small object, and pytest the reports: they go to
# files. No test expects an abort. libstdc++ is there from the start because ASan looks for __cxa_throw.
# These folders are what reaches the kernel.
sanitize: $(VENV)/.dev
	@$(BIN)/python tests/support/real_slide.py $(SLIDE)
	$(call copy-sources,$(SANITIZE))
	mkdir $(SANITIZE)/.cache
	cp $(SLIDE) $(SANITIZE)/.cache
	cd $(SANITIZE) && VSV_PYRAMID_CHECKED=1 VSV_PYRAMID_ASAN=1 $(build-kernel)
	cd $(SANITIZE) && options="abort_on_error=1:detect_leaks=0:log_path=$$PWD/report" && code=0 && \
	  LD_PRELOAD="$$(cc -print-file-name=libasan.so) $$(cc -print-file-name=libstdc++.so.6)" \
	  ASAN_OPTIONS="$$options" UBSAN_OPTIONS="print_stacktrace=1:$$options" PYTHONMALLOC=malloc \
	  PYTHONPATH="$$PWD" "$(CURDIR)/$(BIN)/python" -m pytest -n $(WORKERS) \
	    -p tests.support.sanitized \
	    tests/jpeg tests/pyramid tests/containers tests/slide || code=$$?; \
	  ! cat report.* 2>/dev/null && exit $$code

# What was found is tried first the next time, and so is found until it is mended. The kernel's targets
# take one with all checks, the others the tree as it is: a hundred times faster.
fuzz: $(VENV)/.fuzz
	@command -v $(CLANG) >/dev/null || { $(call apt-install,clang); }
	$(call copy-sources,$(FUZZ)/source)
	mkdir -p $(foreach target,$(FUZZ_TARGETS),$(FUZZ)/corpus/$(target) $(FUZZ)/findings/$(target))
	cd $(FUZZ)/source && VSV_PYRAMID_CHECKED=1 VSV_PYRAMID_FUZZ=1 CC=$(CLANG) \
	  LDSHARED="$(CLANG) -shared" $(build-kernel)
	cd $(FUZZ)/source && export PYTHONPATH="$$PWD" PYTHONMALLOC=malloc \
	  LD_PRELOAD="$$(echo "$(CURDIR)/$(VENV)"/lib/python3*/site-packages/asan_with_fuzzer.so)" \
	  ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1:allow_addr2line=1 && \
	  "$(CURDIR)/$(BIN)/python" -m tests.support.sanitized && \
	  for target in $(filter $(KERNEL_TARGETS),$(FUZZ_TARGETS)); do \
	    "$(CURDIR)/$(BIN)/python" -m tests.fuzz.fuzz_$$target -max_len=70000 $(fuzzing) \
	      -artifact_prefix="$(CURDIR)/$(FUZZ)/findings/$$target/" \
	      ../corpus/$$target ../findings/$$target tests/fuzz/corpus || exit; \
	  done
	export PYTHONPATH="$(CURDIR)"; for target in $(filter-out $(KERNEL_TARGETS),$(FUZZ_TARGETS)); do \
	  $(BIN)/python -m tests.fuzz.fuzz_$$target -max_len=4096 $(fuzzing) \
	    -artifact_prefix=$(FUZZ)/findings/$$target/ \
	    $(FUZZ)/corpus/$$target $(FUZZ)/findings/$$target || exit; \
	done

# Against this machine only. The seed is printed: SEED=N plays the same again, SHARE=0.1 a tenth of it.
attack: $(VENV)/.test
	$(BIN)/python -m tests.attack $(if $(SEED),--seed $(SEED)) --share $(SHARE)

# All that is installed, by versions and hashes: what is there stays as it is, unless UPGRADE=1.
lock: $(TOOLS)/.installed
	PATH="$(CURDIR)/$(TOOLS)/bin:$$PATH" $(TOOLS)/bin/python -m tests.support.locks $(if $(UPGRADE),--upgrade)

# What faults are known of it: exit code 1 if there is one, 3 where nobody could be asked.
audit: $(TOOLS)/.installed
	@PATH="$(CURDIR)/$(TOOLS)/bin:$$PATH" $(TOOLS)/bin/python -m tests.support.audit

# What is in the image, but for Debian's packages.
sbom: $(TOOLS)/.installed
	@$(TOOLS)/bin/python -m tests.support.sbom dist/sbom.cdx.json

clean:
	rm -rf $(VENV) .cache build dist docs/api images node_modules vsv_pyramid/pages/viewer/vendor *.egg-info

$(VENV)/.installed: setup.cfg setup.py pyproject.toml package-lock.json $(KERNEL) locks/build.txt \
    locks/run.txt locks/pillow-simd.txt | $(BIN)/python
	$(call install-locked,build run)
	$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.test: $(VENV)/.installed locks/test.txt
	$(call install-locked,test)
	@$(BIN)/python tests/support/real_slide.py $(SLIDE)
	@touch $@

# The tests of what a browser shows need one. Debian's package of nginx comes with a service, which is
# neither to run nor to come back.
$(VENV)/.dev: $(VENV)/.test locks/image.txt locks/dev.txt
	@{ PATH="$$PATH:/usr/sbin" command -v nginx || ! command -v apt-get; } >/dev/null || \
	  { $(call apt-install,nginx) && { $$as_root service nginx stop; \
	    $$as_root update-rc.d nginx disable; } >/dev/null 2>&1; } || \
	  echo "Tests and a benchmark need nginx, whose service may be running now."
	@{ command -v chromium-headless-shell || \
	  { command -v apt-get && \
	    { { $(call apt-install,chromium-headless-shell); } || { $(call apt-install,chromium); }; }; } || \
	  command -v chromium || command -v google-chrome; } >/dev/null || \
	  echo "No Chromium: going on without its tests."
	$(call install-locked,dev)
	PATH="$(CURDIR)/$(BIN):$$PATH" npm ci --ignore-scripts --no-audit --no-fund --silent
	@touch $@

$(VENV)/.bench: $(VENV)/.dev locks/bench.txt
	$(call install-locked,bench)
	@touch $@

$(VENV)/.fuzz: $(VENV)/.dev locks/fuzz.txt
	$(call install-locked,fuzz)
	@touch $@

$(LOWEST)/.installed: setup.cfg | $(VENV)/.test
	rm -rf $(LOWEST) && $(PYTHON) -m venv $(LOWEST)
	sed -n '/^install_requires/,/^$$/s/ *\(.*\)>=\([^,;]*\).*/\1==\2/p' setup.cfg >$(LOWEST)/requirements.txt
	sed -n '/^test =/,/^$$/s/^    //p' setup.cfg >$(LOWEST)/tests.txt
	$(LOWEST)/bin/python -m pip --disable-pip-version-check install --quiet \
	  -r $(LOWEST)/requirements.txt -r $(LOWEST)/tests.txt
	printf '#!%s\nfrom vsv_pyramid.__main__ import main\nmain()\n' \
	  "$(CURDIR)/$(LOWEST)/bin/python" >$(LOWEST)/bin/vsv-pyramid
	chmod +x $(LOWEST)/bin/vsv-pyramid
	@touch $@

$(AWS)/.installed $(AWS_LINT)/.installed $(TOOLS)/.installed: .cache/%/.installed: locks/%.txt | $(BIN)/python
	test -d .cache/$* || $(PYTHON) -m venv .cache/$*
	.cache/$*/bin/python -m pip --disable-pip-version-check install --quiet --no-compile --require-hashes -r $<
	@touch $@

# What a venv and the build of Pillow-SIMD take, from apt where that is at hand and anything lacks.
$(BIN)/python:
	@if ! { command -v cc && $(PYTHON) -c 'import ensurepip, os, sysconfig as s; \
	      os.stat(s.get_path("include") + "/Python.h")' && \
	    echo '#include <stdio.h>\n#include <jpeglib.h>\n#include <zlib.h>\n#include <lcms2.h>' \
	      | cc -E - ; } >/dev/null 2>&1 && command -v apt-get >/dev/null; then \
	  { $(call apt-install,gcc libc6-dev libjpeg-dev liblcms2-dev python3-dev python3-venv \
	    zlib1g-dev); } || echo "No system packages: going on without Pillow-SIMD."; \
	fi
	$(PYTHON) -m venv $(VENV)

define apt-install
as_root=; [ "$$(id -u)" = 0 ] || as_root=sudo; $$as_root apt-get update -qq && \
  $$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends $(1) >/dev/null
endef

# Other kernels are built and run in a copy: the one in the sources stays as it is.
define copy-sources
rm -rf $(1) && mkdir -p $(1)
cp -R .ci .dockerignore batch cloudformation locks vsv_pyramid tests docs *.py *.cfg *.toml *.json *.md *.in Makefile LICENSE $(1)
rm -f $(1)/vsv_pyramid/jpeg/*.so
endef
fuzzing = -timeout=20 -rss_limit_mb=4096 -max_total_time=$$(($(SECONDS) / $(words $(FUZZ_TARGETS))))
build-kernel = "$(CURDIR)/$(BIN)/python" setup.py --quiet build_ext --inplace

# Of setup.cfg, what locks/ says. Pillow may come along.
define install-locked
$(PIP) install --quiet --require-hashes $(1:%=-r locks/%.txt)
$(install-pillow-simd)
endef
# Pillow and Pillow-SIMD are two distributions of one folder, PIL: whichever comes last wins. Where
# Pillow-SIMD cannot be built (another platform, no compiler), Pillow comes back. A wheel from pip's
# cache may have been built before LittleCMS was there: then it is built anew.
define install-pillow-simd
@if [ "$$(uname -sm)" = "Linux x86_64" ]; then \
  $(PIP) uninstall --quiet --yes pillow; \
  export CC="cc $$(grep -qw avx2 /proc/cpuinfo && echo -mavx2)"; \
  simd="install --quiet --no-deps --force-reinstall --no-build-isolation --require-hashes -r locks/pillow-simd.txt"; \
  { $(PIP) $$simd && { $(has-lcms) || { $(PIP) cache remove pillow_simd && $(PIP) $$simd; }; } && $(has-lcms); } || { \
    echo "Pillow-SIMD cannot be built here: going on with Pillow."; \
    $(PIP) uninstall --quiet --yes pillow-simd; $(PIP) install --quiet --require-hashes -r locks/run.txt; }; \
fi
endef
has-lcms = $(BIN)/python -c 'from PIL import features; exit(not features.check("littlecms2"))'
