"""Names of interfaces and fields, looked up in the vendor's developer guide where somebody has it on a disk.

`FRAMEROOM_YEASTAR_GUIDE`: a folder with the guide's pages as HTML, Markdown or text (it is not ours to ship).
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from connectors.yeastar import answers

ASKED = (
    "get_token", "refresh_token", "del_token", "system/information", "extension/list", "extension/search",
    "extension/update", "extension/delete", "inbound_route/list", "inbound_route/query",
)  # fmt: skip
SENT = (
    "username", "password", "access_token", "page", "page_size", "sort_by", "order_by", "search_value", "ids",
    "first_name", "last_name", "email_addr", "user_password", "reg_password",
)  # fmt: skip
NOT_KNOWN = {"did", "did_number", "ext_num", "ext_number", "extension", "ext_id", "fxs_phone", "field"}
"""Taken, and not documented in what could be read: see docs/connectors/yeastar.md."""


@pytest.fixture(scope="module")
def guide() -> str:
    """Its words."""
    folder = os.environ.get("FRAMEROOM_YEASTAR_GUIDE")
    if not folder:
        pytest.skip("FRAMEROOM_YEASTAR_GUIDE names no folder with the vendor's developer guide")
    files = [one for one in Path(folder).rglob("*") if one.suffix in (".html", ".md", ".txt")]
    assert files, "there is no page in that folder"
    return "\n".join(re.sub(r"<[^>]*>", "", one.read_text(encoding="utf-8", errors="replace")) for one in files)


@pytest.mark.parametrize("name", ASKED)
def test_an_interface_that_is_asked_is_documented(guide: str, name: str) -> None:
    assert re.search(rf"(?<![\w/]){re.escape(name)}(?!\w)", guide)


@pytest.mark.parametrize("name", SENT)
def test_a_field_that_is_sent_is_documented(guide: str, name: str) -> None:
    assert re.search(rf"(?<!\w){name}(?!\w)", guide)


KEPT = answers.ONLINE | answers.ROUTE_NUMBERS | answers.SYSTEM | answers.TOKENS | answers.OUTCOME


@pytest.mark.parametrize("name", sorted(KEPT - NOT_KNOWN))
def test_a_field_that_is_kept_is_documented(guide: str, name: str) -> None:
    assert re.search(rf"(?<!\w){name}(?!\w)", guide)


def test_no_interface_tells_a_voicemail_pin_to_be_set(guide: str) -> None:
    """If one ever does, a voicemail PIN can be reset, and `capabilities` says otherwise."""
    update = re.search(r"extension/update\?access_token.*?Response parameters", guide, re.S)
    assert update is not None
    assert "vm_pin" not in update[0]
