"""How the helper is spoken to: its reasons in our words, and the connection to it (`transport.helper`)."""

from __future__ import annotations

from typing import Final

from connectors.asterisk_files.requests import GUARD
from connectors.asterisk_files.settings import AsteriskFilesSettings
from connectors.contract import Target, Unseal
from connectors.transport import helper, prompt
from connectors.transport.helper import Link, Reasons

_AT_SYSTEM: Final = "Change it at the phone system."
_PUT_BACK: Final = "Asterisk did not take the change; its files are as they were"

REASONS: Final[Reasons] = {
    "no-mailbox": ("this person has no mailbox, and an address and a PIN are kept there", "Have one made first."),
    "shared-mailbox": ("the mailbox also belongs to other people", _AT_SYSTEM),
    "shared-sip": ("the SIP password is shared with other people", _AT_SYSTEM),
    "several-emails": ("the mailbox has several addresses", _AT_SYSTEM),
    "several-numbers": ("this person has several numbers; which is meant cannot be said here", _AT_SYSTEM),
    "route-does-more": ("that number does more than ring this person", _AT_SYSTEM),
    "no-extension": ("the dialplan has no extension of this person where calls could be sent", _AT_SYSTEM),
    "no-inbound-context": ("the dialplan has no inbound context of the configured name", "Tell the operator."),
    "other-country": ("the phone system's dialplan holds numbers of its own country only", None),
    "no-inbound": ("the helper's configuration names no inbound context, so numbers are not available", None),
    "no-auth": ("a telephone account names a password entry that is in no file", _AT_SYSTEM),
    "no-sip": ("a telephone account signs in by other means than a password of its own", None),
    "in-template": ("the SIP password stands in a template that others share", _AT_SYSTEM),
    "used-as-template": ("other accounts are made from this person's", _AT_SYSTEM),
    "odd-line": ("the line is written in a way that is not edited here", _AT_SYSTEM),
    "busy": ("another change is going on", "Try again in a minute."),
    "console": ("Asterisk does not answer on its console; nothing was changed", "Check that Asterisk runs."),
    **prompt.REASONS,
    "slow": ("Asterisk's console does not answer in time", "Try again when it has less to do."),
    "reload": (_PUT_BACK, "Have Asterisk's log read: it says what it did not like."),
    "reload-unsure": ("Asterisk took neither the change nor the old files again", "Have Asterisk's log read."),
    "not-put-back": ("the files could not all be put back", "Files ending in .frameroom-old hold the old state."),
    "not-writable": ("the helper may not write the files", "The operator's `frameroom system check` says which."),
    "owner": ("the helper cannot keep a file's owner and rights, so it wrote nothing", "Check `run_as`."),
    "conf-unreadable": ("the helper's configuration cannot be read", "Install the helper again."),
    "conf-writable": ("the helper's configuration may be written by others", "chmod 0644, owner root."),
    "conf-unknown": ("the helper's configuration holds what it does not know", "Install the helper again."),
    "missing": ("a file is not there", None),
    "unreadable": ("a file cannot be read by the helper", "The operator's `frameroom system check` says which."),
    "too-long": ("a line or a file is longer than is read", None),
    "too-many-files": ("there are too many included files", None),
    "syntax": ("a line is not as Asterisk writes them", None),
}
_SPEECH: Final = helper.speech(GUARD, REASONS)


async def connect(target: Target, settings: AsteriskFilesSettings, unseal: Unseal) -> Link:
    """Identity, then the credential. Unreachable, IdentityMismatch, CredentialRefused."""
    return await helper.connect(target, settings.login, unseal, _SPEECH)
