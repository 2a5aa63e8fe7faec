# make demo and make test are all a newcomer needs; both set up .venv once, from requirements.lock.
PYTHON ?= python3
BIN := .venv/bin
STUDY ?= dfdc
CACHE ?= data/dfdc
EXPERIMENTS ?= baseline,jpeg,focal,effnet,lstm
SEEDS ?= 0,1,2,3,4
DEMO ?= demo
DEMO_VIDEOS ?= 600
DEMO_EXPERIMENTS ?= baseline,jpeg,focal,effnet,lstm,statpool
DEMO_SEEDS ?= 0,1,2
DEMO_SIZE ?= 64
DEMO_FRAMES ?= 8
DEMO_CUES ?= seam=1,texture=1,temporal=1,none
DEMO_OPTIONS ?=
DETECTOR ?= detector
DETECTOR_OPTIONS ?=
TESTED ?=
PARALLEL ?= -n auto --maxprocesses 8 --dist worksteal

# Compiled tests are kept, wherever bytecode is switched off, so that the second start is a short one.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo check test lint format faces train sweep report bench app clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "%-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/ready ## create .venv from requirements.lock (once; every target does it by itself)

.venv/ready: requirements.lock
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else f"Python {v[0]}.{v[1]} is not supported: use 3.11 to 3.13, e.g. make PYTHON=python3.12 $(MAKECMDGOALS)")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m dfdc_lightning.doctor
	@touch $@

demo: .venv/ready ## videos -> faces -> 6 experiments x 3 seeds -> report, on rendered videos, in minutes
	$(BIN)/python -m dfdc_lightning.demo --out data/$(DEMO)/videos --videos $(DEMO_VIDEOS) \
		--cues $(DEMO_CUES) --parts 15 --placebo-parts 5
	$(BIN)/python prepare_faces.py source.path=data/$(DEMO)/videos out=data/$(DEMO)/faces face_detector=haar +face_detector.long_side=320 +face_detector.smallest=0.11 \
		size=$(DEMO_SIZE) frames=$(DEMO_FRAMES) per_label=null \
		split=by_part split.train=0-7 split.val=8-9 split.test=10-14
	$(BIN)/python train.py -m experiment=$(DEMO_EXPERIMENTS) seed=$(DEMO_SEEDS) scale=demo study=$(DEMO) data.cache=data/$(DEMO)/faces $(DEMO_OPTIONS)
	$(BIN)/python report.py study=$(DEMO)
	@echo "videos: data/$(DEMO)/videos/  faces: data/$(DEMO)/faces/  runs: multirun/$(DEMO)/  report: multirun/$(DEMO)/report/index.html"
	@echo "The same on real DFDC:"
	@echo "  $(BIN)/python prepare_faces.py source=folder source.path=/data/dfdc out=data/dfdc"
	@echo "  $(BIN)/python train.py -m experiment=$(EXPERIMENTS) seed=$(SEEDS)"
	@echo "  $(BIN)/python report.py study=dfdc"

check: lint ## lint, types and the tests without training, videos and processes (about a minute)
	$(BIN)/python -m pytest $(PARALLEL) -m "not slow"

test: .venv/ready ## every claim, checked (minutes)
	$(BIN)/python -m pytest $(PARALLEL)

lint: .venv/ready ## ruff and mypy, strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/ready ## let ruff rewrite what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

faces: .venv/ready ## SOURCE=folder with DFDC parts -> CACHE
	$(BIN)/python prepare_faces.py source=folder source.path=$(SOURCE) out=$(CACHE)

train: .venv/ready ## one run: the baseline, seed 0, on CACHE
	$(BIN)/python train.py study=$(STUDY) data.cache=$(CACHE)

sweep: .venv/ready ## the whole study: EXPERIMENTS x SEEDS on CACHE
	$(BIN)/python train.py -m experiment=$(EXPERIMENTS) seed=$(SEEDS) study=$(STUDY) data.cache=$(CACHE)

report: .venv/ready ## tables, figures and the page of STUDY
	$(BIN)/python report.py study=$(STUDY)

detector: .venv/ready ## VIDEOS=folder of real videos -> a detector of your own in exported/ (TESTED=cache with FAKEs to test on)
	$(BIN)/python prepare_faces.py source=real_videos source.path=$(VIDEOS) out=data/$(DETECTOR)/faces per_label=null labels=any \
		split.fractions.train=0.7 split.fractions.val=0.15 split.fractions.test=0.15 frames=8
	$(BIN)/python train.py experiment=own_detector study=$(DETECTOR) data.cache=data/$(DETECTOR)/faces \
		$(if $(TESTED),data.validation_cache=$(TESTED),data.evaluate_blends=true) $(DETECTOR_OPTIONS)
	$(BIN)/python -m dfdc_lightning.export run=multirun/$(DETECTOR)/own_detector/0 \
		out=exported/$(DETECTOR)-tested-on-$(if $(TESTED),$(notdir $(TESTED)),blends)

bench: .venv/ready ## every benchmark, each a table
	@for benchmark in benchmarks/*.py; do echo "== $$benchmark"; PYTHONPATH=. $(BIN)/python $$benchmark || exit 1; done

app: .venv/ready ## drop a video on a page, see the verdict (RUN=run folder)
	$(BIN)/python -m dfdc_lightning.app run=$(RUN)

clean: ## remove caches and the demo; never a study
	rm -rf .mypy_cache .pytest_cache .ruff_cache data/$(DEMO) multirun/$(DEMO)
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
