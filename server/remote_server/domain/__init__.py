"""What the server decides: scheduling, leases, retries, its side of the protocol. Pure, no I/O."""
