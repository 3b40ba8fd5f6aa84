"""The Ansible collection, over ssh against a really booted systemd."""
