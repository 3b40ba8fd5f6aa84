"""Makes offered attempts durable, and says in words why one cannot be. May touch the journal."""

from __future__ import annotations

import structlog

from remote_agent.errors import os_words
from remote_agent.journal import Journal
from remote_agent.journal.directory import NumberUsed
from remote_agent.journal.users import NoUserFree
from remote_agent.planning.work import NotAllowed
from remote_agent.session.events import OfferFailed, OfferStored
from remote_protocol.limits import MAX_TEXT
from remote_protocol.messages import Offer, Refusal

log = structlog.get_logger("agent")


class AttemptStore:
    """Writes attempts into the journal."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def store(self, offer: Offer) -> OfferStored | OfferFailed:
        """Make an attempt's directory durable; OfferFailed says why that is impossible."""
        key = offer.attempt
        try:
            self._write(offer)
        except NumberUsed as error:
            log.error("an offer was refused", attempt=str(key), reason=str(error))
            return OfferFailed(key, Refusal.STALE, str(error))
        except NoUserFree as error:
            return OfferFailed(key, Refusal.CAPACITY, str(error))
        except NotAllowed as error:
            log.warning("an offer was refused", attempt=str(key), reason=str(error))
            return OfferFailed(key, Refusal.POLICY, str(error)[:MAX_TEXT])
        except OSError as error:
            why = os_words(error, "the state directory")
            text = f"no attempt can be written to the disk: {why}"
            log.error("an offer was refused", attempt=str(key), reason=text)
            return OfferFailed(key, Refusal.DISK, text)
        except Exception as error:
            # One job that this agent cannot even prepare must not take the agent down, again and
            # again with each new offer of it.
            log.exception("an offer cannot be prepared", attempt=str(key))
            text = f"this agent cannot prepare the job: {error}"[:MAX_TEXT]
            return OfferFailed(key, Refusal.POLICY, text)
        return OfferStored(key)

    def _write(self, offer: Offer) -> None:
        try:
            self._journal.store(offer)
        except PermissionError:
            if not self._journal.mend():
                raise
            self._journal.store(offer)
