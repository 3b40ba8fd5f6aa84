"""What the methods of all resources stand on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from remote_client.errors import NotOurs
from remote_client.modes import Awaiting

if TYPE_CHECKING:
    from remote_client.calls import AsyncCalls
    from remote_client.transport import Document

V = TypeVar("V", bound=BaseModel)


class Resource(Awaiting):
    """Methods about one kind of thing; `_calls` gives documents, which they turn into models."""

    url: str
    """The server's base URL."""
    _calls: AsyncCalls

    def _view(self, model: type[V], document: Document) -> V:
        try:
            return model.model_validate(document)
        except ValidationError:
            raise NotOurs(
                f"{self.url} answered, but not as a remote-server of this version does; check that "
                "it is the server's base URL and that no proxy answers."
            ) from None


def body_of(model: BaseModel) -> dict[str, Any]:
    """A body as a document; fields that are not set are left out."""
    document: dict[str, Any] = json.loads(model.model_dump_json(exclude_unset=True))
    return document
