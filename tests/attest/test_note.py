"""Signed notes and checkpoints: the specifications' own examples, round trips, and attacks."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbprod.attest.checkpoint import Checkpoint
from nbprod.attest.keys import PrivateKey, PublicKey
from nbprod.attest.note import NoteKey, open_note, sign_note
from nbprod.errors import CallerError, IntegrityError, SignatureInvalid
from tests.attest.dsse_vectors import SEEDS

A, B = (PrivateKey.from_seed(bytes.fromhex(seed)) for seed in SEEDS.values())
NAME = "nbprod.dev/log/1"
KEY = NoteKey(NAME, A.public)
NOTE = sign_note("one\n\ntwo\n", NAME, A)

# golang.org/x/mod/sumdb/note, the example of its documentation (BSD-3-Clause, Copyright 2019 The Go Authors).
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)


def test_a_note_of_another_program_is_read() -> None:
    name, hashed, key = GO_KEY.split("+", 2)
    known = NoteKey(name, PublicKey(base64.b64decode(key)[1:]))
    assert str(known) == GO_KEY
    assert known.hash.hex() == hashed
    text, signers = open_note(GO_NOTE, [known])
    assert text.startswith("If you think")
    assert signers == (known,)


def test_the_text_ends_at_the_last_empty_line() -> None:
    assert open_note(NOTE, [KEY]) == ("one\n\ntwo\n", (KEY,))


def lines(note: str) -> tuple[str, str]:
    text, _, below = note.rpartition("\n\n")
    return text + "\n", below


TEXT, SIGNATURE = lines(NOTE)
OF_B = lines(sign_note(TEXT, NAME, B))[1]
ELSEWHERE = lines(sign_note(TEXT, "another.example", A))[1]
FALSE = lines(sign_note("other\n", NAME, A))[1]


def test_signatures_of_others_are_passed_over() -> None:
    for below in (SIGNATURE + OF_B, OF_B + SIGNATURE, ELSEWHERE + SIGNATURE):
        assert open_note(f"{TEXT}\n{below}", [KEY])[1] == (KEY,)
    many = "".join(lines(sign_note(TEXT, f"w{number}.example", B))[1] for number in range(16))
    assert open_note(f"{TEXT}\n{many}{SIGNATURE}", [KEY])[1] == (KEY,)


@pytest.mark.parametrize(
    "note",
    [
        f"{TEXT}\n{OF_B}",
        f"{TEXT}\n{ELSEWHERE}",
        f"{TEXT}\n{FALSE}",
        f"{TEXT}\n{SIGNATURE}{FALSE}",
        f"{TEXT}\n{SIGNATURE}{SIGNATURE}",
        f"{TEXT}more\n\n{SIGNATURE}",
    ],
    ids=["another key", "another name", "another text's", "one of two is false", "twice", "more text"],
)
def test_what_is_not_signed_by_the_key_is_refused(note: str) -> None:
    with pytest.raises(SignatureInvalid):
        open_note(note, [KEY])


@pytest.mark.parametrize(
    "note",
    [
        TEXT,
        f"{TEXT}\n",
        NOTE[:-1],
        NOTE + "x",
        NOTE + "x\n",
        NOTE.replace("\u2014", "-"),
        NOTE.replace("one", "o\rne"),
        NOTE.replace("one", "o\ud800ne"),
        NOTE.replace("=\n", "\n"),
        NOTE.replace(f"{NAME} ", f"{NAME}  "),
        f"{TEXT}\n\u2014 {NAME} AAAA\n",
        f"{TEXT}\n\u2014 a+b {SIGNATURE.split()[-1]}\n",
        "x" * (1 << 20) + NOTE,
        f"{TEXT}\n{OF_B * 101}",
    ],
    ids=[
        "no signature",
        "an empty list",
        "no newline at the end",
        "trailing bytes",
        "a trailing line",
        "another dash",
        "a control character",
        "no UTF-8",
        "base64 without padding",
        "two spaces",
        "an empty signature",
        "a plus in the name",
        "too long",
        "too many signatures",
    ],
)
def test_what_is_no_note_is_refused(note: str) -> None:
    with pytest.raises(IntegrityError):
        open_note(note, [KEY])


@pytest.mark.parametrize("text", ["", "no newline", "a\tb\n"])
def test_a_text_that_is_none_is_not_signed(text: str) -> None:
    with pytest.raises(CallerError):
        sign_note(text, NAME, A)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u2003b", "a\n"])
def test_names_of_keys(name: str) -> None:
    with pytest.raises(CallerError):
        NoteKey(name, A.public)


# --- checkpoints -----------------------------------------------------------------------------------

words = st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"]), min_size=1, max_size=12)


@given(
    origin=words.map(lambda word: word.replace("+", "-")),
    size=st.integers(0, 2**60),
    root=st.binary(min_size=32, max_size=32),
    extensions=st.lists(words, max_size=2).map(tuple),
)
def test_a_checkpoint_reads_back(origin: str, size: int, root: bytes, extensions: tuple[str, ...]) -> None:
    made = Checkpoint(origin=origin, size=size, root=root, extensions=extensions)
    key = NoteKey(origin, A.public)
    assert Checkpoint.open(made.sign(A), [key]) == (made, (key,))


def test_the_example_of_the_specification_is_read() -> None:
    # https://c2sp.org/tlog-checkpoint
    text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    made = Checkpoint.parse(text)
    assert (made.origin, made.size, len(made.root), made.text) == ("example.com/behind-the-sofa", 20852163, 32, text)


ROOT = base64.b64encode(bytes(32)).decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a\n1\n",
        f"a\n1\n{ROOT}",
        f"\n1\n{ROOT}\n",
        f"a\n01\n{ROOT}\n",
        f"a\n-1\n{ROOT}\n",
        f"a\n+1\n{ROOT}\n",
        f"a\n1_0\n{ROOT}\n",
        f"a\n\u0661\n{ROOT}\n",
        f"a\n{'9' * 5000}\n{ROOT}\n",
        f"a\n1\n{ROOT[:-1]}\n",
        "a\n1\nAAAA\n",
        f"a\n1\n{ROOT}\n\nb\n",
    ],
    ids=str,
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    assert Checkpoint.parse(f"a\n1\n{ROOT}\n").size == 1  # positive control
    with pytest.raises(IntegrityError):
        Checkpoint.parse(text)


@pytest.mark.parametrize(
    "change", [{"size": -1}, {"root": b""}, {"origin": ""}, {"origin": "a\nb"}, {"extensions": ("",)}]
)
def test_a_state_that_is_none_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(CallerError):
        Checkpoint(**({"origin": "a", "size": 1, "root": bytes(32)} | change))  # type: ignore[arg-type]
