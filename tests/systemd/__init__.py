"""A really booted systemd, and the service in it."""
