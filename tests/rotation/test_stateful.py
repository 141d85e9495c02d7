"""Rotations one after the other in one world, with whatever may come between two of their turns."""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from streams.models import RotationState
from streams.rotation import machine
from streams.rotation.machine import Progress
from tests.rotation import world as model
from tests.rotation.test_model import SHAPES
from tests.rotation.world import Fault, Rotating, World


class Life(RuleBasedStateMachine):
    """Workers, operators, AWS and strangers, in any order. `World.check` holds after each call."""

    @initialize(shape=st.sampled_from(sorted(SHAPES)))
    def begin(self, shape: str) -> None:
        self.faults: dict[int, Fault] = {}
        self.world = World(**SHAPES[shape], faults=self.faults)
        self.rotating = Rotating(self.world)
        self.touched = False

    @property
    def progress(self) -> Progress:
        return self.rotating.progress

    @rule(turns=st.integers(1, 12))
    def work(self, turns: int) -> None:
        for _ in range(turns):
            if not self.rotating.over:
                self.rotating.turn()

    @rule(ahead=st.integers(0, 6), fault=st.sampled_from(Fault))
    def goes_wrong(self, ahead: int, fault: Fault) -> None:
        """One of the next calls."""
        self.faults[len(self.world.calls) + ahead] = fault

    @rule(seconds=st.floats(0.1, 60))
    def nobody_comes(self, seconds: float) -> None:
        self.world.wait(seconds)

    @precondition(lambda self: not self.rotating.over)
    @rule()
    def rolled_back(self) -> None:
        self.rotating.progress = (
            machine.turn_back(self.progress, self.rotating.plan) or self.progress
        )

    @precondition(lambda self: self.progress.state == RotationState.STUCK)
    @rule()
    def resumed(self) -> None:
        state: Any = RotationState.RUNNING
        self.rotating.progress = Progress(self.progress.step, self.progress.back, state)

    @precondition(lambda self: not self.world.deleted)
    @rule(sure=st.integers(0, 9))
    def somebody_deletes_the_function(self, sure: int) -> None:
        """Seldom, or nothing else would ever come to its end."""
        if sure == 0:
            self.world.delete_function()

    @precondition(lambda self: not self.rotating.over)
    @rule()
    def given_up(self) -> None:
        before = self.progress
        self.rotating.give_up()
        if not self.world.deleted and before.step != machine.UNTOUCHED:
            assert self.progress == before

    @precondition(lambda self: self.world.gateways and not self.touched)
    @rule(number=st.integers(0, 1))
    def a_stranger_touches_a_mapping(self, number: int) -> None:
        """Without deploying it, as a template that is about to be."""
        self.touched = True
        number %= self.world.gateways
        place, _ = self.world.saved[number]
        self.before = (number, self.world.saved[number])
        self.world.saved[number] = (place, "stranger")

    @precondition(lambda self: self.touched)
    @rule()
    def the_stranger_takes_it_back(self) -> None:
        self.touched = False
        number, saved = self.before
        self.world.saved[number] = saved

    @invariant()
    def a_strangers_value_is_never_overwritten_nor_deployed(self) -> None:
        if not getattr(self, "touched", False):
            return
        number, _ = self.before
        assert self.world.saved[number][1] == "stranger"
        assert "stranger" not in {sent.value[1] for sent in self.world.sending.values()}

    def teardown(self) -> None:
        """Left alone, it comes to an end, and everybody agrees on one value."""
        if not hasattr(self, "world"):
            return
        self.faults.clear()
        if self.touched:
            self.the_stranger_takes_it_back()
        if self.world.deleted and not self.rotating.over:
            self.rotating.give_up()
        self.rotating.to_the_end()
        self.world.wait(100)
        world, value = self.world, self.world.current
        if world.deleted:
            assert world.portal.value[1] == value
            return
        assert world.latest == {**model.OTHERS, "KEY": value}
        assert {saved for _, saved in world.saved.values()} <= {value}
        assert {sent.value[1] for sent in world.sending.values()} <= {value}
        for place, serving in world.serving.items():
            if place != "green" or value == "new":
                assert serving.met(world.now) == [(value,)]


Life.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestLife = Life.TestCase
