# Every target installs first by itself; nothing but python3 and make has to be there.
.DEFAULT_GOAL := help
.PHONY: help install demo run test check format bench bench-detect soak house clean

bin := .venv/bin
# Much of a daemon's test is waiting: two workers more than cores.
workers := $(shell python3 -c 'import os; print(2 + (os.cpu_count() or 1))')

help: ## what can be done here
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

install: ## make .venv with everything, quick when nothing changed
	@tools/install.sh

demo: install ## the real daemon, a failing provider, a flip, an alert: 45 seconds
	@$(bin)/prober demo

run: install ## run the daemon with ./prober.toml
	@$(bin)/prober run

# Whatever this shell says: byte code is kept, or each worker compiles every test in every run.
test soak: export PYTHONDONTWRITEBYTECODE =
test: install ## all tests, on all cores
	@$(bin)/pytest -n $(workers) --dist worksteal

check: install ## lint, types, import arrows
	@$(bin)/ruff check .
	@$(bin)/ruff format --check .
	@$(bin)/mypy
	@$(bin)/lint-imports

format: install ## put the code in the house style
	@$(bin)/ruff check --fix .
	@$(bin)/ruff format .

bench-detect: install ## how soon outages are found, and how often it cries wolf (half an hour)
	@$(bin)/python -m bench.detect

bench: install ## measurements, as ratios against a bare baseline
	@$(bin)/python -m bench

soak: install ## long randomised runs, with printed seeds
	@$(bin)/pytest -n auto -m soak --timeout 1800

house: install ## the shape of the code in figures, and docs/architecture.svg drawn again
	@$(bin)/python -m tools.house
	@$(bin)/python -m tools.draw_house

clean: ## remove what install and the tests made
	@rm -rf .venv .mypy_cache .ruff_cache .import_linter_cache .hypothesis dist
