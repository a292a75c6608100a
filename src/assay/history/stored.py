"""What is a run, as the history has it?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..direction import Direction
from ..errors import UsageError
from ..estimate import Estimate


@dataclass(frozen=True)
class StoredInput:
    """One set that was compared.

    Attributes:
        role: "real", "candidate" or "held_out".
        name, description: as they were printed, without credentials.
        content: a digest of what was in it; None where nobody knows.
        n: how many samples; None for statistics that do not say.
    """

    role: str
    name: str
    description: str
    content: str | None
    n: int | None


@dataclass(frozen=True)
class StoredValue:
    """One measure of one candidate, or of one class of it.

    Attributes:
        key: its row in the file.
        name, measure, candidate, direction, group: as in `assay.comparison.Row`.
        estimate: without its notes, which are the run's.
    """

    key: int
    name: str
    measure: str
    candidate: str
    direction: Direction
    group: str | None
    estimate: Estimate


@dataclass(frozen=True)
class Run:
    """One comparison.

    Attributes:
        id: its number; numbers of forgotten runs do not come back.
        time: when, UTC, as `2026-11-22T05:45:40Z`.
        command: the command line, without credentials.
        features, fingerprint, protocol, seed, level, paired: what it was made with.
        versions: of the packages.
        inputs: the real set, the candidates in their order, the held-out set.
        values: one a candidate and measure, then those of the classes.
    """

    id: int
    time: str
    command: tuple[str, ...]
    features: str
    fingerprint: str | None
    protocol: str | None
    seed: int
    level: float
    paired: bool
    versions: Mapping[str, str]
    inputs: tuple[StoredInput, ...]
    values: tuple[StoredValue, ...]

    @property
    def real(self) -> StoredInput:
        return self.inputs[0]

    @property
    def candidates(self) -> tuple[StoredInput, ...]:
        return tuple(one for one in self.inputs if one.role == "candidate")

    def held_out(self) -> StoredInput | None:
        """The held-out set, where there was one."""
        return next((one for one in self.inputs if one.role == "held_out"), None)

    def candidate(self, name: str | None) -> StoredInput:
        """The candidate of this name; the only one where no name is given.

        Raises:
            UsageError: there is none of this name, or several to choose from.
        """
        known = self.candidates
        if name is None and len(known) == 1:
            return known[0]
        for one in known:
            if one.name == name:
                return one
        names = ", ".join(one.name for one in known)
        if name is None:
            raise UsageError(
                f"run {self.id} has {len(known)} candidates, {names}: choose one, as in {self.id}:{known[0].name}"
            )
        raise UsageError(f"run {self.id} has no candidate {name!r}; it has {names}")


def is_called(name: str, measure: str, asked: str) -> bool:
    """Whether a value printed as `name` is meant by `asked`: its printed, short or full name, or without its space."""
    return asked in (name, measure, name.partition("[")[0])
