//! The simulation runs what production runs: the same functions, called on both sides.

use super::tree::{Finding, files, none, read};
use std::process::Command;

/// What is simulated: as the simulation calls it, and where and how production does.
const SHARED: [(&str, &str, &str); 13] = [
    (
        "decide(&commands, world)",
        "src/order/store/mod.rs",
        "decide(commands.iter().copied(), world)",
    ),
    (
        ".after(class, ATTEMPTS_MAX)",
        "src/journal/mod.rs",
        ".after(class, self.lane.limits.attempts_max)",
    ),
    ("command.step(outcome)", "src/order/actor.rs", "command.step(self.commit("),
    ("command.told_after_failure(", "src/order/actor.rs", "command.told_after_failure("),
    (".settle(answer)", "src/order/actor.rs", "due.settle(answer)"),
    ("Due::lost(unsettled, order", "src/order/reaper.rs", "Due::lost(unsettled, known"),
    (
        ".in_flight.leave(claim, &answered)",
        "src/order/actor.rs",
        ".in_flight.leave(&claim, &answered)",
    ),
    (".settled(claim)", "src/order/actor.rs", "saved.settled(claim)"),
    (
        ".doubt.wait(self.database.now, refuses)",
        "src/order/store/mod.rs",
        ".doubt.wait(first.now, refuses)",
    ),
    ("is_idle(&commands, &decisions)", "src/order/store/mod.rs", "is_idle(commands.iter()"),
    (".due.charge()", "src/order/actor.rs", "due.charge()"),
    (".view.judge(&wants", "src/inventory/actor.rs", ".view.judge(&wants"),
    (".view.observe(key, count", "src/inventory/actor.rs", ".view.observe(key, count"),
];

/// What nobody may write a second time.
const OURS: [&str; 12] = [
    "fn after(",
    "fn settle(",
    "fn settled(",
    "fn leave(",
    "fn wait(self",
    "fn is_idle(",
    "fn step(&self",
    "fn told_after_failure(",
    "fn judge(&self, wants",
    "fn observe(",
    "impl World",
    "impl Command",
];

fn second_implementations(path: &str, text: &str) -> Vec<Finding> {
    let lines = text.lines().enumerate();
    let copied = lines.filter(|(_, line)| OURS.iter().any(|ours| line.contains(ours)));
    let why = "the simulation links the rules of production, it has none of its own";
    copied.map(|(at, _)| Finding::new(path, at + 1, why)).collect()
}

#[test]
fn the_simulation_links_the_rules_and_the_state_machine_of_production() {
    let simulation = files("tests/simulation", &[".rs"]);
    for (simulated, path, in_production) in SHARED {
        assert!(simulation.iter().any(|file| file.text.contains(simulated)), "{simulated}");
        assert!(
            read(path).unwrap_or_default().contains(in_production),
            "{path}: {in_production}"
        );
    }
    let copies =
        simulation.iter().flat_map(|file| second_implementations(&file.path, &file.text));
    none(&copies.collect::<Vec<_>>());
}

#[test]
fn every_mutation_is_of_the_rules_as_they_are() {
    let applies = |path: &str| {
        let check = Command::new("git").args(["apply", "--check", path]).output();
        check.is_ok_and(|check| check.status.success())
    };
    let mutations = files("tests/simulation/mutations", &[".diff"]);
    assert!(mutations.len() >= 20, "{}", mutations.len());
    let stale = mutations.iter().filter(|mutation| !applies(&mutation.path));
    let why = "it does not apply any more: make it anew, with `git diff -U2`";
    none(&stale.map(|mutation| Finding::new(&mutation.path, 1, why)).collect::<Vec<_>>());
}

#[test]
fn a_planted_second_implementation_is_found() {
    let found = second_implementations("tests/simulation/a.rs", "\nfn settle(world: World) {}\n");
    assert_eq!(found.len(), 1);
}
