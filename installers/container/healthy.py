"""Ends with 0 when the server in this container answers that it is ready: the image's HEALTHCHECK.

Standard library only; asks over loopback.
"""

import os
import ssl
import sys
import urllib.request


def main() -> int:
    """Ask; what is wrong goes to stderr, which `docker inspect` shows."""
    port = os.environ.get("REMOTE_SERVER_LISTEN", "").rpartition(":")[2] or "8750"
    # The certificate names the host that others call, not loopback.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    scheme = "https" if os.environ.get("REMOTE_SERVER_TLS_CERT") else "http"
    direct = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )
    try:
        direct.open(f"{scheme}://127.0.0.1:{port}/readyz", timeout=5).close()
    except OSError as error:
        print(f"the server does not answer that it is ready: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
