"""From a TOML file and the environment to Settings; every problem at once, each with key, line and an example."""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from config.settings import FILE_KEYS, SECRET_KEYS, Settings

PREFIX = "FRAMEROOM_"
_RECEIVERS_FILES: Final = ("ca_file", "certificate", "key")
_OTHER_FILES: Final = (("mail", "ca_file"), ("portal", "provider_ca_file"))


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong at which key (and line, where it stands in the file), and what was expected."""

    key: str
    line: int | None
    words: str

    def __str__(self) -> str:
        place = f"line {self.line}, " if self.line else ""
        return f"{place}{self.key}: {self.words}"


class ConfigError(Exception):
    """All problems of a configuration."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


def _lines(text: str) -> dict[str, int]:
    """Key path → line. Enough for files of sections and keys, dotted or plain, which is all that Settings has. Of
    tables that come several times the path has the number: "streams.receivers.0.host"."""
    found: dict[str, int] = {}
    section = ""
    times: Counter[str] = Counter()
    for number, line in enumerate(text.splitlines(), 1):
        if match := re.match(r"\s*\[\[([\w.-]+)\]\]", line):
            section = f"{match[1]}.{times[match[1]]}"
            times[match[1]] += 1
            found[section] = number
        elif match := re.match(r"\s*\[([\w.-]+)\]", line):
            section = match[1]
            found.setdefault(section, number)
        elif match := re.match(r"\s*([\w.-]+)\s*=", line):
            found.setdefault(f"{section}.{match[1]}".strip("."), number)
    return found


def _several(field: FieldInfo) -> type[BaseModel] | None:
    """The model of a table that may come several times; None for a plain setting."""
    inner = next(iter(get_args(field.annotation)), None)
    return inner if isinstance(inner, type) and issubclass(inner, BaseModel) else None


def _fields() -> dict[str, FieldInfo]:
    """Every setting by its key path, those of tables that may come several times among them."""
    found: dict[str, FieldInfo] = {}
    for section, holder in Settings.model_fields.items():
        for key, field in type(holder.default).model_fields.items():
            found[f"{section}.{key}"] = field
            if (inner := _several(field)) is not None:
                found |= {f"{section}.{key}.{name}": one for name, one in inner.model_fields.items()}
    return found


def known_keys() -> dict[str, str]:
    """Every key path and its description."""
    return {key: field.description or "" for key, field in _fields().items()}


def _example(key: str) -> str:
    """How a setting is written: `port = 2222`."""
    field, last = _fields()[key], key.rpartition(".")[2]
    if _several(field) is not None:
        return f"[[{key}]] and its settings below it"
    value = field.examples[0] if field.examples else to_jsonable_python(field.default)
    return f"{last} = {json.dumps(value, ensure_ascii=False)}"


def _holds_password(url: str) -> bool:
    return withheld(url) != url


def _environment(raw: dict[str, Any], environ: Mapping[str, str], problems: list[Problem]) -> None:
    keys = known_keys()
    for name, value in environ.items():
        if not name.startswith(PREFIX) or "__" not in name:
            continue
        key = ".".join(part.lower() for part in name.removeprefix(PREFIX).split("__"))
        if key not in keys or key.count(".") != 1:
            problems.append(Problem(name, None, f"no such setting{_nearest(key, list(keys))}"))
        elif key in SECRET_KEYS or (key in FILE_KEYS and _holds_password(value)):
            problems.append(
                Problem(name, None, 'a secret never comes from the environment; write "file:PATH" in the file')
            )
        else:
            section, _, last = key.partition(".")
            within = raw.setdefault(section, {})
            if isinstance(within, dict):  # anything else is reported with the file's own problems
                listed = isinstance(getattr(getattr(Settings(), section), last), tuple)
                within[last] = [part.strip() for part in value.split(",") if part.strip()] if listed else value


def _nearest(key: str, keys: list[str]) -> str:
    near = difflib.get_close_matches(key, keys, 1, 0.5)
    return f"; did you mean {near[0]}?" if near else ""


def _secrets(raw: dict[str, Any], folder: Path, lines: Mapping[str, int], problems: list[Problem]) -> None:
    for key in sorted(FILE_KEYS):
        section, _, last = key.partition(".")
        within = raw.get(section)
        value = within.get(last) if isinstance(within, dict) else None
        if not isinstance(within, dict) or value is None:
            continue
        if key not in SECRET_KEYS and not str(value).startswith("file:"):
            continue
        if not isinstance(value, str) or not value.startswith("file:"):
            problems.append(
                Problem(key, lines.get(key), f"a secret stands in a file of its own; for example {_example(key)}")
            )
            continue
        path = folder / value.removeprefix("file:")
        try:
            if path.stat().st_mode & 0o077:
                problems.append(Problem(key, lines.get(key), f"{path} can be read by others: chmod 600 it"))
            within[last] = path.read_text(encoding="utf-8").strip()
        except OSError as error:
            problems.append(Problem(key, lines.get(key), f"{path} cannot be read ({error.strerror})"))
        except ValueError:  # not UTF-8, or a path with a NUL in it
            problems.append(Problem(key, lines.get(key), f"{path!s:.200} is not a file of text".replace("\0", "?")))


def load(path: Path, environ: Mapping[str, str]) -> Settings:
    """Read, check, return. ConfigError with everything that is wrong."""
    problems: list[Problem] = []
    try:
        text = path.read_text(encoding="utf-8")
        raw = tomllib.loads(text)
    except OSError as error:
        raise ConfigError(
            [Problem(str(path), None, f"cannot be read ({error.strerror}); make one with `frameroom init`")]
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError([Problem(str(path), None, f"is not TOML: {error}")]) from error
    lines = _lines(text)
    _environment(raw, environ, problems)
    _secrets(raw, path.parent, lines, problems)
    settings = Settings()
    try:
        settings = Settings.model_validate(raw)
    except ValidationError as error:
        known = known_keys()
        for one in error.errors():
            key = ".".join(part for part in one["loc"] if isinstance(part, str))
            line = lines.get(".".join(map(str, one["loc"])), lines.get(key))
            if one["type"] in {"model_type", "dict_type"} and key in Settings.model_fields:
                problems.append(Problem(key, line, f"is a section: write [{key}] and its settings below it"))
                continue
            unknown = one["type"] == "extra_forbidden"
            words = f"no such setting{_nearest(key, [*known, *Settings.model_fields])}" if unknown else one["msg"]
            expected = f" ({known[key]}); for example {_example(key)}" if key in known else ""
            problems.append(Problem(key, line, words + expected))
    settings = _with_files(settings, path.parent, lines, problems)
    if problems:
        raise ConfigError(problems)
    data = settings.storage.data_dir
    storage = settings.storage.model_copy(update={"data_dir": data if data.is_absolute() else path.parent / data})
    return settings.model_copy(update={"storage": storage})


def _with_files(settings: Settings, folder: Path, lines: Mapping[str, int], problems: list[Problem]) -> Settings:
    """The files that are named, beside the configuration unless their path is absolute; each has to be there."""
    for section, name in _OTHER_FILES:
        if (named := getattr(getattr(settings, section), name)) is None:
            continue
        file, key = folder / named, f"{section}.{name}"
        settings = settings.model_copy(update={section: getattr(settings, section).model_copy(update={name: file})})
        if not file.is_file():
            problems.append(Problem(key, lines.get(key), f"{file!s:.200} is not there".replace("\0", "?")))
    receivers = []
    for number, receiver in enumerate(settings.streams.receivers):
        found = {name: folder / file for name in _RECEIVERS_FILES if (file := getattr(receiver, name)) is not None}
        receivers.append(receiver.model_copy(update=found))
        for name, file in found.items():
            key, line = f"streams.receivers.{name}", lines.get(f"streams.receivers.{number}.{name}")
            try:
                if file.stat().st_mode & 0o077 and name == "key":
                    problems.append(Problem(key, line, f"{file} can be read by others: chmod 600 it"))
            except (OSError, ValueError):
                problems.append(Problem(key, line, f"{file!s:.200} cannot be read".replace("\0", "?")))
    streams = settings.streams.model_copy(update={"receivers": tuple(receivers)})
    return settings.model_copy(update={"streams": streams})


def redacted(settings: Settings) -> dict[str, Any]:
    """For `config show`: no secret."""
    shown = settings.model_dump(mode="json")
    for key in SECRET_KEYS:
        section, _, last = key.partition(".")
        if shown[section][last] is not None:
            shown[section][last] = "(withheld)"
    for name in ("database_url", "owner_url"):
        if (url := shown["storage"][name]) is not None:
            # What stands between the user's name and the host is a password, and so is password= in the query.
            url = re.sub(r"(://[^:@/?]*):[^/?]*@", r"\1:(withheld)@", url)
            shown["storage"][name] = re.sub(r"(?i)(pass\w*=)[^&]*", r"\1(withheld)", url)
    return shown


def withheld(url: str) -> str:
    """A database's URL without its password: what stands between the user's name and the host, and password=."""
    url = re.sub(r"(://[^:@/?]*):[^/?]*@", r"\1:(withheld)@", url)
    return re.sub(r"(?i)(pass\w*=)[^&]*", r"\1(withheld)", url)


def with_value(text: str, key: str, value: str | None) -> str:
    """The text of a configuration with one setting changed (None: its default), all else as it was.

    ConfigError when it is written in a way that only a person should change.
    """
    section, _, last = key.partition(".")
    written = [] if value is None else [f"{last} = {json.dumps(value, ensure_ascii=False)}"]
    lines = text.splitlines()
    places = _lines(text)
    if key in places:
        before = lines[places[key] - 1]
        dotted = before.lstrip().startswith(section + ".")
        lines[places[key] - 1 : places[key]] = [f"{section}.{w}" if dotted else w for w in written]
    elif section in places:
        lines[places[section] : places[section]] = written
    elif written:
        lines += [f"[{section}]", *written]
    changed = "\n".join(lines) + "\n"
    try:
        found = tomllib.loads(changed).get(section, {}).get(last)
    except (tomllib.TOMLDecodeError, AttributeError):
        found = changed  # whatever it is, it is not what was wanted
    if found != value:
        raise ConfigError([Problem(key, places.get(key), f"must be changed by hand to {json.dumps(value)}")])
    return changed


def json_schema() -> dict[str, Any]:
    """JSON Schema of the file, for editors: keys, bounds, defaults and meanings."""
    return Settings.model_json_schema()


def reference() -> str:
    """The text of reference.toml: every setting with its meaning and default."""
    parts = ["# Every setting of Frameroom, with its default. Secrets stand in files of their own.\n"]
    for section, holder in Settings.model_fields.items():
        parts.append(f"\n[{section}]\n")
        for key, field in type(holder.default).model_fields.items():
            if (inner := _several(field)) is not None:
                parts.append(f"# {field.description}: a table like this each, as many as there are\n")
                lines = [f"[[{section}.{key}]]"]
                for name, one in inner.model_fields.items():
                    lines += [f"# {one.description}", _example(f"{section}.{key}.{name}")]
                parts += [f"# {line}\n" for line in lines]
                continue
            default = holder.default.model_dump(mode="json")[key]
            written = f"# {_example(f'{section}.{key}')}" if default is None else f"{key} = {json.dumps(default)}"
            parts.append(f"# {field.description}\n{written}\n")
    return "".join(parts)
