#!/usr/bin/env python3
"""Writes into docs/guarantees.md, behind each promise, what its tests said last.

    make ci | tee LOG; scripts/last-results.py LOG COMMIT

A test that is named and did not run is an error, and so is an upgrade that did not."""
import re
import sys
from datetime import date
from pathlib import Path

PAGE = Path(__file__).parent.parent / "docs/guarantees.md"

if len(sys.argv) != 3:
    sys.exit(__doc__)
log, commit = sys.argv[1:]
log = Path(log).read_text()
ran = re.findall(r"^test (?:\S+::)?(\w+) \.\.\. (\w+)$", log, re.M)
# `scripts/upgrade.sh` ends with this line, or the run fails.
agree = re.search(r"^\w+ and \S+ agree$", log, re.M)
results = {}
for name, said in ran:
    results.setdefault(name, set()).add(said)


def result(tests):
    missing = [test for test in tests if test not in results]
    if missing or not tests:
        sys.exit(f"did not run: {missing or 'no test is named'}")
    failed = [test for test in tests if results[test] != {"ok"}]
    said = f"failed: {', '.join(failed)}" if failed else "passed"
    return f"{said}, {date.today()}, `{commit}`"


lines, is_promise, tests = [], False, []
for line in PAGE.read_text().splitlines():
    if line.endswith("| last result |"):
        is_promise = True
    elif not line.startswith("|"):
        is_promise = False
    elif is_promise and not line.startswith("|---"):
        *cells, _ = line.strip("|").split("|")
        named = [name for name in re.findall(r"`(\w+)`", cells[2]) if "_" in name]
        if "scripts/upgrade.sh" in cells[2] and not agree:
            sys.exit("no earlier binary was tried beside this one")
        # "The same." stands for the tests of the row before.
        tests = named or tests
        line = f"|{'|'.join(cells)}| {result(tests)} |"
    lines.append(line)
PAGE.write_text("\n".join(lines) + "\n")
