"""The benchmark's table and plot."""

from __future__ import annotations

from math import log
from typing import Any

from benchmarks.kernels.measure import SCALES


def bar(found: dict[str, Any]) -> list[tuple[str, float, float, str]]:
    """What is asked of the kernels: (what, measured, at least or at most, unit). A negative limit is an upper one."""
    here, peers = found["here"], found["peers"]["opendp"]
    rate = here["compared"]
    small = max(here["small"].values())
    v3 = found["narrow"]["x86-64-v3"]["compared"]
    slowest = min(rate["discrete_laplace 1"], rate["discrete_laplace"], rate["discrete_laplace 1e6"])
    t3 = rate["numpy x + s * standard_t(3)"]
    heavy = {name: rate[f"{name} per cell"] for name in ("student_t", "gamma4", "cauchy")}
    against_opendp = {
        "discrete Laplace": rate["discrete_laplace"] / peers["laplace int"],
        "discrete Gaussian": rate["discrete_gaussian 10"] / peers["gaussian int"],
        "Laplace on a grid": rate["laplace per cell"] / peers["laplace float"],
        "Gaussian on a grid": rate["gaussian per cell"] / peers["gaussian float"],
    }
    return [
        ("discrete_laplace, scales 1 … 1e6, vs Generator.laplace", slowest / rate["numpy laplace"], 7, "×"),
        ("… vs the difference of two Generator.geometric", slowest / rate["numpy geometric - geometric"], 9, "×"),
        (
            "Laplace per cell vs x + Generator.laplace",
            rate["laplace per cell"] / rate["numpy x + laplace(vector)"],
            7,
            "×",
        ),
        ("discrete_gaussian, σ = 10, vs Generator.normal", rate["discrete_gaussian 10"] / rate["numpy normal"], 4, "×"),
        ("… σ = 64", rate["discrete_gaussian 64"] / rate["numpy normal"], 4, "×"),
        ("… σ = 1000", rate["discrete_gaussian 1000"] / rate["numpy normal"], 3.5, "×"),
        (
            "Gaussian per cell vs x + Generator.normal",
            rate["gaussian per cell"] / rate["numpy x + normal(vector)"],
            4,
            "×",
        ),
        *((f"{name} per cell vs x + s·Generator.standard_t(3)", heavy[name] / t3, 6, "×") for name in heavy),
        *((f"{name} vs OpenDP", ratio, 2000, "×") for name, ratio in against_opendp.items()),
        ("AVX2 build: discrete_laplace vs Generator.laplace", v3["discrete_laplace"] / v3["numpy laplace"], 2, "×"),
        ("AVX2 build: discrete_gaussian 1000 vs normal", v3["discrete_gaussian 1000"] / v3["numpy normal"], 2, "×"),
        ("key stream vs OpenSSL", here["streams"]["key stream"] / here["streams"]["OpenSSL ChaCha20"], 1, "×"),
        ("words by a 128-bit hash of the cell's key", here["hashed"]["words by 128-bit hash"], 100, "M/s"),
        ("two threads vs one", here["two_threads"], 1.8, "×"),
        ("a call for 1, 10, 100 cells", small, -30, "µs"),
        ("first call in a fresh process, cache warm", found["cold"][1], -0.5, "s"),
        ("import dpframe", found["cold"][0], -0.7, "s"),
    ]


def markdown(found: dict[str, Any]) -> str:
    """Both tables."""
    here, machine = found["here"], found["machine"]
    lines = [
        "# Noise kernels",
        "",
        f"`python -m benchmarks.kernels` on {machine['cpu']}, {machine['cores']} cores, Python {machine['python']}.",
        f"One core, 10⁶ cells, median of the rounds; ratios are within one run. Load average {machine['load']:.1f}.",
        "",
        "| what | measured | bar |",
        "|---|---|---|",
    ]
    for what, value, limit, unit in bar(found):
        met = value >= limit if limit > 0 else value <= -limit
        sign = "≥" if limit > 0 else "≤"
        lines.append(f"| {what} | {value:,.3g} {unit} | {sign} {abs(limit):,} {unit}{'' if met else ' **missed**'} |")
    lines += ["", "Millions of samples a second:", "", "| law | " + " | ".join(f"{s:g}" for s in SCALES) + " |"]
    lines.append("|---|" + "---|" * len(SCALES))
    for name in dict.fromkeys(key.rsplit(" ", 1)[0] for key in here["laws"]):
        lines.append(f"| {name} | " + " | ".join(f"{here['laws'][f'{name} {s:g}']:.0f}" for s in SCALES) + " |")
    lines += ["", "| beside them | M/s |", "|---|---|"]
    lines += [f"| {name} | {rate:.3g} |" for name, rate in here["compared"].items() if "numpy" in name]
    lines += [
        f"| {peer} {name} | {rate:.3g} |" for peer, rates in found["peers"].items() for name, rate in rates.items()
    ]
    lines += [f"| {name}, 64-bit words | {rate / 8:.0f} |" for name, rate in here["streams"].items()]
    lines += [f"| {name} | {rate:.0f} |" for name, rate in here["hashed"].items()]
    return "\n".join([*lines, *where_the_time_goes(here)]) + "\n"


def where_the_time_goes(here: dict[str, Any]) -> list[str]:
    """The profile of a sample, step by step, and what bounds each."""
    lines = ["", "## Where the time goes", "", "Each step alone, over 1024 cells in the level-1 cache:", ""]
    lines += ["| step | ns per cell |", "|---|---|"]
    lines += [f"| {name} | {ns:.2f} |" for name, ns in here["stages"].items()]
    steps, rate = here["stages"], here["compared"]
    parts = steps["key stream"] + steps["logarithm and decision in one loop"]
    whole = 1e3 / rate["discrete_laplace"]
    tabled = steps["key stream"] + steps["tabled quantile"] + steps["decision on a tabled quantile"]
    return [
        *lines,
        "",
        f"Key stream and transform of a discrete Laplace sample take {parts:.2f} ns by this table, and {whole:.2f} ns",
        f"were measured for the whole; at σ = 1000, a discrete Gaussian's {tabled:.2f} ns, and",
        f"{1e3 / rate['discrete_gaussian 1000']:.2f} ns. (The two tables' rounds are some seconds apart.)",
        "",
        LIMITS,
    ]


LIMITS = """\
What follows is an estimate from counted instructions and published port layouts, not a measurement. On Intel's CPUs,
512-bit integer and floating-point instructions issue on two ports only. The twenty rounds of 16 blocks
are 960 of them less 36 for what the first round shares, so 128 words take at least 462 cycles: 3.6 a word, 1.0 ns at
3.6 GHz. The fused logarithm and decision are about 41 for 8 cells, 2.6 cycles or 0.7 ns a cell. Together that is 1.7 ns
at the least, which numpy's own speed on the machine turns into the highest ratio to be had; a neighbour on the same
physical core takes its share of both ports. CPUs with four such ports do not have this
limit. A tabled quantile is a row of 48 bytes for each cell, and its transposition: some twenty shuffles for 8 cells,
which issue on one of the two ports. An alias table costs two loads from places that no cache line shares, by scalar
code: three passes, which vectorise, were quicker at σ = 10 and slower at σ = 64 and 256. Storing the result overlaps
with the arithmetic of the next chunk. Two threads gain only where a second processor is free, and a first call is as
quick as the disk and the processor let it be: with the load average at the top near the number of processors or above,
those two lines measure the other programs too."""


def plot(found: dict[str, Any]) -> str:
    """Horizontal bars on a logarithmic axis, as SVG."""
    here = found["here"]
    rows = [("key stream (the limit)", here["streams"]["key stream"] / 8, "#888")]
    rows += [
        (name, here["laws"][f"{name} 10"], "#1f6f8b")
        for name in dict.fromkeys(k.rsplit(" ", 1)[0] for k in here["laws"])
    ]
    rows += [(name, rate, "#c98b2b") for name, rate in here["compared"].items() if name.startswith("numpy")]
    rows += [(f"{p} {name}", rate, "#a33") for p, rates in found["peers"].items() for name, rate in rates.items()]
    low, width, step = 1e-4, 520, 22
    high = max(rate for _, rate, _ in rows)

    def at(rate: float) -> float:
        return width * log(rate / low) / log(high / low)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="860" height="{step * len(rows) + 50}" '
        'font-family="sans-serif" font-size="12">',
        '<text x="10" y="18" font-size="14">Millions of samples a second on one core (scale 10, logarithmic)</text>',
    ]
    for i, (name, rate, colour) in enumerate(rows):
        y = 34 + step * i
        parts.append(f'<text x="240" y="{y + 12}" text-anchor="end">{name}</text>')
        parts.append(f'<rect x="250" y="{y}" width="{at(rate):.0f}" height="{step - 6}" fill="{colour}"/>')
        parts.append(f'<text x="{256 + at(rate):.0f}" y="{y + 12}">{rate:.3g}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"
