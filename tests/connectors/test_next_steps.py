"""What an engineer is told to do next: something that they can do, or whom to ask."""

from __future__ import annotations

from connectors import errors
from connectors.asterisk_files import link as asterisk_files
from connectors.errors import ConnectorError
from connectors.freepbx import link as freepbx


def test_an_operators_command_is_never_told_without_saying_whose_it_is() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ConnectorError)]
    told = [kind.default_next for kind in kinds]
    for reasons in (asterisk_files.REASONS, freepbx.REASONS):
        told += [following or "" for _, following in reasons.values()]
    assert len(told) > 40
    assert [words for words in told if "`frameroom " in words and "operator" not in words] == []
