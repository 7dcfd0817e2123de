"""The WebShop expert's thoughts: what it compares, and what follows, in one to three sentences.

The wording is chosen by seed, task and turn, and differs from that of the turn before.
"""

from __future__ import annotations

from collections.abc import Mapping

from sad_envs.dice import Dice

_QUOTED = 70
"""Letters of a title or a text that a thought repeats at most."""

_WORDINGS = {
    "search": (
        "I need {request}. I search for the words that matter.",
        "The shop has to have {request}; the key words should find it.",
        "What is asked for: {request}. I begin with a search.",
        "First I search, with the words of the request: {request}.",
    ),
    "search_again": (
        "None of these is right. Other words may do better.",
        "The results miss the point, so I put the search differently.",
        "That did not bring it up. I try “{query}”.",
        "I have seen what these words find; now I search for “{query}”.",
    ),
    "leave_results": (
        "I do not see what I need here. Back to the search.",
        "Nothing on this page fits {request}. I will search again.",
        "Not among these. I change the search words.",
    ),
    "next_page": (
        "Nothing on this page is better; I turn to the next one.",
        "Not here. The next page may have it.",
    ),
    "open": (
        "{asin} is “{title}” for {price}{within}. {others}I look at it.",
        "“{title}” ({asin}) sounds right, and {price} is what it costs{within}. {others}",
        "{others}{asin}, “{title}”, costs {price}{within}, so I open it.",
        "I compare titles: {asin}, “{title}”, is closest to the request at {price}. {others}",
    ),
    "open_best": (
        "I found nothing better than {asin}, “{title}”, for {price}. I take it.",
        "Of all I have seen, {asin}, “{title}”, comes closest. It costs {price}.",
    ),
    "lacks_option": (
        "This one does not come in {missing}. I go back.",
        "I look for {missing} among the options and do not find it, so this is not the one.",
        "{missing} is not offered here. Back to the results.",
    ),
    "details": (
        "The title does not say whether it is right about {wanted}. The {page} may.",
        "I still have to check {wanted}; I open the {page}.",
        "Price {price}{within}. What about {wanted}? The {page} should tell.",
    ),
    "description": (
        "The features leave {wanted} open. I read the description.",
        "I have not seen {wanted} yet, so I read the description too.",
        "Maybe the description says something on {wanted}.",
    ),
    "confirmed": (
        "It says {quote}: that settles {wanted}. Back to the product.",
        "I read {quote}. So much for {wanted}: it is met.",
        "Good: I read {quote}, which is what was asked for with {wanted}.",
    ),
    "unconfirmed": (
        "Nothing here on {wanted}. I go back.",
        "Not a word on {wanted} on this page.",
        "I do not see {wanted} here.",
    ),
    "reject": (
        "{wanted} is asked for, and this product says nothing of it. I go on to another.",
        "As far as title and details tell, {wanted} is not met. This is not the one.",
        "Title, features and description do not name {wanted}. I look at another product.",
    ),
    "select": (
        "The request says {value}, and it is offered. I choose it.",
        "Of the options I need {value}.",
        "{value} is what was asked for; I select it.",
        "Now the option {value}.",
    ),
    "select_near": (
        "Asked for is {asked}; the closest option is {value}.",
        "There is no {asked}, but {value} should mean the same.",
    ),
    "buy": (
        "{met} {price}{within}. I buy it.",
        "Everything is compared: {met} The price is {price}{within}. Now I buy.",
        "{met} At {price}{within} this is the one to buy.",
    ),
    "buy_best": (
        "Not everything was confirmed, but it is the best match I saw, at {price}. I buy it.",
        "It is not certain to be all that was asked for, yet nothing came closer. I buy it.",
    ),
}


class Narrator:
    """Says the thoughts of one episode."""

    def __init__(self, seed: int, task_id: str) -> None:
        self._dice = Dice("webshop thoughts", seed, task_id)
        self._last = ""

    def say(self, reason: str, facts: Mapping[str, str]) -> str:
        """The thought for `reason`, a key of the wordings, with what it names."""
        wordings = [one for one in _WORDINGS[reason] if one != self._last]
        self._last = self._dice.one_of(wordings)
        thought = " ".join(self._last.format(**facts).split())
        return thought[:1].upper() + thought[1:]


def short(text: str) -> str:
    """The text, or as much of it as is worth repeating, cut at a word."""
    text = " ".join(text.split())
    if len(text) <= _QUOTED:
        return text.rstrip(" ,-|")
    return text[: text.rfind(" ", 0, _QUOTED) if " " in text[:_QUOTED] else _QUOTED].rstrip(" ,-|")


def listed(things: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join(filter(None, (", ".join(things[:-1]), things[-1] if things else "")))
