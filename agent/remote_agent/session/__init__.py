"""The agent's side of the protocol as a pure state machine: event in, effects out. No I/O."""
