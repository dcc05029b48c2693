# Short names for what is typed often; `bash .ci/run` does all of it on a bare machine.
.PHONY: setup demo check test format docs lock

setup:   ## install everything, as locked
	uv sync --frozen

demo: setup  ## the digits study, from nothing to its page
	uv run --no-sync unlabeled demo

check: setup  ## lint, format and types
	uv run --no-sync ruff check
	uv run --no-sync ruff format --check
	uv run --no-sync mypy

test: setup  ## the tests, on two cores
	OMP_NUM_THREADS=1 uv run --no-sync pytest -n 2 --dist worksteal

format: setup  ## put the source into its format
	uv run --no-sync ruff check --fix
	uv run --no-sync ruff format

docs: setup  ## write the pages that are made from the source
	uv run --no-sync python docs/make.py

lock:    ## take the newest versions that fit
	uv lock --upgrade
