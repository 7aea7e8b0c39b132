//! The manifests: versions are stated, and unsafe code is forbidden everywhere.

use super::tree::{File, Finding, files, hold};

/// The lines of a manifest with the section they stand in.
fn lines(text: &str) -> Vec<(usize, &str, &str)> {
    let (mut section, mut lines) = ("", Vec::new());
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        match line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            Some(name) => section = name,
            None => lines.push((at + 1, section, line)),
        }
    }
    lines
}

/// Whether a section lists dependencies, or is one (`dependencies.tokio`).
fn is_dependencies(section: &str) -> bool {
    section.split('.').any(|part| part.ends_with("dependencies"))
}

fn open_versions(manifest: &File) -> Vec<Finding> {
    let open = lines(&manifest.text).into_iter().filter(|(_, section, line)| {
        let code = line.split('#').next().unwrap_or_default();
        is_dependencies(section) && code.contains('*')
    });
    let what = "a dependency of any version: state the one that was tested";
    open.map(|(at, ..)| Finding::new(&manifest.path, at, what)).collect()
}

/// The workspace forbids it, and every member takes the workspace's lints.
fn missing_lints(manifest: &File) -> Vec<Finding> {
    let lines = lines(&manifest.text);
    let has = |section: &str, wanted: &str| {
        lines.iter().any(|(_, found, line)| *found == section && *line == wanted)
    };
    let is_root = manifest.path == "Cargo.toml";
    let mut findings = Vec::new();
    if is_root && !has("workspace.lints.rust", "unsafe_code = \"forbid\"") {
        let what = "write `unsafe_code = \"forbid\"` under [workspace.lints.rust]";
        findings.push(Finding::new(&manifest.path, 1, what));
    }
    if !has("lints", "workspace = true") {
        let what = "the workspace's lints do not apply: write `workspace = true` under [lints]";
        findings.push(Finding::new(&manifest.path, 1, what));
    }
    findings
}

fn manifests() -> Vec<File> {
    let manifests = files("", &["Cargo.toml"]);
    assert!(manifests.iter().any(|file| file.path == "Cargo.toml"), "no manifest was found");
    manifests
}

#[test]
fn every_dependency_states_its_version() {
    let count = |file: &File| {
        let lines = lines(&file.text);
        lines
            .iter()
            .filter(|(_, section, line)| is_dependencies(section) && !line.is_empty())
            .count()
    };
    let manifests = manifests();
    assert!(manifests.iter().map(count).sum::<usize>() > 10, "hardly a dependency was found");
    hold(&manifests, open_versions);
}

#[test]
fn unsafe_code_is_forbidden_in_every_crate() {
    hold(&manifests(), missing_lints);
}

fn found(rule: impl Fn(&File) -> Vec<Finding>, path: &str, text: &str) -> Vec<usize> {
    let file = File { path: path.to_owned(), text: text.to_owned() };
    rule(&file).into_iter().map(|finding| finding.line).collect()
}

#[test]
fn planted_open_versions_are_found_in_every_form() {
    let text = "[package]\nname = \"*\"\n[dependencies]\na = \"1\" # not *\nb = \"*\"\n\
                c = { version = \"1.*\" }\n[target.'cfg(unix)'.dev-dependencies.d]\n\
                version = \"*\"\n[workspace.dependencies]\ne = \"*\"\n";
    assert_eq!(found(open_versions, "Cargo.toml", text), [5, 6, 8, 10]);
}

#[test]
fn planted_manifests_without_the_lints_are_found() {
    let forbids = "[workspace.lints.rust]\nunsafe_code = \"forbid\"\n";
    let takes = "[lints]\nworkspace = true\n";
    assert_eq!(found(missing_lints, "Cargo.toml", &format!("{forbids}{takes}")), []);
    assert_eq!(found(missing_lints, "Cargo.toml", &forbids.replace("forbid", "warn")), [1, 1]);
    assert_eq!(found(missing_lints, "loadtests/Cargo.toml", takes), []);
    assert_eq!(found(missing_lints, "loadtests/Cargo.toml", forbids), [1]);
}
