"""WebShop the way upstream works, reconstructed from its published behaviour, to be measured.

Products are dictionaries. Every page is a template that Flask compiles and renders anew; its HTML
is then parsed with BeautifulSoup for what can be clicked, for the instruction and for the text.
Every search asks Lucene for fifty hits and fetches the stored document of each. spaCy's model stays
loaded, for the type reward. The texts are those of mode `text`, so both ways can be compared.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import flask
from bs4 import BeautifulSoup
from bs4.element import Comment, Doctype

from sad_envs.search import open_engine
from sad_envs.webshop.catalogue import ReleaseFiles
from sad_envs.webshop.goals import Goal
from sad_envs.webshop.nouns import find_nouns
from sad_envs.webshop.products import clean, stream_dict, stream_list

HITS, PER_PAGE = 50, 10
UNSEEN = ("style", "script", "head", "title", "meta", "[document]")
SUB_PAGES = ("description", "features", "reviews")

_TOP = """<!DOCTYPE html><html><head>
<link rel="stylesheet" href="/static/style.css"><script src="/static/jquery.js"></script></head>
<body><div class="container py-5"><div class="row top-buffer"><div class="col-sm-6">
"""
_HEAD = (
    _TOP
    + """<div id="instruction-text" class="text-center">
<h4>Instruction:<br>{{ instruction }}</h4></div>
<form method="post" action=""><button type="submit" class="btn btn-success">Back to Search</button>
</form>
"""
)
_PREV = (
    '<form method="post"><button type="submit" class="btn btn-primary">&lt; Prev</button></form>'
)
_END = "</div></div></div></body></html>"
TEMPLATES = {
    "search": _TOP
    + """<h2>WebShop</h2><div id="instruction-text">
<h4>Instruction: <br>{{ instruction }}</h4></div>
<form method="post" id="form-buscar"><input id="search_input" name="search_query">
<button type="submit" class="btn btn-success">Search</button></form>"""
    + _END,
    "results": _HEAD
    + """<h3>Page {{ number }} (Total results: {{ total }})</h3>
{% if number > 1 %}"""
    + _PREV
    + """{% endif %}
<form method="post"><button type="submit" class="btn btn-primary">Next &gt;</button></form>
{% for item in products %}<div class="list-group-item">
<img class="result-img" src="{{ item.image }}"><div class="searched-product">
<h4 class="product-asin"><a class="product-link" href="#">{{ item.asin }}</a></h4>
<h4 class="product-title">{{ item.Title }}</h4><h5 class="product-price">{{ item.Price }}</h5>
</div></div>{% endfor %}"""
    + _END,
    "item": _HEAD
    + _PREV
    + """{% for name, values in item.options.items() %}<h4>{{ name }}</h4>
<div class="radio-toolbar">{% for value in values %}<input type="radio"
id="radio_{{ name }}{{ loop.index0 }}" name="{{ name }}" value="{{ value }}"
data-url="/item_page/{{ item.asin }}/{{ value }}"><label
for="radio_{{ name }}{{ loop.index0 }}">{{ value }}</label>{% endfor %}</div>{% endfor %}
<img id="product-image" src="{{ item.image }}"><h2>{{ item.Title }}</h2>
<h4>Price: {{ item.Price }}</h4><h4>Rating: {{ item.Rating }}</h4>
{% for name in ("Description", "Features", "Reviews") %}<form method="post">
<button class="btn btn-primary" type="submit">{{ name }}</button></form>{% endfor %}
<form method="post"><button type="submit" class="btn btn-lg purchase">Buy Now</button></form>"""
    + _END,
    "sub": _HEAD
    + _PREV
    + """{% for text in texts %}<p class="product-info">{{ text }}</p>{% endfor %}"""
    + _END,
}


class Upstream:
    """One visitor, on the release of 1,000 products."""

    def __init__(self, files: ReleaseFiles, folder: Path, index: Path) -> None:
        self._app = flask.Flask(__name__)
        self._engine = open_engine(index, "lucene")
        self._nouns = find_nouns("spacy")
        attributes = dict(stream_dict(folder / files.attributes))
        self._items: dict[str, dict[str, Any]] = {}
        for raw in stream_list(folder / files.items):
            product = clean(raw, attributes.get(raw["asin"]))
            if product is not None:
                options = {name: list(values) for name, values in product.options.items()}
                self._items[product.asin] = {
                    **raw,
                    "Title": product.title,
                    "Price": product.price_text,
                    "Rating": "N.A.",
                    "options": options,
                    "image": product.image,
                    "Description": product.description,
                    "BulletPoints": list(product.bullets),
                    "Attributes": list(product.attributes),
                }

    def reset(self, goal: Goal) -> str:
        self._goal = goal
        self._page, self._number, self._asin = "search", 1, ""
        self._found: list[dict[str, Any]] = []
        self._show("search")
        return self._text()

    def step(self, action: str) -> tuple[str, bool]:
        """The text after an action, and whether it was the purchase."""
        clickable = self._clickables()
        match = re.match(r"(.+)\[(.+)\]", action)
        name, argument = (match[1], match[2].lower()) if match else ("", "")
        if name == "search":
            hits = self._engine.search(argument, HITS)
            stored = [self._engine.document(hit.id) for hit in hits]
            ids = [
                json.loads(json.dumps({"id": one.id, "contents": one.text}))["id"]
                for one in stored
                if one
            ]
            self._found = [self._items[asin] for asin in ids]
            self._number = 1
            self._show("results")
        elif name == "click" and argument in clickable and argument != "search":
            if argument == "buy now":
                list(self._nouns.nouns([self._items[self._asin]["Title"], self._goal.name]))
                return "", True
            self._click(argument, clickable[argument])
        # The state a step returns and the observation are made of three more parses.
        BeautifulSoup(self._html, "html.parser").find(id="instruction-text")
        self._clickables()
        return self._text(), False

    def _click(self, label: str, tag: Any) -> None:
        if label == "back to search":
            self._show("search")
        elif label == "next >":
            self._number += 1
            self._show("results")
        elif label == "< prev" and self._page == "sub":
            self._show("item")
        elif label == "< prev":
            self._number -= self._page == "results"
            self._show("results")
        elif label in SUB_PAGES and tag.name == "button":
            item = self._items[self._asin]
            bullets = [f" {one}" for one in item["BulletPoints"]]
            texts = {"description": [item["Description"]], "features": bullets, "reviews": []}
            self._show("sub", texts=texts[label])
        elif tag.name == "a":
            self._asin = label.upper()
            self._show("item")
        else:
            self._show("item")

    def _show(self, page: str, **values: Any) -> None:
        self._page = page
        start = (self._number - 1) * PER_PAGE
        with self._app.app_context(), self._app.test_request_context():
            self._html = flask.render_template_string(
                TEMPLATES[page],
                instruction=self._goal.instruction,
                number=self._number,
                total=len(self._found),
                products=self._found[start : start + PER_PAGE],
                item=self._items.get(self._asin),
                **values,
            )

    def _clickables(self) -> dict[str, Any]:
        soup = BeautifulSoup(self._html, "html.parser")
        tags = [*soup.find_all(class_="btn"), *soup.find_all(class_="product-link")]
        radios = soup.select('input[type="radio"]')
        found = {tag.get_text().lower(): tag for tag in tags}
        return found | {str(radio["value"]): radio for radio in radios}

    def _text(self) -> str:
        texts = BeautifulSoup(self._html, "html.parser").find_all(string=True)
        seen = [
            text
            for text in texts
            if text.parent is not None
            and text.parent.name not in UNSEEN
            and not isinstance(text, Comment | Doctype)
        ]
        return " [SEP] ".join(text.strip() for text in seen if text.strip())
