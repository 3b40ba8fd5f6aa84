"""The calls about groups, as `calls` has them for everything else. Touches the network through the
transport only.
"""

from __future__ import annotations

from collections.abc import Callable

from remote_client.modes import Awaiting, method
from remote_client.paths import given, key, segment
from remote_client.transport import Call, Document, Transport


class GroupCalls(Awaiting):
    """Submit, explain, show and cancel groups. Every method raises what `Transport` does."""

    _transport: Transport

    @method
    async def submit_group(
        self, group: Document, *, sending: Callable[[], None] | None = None
    ) -> Document:
        """Submit one job for every agent that matches; safe to repeat by its idempotency key.

        `sending` is called before the first byte leaves: until then no server can have it.
        """
        headers = {"Idempotency-Key": group["spec"].get("idempotency_key") or key()}
        return await self._transport.document(
            Call("POST", "/groups", body=group, headers=headers, sending=sending)
        )

    @method
    async def explain_group(self, group: Document) -> Document:
        """Which agents a group would have; nothing is submitted."""
        return await self._transport.document(Call("POST", "/groups/explain", body=group))

    @method
    async def group(self, /, group: str, *, persistent: bool = False, **page: object) -> Document:
        """One group with a page of its members; a `persistent` call outlasts an outage."""
        path = f"/groups/{segment(group)}"
        return await self._transport.document(
            Call("GET", path, given(**page), persistent=persistent)
        )

    @method
    async def group_members(
        self, /, group: str, *, persistent: bool = False, **page: object
    ) -> Document:
        """One page of a group's members."""
        path = f"/groups/{segment(group)}/members"
        return await self._transport.document(
            Call("GET", path, given(**page), persistent=persistent)
        )

    @method
    async def cancel_group(
        self, group: str, reason: str = "", *, persistent: bool = False
    ) -> Document:
        """Wish that all jobs of a group end; its state follows when they have."""
        path = f"/groups/{segment(group)}/cancel"
        return await self._transport.document(
            Call("POST", path, body={"reason": reason}, persistent=persistent)
        )

    @method
    async def wait_for_group(self, group: str) -> Document:
        """The group once all of its jobs have ended."""
        pause = 0.05
        while True:
            document = await self._transport.document(
                Call("GET", f"/groups/{segment(group)}", given(limit=1), persistent=True)
            )
            if document.get("ended_at"):
                return document
            await self._transport.sleep(pause)
            pause = min(pause * 1.5, 2.0)
