"""How the helper is spoken to: its reasons in our words, and the connection to it (`transport.helper`)."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from connectors.contract import Target, Unseal
from connectors.freepbx.requests import GUARD, line
from connectors.freepbx.settings import FreePbxSettings
from connectors.transport import helper, prompt
from connectors.transport.helper import Link, Reasons

_AT_SYSTEM: Final = "Change it in FreePBX's own pages."
_LOOK: Final = "`show` the person to see which it was; FreePBX's own pages say what waits to be applied."

REASONS: Final[Reasons] = {
    "no-mailbox": ("this person has no mailbox and no portal user", "Have one made first."),
    "no-portal": ("this person has no portal user", None),
    "several-portals": ("several portal users have this extension", _AT_SYSTEM),
    "several-emails": ("several addresses are kept where this person's is", _AT_SYSTEM),
    "directory": ("the portal user comes from another directory, which FreePBX may not change", "Change it there."),
    "several-numbers": ("this person has several numbers; which is meant cannot be said here", _AT_SYSTEM),
    "route-does-more": ("that number's inbound route is for some callers only, or one of several", _AT_SYSTEM),
    "other-country": ("the phone system's inbound routes hold numbers of its own country only", None),
    "no-sip": ("this person has no SIP telephone whose password could be reset", None),
    "policy": (
        "FreePBX's rules for portal passwords did not take the new one; nothing was written",
        "In User Manager's settings, rules for special characters and punctuation have to be off.",
    ),
    "busy": ("another change is going on", "Try again in a minute."),
    "console": ("Asterisk does not answer FreePBX; nothing was changed", "Check that Asterisk runs."),
    "reload": ("it was written, and FreePBX could not apply it (fwconsole reload)", _LOOK),
    "half": ("FreePBX failed in the middle of the change", _LOOK),
    "died": ("FreePBX's PHP ended, or took too long", _LOOK),
    **prompt.REASONS,
    "no-asterisk": ("Asterisk does not answer on its console", "Check that Asterisk runs."),
    "no-fwconsole": (
        "FreePBX's fwconsole does not do that",
        "The operator's `frameroom system check` says whether it is found.",
    ),
    "prompt-unsure": ("Asterisk's prompt ended without saying whether it was done", "Look at what it was to change."),
    "slow": ("it did not come to its end in time", "Try again when the phone system has less to do."),
    "long-line": ("a line of its answer is longer than is read", None),
    "no-worker": ("the helper cannot start PHP", "Install the helper again."),
    "internal": ("FreePBX's PHP failed", "Have FreePBX's log read (/var/log/asterisk/freepbx.log)."),
    "conf-unreadable": ("the helper's configuration cannot be read", "Install the helper again."),
    "conf-writable": ("the helper's configuration may be written by others", "chmod 0644, owner root."),
    "conf-unknown": ("the helper's configuration holds what it does not know", "Install the helper again."),
}


async def connect(target: Target, settings: FreePbxSettings, unseal: Unseal) -> Link:
    """Identity, then the credential. Unreachable, IdentityMismatch, CredentialRefused."""
    spoken = replace(helper.speech(GUARD, REASONS, settings.apply_seconds * 1000), wire=line)
    return await helper.connect(target, settings.login, unseal, spoken)
