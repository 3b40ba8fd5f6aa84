"""The language that server, agent and clients share: specs, states, messages, codec. No I/O."""

__version__ = "0.1.0"
