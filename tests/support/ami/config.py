"""Asterisk's configuration files as the manager interface sees them: categories, templates, includes, updates."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

_COMMENT = re.compile(r"(?<!\\);.*")
_CATEGORY = re.compile(r"\[([^\]]+)\](?:\(([^)]*)\))?")


class UpdateError(Exception):
    """What Asterisk says when an update is not done."""


@dataclass(slots=True)
class Line:
    """One variable; `inherited` from a template. `file`: where it is written; "": where its section is."""

    name: str
    value: str
    inherited: bool = False
    file: str = ""


@dataclass(slots=True)
class Category:
    """One section."""

    name: str
    template: bool = False
    templates: list[str] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    file: str = ""

    def last(self, name: str) -> str | None:
        """The value that counts."""
        return next((line.value for line in reversed(self.lines) if line.name == name), None)


def parse(files: Mapping[str, str], name: str) -> list[Category]:
    """A file with what it includes."""
    found: list[Category] = []
    _parse(files, name, found)
    return found


def _parse(files: Mapping[str, str], name: str, found: list[Category]) -> None:
    for raw in files[name].splitlines():
        text = (_COMMENT.sub("", raw) if ";" in raw else raw).strip()
        if not text:
            continue
        if text.startswith("#include"):
            _parse(files, text.split(None, 1)[1].strip('"'), found)
        elif match := _CATEGORY.fullmatch(text):
            options = [option.strip() for option in (match[2] or "").split(",") if option.strip()]
            made = Category(match[1], "!" in options, [option for option in options if option != "!"],
                            file=name)  # fmt: skip
            for base in reversed(made.templates):
                template = next(c for c in found if c.template and c.name == base)
                made.lines[:0] = [Line(line.name, line.value, True, template.file) for line in template.lines]
            found.append(made)
        elif found:
            key, _, value = text.partition("=")
            found[-1].lines.append(Line(key.strip(), value.removeprefix(">").strip()))
        else:
            raise ValueError("a line before any section")


def browse(categories: list[Category], name: str = "", expression: str = "") -> Iterator[Category]:
    """Those of a name that match `name_regex=value_regex,…`: a filter chooses sections, never lines."""
    pairs = [part.strip().split("=", 1) for part in expression.split(",") if part.strip()]
    for category in categories:
        if name and category.name.lower() != name.lower():
            continue
        wanted = dict(pairs) if all(len(pair) == 2 for pair in pairs) else None
        if wanted is None:
            continue
        templates = wanted.pop("TEMPLATES", "")
        if (category.template and not templates) or (templates == "restrict" and not category.template):
            continue
        if all(
            any(re.search(key, line.name) and re.search(value, line.value) for line in category.lines)
            for key, value in wanted.items()
        ):
            yield category


def _catfilter(options: str) -> str:
    """The filter in quotes; without them what follows the second "=" is lost, and with it every match."""
    found = re.search(r'catfilter\s*=\s*(?:"([^"]*)"|([^=,]*))', options)
    return "" if found is None else found[1] if found[1] is not None else found[2]


def _update(category: Category, name: str, value: str, match: str) -> bool:
    for line in category.lines:
        if line.name.lower() == name.lower() and (not match or line.value.lower() == match.lower()):
            line.value, line.inherited = value, False
            return True
    return False


def _delete(category: Category, name: str, match: str) -> bool:
    kept = [
        line for line in category.lines
        if not (line.name.lower() == name.lower() and (not match or line.value.lower() == match.lower()))
    ]  # fmt: skip
    changed = len(kept) < len(category.lines)
    category.lines = kept
    return changed


def update(categories: list[Category], headers: Mapping[str, str]) -> None:
    """The sub-actions in their order, on a copy that the caller drops when one fails. UpdateError."""
    for number in range(100_000):
        key = f"{number:06d}"
        action = headers.get(f"Action-{key}", "").lower()
        if not action:
            return
        name = headers.get(f"Cat-{key}", "")
        if not name:
            raise UpdateError("Category not specified")
        var, match = headers.get(f"Var-{key}", ""), headers.get(f"Match-{key}", "")
        value = headers.get(f"Value-{key}", "").removeprefix(">")
        if action == "newcat":
            categories.append(Category(name, file=headers.get("DstFilename", "")))
            continue
        found = list(browse(categories, name, _catfilter(headers.get(f"Options-{key}", ""))))
        if not found:
            raise UpdateError("Given category does not exist")
        if action == "delcat":
            categories[:] = [category for category in categories if not any(category is gone for gone in found)]
        elif action == "append":
            for category in found:
                category.lines.append(Line(var, value, file=headers.get("DstFilename", "")))
        elif action in ("update", "delete"):
            done = [
                _update(category, var, value, match) if action == "update" else _delete(category, var, match)
                for category in found
            ]
            if not any(done):
                raise UpdateError("Update did not complete successfully")
        else:
            raise UpdateError("Unknown action command")


def read_again(categories: list[Category]) -> None:
    """What writing the file and reading it does: a template's lines come back, and one's own that equal them go. A line
    of another file than its section's is written at that file's end, and so belongs to whichever section is last there.
    """
    templates = {category.name: category for category in categories if category.template}
    last = dict[str, Category]()
    for category in categories:
        last[category.file] = category
        bases = [line for name in category.templates for line in templates[name].lines]
        same = {(line.name, line.value) for line in bases}
        own = [line for line in category.lines if not line.inherited and (line.name, line.value) not in same]
        for line in own:
            if line.file not in ("", category.file) and line.file in last:
                last[line.file].lines.append(Line(line.name, line.value))
        own = [line for line in own if line.file in ("", category.file)]
        if category.templates:
            file = templates[category.templates[0]].file
            category.lines = [Line(line.name, line.value, True, file) for line in bases] + own
        else:
            category.lines = own
