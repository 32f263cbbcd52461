"""Test vectors of DSSE, from secure-systems-lab/dsse, testvectors/vectors.json at commit 82043adf (Apache-2.0).

The keys are those of RFC 8032, section 7.1, TEST 1 and TEST 2. Each: id, payload, payload type, signatures as
(key, signature), trusted keys, threshold, the type that the verifier supports, whether it is to be accepted.
"""

from __future__ import annotations

SEEDS = {
    "A": "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
    "B": "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
}
PUBLIC = {
    "A": "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    "B": "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
}
_BODY = "eyJfdHlwZSI6Imh0dHBzOi8vaW4tdG90by5pby9TdGF0ZW1lbnQvdjEifQ=="
_KIND = "application/vnd.in-toto+json"
_BY_A = "2WAfaHm5jluo0w+0rk8uVkluELJYWjSmU9x7EUzx+AyteDGJ4/nqyJXfmAUVFIAoQafWm7AxBZNw5M9ixNHiCA=="
_BY_B = "c1+67/aT0yqEpwx8PsVY3MLHsj9D0CZ014/Fv/QlG59P+9CobUZ7xECJ/V3USG0Ob9CiE5LjReEZUzNF2l7eBw=="
_EMPTY = "gSggCAaTLTYyRH6FIDBem6meyIynsYy8RTHVzwx9tnTb7Bg/1jMWnuVgI/gffqmbsC2VX5/jHfkkDqsj7CDbDg=="
_UMLAUT = "xmSk/ug66ysT7ayhkCIjhAq42zgZXSsEWuzUaNL7w2eGAdF/NU6/fRXPtmfN+5DNSAs5/i2lUnHjbbjPsu0tAw=="
_TYPELESS = "iC3q/+3Rm0+lpAJRueDmDh15PnwCfxKmS0NAfKsbv+zgulXQC/WM9trc+j1XEqlwDIg/vf/uNfebeD6sxInrDg=="

URL_SAFE = {
    "payload": "-_-_Pj8=",
    "payloadType": _KIND,
    "signatures": [
        {
            "sig": "P-_KHICeR7tI6S_YyejJTRtrXhcQyQ2LYPaL8h90KjC9qN8HU_svOQ6TuDOT1HIrsGW886DbWNWcCmX5twLrAw==",
            "keyid": "A",
        }
    ],
}
"""The one vector that is refused here although DSSE accepts it: an envelope has one form only."""

VECTORS = [
    ("single-signature", _BODY, _KIND, [("A", _BY_A)], "A", 1, _KIND, True),
    ("payload-type-swapped", _BODY, "application/vnd.example.other+json", [("A", _BY_A)], "A", 1, None, False),
    ("non-ascii-payload-type", _BODY, "application/vnd.exämple+json", [("A", _UMLAUT)], "A", 1, None, True),
    ("empty-payload", "", _KIND, [("A", _EMPTY)], "A", 1, _KIND, True),
    ("empty-payload-type", _BODY, "", [("A", _TYPELESS)], "A", 1, _KIND, False),
    ("threshold-two-distinct-keys", _BODY, _KIND, [("A", _BY_A), ("B", _BY_B)], "AB", 2, _KIND, True),
    ("threshold-two-one-key-twice", _BODY, _KIND, [("A", _BY_A), ("A", _BY_A)], "AB", 2, _KIND, False),
    ("threshold-two-without-keyids", _BODY, _KIND, [(None, _BY_A), (None, _BY_B)], "AB", 2, _KIND, True),
]
