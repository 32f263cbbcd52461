"""Images whose metadata hold a secret."""

from __future__ import annotations

import base64
import io
import json

import pytest
from PIL import Image, PngImagePlugin

from nbprod.kernels.images import without_secrets
from nbprod.kernels.masked import mask_content
from nbprod.masking import Masker

SECRET = "hunter2-çorrect horse"
MASKER = Masker({"PASSWORD": SECRET})


def picture(form: str, *, secret: bool) -> bytes:
    """Return an image of a few pixels as its library writes it, with the secret in its metadata or without."""
    image = Image.new("RGB", (3, 2), (10, 20, 30))
    said = f"by {SECRET}" if secret else "by nobody"
    exif = Image.Exif()
    exif[0x010E] = said.encode()
    stream = io.BytesIO()
    if form == "PNG":
        told = PngImagePlugin.PngInfo()
        told.add_text("Author", "harmless")
        told.add_itxt("Packed", said, zip=True)
        told.add_itxt("Text", said)
        told.add_text("Old", said.replace("ç", "c") if not secret else said, zip=True)
        image.save(stream, form, pnginfo=told, exif=exif)
    elif form == "GIF":
        image.save(stream, form, comment=said.encode())
    else:
        image.save(stream, form, exif=exif, **({"comment": said.encode()} if form == "JPEG" else {}))
    return stream.getvalue()


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_the_pieces_with_the_secret_are_left_out_and_the_picture_stays(form: str) -> None:
    data = picture(form, secret=True)
    kept, names = without_secrets(data, MASKER)
    assert names == {"PASSWORD"}
    assert kept is not None
    with Image.open(io.BytesIO(kept)) as now, Image.open(io.BytesIO(data)) as before:
        assert now.tobytes() == before.tobytes()
        said = str({key: value for key, value in now.info.items() if key != "exif"}) + str(dict(now.getexif()))
        assert SECRET not in said
        assert "PNG" not in form or now.info["Author"] == "harmless"
        assert SECRET in str(before.info) + str(before.info.get("comment", b"").decode())


@pytest.mark.parametrize("form", ["GIF", "WEBP"])
def test_what_cannot_do_without_is_not_kept(form: str) -> None:
    assert without_secrets(picture(form, secret=True), MASKER) == (None, {"PASSWORD"})


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "WEBP"])
def test_an_image_without_one_stays_as_it_is(form: str) -> None:
    data = picture(form, secret=False)
    kept, names = without_secrets(data, MASKER)
    assert kept is data
    assert names == set()


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_what_is_cut_and_holds_one_is_not_kept(cut: int) -> None:
    data = picture("JPEG", secret=True)
    broken = data[:2] + data[2 + cut :]
    assert without_secrets(broken, MASKER)[0] is None or SECRET.encode() not in broken


def test_a_text_that_unpacks_to_more_than_anybody_reads_is_left_out() -> None:
    image, told, stream = Image.new("L", (1, 1)), PngImagePlugin.PngInfo(), io.BytesIO()
    told.add_text("Bomb", "0" * (1 << 25), zip=True)
    image.save(stream, "PNG", pnginfo=told)
    kept, names = without_secrets(stream.getvalue(), MASKER)
    assert (names, kept is not None and b"Bomb" in kept) == (frozenset(), False)


def test_a_message_keeps_its_image_and_says_what_was_in_it() -> None:
    def text(data: bytes) -> str:
        return base64.b64encode(data).decode()

    html = f"<img src='data:image/png;base64,{text(picture('PNG', secret=True))}'>"
    bundle = {"image/png": text(picture("PNG", secret=True)), "image/gif": text(picture("GIF", secret=True))}
    content = {"data": {**bundle, "text/html": html}, "metadata": {"image/png": {"width": 3}}, "transient": {}}
    masked = json.loads(mask_content(json.dumps(content).encode(), content, MASKER))
    assert masked["metadata"] == {"image/png": {"width": 3}, "nbprod": {"masked": ["«secret:PASSWORD»"]}}
    assert masked["data"]["text/plain"] == "[nbprod] image/gif held a secret, and was not kept"
    assert set(masked["data"]) == {"image/png", "text/html", "text/plain"}
    for encoded in (masked["data"]["image/png"], masked["data"]["text/html"].split("base64,")[1][:-2]):
        data = base64.b64decode(encoded)
        assert SECRET.encode() not in data
        Image.open(io.BytesIO(data)).verify()
