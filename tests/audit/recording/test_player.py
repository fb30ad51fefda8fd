"""Playback: hostile output stays text, whatever its pieces; exports load in a player that others wrote."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.recording.frames import (
    MARKER,
    OUTPUT,
    RESIZE,
    RecordingError,
    open_segment,
    pack,
    read_records,
    seal_record,
    seal_segment,
    unpack,
)
from audit.recording.player import Player, plain, sanitise
from audit.recording.sanitise import Sanitiser
from audit.sealing import FileKeyStore, SealingError
from audit.storage import LocalObjects

CUSTOMER, SESSION, KEY = "cus_" + "1" * 24, "ses_" + "2" * 24, bytes(32)

_ALLOWED = re.compile("\x1b\\[[0-9;:]*[mABCDEFGHJKdfPX@LM]")
_PIECES = (
    "\x1b [ ] P ^ _ X \\ \x07 \x9b \x9d \x90 \x9c ? 25 6n c ; h m 31m A \x18 \x00 \x7f \u202e > !p 0;title 52;c;aGk="
)
_HOSTILE = st.lists(st.sampled_from([*_PIECES.split(" "), "text", "\n", "\r"]), max_size=30)


def harmless(text: str) -> bool:
    """Nothing is left but allowed sequences and characters."""
    rest = _ALLOWED.sub("", text)
    return all(c in "\n\r\t\b" or (c >= " " and not "\x7f" <= c <= "\x9f" and c != "\u202e") for c in rest)


@given(_HOSTILE)
def test_whatever_the_pieces_only_harmless_text_comes_out(pieces: list[str]) -> None:
    sanitiser = Sanitiser()
    assert harmless("".join(sanitiser.feed(piece) for piece in pieces))
    assert harmless(sanitise("".join(pieces)))
    assert "\x1b" not in plain("".join(pieces))


@given(_HOSTILE, st.integers(0, 60))
def test_where_a_frame_ends_changes_nothing(pieces: list[str], cut: int) -> None:
    whole = "".join(pieces)
    sanitiser = Sanitiser()
    assert sanitiser.feed(whole[:cut]) + sanitiser.feed(whole[cut:]) == sanitise(whole)


@pytest.mark.parametrize(
    "attack",
    [
        "\x1b]0;title\x07",
        "\x1b]52;c;cm0gLXJm\x1b\\",
        "\x1bP$q\x1b\\",
        "\x1b_apc\x1b\\",
        "\x1b^pm\x9c",
        "\x9b6n",
        "\x9d0;x\x9c",
        "\x1b[6n",
        "\x1b[c",
        "\x1b[?1049h",
        "\x1b[21t",
        "\x1b[?25\x01h",
        "\x1b\x1b[6n[6n",
        "\x1bc",
        "\x1b#8",
        "\x1b(0",
        "\x1b[>0c",
    ],
)
def test_an_attack_leaves_no_control_and_the_text_around_it_stays(attack: str) -> None:
    for cut in range(len(attack) + 1):
        sanitiser = Sanitiser()
        out = sanitiser.feed("before " + attack[:cut]) + sanitiser.feed(attack[cut:] + " after")
        assert "\x1b" not in out
        assert harmless(out)
        assert out.startswith("before ")
        assert out.endswith(" after")


def test_colours_and_cursor_stay() -> None:
    shown = "\x1b[1;31mred\x1b[0m\x1b[2K\x1b[3;4H\x1b[D"
    assert sanitise(shown) == shown


def record(objects: LocalObjects, keys: FileKeyStore, segments: list[list[bytes]]) -> Player:
    """Store a recording of these frames."""
    key = keys.get_or_create(CUSTOMER, f"session:{SESSION}")
    for number, frames in enumerate(segments):
        data = seal_segment(key, CUSTOMER, SESSION, number, number, b"".join(frames))
        objects.put_new(f"recordings/{CUSTOMER}/{SESSION}/{number}", data)
    return Player(objects, keys, CUSTOMER, SESSION)


@pytest.fixture
def player(objects: LocalObjects, keys: FileKeyStore) -> Player:
    word = "Zoë 日本 ".encode()
    first = [pack(0, RESIZE, b"80x24")] + [pack(1000 * n, OUTPUT, word[n : n + 1]) for n in range(len(word))]
    second = [
        pack(2_000_000, MARKER, b"reset"),
        pack(2_100_000, OUTPUT, b"$ find gr\x1b[1"),
        pack(2_200_000, OUTPUT, b"mace\x1b[0m\r\n\x1b]0;ti"),
        pack(2_300_000, OUTPUT, b"tle\x07Grace Bell \xff\xfe\r\n"),
        pack(2_400_000, RESIZE, b"100x30"),
        pack(2_500_000, OUTPUT, "half é".encode()[:-1]),
    ]
    return record(objects, keys, [first, second])


def test_characters_cut_in_two_by_frames_and_segments_come_whole(player: Player) -> None:
    assert "".join(text for _, text in player.text()).startswith("Zoë 日本 ")


def test_search_finds_what_was_read_not_what_was_sent(player: Player) -> None:
    assert [line for _, line in player.search("find GRACE")] == ["Zoë 日本 $ find grace"]
    assert [line for _, line in player.search("grace bell")] == ["Grace Bell ��"]
    assert list(player.search("title")) == []


def test_seeking_starts_where_asked(player: Player) -> None:
    assert next(iter(player.frames(2_150_000))).offset_us == 2_200_000


def strict_asciicast(lines: list[str]) -> list[tuple[float, str, str]]:
    """The published format of asciicast v2, stricter than players are. Returns the events."""
    header = json.loads(lines[0])
    assert header["version"] == 2
    assert all(isinstance(header[name], int) and header[name] > 0 for name in ("width", "height"))
    events = [json.loads(line) for line in lines[1:]]
    last = 0.0
    for event in events:
        when, kind, data = event
        assert isinstance(when, int | float)
        assert last <= when
        last = when
        assert kind in ("o", "i", "m", "r")
        assert isinstance(data, str)
        data.encode()
        assert kind != "r" or re.fullmatch(r"[1-9]\d*x[1-9]\d*", data)
    return [(event[0], event[1], event[2]) for event in events]


def test_the_export_is_strict_asciicast_and_harmless(player: Player) -> None:
    events = strict_asciicast(list(player.asciicast("a visit")))
    shown = "".join(data for _, kind, data in events if kind == "o")
    assert harmless(shown)
    assert shown.endswith("half �")
    assert [data for _, kind, data in events if kind == "m"] == ["reset"]
    assert not any(kind == "i" for _, kind, _ in events)


def test_asciinema_plays_the_export(player: Player, tmp_path: Path) -> None:
    (tmp_path / "visit.cast").write_text("\n".join(player.asciicast("a visit")) + "\n")
    played = subprocess.run(
        [str(Path(sys.executable).with_name("asciinema")), "cat", str(tmp_path / "visit.cast")],
        capture_output=True,
        check=True,
        timeout=60,
        env={"HOME": str(tmp_path), "LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"},
    )
    assert "Zoë 日本 $ find gr".encode() in played.stdout


def test_a_segment_put_in_anothers_place_does_not_open(objects: LocalObjects, keys: FileKeyStore) -> None:
    record(objects, keys, [[pack(0, OUTPUT, b"a")], [pack(1, OUTPUT, b"b")]])
    second = objects.get(f"recordings/{CUSTOMER}/{SESSION}/1") or b""
    objects.put(f"recordings/{CUSTOMER}/{SESSION}/0", second)
    with pytest.raises(SealingError):
        list(Player(objects, keys, CUSTOMER, SESSION).frames())


# -- the parsers: frames, records, segments. Invariant: their own error or the bytes back, nothing else --


@given(st.lists(st.tuples(st.integers(0, 2**60), st.sampled_from([OUTPUT, RESIZE, MARKER]), st.binary(max_size=50))))
def test_frames_read_back(frames: list[tuple[int, int, bytes]]) -> None:
    read = list(unpack(b"".join(pack(*frame) for frame in frames)))
    assert [(frame.offset_us, frame.direction, frame.data) for frame in read] == frames


@given(st.binary(max_size=80))
def test_hostile_frames(data: bytes) -> None:
    try:
        read = list(unpack(data))
    except RecordingError:
        return
    assert b"".join(pack(frame.offset_us, frame.direction, frame.data) for frame in read) == data


@given(st.binary(max_size=200), st.integers(0, 400))
def test_a_journal_cut_anywhere_gives_its_whole_records(data: bytes, cut: int) -> None:
    records = [b"".join(seal_record(KEY, CUSTOMER, SESSION, number, data)) for number in (1, 2)]
    journal = b"".join(records)[: cut % (len(records[0]) * 2)]
    read = list(read_records(journal))
    assert len(read) == len(journal) // len(records[0])
    assert all(record.open(KEY) == data for record in read)


@given(st.binary(max_size=120))
def test_hostile_journals_and_segments(data: bytes) -> None:
    for found in read_records(data):
        with pytest.raises(SealingError):
            found.open(KEY)
    with pytest.raises((SealingError, RecordingError)):
        open_segment(KEY, CUSTOMER, SESSION, 0, data)


@given(st.text(max_size=60))
def test_a_run_of_text_is_let_through_as_its_characters_are(text: str) -> None:
    one_by_one = Sanitiser()
    assert sanitise(text) == "".join(one_by_one._one(character) for character in text)


class Counting(LocalObjects):
    """A store that counts what is fetched from it."""

    fetched = 0

    def get(self, name: str) -> bytes | None:
        self.fetched += 1
        return super().get(name)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 200])
def test_a_place_is_found_without_opening_what_comes_before(tmp_path: Path, keys: FileKeyStore, count: int) -> None:
    objects = Counting(tmp_path / "counted")
    made = record(objects, keys, [[pack(n * 5_000_000, OUTPUT, b"%d\n" % n)] for n in range(count)])
    for at in {0, 1, count // 2, count - 1}:
        objects.fetched = 0
        first = next(iter(made.text(at * 5_000_000)), None)
        assert first == ((at * 5_000_000, f"{at}\n") if at < count else None)
        assert objects.fetched <= 20
        if at < count - 1:
            assert next(made.frames(at * 5_000_000 + 1)).offset_us == (at + 1) * 5_000_000
    assert list(made.frames(count * 5_000_000)) == []
    assert list(made.search("0", 5_000_001)) == [o for o in made.search("0") if o[0] >= 5_000_001]


def test_a_sequence_that_began_before_the_place_is_still_seen_as_one(objects: LocalObjects, keys: FileKeyStore) -> None:
    frames = [pack(0, OUTPUT, b"a"), pack(1_000, OUTPUT, b"\x1b]0;ti"), pack(2_000, OUTPUT, b"tle\x07shown")]
    player = record(objects, keys, [frames])
    assert list(player.text(2_000)) == [(2_000, "shown")]
