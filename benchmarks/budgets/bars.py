"""What is asked of budgets and their ledgers, figure by figure."""

from __future__ import annotations

from benchmarks.pages import Bar, Found

MOST = {"1": 11.81, "2": 6.31, "5": 2.83}
"""σ at δ = 1e-5 of a count with ten groups for each id, by ε."""

CALLS = "system calls on the ledger's files"

SOUND = ("seen and not charged", "seen twice", "keys with two answers", "answers that are not the stored one")
"""How often a ledger under kills did what it never may."""


def outcomes(found: Found) -> str:
    """What became of damaged ledgers."""
    return ", ".join(f"{name} {found[name]}" for name in ("refused", "opens, with the true total", "WRONG TOTAL"))


def rates(found: Found) -> dict[str, float]:
    """Charges a second, by what is charged."""
    return {name.removesuffix(", a second"): rate for name, rate in found.items() if name.endswith(", a second")}


def lines(found: Found) -> list[float]:
    """How much longer twice as many charges take, by what is charged."""
    return [ratio for name, ratio in found.items() if name.endswith("t(2n)/t(n)")]


def over(found: Found) -> str:
    """An ε over the true one, least and most."""
    return f"{found['least']:.6f} to {found['most']:.6f}"


BARS = (
    Bar(
        *("kills", "4 processes, kill -9", "≥ 300 kills, ≥ 10,000 charges; nothing uncharged, doubled or overspent"),
        lambda found: (
            f"{found['kills']} kills, {found['charges']:,} charges; {sum(found[each] for each in SOUND)} violations, "
            f"{found['units charged']:,} of {found['units in all']:,} units, integrity {found['integrity']}"
        ),
        lambda found: (
            found["kills"] >= 300
            and found["charges"] >= 10_000
            and not any(found[each] for each in SOUND)
            and found["units charged"] == found["units in all"]
            and found["workers that saw an error"] == 0
            and found["integrity"] == "ok"
        ),
    ),
    Bar(
        *("faults", "EIO, ENOSPC and kills at system calls", "≥ 60 points, no violation"),
        lambda found: f"{found['faults']} faults at {found[CALLS]} calls, {found['violations']} violations",
        lambda found: found[CALLS] >= 60 and found["violations"] == 0,
    ),
    Bar(
        *("exhaustion", "8 threads and 4 processes on 3000 units", "exactly 3000 granted, within 60 s"),
        lambda found: f"{found['granted']} granted, {found['charged']} charged, in {found['seconds']:.0f} s",
        lambda found: (
            found["granted"] == found["charged"] == 3000
            and found["left"] == found["processes that failed"] == 0
            and found["seconds"] <= 60
        ),
    ),
    Bar(
        *("clocks", "a clock that jumps by ten years, 50 units", "exactly 50 granted"),
        lambda found: f"{found['granted of 50 units']} granted",
        lambda found: found["granted of 50 units"] == 50 and found["left"] == 0,
    ),
    Bar(
        *("rationals", "10,000 random rational budgets against Fraction", "0 mismatches"),
        lambda found: f"{found['mismatches']} mismatches in {found['budgets']:,}",
        lambda found: found["mismatches"] == 0 and found["budgets"] >= 10_000,
    ),
    Bar(
        *("rationals", "0.1 of 0.3, again and again", "3 times"),
        lambda found: f"{found['charges of 0.1 that 0.3 holds']} times",
        lambda found: found["charges of 0.1 that 0.3 holds"] == 3,
    ),
    Bar(
        *("charges", "100,000 charges in memory", "≥ 100,000 a second"),
        lambda found: "; ".join(f"{name}: {rate:,.0f}" for name, rate in rates(found).items()),
        lambda found: min(rates(found).values()) >= 100_000,
    ),
    Bar(
        *("charges", "twice as many charges in memory", "t(2n)/t(n) ≤ 2.2"),
        lambda found: f"at most {max(lines(found)):.2f}",
        lambda found: max(lines(found)) <= 2.2,
    ),
    Bar(
        *("durable", "charges to SQLite, each durable before the next", "≥ 200 a second"),
        lambda found: f"{found['charges a second']:.0f}; with an anchor {found['charges a second with an anchor']:.0f}",
        lambda found: found["charges a second"] >= 200,
    ),
    Bar(
        *("flips", "1,000 flipped bits", "never a wrong total"),
        outcomes,
        lambda found: found["flipped bits"] >= 1000 and found["WRONG TOTAL"] == 0,
    ),
    Bar(
        *("cuts", "50 truncations, one of them to nothing", "never a wrong total"),
        outcomes,
        lambda found: found["truncations"] >= 50 and found["WRONG TOTAL"] == 0,
    ),
    Bar(
        *("old copies", "an old copy behind its anchor", "refused"),
        lambda found: f"{found['refused']} of {found['old copies']} refused",
        lambda found: found["refused"] == found["old copies"],
    ),
    Bar(
        *("read-only", "a read-only file", "never a wrong total"),
        lambda found: f"{found['read-only']}; afterwards it {found['afterwards']}",
        lambda found: found["read-only"] == "refused" and found["afterwards"] == "opens, with the true total",
    ),
    Bar(
        *("locked", "a file that another process holds for 60 s", "never a wrong total"),
        lambda found: f"{found['refused']} refused in {found['seconds']:g} s; afterwards it {found['afterwards']}",
        lambda found: (
            found["refused"] >= 1 and found["seconds"] >= 60 and found["afterwards"] == "opens, with the true total"
        ),
    ),
    Bar(
        *("mixed", "filters on mixed workloads, against dp-accounting", "never below its ε"),
        lambda found: f"{found['below the truth']} of {found['workloads']} below",
        lambda found: found["below the truth"] == 0,
    ),
    Bar(
        *("gaussian", "μ² of all-Gaussian workloads, against dp-accounting", "never below its ε, within 1 %"),
        lambda found: f"{over(found)} of it, {found['below the truth']} of {found['workloads']} below",
        lambda found: found["below the truth"] == 0 and found["most"] <= 1.01,
    ),
    Bar(
        *("orders", "the Rényi filter, against dp-accounting at the same order", "never below, within 1 %"),
        over,
        lambda found: 1 - 1e-12 <= found["least"] <= found["most"] <= 1.01,
    ),
    Bar(
        *("batches", "batches, against dp-accounting's distributions", "within 1 %, never above"),
        lambda found: f"{over(found)} of what they may have",
        lambda found: 0.99 <= found["least"] <= found["most"] <= 1,
    ),
    *(
        Bar(
            *("calibration", f"σ at ε = {epsilon}, δ = 1e-5, ten groups for each id", f"≤ {most}"),
            lambda found, epsilon=epsilon: f"{found[f'σ at ε = {epsilon}']:.4f}",  # type: ignore[misc]
            lambda found, epsilon=epsilon, most=most: found[f"σ at ε = {epsilon}"] <= most,  # type: ignore[misc]
        )
        for epsilon, most in MOST.items()
    ),
    Bar(
        *("bad", "40 bad budgets", "refused before data is touched"),
        lambda found: (
            f"{found['bad values']} in {found['attempts']} attempts: {found['let through']} let through, "
            f"{found['charged']} charged"
        ),
        lambda found: found["bad values"] >= 40 and found["let through"] == found["charged"] == 0,
    ),
)
