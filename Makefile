.DEFAULT_GOAL := help
PY := .venv/bin/python

venv:  ## the environment, pinned and hashed
	@scripts/venv.sh run

frontend:  ## what the pages with a terminal load, from npm by digest
	@scripts/frontend.sh must

help:  ## what there is
	@grep -hE '^[a-z-]+:.*##' Makefile | sed 's/:.*##/\t/' | expand -t 12

demo:  ## a gateway, a training phone system and a customer on loopback; STORY=1 (or 2, in a browser, or 3) plays by itself
	@scripts/venv.sh $(if $(filter 2 3,$(STORY)),dev,run)
	@scripts/frontend.sh
	@.venv/bin/frameroom demo $(if $(STORY),--story $(STORY)) $(ARGS)

test:  ## all tests, on real parts
	@scripts/venv.sh dev
	@scripts/frontend.sh dev
	@scripts/oidc-provider.sh
	@scripts/test.sh $(ARGS)

test-vendor:  ## what needs something from outside, each named by a variable (CONTRIBUTING.md): FRAMEROOM_ASTERISK, FRAMEROOM_ASTERISK_CAPTURES, FRAMEROOM_ASTERISK_TESTSUITE, FRAMEROOM_S3, FRAMEROOM_FREEPBX, FRAMEROOM_FUSIONPBX, FRAMEROOM_FREESWITCH, FRAMEROOM_3CX_OPENAPI, FRAMEROOM_AXL, FRAMEROOM_YEASTAR_GUIDE
	@scripts/venv.sh dev
	@$(PY) -m pytest tests/connectors/asterisk/test_live.py tests/connectors/asterisk_files/test_live.py tests/connectors/asterisk_files/test_live_console.py tests/connectors/asterisk_files/test_testsuite.py tests/connectors/asterisk_ami/test_live.py tests/connectors/asterisk_ami/test_transcripts.py tests/audit/test_bucket.py tests/audit/test_bucket_versions.py tests/connectors/freepbx/test_vendor.py tests/connectors/fusionpbx/test_vendor.py tests/connectors/fusionpbx/test_live_prompt.py tests/connectors/fusionpbx/test_live_cache.py tests/connectors/tcx/test_schema.py tests/connectors/cucm/test_vendor.py tests/connectors/yeastar/test_guide.py -rs $(ARGS)

screenshots:  ## a picture of each of the customer's pages, into screenshots/
	@scripts/venv.sh dev
	@scripts/frontend.sh
	@$(PY) -m tests.screenshots $(ARGS)

check:  ## lint, types, imports
	@scripts/venv.sh dev
	@.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy && .venv/bin/lint-imports

conformance:  ## the kit that every connector passes, on ours; CONNECTOR=NAME on one
	@scripts/venv.sh dev
	@scripts/conformance.sh $(CONNECTOR) $(ARGS)

mutate:  ## does a test notice when a guard or a parser is broken? Takes long; ARGS=FILE… for some of them
	@scripts/venv.sh dev
	@$(PY) -m connectors.conformance.mutate $(ARGS)

tables:  ## the table of connectors in README.md and docs/, from the code
	@scripts/venv.sh run
	@PYTHONPATH=. $(PY) scripts/tables.py

bench:  ## the figures
	@scripts/venv.sh dev
	@$(PY) -m bench

lock:  ## pin the requirements again
	@scripts/venv.sh dev
	@for f in uv run dev; do .venv/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header requirements/$$f.in -o requirements/$$f.txt; done

clean:  ## take the environment and caches away
	@rm -rf .venv node_modules tests/support/oidc_provider/node_modules gateway/portal/static/vendor .mypy_cache .ruff_cache .pytest_cache .import_linter_cache screenshots

.PHONY: venv frontend help demo test test-vendor screenshots check conformance mutate tables bench lock clean
