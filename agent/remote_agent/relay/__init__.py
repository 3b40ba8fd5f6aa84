"""The relay: jobs' requests that go on over this agent to its server, which knows where to.

Touches the network: loopback ports of its own, and the server. Loaded with the first job that asks
for a relay (`app.relays`).
"""
