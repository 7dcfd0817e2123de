"""Pages as the tool shows them: blocks, sentences, and the state of a look-up.

Sentences are cut as upstream cuts them: at every period that a blank follows, abbreviations
included. Upstream then ends each with a period, also the last of a paragraph, which has kept its
own and so ends in two; a `faithful` page does that too. By default a period is only put back where
the cut took one away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SHOWN = 5
"""Sentences of a page that a search shows."""


def blocks_of(text: str) -> list[str]:
    """The paragraphs that count as text: those of more than two words."""
    blocks = [block.strip() for block in text.split("\n")]
    return [block for block in blocks if len(block.split(" ")) > 2]


def sentences_of(text: str, *, faithful: bool = False) -> list[str]:
    """The sentences of a page, in order."""
    sentences = []
    for block in blocks_of(text):
        parts = [part.strip() for part in block.split(". ")]
        for number, part in enumerate(parts):
            if part:
                cut = number < len(parts) - 1
                sentences.append(part + "." if cut or faithful else part)
    return sentences


@dataclass(frozen=True)
class Page:
    """An article that was opened."""

    title: str
    sentences: tuple[str, ...]

    @property
    def opening(self) -> str:
        """What a search shows of it."""
        return " ".join(self.sentences[:SHOWN])


@dataclass
class Lookup:
    """Where a look-up stands: its keyword, the sentences that hold it, and how many were shown."""

    keyword: str | None = None
    found: Sequence[str] = ()
    shown: int = 0

    def next(self, keyword: str, page: Page | None) -> str:
        """The next sentence with `keyword` in it; another keyword, or another case, begins anew."""
        if keyword != self.keyword:
            wanted = keyword.lower()
            sentences = page.sentences if page else ()
            self.keyword = keyword
            self.found = [sentence for sentence in sentences if wanted in sentence.lower()]
            self.shown = 0
        if self.shown >= len(self.found):
            return "No more results.\n"
        self.shown += 1
        return f"(Result {self.shown} / {len(self.found)}) {self.found[self.shown - 1]}"
