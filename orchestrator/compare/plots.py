"""Plots as SVG text that refers to nothing outside itself; the same figures give the same bytes."""

from __future__ import annotations

import io
import math
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from orchestrator.compare.pooling import Pooled
    from orchestrator.compare.scaling import Scaling

__all__ = ["bars_plot", "forest_plot", "radar_plot", "scaling_plot", "time_plot"]

_COLOURS = ("#4c6a92", "#d1803a", "#5f9e6e", "#8d6cab", "#b5524f", "#7f7f7f", "#c2a83e", "#4fa3a5")
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: it can be searched, and read aloud
    "text.parse_math": False,  # a task's name may hold dollar signs
    "svg.hashsalt": "orch compare",  # ids by content and not by chance
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e3e3e3",
    "axes.axisbelow": True,
    "legend.frameon": False,
}


_ID = re.compile(r'((?: id="|href="#|url\(#))')


def time_plot(values: Mapping[str, Mapping[str, Sequence[float]]], unit: str) -> str:
    """Return box plots of values by task and arm; the scale is logarithmic, so that equal ratios look equal."""
    arms = list(dict.fromkeys(arm for by_arm in values.values() for arm in by_arm))
    with _figure(9, 1 + 0.32 * len(values) * max(2, len(arms))) as plot:
        axes = plot.figure.subplots()
        step = 0.8 / len(arms)
        for row, by_arm in enumerate(values.values()):
            for i, arm in enumerate(arms):
                if sample := list(by_arm.get(arm, ())):
                    _box(axes, sample, row - 0.4 + (i + 0.5) * step, 0.75 * step, _COLOURS[i % len(_COLOURS)])
        axes.set_xscale("log")
        axes.set_yticks(range(len(values)), list(values))
        axes.invert_yaxis()
        axes.set_xlabel(unit)
        _plain_log_ticks(axes)
        for i, arm in enumerate(arms):
            axes.plot([], [], "s", color=_COLOURS[i % len(_COLOURS)], label=arm)
        _legend(axes, len(arms))
        return plot.svg("time")


def forest_plot(panels: Sequence[tuple[str, Pooled, bool]], name: str) -> str:
    """Return forest plots (title, pooled effects, whether these are logarithms of ratios, shown as percent).

    `name` is the plot's own on the page.
    """
    rows = max(pooled.k for _, pooled, _ in panels) + 3
    with _figure(4.9 * len(panels), 0.9 + 0.3 * rows) as plot:
        every = plot.figure.subplots(1, len(panels), squeeze=False)[0]
        for axes, (title, pooled, as_percent) in zip(every, panels, strict=True):
            _forest(axes, pooled, as_percent=as_percent)
            axes.set_title(title, fontsize=9, loc="left")
        return plot.svg(name)


def radar_plot(scores: Mapping[str, Mapping[str, float]], top: float) -> str:
    """Return mean scores (arm to name to score, from 0 to `top`) as a radar; at least three names."""
    names = list(next(iter(scores.values())))
    angles = [2 * math.pi * i / len(names) for i in range(len(names))]
    with _figure(6, 4.2) as plot:
        axes: Any = plot.figure.subplots(subplot_kw={"projection": "polar"})
        for i, (arm, by_name) in enumerate(scores.items()):
            radii = [by_name[name] for name in names]
            colour = _COLOURS[i % len(_COLOURS)]
            axes.plot([*angles, angles[0]], [*radii, radii[0]], "o-", color=colour, label=arm, markersize=3)
            axes.fill([*angles, angles[0]], [*radii, radii[0]], color=colour, alpha=0.12)
        axes.set_theta_offset(math.pi / 2)
        axes.set_theta_direction(-1)
        axes.set_xticks(angles, [name.replace("_", " ") for name in names])
        axes.set_ylim(0, top)
        axes.legend(loc="lower left", bbox_to_anchor=(1.05, 0))
        return plot.svg("radar")


def scaling_plot(fits: Mapping[str, Scaling]) -> str:
    """Return times over the number of agents: means of the trials as points, fits as lines."""
    with _figure(8, 3.8) as plot:
        axes = plot.figure.subplots()
        for i, (label, fit) in enumerate(fits.items()):
            colour = _COLOURS[i % len(_COLOURS)]
            first, last = fit.tried[0], fit.tried[-1]
            grid = [first + (last - first) * step / 100 for step in range(101)]
            axes.plot(grid, [fit.seconds(n) for n in grid], color=colour, label=label)
            axes.plot(fit.tried, fit.means, "o", color=colour, markersize=4)
        axes.set_ylim(bottom=0)
        axes.set_xticks(sorted({n for fit in fits.values() for n in fit.tried}))
        axes.set_xlabel("agents")
        axes.set_ylabel("s")
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=8)
        return plot.svg("scaling")


def bars_plot(values: Mapping[str, Mapping[str, float]], unit: str, name: str) -> str:
    """Return stacked bars: a bar for each key, a colour for each kind; `name` is the plot's own on the page."""
    kinds = sorted({kind for by_kind in values.values() for kind in by_kind})
    with _figure(8.5, 0.9 + 0.28 * max(3, len(values))) as plot:
        axes = plot.figure.subplots()
        starts = [0.0] * len(values)
        for i, kind in enumerate(kinds):
            widths = [by_kind.get(kind, 0.0) for by_kind in values.values()]
            axes.barh(
                range(len(values)), widths, left=starts, color=_COLOURS[i % len(_COLOURS)], label=kind, height=0.7
            )
            starts = [start + width for start, width in zip(starts, widths, strict=True)]
        axes.set_yticks(range(len(values)), list(values))
        axes.invert_yaxis()
        axes.set_xlabel(unit)
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=8)
        return plot.svg(name)


def _box(axes: Axes, sample: list[float], at: float, width: float, colour: str) -> None:
    axes.boxplot(
        sample,
        positions=[at],
        widths=width,
        orientation="horizontal",
        manage_ticks=False,
        patch_artist=True,
        boxprops={"facecolor": colour, "alpha": 0.75, "linewidth": 0.6},
        medianprops={"color": "black", "linewidth": 1.2},
        whiskerprops={"linewidth": 0.8},
        capprops={"linewidth": 0.8},
        flierprops={
            "marker": "o",
            "markersize": 2.5,
            "markerfacecolor": colour,
            "markeredgecolor": "none",
            "alpha": 0.7,
        },
    )


def _forest(axes: Axes, pooled: Pooled, *, as_percent: bool) -> None:
    def shown(value: float) -> float:
        return 100 * math.expm1(value) if as_percent else value

    rows = [(part.task, part.interval, "s", _COLOURS[0]) for part in pooled.parts]
    rows.append(("fixed effect", pooled.fixed, "D", _COLOURS[5]))
    rows.append(("random effects", pooled.random, "D", _COLOURS[1]))
    if pooled.prediction:
        rows.append(("a further task", pooled.prediction, "", _COLOURS[1]))
    for i, (_, effect, marker, colour) in enumerate(rows):
        style = "-" if marker else ":"
        axes.plot([shown(effect.low), shown(effect.high)], [i, i], style, color=colour, linewidth=1.6)
        axes.plot([shown(effect.estimate)], [i], marker or "|", color=colour, markersize=5)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.axhline(pooled.k - 0.5, color="#bbbbbb", linewidth=0.8)
    axes.set_yticks(range(len(rows)), [name for name, *_ in rows])
    axes.invert_yaxis()
    axes.set_xlabel("change of the mean, %" if as_percent else "d_z")


def _plain_log_ticks(axes: Axes) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.xaxis.set_major_locator(LogLocator(base=10, subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _legend(axes: Axes, entries: int) -> None:
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncol=min(4, entries), fontsize=8)


class _Plot:
    """A figure under construction."""

    def __init__(self, figure: Figure) -> None:
        self.figure = figure

    def svg(self, name: str) -> str:
        """Return it as an `<svg>` element, without the document around it; its ids begin with `name`, a page holds several."""
        out = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        self.figure.savefig(out, format="svg", bbox_inches="tight", metadata=nothing)
        text = out.getvalue()
        return _ID.sub(rf"\1{name}-", text[text.index("<svg") :])


@contextmanager
def _figure(width: float, height: float) -> Iterator[_Plot]:
    """Give a figure in this module's style; matplotlib's global state stays as it is."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        yield _Plot(Figure(figsize=(width, height), layout="constrained"))
