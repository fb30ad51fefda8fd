"""The pytest plugin: `pytest --connector=NAME` runs the kit on one connector, and nothing else.

NAME is a bench that a distribution offers as entry point (group `frameroom.benches`), or `module:object`. It may be
given several times. Without the option the plugin does nothing.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import tempfile
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from connectors.conformance.bench import Bench, MakesBench

SUITE: Final = Path(__file__).with_name("suite")
GROUP: Final = "frameroom.benches"
_OURS: Final = {"lab": "connectors.lab.bench:LabBench"}
_NEEDS: Final = ("hypothesis", "pytest_asyncio")
_REFERENCE: Final = re.compile(r"[\w.]+:\w+")


def pytest_addoption(parser: pytest.Parser) -> None:
    """The option."""
    group = parser.getgroup("frameroom", "Frameroom's kit for connectors")
    group.addoption(
        "--connector", action="append", default=[], metavar="NAME",
        help="run the conformance kit on this connector: the name of an entry point of group "
        f"`{GROUP}`, or module:object of its bench; may be given several times",
    )  # fmt: skip
    group.addoption(
        "--every-byte", action="store_true",
        help="cut answers at every byte, however long they are; long ones are cut at 120 places otherwise",
    )  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    """With the option the kit's tests are what is run, unless tests are named too."""
    names: list[str] = config.getoption("connector")
    if not names:
        return
    for name in names:
        _find(name)  # a wrong name is told before anything is collected
    missing = [name for name in _NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        raise pytest.UsageError(f"the kit wants {', '.join(missing)} too: pip install 'frameroom[kit]'")
    config.addinivalue_line("markers", "timeout(seconds): of pytest-timeout, where that is installed")
    named = config.args_source is pytest.Config.ArgsSource.ARGS
    config.args = [*(config.args if named else []), *([] if named and _of_suite(config.args) else _files())]


def _files() -> list[str]:
    """By name, so that somebody's own rule of which files are tests leaves none out."""
    return [str(file) for file in sorted(SUITE.glob("test_*.py"))]


def _of_suite(args: list[str]) -> bool:
    return any(SUITE in Path(arg.partition("::")[0]).resolve().parents for arg in args)


def _find(name: str) -> MakesBench:
    """What makes the bench of that name. UsageError when there is none."""
    reference = name if ":" in name else _OURS.get(name)
    try:
        if reference is None:
            found: MakesBench | None = next((p.load() for p in entry_points(group=GROUP) if p.name == name), None)
        elif _REFERENCE.fullmatch(reference):
            module, _, attribute = reference.partition(":")
            found = getattr(importlib.import_module(module), attribute)
        else:
            found = None
    except (ImportError, AttributeError) as error:
        raise pytest.UsageError(f"--connector={name}: it cannot be loaded ({error})") from error
    if found is None:
        there = ", ".join(sorted({*_OURS, *(point.name for point in entry_points(group=GROUP))}))
        raise pytest.UsageError(f"--connector={name}: there is no such bench. There are: {there}; or say module:object")
    return found


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each of the kit's tests, once for each connector."""
    if "bench" in metafunc.fixturenames and SUITE in Path(metafunc.definition.path).parents:
        metafunc.parametrize("bench", metafunc.config.getoption("connector"), indirect=True, scope="session")


@pytest.fixture(scope="session")
def bench(request: pytest.FixtureRequest, _made: dict[str, Any]) -> Bench:
    """The connector that is tried, and what it is tried on."""
    name: str = request.param
    if name not in _made:
        _made[name] = _find(name)(Path(tempfile.mkdtemp(prefix="bench", dir=_made["folder"])))
    made: Bench = _made[name]
    return made


@pytest.fixture(scope="session")
def _made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    made: dict[str, Any] = {"folder": tmp_path_factory.mktemp("conformance")}
    yield made
    for name, one in made.items():
        if name != "folder":
            one.close()
