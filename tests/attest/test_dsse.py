"""Envelopes: the published vectors, round trips, and what somebody might try who has no key."""

from __future__ import annotations

import base64
import json
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbprod.attest.bundle import BEGINNING, from_lines, to_lines
from nbprod.attest.dsse import IN_TOTO, Envelope, Signature, pae, sign
from nbprod.attest.keys import PrivateKey, PublicKey
from nbprod.attest.strict import read_base64, read_object, write_base64
from nbprod.digest import canonical
from nbprod.errors import CallerError, IntegrityError, SignatureInvalid
from tests.attest.dsse_vectors import PUBLIC, SEEDS, URL_SAFE, VECTORS

KEYS = {name: PrivateKey.from_seed(bytes.fromhex(seed)) for name, seed in SEEDS.items()}
A, B = KEYS["A"], KEYS["B"]
TRUSTED = {A.public.id: A.public}
BODY = b'{"_type":"https://in-toto.io/Statement/v1"}'

# The order of the group (RFC 8032, section 5.1): S and S + L would both verify where nobody looks.
L = 2**252 + 27742317777372353535851937790883648493


def test_the_keys_are_those_of_the_rfc() -> None:
    assert {name: key.public.raw.hex() for name, key in KEYS.items()} == PUBLIC
    # RFC 8032, section 7.1, TEST 2: the signature of the byte 0x72.
    assert B.sign(b"\x72").hex().startswith("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da")


@pytest.mark.parametrize("vector", VECTORS, ids=[vector[0] for vector in VECTORS])
def test_the_published_vectors(vector: Any) -> None:
    _, payload, kind, signatures, trusted, threshold, supported, good = vector
    told = [{"sig": value, **({"keyid": key} if key else {})} for key, value in signatures]
    envelope = Envelope.from_bytes(json.dumps({"payload": payload, "payloadType": kind, "signatures": told}).encode())
    keys = {name: PublicKey(bytes.fromhex(PUBLIC[name])) for name in trusted}
    if good:
        assert len(envelope.signers(keys, supported or kind, threshold=threshold)) == threshold
    else:
        with pytest.raises(SignatureInvalid):
            envelope.signers(keys, supported or kind, threshold=threshold)


def test_the_other_alphabet_of_base64_is_refused() -> None:
    with pytest.raises(IntegrityError, match="base64"):
        Envelope.from_bytes(json.dumps(URL_SAFE).encode())


def test_what_is_signed_is_type_and_bytes_behind_their_lengths() -> None:
    # DSSE, protocol.md, "Test Vectors".
    assert (
        pae("http://example.com/HelloWorld", b"hello world")
        == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


@given(payload=st.binary(max_size=60), kind=st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_what_was_signed_reads_back(payload: bytes, kind: str) -> None:
    envelope = sign(payload, kind, A, B)
    assert envelope.to_bytes() == canonical(json.loads(envelope.to_bytes()))
    again = Envelope.from_bytes(envelope.to_bytes())
    assert again == envelope
    assert again.signers(TRUSTED, kind) == (A.public.id,)
    assert from_lines(to_lines([envelope, envelope])) == (envelope, envelope)


@given(place=st.integers(0, 63), bit=st.integers(0, 7))
def test_no_other_signature_is_taken(place: int, bit: int) -> None:
    envelope = sign(BODY, IN_TOTO, A)
    value = bytearray(envelope.signatures[0].value)
    value[place] ^= 1 << bit
    changed = Envelope(payload=BODY, payload_type=IN_TOTO, signatures=(Signature(A.public.id, bytes(value)),))
    assert envelope.signers(TRUSTED, IN_TOTO)
    with pytest.raises(SignatureInvalid):
        changed.signers(TRUSTED, IN_TOTO)


def with_signatures(*signatures: Signature) -> Envelope:
    return Envelope(payload=BODY, payload_type=IN_TOTO, signatures=signatures)


GOOD = A.sign(pae(IN_TOTO, BODY))
FOREIGN = B.sign(pae(IN_TOTO, BODY))


@pytest.mark.parametrize(
    "signature",
    [
        Signature(A.public.id, GOOD[:32] + (int.from_bytes(GOOD[32:], "little") + L).to_bytes(32, "little")),
        Signature(A.public.id, b""),
        Signature(A.public.id, GOOD + b"\0"),
        Signature(A.public.id, GOOD[:-1]),
        Signature(A.public.id, bytes(64)),
        Signature(A.public.id, FOREIGN),
        Signature(B.public.id, FOREIGN),
        Signature(B.public.id, GOOD),
        Signature("", FOREIGN),
        Signature(A.public.id, A.sign(BODY)),
        Signature(A.public.id, A.sign(pae("application/json", BODY))),
    ],
    ids=[
        "malleated: S + L",
        "empty",
        "a byte too long",
        "a byte too short",
        "zeros",
        "another key under a trusted name",
        "a key that is not trusted",
        "a trusted key under another name",
        "another key without a name",
        "over the bare payload",
        "over another type",
    ],
)
def test_what_is_no_signature_of_a_trusted_key(signature: Signature) -> None:
    assert with_signatures(Signature(A.public.id, GOOD)).signers(TRUSTED, IN_TOTO)  # positive control
    with pytest.raises(SignatureInvalid):
        with_signatures(signature).signers(TRUSTED, IN_TOTO)


def test_of_several_signatures_a_bad_one_takes_nothing_away_and_adds_nothing() -> None:
    good, bad = Signature(A.public.id, GOOD), Signature(B.public.id, bytes(64))
    both = {A.public.id: A.public, B.public.id: B.public}
    for signatures in ((good, bad), (bad, good)):
        assert with_signatures(*signatures).signers(both, IN_TOTO) == (A.public.id,)
        with pytest.raises(SignatureInvalid):
            with_signatures(*signatures).signers(both, IN_TOTO, threshold=2)
        with pytest.raises(SignatureInvalid):
            with_signatures(*signatures).signers({B.public.id: B.public}, IN_TOTO)


def test_one_key_under_two_names_counts_once() -> None:
    twice = with_signatures(Signature("", GOOD), Signature("", GOOD))
    with pytest.raises(SignatureInvalid):
        twice.signers({"one": A.public, "two": A.public}, IN_TOTO, threshold=2)


def test_what_holds_something_else_is_refused_although_it_is_signed() -> None:
    with pytest.raises(SignatureInvalid, match="something else"):
        sign(BODY, "application/vnd.nbprod.keys+json", A).signers(TRUSTED, IN_TOTO)


PLAIN = sign(BODY, IN_TOTO, A).to_bytes()


@pytest.mark.parametrize(
    "data",
    [
        PLAIN + b"x",
        PLAIN + PLAIN,
        b"\xef\xbb\xbf" + PLAIN,
        PLAIN.replace(b'"payloadType"', b'"payload":"","payloadType"'),
        PLAIN.replace(b'"sig"', b'"sig":"","sig"'),
        PLAIN.replace(b"fQ==", b"fR=="),
        PLAIN.replace(b"fQ==", b"fQ"),
        PLAIN.replace(b"fQ==", b"fQ==\\n"),
        PLAIN.replace(b"fQ==", b" fQ=="),
        b"[]",
        b"",
        b"\xff",
        b'{"payload":"","payloadType":"x","signatures":[]}',
        b'{"payload":"","payloadType":"x","signatures":[{}]}',
        b'{"payload":"","payloadType":"x","signatures":[3]}',
        b'{"payload":"","payloadType":"x","signatures":[{"keyid":3,"sig":""}]}',
        b'{"payload":3,"payloadType":"x","signatures":[{"sig":""}]}',
        b'{"payload":"","payloadType":NaN,"signatures":[{"sig":""}]}',
        b'{"payload":"","signatures":[{"sig":""}]}',
        b"[" * 100_000,
    ],
    ids=str,
)
def test_what_is_no_envelope_is_refused(data: bytes) -> None:
    assert Envelope.from_bytes(PLAIN).payload == BODY  # positive control
    with pytest.raises(IntegrityError):
        Envelope.from_bytes(data)


def test_fields_that_are_not_known_are_passed_over() -> None:
    assert Envelope.from_bytes(PLAIN[:-1] + b',"later":1}').signers(TRUSTED, IN_TOTO)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        PLAIN,
        PLAIN + b"\n\n",
        b"\n" + PLAIN + b"\n",
        PLAIN + b"\r\n",
        PLAIN[:-1] + b',"z":1}\n',
        b" " + PLAIN + b"\n",
    ],
    ids=["nothing", "no newline", "an empty line", "an empty line first", "CR", "a further field", "a space"],
)
def test_a_bundle_has_one_form(data: bytes) -> None:
    assert from_lines(PLAIN + b"\n")
    with pytest.raises(IntegrityError):
        from_lines(data)


def test_a_bundle_of_statements_is_known_by_its_beginning() -> None:
    statement = canonical({"_type": "https://in-toto.io/Statement/v1", "predicateType": "x", "subject": []})
    assert to_lines([sign(statement, IN_TOTO, A)]).startswith(BEGINNING)
    assert base64.b64decode(BEGINNING.partition(b':"')[2]) == statement[:42]


@given(data=st.binary(max_size=50), text=st.text("AQgw+/=-_ \n", max_size=12))
def test_base64_has_one_form(data: bytes, text: str) -> None:
    assert read_base64(write_base64(data), "it") == data
    try:
        read = read_base64(text, "it")
    except IntegrityError:
        return
    assert write_base64(read) == text


@given(value=st.dictionaries(st.text(max_size=4), st.integers(-9, 9) | st.text(max_size=4) | st.none(), max_size=4))
def test_objects_read_as_json_does(value: Any) -> None:
    assert read_object(json.dumps(value).encode(), "it") == value


def test_keys_read_back_and_are_shown_nowhere() -> None:
    assert PrivateKey.from_pem(A.to_pem()).public == A.public
    assert PublicKey.from_pem(A.public.to_pem()) == A.public
    assert "PRIVATE" not in repr(A) + str(A)
    with pytest.raises(TypeError):
        pickle.dumps(A)
    assert pickle.loads(pickle.dumps(A.public)) == A.public
    for read, data in (
        (PrivateKey.from_pem, A.public.to_pem()),
        (PublicKey.from_pem, A.to_pem()),
        (PublicKey.from_pem, b""),
    ):
        with pytest.raises(CallerError):
            read(data)
    with pytest.raises(CallerError):
        PublicKey(b"short")
