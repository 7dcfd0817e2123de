"""WebShop in a browser: the text environment's episodes, and what befalls the browser."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from sad_envs.base import EnvError
from sad_envs.webshop.browser_env import WebShopBrowserEnv
from sad_envs.webshop.env import WebShopEnv
from sad_envs.webshop.reading import BrowserFailure

pytestmark = pytest.mark.browser

SPLIT = "generated:0:60"
MAX_STEPS = 8
N_RANDOM, N_EXPERT = 14, 26


@pytest.fixture(scope="module")
def in_browser() -> Iterator[WebShopBrowserEnv]:
    env = WebShopBrowserEnv(split=SPLIT, max_steps=MAX_STEPS)
    yield env
    env.close()


@pytest.fixture(scope="module")
def in_text() -> WebShopEnv:
    return WebShopEnv(split=SPLIT, max_steps=MAX_STEPS)


def _random_action(draw: random.Random, info: dict[str, Any]) -> str:
    # Now and then something that is not allowed here.
    wrong = ("click[< Prev]", "search[]", "think[hm]", "click[Next >]", "nothing", "click[B000]")
    if draw.random() < 0.1:
        return draw.choice(wrong)
    return str(draw.choice(info["admissible_actions"]))


def _play(
    envs: tuple[WebShopEnv, WebShopEnv], task_id: str, seed: int, *, expert: bool
) -> tuple[float, int]:
    """Play one episode in both; what they say must be the same at every step."""
    text, browser = (env.reset(seed=seed, options={"task_id": task_id}) for env in envs)
    assert text == browser
    observation, info = text
    policy = envs[1].make_expert(seed) if expert else None
    draw = random.Random(seed)
    for number in range(1, 100):
        action = policy(observation, info)[1] if policy else _random_action(draw, info)
        here, there = (env.step(action) for env in envs)
        assert here == there, action
        observation, reward, terminated, truncated, info = here
        if terminated or truncated:
            return reward, number
    raise AssertionError("the episode did not end")


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_random_and_expert_episodes_are_those_of_the_text_environment(
    in_text: WebShopEnv, in_browser: WebShopBrowserEnv
) -> None:
    envs = (in_text, in_browser)
    played = [
        _play(envs, task_id, seed, expert=seed >= N_RANDOM)
        for seed, task_id in enumerate(in_text.task_ids[: N_RANDOM + N_EXPERT])
    ]
    rewards = [reward for reward, _ in played]
    assert len(played) == 40
    assert any(rewards[:N_RANDOM])
    assert sum(rewards[N_RANDOM:]) > 0.8 * N_EXPERT


@pytest.mark.parametrize("mode", ["text", "text_rich", "url"])
def test_the_other_modes_are_the_same_too(mode: str) -> None:
    text, browser = (kind(split=SPLIT, mode=mode) for kind in (WebShopEnv, WebShopBrowserEnv))
    task_ids = text.task_ids
    try:
        for seed in range(2):
            _play((text, browser), task_ids[seed], seed, expert=False)
    finally:
        browser.close()


def test_mode_html_shows_what_the_site_sent() -> None:
    text, browser = (kind(split=SPLIT, mode="html") for kind in (WebShopEnv, WebShopBrowserEnv))
    task_id = text.task_ids[0]
    try:
        here, info = text.reset(options={"task_id": task_id})
        assert browser.reset(options={"task_id": task_id})[0] == here
        actions = [info["admissible_actions"][0], "click[next >]", "click[< prev]"]
        for action in actions:
            found = text.step(action)
            assert browser.step(action) == found
        product = next(a for a in found[4]["admissible_actions"] if a.startswith("click[b0"))
        for action in (product, "click[features]", "click[< prev]"):
            assert browser.step(action) == text.step(action)
        here_done, there_done = text.step("click[buy now]"), browser.step("click[buy now]")
        assert there_done[1:] == here_done[1:]
        assert "goal-instruction-text" in there_done[0]
    finally:
        browser.close()


def test_pictures_of_pages_are_told_on_request() -> None:
    env = WebShopBrowserEnv(split=SPLIT, screenshots=True)
    assert env.env_version == WebShopBrowserEnv(split=SPLIT).env_version
    try:
        _, info = env.reset(options={"task_id": env.task_ids[0]})
        first = info["screenshot"]
        assert first.startswith(b"\x89PNG")
        info = env.step(info["admissible_actions"][0])[4]
        assert info["screenshot"].startswith(b"\x89PNG")
        assert info["screenshot"] != first
    finally:
        env.close()


def test_a_dead_browser_spoils_one_episode_only(in_browser: WebShopBrowserEnv) -> None:
    task_id = in_browser.task_ids[0]
    _, info = in_browser.reset(options={"task_id": task_id})
    assert in_browser.browser_pid is not None
    for process in psutil.Process(in_browser.browser_pid).children(recursive=True):
        if "chromedriver" not in process.name():
            process.kill()
    with pytest.raises(BrowserFailure):
        in_browser.step(info["admissible_actions"][0])
    _, info = in_browser.reset(options={"task_id": task_id})
    in_browser.step(info["admissible_actions"][0])


def test_one_browser_serves_all_episodes(in_browser: WebShopBrowserEnv) -> None:
    in_browser.reset(seed=0)
    before = in_browser.browser_pid
    in_browser.reset(seed=1)
    assert in_browser.browser_pid == before


def test_closing_ends_browser_and_site_and_a_reset_starts_them_again() -> None:
    env = WebShopBrowserEnv(split=SPLIT)
    assert env.browser_pid is None
    for _ in range(2):
        env.reset(seed=0)
        assert env.browser_pid is not None
        family = psutil.Process(env.browser_pid).children(recursive=True)
        env.close()
        env.close()
        assert not psutil.wait_procs(family, timeout=10)[1]


def test_wrong_arguments_are_refused_in_one_line() -> None:
    with pytest.raises(EnvError, match="did you mean 'screenshots'"):
        WebShopBrowserEnv(screenshot=True)
    with pytest.raises(EnvError, match="expected true or false"):
        WebShopBrowserEnv(screenshots="yes")  # type: ignore[arg-type]
    with pytest.raises(EnvError, match="no mode 'txt'"):
        WebShopBrowserEnv(mode="txt")
