"""Invented names, put together from syllables; none is used twice in one encyclopaedia."""

from __future__ import annotations

from collections.abc import Callable

from sad_envs.dice import Dice

_GIVEN = (
    *("Ald", "Bert", "Cass", "Dor", "Eld", "Falk", "Gresk", "Hest", "Irv", "Jorv", "Kesl", "Lind"),
    *(
        "Mirv",
        "Nold",
        "Osk",
        "Pell",
        "Quill",
        "Rusk",
        "Selv",
        "Tamm",
        "Ulv",
        "Vesk",
        "Wenn",
        "Zorr",
    ),
)
_HE = ("eric", "amund", "on", "ovan", "ett", "us", "ivar", "ader", "olf", "imir")
_SHE = ("ine", "etta", "ora", "iva", "eth", "una", "ysa", "adel", "ira", "ilde")
_SURNAME = (
    *("Bar", "Bel", "Brev", "Cald", "Cor", "Drel", "Em", "Fen", "Gal", "Gor", "Hav", "Hol", "Jar"),
    *("Kar", "Kov", "Lan", "Lor", "Mal", "Mor", "Nav", "Ols", "Pash", "Pren", "Rov", "Sav", "Sten"),
    *("Tarv", "Tol", "Urb", "Val", "Vint", "War", "Yar", "Zel"),
)
_SURNAME_END = (
    *("ack", "ander", "ask", "eby", "ell", "enko", "ester", "ick", "inge", "isk", "onet", "oft"),
    *("olin", "orne", "oski", "ost", "oven", "uld", "under", "urn", "uvier", "yard"),
)
_PLACE = (
    *("Arv", "Aster", "Bram", "Brin", "Cal", "Carn", "Dal", "Dun", "Ebb", "Esk", "Fair", "Fjel"),
    *("Gild", "Grav", "Hald", "Hesk", "Inver", "Kal", "Kild", "Lang", "Lun", "Marl", "Mol", "Nar"),
    *("Nord", "Ost", "Pel", "Quar", "Ran", "Rost", "Sil", "Skar", "Tar", "Thorn", "Ulm", "Var"),
    *("Vel", "Wes", "Wyn", "Yarl"),
)
_TOWN_END = (
    *("aby", "adal", "bridge", "burg", "enau", "ford", "gard", "haven", "holm", "itz", "mere"),
    *("minster", "mouth", "ovar", "stad", "stead", "wick"),
)
_COUNTRY_END = (("oria", "orian"), ("avia", "avian"), ("essa", "essan"), ("imark", "imarkian"))
_RIVER_END = ("a", "ava", "en", "esk", "ine", "onne", "ova", "une")
_HEIGHTS = ("Hills", "Mountains", "Range", "Highlands")
_SEA = ("Amber", "Cold", "Grey", "Inner", "Long", "Pale", "Still", "Upper")
_TITLE_FIRST = (
    *("Amber", "Bitter", "Borrowed", "Broken", "Copper", "Crooked", "Distant", "Empty", "Fallen"),
    *("Hollow", "Hidden", "Iron", "Last", "Little", "Lonely", "Long", "Northern", "Old", "Painted"),
    *("Quiet", "Restless", "Salt", "Second", "Silent", "Silver", "Slow", "Stolen", "Wandering"),
)
_TITLE_LAST = (
    *("Almanac", "Bell", "Bridge", "Caravan", "Clockmaker", "Compass", "Country", "Door", "Ferry"),
    *("Garden", "Granary", "Harbour", "Harvest", "Inheritance", "Island", "Lantern", "Ledger"),
    *("Letter", "Lighthouse", "Mirror", "Morning", "Orchard", "Oven", "Procession", "River"),
    *("Season", "Shepherd", "Shore", "Staircase", "Summer", "Tide", "Tower", "Voyage", "Window"),
)


class Names:
    """A stream of names, each given out once."""

    def __init__(self, dice: Dice) -> None:
        self._dice = dice
        self._used: set[str] = set()

    def person(self, *, she: bool) -> str:
        """Given name and surname."""
        return self._new(lambda: f"{self._given(she)} {self.surname()}")

    def surname(self) -> str:
        """A surname; may come again."""
        return self._dice.one_of(_SURNAME) + self._dice.one_of(_SURNAME_END)

    def town(self) -> str:
        return self._new(lambda: self._dice.one_of(_PLACE) + self._dice.one_of(_TOWN_END))

    def river(self) -> str:
        return self._new(lambda: self._dice.one_of(_PLACE) + self._dice.one_of(_RIVER_END))

    def country(self) -> tuple[str, str]:
        """A country and what its people are called."""
        while True:
            stem, (end, adjective) = self._dice.one_of(_PLACE), self._dice.one_of(_COUNTRY_END)
            if stem not in self._used:
                self._used.add(stem)
                return stem + end, stem + adjective

    def heights(self) -> str:
        """A range of hills or mountains."""
        return self._new(
            lambda: f"{self._dice.one_of(_PLACE)}en {self._dice.one_of(_HEIGHTS)}",
        )

    def seas(self) -> tuple[str, ...]:
        """Every sea there is."""
        return tuple(f"{name} Sea" for name in _SEA)

    def work(self) -> str:
        """The title of a book, film, painting or opera."""
        return self._new(self._work)

    def _work(self) -> str:
        first, last = self._dice.one_of(_TITLE_FIRST), self._dice.one_of(_TITLE_LAST)
        place = self._dice.one_of(_PLACE) + self._dice.one_of(_TOWN_END)
        forms = (f"The {first} {last} of {place}", f"{self.surname()}'s {last}", f"{first} {place}")
        return self._dice.one_of(forms)

    def _given(self, she: bool) -> str:
        return self._dice.one_of(_GIVEN) + self._dice.one_of(_SHE if she else _HE)

    def _new(self, draw: Callable[[], str]) -> str:
        while True:
            name = draw()
            if name not in self._used:
                self._used.add(name)
                return name
