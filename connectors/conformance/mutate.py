"""Breaks guards and parsers in small ways, one at a time, and runs the tests: what no test notices is a survivor.

`python -m connectors.conformance.mutate FILE… -- PYTEST-ARGUMENTS` tries the files named; without arguments, those
that docs/mutation.md of the folder lists, with their tests, but for those that it lists "on demand". FILE:NAME,NAME
tries those functions and classes of it alone. A survivor that the page explains is passed over; any other is printed,
and the exit code is 1. Why not a tool that exists: docs/design.md.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import gc
import importlib
import importlib.abc
import importlib.util
import os
import re
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Final

_PAGE: Final = Path("docs/mutation.md")
_LONGEST_S: Final = 180
_QUICK: Final = "-x -q -p no:cacheprovider -p no:randomly -o faulthandler_timeout=0 --assert=plain"
"""What a test says when it fails, nobody reads here."""
_COMPARED: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
_CALLED: Final = {"fullmatch": "match", "match": "search", "any": "all", "all": "any", "min": "max", "max": "min"}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one file. `name` stays the same when lines move: place, what was there, what is there now."""

    file: Path
    line: int
    name: str
    code: Callable[[], Any]
    """Makes the change where it is called: in a process of its own, that shares the file's tree with no other."""


def _variants(node: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """What can stand in place of a node, and how that reads."""
    match node:
        case ast.Compare(ops=[op]) if type(op) in _COMPARED:
            yield ast.Compare(node.left, [_COMPARED[type(op)]()], node.comparators), ""
        case ast.BoolOp(op=op, values=values):
            yield ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values), ""
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield operand, ""
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value), ""
        case ast.Constant(value=int(value)):
            yield ast.Constant(value + 1), ""
        case ast.Constant(value=str(value)) if value:
            yield ast.Constant(""), ""
        case ast.Call(func=ast.Attribute(value=of, attr=name)) if name in _CALLED:
            yield ast.Call(ast.Attribute(of, _CALLED[name], ast.Load()), node.args, node.keywords), ""
        case ast.Call(func=ast.Name(id=name)) if name in _CALLED:
            yield ast.Call(ast.Name(_CALLED[name], ast.Load()), node.args, node.keywords), ""
        case ast.Raise():
            yield ast.Pass(), "nothing"
        case ast.Expr(value=ast.Call() | ast.Await()):
            yield ast.Pass(), "nothing"
        case ast.Return(value=value) if value is not None and not isinstance(value, ast.Constant):
            yield ast.Return(ast.Constant(None)), ""
        case ast.If(test=test):
            yield ast.If(ast.UnaryOp(ast.Not(), test), node.body, node.orelse), f"if not ({ast.unparse(test)})"
        case ast.Continue() | ast.Break():
            yield ast.Pass(), "nothing"


def _untouched(node: ast.AST) -> set[int]:
    """What is not code that runs: docstrings, annotations, imports; and the words of errors, which people read."""
    found: set[int] = set()
    for one in ast.walk(node):
        parts: list[ast.AST | None] = []
        match one:
            case ast.Module() | ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                parts += [s for s in one.body if isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant)]
                parts += [getattr(one, "returns", None), *getattr(one, "decorator_list", [])]
            case ast.AnnAssign(annotation=annotation):
                parts.append(annotation)
            case ast.arg(annotation=annotation):
                parts.append(annotation)
            case ast.Import() | ast.ImportFrom():
                parts.append(one)
            case ast.Raise(exc=ast.Call(args=args, keywords=keywords)):
                parts += [*args, *(keyword.value for keyword in keywords)]
        found |= {id(inner) for part in parts if part is not None for inner in ast.walk(part)}
    return found


def mutants(named: Path) -> Iterator[Mutant]:
    """Every one of a file, or of what is named after it (FILE:NAME,NAME)."""
    file, names = _part(named)
    tree = ast.parse(file.read_text(encoding="utf-8"))
    skipped = _untouched(tree)
    seen: dict[str, int] = {}
    for where, node, put in list(_places(tree, "")):
        if id(node) in skipped or (names and where.partition(".")[0] not in names):
            continue
        for variant, reads in _variants(node):
            before, after = _short(ast.unparse(node)), reads or _short(ast.unparse(variant))
            name = f"{where or 'module'}: `{before}` → `{after}`"
            seen[name] = seen.get(name, 0) + 1
            name += f" ({seen[name]})" if seen[name] > 1 else ""
            made = ast.fix_missing_locations(ast.copy_location(variant, node))
            yield Mutant(file, getattr(node, "lineno", 0), name, partial(_changed, tree, put, made, str(file)))


def _changed(tree: ast.Module, put: Callable[[Any], Any], variant: ast.AST, file: str) -> Any:
    put(variant)
    return compile(tree, file, "exec", dont_inherit=True)


def _part(named: Path) -> tuple[Path, set[str]]:
    path, _, names = str(named).partition(":")
    return Path(path), set(filter(None, names.split(",")))


def _short(text: str) -> str:
    line = " ".join(text.split()).replace("`", "'").replace("|", "¦")
    return line if len(line) <= 90 else line[:60] + "…" + line[-25:]


_Place = tuple[str, ast.AST, Callable[[Any], Any]]


def _places(node: ast.AST, where: str, put: Callable[[Any], Any] = id) -> Iterator[_Place]:
    """Every node, with the name of what it is in and what puts another into its place."""
    yield where, node, put
    inside = where
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        inside = f"{where}.{node.name}".lstrip(".")
    for field, value in ast.iter_fields(node):
        if isinstance(value, ast.AST):
            yield from _places(value, inside, partial(setattr, node, field))
        elif isinstance(value, list):
            for at, one in enumerate(value):
                if isinstance(one, ast.AST):
                    yield from _places(one, inside, partial(value.__setitem__, at))


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports the changed code in place of the file's."""

    def __init__(self, module: str, mutant: Mutant) -> None:
        self._module, self._mutant = module, mutant

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> Any:
        """Of that module alone."""
        if fullname != self._module:
            return None
        return importlib.util.spec_from_file_location(fullname, self._mutant.file, loader=self)

    def create_module(self, spec: Any) -> None:
        """As usual."""

    def exec_module(self, module: ModuleType) -> None:
        """The changed code."""
        exec(self._mutant.code(), module.__dict__)  # noqa: S102 - that is what a mutation is


def _is_loadable(module: Any) -> bool:
    """Whether what is loaded once may serve every mutant: pytest itself loads tests and their fixtures."""
    file = getattr(module, "__file__", None) or ""
    here = file.startswith(f"{Path.cwd()}/") and not Path(file).name.startswith(("test_", "conftest"))
    return here or "site-packages" in file


def _reaching(changed: Sequence[Path], names: Sequence[str]) -> set[Path]:
    """Files of ours that import a changed one, by however many others: they are loaded anew for each mutant."""
    graph: dict[Path, set[Path]] = {}
    ahead = [file for name in names for file in _files(Path(*name.split(".")))]
    while ahead:
        if (file := ahead.pop()) not in graph:
            graph[file] = set(_imported(file))
            ahead += graph[file]
    found = set(changed)
    while more := {file for file, others in graph.items() if file not in found and others & found}:
        found |= more
    return found


def _imported(file: Path) -> Iterator[Path]:
    """What it imports, its packages among them."""
    yield from (one for parent in file.parents if (one := parent / "__init__.py").is_file() and one != file)
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _files(Path(*alias.name.split(".")))
        elif isinstance(node, ast.ImportFrom):
            base = file.parents[node.level - 1] if node.level else Path()
            base = base.joinpath(*(node.module or "").split("."))
            for name in ("", *(alias.name for alias in node.names)):
                yield from _files(base / name)


def _files(module: Path) -> Iterator[Path]:
    """Of a module of ours."""
    yield from (one for one in (Path(f"{module}.py"), module / "__init__.py") if one.is_file())


@contextlib.contextmanager
def _loaded(names: Sequence[str], changed: Sequence[Path]) -> Iterator[None]:
    """What every child would load anew is loaded once, here: nothing of it is changed, nor imports what is."""
    before, anew = set(sys.modules), _reaching(changed, names)
    for name in names:
        if not anew & set(_files(Path(*name.split(".")))):
            with contextlib.suppress(Exception), warnings.catch_warnings(action="ignore"):
                importlib.import_module(name)
    for file in changed:
        if (name := ".".join(file.with_suffix("").parts)) in sys.modules:
            raise SystemExit(f"{name} cannot be changed: something else imports it unseen")
    gc.freeze()
    yield
    for name in set(sys.modules) - before:
        if _is_loadable(sys.modules[name]) and any(_files(Path(*name.split(".")))):
            parent, _, own = name.rpartition(".")
            del sys.modules[name]
            sys.modules.get(parent, argparse.Namespace()).__dict__.pop(own, None)


def _steady() -> None:
    """Hypothesis tries the same each time, so that no mutant is noticed by luck, and looks for no smaller example."""
    from hypothesis import Phase, settings

    phases = (Phase.explicit, Phase.generate)
    settings.register_profile("mutate", derandomize=True, database=None, phases=phases, deadline=None)
    settings.load_profile("mutate")


def _survives(
    mutant: Mutant | None, tests: Sequence[str], tell: int | None = None, within_s: float = _LONGEST_S
) -> bool:
    """Whether the tests pass, each `within_s`, in a process of their own; one that hangs was noticed. `tell`: a pipe
    into which it says which modules it came to load."""
    child = os.fork()
    if child == 0:
        code = 3
        try:
            os.setpgid(0, 0)
            nowhere = os.open(os.devnull, os.O_RDWR)
            for descriptor in (0, 1, 2):
                os.dup2(nowhere, descriptor)
            if mutant is not None:
                name = ".".join(mutant.file.with_suffix("").parts)
                sys.meta_path.insert(0, _Finder(name, mutant))
            import pytest

            _steady()
            code = int(pytest.main([*tests, *_QUICK.split(), f"--timeout={within_s:.0f}"]))
            if tell is not None:
                loaded = [name for name, module in list(sys.modules.items()) if _is_loadable(module)]
                os.write(tell, "\n".join(sorted(loaded)).encode()[:60_000])
        finally:
            os._exit(code)
    until = time.monotonic() + _LONGEST_S
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


_Group = tuple[list[Path], list[str], bool]


def _listed(page: Path) -> tuple[list[_Group], set[tuple[str, str]]]:
    """What a page says is to be tried ("- `FILE…` by `TESTS…`", or "- on demand `FILE…` by `TESTS…`": True), and the
    survivors that it explains (table rows that begin "| FILE | place: `before` → `after` |")."""
    text = page.read_text(encoding="utf-8") if page.exists() else ""
    groups = [
        (list(map(Path, files.split())), tests.split(), bool(asked))
        for asked, files, tests in re.findall(r"^- (on demand )?`([^`]+)` by `([^`]+)`", text, re.MULTILINE)
    ]
    return groups, set(re.findall(r"^\| (\S+) \| (.+?) \| ", text, re.MULTILINE))


def _try(files: Sequence[Path], tests: Sequence[str], explained: set[tuple[str, str]], at_once: int) -> list[str]:
    """The survivors that nobody explained."""
    began = time.monotonic()
    reading, tell = os.pipe()
    if not _survives(None, tests, tell):
        raise SystemExit(f"the tests fail as they are: pytest {' '.join(tests)}")
    # A test that takes longer than all of them did hangs; that first run loads everything besides.
    within_s = min(_LONGEST_S, 10 + 2 * (time.monotonic() - began))
    loaded = os.read(reading, 60_000).decode().splitlines()
    os.close(reading)
    os.close(tell)
    all_ = [mutant for file in files for mutant in mutants(file)]
    with _loaded(loaded, [_part(file)[0] for file in files]), ThreadPoolExecutor(at_once) as pool:
        outcomes = pool.map(lambda mutant: _survives(mutant, tests, within_s=within_s), all_)
        survived = [mutant for mutant, survives in zip(all_, outcomes, strict=True) if survives]
    known = [mutant for mutant in survived if (str(mutant.file), mutant.name) in explained]
    print(f"{' '.join(map(str, files))}: {len(all_)} mutants, {len(all_) - len(survived)} noticed, "
          f"{len(survived)} survived, {len(known)} of them explained; "
          f"{time.monotonic() - began:.0f} s", flush=True)  # fmt: skip
    left = [f"{m.file}:{m.line}\n| {m.file} | {m.name} | " for m in survived if m not in known]
    print("\n".join(left), end="\n" if left else "", flush=True)
    return left


def main() -> None:
    """Read the arguments and try."""
    parser = argparse.ArgumentParser(prog="python -m connectors.conformance.mutate", description=__doc__)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--at-once", type=int, default=os.cpu_count() or 1, help="how many at a time")
    words, _, tests = " ".join(sys.argv[1:]).partition(" -- ")
    given = parser.parse_args(words.split())
    groups, explained = _listed(_PAGE)
    if given.files:
        wanted = {_part(file)[0] for file in given.files}
        own = [(files, of, False) for files, of, _ in groups if wanted & {_part(file)[0] for file in files}]
        groups = [(given.files, tests.split(), False)] if tests else own
    if not groups:
        parser.error(f"say which files, or list them in {_PAGE}; and after -- what pytest is to run")
    left = [line for files, of, asked in groups if not asked for line in _try(files, of, explained, given.at_once)]
    print(f"{len(left)} survivors are not explained in {_PAGE}" if left else "every survivor is explained")
    sys.exit(1 if left else 0)


if __name__ == "__main__":
    main()
