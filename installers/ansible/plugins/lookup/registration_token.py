"""The lookup `registration_token`: makes a registration token through the server's API.

Runs where Ansible runs. Nothing is written, and no program gets the token as an argument.
"""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.remote.agent.plugins.module_utils.api import Api, ApiError

DOCUMENTATION = """
name: registration_token
author: The authors of remote-agent
version_added: 0.1.0
short_description: Makes a registration token through the API of a remote-server
description:
  - Makes a token by which one agent can register, and gives its text.
  - B(Each evaluation makes a token). Use it in a task with C(no_log), where a token is needed.
options:
  _terms:
    description: Address of the server. Exactly one.
    required: true
  api_token:
    description: API token of an admin.
    type: str
    env:
      - name: REMOTE_TOKEN
  ca_file:
    description: PEM file with the certificates of a private CA.
    type: str
    env:
      - name: REMOTE_CA_FILE
  insecure:
    description: Allow plain HTTP to another host.
    type: bool
    default: false
  queues:
    description: Queues that the agent may serve. Empty for C(default).
    type: list
    elements: str
    default: []
  labels:
    description: Labels that the server gives to the agent, and that its host cannot change.
    type: dict
    default: {}
  allow_replace:
    description: The agent may take over the name of another one.
    type: bool
    default: false
  expires:
    description: For how long it can be used.
    type: str
    default: 15m
"""

EXAMPLES = """
- name: Register a host by hand
  ansible.builtin.command:
    argv: [remote-agent, register, --server, '{{ server }}', --token-file, /dev/stdin]
    stdin: "{{ lookup('remote.agent.registration_token', server, queues=['berlin']) }}"
    creates: /var/lib/remote-agent/identity.json
  vars:
    server: https://jobs.example.com
  no_log: true
"""

RETURN = """
_raw:
  description: The text of the token.
  type: list
  elements: str
"""


class LookupModule(LookupBase):
    """Makes one token."""

    def run(
        self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any
    ) -> list[str]:
        """The token in a list. AnsibleLookupError says why there is none."""
        self.set_options(var_options=variables, direct=kwargs)
        if len(terms) != 1:
            raise AnsibleLookupError("registration_token takes the address of one server")
        body = {
            "queues": self.get_option("queues"),
            "labels": self.get_option("labels"),
            "allow_replace": self.get_option("allow_replace"),
            "uses": 1,
            "expires": self.get_option("expires"),
        }
        try:
            api = Api(
                terms[0],
                self.get_option("api_token") or "",
                self.get_option("ca_file"),
                self.get_option("insecure"),
            )
            made = api.call("POST", "/registration-tokens", body)
        except ApiError as error:
            raise AnsibleLookupError(f"no registration token could be made: {error}") from None
        return [made["token"]]
