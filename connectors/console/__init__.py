"""The guarded console: what may be typed at a phone system's prompt, and the filter that its output passes.

Reading order: `grammar` (an entry, and how a line is parsed and rendered again), `asterisk` and `others` (the reviewed
catalogues), `catalogues` (whose is which), `output` (secrets withheld, terminals left alone).
"""

from connectors.console.asterisk import ASTERISK, FREEPBX
from connectors.console.catalogues import catalogue, diagnostics, extras
from connectors.console.grammar import Catalogue, Class, Entry, Slot, complete, find, only, parse, understood
from connectors.console.others import AVAYA, FREESWITCH
from connectors.console.output import OutputFilter

__all__ = [
    "ASTERISK", "AVAYA", "FREEPBX", "FREESWITCH", "Catalogue", "Class", "Entry", "OutputFilter", "Slot", "catalogue",
    "complete", "diagnostics", "extras", "find", "only", "parse", "understood",
]  # fmt: skip
