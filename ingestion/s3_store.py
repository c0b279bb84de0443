"""Where S3 is, as the usual variables say it: for sources, which are read by pyarrow, and for lakes, which are read by DuckDB.

Without a key among the variables, both look for a profile, and then for the machine's role.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

SCHEME = "s3://"


@dataclass(frozen=True)
class Store:
    """A store that speaks as S3 does; an empty endpoint is Amazon's. What is not given is empty."""

    endpoint: str
    scheme: str
    region: str
    profile: str
    key_id: str
    secret: str = field(repr=False)
    session_token: str = field(repr=False)


def is_s3(place: str) -> bool:
    """Say whether a place is an object, or a pattern of objects, of S3."""
    return place.lower().startswith(SCHEME)


def from_environment(env: Mapping[str, str] = os.environ) -> Store:
    """Read the variables. An endpoint for S3 alone is preferred to one for all services."""
    address = urlsplit(env.get("AWS_ENDPOINT_URL_S3") or env.get("AWS_ENDPOINT_URL") or "")
    return Store(
        endpoint=address.netloc,
        scheme=address.scheme or "https",
        region=env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION") or "",
        profile=env.get("AWS_PROFILE", ""),
        key_id=env.get("AWS_ACCESS_KEY_ID", ""),
        secret=env.get("AWS_SECRET_ACCESS_KEY", ""),
        session_token=env.get("AWS_SESSION_TOKEN", ""),
    )
