"""Tables of states: rules by which a state and a fact give the next state and what has to be done then.

There are two, of what an instance does and of what a traced program does. A state is a frozen dataclass of small parts,
and a rule says what some of them have to be and what others become, so that no rule names all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import Enum
from typing import Any, Generic, NamedTuple, TypeVar

State = TypeVar("State")
Fact = TypeVar("Fact", bound=Enum)


class Rule(NamedTuple):
    """One row: in states whose parts are as in *when*, a fact sets the parts of *then*, and has *effects*."""

    when: Mapping[str, object]
    then: Mapping[str, object]
    effects: tuple[Any, ...] = ()


def always(*effects: Any, **then: object) -> tuple[Rule, ...]:
    """The rule of a fact that does the same in each state."""
    return (Rule({}, then, effects),)


class StateTable(Generic[State, Fact]):
    """*rules* by fact, of which the first applies that fits; *normal* takes impossible parts out of a state."""

    def __init__(self, rules: Mapping[Fact, tuple[Rule, ...]], normal: Callable[[State], State]) -> None:
        self._rules = rules
        self._normal = normal
        self._one_of_each: dict[State, State] = {}

    def the(self, state: State) -> State:
        """The one object that is *state*: what is kept at it is found again."""
        return self._one_of_each.setdefault(state, state)

    def step(self, state: State, fact: Fact) -> tuple[State, tuple[Any, ...]]:
        """The state after *fact*, and the effects; ``LookupError`` where no rule fits, as the fact cannot occur."""
        for rule in self._rules[fact]:
            if all(getattr(state, name) == value for name, value in rule.when.items()):
                then: State = replace(state, **rule.then)  # type: ignore[type-var]
                return self.the(self._normal(then)), rule.effects
        raise LookupError(f"{fact.name} cannot occur in {state}")
