"""`make screenshots`: a picture of each page that a customer may see, light and dark, on a desk and on a telephone.

They go to `screenshots/`, which git ignores; look at them after every change to a page. Each is whole, however long.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from gateway.cli.demo import started
from gateway.cli.telephone import browsing, chromium
from gateway.portal.visits import has_player
from tests.support.faces import faces_of, furnished

WIDTHS = {"desktop": (1280, 800), "phone": (390, 844)}


async def take(into: Path, wanted: list[str]) -> int:
    """All of them, or those whose names begin with one of `wanted`; how many."""
    program = chromium()
    if program is None:
        raise SystemExit("No Chromium was found, so there are no pictures (Debian: apt-get install chromium).")
    if not has_player():
        print("The player is missing (make frontend): the pages with a terminal say so in their pictures.")
    into.mkdir(exist_ok=True)
    count = 0
    with tempfile.TemporaryDirectory(prefix="frameroom-faces-") as folder:
        async with started(Path(folder)) as demo, browsing(program) as browser, furnished(demo, browser) as there:
            for face in faces_of(there):
                page = await there.show(face)
                if wanted and not any(face.name.startswith(one) for one in wanted):
                    continue
                for screen, (width, height) in WIDTHS.items():
                    await page.set_viewport_size({"width": width, "height": height})
                    for scheme in ("light", "dark"):
                        await page.emulate_media(color_scheme=scheme)
                        await page.screenshot(path=into / f"{face.name}-{screen}-{scheme}.png", full_page=True)
                        count += 1
    return count


if __name__ == "__main__":
    place = Path("screenshots")
    print(f"{asyncio.run(take(place, sys.argv[1:]))} pictures in {place}/")
