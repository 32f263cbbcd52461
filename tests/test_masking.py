"""No form of a secret survives masking."""

from __future__ import annotations

import base64
import html
import json
import pprint
import re
import shlex
import subprocess
import textwrap
import time
from urllib.parse import quote, quote_plus
from xml.sax import saxutils

import markupsafe
import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st
from jinja2.utils import htmlsafe_json_dumps

from nbprod.errors import CallerError
from nbprod.masking import Masker
from nbprod.masking.forms import forms

LONG = "hunter2-correct-horse-battery"
SECRET = st.text(st.characters(codec="utf-8", exclude_characters="«»"), min_size=4, max_size=30)


def masker_of(*secrets: str) -> Masker:
    try:
        return Masker({f"S{index}": secret for index, secret in enumerate(secrets)})
    except CallerError:
        assume(False)
        raise


@given(st.lists(SECRET, min_size=1, max_size=4), st.data())
def test_masked_text_never_contains_a_secret(secrets: list[str], data: st.DataObject) -> None:
    masker = masker_of(*secrets)
    pieces = data.draw(st.lists(st.sampled_from([*secrets, *(s[:3] for s in secrets), *(s[1:] for s in secrets), "-"])))
    text = "".join(pieces)
    masked = masker.mask_text(text)
    assert not any(secret in masked for secret in secrets)
    assert masker.mask_json({"a": [text, {text: 1}]}) == {"a": [masked, {masked: 1}]}


@given(SECRET, st.text("~ \n"))
def test_text_without_the_secret_stays_as_it_is(secret: str, text: str) -> None:
    assume(not set("~ \r\n") & set(secret))
    assert masker_of(secret).mask_text(text) == text


FORMS = {
    "plain": lambda s: s,
    "base64": lambda s: base64.b64encode(s.encode()).decode(),
    "urlsafe": lambda s: base64.urlsafe_b64encode(s.encode()).decode(),
    "hex": lambda s: s.encode().hex(),
    "HEX": lambda s: s.encode().hex().upper(),
    "quoted": quote,
    "quoted whole": lambda s: quote(s, safe=""),
    "form": quote_plus,
    "json": lambda s: json.dumps(s)[1:-1],
    "json in unicode": lambda s: json.dumps(s, ensure_ascii=False)[1:-1],
    "repr": lambda s: repr(s)[1:-1],
    "json with \\/": lambda s: json.dumps(s)[1:-1].replace("/", r"\/"),
    "json with \\/ in unicode": lambda s: json.dumps(s, ensure_ascii=False)[1:-1].replace("/", r"\/"),
    "json of Jinja": lambda s: str(htmlsafe_json_dumps(s))[1:-1],
    "json of Jinja twice": lambda s: json.dumps(str(htmlsafe_json_dumps(s))[1:-1])[1:-1],
    "json of Go": lambda s: escaped(json.dumps(s, ensure_ascii=False)[1:-1], "<>&"),
    "json of Plotly": lambda s: escaped(json.dumps(s)[1:-1], "<>/"),
    "json of .NET": lambda s: capitals(escaped(json.dumps(s)[1:-1].replace('\\"', "\\u0022"), "<>&'+`")),
    "json of PHP": lambda s: escaped(json.dumps(s)[1:-1].replace("/", r"\/"), "<>&'", "04X"),
    "json in capitals": lambda s: capitals(json.dumps(s)[1:-1]),
    "html of PHP": lambda s: html.escape(s).replace("&#x27;", "&#039;"),
    "html of markupsafe": lambda s: str(markupsafe.escape(s)),
    "xml": lambda s: saxutils.escape(s).encode("ascii", "xmlcharrefreplace").decode(),
    "xml's attribute": lambda s: saxutils.escape(s, {'"': "&quot;"}),
    "xml's entities": lambda s: saxutils.escape(s, {'"': "&quot;", "'": "&apos;"}),
    "sql": lambda s: s.replace("'", "''"),
    "csv": lambda s: s.replace('"', '""'),
    "shell": lambda s: shlex.quote(s).removeprefix("'").removesuffix("'"),
    "repr beside quotes": lambda s: repr(f'"|{s}|').split("|")[1],
    "repr beside apostrophes": lambda s: repr(f"'|{s}|").split("|")[1],
    "ascii beside quotes": lambda s: ascii(f'"|{s}|').split("|")[1],
    "bytes beside quotes": lambda s: repr(f'"|{s}|'.encode()).split("|")[1],
    "bytes beside apostrophes": lambda s: repr(f"'|{s}|".encode()).split("|")[1],
    "UTF-16 beside quotes": lambda s: repr(f'"|{s}|'.encode("utf-16-be")).split("|")[1][4:-4],
    "repr of repr": lambda s: repr(repr(f'"|{s}|')).split("|")[1],
    "repr of a list's str": lambda s: str([str([f"|{s}|"])]).split("|")[1],
    "repr of JSON": lambda s: repr(json.dumps(f"|{s}|")).split("|")[1],
    "repr of JSON in unicode": lambda s: repr(json.dumps(f"|{s}|", ensure_ascii=False)).split("|")[1],
    "yaml": lambda s: yaml.safe_dump(f"ü{s}", width=1 << 20)[5:-2],
    "names of HTML": lambda s: html.escape(s, quote=False).replace("ö", "&ouml;"),
    "names of PHP": lambda s: html.escape(s).replace("&#x27;", "&#039;").replace("ö", "&ouml;"),
    "shell by hand": lambda s: s.replace("'", r"'\''"),
}


def escaped(text: str, signs: str, digits: str = "04x") -> str:
    return "".join(f"\\u{ord(sign):{digits}}" if sign in signs else sign for sign in text)


def capitals(text: str) -> str:
    return re.sub(r"(?<=\\u)[0-9a-f]{4}", lambda found: found[0].upper(), text)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("secret", ["p@ss/wörd&<\"'\\>\n+x?", "hunter2hunter2", "12345678"])
def test_each_encoded_form_is_masked(form, secret: str) -> None:
    masked = Masker({"API": secret}).mask_text(f"a {form(secret)} b")
    assert masked == "a «secret:API» b"


def test_what_bash_makes_of_it_is_masked() -> None:
    value = 'it\'s ("$id") & `x` \\ #1!'
    script = 'printf "%q\\n" "$V"; declare -p V; set | grep ^V='
    said = subprocess.run(["bash", "-c", script], env={"V": value}, capture_output=True, text=True, check=True).stdout
    masked = Masker({"API": value}).mask_text(said)
    assert masked == "«secret:API»\ndeclare -x V=\"«secret:API»\"\nV='«secret:API»'\n"


@pytest.mark.parametrize("value", [LONG, "pässwörd", "🔑-clé"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_files_are_looked_through_for_wide_texts(value: str, encoding: str) -> None:
    masker = Masker({"API": value, "OTHER": "something else"})
    data = f"x{value}y".encode(encoding)  # NumPy's strings are UTF-32
    assert masker.names_in(b"header" + data) == {"API"}
    assert masker.names_in(data.replace(value[-1].encode(encoding), b"")) == frozenset()
    assert len(data) <= masker.longest_bytes + 8


def test_a_value_with_nothing_to_escape_has_few_forms() -> None:
    assert len(set(forms("hunter2-correct-horse-battery"))) <= 8  # each is looked for in all that is put out
    assert len(set(forms("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"))) <= 16


@given(st.binary(max_size=7), st.binary(max_size=7), st.text(st.characters(codec="ascii"), min_size=8, max_size=20))
def test_base64_of_more_than_the_secret_is_masked(before: bytes, after: bytes, secret: str) -> None:
    encoded = base64.b64encode(before + secret.encode() + after).decode()
    assert "«secret:S0»" in masker_of(secret).mask_text(encoded)


@given(st.lists(st.sampled_from(["abca", "bcab", "ab", "xcab", "c", "-"]), max_size=8).map("".join), st.data())
def test_what_is_settled_is_masked_by_itself(text: str, data: st.DataObject) -> None:
    masker = Masker({"A": "abcabc", "B": "bcabca", "C": "cabx"})
    cut = masker.settled(text)
    assert len(text) - cut >= min(len(text), masker.longest - 1)
    more = data.draw(st.text("abcx-", max_size=9))
    assert masker.mask_text(text[:cut]) + masker.mask_text(text[cut:] + more) == masker.mask_text(text + more)


def test_without_secrets_all_is_settled() -> None:
    assert Masker({}).settled("abc") == 3


IN_LINES = {
    "encodebytes": lambda d: base64.encodebytes(d).decode(),
    "MIME": lambda d: base64.encodebytes(d).decode().replace("\n", "\r\n"),
    "repr": lambda d: repr(base64.encodebytes(d)),
    "JSON": lambda d: json.dumps({"data": base64.encodebytes(d).decode()}),
    "JSON twice": lambda d: json.dumps(json.dumps(base64.encodebytes(d).decode())),
    "pprint": lambda d: pprint.pformat({"key": base64.b64encode(d)}),
    "pprint of lines": lambda d: pprint.pformat(base64.encodebytes(d).decode().splitlines()),
    "hex": lambda d: "\n".join(textwrap.wrap(d.hex(), 60)),
    "indented": lambda d: textwrap.indent(base64.encodebytes(d).decode(), "    "),
}


@pytest.mark.parametrize("written", IN_LINES.values(), ids=IN_LINES)
def test_what_is_encoded_and_cut_into_lines_is_masked(written) -> None:
    masker = Masker({"API": LONG, "KEY": "k" + "0123456789abcdef" * 20})
    for before in range(80):
        text = written(b"=" * before + LONG.encode() + b"?" * 200)
        masked = masker.mask_text(text)
        assert masked.count("«secret:API»") == 1, text
        assert len(masked) > len(text) - 80  # all the rest stays
        assert masker.names_in(text.encode()) == {"API"}
        other = written(b"=" * before + LONG[:-1].encode() + b"?" * 200)
        assert masker.mask_text(other) == other


@pytest.mark.parametrize("order", ["utf-16-le", "utf-16-be"])
def test_bytes_of_utf_16_are_masked(order: str) -> None:
    masked = Masker({"API": LONG}).mask_text(repr(f"a{LONG}b".encode(order)))
    assert "«secret:API»" in masked
    assert r"h\x00u" not in masked


def test_lines_by_the_million_take_no_longer_than_their_letters() -> None:
    masker = Masker({"A": "a" * 40, "Z": "\0" * 40})  # whose base64 is one letter again and again
    text = base64.encodebytes(bytes(1_000_000)).decode()
    begun = time.process_time()
    assert masker.uncut(text, len(text)) <= len(text)
    assert time.process_time() - begun < 1.0


def test_overlapping_secrets_leave_no_end() -> None:
    assert Masker({"A": "abcd", "B": "cdefghijkl"}).mask_text("-abcdefghijkl-") == "-«secret:B»-"


def test_longest_first() -> None:
    assert Masker({"A": "abcd", "B": "abcdefgh"}).mask_text("abcdefgh abcd") == "«secret:B» «secret:A»"


def test_lines_of_a_key_are_masked_by_themselves() -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADAN\nBgkqhkiG9w0B\n-----END KEY-----\n"
    masker = Masker({"PEM": key})
    assert masker.mask_text(key) == "«secret:PEM»"
    assert masker.mask_text("line: BgkqhkiG9w0B") == "line: «secret:PEM»"


def test_json_numbers_and_keys_are_masked_and_the_rest_kept() -> None:
    masker = Masker({"PIN": "12345678"})
    value = {"a12345678": [12345678, 1.5, None, True, 123456789]}
    assert masker.mask_json(value) == {"a«secret:PIN»": ["«secret:PIN»", 1.5, None, True, 123456789]}


def test_without_secrets_everything_is_returned_as_it_is() -> None:
    masker, value = Masker({}), {"a": ["b"]}
    assert not masker
    assert masker.mask_json(value) is value
    assert masker.mask_text("abc") == "abc"


REFUSED = {
    "": "it is empty",
    "abc": "fewer than 4 characters",
    "a«bcde": "it holds « or »",
    "secret": "a part of «secret:",
    "TOKEN": "a part of «secret:MY_TOKEN»",
    "\ud800abcd": "not UTF-8",
}


@pytest.mark.parametrize(("value", "fault"), REFUSED.items())
def test_what_cannot_be_masked_is_refused_without_telling_it(value: str, fault: str) -> None:
    with pytest.raises(CallerError, match="MY_TOKEN") as caught:
        Masker({"MY_TOKEN": value, "GOOD": "long enough"}, {"MY_TOKEN": "env:OUTER", "GOOD": "env:GOOD"})
    assert not value or f"{value!r}" not in str(caught.value)
    assert str(caught.value.found).startswith("MY_TOKEN (env:OUTER): ")
    assert fault in str(caught.value.found)
    assert "GOOD" not in str(caught.value)
