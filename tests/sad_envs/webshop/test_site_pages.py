"""The HTML of pages: the texts that a page promises, nothing else, and all of it escaped."""

from __future__ import annotations

from itertools import product

import pytest
from small_shop import HOSTILE, SmallShop, Texts

from sad_envs.webshop import links
from sad_envs.webshop.html import render_error, render_page
from sad_envs.webshop.pages import (
    SUB_PAGES,
    DonePage,
    ItemPage,
    Page,
    ResultsPage,
    SearchPage,
    SubPage,
    nodes,
)

SHOP = SmallShop()
POSTER = SHOP.products["B0HOSTILE1"]
MUG = SHOP.products["B000000003"]
WORDS = ("red", HOSTILE, "")


def _pages() -> list[Page]:
    goal = SHOP.goals[-1]
    found = tuple(SHOP.products)
    chosen = {name: values[1] for name, values in POSTER.options.items() if len(values) > 1}
    reward = SHOP.reward(goal, POSTER.asin, chosen)
    listed = (MUG, POSTER)
    return [
        SearchPage(goal.instruction),
        ResultsPage(goal.instruction, WORDS, 1, found, listed),
        ResultsPage(goal.instruction, WORDS, 7, found, ()),
        ItemPage(goal.instruction, WORDS, 2, POSTER, chosen, show_attributes=True),
        ItemPage(goal.instruction, WORDS, 1, MUG),
        *(
            SubPage(goal.instruction, WORDS, 1, one, name, chosen)
            for one, name in product(listed, SUB_PAGES)
        ),
        DonePage(POSTER.asin, chosen, reward.total),
        DonePage(POSTER.asin, chosen, reward.total, POSTER, goal, reward, "ABC"),
    ]


@pytest.mark.parametrize("page", _pages(), ids=lambda page: type(page).__name__)
def test_visible_texts_are_those_of_the_page_and_of_the_same_kind(page: Page) -> None:
    shown = Texts(render_page(page, "a/b")).found
    assert shown == [(node.kind, node.text) for node in nodes(page) if node.text.strip()]


@pytest.mark.parametrize("page", _pages(), ids=lambda page: type(page).__name__)
def test_texts_cannot_become_markup(page: Page) -> None:
    html = render_page(page, HOSTILE, images=True)
    assert "<script>" not in html
    assert html.count("<script") == 1
    assert "alert('" not in html


@pytest.mark.parametrize("page", _pages(), ids=lambda page: type(page).__name__)
def test_a_page_asks_nothing_of_other_servers(page: Page) -> None:
    html = render_page(page, "abc")
    for attribute in ("src", "href", "action", "data-url"):
        for value in html.split(f' {attribute}="')[1:]:
            assert value[0] in "/#", value[:40]


def test_pictures_are_loaded_only_on_request_and_only_from_the_web() -> None:
    page = ResultsPage("i", ("mug",), 1, (MUG.asin, POSTER.asin), (MUG, POSTER))
    assert 'src="https://example.org/3.jpg"' in render_page(page, "abc", images=True)
    assert 'src="https://example.org/3.jpg"' not in render_page(page, "abc")
    assert 'src="javascript:' not in render_page(page, "abc", images=True)


def test_only_the_last_page_tells_of_the_goal() -> None:
    for page in _pages()[:-1]:
        assert "secret wish" not in render_page(page, "abc")
    assert "secret wish" in render_page(_pages()[-1], "abc")


def test_a_selected_option_is_checked_and_no_other() -> None:
    html = render_page(ItemPage("i", ("mug",), 1, MUG, {"color": "blue"}), "abc")
    before, checked, _ = html.partition(" checked>")
    assert checked
    assert 'value="blue"' in before.rpartition("<input")[2]
    assert html.count(" checked>") == 1


def test_an_option_leads_to_the_page_that_has_it_chosen_too() -> None:
    html = render_page(ItemPage("i", ("mug",), 1, MUG, {"size": "s"}), "abc")
    expected = links.item_link("abc", MUG.asin, ["mug"], 1, {"size": "s", "color": "red"})
    assert f'value="red" data-url="{expected}"' in html


def test_an_error_page_is_escaped() -> None:
    assert "<script>alert" not in render_error(404, HOSTILE)


@pytest.mark.parametrize(
    ("number", "hooks"),
    [
        (
            0,
            [
                'id="instruction-text"', '<form id="form-buscar"', 'id="search_input"',
                'name="search_query"', 'class="btn btn-success"',
            ],
        ),
        (
            1,
            [
                'class="list-group-item"', 'class="result-img ', 'class="searched-product"',
                '<h4 class="product-asin"><a class="product-link"', 'class="product-title"',
                '<h5 class="product-price">', 'class="btn btn-success"', 'class="btn btn-primary ',
            ],
        ),
        (
            4,
            [
                '<h4 id="option-1">color</h4>\n<div class="radio-toolbar"',
                '<input type="radio" id="radio_color0" name="color" value="red" data-url="/item',
                '<label for="radio_color0">red</label>', 'id="product-image"',
                'class="btn btn-lg purchase"', 'class="btn btn-primary"',
            ],
        ),
        (5, ['<p class="product-info">A mug. It is number 3.</p>']),
        (6, ['<li><p class="product-info"> holds coffee</p></li>']),
        (8, ['<p class="attribute">easy clean</p>']),
        (
            14,
            [
                'id="thankyou"', 'id="stats"', '<h3 id="reward">', "<pre>0.", 'id="asin"',
                'id="options"', 'id="purchased_attrs"', 'id="purchased-category"',
                'id="purchased-query"', 'id="purchased-pc"', 'id="goal-asin"', 'id="goal-options"',
                'id="goal-attrs"', 'id="goal-price"', 'id="goal-instruction-text"',
                'id="goal-category"', 'id="goal-pc"', 'id="goal-query"', 'id="goal"',
                'id="reward_info"',
            ],
        ),
    ],
)  # fmt: skip
def test_pages_have_what_clients_of_upstreams_site_look_for(number: int, hooks: list[str]) -> None:
    html = render_page(_pages()[number], "abc")
    assert [hook for hook in hooks if hook not in html] == []
