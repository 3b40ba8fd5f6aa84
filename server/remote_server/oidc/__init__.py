"""Sign-in by an OpenID provider (OpenID Connect Core 1.0, authorization code with PKCE).

`Provider` asks the provider over the network; `flow` and `claims` are pure. What verifies
signatures, PyJWT, is an optional part of the installation (`remote-server[oidc]`) and is imported
only where a provider is configured.
"""

from remote_server.oidc.claims import Person
from remote_server.oidc.faults import ProviderFault, SignInRefused
from remote_server.oidc.flow import Begun, authorization_url

__all__ = ["Begun", "Person", "ProviderFault", "SignInRefused", "authorization_url"]
