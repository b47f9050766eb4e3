"""Print the table of the fuzz tests after the run, from all of its processes."""

import pytest

HEADER = ("kind", "mutants", "equal", "other", "refused", "seconds", "slowest", "peak MiB")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [r for outcome in ("passed", "failed") for r in terminalreporter.getreports(outcome)]
    rows = [
        value
        for r in reports
        if r.when == "call"
        for key, value in r.user_properties
        if key == "fuzz"
    ]
    if not rows:
        return
    terminalreporter.section("damaged files")
    terminalreporter.write_line(("{:<24}" + "{:>9}" * 7).format(*HEADER))
    line = (
        "{kind:<24}{mutants:>9}{equal:>9}{other:>9}{refused:>9}{seconds:>9.1f}{slowest:>9.2f}"
        "{mib:>9.0f}"
    )
    for row in rows:
        terminalreporter.write_line(line.format(**row))
