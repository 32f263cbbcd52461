"""Pages of executed notebooks: harmless, and still readable (law 10)."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbprod.project.clean import clean_html

PIECES = [
    "<script>alert(1)</script>",
    "<SCRIPT src=http://e/x.js>",
    "</script>",
    "<style>*{background:url(http://e)}</style>",
    "<img src=x onerror=alert(1)>",
    "<img src='http://e/pixel.png'>",
    "<svg onload=alert(1)><script>1</script></svg>",
    "<a href='java\tscript:alert(1)'>",
    '<a href="data:text/html,<script>1</script>">x</a>',
    "<iframe srcdoc='<script>1</script>'></iframe>",
    "<form action=http://e><input autofocus onfocus=alert(1)>",
    '<noscript><p title="</noscript><img src=x onerror=alert(1)>">',
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    "<div style='background:url(javascript:alert(1))'>",
    "<base href=http://e>",
    "<meta http-equiv=refresh content='0;url=http://e'>",
    "<!--><img src=x onerror=alert(1)>-->",
    "<p>text",
    "a < b & c",
]
_TAG = re.compile(r"<([a-z][a-z0-9]*)((?:\s+[a-z]+(?:=\"[^\"]*\")?)*)\s*/?>")
_NEVER = {"script", "style", "iframe", "form", "input", "svg", "math", "base", "meta", "object", "embed", "link"}


@given(st.lists(st.sampled_from(PIECES), max_size=6).map("".join))
def test_nothing_that_runs_or_is_fetched_is_left(html):
    cleaned = clean_html(html)
    for name, attributes in _TAG.findall(cleaned):
        assert name not in _NEVER
        for attribute, value in re.findall(r"([a-z]+)=\"([^\"]*)\"", attributes):
            assert not attribute.startswith("on")
            assert "url(" not in value or attribute != "style"
            if attribute == "src":
                assert value.startswith("data:image/")
            if attribute == "href":
                assert value.startswith(("http://", "https://", "mailto:", "#"))
    # Every `<` that is left begins or ends one of the tags that were looked at.
    assert cleaned.count("<") == len(_TAG.findall(cleaned)) + cleaned.count("</")
    assert clean_html(cleaned) == cleaned


def test_links_within_links_come_to_rest():
    nested = '<a href="data:text/html,1">x</a>' + "<a href='java\tscript:alert(1)'>" * 3 + "<p>text<table><a>" * 2
    cleaned = clean_html(nested)
    assert clean_html(cleaned) == cleaned
    assert "script" not in cleaned


def test_the_check_would_see_a_handler():
    assert _TAG.findall('<img src="x" onerror="y">') == [("img", ' src="x" onerror="y"')]


@pytest.mark.parametrize(
    "html",
    [
        '<h1 id="a">Title</h1>',
        '<table border="1" class="dataframe"><thead><tr><th>a</th></tr></thead></table>',
        '<p>text <a href="https://e">link</a> <em>x</em></p>',
        '<img src="data:image/png;base64,AA" alt="plot">',
        '<span style="color: red;">x</span>',
        "<ul><li>a</li></ul>",
    ],
    ids=lambda html: html[1:6],
)
def test_what_documents_are_made_of_stays(html):
    assert clean_html(html).replace("color:red", "color: red") == html


def test_bytes_are_read_as_utf8():
    assert clean_html("ü".encode()) == "ü"
