"""An approver with a telephone: a real Chromium on a phone-sized screen, with an authenticator of its own."""

from __future__ import annotations

from tests.support.portal_browser import PHONE, Telephone, browser, telephone

__all__ = ["PHONE", "Telephone", "browser", "telephone"]
