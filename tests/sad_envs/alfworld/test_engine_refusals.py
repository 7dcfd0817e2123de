"""Files that are broken or hostile: refused in one line that quotes them, nothing evaluated."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_game import small_game, small_game_bytes

from sad_envs.alfworld.engine import Engine
from sad_envs.alfworld.game import MAX_BYTES, Game, GameError, parse_game, read_game

MANY = " ".join(f"?x{number}" for number in range(30))
GOAL = "(exists (?o - object) (and (in ?o chest_bar_1) (not (= ?o spoon_bar_1))))"
CODE = "__import__('pathlib').Path('touched').touch()"


def refusal(game: Game) -> str:
    with pytest.raises(GameError) as caught:
        Engine(game)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 300
    return message


@pytest.fixture(autouse=True)
def _nothing_is_evaluated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    yield
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "invalid JSON"),
        (b"\xff\xfe", "invalid JSON"),
        (b"[1, 2]", "expected a JSON object, found list"),
        (b"{}", "'solvable' is missing"),
        (b'{"solvable": true, "grammar": "", "pddl_domain": 3}', "'pddl_domain'"),
        (b'{"solvable": "yes"}', "'solvable'"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"solvable": ' + b"9" * 10_000 + b"}", "invalid JSON"),
        (b" " * (MAX_BYTES + 1), "at most"),
    ],
)
def test_what_is_no_game_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(GameError, match=says):
        parse_game(data)


def test_a_walkthrough_must_be_commands() -> None:
    parts = json.loads(small_game_bytes())
    parts["walkthrough"] = [1]
    with pytest.raises(GameError, match="'walkthrough' is not a list of commands"):
        parse_game(json.dumps(parts).encode())


def test_a_refusal_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "game.tw-pddl"
    with pytest.raises(GameError, match=r"game\.tw-pddl: No such file"):
        read_game(path)
    path.write_bytes(b"{")
    with pytest.raises(GameError, match=r"game\.tw-pddl: not a game"):
        read_game(path)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("{o.name}", "{" + CODE + "}", CODE),
        ("{o.name}", "{o.name.__class__}", "o.name.__class__"),
        ("{o.name}", "{o.noun}", "o.noun"),
        ("{o.name}", "{self.context}", "self.context"),
        ("{o.name}", "{o.name * 99999999}", "o.name"),
        ("{o.name}", "{o.name + o}", "o.name + o"),
        ("{o.name}", "{x.name}", "unknown 'x'"),
        ("{o.name}", "{o.name", "not supported"),
        ("{o.name}", "#no.such.rule#", "no.such.rule"),
        ("{o.name}", "#loop#", "loop"),
        ("holds(a:agent, o:object)", CODE, "not supported"),
        ("busy(a:agent)", "busy(a)", "busy(a)"),
        ("busy(a:agent)", "nosuch(a:agent)", "nosuch"),
        ("busy(a:agent)", "busy(a:ghost)", "unknown type"),
        ("busy(a:agent)", "lit(o:object)", "'lit', a conditional effect"),
        ('"weight": 1', '"eval": "1"', "eval"),
        ('"rhs": "You hold nothing."', '"rhs": 7', "inventory.text"),
        ("action Examine", "action Inspect", "action 'examine' of the domain has no text"),
        ("action Look", "import Look", "import Look"),
        ('template :: "look";', "", "incomplete"),
        ('template :: "look";', 'template :: "look"; pddl :: "x";', "pddl"),
        ("Your task is to: ", "Do: ", "found 0"),
    ],
)
def test_a_grammar_beyond_the_rules_is_refused(old: str, new: str, says: str) -> None:
    def mend(text: str) -> str:
        return text.replace(
            '{"rhs": "You hold nothing."}',
            '{"rhs": "You hold nothing.", "weight": 1}], "loop": [{"rhs": "again #loop#"}',
        )

    parts = json.loads(small_game_bytes())
    grammar = mend(parts["grammar"])
    assert old in grammar
    parts["grammar"] = grammar.replace(old, new)
    assert says in refusal(parse_game(json.dumps(parts).encode()))


@pytest.mark.parametrize(
    ("part", "old", "new", "says"),
    [
        ("domain", "(at ?a ?l) :effect", "(forall (?o - object) (seen ?o)) :effect", "forall"),
        ("domain", "(at ?a ?l) :effect", "(imply (at ?a ?l) (busy ?a)) :effect", "imply"),
        (
            "domain",
            "(at ?a ?l) :effect",
            "(not (exists (?o - object) (seen ?o))) :effect",
            "exists",
        ),
        ("domain", "(at ?a ?l) :effect", "(eval ?a) :effect", "(eval ?a)"),
        ("domain", "(at ?a ?l) :effect", "(at ?a ?b) :effect", "(at ?a ?b)"),
        ("domain", "(at ?a ?l) :effect", "(at ?a) :effect", "(at ?a)"),
        ("domain", ":effect (seen ?l)", ":effect (forall (?o - object) (seen ?o))", "forall"),
        ("domain", ":effect (seen ?l)", ":effect (assign (total-cost) 99999999)", "assign"),
        ("domain", ":effect (seen ?l)", ":duration 3 :effect (seen ?l)", ":duration"),
        ("domain", "receptacle object)", "receptacle object cup - thing)", "- thing"),
        ("domain", "(:functions", "(:constants me2 - agent) (:functions", ":constants"),
        ("domain", "(:functions", "(:derived (seen ?o) (lit ?o)) (:functions", ":derived"),
        ("domain", "(define", "(" * 100 + "(define", "40 deep"),
        ("domain", "(define", "define", "')' without '('"),
        ("domain", "(used ?o - object)", "(not_used ?o - object)", "not_used"),
        ("problem", "(openable chest_bar_1)", "(openable)", "(openable)"),
        ("problem", "(openable chest_bar_1)", "(openable (chest_bar_1))", "openable"),
        ("problem", "(openable chest_bar_1)", "(openable nobody)", "(openable nobody)"),
        ("problem", "(openable chest_bar_1)", "(flies chest_bar_1)", "(flies chest_bar_1)"),
        ("domain", "(at ?a ?l) :effect", "(or %s) :effect" % ("(at ?a ?l)" * 65), "alternatives"),
        ("problem", "me - agent", "me - ghost", "ghost"),
        ("problem", "me - agent", "me{0} - agent", "me{0}"),
        ("problem", "me - agent", "me me - agent", "me"),
        ("problem", "me - agent", "мы - agent", "ASCII"),
        ("problem", "(:goal", "(:oops", ":oops"),
        ("problem", "(define", "(define)(define", "expected one"),
        (
            "problem",
            GOAL,
            f"(exists (?o - object {MANY} - location) (openable ?o))",
            "too many rows",
        ),
        ("problem", "(at me loc_bar_0)", "(at me loc_bar_0))))", "PDDL"),
    ],
)
def test_pddl_beyond_the_rules_is_refused(part: str, old: str, new: str, says: str) -> None:
    assert says in refusal(small_game(**{part: (old, new)}))


def test_a_rule_that_nothing_reaches_is_not_read() -> None:
    game = small_game()
    assert "stray }" in game.grammar
    Engine(game)
