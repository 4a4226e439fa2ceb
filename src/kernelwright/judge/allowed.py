"""What each kind of worker of a judge may touch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kernelwright.home import home
from kernelwright.judge.sandbox import Confinement, visible_folders

NICENESS = 10
"""Builds and compilations give way to what somebody waits for."""
GIB = 1 << 30
DRIVER_BYTES = 32 * GIB
"""What a device's driver maps for itself in a process."""


@dataclass(frozen=True)
class Allowed:
    """`devices` are the target's files, `shared` what builds share, `cache` torch.compile's."""

    devices: tuple[str, ...]
    shared: tuple[str, ...]
    cache: Path

    def task(self, search_path: tuple[str, ...], *, programs: bool) -> Confinement:
        """The reference's workers, and the one in which torch.compile starts its `programs`."""
        if programs:
            self.cache.mkdir(parents=True, exist_ok=True)
        return Confinement(
            writable=(str(self.cache),) if programs else (),
            visible=visible_folders((*search_path, *(self.shared if programs else ()))),
            hidden=(str(home()),),
            memory=64 * GIB,
            file_size=GIB,
            programs=programs,
            devices=self.devices,
        )

    def preparing(self) -> Confinement:
        """The one that makes what builds share."""
        return Confinement(
            writable=self.shared,
            visible=visible_folders(),
            hidden=(str(home()),),
            file_size=GIB,
            programs=True,
            niceness=NICENESS,
        )

    def candidate(self, folder: Path, needed: int, *, building: bool) -> Confinement:
        """A candidate's with this build folder; its largest case needs so many bytes."""
        build_dir = str(folder)
        return Confinement(
            writable=(build_dir,) if building else (),
            visible=visible_folders((*(() if building else (build_dir,)), *self.shared)),
            hidden=(str(home()),),
            memory=4 * GIB + 12 * needed + (DRIVER_BYTES if self.devices else 0),
            file_size=GIB if building else 64 << 20,
            programs=building,
            niceness=NICENESS if building else 0,
            devices=self.devices,
        )
