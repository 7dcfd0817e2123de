"""Products as the shop shows them, made from the release's raw records.

`clean` follows upstream's loader, quirks included: a product without a price costs 100 dollars, of
more than two prices the first two count and are not sorted, option names and values are in lower
case with ` | ` for a slash, and a product that the attribute file does not list has the attribute
`DUMMY_ATTR`. What makes upstream's loader crash is mended: a price that cannot be read counts as
none, and absent texts and images are empty.

Files are read record by record, so a release of several gigabytes needs no memory.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from sad_envs.base import EnvError

NO_PRICE = 100.0
"""Price in dollars of a product that has none."""

DUMMY_ATTRIBUTE = "DUMMY_ATTR"
LONGEST_ASIN = 10

_CHUNK = 1 << 20
_NOT_A_NUMBER = re.compile(r"[^\d.]")


@dataclass(frozen=True, slots=True)
class Product:
    """A product, cleaned.

    Attributes:
        prices: one price, or the two of a range as they are written, in dollars.
        price_text: as pages show it, such as `$14.0` or `$1.0 to $2.0`.
        options: names to values, in lower case and in the order of the page.
        option_images: value to the address of its image; shared by all names, the last one wins.
        image: address of the main image, or empty.
        query: the search phrase under which the product was collected.
        product_category: breadcrumbs joined by ` › `.
    """

    asin: str
    title: str
    description: str
    bullets: tuple[str, ...]
    prices: tuple[float, ...]
    price_text: str
    options: Mapping[str, tuple[str, ...]]
    option_images: Mapping[str, str | None]
    attributes: tuple[str, ...]
    image: str
    category: str
    query: str
    product_category: str

    def search_text(self) -> str:
        """What the search index has of the product: the title, a space, and `details_text`."""
        return f"{self.title.lower()} {self.details_text()}"

    def details_text(self) -> str:
        """Description, first bullet and options, in lower case."""
        options = ", and ".join(
            f"{name}: {', '.join(values)}" for name, values in self.options.items()
        )
        first = self.bullets[0] if self.bullets else ""
        return f"{self.description} {first} {options}".lower()


def clean(raw: Mapping[str, Any], attribute_record: Mapping[str, Any] | None) -> Product | None:
    """The product of a raw record and its record in the attribute file; None for one to be skipped.

    Skipped are products without an asin (`nan`) or with one of more than ten characters.
    """
    asin = _text(raw.get("asin"))
    if asin in ("", "nan") or len(asin) > LONGEST_ASIN:
        return None
    prices, price_text = parse_price(raw.get("pricing"))
    options, images = _options(raw.get("customization_options"))
    bullets = raw.get("small_description")
    pictures = raw.get("images") or [""]
    attributes = (attribute_record or {}).get("attributes", [DUMMY_ATTRIBUTE])
    return Product(
        asin=asin,
        title=_text(raw.get("name")),
        description=_text(raw.get("full_description")),
        bullets=tuple(map(_text, bullets if isinstance(bullets, list) else [bullets])),
        prices=prices,
        price_text=price_text,
        options=options,
        option_images=images,
        attributes=tuple(map(_text, attributes)),
        image=_text(pictures[0]),
        category=_text(raw.get("category")),
        query=_text(raw.get("query")).lower().strip(),
        product_category=_text(raw.get("product_category")),
    )


def parse_price(pricing: object) -> tuple[tuple[float, ...], str]:
    """Prices and their text, of the form `$24.99`, `$19.99 - $39.99`, or nothing.

    Every piece after a `$` is a price: its digits and periods. The unit price of
    `$10.99 ($1.10 / Ounce)` is thus taken for the other end of a range, as upstream does.
    """
    found = []
    for piece in _text(pricing).split("$")[1:]:
        try:
            found.append(float(_NOT_A_NUMBER.sub("", piece)))
        except ValueError:
            continue
    prices = tuple(found[:2]) or (NO_PRICE,)
    return prices, " to ".join(f"${price}" for price in prices)


def _options(raw: object) -> tuple[dict[str, tuple[str, ...]], dict[str, str | None]]:
    options: dict[str, tuple[str, ...]] = {}
    images: dict[str, str | None] = {}
    if isinstance(raw, Mapping):
        for name, contents in raw.items():
            if contents is None:
                continue
            values = []
            for content in contents:
                value = _text(content["value"]).strip().replace("/", " | ").lower()
                values.append(value)
                images[value] = content.get("image") or None
            options[name.lower()] = tuple(values)
    return options, images


def _text(value: object) -> str:
    return "" if value is None else str(value)


# -- files ------------------------------------------------------------------------------------


def stream_list(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a JSON list, one by one; raises `EnvError` for anything else."""
    for _, value in _stream(path, "[", "]"):
        if not isinstance(value, dict):
            raise EnvError(f"{path} has a {type(value).__name__} in its list; expected objects")
        yield value


def stream_dict(path: Path) -> Iterator[tuple[str, Any]]:
    """The pairs of a JSON object, one by one; raises `EnvError` for anything else."""
    yield from _stream(path, "{", "}")


def _stream(path: Path, opening: str, closing: str) -> Iterator[tuple[str, Any]]:
    try:
        with path.open(encoding="utf-8") as file:
            yield from _Reader(path, file).items(opening, closing)
    except UnicodeDecodeError as error:
        raise EnvError(f"{path} is no text file ({error}); get it again") from error
    except OSError as error:
        raise EnvError(f"cannot read {path}: {error.strerror}; name an existing file") from error


class _Reader:
    """Reads JSON values from a file through a buffer that holds little more than one of them."""

    def __init__(self, path: Path, file: TextIO) -> None:
        self._path, self._file = path, file
        self._decode = json.JSONDecoder().raw_decode
        self._buffer, self._at, self._ended = "", 0, False

    def items(self, opening: str, closing: str) -> Iterator[tuple[str, Any]]:
        """The values of a list, with empty keys, or the pairs of an object."""
        if self._symbol() != opening:
            raise EnvError(f"{self._path} does not begin with {opening!r}; expected a WebShop file")
        if self._peek() == closing:
            return
        while True:
            key = ""
            if opening == "{":
                key = self._value()
                self._expect(":")
            yield key, self._value()
            if self._peek() == closing:
                return
            self._expect(",")

    def _expect(self, symbol: str) -> None:
        found = self._symbol()
        if found != symbol:
            raise EnvError(
                f"{self._path} is no whole JSON file: expected {symbol!r}, not {found!r}"
            )

    def _symbol(self) -> str:
        found = self._peek()
        self._at += 1
        return found

    def _peek(self) -> str:
        """The next character that is no white space; empty at the end of the file."""
        while True:
            while self._at < len(self._buffer) and self._buffer[self._at] in " \t\r\n\ufeff":
                self._at += 1
            if self._at < len(self._buffer):
                return self._buffer[self._at]
            if not self._more():
                return ""

    def _value(self) -> Any:
        """The next value, which ends in a bracket or a quote."""
        self._peek()
        while True:
            try:
                value, self._at = self._decode(self._buffer, self._at)
            except ValueError as error:
                if not self._more():
                    raise EnvError(f"{self._path} is no whole JSON file ({error})") from error
            else:
                return value

    def _more(self) -> bool:
        """Read on, twice as much when a value fills the buffer; False at the end of the file."""
        rest = self._buffer[self._at :]
        chunk = self._file.read(max(_CHUNK, len(rest)))
        self._buffer, self._at = rest + chunk, 0
        return bool(chunk)
