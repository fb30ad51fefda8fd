"""All pages that a customer may see, in a real browser: nobody stumbles, nothing sticks out, nothing weighs too much.

The pages come from the portal's own table: one that no face shows fails here (tests/support/faces.py says what to add).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from playwright.async_api import Browser, Page, Request

from gateway.cli.demo import Demo, ask_for
from tests.end_to_end.browsing import browser, telephone
from tests.support.faces import Face, Furnished, faces_of, furnished, unseen
from tests.support.need import need_axe, need_player, need_tool

__all__ = ["browser"]
LARGEST = 150_000
"""Bytes of a page and all that it loads by itself, the player aside."""
MODES = {
    "desktop, light": (1280, 800, "light"),
    "desktop, dark": (1280, 800, "dark"),
    "200 % zoom": (640, 400, "light"),
    "telephone, light": (360, 740, "light"),
    "telephone, dark": (360, 740, "dark"),
}
"""Zoom of 200 % halves how many CSS pixels a window is wide and high."""
_RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
_FOUND = """async (rules) => (await axe.run(document, rules)).violations.map(
  (v) => v.id + ": " + v.nodes.map((n) => n.target.join(" ") + " " + n.failureSummary).join("; "))"""
_MOVING = 'document.getAnimations().filter((one) => one.playState === "running").length'


@dataclass
class Weight:
    """What a page and everything it loads weighs, as it comes over the wire."""

    loaded: list[Request] = field(default_factory=list)

    def add(self, request: Request) -> None:
        """One of what was loaded to its end."""
        self.loaded.append(request)

    async def bytes(self) -> int:
        """Without the player, which two pages load for their terminal, and without what that shows."""
        apart = ("/vendor/", "/live", "/cast")
        ours = [request for request in self.loaded if not any(part in request.url for part in apart)]
        # What the browser counted; what a page that was left in between had loaded cannot be read any more.
        return sum([(await request.sizes())["responseBodySize"] for request in ours])


async def _faults(page: Page, axe: str, name: str) -> list[str]:
    """In each way of looking at it."""
    faults: list[str] = []
    await page.evaluate(axe)
    for mode, (width, height, scheme) in MODES.items():
        await page.set_viewport_size({"width": width, "height": height})
        await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
        faults += [f"{name}, {mode}: {one}" for one in await page.evaluate(_FOUND, _RULES)]
        wide = await page.evaluate("document.documentElement.scrollWidth")
        if wide > width:
            faults.append(f"{name}, {mode}: {wide} pixels wide")
        if moving := await page.evaluate(_MOVING):
            faults.append(f"{name}, {mode}: {moving} things move, though no motion was asked for")
    return faults


async def _looked_at(there: Furnished, face: Face, axe: str) -> list[str]:
    page, weight = there.kate.page if face.signed_in else there.stranger, Weight()
    page.on("requestfinished", weight.add)
    try:
        await there.show(face)
        size = await weight.bytes()
    finally:
        page.remove_listener("requestfinished", weight.add)
    assert size > 0, f"{face.name}: nothing was weighed"
    faults = await _faults(page, axe, face.name)
    return [*faults, f"{face.name}: {size} bytes"] if size > LARGEST else faults


@pytest.mark.timeout(600)  # a busy machine takes its time over some hundred looks
async def test_every_page_is_fit_to_be_looked_at_by_anybody(demo: Demo, browser: Browser) -> None:
    axe = need_axe()
    need_player()
    need_tool("ssh", "openssh-client")
    async with furnished(demo, browser) as there:
        faces = faces_of(there)
        assert unseen(demo, faces) == set()
        faults: list[str] = []
        for face in faces:
            faults += await _looked_at(there, face, axe)
    assert not faults, "\n".join(faults)


_FOCUSED = """() => { const e = document.activeElement, s = getComputedStyle(e), b = e.getBoundingClientRect();
  const seen = s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 2 && b.bottom > 0 && b.top < innerHeight;
  return [(e.labels?.[0] ?? e).innerText.split("\\n")[0].trim(), seen]; }"""


async def test_9_a_yes_is_given_by_the_keyboard_alone(demo: Demo, browser: Browser) -> None:
    phone = await telephone(browser)
    await phone.invited(demo)
    request = await ask_for(demo, "find,view", "Grace is locked out")
    page, keys = phone.page, phone.page.keyboard
    await page.goto(f"{demo.app.portal_url()}/requests/{request.id}")
    await keys.press("Tab")
    assert await page.evaluate(_FOCUSED) == ["To the content", True]
    await keys.press("Enter")  # past the places, which are many
    order = []
    for _ in range(5):
        await keys.press("Tab")
        words, seen = await page.evaluate(_FOCUSED)
        assert seen, f"it cannot be seen that {words} has the focus"
        order.append(words)
        if words.startswith("look up"):
            await keys.press("Space")  # less than was asked for
    assert order == [
        "look up people by name, number or email", "see one person's name, email and direct number", "For how long",
        "Yes, let them in", "No",
    ]  # fmt: skip
    await keys.press("Shift+Tab")
    await keys.press("Enter")
    await page.get_by_text("This request is granted").wait_for()
    assert await page.get_by_role("listitem").all_inner_texts() == ["See one person's name, email and direct number."]
    assert phone.trouble == []
