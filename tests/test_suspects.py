"""What looks like a secret; the samples are put together here, so that no scanner takes this file for a leak."""

from __future__ import annotations

import pytest

from nbprod.suspects import suspects_in

AWS = "AKIA" + "QWERTYUIOPASDF12"
GITHUB = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
SAMPLES = {
    "AWS Access Key": f"using {AWS} for now",
    "GitHub Token": f"{{'auth': '{GITHUB}'}}",
    "Private Key": "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIE",
    "Basic Auth Credentials": "postgresql://svc:" + "pa55w0rd1@db.internal/prod",
    "Secret Keyword": "db_password = " + "'tr0ub4dor&3-horse'",
    "JSON Web Token": "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiJzdmMifQ.c2lnbmF0dXJlLW9mLXRoZS10b2tlbg",
}


@pytest.mark.parametrize("kind", SAMPLES)
def test_what_looks_like_a_secret_is_found_and_not_shown(kind: str) -> None:
    (found,) = [each for each in suspects_in(f"first line\n{SAMPLES[kind]}\n") if each.kind == kind]
    assert found.line == 2
    for value in (AWS, GITHUB, "pa55w0rd1", "tr0ub4dor", "c2lnbmF0dXJl"):
        assert value not in found.shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        "«secret:DB_PASSWORD»",
        "password = '«secret:DB_PASSWORD»'",
        "postgresql://svc:«secret:DB_PASSWORD»@db/prod",
        "sha256:6bb46dcc553c10df51475641bb30fd69d25645cc12339e46c824c1e0c388898a",
        "rmse 0.123, 192.168.1.1, 2013-01-01, 8.8.8.8",
        "password = '${PASSWORD}'",
    ],
)
def test_masks_digests_and_templates_are_no_secrets(text: str) -> None:
    assert suspects_in(text) == ()


@pytest.mark.parametrize("before", [0, 4090, 4096, 100_000])
def test_a_line_of_any_length_is_looked_through(before: int) -> None:
    assert [each.kind for each in suspects_in(f"{'x ' * (before // 2)}{AWS} rest")] == ["AWS Access Key"]
