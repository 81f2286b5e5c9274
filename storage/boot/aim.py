"""How far a boot has to come, and what shows that it did."""

from dataclasses import dataclass

from catalog.records import BootPoint
from storage.boot import console_text
from storage.boot.cloud_seed import CloudSeed


@dataclass(frozen=True, slots=True)
class Aim:
    """How far a boot has to come, and the seed by which a guest tells of it."""

    point: BootPoint
    seed: CloudSeed | None

    @classmethod
    def at(cls, point: BootPoint) -> "Aim":
        """Return the aim of coming to a point, with a seed of its own where the guest has to tell of it."""
        return cls(point, CloudSeed.new(point.command) if point.until == "cloud-init" else None)

    def reached(self, screen: str, serial: str) -> str:
        """Return what shows that it came there, an empty string while nothing does."""
        if self.seed is None:
            return console_text.asks_for_login(screen, serial)
        told = self.seed.told(serial)
        return told.sentence(self.point.command) if told is not None and told.well else ""

    def missed(self, serial: str) -> str:
        """Return what the guest said went wrong, an empty string while nothing did."""
        told = self.seed.told(serial) if self.seed is not None else None
        return told.sentence(self.point.command) if told is not None and not told.well else ""

    @property
    def missing(self) -> str:
        """Say what did not happen."""
        return "asked for no login" if self.seed is None else "cloud-init did not tell that it is done"
