"""What is input, output and state of a saved graph, and the evidence for it: by structure, never by name."""

from reprise.interface.choices import Choices
from reprise.interface.describe import Discovery
from reprise.interface.discover import discover
from reprise.interface.ports import Interface, Port, Setting, StatePort

__all__ = ["Choices", "Discovery", "Interface", "Port", "Setting", "StatePort", "discover"]
