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
    "line",
    [
        "DB_PASSWORD=hunter2hunter",
        "password = hunter2hunter",
        "password: hunter2hunter",
        "AWS_SECRET_ACCESS_KEY=hunter2hunter+/wJalr",
        "export DB_PASSWORD=hunter-hunter",
        "run_id=3 host=db password=hunter2hunter retry(3)",
        "Server=db;Uid=me;Pwd=hunter2hunter;",
        "connect(user=me, password=hunter2hunter)",
        '{"env": "DB_PASSWORD=hunter2hunter"}',
        "<td>password=hunter2hunter</td>",
    ],
)
def test_values_without_quotes_are_found_and_not_shown(line: str) -> None:
    (found,) = suspects_in(f"first line\n{line}\n")
    assert (found.kind, found.line) == ("Secret Keyword", 2)
    assert "hunter" not in found.shown


def test_in_code_a_word_without_quotes_is_a_name() -> None:
    assert suspects_in("password = word22\nlogin(password=word22)", code=True) == ()
    assert len(suspects_in("password = 'word22'", code=True)) == 1


@pytest.mark.parametrize("line", ["%env DB_PASSWORD=hunter2hunter", "!curl --data password=hunter2hunter"])
def test_a_magic_and_a_command_are_no_code(line: str) -> None:
    assert [each.kind for each in suspects_in(f"import os\n{line}", code=True)] == ["Secret Keyword"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"{GITHUB} {GITHUB[::-1]}", ["ghp_…, 40 characters"]),
        (f"{GITHUB} {GITHUB[:-1]}9", ["ghp_…, 40 characters"] * 2),
        ("glcbt-" + "0a_abcdefghij0123456789", ["glcb…, 29 characters"]),
        ("postgresql://svc:" + "pa55w0rd1@db.internal/prod", ["9 characters"]),
        ("{'a_password': 'aaa111bbb', 'b_password': 'cc22dd'}", ["9 characters", "6 characters"]),
        ("A_PASSWORD=aaa111bbb B_PASSWORD=cc22dd", ["9 characters", "6 characters"]),
    ],
)
def test_all_of_each_thing_is_taken(text: str, shown: list[str]) -> None:
    assert [each.shown for each in suspects_in(text)] == shown


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
        "commit e68d7f5e68d7f5e68d7f5e68d7f5e68d7f5e68d7, key=6bb46dcc553c, run 4f21c0de",
        "secret_id=4f21c0de99, secret: 123e4567-e89b-12d3-a456-426614174000",
        "arn:aws:secretsmanager:us-east-1:1234:secret:prod/db-AbC123, secret: s3://bucket/key1.pem",
        "password = os.environ['DB2']",
        'password = os.environ["X"]',
        "token = get_token(); secret = get_secret2(user, x); password = settings.db2_password",
        "key = None, password=None, use_secret=True, secrets=3",
        "connect(password=password); if password == other2other:",
        "password=***, password=s3cr**t, api_key=sk-12345..., password=<hidden>, password=${PASSWORD1}",
        "--password=PASSWORD\nDB_PASSWORD=PASSWORD\nDB_PASSWORD=changeme\nSECRET_BACKEND=kubernetes",
        "password: see below, password: required, Password: enter at least 8 characters",
        "the secret: base64-encoded text\nPWD=/home/x1/abc",
    ],
)
def test_masks_digests_templates_code_and_prose_are_no_secrets(text: str) -> None:
    assert suspects_in(text) == ()


@pytest.mark.parametrize("before", [0, 4090, 4096, 100_000])
def test_a_line_of_any_length_is_looked_through(before: int) -> None:
    assert [each.kind for each in suspects_in(f"{'x ' * (before // 2)}{AWS} rest")] == ["AWS Access Key"]
