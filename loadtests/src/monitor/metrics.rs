//! The text that an instance serves at `/metrics`, as far as the report needs it.

/// One scrape.
#[derive(Debug, Clone, Default)]
pub struct Scrape(Vec<Sample>);

#[derive(Debug, Clone)]
struct Sample {
    name: String,
    /// Between the braces, as it stood there.
    labels: String,
    value: f64,
}

impl Scrape {
    /// Reads what can be read; lines that are something else are left out.
    pub fn parse(text: &str) -> Self {
        Self(text.lines().filter_map(Sample::parse).collect())
    }

    /// The sum of a metric over all its labels that contain `label`, such as
    /// `journal="orders"`; `None` if there are none.
    pub fn sum(&self, name: &str, label: &str) -> Option<f64> {
        let values = self
            .0
            .iter()
            .filter(|sample| sample.name == name && (label.is_empty() || sample.has(label)));
        values
            .map(|sample| sample.value)
            .fold(None, |sum, value| Some(sum.unwrap_or(0.0) + value))
    }
}

impl Sample {
    fn parse(line: &str) -> Option<Self> {
        let line = line.trim();
        if line.starts_with('#') {
            return None;
        }
        let (name, labels, rest) = match line.split_once('{') {
            // A label's value may hold anything, also braces and spaces.
            Some((name, rest)) => {
                let (labels, value) = rest.rsplit_once('}')?;
                (name, labels, value)
            }
            None => {
                let (name, value) = line.split_once(' ')?;
                (name, "", value)
            }
        };
        let value = rest.split_whitespace().next()?.parse().ok()?;
        Some(Self { name: name.to_owned(), labels: labels.to_owned(), value })
    }

    fn has(&self, label: &str) -> bool {
        self.labels.match_indices(label).any(|(at, _)| {
            let after = self.labels[at + label.len()..].chars().next();
            (at == 0 || self.labels[..at].ends_with(',')) && matches!(after, None | Some(','))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
# HELP doorbuster_journal_batch_entries Entries
# TYPE doorbuster_journal_batch_entries histogram
doorbuster_journal_batch_entries_sum{journal="orders",form="optimistic"} 120
doorbuster_journal_batch_entries_sum{journal="orders",form="exact"} 5
doorbuster_journal_batch_entries_sum{journal="carts",form="exact"} 7
doorbuster_orders_in_flight 12
doorbuster_http_requests_total{route="/v1/{id} x",method="GET",status="200"} 3 1700000000000
doorbuster_broken{a="b"
doorbuster_nonsense abc
"#;

    #[test]
    fn metrics_are_summed_over_the_labels_that_were_not_asked_for() {
        let scrape = Scrape::parse(TEXT);
        let batch = "doorbuster_journal_batch_entries_sum";
        assert_eq!(scrape.sum(batch, r#"journal="orders""#), Some(125.0));
        assert_eq!(scrape.sum(batch, ""), Some(132.0));
        assert_eq!(scrape.sum("doorbuster_orders_in_flight", ""), Some(12.0));
        assert_eq!(scrape.sum("doorbuster_http_requests_total", r#"method="GET""#), Some(3.0));
    }

    #[test]
    fn what_is_not_there_is_none_and_not_zero() {
        let scrape = Scrape::parse(TEXT);
        assert_eq!(scrape.sum("doorbuster_carts_in_flight", ""), None);
        assert_eq!(scrape.sum("doorbuster_broken", ""), None);
        assert_eq!(scrape.sum("doorbuster_nonsense", ""), None);
        let batch = "doorbuster_journal_batch_entries_sum";
        assert_eq!(scrape.sum(batch, r#"journal="order""#), None);
        assert_eq!(scrape.sum(batch, r#"al="orders""#), None);
        assert_eq!(Scrape::parse("<html>{} 1").sum("x", ""), None);
    }
}
