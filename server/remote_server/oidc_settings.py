"""`[oidc]` of the configuration: sign-in to the pages by an OpenID provider. Pure."""

from __future__ import annotations

from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr

from remote_protocol.configuration import Layers
from remote_protocol.quantities import Duration
from remote_server.setting_values import ExpandedPath, Part, Texts, as_proxy

CALLBACK: Final = "oidc-callback"
"""The page to which the provider sends browsers back, below `url`."""
EVERYBODY: Final = "*"
"""The group of all whom the provider signs in."""
_LOCAL: Final = ("127.0.0.1", "::1", "localhost")


def web_address(value: str) -> str:
    """An address without credentials, query and fragment. ValueError."""
    parts = urlsplit(value)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOCAL):
        raise ValueError("begins with https://; http:// is for this host only, such as 127.0.0.1")
    if not parts.hostname or parts.username is not None or parts.query or parts.fragment:
        raise ValueError("is https://HOST/PATH, without a user, a query or a fragment")
    return value


WebAddress = Annotated[str, Field(max_length=512), AfterValidator(web_address)]


class OidcPart(Part):
    """`[oidc]`; off without `issuer`."""

    issuer: WebAddress | None = None
    """The provider's issuer, exactly as its discovery document says it."""
    client_id: str = Field(default="", max_length=256)
    client_secret: SecretStr | None = None
    """By REMOTE_SERVER_OIDC_CLIENT_SECRET only, never in the file."""
    client_secret_file: ExpandedPath | None = None
    """A file that only the server's user can read. Without a secret the client is public."""
    url: WebAddress | None = None
    """Where browsers find the pages; the provider sends them back to `URL/oidc-callback`."""
    name: str = Field(default="single sign-on", min_length=1, max_length=64)
    """What the button says: Sign in with …"""
    scopes: Texts = ("openid", "profile", "email")
    name_claim: str = Field(default="preferred_username", min_length=1, max_length=128)
    """The claim that persons are called by in the audit; else `email`, else `sub`."""
    groups_claim: str = Field(default="groups", min_length=1, max_length=128)
    """The claim that names groups, a list or one text; dots lead into objects
    (`realm_access.roles`)."""
    viewer_groups: Texts = ()
    """Groups whose members are viewers; `*`: everybody whom the provider signs in."""
    operator_groups: Texts = ()
    admin_groups: Texts = ()
    hosts: Texts = ()
    """Hosts beside the issuer's to which its endpoints may lead."""
    ca_file: ExpandedPath | None = None
    """Certificates of the CAs that the provider's certificate is checked with; null: the
    system's."""
    proxy: Annotated[str, AfterValidator(as_proxy)] | None = None
    """`http://HOST:PORT`: the provider is asked through it."""
    timeout: Duration = Field(default=10.0, ge=0.1, le=60.0)
    """Seconds that one request to the provider may take."""
    clock_skew: Duration = Field(default=60.0, ge=0.0, le=600.0)
    """Seconds by which the provider's clock and ours may differ."""

    @property
    def redirect_uri(self) -> str:
        """What is registered at the provider."""
        return f"{(self.url or '').rstrip('/')}/{CALLBACK}"


def refuse_secret(layers: Layers) -> None:
    """Note a fault when the file holds the secret, which goes no further then."""
    oidc = layers.values.get("oidc")
    if isinstance(oidc, dict) and oidc.pop("client_secret", None) is not None:
        layers.fault(
            ("oidc", "client_secret"),
            "does not belong in a file that others may read: name a file of mode 0600 by "
            "client_secret_file, or set REMOTE_SERVER_OIDC_CLIENT_SECRET",
        )


def check(layers: Layers, oidc: OidcPart) -> None:
    """Note what a sign-in lacks."""
    if oidc.issuer is None:
        return
    for key in ("client_id", "url"):
        if not getattr(oidc, key):
            layers.fault(("oidc", key), "is needed beside issuer")
    if not (oidc.viewer_groups or oidc.operator_groups or oidc.admin_groups):
        layers.fault(
            ("oidc", "viewer_groups"),
            "is needed, or operator_groups or admin_groups: else nobody may sign in",
        )
    if EVERYBODY in (*oidc.operator_groups, *oidc.admin_groups):
        layers.fault(("oidc",), f"only viewer_groups takes {EVERYBODY!r}, for everybody")
    if "openid" not in oidc.scopes:
        layers.fault(("oidc", "scopes"), "needs openid among them")
