"""Objects: written once, all at once, and only under names that stay inside the store."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from audit.storage import LocalObjects, StorageError


def test_an_object_is_written_once(objects: LocalObjects) -> None:
    assert objects.put_new("recordings/cus_1/ses_1/0", b"first")
    assert not objects.put_new("recordings/cus_1/ses_1/0", b"second")
    assert objects.get("recordings/cus_1/ses_1/0") == b"first"
    assert list(objects.list("recordings")) == ["recordings/cus_1/ses_1/0"]


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../x", "a/../../x", "a//b", ".", "a/.hidden", "a\0b", "a\nb"])
def test_names_that_leave_the_store_are_refused(objects: LocalObjects, name: str) -> None:
    for call in (lambda: objects.put_new(name, b""), lambda: objects.put(name, b""), lambda: objects.get(name)):
        with pytest.raises(StorageError):
            call()


def test_many_writers_of_one_object_lose_no_update(objects: LocalObjects) -> None:
    def add_one(_: int) -> None:
        assert objects.update("log/cus_1/counter", lambda held: str(int(held or b"0") + 1).encode())

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add_one, range(40)))
    assert objects.get("log/cus_1/counter") == b"40"


def test_a_store_that_cannot_write_says_so_and_leaves_nothing(objects: LocalObjects) -> None:
    (objects.folder / "recordings").write_bytes(b"a file where a folder should be")
    for call in (
        lambda: objects.put_new("recordings/cus_1/0", b"x"),
        lambda: objects.put("recordings/cus_1/0", b"x"),
        lambda: objects.update("recordings/cus_1/0", lambda _: b"x"),
        lambda: list(objects.list("recordings")),
    ):
        with pytest.raises(StorageError):
            call()
    assert [path.name for path in objects.folder.iterdir()] == ["recordings"]


def test_reading_what_cannot_be_read_is_not_mistaken_for_absence(objects: LocalObjects) -> None:
    objects.put_new("a/b", b"x")
    assert objects.get("a/c") is None
    with pytest.raises(StorageError):
        objects.get("a")
