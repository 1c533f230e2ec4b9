"""What is input, output and state of a saved graph, and the evidence for it: by structure, never by name."""

from reprise.interface.discover import discover
from reprise.interface.entries import discover_entry
from reprise.interface.ports.choices import Choices
from reprise.interface.ports.describe import Discovery
from reprise.interface.ports.interface import Interface, Port, Setting, StatePort

__all__ = ["Choices", "Discovery", "Interface", "Port", "Setting", "StatePort", "discover", "discover_entry"]
