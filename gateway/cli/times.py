"""Times as operators type and read them: in this machine's zone, unless they carry an offset; shown with the zone."""

from __future__ import annotations

import re
import time
from datetime import datetime
from typing import Any, Final

import click

_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_UNITS: Final = {"m": 60, "h": 3600, "d": 86400}
_AGO: Final = re.compile(r"(\d{1,5})\s*([mhd])\s+ago", re.ASCII)
_CLOCK: Final = r"(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2}))?"
_ISO: Final = re.compile(rf"(?P<year>\d{{4}})-(?P<month>\d{{2}})-(?P<day>\d{{2}})(?:[T ]{_CLOCK})?", re.ASCII)
_DAY: Final = re.compile(
    rf"(?P<day>\d{{1,2}})\s+(?P<name>[a-z]{{3}})[a-z]*\s*(?P<year>\d{{4}})?(?:\s+{_CLOCK})?", re.ASCII
)
_TODAY: Final = re.compile(_CLOCK, re.ASCII)
EXAMPLES: Final = "2026-11-25T14:00, '25 Nov 14:00', 14:00, '2h ago', or with an offset 2026-11-25T14:00+01:00"


class TimeError(ValueError):
    """Words that are no time, or none that this zone has exactly once."""


def _local_s(year: int, month: int, day: int, hour: int, minute: int, second: int) -> float:
    """Unix seconds of a local time, which must exist, and only once."""
    given = (year, month, day, hour, minute, second)
    try:
        found = {time.mktime((*given, 0, 0, summer)) for summer in (0, 1)}
        found = {at for at in found if time.localtime(at)[:6] == given}
    except (OverflowError, ValueError, OSError) as error:
        raise TimeError("there is no such time") from error
    if not found:
        raise TimeError("there is no such time (a day too many, or the clocks go forward then)")
    if len(found) > 1:
        raise TimeError("that time comes twice, as the clocks go back: add an offset, like +01:00")
    return found.pop()


def _of_match(match: re.Match[str], now_s: float) -> float:
    parts = match.groupdict()
    today = time.localtime(now_s)
    clock = tuple(int(parts[name] or 0) for name in ("hour", "minute", "second"))
    month = int(parts.get("month") or today.tm_mon)
    if name := parts.get("name"):
        if name not in _MONTHS:
            raise TimeError(f"{name} is no month")
        month = _MONTHS.index(name) + 1
    day = int(parts.get("day") or today.tm_mday)
    if parts.get("year") or not name:
        return _local_s(int(parts.get("year") or today.tm_year), month, day, *clock)
    # Without a year it is the nearest: on New Year's Day "31 Dec" was yesterday.
    years = (today.tm_year - 1, today.tm_year, today.tm_year + 1)
    found = [_local_s(year, month, day, *clock) for year in years if _exists(year, month, day)]
    if not found:
        raise TimeError("there is no such day")
    return min(found, key=lambda at: abs(at - now_s))


def _exists(year: int, month: int, day: int) -> bool:
    try:
        time.strptime(f"{year} {month} {day}", "%Y %m %d")
    except ValueError:
        return False
    return True


def parse(text: str, now_s: float) -> int:
    """Unix milliseconds of a time as typed. TimeError says what is wrong with it."""
    words = " ".join(text.split()).casefold()
    if words == "now":
        return int(now_s * 1000)
    if match := _AGO.fullmatch(words):
        return int((now_s - int(match[1]) * _UNITS[match[2]]) * 1000)
    for pattern in (_ISO, _DAY, _TODAY):
        if match := pattern.fullmatch(words.upper() if pattern is _ISO else words):
            return int(_of_match(match, now_s) * 1000)
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise TimeError(f"that is no time; write {EXAMPLES}") from error
    if at.tzinfo is None:
        raise TimeError(f"that is no time; write {EXAMPLES}")
    return int(at.timestamp() * 1000)


def local(iso: str, *, seconds: bool = True) -> str:
    """A time as it travels ("2026-11-25T14:00:00Z"), as this machine's people read it, with the zone."""
    try:
        at = datetime.fromisoformat(iso).timestamp()
        return time.strftime(f"%Y-%m-%d %H:%M{':%S' if seconds else ''} %Z", time.localtime(at))
    except (ValueError, OverflowError, OSError):
        return iso


class When(click.ParamType[int]):
    """An option that is a time; gives Unix milliseconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Or a usage error that shows what can be written."""
        if isinstance(value, int):
            return value
        try:
            return parse(str(value), time.time())
        except TimeError as error:
            self.fail(f"{value!r}: {error}", param, ctx)


WHEN: Final = When()
_OFFSET: Final = re.compile(r"(?:(?P<h>\d{1,3})h)?(?:(?P<m>\d{1,4})m)?(?:(?P<s>\d{1,6}(?:\.\d{1,6})?)s?)?")
_COLONS: Final = re.compile(r"(?:(\d{1,3}):)?(\d{1,2}):(\d{2}(?:\.\d{1,6})?)")


class Offset(click.ParamType[int]):
    """A place in a recording: 90, 1m30s, 1:30; gives microseconds."""

    name = "offset"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Or a usage error."""
        if isinstance(value, int):
            return value
        text = str(value).strip()
        if match := _COLONS.fullmatch(text):
            hours, minutes, seconds = match.groups()
        elif text and (match := _OFFSET.fullmatch(text)):
            hours, minutes, seconds = match["h"], match["m"], match["s"]
        else:
            self.fail(f"{value!r} is no place in a recording; write 90, 1m30s or 1:30", param, ctx)
        return int((int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(seconds or 0)) * 1_000_000)


OFFSET: Final = Offset()


def place_of(seconds: float) -> str:
    """A place in a recording as `--at` takes it, never later than it is: 1:30.25 or 2:01:30.00."""
    hundredths = int(seconds * 100)
    minutes, rest = divmod(hundredths, 6_000)
    hours, minutes = divmod(minutes, 60)
    small = f"{rest // 100:02d}.{rest % 100:02d}"
    return f"{hours}:{minutes:02d}:{small}" if hours else f"{minutes}:{small}"
