"""The example alert rules and the dashboard name only what a gateway really exposes, and fire when they should."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from gateway.cli.demo import Demo
from tests.end_to_end.conftest import demo as demo
from tests.keeping.test_serving import get
from tests.session.shell.conftest import database_of_demo as database_of_demo
from tests.support.need import need_tool

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
OTHERS = {"up"}
"""What Prometheus makes itself."""


def rules() -> list[dict[str, Any]]:
    found = yaml.safe_load((EXAMPLES / "alerts.yml").read_text())
    return [rule for group in found["groups"] for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((EXAMPLES / "grafana-dashboard.json").read_text())
    return found


def drawn() -> list[str]:
    return [target["expr"] for panel in dashboard()["panels"] for target in panel["targets"]]


def selectors(node: Any) -> Iterator[Any]:
    """Every vector selector in a parsed expression."""
    if isinstance(node, promql_parser.VectorSelector):
        yield node
    for name in ("expr", "lhs", "rhs", "param", "vector_selector", "vs"):
        if (inner := getattr(node, name, None)) is not None and not isinstance(inner, str):
            yield from selectors(inner)
    for inner in getattr(node, "args", None) or ():
        yield from selectors(inner)


def named(expr: str) -> set[str]:
    """The metrics of an expression, by a PromQL parser that is not ours."""
    found = {str(one.name) for one in selectors(promql_parser.parse(expr))}
    assert found == set(re.findall(r"\b(?:frameroom_\w+|up)\b", expr)), "a selector was overlooked"
    return found


async def test_every_metric_that_they_name_is_exposed(demo: Demo) -> None:
    _, body = await get(demo.app.ops_port, "/metrics")
    exposed = set(re.findall(r"^# TYPE (\w+) ", body, re.MULTILINE))
    exposed = {name for name in exposed if not name.endswith("_created")} | OTHERS
    for expr in [str(rule["expr"]) for rule in rules()] + drawn():
        assert named(expr) <= exposed, expr
    # And whatever is exposed can be seen somewhere.
    seen = set().union(*map(named, drawn()))
    assert exposed - OTHERS - seen == set()
    # Labels that a rule picks by are there too.
    assert 'frameroom_operations_total{outcome="unknown"}' in body
    assert 'frameroom_refusals_total{kind="auth.refused"}' in body


def test_every_rule_says_what_to_do() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names) > 10
    for rule in rules():
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert set(rule["annotations"]) == {"summary", "action"}


def test_the_dashboard_is_one_that_grafana_takes() -> None:
    made = dashboard()
    assert {"title", "uid", "schemaVersion", "templating", "panels"} <= set(made)
    ids = [panel["id"] for panel in made["panels"]]
    assert len(set(ids)) == len(ids)
    taken = set()
    for panel in made["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, f"{panel['title']} lies over another"
        assert all(x < 24 for x, _ in cells)
        taken |= cells
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


def test_a_parser_would_notice() -> None:
    with pytest.raises(ValueError, match=r"parse|expected|unclosed"):
        promql_parser.parse("sum(rate(frameroom_sessions[5m])")
    assert named("sum(rate(frameroom_a[5m])) / on(x) (frameroom_b offset 5m) > 1") == {"frameroom_a", "frameroom_b"}


def test_prometheus_itself_takes_them_and_they_fire(tmp_path: Path) -> None:
    promtool = need_tool("promtool", "prometheus")
    shutil.copy(EXAMPLES / "alerts.yml", tmp_path)
    shutil.copy(Path(__file__).parent / "alerts_test.yml", tmp_path)
    for words in (["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]):
        done = subprocess.run([promtool, *words], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
