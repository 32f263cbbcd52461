"""References to secrets, as the settings write them."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbprod.errors import SettingsError
from nbprod.step.secret import SecretReference, hidden_names, read_secrets, secrets_json

WHERE = "[tool.nbprod.steps.s]: secrets"
TABLE = {
    "DB_PASSWORD": "env:PROD_DB_PASSWORD",
    "TOKEN": "file:/run/secrets/token",
    "KEY": "file:~/key.pem",
    "API": "prefect:secret/api-2",
    "SAME": "env:SAME",
}


def test_a_table_of_references_is_read_and_written_back() -> None:
    references = read_secrets(TABLE, WHERE)
    assert {each.name: (each.source, each.place) for each in references} == {
        "DB_PASSWORD": ("env", "PROD_DB_PASSWORD"),
        "TOKEN": ("file", "/run/secrets/token"),
        "KEY": ("file", "~/key.pem"),
        "API": ("prefect", "secret/api-2"),
        "SAME": ("env", "SAME"),
    }
    assert secrets_json(references) == TABLE
    assert references[3].block == "api-2"
    assert pickle.loads(pickle.dumps(references)) == references
    assert hidden_names(references) == ("DB_PASSWORD", "TOKEN", "KEY", "API", "SAME", "PROD_DB_PASSWORD")


def test_a_list_of_names_stays_one() -> None:
    assert secrets_json(read_secrets(["A", "B"], WHERE)) == ["A", "B"]
    assert [str(each) for each in read_secrets(["A"], WHERE)] == ["env:A"]


@pytest.mark.parametrize(
    "text",
    [
        "hunter2-and-more",
        "env:",
        "env:A B",
        "env:A=hunter2",
        "file:",
        "prefect:hunter2",
        "prefect:secret/",
        "prefect:secret/Up",
        "vault:hunter2",
        "",
        7,
        None,
    ],
)
def test_what_is_no_reference_is_refused_and_not_shown(text: object) -> None:
    with pytest.raises(SettingsError, match="names no place where a secret is") as caught:
        read_secrets({"TOKEN": text}, WHERE)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "A=B", "A B", "NBPROD_RUN_ID"])
def test_a_name_that_no_variable_of_the_notebooks_can_have_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="names of environment variables"):
        read_secrets({name: "env:A"}, WHERE)


@given(st.text(st.characters(exclude_characters="\n\0", exclude_categories=["Cs"]), min_size=1))
def test_every_path_survives(path: str) -> None:
    reference = SecretReference.parse("A", f"file:{path}", WHERE)
    assert reference.place == path
    assert read_secrets(secrets_json([reference]), WHERE) == (reference,)
