"""Numbers as people read them: three significant digits and a unit that fits."""

from __future__ import annotations

_TIME_UNITS = ((1.0, "µs"), (1e3, "ms"), (1e6, "s"))
_SIZE_UNITS = ((1.0, "B"), (1e3, "kB"), (1e6, "MB"), (1e9, "GB"), (1e12, "TB"))
_COUNT_UNITS = ((1.0, ""), (1e3, "k"), (1e6, "M"), (1e9, "G"), (1e12, "T"))
_MISSING = "–"


def _digits(value: float) -> str:
    """Three significant digits without an exponent: 7.21, 72.1, 721, 7210."""
    if value == 0:
        return "0"
    decimals = 0 if abs(value) >= 99.95 else 1 if abs(value) >= 9.995 else 2 if abs(value) >= 0.9995 else 3
    return f"{value:.{decimals}f}"


def _scaled(value: float, units: tuple[tuple[float, str], ...]) -> str:
    # 999.6 rounds to the next unit up, hence the limit below it.
    factor, unit = next((entry for entry in reversed(units) if abs(value) >= 0.9995 * entry[0]), units[0])
    return f"{_digits(value / factor)} {unit}".rstrip()


def time(us: float | None) -> str:
    """A time given in µs, e.g. `11.8 ms`."""
    return _MISSING if us is None else _scaled(us, _TIME_UNITS)


def seconds(value: float) -> str:
    """A duration given in seconds, e.g. `0.41 s`, `48 s`, `3 min 20 s`."""
    if value < 10:
        return f"{value:.1f} s" if value >= 1 else f"{value:.2f} s"
    if value < 100:
        return f"{value:.0f} s"
    return f"{int(value) // 60} min {int(value) % 60} s"


def size(count: float) -> str:
    """A number of bytes in decimal units, e.g. `134 MB`."""
    return _scaled(count, _SIZE_UNITS)


def rate(per_second: float, unit: str) -> str:
    """A rate in decimal units, e.g. `rate(2.1e10, "B/s")` is `21.0 GB/s`."""
    text = _scaled(per_second, _COUNT_UNITS)
    return f"{text}{unit}" if text[-1].isalpha() else f"{text} {unit}"


def count(value: float) -> str:
    """A large count, e.g. `137 G` operations."""
    return _scaled(value, _COUNT_UNITS)


def speedup(value: float | None) -> str:
    """A ratio of times, e.g. `7.21×`."""
    return _MISSING if value is None else f"{_digits(value)}×"


def interval(bounds: tuple[float, float] | None) -> str:
    """A confidence interval of a ratio, e.g. `7.05–7.33`."""
    return _MISSING if bounds is None else f"{_digits(bounds[0])}–{_digits(bounds[1])}"


def percent(share: float | None) -> str:
    """A share of 1 in percent, e.g. `84 %`."""
    return _MISSING if share is None else f"{100 * share:.0f} %"


def error(value: float | None) -> str:
    """A relative error, e.g. `2.4e-07`."""
    return _MISSING if value is None else f"{value:.1e}"


def plural(number: int, noun: str) -> str:
    """A number of things, e.g. `1 candidate`, `12 candidates`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
