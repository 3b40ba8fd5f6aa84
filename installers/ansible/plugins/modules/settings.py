"""Documentation of the action `settings`, which ../action/settings.py carries out."""

from __future__ import annotations

DOCUMENTATION = """
module: settings
author: The authors of remote-agent
version_added: 0.1.0
short_description: Sets queues, labels and capacity of an agent on its server
description:
  - Runs where Ansible runs, and calls the API of the server with the token of an admin.
  - An agent that the server does not know is left alone; C(known) is false then.
  - An agent may narrow on its host what the server allows, and never widen it. This widens it.
attributes:
  check_mode:
    support: full
    description: Says what would change.
  diff_mode:
    support: full
    description: Shows the settings before and after.
options:
  url:
    description: Address of the server.
    type: str
    required: true
  api_token:
    description: API token of an admin.
    type: str
    required: true
  ca_file:
    description: PEM file with the certificates of a private CA, where Ansible runs.
    type: str
  insecure:
    description: Allow plain HTTP to another host.
    type: bool
    default: false
  name:
    description: Name of the agent.
    type: str
    required: true
  queues:
    description: Queues that it serves. Left alone when it is not given.
    type: list
    elements: str
  labels:
    description: All of its labels. Left alone when it is not given.
    type: dict
  capacity:
    description: Jobs at a time, or a mapping of queues to numbers. Left alone when it is not given.
    type: raw
"""

EXAMPLES = """
- name: Give an agent a queue
  remote.agent.settings:
    url: https://jobs.example.com
    api_token: "{{ vault_remote_token }}"
    name: web-7
    queues: [default, berlin]
  no_log: true
"""

RETURN = """
known:
  description: Whether the server knows the agent.
  type: bool
  returned: success
"""
