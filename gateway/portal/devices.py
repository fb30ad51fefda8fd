"""What a sign-in was made with, in words that its owner knows: "Chrome on Android", not a page of names."""

from __future__ import annotations

from typing import Final

from gateway import notify

_BROWSERS: Final = (
    ("Edg", "Edge"), ("OPR/", "Opera"), ("SamsungBrowser", "Samsung Internet"), ("Firefox", "Firefox"),
    ("FxiOS", "Firefox"), ("Chrome", "Chrome"), ("CriOS", "Chrome"), ("Safari", "Safari"),
)  # fmt: skip
"""In this order: each that comes later calls itself by the name of one that came before, too."""
_MACHINES: Final = (
    ("iPhone", "an iPhone"), ("iPad", "an iPad"), ("Android", "Android"), ("Windows", "Windows"),
    ("Macintosh", "a Mac"), ("CrOS", "a Chromebook"), ("Linux", "Linux"),
)  # fmt: skip


def device_words(user_agent: str) -> str:
    """Browser and machine; what is not known, as it called itself, harmless and not long."""
    browser = next((words for mark, words in _BROWSERS if mark in user_agent), "")
    machine = next((words for mark, words in _MACHINES if mark in user_agent), "")
    if browser and machine:
        return f"{browser} on {machine}"
    return notify.plain(user_agent)[:60] or "A browser that did not say which"
