"""The action `settings`: what the server lets an agent do. Documented in ../modules/settings.py.

Runs where Ansible runs, so that the API token never comes to an agent's host.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.remote.agent.plugins.module_utils.api import Api, ApiError

_ARGUMENTS = {
    "url": {"type": "str", "required": True},
    "api_token": {"type": "str", "required": True, "no_log": True},
    "ca_file": {"type": "str"},
    "insecure": {"type": "bool", "default": False},
    "name": {"type": "str", "required": True},
    "queues": {"type": "list", "elements": "str"},
    "labels": {"type": "dict"},
    "capacity": {"type": "raw"},
}


class ActionModule(ActionBase):
    """Compares, and changes what differs."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _requires_connection = False

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """The result of the task. AnsibleActionFail with cause and cure."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, given = self.validate_argument_spec(_ARGUMENTS)
        try:
            api = Api(given["url"], given["api_token"], given["ca_file"], given["insecure"])
            return {
                **result,
                **self._change(api, f"/agents/{quote(given['name'], safe='')}", given),
            }
        except ApiError as error:
            raise AnsibleActionFail(str(error)) from None

    def _change(self, api: Api, path: str, given: dict[str, Any]) -> dict[str, Any]:
        try:
            agent = api.call("GET", path)
        except ApiError as error:
            if error.status != 404:
                raise
            return {"changed": False, "known": False}
        wanted = wanted_of(given)
        before = {key: agent[key] for key in wanted}
        changes = {key: value for key, value in wanted.items() if not _same(value, before[key])}
        if changes and not self._task.check_mode:
            agent = api.call("PATCH", path, changes)
        answer: dict[str, Any] = {"changed": bool(changes), "known": True}
        if self._task.diff:
            answer["diff"] = {
                "before_header": f"agent {given['name']} on the server",
                "after_header": f"agent {given['name']} on the server",
                "before": _text(before),
                "after": _text({**before, **changes}),
            }
        return answer


def wanted_of(given: dict[str, Any]) -> dict[str, Any]:
    """The settings that were named, as the API writes them."""
    wanted = {key: given[key] for key in ("queues", "labels") if given[key] is not None}
    if "labels" in wanted:
        wanted["labels"] = {key: _label(value) for key, value in wanted["labels"].items()}
    capacity = given["capacity"]
    if capacity not in (None, ""):
        classes = capacity if isinstance(capacity, dict) else {"default": capacity}
        wanted["capacity"] = {name: int(size) for name, size in classes.items()}
    return wanted


def _label(value: Any) -> str:
    """Labels are texts; YAML has its own thoughts about true and 7."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _same(one: Any, other: Any) -> bool:
    """The order of queues means nothing."""
    if isinstance(one, list) and isinstance(other, list):
        return sorted(one) == sorted(other)
    return bool(one == other)


def _text(settings: dict[str, Any]) -> str:
    return json.dumps(settings, indent=2, sort_keys=True) + "\n"
