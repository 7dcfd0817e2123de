"""What a reader sees in a text: names of articles, words worth asking for, facts that were read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from sad_envs.search import title_key

_STOP = frozenset(
    """
    a about after all also although an and any are as at be been before being best both but by can
    city could did do does during each either ever first for from had has have he her his how
    however in into is it its itself known made many more most much name named no not of on once
    one only or other out part same she since so some such than that the their them then there
    these they this those to two type under up upon used was were what when where which while who
    whom whose why will with would year yes you your
    """.split()  # noqa: SIM905
)
_WORD = re.compile(r"[\w'’&-]+(?:\.\w)*")
_NAME = re.compile(
    r"[A-ZÀ-Þ0-9][\w'’&.-]*(?:(?:,? (?:of|the|in|and|for|de|on|at|to|von|la|&) |[ ,-]+)"
    r"[A-ZÀ-Þ0-9][\w'’&.-]*)*"
)
_BRACKET = re.compile(r" \(([^()]*)\)$")
_LISTED = re.compile(r"Could not find .*? Similar: (\[.*\])\.", re.DOTALL)


def words(text: str) -> list[str]:
    return _WORD.findall(text)


def content_words(text: str) -> list[str]:
    """Words that say something, in order, each once."""
    found = [word.strip("'’-") for word in words(text)]
    return list(dict.fromkeys(w for w in found if w.lower() not in _STOP and len(w) > 1))


_RELATED = {
    "born": ("birth", "native"),
    "birthplace": ("born", "birth"),
    "died": ("death",),
    "honour": ("award", "receive"),
    "attend": ("studied", "university"),
    "attended": ("studied", "university"),
    "study": ("studied", "attended", "university"),
    "taught": ("learned", "teacher"),
    "teacher": ("taught", "learned"),
    "river": ("flows", "lies"),
    "town": ("took place", "set in", "street"),
    "leader": ("led by", "commanded"),
    "commander": ("commanded",),
    "architect": ("designed",),
    "designed": ("architect",),
    "rise": ("source",),
    "flow": ("mouth",),
    "inhabitants": ("people", "population"),
    "known": ("known for", "visitors"),
    "publisher": ("published",),
    "studio": ("produced",),
    "nationality": ("american", "british", "english"),
    "open": ("opened",),
}
"""Words a reader would try for a word of a question."""


def related_words(question: str, sentence: str, own: set[str]) -> Iterator[str]:
    """Words for a look-up: the question's, their stems, and related ones, if `sentence` has them.

    `sentence` is in lower case; words in `own` are left out.
    """
    asked = [word for word in words(question) if word.lower() not in own]
    telling = [word for word in asked if word.lower() not in _STOP and len(word) > 2]
    yield from sorted((w for w in telling if w.lower() in sentence), key=len, reverse=True)
    for word in asked:
        yield from (other for other in _RELATED.get(word.lower(), ()) if other in sentence)
    for word in telling:
        stem = word.lower()[: max(5, len(word) - 3)]
        if len(stem) < len(word) and stem in sentence:
            yield stem


def bare(title: str) -> str:
    """A title without the bracket that tells it from others."""
    return _BRACKET.sub("", title)


def bracket(title: str) -> str:
    """What stands in that bracket."""
    found = _BRACKET.search(title)
    return found[1] if found else ""


def names(text: str) -> list[str]:
    """Names in a text as far as capitals show them, the longest first."""
    found = {match.rstrip(".,").removesuffix("'s") for match in _NAME.findall(text)}
    told = (n for n in found if n.lower() not in _STOP and not n[0].isdigit() and len(n) > 1)
    return sorted(told, key=lambda name: (-len(name), name))


def mention(title: str, text: str) -> str | None:
    """The title, or it without its bracket, as the text has it."""
    for form in dict.fromkeys((title, bare(title), bare(title).removeprefix("The "))):
        pattern = r"(?<!\w)" + r"[\s_]+".join(map(re.escape, form.split())) + r"(?!\w)"
        found = re.search(pattern, text, re.IGNORECASE)
        if found:
            return found[0]
    return None


def partial_mention(title: str, text: str) -> str | None:
    """The longest run of the title's words in the text that could stand for it."""
    parts = words(bare(title))
    for size in range(len(parts) - 1, 0, -1):
        for start in range(len(parts) - size + 1):
            run = parts[start : start + size]
            telling = [word for word in run if word.lower() not in _STOP and len(word) > 2]
            if not telling or (size == 1 and not run[0][:1].isupper()):
                continue
            found = mention(" ".join(run), text)
            if found and found[:1].isupper():
                return found
    return None


def listed_titles(observation: str) -> list[str] | None:
    """The titles a search offered in place of a page; None if it opened one."""
    found = _LISTED.fullmatch(observation)
    if not found:
        return None
    return list(_strings(found[1]))


def _strings(text: str) -> Iterator[str]:
    import ast

    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return
    yield from (item for item in value if isinstance(item, str))


def squeezed(text: str) -> str:
    """The text for comparing what was read: single blanks, no periods at sentence ends."""
    return re.sub(r"\s+", " ", re.sub(r"\.+(?=\s|$)", " ", text)).strip().casefold()


def was_read(sentence: str, observations: Iterable[str]) -> bool:
    """Whether every part of the sentence stood in one of the observations."""
    seen = [squeezed(observation) for observation in observations]
    parts = [squeezed(part) for part in sentence.split(". ")]
    return all(any(part in one for one in seen) for part in parts if part)


def same_title(one: str, other: str) -> bool:
    return title_key(one) == title_key(other)
