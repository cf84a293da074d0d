"""The claim of the protocol, with every kind of trouble in simulated time: never above the limit, nobody forgotten."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend_retrofit_runtime.shared.account import Account
from backend_retrofit_runtime.shared.holdings import Holdings
from backend_retrofit_runtime.shared.messages import Reply, Terms

from .simulation import Network, Process, World

pytestmark = pytest.mark.timeout(300)
randoms = st.integers(0, 2**32).map(Random)
networks = st.builds(
    Network,
    lost=st.sampled_from([0.0, 0.05, 0.3]),
    doubled=st.sampled_from([0.0, 0.1, 0.5]),
    delay=st.sampled_from([0.0005, 0.02, 0.1]),
    straggle=st.sampled_from([0.0, 0.02, 0.1]),
)
thorough = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
WAIT = Terms(limit=4, lease=2.0, timeout=0.3, fallback="wait")


def processes_of(world: World, terms: Terms, count: int, left: int = 25, callers: int = 4) -> list[Process]:
    return [Process(world, terms, left, callers, 0.05) for _ in range(count)]


@thorough
@given(randoms, networks, st.integers(1, 5), st.integers(1, 6))
def test_R8_lost_doubled_late_and_reordered_messages_neither_exceed_the_limit_nor_lose_a_slot(
    random: Random, network: Network, limit: int, count: int
) -> None:
    world = World(random, limit, network)
    processes = processes_of(world, WAIT._replace(limit=limit), count)
    world.run(900)
    assert [p.finished for p in processes] == [25] * count


@thorough
@given(randoms, st.integers(1, 5), st.lists(st.floats(0.1, 3), min_size=1, max_size=4))
def test_R11_the_slots_of_killed_processes_come_back(random: Random, limit: int, kills: list[float]) -> None:
    world = World(random, limit, Network())
    processes = processes_of(world, WAIT._replace(limit=limit), len(kills) + 1, left=60)
    for process, when in zip(processes, kills, strict=False):
        world.at(when, process.kill)
    world.run(200)
    assert processes[-1].finished == 60
    assert world.done()


@thorough
@given(randoms, networks, st.integers(2, 5), st.floats(0.1, 1.5))
def test_R13_a_server_that_forgets_everything_is_told_the_truth(
    random: Random, network: Network, count: int, when: float
) -> None:
    world = World(random, 8, Network(delay=min(network.delay, 0.02), doubled=network.doubled))
    processes = processes_of(world, WAIT._replace(limit=8), count, left=80)

    def forget() -> None:
        world.account = Account()
        world.at(when, forget)

    world.at(when, forget)
    world.run(300)
    assert [p.finished for p in processes] == [80] * count


@thorough
@given(randoms, st.integers(1, 8), st.integers(1, 6), st.floats(0.2, 2.0), st.floats(0.5, 4.0))
def test_R12_while_the_server_is_away_the_shares_add_up_to_the_limit(
    random: Random, limit: int, count: int, down: float, away: float
) -> None:
    world = World(random, max(limit, count), Network())
    processes = processes_of(world, WAIT._replace(limit=limit, fallback="share"), count, left=120)
    joined: list[bool] = []

    def stop() -> None:
        joined.append(all(p.holdings.joined for p in processes))
        world.up = False

    def start() -> None:
        world.account = Account(world.now * 1000)
        world.up = True

    world.at(down, stop)
    world.at(down + away, start)
    world.run(300)
    assert joined in ([], [True])
    assert [p.finished for p in processes] == [120] * count


def hang(random: Random, limit: int, count: int, hangs: float, delay: float) -> None:
    """Let a server hang for a while, under processes that then go on alone."""
    world = World(random, max(limit, count), Network(delay=delay))
    terms, left = Terms(limit=limit, lease=6.0, timeout=0.5), 40 * limit
    processes = processes_of(world, terms, count, left=left, callers=8)

    def begin() -> None:
        world.hangs_until = world.now + hangs

    world.at(2, begin)
    world.run(900)
    assert [p.finished for p in processes] == [left] * count


@settings(thorough, max_examples=30)
@given(randoms, st.integers(1, 12), st.integers(2, 8), st.floats(0.5, 3.0), st.floats(0.001, 0.2))
def test_R12_a_server_that_hung_executes_what_was_sent_meanwhile(
    random: Random, limit: int, count: int, hangs: float, delay: float
) -> None:
    hang(random, limit, count, hangs, delay)


@pytest.mark.parametrize(
    ("seed", "limit", "hangs"),
    [(87, 12, 0.8095509633766218), (238, 11, 0.8170772484374298), (359, 12, 0.8788793269460811)],
)
def test_R12_nothing_is_granted_to_a_process_that_goes_on_alone_until_it_hears_of_it(
    seed: int, limit: int, hangs: float
) -> None:
    hang(Random(seed), limit, 8, hangs, 0.2)


@thorough
@given(
    randoms, st.integers(1, 12), st.integers(1, 6), st.integers(1, 4), st.floats(0.5, 4.0), st.floats(0, 3)
)
def test_R13_a_newcomer_at_an_empty_server_takes_no_slot_of_those_that_are_still_to_come_back(
    random: Random, limit: int, count: int, newcomers: int, away: float, later: float
) -> None:
    world = World(random, max(limit, count), Network())
    share = WAIT._replace(limit=limit, fallback="share")
    processes_of(world, share, count, left=200)
    joined: list[bool] = []

    def stop() -> None:
        joined.append(all(p.holdings.joined for p in world.processes.values()))
        world.up = False

    def start() -> None:
        world.account = Account(world.now * 1000)
        world.up = True

    world.at(2, stop)
    world.at(2 + away, start)
    world.at(2 + away + later, lambda: processes_of(world, share, newcomers, left=60))
    world.run(2 + away + later)
    world.run(300)
    assert joined in ([], [True])
    assert all(p.finished == (200 if n < count else 60) for n, p in enumerate(world.processes.values()))


def test_R13_a_process_that_is_the_first_waits_for_nobody() -> None:
    world = World(Random(1), 8, Network())
    (process,) = processes_of(world, WAIT._replace(limit=8), 1, left=40, callers=8)
    world.run(1)
    assert process.finished == 40


def test_R12_a_process_that_held_nothing_starts_nothing_alone_before_the_calls_of_others_can_have_ended() -> (
    None
):
    holdings = Holdings(Terms(limit=12))
    report = holdings.report(100.0, {})
    answer = Reply(
        seq=report.seq,
        born=1,
        granted=0,
        limit=12,
        processes=8,
        place=0,
        hold=0,
        wake=-1,
        longest=200,
        round=0,
    )
    holdings.answered(report, answer, 100.0, 100.01)
    holdings.lost(100.2)
    assert not holdings.take("early", 100.3)  # the others may have been granted all slots since the answer
    assert holdings.take("later", 100.7)
