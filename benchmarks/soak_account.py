"""What came of a part of the soak."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Account:
    """What came of one part."""

    part: str
    faults: int = 0
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    said: str = ""

    def recovered(self, fault: str, seconds: float, lost: list[str], wrong: list[str]) -> None:
        """Note how long a recovery took, and what was there after it."""
        self.seconds.append(seconds)
        self.lost += [f"{fault}: {name}" for name in lost]
        self.wrong += [f"{fault}: {name}" for name in wrong]
        print(f"  {fault}: recovered in {seconds:.1f} s", *lost, *wrong, flush=True)

    def tell(self) -> None:
        """Print the part's line, and what was lost or wrong."""
        took = sorted(self.seconds)
        spread = (
            f"recoveries took {took[len(took) // 2]:.1f} s (median), {took[-1]:.1f} s (longest)"
            if took
            else "nothing to recover"
        )
        print(
            f"{self.part}: {self.faults} faults, lost {len(self.lost)}, wrong {len(self.wrong)}, "
            f"{spread}{self.said}",
            *self.lost,
            *self.wrong,
            sep="\n  ",
            flush=True,
        )
