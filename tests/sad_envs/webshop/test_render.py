"""Pages as text, in upstream's formats."""

from __future__ import annotations

import pytest
from shop_parts import product

from sad_envs.webshop.pages import DonePage, ItemPage, Page, ResultsPage, SearchPage, SubPage, url
from sad_envs.webshop.render import suggested_queries, text, text_rich

WISH = "i want a mug"
MUG = product(options={"Color": ["Black", "Navy Blue"]}, pricing="$24.99")
KEYWORDS = ("red", "mug")

RESULTS = ResultsPage(WISH, KEYWORDS, 1, ("B000000001",), (MUG,))
ITEM = ItemPage(WISH, KEYWORDS, 1, MUG)


@pytest.mark.parametrize(
    ("page", "shown"),
    [
        (SearchPage(WISH), "WebShop [SEP] Instruction: [SEP] i want a mug [SEP] Search"),
        (
            RESULTS,
            "Instruction: [SEP] i want a mug [SEP] Back to Search [SEP] Page 1 (Total results: 1) "
            "[SEP] Next > [SEP] B000000001 [SEP] Red Coffee Mug [SEP] $24.99",
        ),
        (
            ResultsPage(WISH, KEYWORDS, 2, ("B000000001",), ()),
            "Instruction: [SEP] i want a mug [SEP] Back to Search [SEP] Page 2 (Total results: 1) "
            "[SEP] < Prev [SEP] Next >",
        ),
        (
            ITEM,
            "Instruction: [SEP] i want a mug [SEP] Back to Search [SEP] < Prev [SEP] color [SEP] "
            "black [SEP] navy blue [SEP] Red Coffee Mug [SEP] Price: $24.99 [SEP] Rating: N.A. "
            "[SEP] Description [SEP] Features [SEP] Reviews [SEP] Buy Now",
        ),
        (
            SubPage(WISH, KEYWORDS, 1, MUG, "Features"),
            "Instruction: [SEP] i want a mug [SEP] Back to Search [SEP] < Prev [SEP] Holds 12 oz "
            "[SEP] Dishwasher safe",
        ),
        (
            SubPage(WISH, KEYWORDS, 1, MUG, "Reviews"),
            "Instruction: [SEP] i want a mug [SEP] Back to Search [SEP] < Prev",
        ),
        (
            SubPage(WISH, KEYWORDS, 1, MUG, "Attributes"),
            "Instruction: [SEP] i want a mug [SEP] Back to Search [SEP] < Prev [SEP] "
            "heat resistant [SEP] garden [SEP] coffee mugs [SEP] Home › Kitchen › Mugs",
        ),
        (
            DonePage("B000000001", {"color": "navy blue"}, 1.0),
            "Thank you for shopping with us! [SEP] Your code: [SEP] None [SEP] (Paste it in your "
            "MTurk interface.) [SEP] Purchased [SEP] asin [SEP] B000000001 [SEP] options [SEP] "
            '{"color": "navy blue"} [SEP] attrs [SEP] None [SEP] category [SEP] None [SEP] query '
            "[SEP] None [SEP] product category [SEP] None [SEP] Target [SEP] asin [SEP] options "
            "[SEP] attrs [SEP] price upper [SEP] instuction text [SEP] category [SEP] product "
            "category [SEP] query [SEP] Goal [SEP] None [SEP] Reward [SEP] Your score (min 0.0, "
            "max 1.0) [SEP] 1.0 [SEP] Reward Details [SEP] None",
        ),
    ],
)
def test_mode_text(page: Page, shown: str) -> None:
    assert text(page) == shown


def test_attributes_are_offered_on_request() -> None:
    page = ItemPage(WISH, KEYWORDS, 1, MUG, show_attributes=True)
    assert text(page).endswith("Reviews [SEP] Attributes [SEP] Buy Now")


def rich(page: Page) -> str:
    return text_rich(page, url(page, "fixed_0"))


def test_mode_text_rich_marks_buttons_and_links() -> None:
    assert rich(RESULTS) == (
        "Instruction:\ni want a mug\n[button] Back to Search [button_]\n"
        "Page 1 (Total results: 1)\n[button] Next > [button_]\n"
        "\n[button] B000000001 [button_]\nRed Coffee Mug\n$24.99\n"
    )


def test_mode_text_rich_marks_products_that_were_opened() -> None:
    page = ResultsPage(WISH, KEYWORDS, 1, ("B000000001",), (MUG,), frozenset({"B000000001"}))
    assert "\n[clicked button] B000000001 [clicked button_]\n" in rich(page)


def test_mode_text_rich_tells_selected_options_the_last_one_first() -> None:
    mug = product(options={"Color": ["Black"], "Size": ["8 oz"], "Use": ["tea"]})
    shown = rich(ItemPage(WISH, KEYWORDS, 1, mug, {"size": "8 oz", "color": "black"}))
    assert shown.startswith("You have clicked 8 oz.\nYou have clicked black.\nInstruction:\n")
    assert "  [clicked button] black [clicked button_]\n" in shown
    assert "  [button] tea [button_]\n" in shown


def test_mode_text_rich_never_shows_letters_beyond_ascii_as_selected() -> None:
    mug = product(options={"Color": ["crème"]})
    assert "You have clicked" not in rich(ItemPage(WISH, KEYWORDS, 1, mug, {"color": "crème"}))


def test_bullets_keep_their_space_in_mode_text_rich() -> None:
    shown = rich(SubPage(WISH, KEYWORDS, 1, MUG, "Features"))
    assert shown.endswith("[button] < Prev [button_]\n Holds 12 oz\n Dishwasher safe\n")


def test_texts_of_white_space_are_left_out() -> None:
    bare = product(name=" \n ", full_description="")
    assert text(SubPage(WISH, KEYWORDS, 1, bare, "Description")).endswith("< Prev")
    assert "[SEP]  [SEP]" not in text(ItemPage(WISH, KEYWORDS, 1, bare))


@pytest.mark.parametrize(
    ("page", "path"),
    [
        (SearchPage(WISH), "/s"),
        (RESULTS, "/search_results/s/red+mug/1"),
        (ITEM, "/item_page/s/B000000001/red+mug/1/{}"),
        (
            ItemPage(WISH, KEYWORDS, 2, MUG, {"color": "navy blue"}),
            '/item_page/s/B000000001/red+mug/2/{"color": "navy blue"}',
        ),
        (
            SubPage(WISH, KEYWORDS, 1, MUG, "Features", {"color": "black"}),
            "/item_sub_page/s/B000000001/red+mug/1/Features/{'color': 'black'}",
        ),
        (DonePage("B000000001", {"color": "black"}, 1.0), "/done/s/B000000001/{'color': 'black'}"),
    ],
)
def test_addresses(page: Page, path: str) -> None:
    assert url(page, "s") == path


def test_suggested_queries_have_no_price_and_grow_shorter() -> None:
    assert suggested_queries(
        "i'm looking for a red mug [large] that is dishwasher safe"
        ", and price lower than 20.00 dollars"
    ) == [
        "i'm looking for a red mug large that is dishwasher safe",
        "red mug large dishwasher safe",
        "red mug large dishwasher",
    ]
    assert suggested_queries("[]") == ["product"]
