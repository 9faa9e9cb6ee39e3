"""Draw charts as SVG: box plots of scores, curves of a training run."""

from html import escape

import numpy as np

from asteroid_tfswa.errors import one_line

COLOURS = ("#2456c4", "#8a8f99", "#b7791f", "#2f855a", "#97266d")
STYLE = (
    "svg { background: white; font: 11px sans-serif } .title { font-size: 13px }"
    " .grid { stroke: #d5d9e0 } .box line { stroke: #1b1d22 }"
    " circle { fill: none; stroke: #5b6270 }"
    " .box .median { stroke: white; stroke-width: 2 }"
    " .curve { fill: none; stroke: #2456c4; stroke-width: 2 }"
) + "".join(f" .k{i} rect, rect.k{i} {{ fill: {c} }}" for i, c in enumerate(COLOURS))
WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 640, 260, 44, 40, 26


def box_plot(title, unit, groups):
    """Draw boxes side by side: quartiles, median, whiskers to the last value within 1.5 boxes.

    Args:
        title (str): title of the chart.
        unit (str): unit of the values.
        groups (dict[str, dict[str, list[float]]]): ``{stem: {estimate: values}}``, finite values.

    Returns:
        str: an ``<svg>`` element with a text alternative; empty without values.
    """
    values = [v for boxes in groups.values() for vs in boxes.values() for v in vs]
    if not values:
        return ""
    low, high, y, axis = _y_axis(min(values), max(values), unit)
    kinds = list(dict.fromkeys(kind for boxes in groups.values() for kind in boxes))
    slot = (WIDTH - LEFT - 10) / len(groups)
    width = min(26.0, slot * 0.8 / len(kinds))
    parts, told = [], []
    for i, (stem, boxes) in enumerate(groups.items()):
        middle = LEFT + slot * (i + 0.5)
        parts.append(_text(middle, HEIGHT - 22, stem, "middle"))
        for kind, vs in boxes.items():
            if not vs:
                continue
            k = kinds.index(kind)
            x = middle + (k - (len(kinds) - 1) / 2) * width
            colour = k % len(COLOURS)
            parts.append(_box(x, width * 0.7, vs, y, colour, f"{stem}, {kind}"))
            told.append(f"{stem}, {kind}: median {np.median(vs):.1f} {unit}")
    legend = [
        f'<rect class="k{k % len(COLOURS)}" x="{LEFT + 120 * k}" y="{HEIGHT - 14}"'
        ' width="10" height="10"/>' + _text(LEFT + 120 * k + 14, HEIGHT - 5, kind, "start")
        for k, kind in enumerate(kinds)
    ]
    return _svg(title, "; ".join(told), axis + parts + legend)


def _box(x, width, values, y, number, name):
    q1, median, q3 = np.percentile(values, (25, 50, 75))
    reach = 1.5 * (q3 - q1)
    inside = [v for v in values if q1 - reach <= v <= q3 + reach]
    low, high = min(inside), max(inside)
    left = x - width / 2
    tip = f"{name}: median {median:.2f}, quartiles {q1:.2f} to {q3:.2f}, {len(values)} songs"
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{y(v):.1f}" r="2"/>' for v in values if not low <= v <= high
    )
    return (
        f'<g class="box k{number}"><title>{_safe(tip)}</title>'
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y(low):.1f}" y2="{y(high):.1f}"/>'
        f'<rect x="{left:.1f}" y="{y(q3):.1f}" width="{width:.1f}"'
        f' height="{max(1.0, y(q1) - y(q3)):.1f}"/>'
        f'<line class="median" x1="{left:.1f}" x2="{left + width:.1f}" y1="{y(median):.1f}"'
        f' y2="{y(median):.1f}"/>{dots}</g>'
    )


def curve(title, unit, points):
    """Draw a curve.

    Args:
        title (str): title of the chart.
        unit (str): unit of the values.
        points (list[tuple[float, float]]): steps and values, in order.

    Returns:
        str: an ``<svg>`` element with a text alternative; empty for fewer than two points.
    """
    points = [(x, v) for x, v in points if np.isfinite(v)]
    if len(points) < 2:
        return ""
    values = [v for _, v in points]
    low, high, y, axis = _y_axis(min(values), max(values), unit)
    first, last = points[0][0], max(points[-1][0], points[0][0] + 1)
    xs = [LEFT + (x - first) / (last - first) * (WIDTH - LEFT - 10) for x, _ in points]
    line = " ".join(f"{x:.1f},{y(v):.1f}" for x, v in zip(xs, values))
    steps = [_text(xs[0], HEIGHT - 22, f"step {points[0][0]:g}", "start")]
    steps.append(_text(xs[-1], HEIGHT - 22, f"step {points[-1][0]:g}", "end"))
    told = f"from {values[0]:.4g} to {values[-1]:.4g} {unit}, lowest {min(values):.4g}, "
    told += f"highest {max(values):.4g}"
    return _svg(title, told, [*axis, f'<polyline class="curve" points="{line}"/>', *steps])


def standalone(charts):
    """Put charts into one SVG file, one below the other.

    Args:
        charts (list of str): from `box_plot` or `curve`.

    Returns:
        str: the file's text, with colours of its own.
    """
    parts = [
        chart.replace("<svg", f'<svg y="{i * HEIGHT}" width="{WIDTH}" height="{HEIGHT}"', 1)
        for i, chart in enumerate(charts)
    ]
    height = HEIGHT * len(charts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}"'
        f' height="{height}"><style>{STYLE}</style>{"".join(parts)}</svg>\n'
    )


def _y_axis(low, high, unit):
    """Make round limits, the function from values to pixels, and the elements of the axis."""
    step = 10 ** np.floor(np.log10(max(high - low, 1e-6)))
    step = next(step * f for f in (0.2, 0.5, 1, 2, 5) if (high - low) / (step * f) <= 6)
    low, high = np.floor(low / step) * step, np.ceil(high / step) * step
    high = high if high > low else low + step

    def y(value):
        return TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM)

    parts = [_text(4, TOP - 10, unit, "start")]
    for value in np.arange(low, high + step / 2, step):
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - 10}" y1="{y(value):.1f}"'
            f' y2="{y(value):.1f}"/>'
        )
        parts.append(_text(LEFT - 6, y(value) + 4, f"{value:.6g}", "end"))
    return low, high, y, parts


def _text(x, y, text, anchor):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{_safe(text)}</text>'


def _svg(title, told, parts):
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
        f' aria-label="{_safe(title)}: {_safe(told)}"><text class="title" x="{LEFT}" y="14">'
        f"{_safe(title)}</text>{''.join(parts)}</svg>"
    )


def _safe(text):
    """Names may have characters that XML and UTF-8 do not have."""
    return escape(one_line(text))
