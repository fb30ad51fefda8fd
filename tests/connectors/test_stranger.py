"""A connector that somebody else wrote: a distribution of its own, installed apart, tried by the kit as its author
would; and three that differ from it in a few lines, each found by the test that is there for it."""

from __future__ import annotations

import ast
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

from gateway.wiring.parts import make_keys
from tests.support import warm

ROOT = Path(__file__).parents[2]
TOY = Path(__file__).parent / "stranger"
pytestmark = pytest.mark.timeout(1200)  # the whole kit, in a process of its own


def installed(source: Path, target: Path) -> Path:
    """A distribution, built and installed into a folder, with nothing fetched."""
    done = subprocess.run(
        [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--offline", "--no-deps", "--no-build-isolation",
         "--python", sys.executable, "--target", str(target), str(source)],
        capture_output=True, text=True, cwd=target.parent,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture(scope="session")
def frameroom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frameroom as a distribution too: its plugin is found by its entry point, as with any of its users."""
    folder = tmp_path_factory.mktemp("frameroom")
    source = folder / "source"
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    wanted = ("gateway/", "connectors/", "audit/", "config/", "pyproject.toml", "README.md", "LICENSE")
    for name in names:
        if name.startswith(wanted) and (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    return installed(source, folder / "site")


def environment(*sites: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, sites)), "PYTEST_ADDOPTS": "", "NO_COLOR": "1"}


def kit(folder: Path, *sites: Path, words: tuple[str, ...] = ()) -> tuple[set[str], str]:
    """The kit as its author types it, in an empty folder; the tests that failed, and everything that was said."""
    (folder / "pytest.ini").write_text("[pytest]\n")  # theirs, not ours
    done = subprocess.run(
        [sys.executable, "-P", "-m", "pytest", "--connector=toy", "-q", "-rf", "-p", "no:cacheprovider", "--tb=short",
         *words], cwd=folder, env=environment(*sites), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stdout + done.stderr
    assert " passed" in done.stdout, done.stdout + done.stderr
    return set(re.findall(r"^FAILED \S*?::(\w+)", done.stdout, re.MULTILINE)), done.stdout


def changed(folder: Path, *changes: tuple[str, str]) -> Path:
    """The same connector but for a few lines."""
    source = folder / "source"
    shutil.copytree(TOY, source, ignore=shutil.ignore_patterns("__pycache__"))
    file = source / "frameroom_toy" / "connector.py"
    text = file.read_text(encoding="utf-8")
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    file.write_text(text, encoding="utf-8")
    return source


def test_the_example_passes(tmp_path: Path, frameroom: Path) -> None:
    failed, said = kit(tmp_path, installed(TOY, tmp_path / "site"), frameroom, words=("-rfs",))
    assert failed == set(), said
    # What does not apply is skipped aloud, with the bench's own reason.
    assert "XML bomb does not apply to toy: Toy speaks JSON lines" in said


def code(source: str) -> int:
    """Its lines but for blank ones, comments and docstrings."""
    nothing = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    lines = set[int]()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in nothing:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            said = node.body[0] if ast.get_docstring(node) is not None else None
            lines -= set(range(said.lineno, (said.end_lineno or 0) + 1)) if said else set()
    return len(lines)


def test_the_page_shows_the_whole_of_the_example_and_says_how_long_it_is() -> None:
    source = (TOY / "frameroom_toy" / "connector.py").read_text(encoding="utf-8")
    page = (ROOT / "docs" / "writing-a-connector.md").read_text(encoding="utf-8")
    shown = "\n".join(re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL))
    assert [line for line in shown.split("\n") if line] == [line for line in source.split("\n") if line]
    assert code(source) <= 110
    assert f"{code(source)} lines without blank ones, comments and docstrings" in page
    assert code('"""One."""\n\n# two\ndef f():\n    """Three."""\n    return (\n        4\n    )\n') == 4


_PIN_IN_MEMORY = "test_nothing_that_can_be_looked_at_holds_a_secret_nor_does_the_memory_of_who_looked"
_FOLLOWED = "test_new_passwords_are_in_nothing_that_a_reset_leaves_and_never_come_back"
_TOLD = "test_what_the_answer_to_a_write_tells_is_dropped"
_HEARD = "test_every_request_that_the_phone_system_heard_was_let_through_by_the_guard"
_CUT = "test_what_is_said_of_the_outcome_is_true_wherever_the_answer_is_cut"
_ENEMY = "test_an_enemy_costs_one_operation"
_FAILED_RESET = "test_a_reset_that_fails_tells_nothing_of_what_was_to_be_written"
# Otherwise equal to the example: the lines that differ, and the tests that fail, which are all of those that do among
# the kit's on secrecy, outcomes and an enemy.
FAULTY = {
    "asks for PINs and drops them": (
        [('"name", "email"]  #', '"name", "email", "pin"]  #')],
        {_PIN_IN_MEMORY, _FOLLOWED},
    ),
    "logs what it sends": (
        [
            ("        answer = await self._stream.ask(request)\n",
             "        if request.writes:\n            logging.getLogger('toy').debug('%s', dict(request.values))\n"
             "        answer = await self._stream.ask(request)\n"),
            ("import json\n", "import json\nimport logging\n"),
        ],
        {_FOLLOWED, _TOLD, _FAILED_RESET},
    ),
    "hands on what the answer to a write tells": (
        [
            ("return {} if request.writes else answer", "return answer"),
            ('        await self.ask("pin", id=person_id, pin=secret.reveal())\n        return c.ResetDone()\n',
             '        told = await self.ask("pin", id=person_id, pin=secret.reveal())\n'
             "        return c.ResetDone((str(told),))\n"),
        ],
        {_TOLD},
    ),
    "keeps in its module what the answer to a write tells": (
        [
            ("        return {} if request.writes else answer",
             "        KEPT.append(repr(answer))\n        return {} if request.writes else answer"),
            ('SHOWN = ["id"', 'KEPT: list[str] = []\nSHOWN = ["id"'),
        ],
        {_TOLD},
    ),
    "sends what is on no list": (
        [('        await self.ask("list", after=None, limit=1)\n',
          '        await self.ask("list", after=None, limit=1)\n'
          "        self._stream._writer.write(b'{\"do\": \"dump\"}\\n')\n"
          "        await self._stream._reader.readline()\n")],
        {_HEARD},
    ),
    "loses the outcome": (
        [("        answer = await self._stream.ask(request)\n",
          "        try:\n            answer = await self._stream.ask(request)\n"
          "        except e.OutcomeUnknown:\n            raise e.Unreachable('the connection was lost') from None\n")],
        {_CUT, _ENEMY},
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTY)
def test_one_that_differs_in_a_few_lines_is_found_by_the_test_that_is_there_for_it(
    tmp_path: Path, frameroom: Path, fault: str
) -> None:
    changes, expected = FAULTY[fault]
    site = installed(changed(tmp_path, *changes), tmp_path / "site")
    failed, said = kit(tmp_path, site, frameroom, words=("-k", "test_secrecy or test_cuts or (enemy and truncated)"))
    assert failed == expected, said


def test_a_name_that_is_none_says_which_there_are(tmp_path: Path, frameroom: Path) -> None:
    for name, words in (
        ("toys", "there is no such bench. There are: lab, toy"), ("frameroom_toy.bench:Nothing", "cannot be loaded"),
        ("no.such.module:X", "cannot be loaded"), ("a b:c", "there is no such bench"),
    ):  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-P", "-m", "pytest", f"--connector={name}"], cwd=tmp_path, capture_output=True, text=True,
            env=environment(installed(TOY, tmp_path / "site"), frameroom),
        )  # fmt: skip
        assert done.returncode == 4
        assert words in done.stderr
        assert "Traceback" not in done.stderr


@pytest.fixture
def deployment(tmp_path: Path) -> Path:
    """A configuration without connectors of others."""
    config = tmp_path / "fr" / "frameroom.toml"
    make_keys(config.parent / "data" / "keys")
    config.write_text('[deployment]\nname = "toy.frameroom.example"\n')
    return config


def frameroom_says(config: Path, site: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The command, with a stranger's distribution installed beside it."""
    return warm.run("gateway.cli.main", "-c", str(config), *words, env=environment(site, ROOT))


def test_what_is_installed_and_not_named_is_never_loaded(tmp_path: Path, deployment: Path) -> None:
    site = installed(TOY, tmp_path / "site")
    (site / "frameroom_toy" / "connector.py").write_text("raise SystemExit('it was loaded')")
    told = frameroom_says(deployment, site, "connectors", "--json")
    assert "lab" in told.stdout
    assert "toy" not in [row["connector"] for row in json.loads(told.stdout)]
    refused = frameroom_says(deployment, site, "system", "add", "Brook", "--name", "x", "--connector", "toy", "--host",
                             "192.0.2.1", "--pin", "x", "--login", "x")  # fmt: skip
    assert refused.returncode == 2
    assert "'toy' is not one of" in refused.stderr
    assert "it was loaded" not in told.stderr + refused.stderr


def test_what_is_named_is_there_and_says_whose_it_is(tmp_path: Path, deployment: Path) -> None:
    site = installed(TOY, tmp_path / "site")
    deployment.write_text(deployment.read_text() + '[connectors]\nalso = ["toy"]\n')
    row = json.loads(frameroom_says(deployment, site, "connectors", "--json").stdout)[-1]
    assert (row["connector"], row["from"]) == ("toy", "frameroom-toy 1.0")
    assert frameroom_says(deployment, site, "config", "check").returncode == 0


@pytest.mark.parametrize(
    ("names", "content", "words"),
    [
        ('["other"]', None, "no installed distribution offers it"),
        ('["lab"]', None, "one of Frameroom's own"),
        ('["toy"]', "raise RuntimeError('CANARY')", "cannot be loaded (RuntimeError)"),
        ('["toy"]', "class ToyFamily:\n    name = 'lab'\n    def capabilities(self): ...\n", "calls itself 'lab'"),
    ],
)  # fmt: skip
def test_what_is_named_and_cannot_be_had_is_told_in_words(
    tmp_path: Path, deployment: Path, names: str, content: str | None, words: str
) -> None:
    site = installed(TOY, tmp_path / "site")
    if content is not None:
        (site / "frameroom_toy" / "connector.py").write_text(content)
    deployment.write_text(deployment.read_text() + f"[connectors]\nalso = {names}\n")
    for command in (["connectors"], ["config", "check"], ["engineer", "list"], ["serve"]):
        done = frameroom_says(deployment, site, *command)
        assert done.returncode != 0, command
        assert words in done.stderr, command
        assert "Traceback" not in done.stderr
        assert "CANARY" not in done.stderr
