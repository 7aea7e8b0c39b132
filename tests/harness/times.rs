//! How long a test goes on.

/// How often: `DOORBUSTER_FAULTS_…` of that name, for a longer run, or so many times.
pub fn times(what: &str, fewest: usize) -> usize {
    let configured = std::env::var(format!("DOORBUSTER_FAULTS_{what}"));
    configured.map_or(fewest, |count| count.parse().unwrap())
}
