//! `doorbuster verify`: the invariants, checked by SQL on a running system.
//!
//! Each check is one statement and so reads one snapshot; none spans several, so vacuum of the
//! hot rows is not held back for longer than one of them takes.

use crate::postgres::{Postgres, describe};
use crate::{cart, catalog, inventory, order};
use serde::Serialize;

/// One invariant, or a part of one.
pub struct Check {
    /// `I1` … `I9`, as ARCHITECTURE.md lists them.
    pub id: &'static str,
    /// What must be true.
    pub rule: &'static str,
    /// Returns one row of text for each violation.
    pub sql: &'static str,
}

/// What was found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Nothing was violated.
    pub ok: bool,
    /// One entry for each invariant.
    pub checks: Vec<Finding>,
}

/// What was found about one invariant.
#[derive(Debug, Serialize)]
pub struct Finding {
    /// `I1` … `I9`.
    pub id: &'static str,
    /// What must be true.
    pub rule: String,
    /// How often it is not.
    pub violations: i64,
    /// Some of the violations.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<String>,
}

/// Examples that are shown of one check.
const EXAMPLES_MAX: i64 = 5;

/// Runs all checks; an error is a sentence that says why it could not.
pub async fn run(postgres: &Postgres) -> Result<Report, String> {
    let client = postgres.connect().await?;
    let mut checks: Vec<Finding> = Vec::new();
    let lists = [
        catalog::store::CHECKS,
        inventory::store::CHECKS,
        cart::store::CHECKS,
        order::store::CHECKS,
    ];
    for check in lists.into_iter().flatten() {
        let sql = format!(
            "WITH found (text) AS MATERIALIZED ({}) SELECT (SELECT count(*) FROM found), \
             ARRAY(SELECT text FROM found ORDER BY 1 LIMIT {EXAMPLES_MAX})",
            check.sql
        );
        let row = client.query_one(&sql, &[]).await;
        let row = row.map_err(|e| format!("{} cannot be checked: {}", check.id, describe(&e)))?;
        let (violations, examples): (i64, Vec<String>) = (row.get(0), row.get(1));
        match checks.iter_mut().find(|finding| finding.id == check.id) {
            Some(finding) => {
                finding.rule = format!("{}; {}", finding.rule, check.rule);
                finding.violations += violations;
                finding.examples.extend(examples);
            }
            None => {
                let (id, rule) = (check.id, check.rule.to_owned());
                checks.push(Finding { id, rule, violations, examples });
            }
        }
    }
    checks.sort_by_key(|finding| finding.id);
    Ok(Report { ok: checks.iter().all(|finding| finding.violations == 0), checks })
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for Finding { id, rule, violations, examples } in &self.checks {
            let verdict = if *violations == 0 { "ok      " } else { "VIOLATED" };
            writeln!(f, "{verdict} {id}  {rule}")?;
            if *violations > 0 {
                writeln!(f, "             {violations} times, for example:")?;
            }
            for example in examples {
                writeln!(f, "             {example}")?;
            }
        }
        write!(f, "{}", if self.ok { "clean" } else { "violated" })
    }
}
