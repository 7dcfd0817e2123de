"""The Wikipedia tool: an entity's page, or titles that are like it.

The title look-up comes first: an article whose title is the entity, letter by letter or up to case,
underscores, spacing and surrounding brackets, or to which a redirect of that name leads. Only when
there is none is the search engine asked, and its first five titles are offered. A disambiguation
page is never shown; its titles are asked for instead, with the entity in brackets, as on Wikipedia.

The wording of every answer is upstream's, Python's way to write a list included.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from sad_envs.hotpotqa.pages import Page, sentences_of
from sad_envs.search import SearchEngine

SIMILAR = 5
"""Titles offered in place of a page."""

AMBIGUOUS = "may refer to:"
"""What marks a disambiguation page."""


@dataclass(frozen=True)
class Found:
    """The answer to a search; without a page, the one that was open stays open."""

    observation: str
    page: Page | None = None


@dataclass(frozen=True)
class Wiki:
    """The tool on one index.

    Attributes:
        faithful: end sentences as upstream does, see `sad_envs.hotpotqa.pages`.
    """

    engine: SearchEngine
    faithful: bool = False

    def search(self, entity: str) -> Found:
        """The page of `entity`, or similar titles."""
        documents = self.engine.with_title(entity)
        if not documents:
            return self._not_found(entity)
        best = documents[0]
        one = len(documents) == 1 or best.title == _plain(entity)
        if not one or AMBIGUOUS in best.text:
            bare = not (entity.startswith("[") and entity.endswith("]"))
            return self._not_found(f"[{entity}]" if bare else entity)
        page = Page(best.title, tuple(sentences_of(best.text, faithful=self.faithful)))
        return Found(page.opening, page)

    def similar(self, entity: str) -> list[str]:
        """The first five titles the engine finds."""
        # A title may be that of several documents, so a few more are asked for.
        hits = self.engine.search(entity, 2 * SIMILAR)
        return list(dict.fromkeys(hit.title for hit in hits))[:SIMILAR]

    def _not_found(self, entity: str) -> Found:
        return Found(f"Could not find {entity}. Similar: {self.similar(entity)!r}.")


def _plain(entity: str) -> str:
    """The entity as a title would be written."""
    words = unicodedata.normalize("NFC", entity).replace("_", " ").split()
    return " ".join(words).strip(" []")
