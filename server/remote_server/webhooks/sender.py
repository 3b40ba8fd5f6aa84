"""The loop that makes messages of webhooks and sends them.

It is woken by commits and looks by itself from time to time, so that it needs nobody's word: what
is to be sent stands in the database. A message is sent at least once: after a crash between its
sending and the note of it, it is sent again, with the same id.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import structlog

import remote_server
from remote_server.domain.change_set import ChangeSet, hears
from remote_server.domain.model import Clock
from remote_server.domain.signing import SigningKey, headers
from remote_server.domain.webhooks import Answer, Delivery, Webhook, judge
from remote_server.errors import StoreUnavailable
from remote_server.store import Store
from remote_server.store.outbox import BATCH
from remote_server.webhooks.client import Poster

_MOMENT: Final = 0.1
"""Jobs end in crowds: so many seconds of them are looked at together."""
_MOST: Final = 16
"""Messages in flight."""
_MOST_EACH: Final = 4
"""The same, to one host and port."""
_UPKEEP: Final = 300.0
_TYPE: Final = "application/json"


@dataclass(frozen=True, slots=True)
class SenderSettings:
    """Durations in seconds."""

    look_every: float = 5.0
    max_pending: int = 10_000
    """Messages of one webhook that wait; what comes then is dropped, and counted."""
    max_kept: int = 10_000
    """Messages of one webhook that are kept after they were delivered or given up."""
    keep: float = 7 * 86400.0
    """How long they are kept."""
    disable_after: float = 5 * 86400.0
    """A webhook that fails for so long, without a success, is disabled."""


class Sender:
    """Sends what webhooks have to tell. `run` is its loop."""

    def __init__(
        self,
        store: Store,
        poster: Poster,
        key: SigningKey,
        clock: Clock,
        uniform: Callable[[], float],
        settings: SenderSettings = SenderSettings(),
    ) -> None:
        self._store = store
        self._poster = poster
        self._key = key
        self._clock = clock
        self._uniform = uniform
        """From 0 to 1, for the jitter of pauses."""
        self._settings = settings
        self._wake = asyncio.Event()
        self._active = True
        """There may be a webhook that is enabled. Whoever enables one elsewhere is seen with the
        next look: until then nothing is lost, for events stay where they are."""
        self._flying: dict[str, asyncio.Task[None]] = {}
        """Messages that are being sent, by id."""
        self._to: Counter[str] = Counter()
        """Their number for each host and port."""
        self._kept_until = 0.0
        self._log = structlog.get_logger("remote_server.webhooks")

    @hears("webhooks", "ended")
    def committed(self, changes: ChangeSet) -> None:
        """Hear of each commit."""
        if changes.webhooks or (self._active and changes.ended):
            self._wake.set()

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            while True:
                try:
                    pause = await self.turn()
                except StoreUnavailable as error:
                    self._log.warning("no webhook can be told anything now", cause=str(error))
                    pause = self._settings.look_every
                except Exception:
                    self._log.exception("a turn of the webhooks failed")
                    pause = self._settings.look_every
                await self._rest(pause)
        finally:
            await self.close()

    async def close(self) -> None:
        """Give up what is in flight: it is sent again at the next start."""
        flying = [*self._flying.values()]
        for task in flying:
            task.cancel()
        await asyncio.gather(*flying, return_exceptions=True)
        await self._poster.close()

    async def _rest(self, pause: float) -> None:
        try:
            async with asyncio.timeout(min(pause, self._settings.look_every)):
                await self._wake.wait()
        except TimeoutError:
            return
        await asyncio.sleep(_MOMENT)

    async def turn(self) -> float:
        """Make messages and start sending those that are due; seconds until the next one is."""
        self._wake.clear()
        now = self._clock.wall()
        if now >= self._kept_until:
            await self._prune(now)
        made = BATCH
        while made >= BATCH:
            made = await self._store.make_deliveries(now, self._settings.max_pending)
            await asyncio.sleep(0)
        hooks = await self._store.enabled_webhooks()
        self._active = bool(hooks)
        # Not always the same ones first, when there are more than may be in flight.
        start = int(self._uniform() * len(hooks))
        pauses = [await self._start(hook) for hook in hooks[start:] + hooks[:start]]
        return min(pauses, default=self._settings.look_every)

    async def _start(self, hook: Webhook) -> float:
        """Start sending what is due; seconds until something else of this webhook is."""
        place = urlsplit(hook.url).netloc
        # One at a time shows whether the receiver is back.
        most = 1 if hook.failing_since is not None else _MOST_EACH
        free = min(most - self._to[place], _MOST - len(self._flying))
        if free <= 0:
            # The end of one of those that fly wakes the loop.
            return self._settings.look_every
        waiting = await self._store.waiting_deliveries(hook.id, free + len(self._flying) + 1)
        for delivery in waiting:
            if delivery.id in self._flying:
                continue
            due = (delivery.next_at or 0.0) - self._clock.wall()
            if due > 0:
                return due
            if not free:
                break
            free -= 1
            task = asyncio.create_task(self._send(hook, delivery), name=f"webhook {delivery.id}")
            self._flying[delivery.id] = task
            self._to[place] += 1
        return self._settings.look_every

    async def _send(self, hook: Webhook, delivery: Delivery) -> None:
        try:
            await self._attempt(hook, delivery)
        except StoreUnavailable:
            pass  # It is sent again.
        except Exception:
            self._log.exception("a message of a webhook was not sent", webhook=hook.name)
        finally:
            del self._flying[delivery.id]
            self._to[urlsplit(hook.url).netloc] -= 1
            self._wake.set()

    async def _attempt(self, hook: Webhook, delivery: Delivery) -> None:
        answer = await self._post(hook, delivery)
        now = self._clock.wall()
        result = judge(delivery, answer, now, self._uniform())
        why = await self._store.record_attempt(
            delivery, answer, result, now, self._settings.disable_after
        )
        if answer.error and not delivery.attempts:
            self._log.warning(
                "a webhook's message was not delivered",
                webhook=hook.name,
                delivery=delivery.id,
                cause=answer.error,
                again_in=None if result.next_at is None else round(result.next_at - now, 1),
            )
        if why:
            self._log.error("a webhook is disabled", webhook=hook.name, cause=why)

    async def _post(self, hook: Webhook, delivery: Delivery) -> Answer:
        if hook.key_id != self._key.id:
            return Answer(
                0.0,
                error="this server has another signing key than the one that the webhook was made "
                "with: give it that key ([webhooks] key_file), or make a new secret: "
                f"remotectl webhook rotate-secret {hook.name}",
            )
        now, body = self._clock.wall(), delivery.body.encode()
        secrets = [self._key.secret(hook.id, number) for number in hook.secrets(now)]
        return await self._poster.post(
            hook.url,
            {
                "Content-Type": _TYPE,
                "User-Agent": f"remote-server/{remote_server.__version__}",
                **headers(secrets, delivery.id, int(now), body),
            },
            body,
        )

    async def _prune(self, now: float) -> None:
        settings, pruned = self._settings, 1
        while pruned:
            pruned = await self._store.prune_deliveries(now - settings.keep, settings.max_kept)
            await asyncio.sleep(0)
        self._kept_until = now + _UPKEEP
