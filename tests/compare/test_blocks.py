"""How numbers are shown."""

from __future__ import annotations

import pytest

from orchestrator.compare.blocks import number, p_value, percent, plain, signed_percent
from orchestrator.compare.statistics import Effect


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0 %"),
        (1e-9, "0.1 %"),
        (0.004, "0.4 %"),
        (0.5, "50 %"),
        (0.994, "99 %"),
        (0.9999, "99.9 %"),
        (1.0, "100 %"),
    ],
)
def test_only_one_itself_is_all_and_only_zero_is_nothing(value: float, shown: str) -> None:
    assert percent(value) == shown


MINUS = "\N{MINUS SIGN}"


@pytest.mark.parametrize(
    ("value", "shown"), [(0.394, "+39.4 %"), (-0.0721, f"{MINUS}7.2 %"), (0.0, "±0.0 %"), (2.304, "+230 %")]
)
def test_changes_carry_their_sign(value: float, shown: str) -> None:
    assert signed_percent(value) == shown


def test_numbers_are_rounded_and_never_a_negative_zero() -> None:
    assert [number(2)(x) for x in (1234.567, -0.125, -0.001)] == ["1,234.57", f"{MINUS}0.12", "0.00"]
    assert [p_value(x) for x in (1e-12, 0.00321, 0.5)] == ["< 0.0001", "0.0032", "0.50"]
    assert plain(Effect(estimate=1, low=-0.5, high=2), number(1)) == f"1.0 [{MINUS}0.5, 2.0]"
    assert [plain(None, str), plain(float("nan"), str), plain("x", str)] == ["\N{EN DASH}", "\N{EN DASH}", "x"]
