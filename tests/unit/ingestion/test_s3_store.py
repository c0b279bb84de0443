"""What the variables of S3 say."""

import pytest

from ingestion import s3_store


def test_an_endpoint_for_s3_alone_is_preferred() -> None:
    both = {"AWS_ENDPOINT_URL": "https://all", "AWS_ENDPOINT_URL_S3": "http://store:9000", "AWS_DEFAULT_REGION": "eu"}
    store = s3_store.from_environment(both)
    assert (store.endpoint, store.scheme, store.region) == ("store:9000", "http", "eu")
    none = s3_store.from_environment({})
    assert (none.endpoint, none.scheme, none.key_id, none.profile) == ("", "https", "", "")


def test_secrets_are_not_shown() -> None:
    store = s3_store.from_environment({"AWS_SECRET_ACCESS_KEY": "hidden", "AWS_SESSION_TOKEN": "hidden"})
    assert store.secret == "hidden" and "hidden" not in repr(store)


@pytest.mark.parametrize(("place", "expected"), [("s3://b/k", True), ("S3://b", True), ("/s3://b", False), ("", False)])
def test_an_address_of_s3_is_known(place: str, expected: bool) -> None:
    assert s3_store.is_s3(place) is expected
