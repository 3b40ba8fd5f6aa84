"""`remote-agent doctor`: what keeps this host from running jobs, by name and with its cure.

Looks and asks; changes nothing on the host, and nothing on the server.
"""
